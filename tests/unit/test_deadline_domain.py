"""The clocks, pure: what starts and stops them, and what is declared when (R1.4, R3.1, R6.1, R7.1)."""

import random
from datetime import timedelta
from typing import Any

import pytest

from services.deadline.domain import Condition, follow, limit, next_at
from services.deadline.repository import letters
from services.deadline.state import ON, Clocks, Kind
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import (
    DispositionOverdue,
    Fact,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterRead,
    LetterReclassified,
    ReadingOverdue,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)
from shared.contracts.types import InvalidReason, Nature, Way
from shared.storage import Store
from tests.deadline_stories import (
    CLASSIFICATION,
    DIRECTORY,
    DUE,
    LETTER,
    RULES,
    SENT,
    Story,
    answered,
    approved,
    at,
    explained,
    kinds,
    received,
    registered,
    sent,
)

# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arrived", "due"),
    [
        ("2026-03-02 09:30", "2026-03-03 00:00"),
        ("2026-03-02 19:00", "2026-03-04 00:00"),
        ("2026-03-06 19:00", "2026-03-10 00:00"),
        ("2026-02-14 10:00", "2026-02-15 00:00"),
        ("2026-02-15 10:00", "2026-02-25 00:00"),
    ],
    ids=["in working hours", "in the evening", "on Friday evening", "on a make-up Saturday", "before Spring Festival"],
)
def test_r3_1_a_letter_must_be_read_by_the_end_of_its_reading_day(arrived: str, due: str) -> None:
    story = Story(received(at(arrived)))
    assert story.next_at == at(due)
    assert story.swept(at(due) - timedelta(milliseconds=1)) == []
    (fact,) = story.swept(at(due))
    assert isinstance(fact, ReadingOverdue)
    assert (fact.mailbox, fact.due_at, fact.at) == ("mayor", at(due), at(due))


def test_r3_1_an_unread_letter_is_declared_overdue_only_once() -> None:
    story = Story(received())
    assert kinds(story.swept(at("2026-03-05 00:00"))) == [ReadingOverdue]
    assert story.swept(at("2026-04-05 00:00")) == []
    assert story.next_at is None
    assert story.stands(at("2026-04-05 00:00"), "reading") is Condition.OVERDUE


@pytest.mark.parametrize(
    "fact",
    [
        LetterRead(letter_id=LETTER, at=SENT),
        registered(),
        LetterDiscarded(letter_id=LETTER, at=SENT, reason=InvalidReason.ADVERTISING),
        LetterNoted(letter_id=LETTER, at=SENT),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_r3_1_reading_registering_discarding_or_noting_stops_the_reading_clock(fact: Fact) -> None:
    story = Story(received(), fact)
    assert ReadingOverdue not in kinds(story.swept(at("2026-06-01 00:00")))
    assert story.stands(at("2026-06-01 00:00"), "reading") is Condition.STOPPED


# ── disposition ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r1_4_a_registered_letter_must_be_disposed_of_within_three_working_days() -> None:
    story = Story(received(), registered(at("2026-03-02 10:00")))
    assert story.next_at == at("2026-03-06 00:00")
    assert story.swept(at("2026-03-05 23:59")) == []
    (fact,) = story.swept(at("2026-03-06 00:00"))
    assert isinstance(fact, DispositionOverdue)
    assert (fact.mailbox, fact.due_at) == ("mayor", at("2026-03-06 00:00"))
    assert story.swept(at("2026-05-06 00:00")) == []
    assert story.next_at is None


def test_r1_4_the_days_for_disposing_of_a_letter_can_be_set() -> None:
    rules = rules_of(WorkingCalendar(), Settings(disposition_working_days=1))
    assert Story(received(), registered(at("2026-03-06 17:00")), rules=rules).next_at == at("2026-03-10 00:00")


@pytest.mark.parametrize(
    "fact",
    [sent(), answered(SENT), LetterNoted(letter_id=LETTER, at=SENT), sent(way=Way.FORWARD), sent(way=Way.SUBMIT_UP)],
    ids=["assigned", "answered", "noted", "forwarded", "submitted up"],
)
def test_r1_4_the_first_disposition_stops_the_clock(fact: Fact) -> None:
    story = Story(received(), registered(), fact)
    assert DispositionOverdue not in kinds(story.swept(at("2026-06-01 00:00")))
    assert story.stands(at("2026-06-01 00:00"), "disposition") is Condition.STOPPED


def test_r1_4_of_two_ends_told_by_different_services_the_earlier_counts() -> None:
    noted, handed = LetterNoted(letter_id=LETTER, at=SENT), sent(SENT + timedelta(hours=1))
    for ends in ((noted, handed), (handed, noted)):
        assert Story(received(), registered(), *ends).clock("disposition").stopped_at == SENT


# ── the reply ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r6_1_the_limit_is_ten_working_days_after_the_day_of_receipt() -> None:
    (fact,) = Story(received(), registered(), sent()).own
    assert isinstance(fact, ReplyDueSet)
    assert (fact.handoff_id, fact.receiver, fact.due_at) == ("s1", "yuzhong", DUE)
    assert (fact.working_days, fact.provisional) == (10, False)


def test_r6_1_the_limit_counts_make_up_working_days_and_leaves_out_holidays() -> None:
    """Spring Festival 2026: 15 to 23 February off, Saturdays 14 and 28 February worked."""
    (fact,) = Story(sent(at("2026-02-10 10:00"))).own
    assert isinstance(fact, ReplyDueSet)
    assert fact.due_at == at("2026-03-03 00:00")


def test_r6_1_the_limit_is_provisional_where_no_schedule_is_known() -> None:
    (fact,) = Story(sent(at("2027-03-01 10:00"))).own
    assert isinstance(fact, ReplyDueSet)
    assert fact.provisional


def test_r6_1_the_assignee_is_reminded_once_two_working_days_before_the_limit() -> None:
    story = Story(sent())
    assert story.next_at == at("2026-03-13 00:00")
    (fact,) = story.swept(at("2026-03-13 00:00"))
    assert isinstance(fact, ReplyReminded)
    assert (fact.working_days_left, fact.due_at) == (2, DUE)
    assert story.swept(at("2026-03-16 12:00")) == []
    assert story.next_at == DUE


def test_r6_1_reminders_can_be_several_and_those_missed_are_one() -> None:
    rules = rules_of(WorkingCalendar(), Settings(remind_working_days=(3, 1)))
    story = Story(sent(), rules=rules)
    assert [(kinds(story.swept(at(f"2026-03-{day} 00:00"))), day) for day in (11, 12, 13, 16)] == [
        ([], 11),
        ([ReplyReminded], 12),
        ([], 13),
        ([ReplyReminded], 16),
    ]
    late = Story(sent(), rules=rules)
    assert kinds(late.swept(at("2026-03-16 12:00"))) == [ReplyReminded]
    assert late.next_at == DUE


def test_r6_1_no_reminder_where_none_is_set() -> None:
    story = Story(sent(), rules=rules_of(WorkingCalendar(), Settings(remind_working_days=())))
    assert story.next_at == DUE


def test_r6_1_a_limit_that_is_near_from_the_beginning_is_not_reminded_of() -> None:
    rules = rules_of(WorkingCalendar(), Settings(reply_working_days=1))
    state = ON[HandoffSent](None, sent())
    assert state is not None
    (fact,) = follow(state, SENT, rules)
    state = ON[ReplyDueSet](state, fact)
    assert state is not None
    assert next_at(state, rules) == at("2026-03-04 00:00")


def test_r6_1_overdue_is_declared_at_the_end_of_the_tenth_working_day_and_once() -> None:
    story = Story(sent())
    story.swept(at("2026-03-13 00:00"))
    assert story.swept(DUE - timedelta(milliseconds=1)) == []
    facts = story.swept(DUE)
    assert kinds(facts) == [ReplyOverdue, UrgingDue]
    overdue = facts[0]
    assert isinstance(overdue, ReplyOverdue)
    assert (overdue.sender, overdue.receiver, overdue.due_at) == ("mayor", "yuzhong", DUE)
    assert story.swept(DUE) == []


@pytest.mark.parametrize("end", [approved, answered])
def test_r6_1_an_approved_reply_or_an_answered_citizen_stops_the_clock(end: Any) -> None:
    story = Story(sent(), end(SENT + timedelta(days=3)))
    assert story.next_at is None
    assert story.swept(at("2026-06-01 00:00")) == []
    assert story.stands(at("2026-06-01 00:00")) is Condition.STOPPED


def test_the_stages_that_passed_while_nobody_looked_are_each_declared_once_in_order() -> None:
    story = Story(received(), registered(), sent())
    facts = story.swept(at("2026-05-20 15:00"))
    assert kinds(facts) == [ReplyReminded, ReplyOverdue, UrgingDue]
    assert {fact.due_at for fact in facts} == {DUE}  # type: ignore[attr-defined]
    assert isinstance(facts[0], ReplyReminded)
    assert isinstance(facts[2], UrgingDue)
    assert (facts[0].working_days_left, facts[2].count) == (0, 1)
    assert story.swept(at("2026-05-20 15:00")) == []


# ── urging ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=1), timedelta(hours=8)])
def test_r7_1_urging_repeats_every_three_working_days_while_nothing_happens(late: timedelta) -> None:
    """However late in the day the sweep comes: the interval does not drift."""
    story = Story(sent())
    days = [DUE + timedelta(days=number) for number in range(15)]
    urgings = [(day, f.count) for day in days for f in story.swept(day + late) if isinstance(f, UrgingDue)]
    assert urgings == [
        (at("2026-03-17 00:00"), 1),
        (at("2026-03-20 00:00"), 2),
        (at("2026-03-25 00:00"), 3),
        (at("2026-03-28 00:00"), 4),
    ]


def test_r7_1_missed_urgings_are_one() -> None:
    story = Story(sent())
    story.swept(DUE)
    (fact,) = story.swept(at("2026-05-20 15:00"))
    assert isinstance(fact, UrgingDue)
    assert fact.count == 2
    assert story.next_at == at("2026-05-23 00:00")


def test_r7_1_explained_progress_holds_off_urging_but_not_lateness() -> None:
    story = Story(sent(), explained(at("2026-03-16 16:00")))
    story.swept(at("2026-03-13 00:00"))
    assert kinds(story.swept(DUE)) == [ReplyOverdue]
    assert story.next_at == at("2026-03-20 00:00")
    assert kinds(story.swept(at("2026-03-20 00:00"))) == [UrgingDue]


def test_r7_1_an_explanation_between_two_urgings_moves_the_next_by_one_interval() -> None:
    story = Story(sent())
    story.swept(DUE)
    story.happens(explained(at("2026-03-18 11:00")))
    assert story.swept(at("2026-03-20 00:00")) == []
    (fact,) = story.swept(at("2026-03-24 00:00"))
    assert isinstance(fact, UrgingDue)
    assert fact.count == 2


def test_r7_1_an_early_explanation_does_not_cover_the_limit() -> None:
    story = Story(sent(), explained(at("2026-03-04 10:00")))
    story.swept(at("2026-03-13 00:00"))
    assert kinds(story.swept(DUE)) == [ReplyOverdue, UrgingDue]


# ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _everything() -> dict[str, list[Fact]]:
    """Facts by source, each list in its own order."""
    reclassified = CLASSIFICATION.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "water"})
    story = Story(received(at("2026-02-27 09:30")))
    story.swept(at("2026-03-02 00:00"))
    intake = [
        received(at("2026-02-27 09:30")),
        LetterRead(letter_id=LETTER, at=at("2026-03-02 09:00")),
        LetterReclassified(letter_id=LETTER, at=at("2026-03-02 09:10"), before=CLASSIFICATION, after=reclassified),
        registered(),
    ]
    story.happens(*intake[1:], sent())
    story.swept(at("2026-03-13 00:00"))
    story.swept(DUE)
    story.happens(explained(DUE + timedelta(hours=10)))
    story.swept(at("2026-04-01 00:00"))
    end = [approved(at("2026-04-02 10:00")), answered(at("2026-04-02 10:00"))]
    return {"intake": intake, "routing": [sent(), explained(DUE + timedelta(hours=10)), *end], "deadline": story.own}


def test_the_order_between_services_does_not_matter() -> None:
    """This service applies its own facts before they are on the topic; a rebuild sees another order and must agree."""
    chance = random.Random(7)
    outcomes = set()
    for _ in range(200):
        waiting = {source: list(facts) for source, facts in _everything().items()}
        state: Clocks | None = None
        while waiting:
            source = chance.choice(sorted(waiting))
            fact = waiting[source].pop(0)
            state = ON[type(fact)](state, fact)
            waiting = {name: facts for name, facts in waiting.items() if facts}
        assert state is not None
        outcomes.add(state.model_dump_json())
    assert len(outcomes) == 1


def test_what_is_stored_is_what_is_read_back() -> None:
    stored = letters(Store("mongodb://unused"), RULES, DIRECTORY)
    state: Clocks | None = None
    for facts in _everything().values():
        for fact in facts:
            state = ON[type(fact)](state, fact)
            assert state is not None
            assert stored.load(stored.dump(state)) == state


def test_a_letter_on_which_nothing_runs_is_in_no_index() -> None:
    stored = letters(Store("mongodb://unused"), RULES, DIRECTORY)
    running, done = Story(sent()).state, Story(sent(), approved(SENT + timedelta(days=1))).state
    assert running is not None
    assert done is not None
    fields = stored.fields(running)
    assert (fields["holder0"], fields["kind0"], fields["holder1"]) == ("yuzhong", "reply", None)
    assert fields["place0"] == f"{int(DUE.timestamp() * 1000):015d}/{LETTER}/reply/s1"
    assert set(stored.fields(done).values()) == {None}


def test_r6_1_a_hand_off_whose_limit_was_never_decided_is_looked_at_at_once() -> None:
    state = ON[HandoffSent](None, sent())
    assert state is not None
    assert next_at(state, RULES) == SENT


def test_the_reading_limit_is_computed_until_it_is_declared() -> None:
    state = Story(received()).state
    assert state is not None
    (clock,) = state.clocks
    assert (clock.kind, clock.id, clock.due_at) == (Kind.READING, "reading", None)
    due = limit(clock, RULES)
    assert due is not None
    assert due.at == at("2026-03-03 00:00")


@pytest.mark.parametrize(
    ("now", "stands"),
    [
        ("2026-03-12 23:59", Condition.RUNNING),
        ("2026-03-13 00:00", Condition.DUE_SOON),
        ("2026-03-15 12:00", Condition.DUE_SOON),
        ("2026-03-16 23:59", Condition.DUE_SOON),
        ("2026-03-17 00:00", Condition.OVERDUE),
    ],
)
def test_r1_4_a_clock_is_due_soon_from_its_reminder_on(now: str, stands: Condition) -> None:
    assert Story(sent()).stands(at(now)) is stands


@pytest.mark.parametrize(
    ("now", "left"),
    [
        ("2026-03-02 10:00", 11),
        ("2026-03-13 00:00", 2),
        ("2026-03-14 12:00", 1),
        ("2026-03-16 23:59", 1),
        ("2026-03-17 00:00", -1),
        ("2026-03-21 12:00", -4),
    ],
)
def test_r6_1_working_days_left_count_today(now: str, left: int) -> None:
    assert RULES.days_left(at(now), DUE) == left
