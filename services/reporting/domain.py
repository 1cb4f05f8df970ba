"""A letter as the figures need it: one compact row with its hand-offs, made of moments and codes, without any text.

Reporting decides nothing and publishes nothing: each fact only writes its moment into its own place in the row. A moment once
there stays, so rows come out the same whatever the order between services, and a row only ever adds to the days it counts in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import Field

from shared.contracts.facts import (
    CitizenAnswered,
    ExtensionDecided,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    PublicationWithheld,
    ReadingOverdue,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.reports import Units, hidden_from, is_about_somebody, keeper
from shared.contracts.types import Classification, ExtensionOutcome, InvalidReason, Moment, Nature, Value, Way


@dataclass(frozen=True, slots=True)
class Round:
    """A limit and the reply to it: the first one, and one more each time the reply was sent back (R7.3)."""

    limits: tuple[datetime, ...] = ()
    """Every due moment that was set; the last one is in force."""
    passed: tuple[datetime, ...] = ()
    """The due moments that were declared to have passed without a reply."""
    replied_at: datetime | None = None
    """When the assignee's head approved the reply, which answers the assignment (R6.1)."""

    @property
    def due_at(self) -> datetime | None:
        """The due moment in force."""
        known = self.limits or self.passed
        return known[-1] if known else None

    @property
    def late_since(self) -> datetime | None:
        """The due moment in force if no reply came before it, else none.

        A reply is in time up to 24:00 of the last day, whenever the lateness was declared.
        """
        due = self.due_at
        late = due is not None and (due in self.passed if self.replied_at is None else self.replied_at >= due)
        return due if late else None

    @property
    def once_late_since(self) -> tuple[datetime, ...]:
        """Every due moment by which this round was ever taken for late."""
        replied = self.replied_at
        return (*self.passed, *(limit for limit in self.limits if replied is not None and replied >= limit))


class Handoff(Value):
    """One hand-off (R4.1–R4.4) from its sending to its answer."""

    sender: str = ""
    """Mailbox code of the assigner."""
    receiver: str = ""
    """Mailbox code of the assignee."""
    way: Way = Way.ASSIGN
    sent_at: Moment | None = None
    collected_at: Moment | None = None
    replied: tuple[Moment, ...] = ()
    """When the reply was approved: the first, and one more after each send-back."""
    sent_back: tuple[Moment, ...] = ()
    """When the reply was sent back (R7.3)."""
    limits: tuple[tuple[Moment, ...], ...] = ()
    """Every due moment that was set: first those of the first reply, then those of each redo."""
    passed: tuple[Moment, ...] = ()
    """The due moments that were declared to have passed without a reply."""
    urged: tuple[Moment, ...] = ()
    """When each urging slip went out (R7.1)."""
    extended: tuple[Moment, ...] = ()
    """When an application for more time was granted, in whole or in part (R6.4)."""
    returned_at: Moment | None = None
    """When the assignee returned it (R5.1)."""
    withdrawn_at: Moment | None = None
    """When the assigner took it back before it was collected."""
    void: bool = False
    """Returned or withdrawn: it was sent in error, so it cannot be late (R5.1)."""
    unseen_by: frozenset[str] = frozenset()
    """The ends in whose figures it does not count; never stored, see `apart`."""

    def is_open(self, moment: datetime) -> bool:
        """Whether its reply was still owed at a moment."""
        if self.sent_at is None or self.sent_at >= moment:
            return False
        if any(at is not None and at < moment for at in (self.returned_at, self.withdrawn_at)):
            return False
        replies = sum(at < moment for at in self.replied)
        return replies == sum(at < moment for at in self.sent_back)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The limits and replies that belong together."""
        number = max(len(self.limits), len(self.replied), 1)
        if number == 1:
            limits, replied = self.limits[0] if self.limits else (), self.replied[0] if self.replied else None
            return (Round(limits, self.passed, replied),)
        known = {limit for limits in self.limits for limit in limits}
        astray = tuple(moment for moment in self.passed if moment not in known)
        rounds = []
        for place in range(number):
            limits = self.limits[place] if place < len(self.limits) else ()
            passed = tuple(moment for moment in self.passed if moment in limits) + (astray if place == 0 else ())
            replied_at = self.replied[place] if place < len(self.replied) else None
            rounds.append(Round(limits=limits, passed=passed, replied_at=replied_at))
        return tuple(rounds)


class Row(Value):
    """One letter. Every moment is the `at` of the fact that brought it, unless its name says otherwise."""

    mailbox: str = ""
    """The first-receiving mailbox; empty until the letter's arrival is known."""
    received_at: Moment | None = None
    nature: Nature | None = None
    domain: str = ""
    region: str = ""
    reported_mailbox: str | None = None
    reported_people: tuple[str, ...] = ()
    read_at: Moment | None = None
    """When staff first dealt with it: read, registered, discarded or noted, whichever came first (R3.1)."""
    reading_due_at: Moment | None = None
    """The end of its reading day, once that was declared to have passed (R3.1)."""
    registered_at: Moment | None = None
    number: str = ""
    """ASCII form of the number, e.g. `YFX-2026-17`."""
    discarded_at: Moment | None = None
    reason: InvalidReason | None = None
    noted_at: Moment | None = None
    handoffs: Mapping[str, Handoff] = Field(default_factory=dict)
    """Hand-off id → hand-off."""
    answered_at: Moment | None = None
    """When the citizen got an answer (R8.3)."""
    published_at: Moment | None = None
    withheld_at: Moment | None = None

    @property
    def finished_at(self) -> datetime | None:
        """When nothing was left to be done for the citizen: the first of answered (R8.3), not accepted (R3.0), archived (R3.7)."""
        return min((at for at in (self.answered_at, self.discarded_at, self.noted_at) if at), default=None)

    @property
    def open_since(self) -> datetime | None:
        """When it was registered, of a letter whose citizen waits for an answer; of others none."""
        return self.registered_at if self.finished_at is None else None

    def held_by(self, moment: datetime) -> tuple[str, Handoff | None]:
        """Return who had the letter at a moment, and the hand-off by which: the last one sent whose reply was still owed."""
        under_way = [one for one in self.handoffs.values() if one.receiver and one.is_open(moment)]
        last = max(under_way, key=lambda one: one.sent_at or moment, default=None)
        return (last.receiver, last) if last is not None else (self.mailbox, None)

    @property
    def unread_since(self) -> datetime | None:
        """The end of its reading day if nobody had dealt with the letter before it, else none."""
        due = self.reading_due_at
        return due if due is not None and (self.read_at is None or self.read_at >= due) else None


def _with(row: Row | None, **changes: Any) -> Row:
    return (row or Row()).model_copy(update=changes)


def _dealt_with(row: Row | None, at: datetime, **changes: Any) -> Row:
    return _with(row, read_at=(row.read_at if row else None) or at, **changes)


def _handoff(row: Row | None, id: str, change: Callable[[Handoff], Mapping[str, Any]]) -> Row:
    row = row or Row()
    before = row.handoffs.get(id, Handoff())
    return _with(row, handoffs={**row.handoffs, id: before.model_copy(update=change(before))})


def _about(classification: Classification) -> dict[str, Any]:
    taken = ("nature", "domain", "region", "reported_mailbox", "reported_people")
    return {name: getattr(classification, name) for name in taken}


def apart(row: Row, units: Units) -> Row:
    """Return the row as it counts: a report counts nowhere in the figures of the unit that it is about, who would learn of it.

    The letter counts for the mailbox above that unit, which keeps it; a hand-off counts at its other end only.
    """
    if not is_about_somebody(row):
        return row
    handoffs = {
        name: one.model_copy(
            update={"unseen_by": frozenset(c for c in (one.sender, one.receiver) if c and hidden_from(row, c, units))}
        )
        for name, one in row.handoffs.items()
    }
    mailbox = keeper(row, row.mailbox, units) if row.mailbox else ""
    return row.model_copy(update={"mailbox": mailbox, "handoffs": handoffs})


def received(row: Row | None, fact: LetterReceived) -> Row:
    """The letter came to a mailbox (R2.1)."""
    return _with(row, mailbox=fact.mailbox, received_at=fact.at, **_about(fact.classification))


def reclassified(row: Row | None, fact: LetterReclassified) -> Row:
    """The letter counts as what staff say it is (R3.2), on the day it was received."""
    return _with(row, **_about(fact.after))


def read(row: Row | None, fact: LetterRead) -> Row:
    """Staff opened it."""
    return _dealt_with(row, fact.at)


def registered(row: Row | None, fact: LetterRegistered) -> Row:
    """It was accepted (R3.6)."""
    return _dealt_with(row, fact.at, registered_at=fact.at, number=fact.number.ascii)


def discarded(row: Row | None, fact: LetterDiscarded) -> Row:
    """It was not accepted (R3.0); the fact and the reason stay for the statistics (R3.7)."""
    return _dealt_with(row, fact.at, discarded_at=fact.at, reason=fact.reason)


def noted(row: Row | None, fact: LetterNoted) -> Row:
    """It was archived for reference (R3.7)."""
    return _dealt_with(row, fact.at, noted_at=fact.at)


def reading_overdue(row: Row | None, fact: ReadingOverdue) -> Row:
    """Its reading day ended (R3.1)."""
    return _with(row, reading_due_at=fact.due_at)


def handoff_sent(row: Row | None, fact: HandoffSent) -> Row:
    """It was handed out (R4.1–R4.4)."""
    sent = {"sender": fact.sender, "receiver": fact.receiver, "way": fact.way, "sent_at": fact.at}
    return _handoff(row, fact.handoff_id, lambda _: sent)


def handoff_returned(row: Row | None, fact: HandoffReturned) -> Row:
    """It was sent in error and came back (R5.1)."""
    return _handoff(row, fact.handoff_id, lambda _: {"void": True, "returned_at": fact.at})


def slip_withdrawn(row: Row | None, fact: SlipWithdrawn) -> Row:
    """It was taken back before anybody collected it."""
    return _handoff(row, fact.handoff_id, lambda _: {"void": True, "withdrawn_at": fact.at})


def extension_decided(row: Row | None, fact: ExtensionDecided) -> Row:
    """More time was granted, in whole or in part (R6.4); a refusal changes nothing."""
    if fact.outcome is ExtensionOutcome.REFUSED:
        return row or Row()
    return _handoff(row, fact.handoff_id, lambda h: {"extended": (*h.extended, fact.at)})


def handoff_collected(row: Row | None, fact: HandoffCollected) -> Row:
    """The assignee signed for it (R6.3)."""
    return _handoff(row, fact.handoff_id, lambda _: {"receiver": fact.receiver, "collected_at": fact.at})


def reply_due_set(row: Row | None, fact: ReplyDueSet) -> Row:
    """A due moment came into force (R6.1)."""
    return _handoff(row, fact.handoff_id, lambda h: {"receiver": fact.receiver, "limits": _limited(h, fact.due_at)})


def reply_due_changed(row: Row | None, fact: ReplyDueChanged) -> Row:
    """The due moment moved (R6.1, R6.4), or the reply was sent back and has a new one (R7.3)."""
    if fact.why == "sent_back":
        return _handoff(row, fact.handoff_id, lambda h: {"limits": (*h.limits, (fact.due_at,))})
    return _handoff(row, fact.handoff_id, lambda h: {"limits": _limited(h, fact.due_at)})


def _limited(handoff: Handoff, due_at: datetime) -> tuple[tuple[datetime, ...], ...]:
    """Return the limits with one more for the round that runs."""
    earlier, last = handoff.limits[:-1], (handoff.limits or ((),))[-1]
    return (*earlier, (*last, due_at))


def reply_overdue(row: Row | None, fact: ReplyOverdue) -> Row:
    """A due moment passed (R6.1)."""
    return _handoff(
        row,
        fact.handoff_id,
        lambda h: {"sender": fact.sender, "receiver": fact.receiver, "passed": (*h.passed, fact.due_at)},
    )


def urging_sent(row: Row | None, fact: UrgingSent) -> Row:
    """An urging slip went out (R7.1)."""
    return _handoff(
        row,
        fact.handoff_id,
        lambda h: {"sender": fact.sender, "receiver": fact.receiver, "urged": (*h.urged, fact.at)},
    )


def reply_approved(row: Row | None, fact: ReplyApproved) -> Row:
    """The assignment is answered (R6.1); the first approved reply counts, and the first after each send-back (R7.3)."""
    ends = {"sender": fact.sender, "receiver": fact.receiver}
    return _handoff(row, fact.handoff_id, lambda h: {**ends, **_replied(h, fact.at)})


def _replied(handoff: Handoff, at: datetime) -> dict[str, Any]:
    awaited = len(handoff.replied) == len(handoff.sent_back) and not handoff.void
    return {"replied": (*handoff.replied, at)} if awaited else {}


def reply_sent_back(row: Row | None, fact: ReplySentBack) -> Row:
    """The reply must be done again (R7.3)."""
    return _handoff(row, fact.handoff_id, lambda h: {"sent_back": (*h.sent_back, fact.at)})


def citizen_answered(row: Row | None, fact: CitizenAnswered) -> Row:
    """The citizen has an answer (R8.3); the first one counts. With it every hand-off is answered whose reply was still awaited."""
    row = row or Row()
    handoffs = {
        name: handoff.model_copy(update=_replied(handoff, fact.at)) if handoff.sent_at else handoff
        for name, handoff in row.handoffs.items()
    }
    return _with(row, handoffs=handoffs, answered_at=row.answered_at or fact.at)


def published(row: Row | None, fact: LetterPublished) -> Row:
    """It is public (R9.1); the first time counts."""
    return _with(row, published_at=(row.published_at if row else None) or fact.at)


def withheld(row: Row | None, fact: PublicationWithheld) -> Row:
    """It stays unpublished (R9.1); the first decision counts."""
    return _with(row, withheld_at=(row.withheld_at if row else None) or fact.at)


ON: Final[dict[type[Fact], Callable[[Row | None, Any], Row | None]]] = {
    LetterReceived: received,
    LetterReclassified: reclassified,
    LetterRead: read,
    LetterRegistered: registered,
    LetterDiscarded: discarded,
    LetterNoted: noted,
    ReadingOverdue: reading_overdue,
    HandoffSent: handoff_sent,
    HandoffCollected: handoff_collected,
    SlipWithdrawn: slip_withdrawn,
    HandoffReturned: handoff_returned,
    ExtensionDecided: extension_decided,
    ReplyDueSet: reply_due_set,
    ReplyDueChanged: reply_due_changed,
    ReplyOverdue: reply_overdue,
    UrgingSent: urging_sent,
    ReplyApproved: reply_approved,
    ReplySentBack: reply_sent_back,
    CitizenAnswered: citizen_answered,
    LetterPublished: published,
    PublicationWithheld: withheld,
}
