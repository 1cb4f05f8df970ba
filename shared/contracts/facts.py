"""Every fact about a letter, in the order of a letter's life: the whole content of the topic `letters`.

A fact is past tense and complete: a consumer never calls back to understand one. `version` is part of the message type
(`xinxiang.LetterRegistered.v1`). To change a fact, add `LetterRegisteredV2` with `version = 2`, keep the old class and give it an
`upgrade()` that returns the new one: readers then always see the newest.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Channel,
    Classification,
    ExtensionOutcome,
    FormalDocument,
    InvalidReason,
    MarkCount,
    Medium,
    Moment,
    Number,
    Positive,
    PublishedFile,
    TurnTo,
    Value,
    Way,
    Whole,
    WithdrawalGround,
    WithholdingGround,
)

LETTERS = "letters"
"""The topic of all facts."""

Text = Annotated[str, Field(max_length=20_000)]
Remark = Annotated[str, Field(max_length=2_000)]


class Fact(Value):
    """Something that happened to one letter."""

    version: ClassVar[int] = 1
    source: ClassVar[str]
    """The one service that publishes it."""

    letter_id: str
    at: Moment
    """When it happened, by the system's clock."""
    by: Actor | None = None
    """Who did it; none: the system itself or the citizen."""
    caused_by: str | None = None
    """Id of the action message that asked for it, so that a repeated action has no second effect."""


# ── intake ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class LetterReceived(Fact):
    """A citizen's letter was stored (R2.2); `mailbox` is the one that receives it."""

    source: ClassVar[str] = "intake"
    mailbox: str
    subject: str
    body: str
    classification: Classification
    """As the citizen chose it (R3.2)."""
    may_publish: bool
    """The citizen's consent to publication."""
    attachments: tuple[Attachment, ...] = ()
    chosen_mailbox: str
    """What the citizen picked (R2.1); differs from `mailbox` only where a report was kept from the unit it is about."""


class LetterRead(Fact):
    """Staff opened the letter for the first time (R3.1)."""

    source: ClassVar[str] = "intake"


class LetterReclassified(Fact):
    """Staff corrected the classification (R3.2); both are kept."""

    source: ClassVar[str] = "intake"
    before: Classification
    after: Classification


class LetterRegistered(Fact):
    """The letter was accepted and got its line in the register (R3.6)."""

    source: ClassVar[str] = "intake"
    number: Number


class LetterDiscarded(Fact):
    """The letter was not accepted, for one of the five reasons (R3.0)."""

    source: ClassVar[str] = "intake"
    reason: InvalidReason
    remark: Remark = ""
    earlier_letter: str | None = None
    """For `repeated_or_empty`: the letter this one repeats."""
    same_sender: bool = False
    """Whether that letter came from the same phone or e-mail: only then is the citizen told which one it is."""
    turn_to: TurnTo | None = None
    """For `outside_government`: whose matter it is, where the clerk said so."""


class LetterErased(Fact):
    """What the citizen wrote was erased: an invalid letter's text after its retention (R3.7), or on lawful request, with its `ground`."""

    source: ClassVar[str] = "intake"
    reason: InvalidReason | None = None
    """Of an invalid letter: why it was not accepted; the fact and the reason stay."""
    ground: Remark = ""
    """On request: the law and article that ask for it."""
    text: bool = True
    """Whether the text and the files went, too; else the contact data alone."""


class LetterNoted(Fact):
    """The letter was archived for reference, without a number (掌握, R3.7)."""

    source: ClassVar[str] = "intake"
    remark: Remark = ""


# ── routing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class SlipPrepared(Fact):
    """A clerk drafted a slip (处理单, 交办单, 转阅单 or 呈办单, R4.1–R4.4); it waits for the head."""

    source: ClassVar[str] = "routing"
    slip_id: str
    sender: str
    """Mailbox code of the assigner."""
    receiver: str
    """Mailbox code of the assignee."""
    opinion: Text
    """Proposed opinion (拟办意见)."""
    requirements: Text
    answer_by: AnswerBy
    written_reply: bool = False
    """Whether a written reply (承办回复) is required (R6.2)."""
    way: Way = Way.ASSIGN
    medium: Medium = Medium.SYSTEM
    working_days: Annotated[int, Field(ge=1, le=60)] | None = None
    """The limit set by the assigner; none: the regulation's (R6.1)."""
    parent: str | None = None
    """The hand-off under which this one is made: a second assignment (R4.2b), or a 呈办单 turned into a 交办单 (R4.4b)."""


class SlipRefused(Fact):
    """The head refused the slip; the clerk has the letter again."""

    source: ClassVar[str] = "routing"
    slip_id: str
    reason: Remark


class HandoffSent(Fact):
    """The head approved the slip and the letter went to the assignee (R4.2). `by` is the approver."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    """The slip's id: one slip, one hand-off."""
    sender: str
    receiver: str
    opinion: Text
    requirements: Text
    answer_by: AnswerBy
    written_reply: bool
    prepared_by: Actor
    number: Number
    way: Way = Way.ASSIGN
    medium: Medium = Medium.SYSTEM
    working_days: Annotated[int, Field(ge=1, le=60)] | None = None
    parent: str | None = None


class HandoffCollected(Fact):
    """The assignee signed for the letter (签收, R6.3)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    receiver: str
    by_hand: bool = False
    """True: it travelled by fax or post, and the sender recorded the receipt (R4.2)."""


class SlipWithdrawn(Fact):
    """The sender took back a slip that was sent in error, before it was collected; the letter is pending there again."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    sender: str
    receiver: str
    reason: Remark


class HandoffReturned(Fact):
    """The receiver returned what it got in error, with the reason (退件, R5.1); the sender has it in its pending list again."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    sender: str
    receiver: str
    reason: Remark
    count: Positive
    """How often this letter has been returned."""
    flagged: bool
    """True: returned a second time, or by a mailbox that had returned it before; the duty office sees it."""


class CitizenTold(Fact):
    """The sender told the citizen where the letter went (R4.3)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    mailbox: str
    channel: Channel
    text: Text


class ProgressRecorded(Fact):
    """The assignee explained its progress, which holds off urging but not lateness (R7.1)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    text: Text


class ReplySubmitted(Fact):
    """The assignee drafted its reply; it waits for the approval of its head (R6.2)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    reply_id: str
    text: Text
    document: FormalDocument | None = None
    """Where the reply is a formal document (R6.2); `text` then sums it up."""
    attachments: tuple[Attachment, ...] = ()
    channel: Channel = Channel.ONLINE
    """How the assignee answers the citizen once it is approved, where the slip asks it to (R8.3)."""


class ReplyRefused(Fact):
    """The assignee's head refused the draft reply, with the reason."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    reply_id: str
    reason: Remark


class ReplyApproved(Fact):
    """The assignee's head approved the reply: the assignment is answered (R6.1 stops its clock)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    reply_id: str
    sender: str
    """The assigner, who gets the reply."""
    receiver: str
    """The assignee, who wrote it."""
    text: Text
    author: Actor
    answer_by: AnswerBy
    document: FormalDocument | None = None
    attachments: tuple[Attachment, ...] = ()
    by_hand: bool = False
    """True: it came by fax or post, and the assigner recorded it (R4.2)."""
    approver_name: str = ""
    """Where it came by fax or post: who approved it there, by the paper (R6.2); `by` recorded it."""


class ReplySentBack(Fact):
    """The assigner sent the reply back to be done again (退办, 附表8, R7.3)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    reply_id: str
    sender: str
    receiver: str
    reason: Remark
    requirements: Text
    count: Positive
    """第一次, 第二次 …"""
    working_days: Annotated[int, Field(ge=1, le=60)] | None = None
    """The new limit; none: the regulation's ten (R7.3)."""


class ExtensionRequested(Fact):
    """The assignee explained why it cannot answer in time and applied for more (R6.4); no urging while it is undecided."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    extension_id: str
    sender: str
    receiver: str
    reason: Remark
    wanted_due_at: Moment
    oral: bool = False
    """True: applied for by word of mouth and recorded by the duty office."""


class ExtensionDecided(Fact):
    """The assigner decided on an application for more time (R6.4)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    extension_id: str
    sender: str
    receiver: str
    outcome: ExtensionOutcome
    due_at: Moment | None = None
    """The new limit, where granted in whole or in part."""
    reason: Remark = ""
    """Required where it is refused or granted in part."""


class InstructionGiven(Fact):
    """A leader gave an instruction (批示) on the letter (R4.4, R8.1)."""

    source: ClassVar[str] = "routing"
    instruction_id: str
    mailbox: str
    leader: Actor
    text: Text
    report_by: Moment
    """When staff are reminded to report to the leader."""


class InstructionFollowedUp(Fact):
    """Staff recorded how an instruction is carried out (R8.1)."""

    source: ClassVar[str] = "routing"
    instruction_id: str
    mailbox: str
    text: Text


class InstructionEnded(Fact):
    """The instruction is carried out and the leader has the report (R8.1)."""

    source: ClassVar[str] = "routing"
    instruction_id: str
    mailbox: str
    text: Text


class CitizenAnswered(Fact):
    """The citizen has an answer (R8.3): the letter is finished."""

    source: ClassVar[str] = "routing"
    mailbox: str
    """Who answered."""
    channel: Channel
    text: Text
    """The answer, or the note of the call."""
    author: Actor


class UrgingSent(Fact):
    """The urging slip (催办单, 附表7) went to the assignee's mailbox (R7.1)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    sender: str
    receiver: str
    count: Positive
    due_at: Moment


# ── deadline ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class ReadingOverdue(Fact):
    """The letter was not read by the end of its reading day (日积日清, R3.1)."""

    source: ClassVar[str] = "deadline"
    mailbox: str
    due_at: Moment


class ReplyDueSet(Fact):
    """The assignee must answer by `due_at`, the end (24:00, Asia/Shanghai) of the tenth working day (R6.1)."""

    source: ClassVar[str] = "deadline"
    handoff_id: str
    receiver: str
    due_at: Moment
    working_days: Whole
    provisional: bool = False
    """True where no State Council schedule is known yet for some day counted."""


class ReplyReminded(Fact):
    """The assignee was reminded that its limit is near."""

    source: ClassVar[str] = "deadline"
    handoff_id: str
    receiver: str
    due_at: Moment
    working_days_left: Whole


class ReplyOverdue(Fact):
    """The limit passed without an approved reply (R6.1). Declared once for each due moment."""

    source: ClassVar[str] = "deadline"
    handoff_id: str
    sender: str
    receiver: str
    due_at: Moment


class ReplyDueChanged(Fact):
    """An open due date was recomputed, and why: an extension, a send-back, or a changed schedule (R6.1, R6.4, R7.3)."""

    source: ClassVar[str] = "deadline"
    handoff_id: str
    receiver: str
    before: Moment
    due_at: Moment
    why: Annotated[str, Field(pattern=r"^(extension|sent_back|schedule)$")]
    detail: Remark = ""
    """In words: which extension or send-back, or which years' schedules."""
    provisional: bool = False
    working_days: Whole | None = None
    """The working days that make `due_at`; none: it was granted (R6.4)."""


class InstructionReminded(Fact):
    """Staff were reminded that an open instruction must be reported on (R8.1)."""

    source: ClassVar[str] = "deadline"
    instruction_id: str
    mailbox: str
    report_by: Moment


class DispositionOverdue(Fact):
    """A registered letter was not disposed of within the set working days (R1.4)."""

    source: ClassVar[str] = "deadline"
    mailbox: str
    due_at: Moment


class UrgingDue(Fact):
    """An urging must go out now; `count` is its ordinal: 第一次, 第二次 … (R7.1)."""

    source: ClassVar[str] = "deadline"
    handoff_id: str
    sender: str
    receiver: str
    count: Positive
    due_at: Moment


# ── publication ──────────────────────────────────────────────────────────────────────────────────────────────────────


class PublicationPrepared(Fact):
    """A preparer proposed the public text and answered the four questions (R9.1)."""

    source: ClassVar[str] = "publication"
    mailbox: str
    subject: str
    body: Text
    reply: Text
    grounds: tuple[WithholdingGround, ...] = ()
    """The questions answered with yes; any one withholds the letter."""
    attachments: tuple[PublishedFile, ...] = ()
    """The files that shall be shown with it, in this order."""
    marks: tuple[MarkCount, ...] = ()
    """How the preparer decided on what was marked as personal data; empty: not said."""
    text_hash: str
    """SHA-256 (hex) of exactly this text and these files; approval is of one hash."""


class LetterPublished(Fact):
    """A head or leader approved the text: it is public (R9.1). `by` is the approver, never the preparer."""

    source: ClassVar[str] = "publication"
    mailbox: str
    number: Number
    subject: str
    body: Text
    reply: Text
    attachments: tuple[PublishedFile, ...] = ()
    text_hash: str
    prepared_by: Actor
    marks_left: Whole = 0
    """Pieces that still look like personal data, which the approver saw and confirmed."""


class PublicationWithheld(Fact):
    """The letter stays unpublished, with the ground (R9.1)."""

    source: ClassVar[str] = "publication"
    mailbox: str
    grounds: tuple[WithholdingGround, ...] = ()
    consent_refused: bool = False
    """True: the citizen did not agree to publication (R2.2)."""


class PublicationWithdrawn(Fact):
    """A published letter was taken off the public site, on every path at once (R9.1); the page says when and on what ground."""

    source: ClassVar[str] = "publication"
    mailbox: str
    number: Number
    ground: WithdrawalGround
    """Why, as the page says it."""
    remark: Remark = ""
    """For staff; the public never sees it."""


class NoticePosted(Fact):
    """An urged letter, or one whose reply was sent back, was put on the public notice board (公示栏, R7.2, R7.4)."""

    source: ClassVar[str] = "publication"
    handoff_id: str
    receiver: str
    number: Number
    due_at: Moment
    for_what: Annotated[str, Field(pattern=r"^(urged|sent_back)$")] = "urged"
    """Why it stands there: the assignee was urged (催办), or its reply was sent back (退办)."""


class NoticeRemoved(Fact):
    """The reply arrived: the entry left the board and stays in the record (R7.2)."""

    source: ClassVar[str] = "publication"
    handoff_id: str
    receiver: str
