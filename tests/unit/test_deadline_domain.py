"""The clocks, pure: what starts and stops them, and what is declared when (R3.1, R6.1, R7.1)."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.deadline.domain import ON, READING, Clocks, Condition, Kind, condition, declare, follow, limit, next_at
from services.deadline.repository import letters
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ProgressRecorded,
    ReadingOverdue,
    ReplyApproved,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, InvalidReason, Nature, Number
from shared.storage import Store

LETTER = "0198c0de-0000-8000-8000-000000000001"
CLERK = Actor(subject="yuzhong-clerk", name="乙经办", mailbox="yuzhong")
RULES = rules_of(WorkingCalendar(), Settings())


def at(text: str) -> datetime:
    """A moment in Chongqing, e.g. `2026-03-02 09:30`."""
    return datetime.fromisoformat(f"{text}+08:00")


SENT = at("2026-03-02 10:00")
DUE = at("2026-03-17 00:00")
"""Monday 2 March + 10 working days: Monday 16 March, 24:00."""

CLASSIFICATION = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)


def received(moment: datetime = SENT - timedelta(minutes=40)) -> LetterReceived:
    return LetterReceived(
        letter_id=LETTER,
        at=moment,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="停水",
        body="停水三天",
        classification=CLASSIFICATION,
        may_publish=True,
    )


def registered(moment: datetime = SENT - timedelta(minutes=20)) -> LetterRegistered:
    return LetterRegistered(letter_id=LETTER, at=moment, number=NUMBER)


def sent(moment: datetime = SENT) -> HandoffSent:
    return HandoffSent(
        letter_id=LETTER,
        at=moment,
        handoff_id="s1",
        sender="mayor",
        receiver="yuzhong",
        opinion="请办理",
        requirements="按时回复",
        answer_by=AnswerBy.ASSIGNEE,
        written_reply=False,
        prepared_by=CLERK,
        number=NUMBER,
    )


def explained(moment: datetime) -> ProgressRecorded:
    return ProgressRecorded(letter_id=LETTER, at=moment, handoff_id="s1", text="正在抢修")


def approved(moment: datetime) -> ReplyApproved:
    return ReplyApproved(
        letter_id=LETTER,
        at=moment,
        handoff_id="s1",
        reply_id="r1",
        sender="mayor",
        receiver="yuzhong",
        text="已恢复",
        author=CLERK,
        answer_by=AnswerBy.ASSIGNEE,
    )


def answered(moment: datetime) -> CitizenAnswered:
    return CitizenAnswered(
        letter_id=LETTER, at=moment, mailbox="yuzhong", channel=Channel.ONLINE, text="已恢复", author=CLERK
    )


class Story:
    """A letter to which things happen, as `Letters` lets them."""

    def __init__(self, *facts: Fact) -> None:
        self.state: Clocks | None = None
        self.own: list[Fact] = []
        self.happens(*facts)

    def happens(self, *facts: Fact) -> "Story":
        for fact in facts:
            self.state = ON[type(fact)](self.state, fact)
            self._follow(fact.at)
        return self

    def _follow(self, now: datetime) -> None:
        assert self.state is not None
        while facts := follow(self.state, now, RULES):
            self._record(facts)

    def _record(self, facts: list[Fact]) -> None:
        for fact in facts:
            self.state = ON[type(fact)](self.state, fact)
            self.own.append(fact)

    def swept(self, now: datetime) -> list[Fact]:
        facts = declare(self.state, now, now, RULES)
        self._record(facts)
        return facts

    @property
    def next_at(self) -> datetime | None:
        assert self.state is not None
        return next_at(self.state, RULES)

    def stands(self, now: datetime) -> Condition:
        assert self.state is not None
        return condition(self.state, self.state.clocks[-1], RULES, now)


def kinds(facts: list[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in facts]


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
    assert story.stands(at("2026-04-05 00:00")) is Condition.OVERDUE


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
    assert story.next_at is None
    assert story.swept(at("2026-06-01 00:00")) == []
    assert story.stands(at("2026-06-01 00:00")) is Condition.STOPPED


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
    stored = letters(Store("mongodb://unused"), RULES)
    state: Clocks | None = None
    for facts in _everything().values():
        for fact in facts:
            state = ON[type(fact)](state, fact)
            assert state is not None
            assert stored.load(stored.dump(state)) == state


def test_a_letter_on_which_nothing_runs_is_in_no_index() -> None:
    stored = letters(Store("mongodb://unused"), RULES)
    running, done = Story(sent()).state, Story(sent(), approved(SENT + timedelta(days=1))).state
    assert running is not None
    assert done is not None
    assert stored.fields(running)["holder"] == "yuzhong"
    assert stored.fields(running)["due_at"] == DUE
    assert set(stored.fields(done).values()) == {None}


def test_r6_1_a_hand_off_whose_limit_was_never_decided_is_looked_at_at_once() -> None:
    state = ON[HandoffSent](None, sent())
    assert state is not None
    assert next_at(state, RULES) == SENT


def test_the_reading_limit_is_computed_until_it_is_declared() -> None:
    state = Story(received()).state
    assert state is not None
    (clock,) = state.clocks
    assert (clock.kind, clock.id, clock.due_at) == (Kind.READING, READING, None)
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
