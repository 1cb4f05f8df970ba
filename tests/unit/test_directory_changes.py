"""Changes of the directory, decided and applied without engines (R1.1–R1.3, R3.8)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.directory import DirectoryFact, MailboxAdded, MailboxChanged, MailboxClosed
from shared.contracts.reports import keeper
from shared.contracts.types import Actor, Classification, Nature
from shared.directory import Directory, DirectoryError, LiveDirectory, UnknownMailbox, load_directory
from shared.directory.changes import Change, add, alter, applied, close, mailbox_of, whole

FILE = Path(__file__).parents[1] / "data" / "directory.yaml"
SEED = load_directory(FILE)
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
BY = Actor(subject="mayor-duty", name="甲值班", mailbox="mayor")
WHY = Change(by=BY, at=NOW, reason="机构调整")
ENTRY: dict[str, Any] = {
    "code": "east-lake",
    "name": "东湖新区管理委员会",
    "short_name": "东湖新区",
    "kind": "department_of_government",
    "parent": "mayor",
    "prefix": {"chinese": "渝东信", "ascii": "YDHX"},
    "responsible_department": "管委会办公室",
    "leader": {"name": "戊主任", "subject": "east-lake-leader"},
    "staff": [{"name": "戊某", "subject": "east-lake-one", "roles": ["clerk", "head"]}],
}
PARKS: dict[str, Any] = {
    "code": "east-lake-parks",
    "name": "东湖新区园林处",
    "short_name": "园林处",
    "kind": "department",
    "parent": "east-lake",
    "staff": [{"name": "己某", "subject": "parks-one", "roles": ["clerk"]}],
}


class City:
    """A directory and its changes so far."""

    def __init__(self) -> None:
        self.live = LiveDirectory(SEED, "directory.yaml")
        self.facts: list[DirectoryFact] = []

    @property
    def tree(self) -> Directory:
        return self.live.directory

    def take(self, facts: list[DirectoryFact]) -> list[DirectoryFact]:
        self.facts += facts
        self.live.take(facts)
        return facts

    def adds(self, **changes: Any) -> list[DirectoryFact]:
        return self.take(add(self.tree, {**ENTRY, **changes}, WHY))

    def closes(self, code: str, successor: str | None = None) -> list[DirectoryFact]:
        return self.take(close(self.tree, code, successor, WHY))


@pytest.fixture
def city() -> City:
    return City()


def refused(decide: Any) -> list[tuple[str, str]]:
    with pytest.raises(DirectoryError) as error:
        decide()
    return [(problem.rule, problem.wrong) for problem in error.value.problems]


def test_r1_1_whoever_holds_the_directory_sees_a_mailbox_that_is_added(city: City) -> None:
    held = city.tree
    (fact,) = city.adds()
    assert isinstance(fact, MailboxAdded)
    assert (fact.directory_version, held.version) == (1, 1)
    assert held.get("east-lake") == mailbox_of(fact)
    assert held.mailboxes()[-1].code == "east-lake"
    assert held.unit_of("east-lake").parent == "mayor"


def test_r1_3_an_entry_is_refused_with_everything_that_is_wrong_and_the_directory_stays(city: City) -> None:
    bad = {**ENTRY, "leader": None, "staff": [], "parent": "nowhere"}
    found = refused(lambda: add(city.tree, bad, Change(by=BY, at=NOW, reason=" ")))
    assert [rule for rule, _ in found] == ["R10.1", "R1.1", "R1.3", "R1.3", "R1.3"]
    assert "east-lake" not in city.tree
    assert city.tree.version == 0


def test_r1_3_what_is_malformed_does_not_hide_what_else_is_wrong(city: City) -> None:
    bad = {**ENTRY, "name": "", "leader": 5, "staff": [], "parent": "nowhere", "nonsense": 1}
    bad["prefix"] = {"chinese": "渝水信", "ascii": "YDHX"}
    found = [wrong for _, wrong in refused(lambda: add(city.tree, bad, WHY))]
    assert len([wrong for wrong in found if wrong.startswith("name:")]) == 1
    assert any("nonsense" in wrong for wrong in found)
    assert len([wrong for wrong in found if "leader" in wrong]) == 1
    for part in (
        "its parent nowhere",
        "prefix 渝水信 is also used by water",
        "no head among its staff",
        "no clerk among",
    ):
        assert any(part in wrong for wrong in found), part


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"code": "schools"}, "R1.1"),
        ({"prefix": {"chinese": "渝育信", "ascii": "YYX"}}, "R3.8"),
        ({"prefix": None}, "R3.8"),
        ({"kind": "department"}, "R1.1"),
        ({"closed": {"at": NOW, "successor": "mayor"}}, "R1.1"),
        ({"former_names": [{"name": "甲", "short_name": "甲", "until": NOW}]}, "R1.1"),
        ({"staff": []}, "R1.3"),
        ({"leader": None}, "R1.3"),
        ({"region": "500103"}, "R3.5"),
        ({"nonsense": 1}, "R1.3"),
    ],
)
def test_r1_3_a_change_that_would_leave_a_wrong_entry_is_refused(city: City, fields: dict[str, Any], rule: str) -> None:
    assert rule in {found for found, _ in refused(lambda: alter(city.tree, "education", fields, WHY))}


def test_r1_1_a_renamed_mailbox_keeps_its_former_names_and_the_entry_read_can_be_sent_back(city: City) -> None:
    city.take(alter(city.tree, "education", {"name": "重庆市教育局"}, WHY))
    entry = city.facts[-1].entry.model_dump(mode="json")
    (fact,) = city.take(alter(city.tree, "education", {**entry, "short_name": "市教育局"}, WHY))
    assert isinstance(fact, MailboxChanged)
    assert fact.changed == ("short_name",)
    former = city.tree.get("education").former_names
    assert [(one.name, one.short_name, one.until) for one in former] == [
        ("重庆市教育委员会", "市教委", NOW),
        ("重庆市教育局", "市教委", NOW),
    ]
    assert alter(city.tree, "education", {"short_name": "市教育局"}, WHY) == []


def test_r1_1_a_unit_is_closed_with_its_departments_and_its_successor_goes_on(city: City) -> None:
    facts = city.closes("education", "water")
    assert [(type(fact), fact.mailbox, fact.directory_version) for fact in facts] == [
        (MailboxClosed, "education-basic", 1),
        (MailboxClosed, "education", 2),
    ]
    for code in ("education", "education-basic"):
        assert city.tree.current(code) == "water"
    assert "education" not in {mailbox.code for mailbox in city.tree.open_mailboxes()}
    city.closes("water", "yuzhong")
    assert city.tree.current("education") == "yuzhong"
    assert city.tree.prefix_of("education").chinese == "渝教信"


def test_r1_1_without_a_successor_the_mailbox_above_goes_on(city: City) -> None:
    city.closes("education-basic")
    assert city.tree.current("education-basic") == "education"
    city.closes("education")
    assert city.tree.current("education-basic") == "mayor"
    assert city.tree.current("nowhere") == "nowhere"


def test_r1_1_what_cannot_be_closed_or_cannot_succeed_is_refused(city: City) -> None:
    city.adds()
    city.take(add(city.tree, PARKS, WHY))
    assert refused(lambda: close(city.tree, "mayor", None, WHY))
    assert refused(lambda: close(city.tree, "water", "nowhere", WHY))
    assert refused(lambda: close(city.tree, "water", "water", WHY))
    assert refused(lambda: close(city.tree, "water", "education-basic", WHY))
    assert refused(lambda: close(city.tree, "education-basic", "water", WHY))
    assert refused(lambda: close(city.tree, "education", "education-basic", WHY))
    assert refused(lambda: close(city.tree, "water", "yuzhong", Change(by=BY, at=NOW, reason="")))
    with pytest.raises(UnknownMailbox):
        close(city.tree, "nowhere", None, WHY)
    city.closes("water", "yuzhong")
    assert refused(lambda: close(city.tree, "water", "yuzhong", WHY))
    assert refused(lambda: close(city.tree, "education", "water", WHY))
    assert refused(lambda: alter(city.tree, "water", {"short_name": "水"}, WHY))
    assert refused(lambda: alter(city.tree, "education-basic", {"parent": "water"}, WHY))


def test_r3_8_code_and_prefix_of_a_closed_mailbox_are_never_given_again(city: City) -> None:
    city.closes("education", "water")
    assert refused(lambda: add(city.tree, {**ENTRY, "code": "education"}, WHY))
    taken = {**ENTRY, "prefix": {"chinese": "渝教信", "ascii": "YDHX"}}
    assert [rule for rule, _ in refused(lambda: add(city.tree, taken, WHY))] == ["R3.6"]


def test_r3_5_the_region_of_a_closed_district_can_have_a_new_one(city: City) -> None:
    city.closes("yuzhong")
    city.adds(kind="district", region="500103")
    assert city.tree.get("east-lake").region == "500103"


def about(mailbox: str) -> Classification:
    """A report about a mailbox."""
    return Classification(nature=Nature.REPORT, domain="utilities-water", region="500103", reported_mailbox=mailbox)


def test_r1_2_reports_about_a_merged_unit_are_hidden_from_its_successor_and_go_above(city: City) -> None:
    city.adds()
    city.take(add(city.tree, PARKS, WHY))
    city.closes("education", "east-lake")
    for inside in ("east-lake", "east-lake-parks"):
        assert city.tree.same_unit(inside) == {"east-lake", "east-lake-parks", "education", "education-basic"}
    for reported in ("education", "education-basic", "east-lake", "east-lake-parks"):
        assert keeper(about(reported), "education", city.tree) == "mayor"
    assert keeper(about("education"), "east-lake-parks", city.tree) == "mayor"
    assert keeper(about("water"), "education", city.tree) == "east-lake"
    assert city.tree.current("education") == "east-lake"
    assert keeper(about("water"), "water", city.tree) == "mayor"


def test_r1_2_what_the_mayor_s_mailbox_takes_over_is_no_part_of_it(city: City) -> None:
    """Otherwise nobody at all could handle a report about a unit that was closed without a successor."""
    city.closes("education")
    assert city.tree.same_unit("mayor") == {"mayor"}
    assert keeper(about("education"), "education", city.tree) == "mayor"


def test_changes_count_once_and_in_their_order_however_they_come(city: City) -> None:
    city.adds()
    city.take(alter(city.tree, "east-lake", {"short_name": "东湖"}, WHY))
    city.closes("east-lake")
    first, second, third = city.facts
    other = City()
    other.live.take([third])
    other.live.take([second, second])
    assert (other.tree.version, other.live.missing) == (0, True)
    other.live.take([first])
    assert (other.tree.version, other.live.missing) == (3, False)
    assert other.tree.mailboxes() == city.tree.mailboxes()
    assert [one["what"] for one in other.live.history("east-lake")] == [
        "MailboxAdded",
        "MailboxChanged",
        "MailboxClosed",
    ]
    assert all("entry" not in one for one in other.live.history("east-lake"))


def test_an_edited_file_gives_new_entries_and_changed_ones_stay_as_they_were_changed(city: City) -> None:
    city.take(alter(city.tree, "water", {"short_name": "水务"}, WHY))
    old = {m.code: m for m in SEED.mailboxes()}
    edited = [
        *(m for code, m in old.items() if code != "water"),
        old["water"].model_copy(update={"short_name": "自来水"}),
        mailbox_of(add(SEED, ENTRY, WHY)[0]),
    ]
    seed = Directory(edited, SEED.all_domains(), SEED.regions())
    city.live.reseed(seed)
    assert city.tree.get("water").short_name == "水务"
    assert "east-lake" in city.tree


def test_a_file_that_contradicts_changes_leaves_the_directory_as_it_was_and_says_why(city: City) -> None:
    city.adds()
    thief = SEED.get("water").model_copy(update={"prefix": city.tree.get("east-lake").prefix})
    edited = [thief if m.code == "water" else m for m in SEED.mailboxes()]
    seed = Directory(edited, SEED.all_domains(), SEED.regions())
    city.live.reseed(seed)
    assert city.live.wrong is not None
    assert {problem.rule for problem in city.live.wrong.problems} == {"R3.6"}
    assert city.tree.prefix_of("water").chinese == "渝水信"
    city.live.reseed(SEED)
    assert city.live.wrong is None


def test_a_closed_entry_needs_a_successor_that_leads_to_an_open_mailbox() -> None:
    closed = {"at": NOW, "successor": "water"}
    loop = {
        code: SEED.get(code).model_validate({**SEED.get(code).model_dump(), "closed": {**closed, "successor": other}})
        for code, other in (("water", "yuzhong"), ("yuzhong", "water"))
    }
    with pytest.raises(DirectoryError, match="lead back"):
        whole(SEED, loop, 2, "x")
    gone = SEED.get("water").model_validate(
        {**SEED.get("water").model_dump(), "closed": {**closed, "successor": "gone"}}
    )
    with pytest.raises(DirectoryError, match="successor gone"):
        whole(SEED, {"water": gone}, 1, "x")


def test_every_version_can_be_made_again_from_the_facts_alone(city: City) -> None:
    city.adds()
    city.closes("education", "east-lake")
    again = whole(SEED, applied({}, city.facts), len(city.facts), "x")
    assert again.mailboxes() == city.tree.mailboxes()
    assert again.version == city.tree.version == 3
