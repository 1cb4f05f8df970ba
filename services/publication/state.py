"""A publication case as it is kept, and how facts change it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from json import dumps
from typing import Any

from services.publication.board import CHANGES, Handoff
from shared.contracts.errors import NotFound
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterErased,
    LetterPublished,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    NoticePosted,
    NoticeRemoved,
    PublicationPrepared,
    PublicationWithdrawn,
    PublicationWithheld,
    ReplyApproved,
    ReplyDueChanged,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.types import Attachment, Classification, Labelled, Moment, Nature, Number, PublishedFile, Value


class Status(Labelled):
    """Where a case stands."""

    OPEN = "open", "办理中"
    TO_PREPARE = "to-prepare", "待拟公开稿"
    TO_APPROVE = "to-approve", "待审批"
    PUBLISHED = "published", "已公开"
    WITHHELD = "withheld", "不予公开"
    WITHDRAWN = "withdrawn", "已撤回公开"


class PublicText(Value):
    """What is, or shall be, shown to the public."""

    subject: str
    body: str
    reply: str
    attachments: tuple[PublishedFile, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the JSON list [subject, body, reply] in UTF-8, without spaces between; one text, one hash.

        With files, [subject, body, reply, [[name, sha256 of the content], …]] in their order.
        """
        parts: list[Any] = [self.subject, self.body, self.reply]
        if self.attachments:
            parts.append([[file.name, file.sha256] for file in self.attachments])
        return sha256(dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


class Received(Value):
    """The letter as the citizen wrote it; staff see it, the public never does."""

    mailbox: str
    subject: str
    body: str
    may_publish: bool
    at: Moment | None = None
    attachments: tuple[Attachment, ...] = ()
    """What the citizen sent; intake has the files."""


class Case(Value):
    """The state of one letter."""

    letter_id: str
    received: Received | None = None
    nature: Nature | None = None
    domain: str | None = None
    region: str | None = None
    """What it is about, as corrected last (R3.2)."""
    reported_mailbox: str | None = None
    """For a report (举报): the mailbox it is about, which never gets to see it."""
    reported_people: tuple[str, ...] = ()
    """For a report: the people it is about, who never get to see it."""
    number: Number | None = None
    answer: CitizenAnswered | None = None
    """It opens the case (R8.3)."""
    prepared: PublicationPrepared | None = None
    """The last text prepared and not decided on."""
    approved: LetterPublished | None = None
    """The text that is public."""
    withheld: PublicationWithheld | None = None
    withdrawn: PublicationWithdrawn | None = None
    """Set from the withdrawal until a text is approved again."""
    handoffs: tuple[Handoff, ...] = ()

    @property
    def waiting(self) -> PublicationPrepared | None:
        """The text that waits for a decision: prepared for the answer in force."""
        prepared, answer = self.prepared, self.answer
        return prepared if prepared is not None and answer is not None and prepared.at >= answer.at else None

    @property
    def status(self) -> Status:
        """Where the case stands; a correction of a public text is `to-approve` while the approved text stays public."""
        if self.withheld is not None:
            return Status.WITHHELD
        if self.waiting is not None:
            return Status.TO_APPROVE
        if self.approved is not None:
            return Status.PUBLISHED
        if self.withdrawn is not None:
            return Status.WITHDRAWN
        return Status.OPEN if self.answer is None else Status.TO_PREPARE

    @property
    def since(self) -> datetime | None:
        """When the case came to its status; none while it is not open."""
        reached = self.withheld or self.waiting or self.approved or self.withdrawn or self.answer
        return reached.at if reached else None

    @property
    def mailbox(self) -> str | None:
        """The mailbox that decides: that answered or, where its reply was sent back since, that had decided before."""
        decided = self.answer or self.approved or self.withdrawn or self.withheld
        return decided.mailbox if decided else None

    @property
    def files(self) -> frozenset[str]:
        """The ids of the files that the public text, or the one that waits, names."""
        texts = [text for text in (self.waiting, self.approved) if text is not None]
        return frozenset(file.id for text in texts for file in text.attachments)

    @property
    def mailboxes(self) -> frozenset[str]:
        """The mailboxes that the letter was written, handed or left to (R10.2)."""
        involved = {part.mailbox for part in (self.received, self.answer) if part is not None}
        for handoff in self.handoffs:
            involved |= {handoff.sender} if handoff.withdrawn else {handoff.sender, handoff.receiver}
        return frozenset(involved - {""})

    @property
    def notices(self) -> tuple[Handoff, ...]:
        """The hand-offs that stand on the notice board now (R7.2)."""
        return tuple(h for h in self.handoffs if h.posted_at is not None and h.removed_at is None)

    def is_answered(self, handoff: Handoff) -> bool:
        """Whether nothing more is owed on a hand-off."""
        return handoff.over or self.answer is not None


def known(state: Case | None) -> Case:
    """Return the letter's state.

    Raises:
        NotFound: there is none.
    """
    if state is None:
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def _case(state: Case | None, fact: Fact, **changes: Any) -> Case:
    return (state or Case(letter_id=fact.letter_id)).model_copy(update=changes)


def _handoff(state: Case | None, fact: Any) -> Case:
    """Change what the board knows of one hand-off, which is made when it is first heard of; their order is that of their ids."""
    case = _case(state, fact)
    handoffs = {handoff.id: handoff for handoff in case.handoffs}
    before = handoffs.get(fact.handoff_id) or Handoff(id=fact.handoff_id)
    handoffs[before.id] = before.model_copy(update=dict(CHANGES[type(fact)](before, fact)))
    return case.model_copy(update={"handoffs": tuple(handoffs[key] for key in sorted(handoffs))})


def _received(state: Case | None, fact: LetterReceived) -> Case:
    received = Received(
        mailbox=fact.mailbox,
        subject=fact.subject,
        body=fact.body,
        may_publish=fact.may_publish,
        at=fact.at,
        attachments=fact.attachments,
    )
    return _case(state, fact, received=received, **_about(fact.classification))


def _erased(state: Case | None, fact: LetterErased) -> Case:
    """The text goes here too (R3.7), and what was prepared or public of it: that is withdrawn before a text is erased on request."""
    if not fact.text:
        return _case(state, fact)
    received = state.received if state else None
    gone = {"subject": "", "body": "", "attachments": ()}
    emptied = received.model_copy(update=gone) if received else None
    return _case(state, fact, received=emptied, prepared=None, approved=None)


def _reclassified(state: Case | None, fact: LetterReclassified) -> Case:
    return _case(state, fact, **_about(fact.after))


def _about(classification: Classification) -> dict[str, Any]:
    return {
        "nature": classification.nature,
        "domain": classification.domain,
        "region": classification.region,
        "reported_mailbox": classification.reported_mailbox,
        "reported_people": classification.reported_people,
    }


def _registered(state: Case | None, fact: LetterRegistered) -> Case:
    return _case(state, fact, number=fact.number)


def _sent(state: Case | None, fact: HandoffSent) -> Case:
    return _handoff(_case(state, fact, number=fact.number), fact)


def _sent_back(state: Case | None, fact: ReplySentBack) -> Case:
    return _handoff(_case(state, fact, answer=None), fact)


def _answered(state: Case | None, fact: CitizenAnswered) -> Case:
    return _case(state, fact, answer=fact)


def _prepared(state: Case | None, fact: PublicationPrepared) -> Case:
    return _case(state, fact, prepared=fact)


def _published(state: Case | None, fact: LetterPublished) -> Case:
    return _case(state, fact, approved=fact, prepared=None, withdrawn=None)


def _withheld(state: Case | None, fact: PublicationWithheld) -> Case:
    return _case(state, fact, withheld=fact, prepared=None, approved=None)


def _withdrawn(state: Case | None, fact: PublicationWithdrawn) -> Case:
    return _case(state, fact, withdrawn=fact, prepared=None, approved=None)


ON: Mapping[type[Fact], Callable[[Case | None, Any], Case | None]] = {
    LetterReceived: _received,
    LetterErased: _erased,
    LetterReclassified: _reclassified,
    LetterRegistered: _registered,
    HandoffSent: _sent,
    SlipWithdrawn: _handoff,
    HandoffReturned: _handoff,
    ReplyOverdue: _handoff,
    UrgingSent: _handoff,
    ReplyApproved: _handoff,
    ReplySentBack: _sent_back,
    ReplyDueChanged: _handoff,
    CitizenAnswered: _answered,
    PublicationPrepared: _prepared,
    LetterPublished: _published,
    PublicationWithheld: _withheld,
    PublicationWithdrawn: _withdrawn,
    NoticePosted: _handoff,
    NoticeRemoved: _handoff,
}
"""Every fact that changes what publication knows of a letter."""
