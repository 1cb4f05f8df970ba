"""Samples drawn by chance, and what people find about their letters (R11.1); no engines."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from services.reporting.checklist import Answer, load_checklist
from services.reporting.configuration import ConfigurationError
from services.reporting.domain import Row
from services.reporting.periods import month
from services.reporting.routes_checks import router
from services.reporting.sampling import Member, Standing, Stratum, allocate, draw, population_hash
from services.reporting.spot_checks import Checked, Progress, check_may_close, count, kappa, record, settle, shown_to
from services.reporting.spot_desk import SpotDesk, Wanted
from services.reporting.views_checks import sample_view
from services.settings import CHECKLIST
from shared.calendar.clock import FixedClock
from shared.contracts.errors import BadInput, RuleBroken
from shared.contracts.types import Actor, Nature
from shared.directory import Directory, load_directory
from shared.directory.models import Closed
from shared.security.tokens import Caller, Role, authenticated
from shared.web.problems import install_problem_handlers
from tests.judged import Judged
from tests.paper import press

NOW = datetime(2026, 3, 2, 1, tzinfo=UTC)
LIST = load_checklist(CHECKLIST)
YES, NO, NONE = Answer.YES, Answer.NO, Answer.NOT_APPLICABLE
ALL_YES = {item.id: YES for item in LIST.items}


def stratum(unit: str, standing: Standing = Standing.IN_TIME, nature: Nature = Nature.HELP) -> Stratum:
    return Stratum(unit, standing, nature)


def members(**numbers: int) -> list[Member]:
    return [Member(stratum(unit), f"{unit}-{n}") for unit, number in numbers.items() for n in range(number)]


def person(name: str) -> Actor:
    return Actor(subject=name, mailbox="mayor")


def checked(*, double: bool = True) -> Checked:
    return Checked(
        place=1,
        unit="yuzhong",
        letter_id="l",
        number="YZFX-2026-1",
        standing=Standing.LATE,
        nature=Nature.HELP,
        double=double,
    )


def found(letter: Checked, who: str, **other: Answer) -> Checked:
    answers = {**ALL_YES, **{name.replace("_", "-"): answer for name, answer in other.items()}}
    return record(letter, LIST, answers, "", person(who), NOW)


# ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_1_the_same_seed_over_the_same_letters_draws_the_same_sample_in_whatever_order_they_come() -> None:
    letters = members(yuzhong=80, wanzhou=40)
    first, shares = draw(letters, "seed", 30, 1)
    again, shared = draw(list(reversed(letters)), "seed", 30, 1)
    assert (first, shares) == (again, shared)
    assert draw(letters, "another", 30, 1)[0] != first
    assert population_hash(letters) == population_hash(list(reversed(letters)))
    assert population_hash(letters) != population_hash(letters[1:])


def test_r11_1_a_letter_that_comes_later_moves_no_other_but_the_one_whose_place_it_takes() -> None:
    before, _ = draw(members(yuzhong=200), "seed", 20, 1)
    after, _ = draw(members(yuzhong=201), "seed", 20, 1)
    assert len(set(before) & set(after)) >= 19


def test_r11_1_strata_share_in_proportion_and_none_is_left_without_its_minimum() -> None:
    strata = {stratum("a"): 600, stratum("b"): 300, stratum("c"): 95, stratum("d"): 5, stratum("e"): 1}
    drawn = {share.stratum.unit: share.drawn for share in allocate(strata, 40, 2)}
    assert sum(drawn.values()) == 40
    assert (drawn["d"], drawn["e"]) == (2, 1), "a minimum, or all that there are"
    assert drawn["a"] == pytest.approx(40 * 0.6, abs=2.5)
    assert drawn["b"] == pytest.approx(40 * 0.3, abs=1.5)


def test_r11_1_a_sample_is_never_larger_than_what_there_is_and_grows_where_the_minimums_need_it() -> None:
    assert sum(share.drawn for share in allocate({stratum("a"): 3, stratum("b"): 2}, 50, 1)) == 5
    many = {stratum(f"u{n}"): 10 for n in range(30)}
    assert sum(share.drawn for share in allocate(many, 10, 2)) == 60


def test_r11_1_every_letter_of_a_stratum_is_drawn_equally_often() -> None:
    letters = members(yuzhong=20)
    times = Counter(member.letter_id for seed in range(2000) for member in draw(letters, str(seed), 5, 0)[0])
    assert len(times) == 20
    assert all(400 < number < 600 for number in times.values()), times


# ── readings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_1_the_first_reading_is_not_shown_to_the_second_reader_before_both_are_in() -> None:
    letter = found(checked(), "chen", facts_checked=NO)
    assert letter.progress is Progress.READ_ONCE
    assert shown_to(letter, person("chen"))
    assert shown_to(letter, person("wu")) == ()
    letter = found(letter, "wu")
    assert [one.by.subject for one in shown_to(letter, person("wu"))] == ["chen", "wu"]
    assert (letter.progress, letter.differing) == (Progress.DISAGREED, ("facts-checked",))
    assert letter.result is None


def test_r11_1_nobody_is_the_second_reader_of_their_own_reading_whatever_the_case_of_their_name() -> None:
    letter = found(found(checked(), "chen", facts_checked=NO), "CHEN")
    assert letter.progress is Progress.READ_ONCE
    assert [one.answers["facts-checked"] for one in letter.findings] == [YES]
    assert [one.answers["facts-checked"] for one in letter.replaced] == [NO], "what was corrected is kept"


def test_r11_1_once_both_are_in_neither_reader_changes_theirs_and_no_third_reads_it() -> None:
    letter = found(found(checked(), "chen"), "wu")
    for who in ("chen", "wu", "zhao"):
        with pytest.raises(RuleBroken):
            found(letter, who, facts_checked=NO)
    assert letter.progress is Progress.DONE


def test_r11_1_a_third_person_settles_a_disagreement_at_once() -> None:
    letter = found(found(checked(), "chen", facts_checked=NO), "wu")
    done = settle(letter, LIST, {"facts-checked": NO}, "已电话核实", person("zhao"), NOW)
    assert done.progress is Progress.DONE
    assert done.result == {**ALL_YES, "facts-checked": NO}
    assert done.settlement is not None
    assert not done.settlement.agreed
    assert settle(done, LIST, {"facts-checked": NO}, "", person("zhao"), NOW) is done, "sent again"
    with pytest.raises(RuleBroken):
        settle(done, LIST, {"facts-checked": YES}, "", person("qian"), NOW)


def test_r11_1_the_two_readers_settle_it_only_by_saying_the_same() -> None:
    letter = found(found(checked(), "chen", facts_checked=NO), "wu")
    proposed = settle(letter, LIST, {"facts-checked": NO}, "", person("chen"), NOW)
    assert proposed.progress is Progress.DISAGREED
    again = settle(proposed, LIST, {"facts-checked": NO}, "", person("chen"), NOW)
    assert again.progress is Progress.DISAGREED, "nobody agrees with themselves"
    other = settle(proposed, LIST, {"facts-checked": NONE}, "", person("wu"), NOW)
    assert other.progress is Progress.DISAGREED
    done = settle(proposed, LIST, {"facts-checked": NO}, "", person("wu"), NOW)
    assert done.settlement is not None
    assert done.settlement.agreed
    assert done.result is not None
    assert done.result["facts-checked"] is NO


def test_r11_1_each_item_needs_an_answer_that_it_may_have() -> None:
    for answers, field in (
        ({**ALL_YES, "weather": YES}, "/answers/weather"),
        ({name: YES for name in ALL_YES if name != "facts-checked"}, "/answers/facts-checked"),
        ({**ALL_YES, "classified-rightly": NONE}, "/answers/classified-rightly"),
    ):
        with pytest.raises(BadInput) as refused:
            record(checked(), LIST, answers, "", person("chen"), NOW)
        assert refused.value.field == field
    letter = found(found(checked(), "chen", facts_checked=NO), "wu")
    with pytest.raises(BadInput):
        settle(letter, LIST, {"read-same-day": NO}, "", person("zhao"), NOW)


def test_r11_1_a_closed_check_takes_nothing_more_and_closes_unfinished_only_with_a_reason() -> None:
    letter = found(checked(), "chen")
    with pytest.raises(RuleBroken, match="第1件"):
        check_may_close([letter], " ")
    check_may_close([letter], "人手不足")
    with pytest.raises(RuleBroken):
        found(letter.model_copy(update={"closed": True}), "wu")


# ── counts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r11_1_what_passed_is_counted_per_item_by_weight_and_without_what_does_not_apply() -> None:
    one = found(found(checked(), "chen", facts_checked=NO), "wu", facts_checked=NO)
    two = found(found(checked(), "chen", instruction_followed=NONE), "wu", instruction_followed=NONE)
    open_one = found(found(checked(), "chen", facts_checked=NO), "wu")
    counted = count([one, two, open_one], LIST)
    items = {item.id: item for item in counted.items}
    assert (counted.letters, counted.done) == (3, 2), "a disagreement counts once it is settled"
    assert (items["facts-checked"].yes, items["facts-checked"].no, items["facts-checked"].passed) == (1, 1, 0.5)
    assert (items["instruction-followed"].not_applicable, items["instruction-followed"].passed) == (1, 1.0)
    whole = sum(item.weight for item in LIST.items)
    assert counted.weight == 2 * whole - 1
    assert counted.passed_weight == 2 * whole - 1 - 3
    assert counted.score == pytest.approx(counted.passed_weight / counted.weight)
    assert (counted.compared, counted.agreed) == (3 * len(LIST.items), 3 * len(LIST.items) - 1)


def test_r11_1_kappa_is_agreement_beyond_chance() -> None:
    # Cohen's own kind of example: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no.
    pairs = [(YES, YES)] * 20 + [(YES, NO)] * 5 + [(NO, YES)] * 10 + [(NO, NO)] * 15
    assert kappa(pairs) == pytest.approx(0.4)
    assert kappa([(YES, YES)] * 9) is None
    assert kappa([]) is None


# ── the checklist ────────────────────────────────────────────────────────────────────────────────────────────────────


def refused(tmp_path: Path, text: str) -> str:
    file = tmp_path / "checklist.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_checklist(file)
    return str(error.value)


def test_r11_1_a_wrong_checklist_is_refused_with_every_item_that_is_wrong_and_why(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        """
title: 清单
items:
  - {id: read, zh: 已阅, en: Read, rule: R3.1, weight: 0}
  - {id: read, zh: 已阅, en: Read, rule: R3.1}
  - {id: maybe, zh: 也许, en: Maybe, rule: R3.1, answers: [yes, perhaps]}
  - {id: nameless, en: Nameless, rule: three, colour: red}
""",
    )
    for line in (
        "items/read/weight: 内容不合规定 / input should be greater than 0; it is 0",
        "items/read: 编号重复",
        "items/maybe/answers/1: ",
        "items/nameless/zh: 缺少此项 / it is missing; write it",
        "items/nameless/rule: ",
        "items/nameless/colour: 没有这一项",
    ):
        assert line in said, said
    half = "title: 清单\nitems:\n  - {id: half, zh: 半, en: Half, rule: R3.1, answers: [yes, not_applicable]}\n"
    assert "items/half/answers: 须有“是”和“否”" in refused(tmp_path, half)


def test_r11_1_a_checklist_that_cannot_be_read_says_which_setting_to_change(tmp_path: Path) -> None:
    assert "it cannot be read" in refused(tmp_path, "title: [")
    assert "it must hold named entries" in refused(tmp_path, "- read\n")
    with pytest.raises(ConfigurationError, match="set CHECKLIST_FILE to one, for example deploy/sample/checklist"):
        load_checklist(tmp_path / "none.yaml")


def test_r11_1_the_sample_checklist_takes_plain_yes_and_no_as_words() -> None:
    item = LIST.item("classified-rightly")
    assert item
    assert item.answers == (YES, NO)
    assert LIST.hash == load_checklist(CHECKLIST).hash


# ── to whom what is shown ────────────────────────────────────────────────────────────────────────────────────────────

CITY = load_directory(Path("tests/data/directory.yaml"))
WANTED = Wanted(units=("water",), period=month(date(2026, 3, 1)), size=1, minimum=0, double=False, seed="s")


def letter(*, about: tuple[str, ...] = (), mailbox: str | None = None) -> Row:
    nature = Nature.REPORT if about or mailbox else Nature.HELP
    return Row(mailbox="water", received_at=NOW, nature=nature, reported_people=about, reported_mailbox=mailbox)


async def drawn_without(report: Row) -> tuple[SpotDesk, str]:
    """A sample of one letter out of three, of which a report came to the unit and was not drawn."""
    desk = SpotDesk(Judged(CITY, {"a": letter(), "b": letter(), "report": report}), CITY, LIST)
    for seed in map(str, range(100)):
        check = await desk.draw(replace(WANTED, seed=seed), person("mayor-duty"), NOW)
        if [one.checked.letter_id for one in await desk.spots.letters(check.id)] != ["report"]:
            assert check.population == 3
            return desk, check.id
    raise AssertionError("the report is always drawn")


@pytest.mark.parametrize("named", [{"about": ("mayor-duty-2",)}, {"about": ("Mayor-Duty-2",), "mailbox": "yuzhong"}])
async def test_r11_1_no_number_tells_a_duty_officer_of_a_report_about_them_that_was_not_drawn(named) -> None:
    desk, check = await drawn_without(letter(**named))
    for who, told in ((person("mayor-duty"), True), (person("mayor-duty-2"), False)):
        sample = sample_view(await desk.sample(check, who), who, CITY)
        assert len(sample.letters) == 1
        assert (sample.population, sample.strata is not None) == ((3, True) if told else (None, False))
        again = await desk.redraw(check, who)
        assert (again.population, again.population_hash is not None) == ((3, True) if told else (None, False))
        assert again.same_population
        assert again.same_sample


async def test_r11_1_a_report_about_somebody_else_keeps_no_number_back() -> None:
    desk, check = await drawn_without(letter(about=("yuzhong-head",)))
    who = person("mayor-duty-2")
    assert (await desk.redraw(check, who)).population == 3
    assert not (await desk.sample(check, who)).left_out


async def test_r1_1_the_checks_of_a_merged_unit_are_for_its_successor_and_no_more_for_its_own_staff() -> None:
    closed = Closed(at=NOW, successor="water")
    mailboxes = [
        one.model_copy(update={"closed": closed}) if one.code == "education" else one for one in CITY.mailboxes()
    ]
    city = Directory(mailboxes, CITY.all_domains(), CITY.regions())
    app = FastAPI()
    install_problem_handlers(app)
    app.include_router(router(SpotDesk(Judged(city, {}), city, LIST), FixedClock(NOW), press()))
    asking: list[Caller] = []
    app.dependency_overrides[authenticated] = lambda: asking[-1]
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://checks") as client:
        for mailbox, status in (("education", 403), ("yuzhong", 403), ("water", 200)):
            asking.append(Caller(subject=f"{mailbox}-clerk", mailbox=mailbox, roles=frozenset({Role.CLERK})))
            answer = await client.get("/reporting/mailboxes/education/spot-checks")
            assert answer.status_code == status, answer.text
