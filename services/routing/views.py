"""What routing shows of letters over HTTP: the shapes. `showing.py` fills them."""

from datetime import date, datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Channel,
    Classification,
    ExtensionOutcome,
    Medium,
    Nature,
    Way,
)
from shared.web.paging import Page


class View(BaseModel):
    """A part of an answer; made of the part of the state with the same fields."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


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
    SENT_BACK = "sent_back"
    """It was approved, and the assigner sent it back to be done again (R7.3)."""


class SlipView(View):
    """A slip (处理单, 交办单, 转阅单, 呈办单); only the mailbox that made it and the duty office see it."""

    slip_id: str
    way: Way
    state: SlipState
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    medium: Medium
    working_days: int | None
    parent: str | None
    prepared_by: Actor
    prepared_at: datetime
    decided_by: Actor | None
    decided_at: datetime | None
    reason: str | None = Field(description="why the head refused it")


class DocumentView(View):
    """A formal document (正式行文, R6.2)."""

    number: str
    dated: date
    scan: Attachment | None


class ReplyView(View):
    """A reply (承办回复). The assigner sees it once it is approved."""

    reply_id: str
    state: ReplyState
    text: str
    document: DocumentView | None
    attachments: list[Attachment]
    channel: Channel = Field(description="how the assignee answers the citizen, where it is asked to (R8.3)")
    author: Actor
    at: datetime
    decided_by: Actor | None
    decided_at: datetime | None
    reason: str | None


class NoteView(View):
    """An explanation of progress (R7.1), or how an instruction is carried out (R8.1)."""

    text: str
    by: Actor
    at: datetime


class EndView(View):
    """How a hand-off was withdrawn or returned."""

    by: Actor
    at: datetime
    reason: str | None


class ToldView(View):
    """How the citizen was told where the letter went (R4.3)."""

    channel: Channel
    text: str
    by: Actor
    at: datetime


class SentBackView(View):
    """How a reply was sent back (R7.3)."""

    reply_id: str
    reason: str
    requirements: str
    count: int
    working_days: int | None
    by: Actor
    at: datetime


class ExtensionView(View):
    """An application for more time (R6.4)."""

    extension_id: str
    reason: str
    wanted_due_at: datetime
    oral: bool
    by: Actor
    at: datetime
    outcome: ExtensionOutcome | None
    due_at: datetime | None = Field(description="the new limit")
    decided_by: Actor | None
    decided_at: datetime | None
    answer: str | None = Field(description="the assigner's reason")


class HandoffView(View):
    """A hand-off (直办, 交办, 转阅, 呈办). Times are UTC."""

    handoff_id: str
    way: Way
    state: str = Field(description="where the hand-off stands by itself")
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    medium: Medium
    working_days: int | None
    parent: str | None = Field(description="the hand-off under which the sender had the letter")
    prepared_by: Actor
    approved_by: Actor
    sent_at: datetime
    collected_by: Actor | None
    collected_at: datetime | None
    withdrawn: EndView | None
    returned: EndView | None
    told: ToldView | None
    due_at: datetime | None = Field(description="from this moment it is overdue (R6.1)")
    provisional: bool
    reminded_at: datetime | None
    overdue_at: datetime | None = Field(description="when it was declared overdue")
    urgings: int = Field(description="urging slips (催办单) that went out (R7.1)")
    replied_at: datetime | None
    progress: list[NoteView] = Field(description="the latest ones")
    replies: list[ReplyView] = Field(description="the latest ones")
    sent_back: list[SentBackView] = Field(description="the latest ones")
    extensions: list[ExtensionView] = Field(description="the latest ones")


class InstructionView(View):
    """A leader's instruction (批示, R8.1); seen by the staff who follow it, the leader's mailbox and the duty office."""

    instruction_id: str
    mailbox: str
    leader: Actor
    text: str
    report_by: datetime
    at: datetime
    follow_ups: list[NoteView]
    ended: NoteView | None


class AnswerView(View):
    """The citizen's answer (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    author: Actor
    at: datetime


class LetterView(View):
    """A letter and its handling."""

    letter_id: str
    version: int
    stage: str
    stage_label: str
    since: datetime | None = Field(description="since when it is at this stage")
    mailbox: str = Field(description="the first-receiving mailbox")
    holder: str | None = Field(description="the mailbox that has it; null once nobody handles it any more")
    flagged: bool = Field(description="it goes to and fro (R5.1)")
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
    instructions: list[InstructionView]
    answer: AnswerView | None = Field(
        description="null again while a reply that answered the citizen is done again (R7.3)"
    )
    answers: list[AnswerView]


class LetterRow(View):
    """A letter in a list."""

    letter_id: str
    version: int
    number: str | None
    number_ascii: str | None
    subject: str
    nature: Nature
    domain: str
    region: str
    mailbox: str
    received_at: datetime
    place: str | None = Field(default=None, description="where it stands for this mailbox; in filtered lists")
    place_label: str | None = None
    stage: str
    stage_label: str
    since: datetime = Field(
        description="since when it is at this stage; before it is registered, since it was received"
    )
    holder: str | None
    flagged: bool
    way: Way | None = Field(description="of the slip or hand-off that concerns this list")
    sender: str | None
    receiver: str | None
    slip_id: str | None = Field(description="of the slip that waits")
    handoff_id: str | None
    reply_id: str | None = Field(description="of the draft that waits")
    extension_id: str | None = Field(description="of the application that waits")
    instruction_id: str | None = Field(description="of this mailbox's first open instruction")
    report_by: datetime | None = Field(description="of that instruction")
    reason: str | None = Field(description="why the receiver returned it")
    due_at: datetime | None
    overdue: bool
    urgings: int


class LetterList(Page[LetterRow]):
    """A page of a list."""

    short: bool = Field(
        default=False,
        description="The page has fewer rows than `limit` though more may follow: one request looks only so far. Go on with `next`.",
    )
