"""Rows, cells and figures, against a plain recount of the same facts."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from services.reporting import periods
from services.reporting.domain import ON, Row
from services.reporting.figures import (
    Counts,
    Figure,
    Side,
    cell_key,
    cell_of,
    cells_of,
    changed_cells,
    count,
    tallies,
)
from services.reporting.periods import Period, parse_week, week_id, week_of
from services.reporting.repository import Cells, dump, dump_counts
from services.reporting.summing import figures_of
from shared.calendar.zone import SHANGHAI
from shared.contracts.errors import BadInput
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterReceived,
    LetterReclassified,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Nature, Number, Way
from tests.histories import MAILBOXES, flat, histories, midnight, recount

_NOTHING: Any = None
CELLS = Cells(_NOTHING, _NOTHING)
"""To add cells up; that needs no store."""
START = datetime(2026, 1, 19, tzinfo=SHANGHAI)
WEEKS = [f"2026-W{number:02}" for number in range(4, 17)]


def evolved(facts: list[Fact], row: Row | None = None) -> Row:
    for fact in facts:
        evolve = ON.get(type(fact))
        row = evolve(row, fact) if evolve else row
    assert row is not None
    return row


def figures(rows: list[Row], mailboxes: tuple[str, ...], period: Period):
    listed: dict[str, list[Row]] = {}
    for row in rows:
        for key in cells_of(row):
            listed.setdefault(key, []).append(row)
    inside: Counts = Counter()
    earlier: Counts = Counter()
    for key, found in listed.items():
        mailbox, day = key.split("|")
        if mailbox in mailboxes and date.fromisoformat(day) < period.end_day:
            cell = cell_of(mailbox, date.fromisoformat(day), found)
            at = date.fromisoformat(day)
            CELLS.add(dump_counts(cell), at, inside if at >= period.first_day else earlier)
    return figures_of(inside, earlier)


@pytest.fixture(scope="module")
def letters() -> list[list[Fact]]:
    return histories(7, 250, START)


@pytest.mark.parametrize("mailbox", [*MAILBOXES, None])
def test_r10_4_figures_of_every_week_equal_a_plain_recount(letters, mailbox):
    rows = [evolved(facts) for facts in letters]
    seen: Counter[str] = Counter()
    for week in map(parse_week, WEEKS):
        counted = flat(figures(rows, (mailbox,) if mailbox else MAILBOXES, week))
        assert counted == recount(letters, mailbox, week.starts_at, week.ends_at), week_id(week)
        seen.update(name.rpartition("/")[2].partition(" ")[0] for name in counted)
    shown = {
        "received",
        "answered",
        "assigned",
        "answered_late",
        "answered_in_time",
        "became_overdue",
        "overdue",
        "urged",
    }
    if mailbox in (None, "mayor"):
        assert seen.keys() >= shown | {"read_late", "discarded", "noted", "published", "withheld", "collected"}


def test_r10_4_a_period_of_any_length_is_the_sum_of_its_days(letters):
    rows = [evolved(facts) for facts in letters]
    period = periods.period(date(2026, 2, 3), date(2026, 3, 12))
    assert flat(figures(rows, ("mayor",), period)) == recount(letters, "mayor", period.starts_at, period.ends_at)


def test_rows_come_out_the_same_whatever_the_order_between_services(letters):
    random = Random(1)
    for facts in letters[:100]:
        by_source: dict[str, list[Fact]] = {}
        for fact in facts:
            by_source.setdefault(fact.source, []).append(fact)
        mixed = []
        while any(by_source.values()):
            mixed.append(random.choice([queue for queue in by_source.values() if queue]).pop(0))
        assert evolved(mixed) == evolved(facts)


def test_a_stored_row_is_read_back_as_it_was_and_holds_no_text(letters):
    for facts in letters:
        row = evolved(facts)
        stored = dump(row)
        assert Row.model_validate(stored) == row
        assert not any(word in str(stored) for word in ("路灯", "修复", "核实", "某人"))


def test_recounting_only_the_cells_that_each_fact_changed_gives_every_cell(letters):
    rows: dict[str, Row] = {}
    cells: dict[str, Counts] = {}
    for fact in sorted((fact for facts in letters[:60] for fact in facts), key=lambda fact: fact.at):
        before = rows.get(fact.letter_id)
        rows[fact.letter_id] = evolved([fact], before or Row())
        for key in changed_cells(before, rows[fact.letter_id]):
            mailbox, day = key.split("|")
            listed = [row for row in rows.values() if key in cells_of(row)]
            cells[key] = cell_of(mailbox, date.fromisoformat(day), listed)
    everything: dict[str, Counts] = {tally.cell: Counter() for row in rows.values() for tally in tallies(row)}
    count(rows.values(), everything)
    assert {key: cell for key, cell in cells.items() if cell} == everything


def test_the_cells_of_a_row_only_grow_and_hold_all_that_a_fact_changes(letters):
    for facts in letters:
        row: Row | None = None
        for fact in facts:
            before, row = row, evolved([fact], row or Row())
            assert set(cells_of(row)) >= set(cells_of(before) if before else ())
            assert changed_cells(before, row) <= set(cells_of(row))


# ── single rules ─────────────────────────────────────────────────────────────────────────────────────────────────────

SENT = datetime(2026, 3, 2, 10, tzinfo=SHANGHAI)
DUE = datetime(2026, 3, 17, tzinfo=SHANGHAI)
ACTOR = Actor(subject="a", mailbox="education")
ENDS = {"letter_id": "l", "handoff_id": "s1", "sender": "mayor", "receiver": "education"}


def assigned() -> list[Fact]:
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)
    return [
        HandoffSent(
            at=SENT,
            opinion="",
            requirements="",
            answer_by=AnswerBy.ASSIGNEE,
            written_reply=False,
            prepared_by=ACTOR,
            number=number,
            **ENDS,
        ),
        ReplyDueSet(letter_id="l", handoff_id="s1", receiver="education", at=SENT, due_at=DUE, working_days=10),
    ]


def reply(at: datetime) -> Fact:
    return ReplyApproved(at=at, reply_id="r1", text="", author=ACTOR, answer_by=AnswerBy.ASSIGNEE, **ENDS)


def handling(row: Row, first: str, end: str):
    period = Period(date.fromisoformat(first), date.fromisoformat(end))
    return figures([row], ("mayor",), period).assigned.get("education")


def test_r6_1_a_reply_in_the_last_millisecond_before_24_00_is_in_time_and_one_at_24_00_is_late():
    in_time = handling(evolved([*assigned(), reply(DUE - timedelta(milliseconds=1))]), "2026-03-16", "2026-03-17")
    assert (in_time.answered_in_time, in_time.answered_late, in_time.became_overdue) == (1, 0, 0)
    late = evolved([*assigned(), reply(DUE)])
    assert handling(late, "2026-03-16", "2026-03-17").model_dump() == {
        "assigned": 0,
        "collected": 0,
        "answered_in_time": 0,
        "answered_late": 0,
        "became_overdue": 1,
        "extended": 0,
        "urged": 0,
        "sent_back": 0,
        "returned": 0,
        "withdrawn": 0,
        "open": 1,
        "overdue": 1,
    }
    after = handling(late, "2026-03-17", "2026-03-18")
    assert (after.answered_late, after.overdue, after.became_overdue) == (1, 0, 0)


def test_r6_1_a_lateness_that_was_declared_although_the_reply_came_in_time_does_not_count():
    declared = ReplyOverdue(at=DUE, due_at=DUE, **ENDS)
    before = evolved([*assigned(), declared])
    after = evolved([*assigned(), declared, reply(DUE - timedelta(milliseconds=5))])
    assert handling(before, "2026-03-16", "2026-03-23").overdue == 1
    assert handling(after, "2026-03-16", "2026-03-23").overdue == 0
    assert "mayor|2026-03-16" in changed_cells(before, after)
    assert cell_key("mayor", date(2026, 3, 16)) in cells_of(after)


def test_r6_1_a_limit_set_anew_takes_the_place_of_the_one_that_had_passed():
    declared = ReplyOverdue(at=DUE, due_at=DUE, **ENDS)
    longer = ReplyDueSet(
        letter_id="l", handoff_id="s1", receiver="education", at=DUE, due_at=DUE + timedelta(days=2), working_days=12
    )
    row = evolved([*assigned(), declared, longer])
    whole = handling(row, "2026-03-16", "2026-03-23")
    assert (whole.became_overdue, whole.overdue, whole.open) == (0, 0, 1)
    assert "mayor|2026-03-16" in cells_of(row)


def sent_back(at: datetime, due: datetime) -> list[Fact]:
    return [
        ReplySentBack(at=at, reply_id="r1", reason="", requirements="", count=1, **ENDS),
        ReplyDueChanged(
            letter_id="l", handoff_id="s1", receiver="education", at=at, before=DUE, due_at=due, why="sent_back"
        ),
    ]


def test_r7_3_a_redo_counts_once_more_and_leaves_what_was_counted():
    redo_due = DUE + timedelta(days=14)
    late = [*assigned(), ReplyOverdue(at=DUE, due_at=DUE, **ENDS), reply(DUE + timedelta(hours=9))]
    again = evolved([*late, *sent_back(DUE + timedelta(days=1), redo_due)])
    first, second = (handling(row, "2026-03-16", "2026-03-23") for row in (evolved(late), again))
    assert (first.open, first.sent_back, second.open, second.sent_back) == (0, 0, 1, 1)
    assert second.model_copy(update={"open": 0, "sent_back": 0}) == first
    done = evolved([reply(redo_due - timedelta(hours=1))], again)
    whole = handling(done, "2026-03-02", "2026-04-06")
    assert (whole.assigned, whole.answered_late, whole.answered_in_time, whole.overdue) == (1, 1, 1, 0)
    open_ = evolved([ReplyOverdue(at=redo_due, due_at=redo_due, **ENDS)], again)
    assert handling(open_, "2026-03-02", "2026-04-06").overdue == 1


def test_r6_4_an_extension_or_a_schedule_takes_the_place_of_the_limit_before():
    for why in ("extension", "schedule"):
        moved = ReplyDueChanged(
            letter_id="l",
            handoff_id="s1",
            receiver="education",
            at=DUE,
            before=DUE,
            due_at=DUE + timedelta(days=2),
            why=why,
        )
        row = evolved([*assigned(), ReplyOverdue(at=DUE, due_at=DUE, **ENDS), moved, reply(DUE + timedelta(days=1))])
        whole = handling(row, "2026-03-02", "2026-04-06")
        assert (whole.answered_in_time, whole.answered_late, whole.became_overdue) == (1, 0, 0)


def test_r5_1_what_was_returned_or_taken_back_is_not_late():
    declared = ReplyOverdue(at=DUE, due_at=DUE, **ENDS)
    returned = HandoffReturned(at=DUE, reason="误", count=1, flagged=False, **ENDS)
    withdrawn = SlipWithdrawn(at=DUE, reason="误", **ENDS)
    for back in (returned, withdrawn):
        before, after = evolved([*assigned(), declared]), evolved([*assigned(), declared, back])
        whole = handling(after, "2026-03-02", "2026-04-06")
        assert (whole.assigned, whole.became_overdue, whole.overdue) == (1, 0, 0)
        assert changed_cells(before, after) <= set(cells_of(after))


def test_r4_2b_a_department_that_answers_the_citizen_ends_the_assignment_above_it():
    answered = CitizenAnswered(
        letter_id="l", at=DUE + timedelta(days=1), mailbox="x", channel=Channel.ONLINE, text="", author=ACTOR
    )
    row = evolved([*assigned(), ReplyOverdue(at=DUE, due_at=DUE, **ENDS), answered])
    whole = handling(row, "2026-03-02", "2026-04-06")
    assert (whole.answered_late, whole.became_overdue, whole.overdue) == (1, 1, 0)


@pytest.mark.parametrize("way", [Way.DIRECT, Way.FORWARD, Way.SUBMIT_UP])
def test_r4_3_only_assignments_count_as_assigned(way):
    sent, *rest = assigned()
    row = evolved([sent.model_copy(update={"way": way}), *rest, reply(SENT)])
    assert [(tally.side, tally.figure, tally.key) for tally in tallies(row)] == [
        (Side.LETTERS, Figure.DISPOSED, way.value)
    ]


def test_r3_2_a_corrected_classification_counts_on_the_day_of_receipt():
    help_ = Classification(nature=Nature.HELP, domain="a", region="500103")
    complaint = Classification(nature=Nature.COMPLAINT, domain="b", region="500105")
    received = LetterReceived(
        letter_id="l",
        at=SENT,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="",
        body="",
        classification=help_,
        may_publish=True,
    )
    corrected = LetterReclassified(letter_id="l", at=SENT + timedelta(days=9), before=help_, after=complaint)
    before, after = evolved([received]), evolved([received, corrected])
    assert changed_cells(before, after) == {"mayor|2026-03-02"}
    shown = figures([after], ("mayor",), week_of(date(2026, 3, 2)))
    assert (shown.natures, shown.domains) == ({Nature.COMPLAINT: 1}, {"b": 1})


def test_facts_about_an_unknown_letter_count_nowhere_until_it_is_known():
    row = evolved([reply(SENT)])
    assert {tally.side for tally in tallies(row)} == {Side.ASSIGNED, Side.UNDERTAKEN}
    assert not tallies(Row(registered_at=SENT))


def test_every_figure_has_a_definition_in_words():
    assert all(figure.label and figure.meaning and figure.english for figure in Figure)
    assert len({figure.label for figure in Figure}) == len(Figure)


@pytest.mark.parametrize(
    ("name", "monday", "starts_at"),
    [
        ("2026-W01", date(2025, 12, 29), datetime(2025, 12, 28, 16, tzinfo=UTC)),
        ("2026-W53", date(2026, 12, 28), datetime(2026, 12, 27, 16, tzinfo=UTC)),
        ("2026-W07", date(2026, 2, 9), datetime(2026, 2, 8, 16, tzinfo=UTC)),
    ],
)
def test_r10_4_a_week_runs_from_monday_0_00_to_sunday_24_00(name, monday, starts_at):
    week = parse_week(name)
    assert (week.first_day, week.starts_at, week_id(week)) == (monday, starts_at, name)
    assert week.ends_at - week.starts_at == timedelta(days=7)
    assert week_of(week.last_day) == week
    assert week_of(week.end_day) != week
    assert midnight(week.ends_at - timedelta(seconds=1)) == week.ends_at


@pytest.mark.parametrize(
    "name", ["2025-W53", "2026-W00", "2026-W54", "2026W07", "2026-w07", "1999-W01", "x", "２０２６-W07"]
)
def test_r10_4_a_week_that_does_not_exist_is_refused(name):
    with pytest.raises(BadInput) as refused:
        parse_week(name)
    assert refused.value.rule == "R10.4"


@pytest.mark.parametrize(
    ("first", "end"),
    [
        (date(2026, 2, 9), date(2026, 2, 9)),
        (date(2026, 2, 9), date(2026, 2, 1)),
        (date(1999, 12, 31), date(2026, 1, 1)),
        (date(2001, 1, 1), date(2026, 1, 1)),
    ],
)
def test_r10_4_a_period_without_a_day_or_of_too_many_is_refused(first, end):
    with pytest.raises(BadInput):
        periods.period(first, end)
