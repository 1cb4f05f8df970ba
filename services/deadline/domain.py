"""The clocks of a letter: started and stopped by facts, declared stage by stage as they fall due.

    clock     starts with       due                              stops with                                 stages
    reading   LetterReceived    that or the next working day     read, registered, discarded, noted         overdue
    reply     HandoffSent       the tenth working day            ReplyApproved, CitizenAnswered             reminder, overdue, urging

Each stage is declared once for a due moment; urgings go on, numbered, while nothing happens (R7.1). However long nobody looked, each stage
that passed meanwhile is declared once, and missed urgings are one. `STAGES` is the table; a further kind of clock is a row in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts.errors import NotFound
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
from shared.contracts.types import Labelled, Moment, Number, Value

READING = "reading"
"""Id of a letter's one reading clock; other clocks are named after their hand-off."""


class Kind(Labelled):
    """What a clock measures."""

    READING = "reading", "阅读"
    REPLY = "reply", "承办回复"


class Condition(StrEnum):
    """How a clock stands at a moment."""

    RUNNING = "running"
    DUE_SOON = "due-soon"
    OVERDUE = "overdue"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Limit:
    """When something is due."""

    at: datetime
    """From this moment (aware, UTC; 24:00 Asia/Shanghai of the last day in time) it is overdue."""
    provisional: bool = False
    """A year was counted whose State Council schedule is not known yet."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Working time as the domain needs it; all functions are pure."""

    reading_due: Callable[[datetime], Limit]
    """Arrival → limit (R3.1)."""
    reply_due: Callable[[datetime], Limit]
    """Receipt by the assignee → limit (R6.1)."""
    reply_working_days: int
    remind_at: Callable[[datetime], datetime | None]
    """Due moment → when to remind; none: never."""
    urge_again: Callable[[datetime], datetime]
    """Last urging → when the next is due (R7.1)."""
    hold_off: Callable[[datetime], datetime]
    """Progress recorded → until when that holds off urging (R7.1)."""
    due_soon: Callable[[datetime], datetime]
    """Now → the latest due moment that counts as soon."""
    days_left: Callable[[datetime, datetime], int]
    """Now, due moment → working days that are left, today included; negative: that many late."""


class Clock(Value):
    """One clock. Every fact sets fields of its own, so the order of facts of different services does not matter."""

    kind: Kind
    id: str
    """`reading`, or the hand-off's id."""
    mailbox: str = ""
    """Who must act in time: the receiving mailbox, or the assignee."""
    sender: str = ""
    """The assigner, who urges."""
    started_at: Moment | None = None
    due_at: Moment | None = None
    """As it was declared; before that, `limit` computes it."""
    provisional: bool = False
    stopped_at: Moment | None = None
    explained_at: Moment | None = None
    """The last time that progress was recorded (R7.1)."""
    reminded_for: Moment | None = None
    """The due moment for which the reminder was declared."""
    overdue_for: Moment | None = None
    """The due moment for which it was declared overdue."""
    urged: int = 0
    """How many urgings were declared."""
    urged_at: Moment | None = None


class Clocks(Value):
    """The state of one letter."""

    letter_id: str
    mailbox: str | None = None
    """The mailbox that received it."""
    number: Number | None = None
    reported_mailbox: str | None = None
    answered_at: Moment | None = None
    clocks: tuple[Clock, ...] = ()
    """In the order of kind and id, whatever came first."""

    def running(self) -> list[Clock]:
        """Return the clocks that have started and not stopped."""
        return [c for c in self.clocks if c.started_at is not None and self.stopped_at(c) is None]

    def stopped_at(self, clock: Clock) -> datetime | None:
        """Return when a clock stopped; the citizen's answer ends every reply clock (R8.3)."""
        if clock.kind is not Kind.REPLY or self.answered_at is None:
            return clock.stopped_at
        return min(clock.stopped_at or self.answered_at, self.answered_at)

    @property
    def parties(self) -> frozenset[str]:
        """The mailboxes whose letter this is: where it arrived, and both ends of each hand-off (R10.2)."""
        codes = {self.mailbox, *(c.mailbox for c in self.clocks), *(c.sender for c in self.clocks)}
        return frozenset(code for code in codes if code)


# ── what is due ──────────────────────────────────────────────────────────────────────────────────────────────────────


def limit(clock: Clock, rules: Rules) -> Limit | None:
    """Return when a clock is due; none while that has not been decided."""
    if clock.due_at is not None:
        return Limit(clock.due_at, clock.provisional)
    if clock.kind is Kind.READING and clock.started_at is not None:
        return rules.reading_due(clock.started_at)
    return None


def condition(state: Clocks, clock: Clock, rules: Rules, now: datetime) -> Condition:
    """Return how a clock stands."""
    due = limit(clock, rules)
    if state.stopped_at(clock) is not None:
        return Condition.STOPPED
    if due is None:
        return Condition.RUNNING
    if due.at <= now:
        return Condition.OVERDUE
    return Condition.DUE_SOON if due.at <= rules.due_soon(now) else Condition.RUNNING


def foremost(state: Clocks, rules: Rules) -> tuple[Clock, Limit] | None:
    """Return the running clock that is due first, with its limit."""
    timed = [(clock, due) for clock in state.running() if (due := limit(clock, rules)) is not None]
    return min(timed, key=lambda pair: pair[1].at, default=None)


def next_at(state: Clocks, rules: Rules) -> datetime | None:
    """Return when this letter must be looked at next; none: nothing runs, or nothing is left to declare."""
    moments = [c.started_at for c in state.running() if c.started_at is not None and limit(c, rules) is None]
    moments += [moment for moment, _, _ in _stages(state, rules)]
    return min(moments, default=None)


def declare(state: Clocks | None, until: datetime, now: datetime, rules: Rules) -> list[Fact]:
    """Declare at `now` every stage that was due by `until`, the earliest first."""
    if state is None:
        return []
    due = sorted((found for found in _stages(state, rules) if found[0] <= until), key=lambda found: found[0])
    return [stage.declare(state.letter_id, clock, rules, now) for _, clock, stage in due]


def follow(state: Clocks, now: datetime, rules: Rules) -> list[Fact]:
    """Decide when a hand-off must be answered, once, from the moment at which it was sent (R6.1)."""
    facts: list[Fact] = []
    for clock in state.clocks:
        if clock.kind is Kind.REPLY and clock.due_at is None and clock.started_at is not None:
            due = rules.reply_due(clock.started_at)
            facts.append(
                ReplyDueSet(
                    letter_id=state.letter_id,
                    at=now,
                    handoff_id=clock.id,
                    receiver=clock.mailbox,
                    due_at=due.at,
                    working_days=rules.reply_working_days,
                    provisional=due.provisional,
                )
            )
    return facts


def known(state: Clocks | None) -> Clocks:
    """Return the letter's clocks.

    Raises:
        NotFound: the letter has none.
    """
    if state is None:
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state


# ── stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Stage:
    """Something to declare about a running clock when its time comes."""

    name: str
    at: Callable[[Clock, datetime, Rules], datetime | None]
    """The clock and its due moment → when; none: it was declared already, or never is."""
    declare: Callable[[str, Clock, Rules, datetime], Fact]


def _remind_at(clock: Clock, due_at: datetime, rules: Rules) -> datetime | None:
    moment = None if clock.reminded_for == due_at else rules.remind_at(due_at)
    # A limit that is near from the beginning needs no reminder: the assignee has just been told of it.
    return moment if moment is not None and clock.started_at is not None and moment > clock.started_at else None


def _overdue_at(clock: Clock, due_at: datetime, _: Rules) -> datetime | None:
    return None if clock.overdue_for == due_at else due_at


def _urge_at(clock: Clock, due_at: datetime, rules: Rules) -> datetime:
    moments = [due_at]
    if clock.urged_at is not None:
        moments.append(rules.urge_again(clock.urged_at))
    if clock.explained_at is not None:
        moments.append(rules.hold_off(clock.explained_at))
    return max(moments)


def _reading_overdue(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return ReadingOverdue(letter_id=letter_id, at=now, mailbox=clock.mailbox, due_at=_due(clock, rules))


def _reminded(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    due_at = _due(clock, rules)
    return ReplyReminded(
        letter_id=letter_id,
        at=now,
        handoff_id=clock.id,
        receiver=clock.mailbox,
        due_at=due_at,
        working_days_left=max(0, rules.days_left(now, due_at)),
    )


def _reply_overdue(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return ReplyOverdue(
        letter_id=letter_id,
        at=now,
        handoff_id=clock.id,
        sender=clock.sender,
        receiver=clock.mailbox,
        due_at=_due(clock, rules),
    )


def _urging_due(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return UrgingDue(
        letter_id=letter_id,
        at=now,
        handoff_id=clock.id,
        sender=clock.sender,
        receiver=clock.mailbox,
        count=clock.urged + 1,
        due_at=_due(clock, rules),
    )


def _due(clock: Clock, rules: Rules) -> datetime:
    due = limit(clock, rules)
    assert due is not None
    return due.at


STAGES: Mapping[Kind, tuple[Stage, ...]] = {
    Kind.READING: (Stage("overdue", _overdue_at, _reading_overdue),),
    Kind.REPLY: (
        Stage("reminder", _remind_at, _reminded),
        Stage("overdue", _overdue_at, _reply_overdue),
        Stage("urging", _urge_at, _urging_due),
    ),
}
"""Kind of clock → its stages; those of one moment are declared in this order."""

DECLARED: Mapping[type[Fact], str] = {
    ReadingOverdue: "reading overdue",
    ReplyReminded: "reply reminder",
    ReplyOverdue: "reply overdue",
    UrgingDue: "urging",
    ReplyDueSet: "reply due",
}
"""Fact → the name under which it is counted."""


def _stages(state: Clocks, rules: Rules) -> list[tuple[datetime, Clock, Stage]]:
    return [
        (moment, clock, stage)
        for clock in state.running()
        if (due := limit(clock, rules)) is not None
        for stage in STAGES[clock.kind]
        if (moment := stage.at(clock, due.at, rules)) is not None
    ]


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def _state(state: Clocks | None, fact: Fact) -> Clocks:
    return state or Clocks(letter_id=fact.letter_id)


def _letter(**changes: Callable[[Any], Any]) -> Callable[[Clocks | None, Any], Clocks]:
    """Make an `evolve` function that sets fields of the letter."""

    def evolve(state: Clocks | None, fact: Fact) -> Clocks:
        return _state(state, fact).model_copy(update={name: value(fact) for name, value in changes.items()})

    return evolve


def _clock(kind: Kind, **changes: Callable[[Clock, Any], Any]) -> Callable[[Clocks | None, Any], Clocks]:
    """Make an `evolve` function that sets fields of one clock, which need not be known yet."""

    def evolve(state: Clocks | None, fact: Any) -> Clocks:
        letter = _state(state, fact)
        name = READING if kind is Kind.READING else fact.handoff_id
        clock = next((c for c in letter.clocks if (c.kind, c.id) == (kind, name)), Clock(kind=kind, id=name))
        moved = clock.model_copy(update={field: value(clock, fact) for field, value in changes.items()})
        others = [c for c in letter.clocks if (c.kind, c.id) != (kind, name)]
        ordered = sorted([*others, moved], key=lambda c: (c.kind.value, c.id))
        return letter.model_copy(update={"clocks": tuple(ordered)})

    return evolve


def _both(*evolves: Callable[[Clocks | None, Any], Clocks]) -> Callable[[Clocks | None, Any], Clocks]:
    def evolve(state: Clocks | None, fact: Fact) -> Clocks:
        for part in evolves:
            state = part(state, fact)
        return _state(state, fact)

    return evolve


def _first(clock: Clock, fact: Fact) -> datetime:
    return clock.stopped_at or fact.at


_stop_reading = _clock(Kind.READING, stopped_at=_first)

ON: Mapping[type[Fact], Callable[[Clocks | None, Any], Clocks | None]] = {
    LetterReceived: _both(
        _letter(mailbox=lambda f: f.mailbox, reported_mailbox=lambda f: f.classification.reported_mailbox),
        _clock(Kind.READING, mailbox=lambda _, f: f.mailbox, started_at=lambda _, f: f.at),
    ),
    LetterReclassified: _letter(reported_mailbox=lambda f: f.after.reported_mailbox),
    LetterRead: _stop_reading,
    LetterRegistered: _both(_stop_reading, _letter(number=lambda f: f.number)),
    LetterDiscarded: _stop_reading,
    LetterNoted: _stop_reading,
    HandoffSent: _clock(
        Kind.REPLY,
        mailbox=lambda _, f: f.receiver,
        sender=lambda _, f: f.sender,
        started_at=lambda _, f: f.at,
    ),
    ProgressRecorded: _clock(Kind.REPLY, explained_at=lambda _, f: f.at),
    ReplyApproved: _clock(Kind.REPLY, stopped_at=_first),
    CitizenAnswered: _letter(answered_at=lambda f: f.at),
    ReadingOverdue: _clock(Kind.READING, due_at=lambda _, f: f.due_at, overdue_for=lambda _, f: f.due_at),
    ReplyDueSet: _clock(Kind.REPLY, due_at=lambda _, f: f.due_at, provisional=lambda _, f: f.provisional),
    ReplyReminded: _clock(Kind.REPLY, reminded_for=lambda _, f: f.due_at),
    ReplyOverdue: _clock(Kind.REPLY, overdue_for=lambda _, f: f.due_at),
    UrgingDue: _clock(Kind.REPLY, urged=lambda _, f: f.count, urged_at=lambda _, f: f.at),
}
"""Every fact that moves a clock, in the order of a letter's life; the last five are this service's own."""
