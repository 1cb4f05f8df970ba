"""The clocks of a letter: started, moved and stopped by facts, declared stage by stage as they fall due.

    clock         starts with         due                                  stops with                             stages
    reading       LetterReceived      that or the next working day         read, registered, discarded, noted     overdue
    disposition   LetterRegistered    the third working day                the first hand-off, answer or note     overdue
    reply, redo   HandoffSent         the tenth working day, or what       reply, return, withdrawal, the         reminders, overdue,
                  ReplySentBack       the assigner set or granted          citizen's answer                       urging
    instruction   InstructionGiven    what the leader said                 InstructionEnded                       reminders

Each stage is declared once for a due moment; urgings go on, numbered, while nothing happens (R7.1), and so do reminders of an open
instruction (R8.1). However long nobody looked, each stage that passed meanwhile is declared once, and missed urgings are one; a letter that
was read or disposed of too late by then is declared late all the same. `STAGES` is the table; `state.py` tells how facts are remembered.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.deadline.state import Clock, Clocks, Kind, Move, Why
from shared.contracts.errors import NotFound
from shared.contracts.facts import (
    DispositionOverdue,
    Fact,
    InstructionReminded,
    ReadingOverdue,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)


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
    disposition_due: Callable[[datetime], Limit]
    """Registration → limit (R1.4)."""
    reply_due: Callable[[datetime, int], Limit]
    """Receipt by the assignee or send-back, working days → limit (R6.1, R7.3)."""
    reply_working_days: int
    remind_at: Callable[[datetime], tuple[datetime, ...]]
    """Due moment → when to remind, the earliest first."""
    urge_again: Callable[[datetime], datetime]
    """Last urging → when the next is due (R7.1)."""
    hold_off: Callable[[datetime], datetime]
    """Progress recorded → until when that holds off urging (R7.1)."""
    due_soon: Callable[[datetime], datetime]
    """Now → the latest due moment that counts as soon."""
    days_left: Callable[[datetime, datetime], int]
    """Now, due moment → working days that are left, today included; negative: that many late."""
    schedules: Callable[[datetime, datetime], str]
    """Two moments → in words, whose years' schedules say which days between them are worked."""


# ── what is due ──────────────────────────────────────────────────────────────────────────────────────────────────────


def limit(clock: Clock, rules: Rules) -> Limit | None:
    """Return when a clock is due; none while that has not been decided."""
    if clock.due_at is not None:
        return Limit(clock.due_at, clock.provisional)
    if clock.started_at is not None and clock.kind is Kind.READING:
        return rules.reading_due(clock.started_at)
    if clock.started_at is not None and clock.kind is Kind.DISPOSITION:
        return rules.disposition_due(clock.started_at)
    return None


def condition(clock: Clock, rules: Rules, now: datetime) -> Condition:
    """Return how a clock stands."""
    due = limit(clock, rules)
    if clock.stopped_at is not None:
        return Condition.STOPPED
    if due is None:
        return Condition.RUNNING
    if due.at <= now:
        return Condition.OVERDUE
    return Condition.DUE_SOON if due.at <= rules.due_soon(now) else Condition.RUNNING


def timed(state: Clocks, rules: Rules) -> list[tuple[Clock, Limit]]:
    """Return the running clocks with their limits, the one that is due first in front."""
    found = [(clock, due) for clock in state.running() if (due := limit(clock, rules)) is not None]
    return sorted(found, key=lambda pair: pair[1].at)


def next_at(state: Clocks, rules: Rules) -> datetime | None:
    """Return when this letter must be looked at next; none: nothing runs, or nothing is left to declare."""
    moments = [clock.started_at for clock in state.running() if clock.started_at and limit(clock, rules) is None]
    moments += [moment for moment, _, _ in _stages(state.running(), rules)]
    return min(moments, default=None)


def declare(state: Clocks | None, until: datetime, now: datetime, rules: Rules) -> list[Fact]:
    """Declare at `now` every stage that was due by `until`, the earliest first."""
    if state is None:
        return []
    due = sorted((found for found in _stages(state.running(), rules) if found[0] <= until), key=lambda found: found[0])
    return [stage.declare(state.letter_id, clock, rules, now) for _, clock, stage in due]


def missed(before: Clocks | None, after: Clocks | None, now: datetime, rules: Rules) -> list[Fact]:
    """Declare that a letter was read (R3.1) or disposed of (R1.4) too late, where a fact stopped the clock before that was declared.

    It is judged at that fact and never again: a limit that is counted otherwise later, by another schedule or setting, makes nothing late
    that is done. Of a reply that came late nothing is declared any more: whoever counts it compares it with its limit (R6.1).
    """
    if before is None or after is None:
        return []
    kinds = (Kind.READING, Kind.DISPOSITION)
    ended = {clock.kind: clock.stopped_at for clock in after.clocks if clock.kind in kinds and clock.stopped_at}
    ran = [clock for clock in before.running() if clock.kind in ended]
    return [
        stage.declare(before.letter_id, clock, rules, now)
        for moment, clock, stage in _stages(ran, rules)
        if moment <= ended[clock.kind]
    ]


def follow(state: Clocks, now: datetime, rules: Rules) -> list[Fact]:
    """Decide when each hand-off must be answered: once when it was sent (R6.1), and anew for each move of its limit (R6.4, R7.3)."""
    facts: list[Fact] = []
    for clock in state.clocks:
        if clock.kind is not Kind.REPLY or not clock.measures or clock.started_at is None:
            continue
        if clock.due_at is None:
            days = clock.working_days or rules.reply_working_days
            due = rules.reply_due(clock.started_at, days)
            facts.append(
                ReplyDueSet(
                    letter_id=state.letter_id,
                    at=now,
                    handoff_id=clock.id,
                    receiver=clock.mailbox,
                    due_at=due.at,
                    working_days=days,
                    provisional=due.provisional,
                )
            )
        elif clock.followed < len(clock.moves):
            facts.append(_moved(state.letter_id, clock, clock.moves[clock.followed], now, rules))
    return facts


def _moved(letter_id: str, clock: Clock, move: Move, now: datetime, rules: Rules) -> Fact:
    days = None if move.due_at is not None else move.working_days or rules.reply_working_days
    due = Limit(move.due_at) if move.due_at is not None else rules.reply_due(move.at, days or 0)
    return _changed(letter_id, clock, due, move.why, move.detail, days, now)


def recompute(state: Clocks | None, now: datetime, rules: Rules) -> list[Fact]:
    """Count the open due dates again, after the State Council's schedule of a year became known or changed (R6.1).

    What was granted stays as it was granted (R6.4).
    """
    facts: list[Fact] = []
    if state is None:
        return facts
    for clock in state.running():
        began = _counted_from(clock)
        if clock.kind is not Kind.REPLY or clock.due_at is None or clock.days is None or began is None:
            continue
        due = rules.reply_due(began, clock.days)
        if due != Limit(clock.due_at, clock.provisional):
            detail = rules.schedules(began, max(due.at, clock.due_at))
            facts.append(_changed(state.letter_id, clock, due, Why.SCHEDULE, detail, clock.days, now))
    return facts


def _counted_from(clock: Clock) -> datetime | None:
    """Return the moment whose day the limit in force is counted from."""
    followed = clock.moves[: clock.followed]
    return followed[-1].at if followed else clock.started_at


def _changed(
    letter_id: str, clock: Clock, due: Limit, why: Why, detail: str, days: int | None, now: datetime
) -> ReplyDueChanged:
    assert clock.due_at is not None
    return ReplyDueChanged(
        letter_id=letter_id,
        at=now,
        handoff_id=clock.id,
        receiver=clock.mailbox,
        before=clock.due_at,
        due_at=due.at,
        why=why.value,
        detail=detail,
        provisional=due.provisional,
        working_days=days,
    )


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
    # A limit that is near from the beginning needs no reminder: the assignee has just been told of it.
    told = clock.moves[-1].at if clock.moves else clock.started_at
    if clock.reminded_for == due_at:
        told = clock.reminded_at
    return next((moment for moment in rules.remind_at(due_at) if told is not None and moment > told), None)


def _overdue_at(clock: Clock, due_at: datetime, _: Rules) -> datetime | None:
    return None if due_at in clock.overdue_for else due_at


def _urge_at(clock: Clock, due_at: datetime, rules: Rules) -> datetime | None:
    if clock.asked is not None or clock.sender == clock.mailbox:
        return None  # an application waits (R6.4); or a unit answers by itself (R4.1), and nobody is there to urge it
    moments = [due_at]
    if clock.urged_at is not None:
        moments.append(rules.urge_again(clock.urged_at))
    if clock.explained_at is not None:
        moments.append(rules.hold_off(clock.explained_at))
    return max(moments)


def _remind_of_instruction_at(clock: Clock, due_at: datetime, rules: Rules) -> datetime | None:
    # Ahead of the day by which the leader wants a report, once it has passed, and again while nothing happens (R8.1).
    told = clock.reminded_at or clock.started_at
    if told is None:
        return None
    return next((moment for moment in (*rules.remind_at(due_at), due_at) if moment > told), rules.urge_again(told))


def _reading_overdue(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return ReadingOverdue(letter_id=letter_id, at=now, mailbox=clock.mailbox, due_at=_due(clock, rules))


def _disposition_overdue(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return DispositionOverdue(letter_id=letter_id, at=now, mailbox=clock.mailbox, due_at=_due(clock, rules))


def _instruction_reminded(letter_id: str, clock: Clock, rules: Rules, now: datetime) -> Fact:
    return InstructionReminded(
        letter_id=letter_id, at=now, instruction_id=clock.id, mailbox=clock.mailbox, report_by=_due(clock, rules)
    )


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
    Kind.DISPOSITION: (Stage("overdue", _overdue_at, _disposition_overdue),),
    Kind.REPLY: (
        Stage("reminder", _remind_at, _reminded),
        Stage("overdue", _overdue_at, _reply_overdue),
        Stage("urging", _urge_at, _urging_due),
    ),
    Kind.INSTRUCTION: (Stage("reminder", _remind_of_instruction_at, _instruction_reminded),),
}
"""Kind of clock → its stages; those of one moment are declared in this order."""

DECLARED: Mapping[type[Fact], str] = {
    ReadingOverdue: "reading overdue",
    DispositionOverdue: "disposition overdue",
    ReplyReminded: "reply reminder",
    ReplyOverdue: "reply overdue",
    UrgingDue: "urging",
    InstructionReminded: "instruction reminder",
    ReplyDueSet: "reply due",
    ReplyDueChanged: "reply due changed",
}
"""Fact → the name under which it is counted."""


def _stages(running: Iterable[Clock], rules: Rules) -> list[tuple[datetime, Clock, Stage]]:
    return [
        (moment, clock, stage)
        for clock in running
        if (due := limit(clock, rules)) is not None
        for stage in STAGES[clock.kind]
        if (moment := stage.at(clock, due.at, rules)) is not None
    ]
