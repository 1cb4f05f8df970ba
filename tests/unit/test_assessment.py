"""Scores of units (R11.4): made of figures by weights and bounds that a file says; no engines."""

from copy import deepcopy
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.reporting.assessment import FIGURES, Method, checked, load_method, points_of, scores
from services.reporting.checklist import load_checklist
from services.reporting.configuration import ConfigurationError
from services.reporting.domain import Handoff, Row
from services.reporting.figures import Figure
from services.reporting.periods import month
from services.reporting.sampling import Standing
from services.reporting.scores import Scores, parse_period
from services.reporting.spot_checks import Check, Checked, record
from services.reporting.spot_desk import counted
from services.reporting.spot_store import Result
from services.settings import ASSESSMENT, CHECKLIST, SAMPLE
from shared.calendar.zone import SHANGHAI
from shared.contracts.errors import BadInput, RuleBroken
from shared.contracts.types import Actor, Nature
from shared.directory import Directory, load_directory
from shared.directory.models import Closed
from tests.judged import Judged

DIRECTORY = load_directory(SAMPLE)
TEXT: dict[str, Any] = yaml.safe_load(ASSESSMENT.read_text(encoding="utf-8"))
METHOD = load_method(ASSESSMENT, DIRECTORY)


def method(*indicators: dict[str, Any], **more: Any) -> Method:
    made, problems = checked({"title": "试", "indicators": list(indicators), **more}, DIRECTORY)
    assert made is not None, problems
    assert not problems, problems
    return made


def indicator(name: str = "in-time", **changes: Any) -> dict[str, Any]:
    plain = {"id": name, "zh": "甲", "en": "A", "rule": "R6.1", "weight": 100, "lower": 0.5, "upper": 0.9}
    figures = {"numerator": ["undertaken.answered_in_time"], "denominator": ["undertaken.assigned"]}
    return {**plain, **figures, **changes}


def numbers(**of_units: tuple[int, int]) -> dict[str, dict[str, Fraction]]:
    """Unit → answered in time, assigned."""
    return {
        unit: {"undertaken.answered_in_time": Fraction(above), "undertaken.assigned": Fraction(below)}
        for unit, (above, below) in of_units.items()
    }


# ── points and scores ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("direction", "value", "points"),
    [
        ("higher", "0.5", 0),
        ("higher", "0.7", 50),
        ("higher", "0.9", 100),
        ("higher", "0.2", 0),
        ("higher", "1", 100),
        ("lower", "0.5", 100),
        ("lower", "0.7", 50),
        ("lower", "0.9", 0),
        ("lower", "0.95", 0),
        ("lower", "0", 100),
    ],
)
def test_r11_4_points_go_from_the_worse_bound_to_the_better_one(direction: str, value: str, points: int) -> None:
    one = method(indicator(direction=direction)).indicators[0]
    assert points_of(one, Fraction(value)) == points


def test_r11_4_a_score_is_the_mean_of_the_points_by_weight_and_opens_into_them() -> None:
    by = method(
        indicator(weight=75),
        indicator("urged", numerator=["undertaken.urged"], weight=25, lower=0, upper=1, direction="lower"),
    )
    found = {
        one.unit: one
        for one in scores(
            by, DIRECTORY, {"yuzhong": {**numbers(yuzhong=(7, 10))["yuzhong"], "undertaken.urged": Fraction(2)}}
        )
    }
    mine = found["yuzhong"]
    assert mine.score == pytest.approx(0.75 * 50 + 0.25 * 80)
    first, second = mine.indicators
    assert (first.numerator, first.denominator, first.value, first.points, first.share) == (7, 10, 0.7, 50, 37.5)
    assert (second.value, second.points, second.share) == (0.2, 80, 20)
    assert mine.score == first.share + second.share
    assert first.formula == "按时回复（承办） ÷ 交办（承办）；0.5 得 0 分，0.9 得满分，其间按比例"
    assert "1 得 0 分，0 得满分" in second.formula


def test_r11_4_what_has_no_denominator_is_not_assessed_and_leaves_its_weight_to_the_others() -> None:
    by = method(
        indicator(weight=60),
        indicator(
            "read",
            numerator=["letters.read_late"],
            denominator=["letters.received"],
            weight=30,
            lower=0,
            upper=1,
            direction="lower",
        ),
        indicator("urged", numerator=["undertaken.urged"], weight=10, lower=0, upper=1, direction="lower"),
    )
    found = {one.unit: one for one in scores(by, DIRECTORY, numbers(yuzhong=(9, 10)))}
    mine = found["yuzhong"]
    assert [line.points for line in mine.indicators] == [100, None, 100]
    assert [line.weight_used for line in mine.indicators] == [85.71, 0, 14.29]
    assert mine.score == 100
    nobody = found["wanzhou"]
    assert (nobody.score, nobody.rank) == (None, None)


def test_r11_4_equal_scores_share_a_rank_and_the_next_one_is_left_out() -> None:
    found = scores(
        method(indicator()), DIRECTORY, numbers(yuzhong=(8, 10), wanzhou=(80, 100), yubei=(9, 10), beibei=(6, 10))
    )
    ranked = [(one.rank, one.unit) for one in found if one.rank]
    assert ranked == [(1, "yubei"), (2, "wanzhou"), (2, "yuzhong"), (4, "beibei")]


def test_r11_4_groups_are_ranked_by_themselves_with_their_own_indicators() -> None:
    by = method(
        indicator(weight=100, groups=["near"]),
        indicator("other", weight=100, groups=["far"], direction="lower"),
        groups=[
            {"id": "near", "zh": "近", "en": "Near", "mailboxes": ["yuzhong"]},
            {"id": "far", "zh": "远", "en": "Far", "mailboxes": ["wanzhou", "kaizhou"]},
        ],
    )
    found = scores(by, DIRECTORY, numbers(yuzhong=(7, 10), wanzhou=(7, 10), kaizhou=(6, 10)))
    assert [(one.unit, one.rank, len(one.indicators)) for one in found] == [
        ("yuzhong", 1, 1),
        ("kaizhou", 1, 1),
        ("wanzhou", 2, 1),
    ]


def test_r11_4_thirds_do_not_make_a_difference_where_there_is_none() -> None:
    by = method(*(indicator(f"i{n}", weight=weight) for n, weight in enumerate((33.3, 33.3, 33.4))))
    found = scores(by, DIRECTORY, numbers(yuzhong=(2, 3), wanzhou=(20, 30)))
    assert {one.rank for one in found if one.rank} == {1}


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def wrong(**changes: Any) -> str:
    content = deepcopy(TEXT)
    for place, value in changes.items():
        part, _, name = place.partition("__")
        if name:
            content[part][0][name] = value
        else:
            content[part] = value
    return "\n".join(map(str, checked(content, DIRECTORY)[1]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"indicators__numerator": ["undertaken.answered"]},
            "indicators/in-time/numerator: 没有统计项 undertaken.answered",
        ),
        (
            {"indicators__denominator": ["undertaken.overdue"]},
            "there is no figure 'undertaken.overdue'; these are: letters.received",
        ),
        (
            {"indicators__weight": 36},
            "groups/districts: 指标权重之和为 101，须为 100 / the weights of its indicators add up to 101; make it 100",
        ),
        ({"indicators__lower": 0.99}, "indicators/in-time/lower: 下限 0.99 须小于上限 0.98"),
        ({"indicators__lower": 0.98}, "where less is better, say direction: lower"),
        ({"indicators__groups": ["towns"]}, "indicators/in-time/groups: 没有单位组 towns"),
        ({"indicators__id": "urged"}, "indicators/urged: 编号重复"),
        ({"indicators__direction": "up"}, "indicators/in-time/direction: 内容不合规定"),
        ({"indicators__weight": float("nan")}, "indicators/in-time/weight"),
        ({"indicators__denominator": ["spot_checks.applied"]}, "spot checks are divided by spot checks alone"),
        ({"groups__kinds": ["province"]}, "groups/districts/kinds/0: 内容不合规定"),
        ({"groups__kinds": ["mayor"]}, "groups/districts/kinds: 市长信箱不是单位"),
        ({"groups__mailboxes": ["atlantis"]}, "groups/districts/mailboxes: 名录中没有单位 atlantis"),
        ({"groups__mailboxes": ["education"]}, "groups/departments: education 已在 districts 组"),
        ({"title": ""}, "title: 内容不合规定"),
        ({"colour": "red"}, "colour: 没有这一项"),
        ({"indicators": []}, "indicators: 内容不合规定"),
    ],
)
def test_r11_4_a_wrong_method_is_refused_with_where_and_what(changes: dict[str, Any], words: str) -> None:
    assert words in wrong(**changes)


def test_r11_4_a_file_with_several_mistakes_names_them_all(tmp_path: Path) -> None:
    content = deepcopy(TEXT)
    content["indicators"][0] |= {"weight": 50, "lower": 2, "numerator": ["letters.beauty"]}
    file = tmp_path / "assessment.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load_method(file, DIRECTORY)
    assert len(refused.value.problems) == 5, str(refused.value)
    assert "is refused, 5 problem(s) [R11.4]:" in str(refused.value)


def test_r11_4_only_what_is_added_up_over_days_can_be_assessed() -> None:
    names = {name.partition(".")[2] for name in FIGURES}
    assert names <= {figure.value for figure in Figure}
    assert not names & {
        "overdue",
        "open",
        "open_letters",
        "timeliness",
        "nature",
        "domain",
        "region",
        "answer_days",
        "reply_days",
    }


def test_r11_4_two_files_that_say_the_same_have_one_hash() -> None:
    again, _ = checked(dict(reversed(TEXT.items())), DIRECTORY)
    assert again is not None
    assert again.hash == METHOD.hash
    other, _ = checked({**TEXT, "title": "另一办法"}, DIRECTORY)
    assert other is not None
    assert other.hash != METHOD.hash


def test_r11_4_periods_are_months_quarters_and_years() -> None:
    spans = {
        name: (str(parse_period(name).first_day), str(parse_period(name).end_day))
        for name in ("2026", "2026-Q4", "2025-12", "2026-02")
    }
    assert spans == {
        "2026": ("2026-01-01", "2027-01-01"),
        "2026-Q4": ("2026-10-01", "2027-01-01"),
        "2025-12": ("2025-12-01", "2026-01-01"),
        "2026-02": ("2026-02-01", "2026-03-01"),
    }
    for text in ("2026-13", "2026-Q5", "2026-W07", "26", "9999", "2026-1", "２０２６"):
        with pytest.raises(BadInput):
            parse_period(text)


# ── from cells and spot checks, and back to the letters ──────────────────────────────────────────────────────────────

SMALL = load_directory(Path("tests/data/directory.yaml"))
MARCH = month(date(2026, 3, 1))
SENT = datetime(2026, 3, 2, 9, tzinfo=SHANGHAI)
DUE = datetime(2026, 3, 17, tzinfo=SHANGHAI)
CLOSED = datetime(2026, 3, 20, 9, tzinfo=SHANGHAI)
HEIR = Actor(subject="water-clerk", mailbox="water")
ITEMS = load_checklist(CHECKLIST)


def merged(into: str) -> Directory:
    """The city after education, its department with it, was merged into another unit."""
    closed = Closed(at=CLOSED, successor=into)
    mailboxes = [
        one.model_copy(update={"closed": closed}) if one.code.startswith("education") else one
        for one in SMALL.mailboxes()
    ]
    return Directory(mailboxes, SMALL.all_domains(), SMALL.regions())


def handed(sender: str, receiver: str, *, late: bool) -> Handoff:
    """An assignment that fell due, answered in time or not at all."""
    replied = () if late else (DUE - timedelta(days=3),)
    limits = ((DUE,),)
    return Handoff(
        sender=sender, receiver=receiver, sent_at=SENT, limits=limits, passed=(DUE,) if late else (), replied=replied
    )


def letter(number: str, *handoffs: Handoff) -> Row:
    return Row(
        mailbox="mayor",
        received_at=SENT,
        nature=Nature.HELP,
        number=number,
        handoffs={f"s{n}": one for n, one in enumerate(handoffs)},
    )


LETTERS = {
    "straight": letter("YFX-2026-1", handed("mayor", "education-basic", late=True)),
    "handed-on": letter(
        "YFX-2026-2",
        handed("mayor", "education", late=False),
        handed("education", "education-basic", late=True),
    ),
    "water": letter("YFX-2026-3", handed("mayor", "water", late=False)),
}


async def is_counted(_moment: datetime, _now: datetime) -> bool:
    return True


def read(directory: Directory, spots: Judged, *indicators: dict[str, Any]) -> Scores:
    made, problems = checked({"title": "试", "indicators": list(indicators)}, directory)
    assert made is not None, problems
    return Scores(spots, directory, made, is_counted, timedelta(hours=1))


IN_TIME = indicator(denominator=["undertaken.answered_in_time", "undertaken.became_overdue"])
CHECKED = indicator("spot-checks", rule="R11.1", numerator=["spot_checks.passed"], denominator=["spot_checks.applied"])


async def opened(found: Scores, unit: str) -> tuple[tuple[float, float], list[tuple[str, str, float]]]:
    """Numerator and denominator of a unit's one indicator, and the letters behind the denominator; both sides add up to the same."""
    (line,) = next(one for one in (await found.of(MARCH)).scores if one.unit == unit).indicators
    one = found.method.indicators[0]
    for terms, number in ((one.numerator, line.numerator), (one.denominator, line.denominator)):
        lines = await found.letters(unit, MARCH, terms, HEIR, None, 100)
        assert sum(each.times for each in lines) == number
    return (line.numerator, line.denominator), [(each.letter_id, each.figure, each.times) for each in lines]


async def test_r4_2_what_comes_straight_to_a_department_counts_for_its_unit_and_what_the_unit_hands_on_does_not() -> (
    None
):
    found = read(SMALL, Judged(SMALL, LETTERS), IN_TIME)
    numbers, lines = await opened(found, "education")
    assert numbers == (1, 2)
    assert sorted(lines) == [
        ("handed-on", "undertaken.answered_in_time", 1),
        ("straight", "undertaken.became_overdue", 1),
    ]
    assert await found.letters("education-basic", MARCH, tuple(FIGURES), HEIR, None, 100) == []


async def test_r1_1_a_merged_unit_and_its_departments_count_for_the_successor() -> None:
    city = merged("water")
    numbers, lines = await opened(read(city, Judged(city, LETTERS), IN_TIME), "water")
    assert numbers == (2, 3)
    assert {one[0] for one in lines} == {"straight", "handed-on", "water"}
    assert len(lines) == 3, "what the closed unit handed on to its own department stays its own business (R4.2b)"


def closed_check(check_id: str, *drawn: tuple[str, str]) -> tuple[tuple[Check, list[Checked]], list[Result]]:
    """A closed check of letters (unit, letter), each found right in everything: with its letters and a result for each unit."""
    check = Check(
        id=check_id,
        seed="s",
        seed_given=True,
        units=tuple(unit for unit, _ in drawn),
        first_day=MARCH.first_day,
        end_day=MARCH.end_day,
        size=len(drawn),
        minimum=0,
        double=False,
        drawn_at=CLOSED,
        drawn_by=HEIR,
        checklist=ITEMS,
        checklist_hash=ITEMS.hash,
        population=len(drawn),
        population_hash="",
        shares=(),
        letters=len(drawn),
        closed_at=CLOSED,
    )
    answers = {item.id: item.answers[0] for item in ITEMS.items}
    letters = [
        record(
            Checked(
                place=place,
                unit=unit,
                letter_id=letter_id,
                number=LETTERS[letter_id].number,
                standing=Standing.LATE,
                nature=Nature.HELP,
                double=False,
            ),
            ITEMS,
            answers,
            "",
            HEIR,
            CLOSED,
        )
        for place, (unit, letter_id) in enumerate(drawn, start=1)
    ]
    results = [Result(check_id, unit, "", CLOSED, found) for unit, found in counted(letters, check).items()]
    return (check, letters), results


@pytest.mark.parametrize(("city", "heir"), [(SMALL, "education"), (merged("water"), "water")])
async def test_r11_1_checks_of_departments_and_of_merged_units_open_into_the_letters_that_they_count(
    city: Directory, heir: str
) -> None:
    first, of_first = closed_check("a", ("education", "handed-on"), ("education-basic", "handed-on"))
    second, of_second = closed_check("b", ("education-basic", "straight"))
    spots = Judged(city, LETTERS, {"a": first, "b": second}, [*of_first, *of_second])
    numbers, lines = await opened(read(city, spots, CHECKED), heir)
    whole = sum(item.weight for item in ITEMS.items)
    assert numbers == (3 * whole, 3 * whole)
    assert lines == [
        ("handed-on", "spot_checks.applied", 2 * whole),  # drawn from two mailboxes: one line
        ("straight", "spot_checks.applied", whole),
    ]


# ── issued ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r11_4_a_period_is_frozen_only_once_what_was_there_after_its_end_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[datetime, datetime]] = []
    answers = [False, False, True]

    async def is_counted(moment: datetime, now: datetime) -> bool:
        asked.append((moment, now))
        return answers.pop(0)

    found = read(SMALL, Judged(SMALL, LETTERS), IN_TIME)
    found.counted = is_counted
    early, due = datetime(2026, 4, 1, 0, 59, tzinfo=SHANGHAI), datetime(2026, 4, 1, 1, tzinfo=SHANGHAI)
    with pytest.raises(RuleBroken, match="2026年4月1日 01:00") as told:
        await found.issue("2026-03", HEIR, early)
    assert (told.value.rule, asked) == ("R11.4", [])
    monkeypatch.setattr("services.reporting.scores.COUNTED_SECONDS", 0)
    with pytest.raises(RuleBroken, match="being counted") as told:
        await found.issue("2026-03", HEIR, due)
    assert told.value.rule == "R11.4"
    monkeypatch.setattr("services.reporting.scores.COUNTED_SECONDS", 60)
    monkeypatch.setattr("services.reporting.scores.PAUSE_SECONDS", 0)
    assert await found.issued("2026-03") is None
    issued, new = await found.issue("2026-03", HEIR, due)
    assert new
    assert issued == await found.issued("2026-03")
    assert asked == [(due, due)] * 3
