"""What deadline knows of a letter's clocks, as facts tell it.

Every field is written by the facts of one service only, so the state does not depend on how facts of different services interleave. Where
two services may end the same clock, the earlier end counts. What is due when is computed from this in `domain.py`.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.contracts.facts import (
    CitizenAnswered,
    DispositionOverdue,
    ExtensionDecided,
    ExtensionRequested,
    Fact,
    HandoffReturned,
    HandoffSent,
    InstructionEnded,
    InstructionGiven,
    InstructionReminded,
    LetterDiscarded,
    LetterNoted,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ProgressRecorded,
    ReadingOverdue,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    ReplySentBack,
    SlipWithdrawn,
    UrgingDue,
)
from shared.contracts.types import Labelled, Moment, Number, Value, Way

LIMITED: Final = frozenset({Way.DIRECT, Way.ASSIGN})
"""The ways of disposition that must be answered in time (R4.1, R6.1); a letter forwarded or submitted up has no due date (R8.4)."""


class Kind(Labelled):
    """What a clock measures. A letter has one reading and one disposition clock; their ids are their kinds."""

    READING = "reading", "阅读"
    DISPOSITION = "disposition", "拟办"
    REPLY = "reply", "承办回复"
    REDO = "redo", "退办重办"
    """How a reply clock is called once the reply was sent back (R7.3)."""
    INSTRUCTION = "instruction", "批示办理"


class Why(StrEnum):
    """Why an open due date moved."""

    EXTENSION = "extension"
    SENT_BACK = "sent_back"
    SCHEDULE = "schedule"


class Move(Value):
    """A granted extension (R6.4) or a send-back (R7.3): a person moved the limit."""

    why: Why
    at: Moment
    detail: str
    due_at: Moment | None = None
    """What was granted."""
    working_days: int | None = None
    """What the assigner set for the redo; none: the regulation's limit."""


class Clock(Value):
    """One clock."""

    kind: Kind
    id: str
    """The hand-off's or the instruction's id, or the kind where a letter has but one."""
    mailbox: str = ""
    """Who must act in time: the receiving mailbox, the assignee, or whose leader gave the instruction."""
    started_at: Moment | None = None
    stopped_at: Moment | None = None

    # Of a hand-off, from routing.
    sender: str = ""
    """The assigner, who urges."""
    way: Way = Way.ASSIGN
    parent: str | None = None
    """The hand-off under which this one was made (R4.2b)."""
    working_days: int | None = None
    """What the assigner set; none: the regulation's limit (R6.1)."""
    explained_at: Moment | None = None
    """The last time that progress was recorded (R7.1)."""
    withdrawn: bool = False
    """The hand-off was sent in error: its receiver has no part in the letter (R4.2)."""
    asked: str | None = None
    """The application for more time that nobody has decided on (R6.4)."""
    moves: tuple[Move, ...] = ()

    # Declared by this service; for an instruction `due_at` is what the leader said.
    due_at: Moment | None = None
    provisional: bool = False
    days: int | None = None
    """The working days that make `due_at`."""
    followed: int = 0
    """How many `moves` are in `due_at`."""
    reminded_at: Moment | None = None
    reminded_for: Moment | None = None
    """The due moment of the last reminder."""
    overdue_for: tuple[Moment, ...] = ()
    """The due moments for which it was declared overdue."""
    urged: int = 0
    """How many urgings were declared."""
    urged_at: Moment | None = None

    @property
    def name(self) -> Kind:
        """What it is called now."""
        return Kind.REDO if self.redo else self.kind

    @property
    def redo(self) -> int:
        """How often the reply was sent back."""
        return sum(move.why is Why.SENT_BACK for move in self.moves)

    @property
    def measures(self) -> bool:
        """Whether anything is due at all: a hand-off without limit is kept for who takes part in it."""
        return self.kind is not Kind.REPLY or self.way in LIMITED

    @property
    def runs(self) -> bool:
        """Whether it has started and not stopped."""
        return self.measures and self.started_at is not None and self.stopped_at is None


class Clocks(Value):
    """The state of one letter."""

    letter_id: str
    mailbox: str | None = None
    """The mailbox that received it."""
    number: Number | None = None
    reported_mailbox: str | None = None
    reported_people: tuple[str, ...] = ()
    clocks: tuple[Clock, ...] = ()
    """In the order of kind and id, whatever came first."""

    def running(self) -> list[Clock]:
        """Return the clocks that have started and not stopped."""
        return [clock for clock in self.clocks if clock.runs]

    def find(self, kind: str, id: str) -> Clock | None:
        """Return a clock by its kind and id."""
        return next((clock for clock in self.clocks if (clock.kind, clock.id) == (kind, id)), None)

    def put(self, *clocks: Clock) -> "Clocks":
        """Return the letter with these clocks in place of what had their kind and id."""
        every = {(clock.kind.value, clock.id): clock for clock in (*self.clocks, *clocks)}
        return self.model_copy(update={"clocks": tuple(every[key] for key in sorted(every))})

    @property
    def parties(self) -> frozenset[str]:
        """The mailboxes whose letter this is: where it arrived, and both ends of each hand-off (R10.2)."""
        had = (c.mailbox for c in self.clocks if not c.withdrawn)
        codes = {self.mailbox, *had, *(c.sender for c in self.clocks)}
        return frozenset(code for code in codes if code)


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────

Evolve = Callable[[Clocks | None, Any], Clocks]


def _state(state: Clocks | None, fact: Fact) -> Clocks:
    return state or Clocks(letter_id=fact.letter_id)


def _letter(**changes: Callable[[Any], Any]) -> Evolve:
    """Make an `evolve` function that sets fields of the letter."""

    def evolve(state: Clocks | None, fact: Fact) -> Clocks:
        return _state(state, fact).model_copy(update={name: value(fact) for name, value in changes.items()})

    return evolve


def _id(kind: Kind, fact: Any) -> str:
    fields = {Kind.REPLY: "handoff_id", Kind.INSTRUCTION: "instruction_id"}
    found: str = getattr(fact, fields[kind]) if kind in fields else kind.value
    return found


def _clock(kind: Kind, **changes: Callable[[Clock, Any], Any]) -> Evolve:
    """Make an `evolve` function that sets fields of one clock, which need not be known yet."""

    def evolve(state: Clocks | None, fact: Any) -> Clocks:
        letter, name = _state(state, fact), _id(kind, fact)
        clock = letter.find(kind, name) or Clock(kind=kind, id=name)
        return letter.put(clock.model_copy(update={name: value(clock, fact) for name, value in changes.items()}))

    return evolve


def _handoff(change: Callable[[Clock, Any], Mapping[str, Any]]) -> Evolve:
    """Make an `evolve` function for a fact of routing on a hand-off that was sent."""

    def evolve(state: Clocks | None, fact: Any) -> Clocks:
        letter = _state(state, fact)
        clock = letter.find(Kind.REPLY, fact.handoff_id)
        if clock is None or clock.started_at is None:
            return letter
        return letter.put(clock.model_copy(update=dict(change(clock, fact))))

    return evolve


def _all(*evolves: Evolve) -> Evolve:
    def evolve(state: Clocks | None, fact: Fact) -> Clocks:
        for part in evolves:
            state = part(state, fact)
        return _state(state, fact)

    return evolve


def _earlier(clock: Clock, fact: Fact) -> datetime:
    return fact.at if clock.stopped_at is None else min(clock.stopped_at, fact.at)


def _stops(kind: Kind) -> Evolve:
    return _clock(kind, stopped_at=_earlier)


def _end(state: Clocks, ids: set[str], at: datetime) -> Clocks:
    """Stop these hand-offs where they still run, and those made under them: nothing is owed on a part once the whole is done."""
    while more := {clock.id for clock in state.clocks if clock.parent in ids} - ids:
        ids = ids | more
    ended = [
        clock.model_copy(update={"stopped_at": at, "asked": None})
        for clock in state.clocks
        if clock.kind is Kind.REPLY and clock.id in ids and clock.started_at is not None and clock.stopped_at is None
    ]
    return state.put(*ended)


def _ended(state: Clocks | None, fact: Any) -> Clocks:
    return _end(_state(state, fact), {fact.handoff_id}, fact.at)


def _answered(state: Clocks | None, fact: CitizenAnswered) -> Clocks:
    letter = _state(state, fact)
    return _end(letter, {clock.id for clock in letter.clocks if clock.kind is Kind.REPLY}, fact.at)


def _sent_back(clock: Clock, fact: ReplySentBack) -> dict[str, Any]:
    move = Move(why=Why.SENT_BACK, at=fact.at, detail=f"第{fact.count}次退办", working_days=fact.working_days)
    return {"stopped_at": None, "asked": None, "moves": (*clock.moves, move)}


def _extended(clock: Clock, fact: ExtensionDecided) -> dict[str, Any]:
    decided = {"asked": None if clock.asked == fact.extension_id else clock.asked}
    if fact.due_at is None or clock.stopped_at is not None:
        return decided
    move = Move(why=Why.EXTENSION, at=fact.at, detail=fact.outcome.label, due_at=fact.due_at)
    return {**decided, "moves": (*clock.moves, move)}


def _overdue(clock: Clock, fact: Any) -> tuple[datetime, ...]:
    return (*clock.overdue_for, fact.due_at)


ON: Final[Mapping[type[Fact], Callable[[Clocks | None, Any], Clocks | None]]] = {
    LetterReceived: _all(
        _letter(
            mailbox=lambda f: f.mailbox,
            reported_mailbox=lambda f: f.classification.reported_mailbox,
            reported_people=lambda f: f.classification.reported_people,
        ),
        _clock(Kind.READING, mailbox=lambda _, f: f.mailbox, started_at=lambda _, f: f.at),
    ),
    LetterReclassified: _letter(
        reported_mailbox=lambda f: f.after.reported_mailbox, reported_people=lambda f: f.after.reported_people
    ),
    LetterRead: _stops(Kind.READING),
    LetterRegistered: _all(
        _letter(number=lambda f: f.number),
        _stops(Kind.READING),
        _clock(Kind.DISPOSITION, mailbox=lambda _, f: f.number.mailbox, started_at=lambda _, f: f.at),
    ),
    LetterDiscarded: _stops(Kind.READING),
    LetterNoted: _all(_stops(Kind.READING), _stops(Kind.DISPOSITION)),
    HandoffSent: _all(
        _stops(Kind.DISPOSITION),
        _clock(
            Kind.REPLY,
            mailbox=lambda _, f: f.receiver,
            sender=lambda _, f: f.sender,
            way=lambda _, f: f.way,
            parent=lambda _, f: f.parent,
            working_days=lambda _, f: f.working_days,
            started_at=lambda _, f: f.at,
        ),
    ),
    SlipWithdrawn: _all(_ended, _handoff(lambda _c, _f: {"withdrawn": True})),
    HandoffReturned: _ended,
    ProgressRecorded: _handoff(lambda _, f: {"explained_at": f.at}),
    ExtensionRequested: _handoff(lambda _, f: {"asked": f.extension_id}),
    ExtensionDecided: _handoff(_extended),
    ReplyApproved: _ended,
    ReplySentBack: _handoff(_sent_back),
    InstructionGiven: _clock(
        Kind.INSTRUCTION,
        mailbox=lambda _, f: f.mailbox,
        started_at=lambda _, f: f.at,
        due_at=lambda _, f: f.report_by,
    ),
    InstructionEnded: _stops(Kind.INSTRUCTION),
    CitizenAnswered: _all(_stops(Kind.DISPOSITION), _answered),
    ReadingOverdue: _clock(Kind.READING, due_at=lambda _, f: f.due_at, overdue_for=_overdue),
    DispositionOverdue: _clock(Kind.DISPOSITION, due_at=lambda _, f: f.due_at, overdue_for=_overdue),
    ReplyDueSet: _clock(
        Kind.REPLY,
        due_at=lambda _, f: f.due_at,
        provisional=lambda _, f: f.provisional,
        days=lambda _, f: f.working_days,
    ),
    ReplyDueChanged: _clock(
        Kind.REPLY,
        due_at=lambda _, f: f.due_at,
        provisional=lambda _, f: f.provisional,
        days=lambda _, f: f.working_days,
        followed=lambda c, f: c.followed + (f.why != Why.SCHEDULE),
    ),
    ReplyReminded: _clock(Kind.REPLY, reminded_for=lambda _, f: f.due_at, reminded_at=lambda _, f: f.at),
    ReplyOverdue: _clock(Kind.REPLY, overdue_for=_overdue),
    UrgingDue: _clock(Kind.REPLY, urged=lambda _, f: f.count, urged_at=lambda _, f: f.at),
    InstructionReminded: _clock(Kind.INSTRUCTION, reminded_at=lambda _, f: f.at),
}
"""Every fact that moves a clock, in the order of a letter's life; the last eight are this service's own."""
