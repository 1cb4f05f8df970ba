"""Publication cases and the notice board: what the public sees, and who decided it.

    finished ──▶ to-prepare ──prepare──▶ to-approve ──approve──▶ published     (R9.1)
                     │                    ▲  │  └────withhold───▶ withheld
                     │        prepare again  ▲                       ▲
                     │                       └──prepare── published  │         (a correction)
                     └────────────the citizen did not agree──────────┘         (R2.2)

A letter is finished when the citizen has an answer (R8.3); the case belongs to the mailbox that answered. A published letter may be
prepared again: the approved text stays public until another text is approved or the letter is withheld on a ground. A letter whose reply is
sent back is not finished any more (R7.3): nothing is approved until the citizen is answered again, and what was prepared before is void.

The board shows each hand-off that the mayor's mailbox urged, from the first urging until the reply (R7.2), and each whose reply it sent
back, until the next reply (R7.4).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from json import dumps
from typing import Any

from services.publication.board import CHANGES, Handoff, notice
from shared.contracts.errors import Forbidden, NotFound, RuleBroken
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
from shared.contracts.reports import is_about_somebody
from shared.contracts.types import Actor, Classification, Labelled, Moment, Nature, Number, Value, WithholdingGround


class Status(Labelled):
    """Where a case stands."""

    OPEN = "open", "办理中"
    TO_PREPARE = "to-prepare", "待拟公开稿"
    TO_APPROVE = "to-approve", "待审批"
    PUBLISHED = "published", "已公开"
    WITHHELD = "withheld", "不予公开"
    WITHDRAWN = "withdrawn", "已撤回公开"


MOVES: Mapping[str, frozenset[Status]] = {
    "prepare": frozenset({Status.TO_PREPARE, Status.TO_APPROVE, Status.PUBLISHED}),
    "approve": frozenset({Status.TO_APPROVE}),
    "withhold": frozenset({Status.TO_APPROVE}),
}
"""Move → the statuses in which it is allowed."""


class PublicText(Value):
    """What is, or shall be, shown to the public."""

    subject: str
    body: str
    reply: str

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the JSON list [subject, body, reply] in UTF-8, without spaces between: one text, one hash."""
        text = dumps([self.subject, self.body, self.reply], ensure_ascii=False, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


class Received(Value):
    """The letter as the citizen wrote it; staff see it, the public never does."""

    mailbox: str
    subject: str
    body: str
    may_publish: bool
    at: Moment | None = None


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


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def known(state: Case | None) -> Case:
    """Return the letter's state.

    Raises:
        NotFound: there is none.
    """
    if state is None:
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state


def opened(state: Case | None, move: str = "") -> tuple[Case, CitizenAnswered]:
    """Return the case and the answer that opened it.

    Raises:
        NotFound: there is no such letter.
        RuleBroken: it is not finished, or its status does not allow `move` (R9.1).
    """
    case = known(state)
    if case.answer is None:
        raise RuleBroken(
            "R9.1",
            "来信尚未办结；答复来信人之后才进入公示 / The letter is not finished; publication begins once the citizen is answered",
        )
    if move and case.status not in MOVES[move]:
        allowed = "、".join(status.label for status in Status if status in MOVES[move])
        names = ", ".join(status.value for status in Status if status in MOVES[move])
        raise RuleBroken(
            "R9.1",
            f"此件现为“{case.status.label}”，只有“{allowed}”的才能这样处理 / "
            f"The case is {case.status.value}; to {move} it, it must be: {names}",
        )
    return case, case.answer


def prepare(
    state: Case | None, text: PublicText, grounds: Collection[WithholdingGround], by: Actor, now: datetime
) -> list[Fact]:
    """Propose the public text with the four questions answered; replaces what was proposed before (R9.1)."""
    case, answer = opened(state, "prepare")
    fact = PublicationPrepared(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=answer.mailbox,
        subject=text.subject,
        body=text.body,
        reply=text.reply,
        grounds=tuple(ground for ground in WithholdingGround if ground in grounds),
        text_hash=text.hash,
    )
    return [fact]


def approve(state: Case | None, text_hash: str, by: Actor, now: datetime) -> list[Fact]:
    """Make exactly the prepared text public (R9.1).

    Raises:
        Forbidden: the approver is the preparer.
        RuleBroken: another text is prepared by now, or there is a ground against publication.
    """
    case, answer = opened(state, "approve")
    prepared = case.waiting
    assert prepared is not None
    assert prepared.by is not None
    if by.subject == prepared.by.subject:
        raise Forbidden(
            "R9.1",
            "拟稿人不能审批自己拟的公开稿，请由另一人审批 / Who prepared the text cannot approve it; another person must",
        )
    if is_about_somebody(case):
        raise RuleBroken(
            "R9.1",
            "此件举报了具体单位或个人，公开即会为被举报者所知，只能不予公开 / "
            "It is a report about a unit or a person, who would read it on the public site: it can only be withheld",
        )
    if prepared.grounds:
        reasons = "、".join(ground.label for ground in prepared.grounds)
        raise RuleBroken(
            "R9.1",
            f"拟稿人认为此件{reasons}，只能不予公开或重新拟稿 / The preparer found a ground against publication "
            f"({', '.join(prepared.grounds)}): withhold it or have it prepared again",
        )
    if text_hash != prepared.text_hash:
        raise RuleBroken(
            "R9.1",
            "公开稿已更换，请重新阅读后再审批 / This is not the text that is prepared now; read it again and approve its text_hash",
        )
    if case.number is None:
        raise RuleBroken("R3.6", "来信没有编号，不能公开 / The letter has no number, so it cannot be published")
    fact = LetterPublished(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=answer.mailbox,
        number=case.number,
        subject=prepared.subject,
        body=prepared.body,
        reply=prepared.reply,
        text_hash=prepared.text_hash,
        prepared_by=prepared.by,
    )
    return [fact]


def withhold(state: Case | None, grounds: Collection[WithholdingGround], by: Actor, now: datetime) -> list[Fact]:
    """Decide not to publish, on the grounds prepared and those that the approver adds (R9.1)."""
    case, answer = opened(state, "withhold")
    assert case.waiting is not None
    found = {*case.waiting.grounds, *grounds}
    if not found:
        raise RuleBroken(
            "R9.1",
            "不予公开须有四项理由之一，请注明 / Withholding needs one of the four grounds; name it in `grounds`",
        )
    fact = PublicationWithheld(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=answer.mailbox,
        grounds=tuple(ground for ground in WithholdingGround if ground in found),
    )
    return [fact]


def follow(state: Case, now: datetime, *, mayor: str) -> Sequence[Fact]:
    """Return what the system decides by itself: refused consent (R2.2) and entries of the board (R7.2).

    Args:
        state: the letter.
        now: the moment.
        mayor: code of the mayor's mailbox, whose urgings are shown to the public.
    """
    facts: list[Fact] = []
    if state.status is Status.TO_PREPARE and state.received is not None and not state.received.may_publish:
        assert state.answer is not None
        facts.append(
            PublicationWithheld(letter_id=state.letter_id, at=now, mailbox=state.answer.mailbox, consent_refused=True)
        )
    for handoff in state.handoffs:
        facts += notice(
            state.letter_id, handoff, state.number, answered=state.is_answered(handoff), mayor=mayor, now=now
        )
    return facts


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
        mailbox=fact.mailbox, subject=fact.subject, body=fact.body, may_publish=fact.may_publish, at=fact.at
    )
    return _case(state, fact, received=received, **_about(fact.classification))


def _erased(state: Case | None, fact: LetterErased) -> Case:
    """The text of a letter that was not accepted goes here too (R3.7); it was never a case."""
    received = state.received if state else None
    return _case(state, fact, received=received.model_copy(update={"subject": "", "body": ""}) if received else None)


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
