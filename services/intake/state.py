"""A letter as intake keeps it, and how facts change it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts.errors import NotFound
from shared.contracts.facts import (
    CitizenAnswered,
    CitizenTold,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterErased,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    PublicationWithdrawn,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
)
from shared.contracts.types import Actor, Attachment, Channel, Classification, Moment, Number, Value, Way


class Stage(StrEnum):
    """Where a letter stands in screening."""

    UNREAD = "unread"
    READ = "read"
    REGISTERED = "registered"
    DISCARDED = "discarded"
    NOTED = "noted"


class DueChange(Value):
    """An answer's due date was moved (R6.1, R6.4, R7.3)."""

    at: Moment
    due_at: Moment
    why: str
    """`extension`, `sent_back` or `schedule`."""


class Handoff(Value):
    """Who has the letter to answer it, as the citizen may know."""

    sender: str = ""
    receiver: str
    way: Way = Way.ASSIGN
    parent: str | None = None
    """The hand-off under which this one was made: inside the unit that has the letter, or further on from it."""
    sent_at: Moment
    collected_at: Moment | None = None
    due_at: Moment | None = None
    due_changes: tuple[DueChange, ...] = ()
    overdue: bool = False
    ended: bool = False
    """It was returned or withdrawn; the letter is with the sender again (R5.1)."""
    ended_at: Moment | None = None


class Told(Value):
    """How the sender of a forwarded letter told the citizen where it went (R4.3)."""

    mailbox: str
    channel: Channel
    text: str
    at: Moment


class Answer(Value):
    """The answer to the citizen (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    at: Moment


class Letter(Value):
    """The state of one letter."""

    letter_id: str
    mailbox: str
    chosen_mailbox: str
    subject: str
    body: str
    classification: Classification
    may_publish: bool
    attachments: tuple[Attachment, ...] = ()
    received_at: Moment
    read_at: Moment | None = None
    read_by: Actor | None = None
    corrections: tuple[LetterReclassified, ...] = ()
    """Every change of the classification, with who and when (R3.2)."""
    number: Number | None = None
    registered_at: Moment | None = None
    discarded: LetterDiscarded | None = None
    erased_at: Moment | None = None
    """When the text was erased, of an invalid letter or on request; subject, body and attachments are empty since then (R3.7)."""
    contact_erased_at: Moment | None = None
    """When the contact data alone was erased, on request."""
    noted_at: Moment | None = None
    noted_by: Actor | None = None
    noted_remark: str = ""
    handoffs: Mapping[str, Handoff] = {}
    told: tuple[Told, ...] = ()
    answers: tuple[Answer, ...] = ()
    reopened: bool = False
    """The last answer was sent back to be done again (R7.3), so another will come."""
    published_at: Moment | None = None
    withdrawn_at: Moment | None = None
    """When it was taken off the public site again (R9.1)."""

    @property
    def has_contact(self) -> bool:
        """Whether the sender's contact data may be kept; what comes again after its erasure may not."""
        return self.erased_at is None and self.contact_erased_at is None

    @property
    def stage(self) -> Stage:
        """Where it stands in screening; registration wins (see above)."""
        if self.number is not None:
            return Stage.REGISTERED
        if self.discarded is not None:
            return Stage.DISCARDED
        if self.noted_at is not None:
            return Stage.NOTED
        return Stage.READ if self.read_at is not None else Stage.UNREAD

    @property
    def invalid_since(self) -> datetime | None:
        """When it was discarded, while its text is still there; none: it is valid, or erased already (R3.7)."""
        if self.stage is not Stage.DISCARDED or self.discarded is None or self.erased_at is not None:
            return None
        return self.discarded.at

    @property
    def is_answered(self) -> bool:
        """Whether the citizen has an answer that stands (R8.3)."""
        return bool(self.answers) and not self.reopened

    @property
    def is_open(self) -> bool:
        """Whether it still waits for screening."""
        return self.stage in {Stage.UNREAD, Stage.READ}


def known(state: Letter | None) -> Letter:
    """Return the letter.

    Raises:
        NotFound: there is none.
    """
    if state is None:
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def _received(_: Letter | None, fact: LetterReceived) -> Letter:
    return Letter(
        letter_id=fact.letter_id,
        mailbox=fact.mailbox,
        chosen_mailbox=fact.chosen_mailbox,
        subject=fact.subject,
        body=fact.body,
        classification=fact.classification,
        may_publish=fact.may_publish,
        attachments=fact.attachments,
        received_at=fact.at,
    )


def _moved(**changes: Callable[[Letter, Any], Any]) -> Callable[[Letter | None, Any], Letter]:
    """Make an `evolve` function that sets fields from the state and the fact."""

    def evolve(state: Letter | None, fact: Fact) -> Letter:
        letter = known(state)
        return letter.model_copy(update={name: value(letter, fact) for name, value in changes.items()})

    return evolve


def _handed_on(letter: Letter, fact: HandoffSent) -> dict[str, Handoff]:
    handoff = Handoff(sender=fact.sender, receiver=fact.receiver, way=fact.way, parent=fact.parent, sent_at=fact.at)
    return {**letter.handoffs, fact.handoff_id: handoff}


def _with_handoff(letter: Letter, handoff_id: str, **changes: Any) -> dict[str, Handoff]:
    handoffs = dict(letter.handoffs)
    handoffs[handoff_id] = handoffs[handoff_id].model_copy(update=changes)
    return handoffs


def _due_changed(letter: Letter, fact: ReplyDueChanged) -> dict[str, Handoff]:
    change = DueChange(at=fact.at, due_at=fact.due_at, why=fact.why)
    before = letter.handoffs[fact.handoff_id].due_changes
    return _with_handoff(letter, fact.handoff_id, due_at=fact.due_at, overdue=False, due_changes=(*before, change))


def _erased(state: Letter | None, fact: LetterErased) -> Letter:
    """Everything that may hold the citizen's words goes, a clerk's remark on them too; the reason stays (R3.7)."""
    letter = known(state)
    if not fact.text:
        return letter.model_copy(update={"contact_erased_at": fact.at})
    discarded = letter.discarded.model_copy(update={"remark": ""}) if letter.discarded else None
    gone = {"subject": "", "body": "", "attachments": (), "discarded": discarded, "erased_at": fact.at}
    return letter.model_copy(update=gone)


ON: Mapping[type[Fact], Callable[[Letter | None, Any], Letter | None]] = {
    LetterReceived: _received,
    LetterRead: _moved(read_at=lambda _, f: f.at, read_by=lambda _, f: f.by),
    LetterReclassified: _moved(classification=lambda _, f: f.after, corrections=lambda s, f: (*s.corrections, f)),
    LetterRegistered: _moved(number=lambda _, f: f.number, registered_at=lambda _, f: f.at),
    LetterDiscarded: _moved(discarded=lambda _, f: f),
    LetterErased: _erased,
    LetterNoted: _moved(noted_at=lambda _, f: f.at, noted_by=lambda _, f: f.by, noted_remark=lambda _, f: f.remark),
    HandoffSent: _moved(handoffs=_handed_on),
    HandoffCollected: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, collected_at=f.at)),
    HandoffReturned: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, ended=True, ended_at=f.at)),
    SlipWithdrawn: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, ended=True, ended_at=f.at)),
    CitizenTold: _moved(told=lambda s, f: (*s.told, Told(mailbox=f.mailbox, channel=f.channel, text=f.text, at=f.at))),
    ReplyDueSet: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, due_at=f.due_at)),
    ReplyDueChanged: _moved(handoffs=_due_changed),
    ReplyOverdue: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, overdue=True)),
    ReplySentBack: _moved(reopened=lambda s, _: bool(s.answers)),
    CitizenAnswered: _moved(
        answers=lambda s, f: (*s.answers, Answer(mailbox=f.mailbox, channel=f.channel, text=f.text, at=f.at)),
        reopened=lambda _s, _f: False,
    ),
    LetterPublished: _moved(published_at=lambda _, f: f.at, withdrawn_at=lambda _s, _f: None),
    PublicationWithdrawn: _moved(withdrawn_at=lambda _, f: f.at),
}
"""Every fact that changes what intake knows of a letter."""
