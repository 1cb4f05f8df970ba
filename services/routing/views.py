"""How routing shows letters over HTTP: each mailbox sees what concerns it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from services.routing.state import Clock, Handoff, Reply, Slip, State
from shared.contracts.types import Actor, AnswerBy, Attachment, Channel, Classification, Nature
from shared.security.tokens import Caller


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class SlipState(StrEnum):
    """Where a slip stands."""

    OPEN = "open"
    SENT = "sent"
    REFUSED = "refused"


class ReplyState(StrEnum):
    """Where a draft reply stands."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    REPLACED = "replaced"
    """A newer draft took its place."""


class SlipView(_View):
    """An assignment slip (交办单); only the mailbox that made it and the duty office see it."""

    slip_id: str
    state: SlipState
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    prepared_by: Actor
    prepared_at: datetime
    decided_by: Actor | None
    decided_at: datetime | None
    reason: str | None = Field(description="why the head refused it")


class ReplyView(_View):
    """A reply (承办回复). The assigner sees it once it is approved."""

    reply_id: str
    state: ReplyState
    text: str
    author: Actor
    at: datetime
    decided_by: Actor | None
    decided_at: datetime | None
    reason: str | None


class ProgressView(_View):
    """An explanation of progress (R7.1)."""

    text: str
    by: Actor
    at: datetime


class HandoffView(_View):
    """A hand-off (交办). Times are UTC."""

    handoff_id: str
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    prepared_by: Actor
    approved_by: Actor
    sent_at: datetime
    collected_by: Actor | None
    collected_at: datetime | None
    due_at: datetime | None = Field(description="from this moment it is overdue (R6.1)")
    provisional: bool
    reminded_at: datetime | None
    overdue_at: datetime | None = Field(description="when it was declared overdue")
    urgings: int = Field(description="urging slips (催办单) that went out (R7.1)")
    replied_at: datetime | None
    progress: list[ProgressView] = Field(description="the latest ones")
    replies: list[ReplyView] = Field(description="the latest ones")


class AnswerView(_View):
    """The citizen's answer (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    author: Actor
    at: datetime


class LetterView(_View):
    """A letter and its handling."""

    letter_id: str
    version: int
    stage: str
    stage_label: str
    since: datetime | None = Field(description="since when it is at this stage")
    mailbox: str = Field(description="the first-receiving mailbox")
    number: str | None
    number_ascii: str | None
    received_at: datetime
    registered_at: datetime | None
    subject: str
    body: str
    classification: Classification
    attachments: list[Attachment]
    slips: list[SlipView]
    handoffs: list[HandoffView]
    answer: AnswerView | None


class LetterRow(_View):
    """A letter in a list."""

    letter_id: str
    version: int
    number: str | None
    number_ascii: str | None
    subject: str
    nature: Nature
    mailbox: str
    stage: str
    stage_label: str
    since: datetime
    sender: str | None = Field(description="of the slip or hand-off")
    receiver: str | None
    slip_id: str | None = Field(description="of the slip that waits")
    handoff_id: str | None
    reply_id: str | None = Field(description="of the draft that waits")
    due_at: datetime | None
    overdue: bool
    urgings: int


def letter_view(state: State, version: int, caller: Caller) -> LetterView:
    """Show a letter to somebody who may see it; it must have been received."""
    letter = state.letter
    assert letter is not None
    return LetterView(
        letter_id=state.letter_id,
        version=version,
        stage=state.stage.value,
        stage_label=state.stage.label,
        since=state.since,
        mailbox=letter.mailbox,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        received_at=letter.received_at,
        registered_at=letter.registered_at,
        subject=letter.subject,
        body=letter.body,
        classification=letter.classification,
        attachments=list(letter.attachments),
        slips=[_slip(slip) for slip in state.slips if caller.is_duty_officer or caller.mailbox == slip.sender],
        handoffs=[_handoff(handoff, state.clocks.get(handoff.id, Clock()), caller) for handoff in state.handoffs],
        answer=AnswerView(**dict(state.answer)) if state.answer else None,
    )


def letter_row(state: State, version: int) -> LetterRow | None:
    """Show a letter in a list; none: it stands in no list."""
    letter, handoff, slip = state.letter, state.handoff, state.slip
    if letter is None or state.since is None:
        return None
    way = slip or handoff
    clock = state.clocks.get(handoff.id, Clock()) if handoff else Clock()
    draft = handoff.draft if handoff else None
    return LetterRow(
        letter_id=state.letter_id,
        version=version,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        subject=letter.subject,
        nature=letter.classification.nature,
        mailbox=letter.mailbox,
        stage=state.stage.value,
        stage_label=state.stage.label,
        since=state.since,
        sender=way.sender if way else None,
        receiver=way.receiver if way else None,
        slip_id=slip.id if slip else None,
        handoff_id=handoff.id if handoff else None,
        reply_id=draft.id if draft else None,
        due_at=clock.due_at,
        overdue=clock.overdue_at is not None and handoff is not None and handoff.replied_at is None,
        urgings=handoff.urged if handoff else 0,
    )


def _slip(slip: Slip) -> SlipView:
    decision = slip.decision
    state = SlipState.OPEN
    if decision is not None:
        state = SlipState.SENT if decision.reason is None else SlipState.REFUSED
    return SlipView(
        slip_id=slip.id,
        state=state,
        sender=slip.sender,
        receiver=slip.receiver,
        opinion=slip.opinion,
        requirements=slip.requirements,
        answer_by=slip.answer_by,
        written_reply=slip.written_reply,
        prepared_by=slip.prepared_by,
        prepared_at=slip.prepared_at,
        decided_by=decision.by if decision else None,
        decided_at=decision.at if decision else None,
        reason=decision.reason if decision else None,
    )


def _handoff(handoff: Handoff, clock: Clock, caller: Caller) -> HandoffView:
    replies = [_reply(reply, handoff) for reply in handoff.replies]
    if caller.mailbox != handoff.receiver and not caller.is_duty_officer:
        replies = [reply for reply in replies if reply.state is ReplyState.APPROVED]
    return HandoffView(
        handoff_id=handoff.id,
        sender=handoff.sender,
        receiver=handoff.receiver,
        opinion=handoff.opinion,
        requirements=handoff.requirements,
        answer_by=handoff.answer_by,
        written_reply=handoff.written_reply,
        prepared_by=handoff.prepared_by,
        approved_by=handoff.approved_by,
        sent_at=handoff.sent_at,
        collected_by=handoff.collected_by,
        collected_at=handoff.collected_at,
        due_at=clock.due_at,
        provisional=clock.provisional,
        reminded_at=clock.reminded_at,
        overdue_at=clock.overdue_at,
        urgings=handoff.urged,
        replied_at=handoff.replied_at,
        progress=[ProgressView(**dict(one)) for one in handoff.progress],
        replies=replies,
    )


def _reply(reply: Reply, handoff: Handoff) -> ReplyView:
    decision = reply.decision
    if decision is not None:
        state = ReplyState.APPROVED if decision.reason is None else ReplyState.REFUSED
    else:
        state = ReplyState.OPEN if reply == handoff.draft else ReplyState.REPLACED
    return ReplyView(
        reply_id=reply.id,
        state=state,
        text=reply.text,
        author=reply.author,
        at=reply.at,
        decided_by=decision.by if decision else None,
        decided_at=decision.at if decision else None,
        reason=decision.reason if decision else None,
    )
