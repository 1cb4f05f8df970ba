"""What one mailbox is told, on its own topic `mailbox.<code>`: the only place where contact data travels, and it expires."""

from typing import ClassVar

from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Channel,
    Classification,
    Contact,
    ExtensionOutcome,
    FormalDocument,
    Moment,
    Number,
    Positive,
    Value,
    Way,
    Whole,
)


class MailboxMessage(Value):
    """Something the mailbox should know at once (R6.3)."""

    version: ClassVar[int] = 1
    source: ClassVar[str]

    letter_id: str
    at: Moment
    mailbox: str
    """The mailbox that is told."""


class LetterArrived(MailboxMessage):
    """A citizen wrote to this mailbox."""

    source: ClassVar[str] = "intake"
    subject: str
    body: str
    classification: Classification
    contact: Contact
    attachments: tuple[Attachment, ...] = ()
    may_publish: bool


class LetterHandedOn(MailboxMessage):
    """A letter that another mailbox hands on to this one, with its slip."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    sender: str
    number: Number
    subject: str
    body: str
    classification: Classification
    attachments: tuple[Attachment, ...] = ()
    opinion: str
    requirements: str
    answer_by: AnswerBy
    approved_by: Actor


class AssignmentArrived(LetterHandedOn):
    """A letter was assigned to this mailbox (交办, R4.2; within its unit also 直办, R4.1): collect it and answer in time."""

    written_reply: bool
    way: Way = Way.ASSIGN
    working_days: Whole | None = None
    """The limit set by the assigner; none: the regulation's (R6.1)."""


class ForwardArrived(LetterHandedOn):
    """A letter within this mailbox's scope was forwarded to it (转阅, R4.3): collect it and handle it further.

    No reply is required; with `answer_by` = `assignee` the sender asks this mailbox to answer the citizen.
    """


class SubmissionArrived(LetterHandedOn):
    """A letter was submitted to the mayor's mailbox for coordination, or to the own leader for instructions (呈办, R4.4)."""


class ContactDisclosed(MailboxMessage):
    """How to reach the citizen, for the mailbox that must answer (R4.2, R8.3). Follows `AssignmentArrived`."""

    source: ClassVar[str] = "intake"
    handoff_id: str
    contact: Contact


class SlipGivenBack(MailboxMessage):
    """The head refused this mailbox's slip, and why: its clerk has the letter again (R4.2)."""

    source: ClassVar[str] = "routing"
    slip_id: str
    number: Number
    reason: str


class WithdrawalArrived(MailboxMessage):
    """The sender took back a letter that it had sent in error; there is nothing more to do here (R4.2)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    sender: str
    reason: str


class ReturnArrived(MailboxMessage):
    """The receiver returned the letter (退件, R5.1): it is with this mailbox again, to be disposed of anew."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    number: Number
    receiver: str
    reason: str
    count: Positive
    """How often this letter has been returned."""
    flagged: bool
    """True: it goes to and fro, and the duty office sees it."""


class ReplyArrived(MailboxMessage):
    """The assignee's approved reply, for the assigner (R8.3)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    number: Number
    receiver: str
    text: str
    answer_by: AnswerBy
    document: FormalDocument | None = None
    """Where the reply is a formal document (R6.2)."""
    attachments: tuple[Attachment, ...] = ()
    """Files that belong to the reply."""


class SendBackArrived(MailboxMessage):
    """The assigner sent the reply back (退办单, 附表8, R7.3): it is to be done again, by a new limit."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    reply_id: str
    number: Number
    sender: str
    reason: str
    requirements: str
    count: Positive
    """第一次, 第二次 …"""


class ResultArrived(MailboxMessage):
    """The citizen was answered by another mailbox; told to those through whose hands the letter went (R8.2, R8.4)."""

    source: ClassVar[str] = "routing"
    number: Number
    answered_by: str
    """Mailbox code of who answered."""
    channel: Channel
    text: str


class DueSet(MailboxMessage):
    """The assignment must be answered by `due_at` (R6.1)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    due_at: Moment
    provisional: bool


class DueMoved(MailboxMessage):
    """The limit has changed: an extension (R6.4), a send-back (R7.3) or a changed schedule of working days (R6.1)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    before: Moment
    """The limit until now."""
    due_at: Moment
    why: str
    """`extension`, `sent_back` or `schedule`."""
    detail: str = ""
    """More about it, in words."""
    provisional: bool


class ReminderArrived(MailboxMessage):
    """The limit is near. Of an office that is reached by fax or post the assigner is told, and passes it on (R4.2)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    due_at: Moment
    working_days_left: Whole


class UrgingArrived(MailboxMessage):
    """An urging slip (催办单, R7.1), numbered 第一次, 第二次 …; by fax or post the assigner gets it, to pass on (R4.2)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    number: Number
    count: Positive
    due_at: Moment


class ExtensionAsked(MailboxMessage):
    """The assignee applied for more time (R6.4): grant it, in whole or in part, or refuse it."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    extension_id: str
    number: Number
    receiver: str
    reason: str
    wanted_due_at: Moment
    oral: bool
    """True: applied for by word of mouth and recorded by the duty office."""


class ExtensionAnswered(MailboxMessage):
    """The assigner decided on the application for more time (R6.4)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    extension_id: str
    outcome: ExtensionOutcome
    due_at: Moment | None = None
    """The new limit, where granted in whole or in part."""
    reason: str = ""


class InstructionArrived(MailboxMessage):
    """A leader gave an instruction (批示, R4.4, R8.1): follow it, and report by the day given."""

    source: ClassVar[str] = "routing"
    instruction_id: str
    number: Number
    leader: Actor
    text: str
    report_by: Moment


class InstructionDue(MailboxMessage):
    """The leader waits for the report on an instruction (R8.1)."""

    source: ClassVar[str] = "routing"
    instruction_id: str
    number: Number
    report_by: Moment


class DispositionDue(MailboxMessage):
    """A registered letter should have been disposed of by `due_at` (R1.4)."""

    source: ClassVar[str] = "routing"
    number: Number
    due_at: Moment


class ActionDone(MailboxMessage):
    """An action of this unit's system took effect."""

    source: ClassVar[str] = "routing"
    action_id: str
    action: str
    letter_version: Positive


class ActionRefused(MailboxMessage):
    """An action of this unit's system was refused: which rule, why, and what to do."""

    source: ClassVar[str] = "routing"
    action_id: str
    action: str
    rule: str
    """Rule id, e.g. R6.3; `message` where the message itself could not be understood."""
    reason: str
