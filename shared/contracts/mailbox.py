"""What one mailbox is told, on its own topic `mailbox.<code>`: the only place where contact data travels, and it expires."""

from typing import ClassVar

from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Classification,
    Contact,
    Moment,
    Number,
    Value,
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


class AssignmentArrived(MailboxMessage):
    """A letter was assigned to this mailbox (交办, R4.2): collect it and answer in time."""

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
    written_reply: bool
    approved_by: Actor


class ContactDisclosed(MailboxMessage):
    """How to reach the citizen, for the mailbox that must answer (R4.2, R8.3). Follows `AssignmentArrived`."""

    source: ClassVar[str] = "intake"
    handoff_id: str
    contact: Contact


class ReplyArrived(MailboxMessage):
    """The assignee's approved reply, for the assigner (R8.3)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    number: Number
    receiver: str
    text: str
    answer_by: AnswerBy


class DueSet(MailboxMessage):
    """The assignment must be answered by `due_at` (R6.1)."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    due_at: Moment
    provisional: bool


class ReminderArrived(MailboxMessage):
    """The limit is near."""

    source: ClassVar[str] = "routing"
    handoff_id: str
    due_at: Moment
    working_days_left: int


class UrgingArrived(MailboxMessage):
    """An urging slip (催办单, R7.1), numbered 第一次, 第二次 …"""

    source: ClassVar[str] = "routing"
    handoff_id: str
    number: Number
    count: int
    due_at: Moment


class ActionDone(MailboxMessage):
    """An action of this unit's system took effect."""

    source: ClassVar[str] = "routing"
    action_id: str
    action: str
    letter_version: int


class ActionRefused(MailboxMessage):
    """An action of this unit's system was refused: which rule, why, and what to do."""

    source: ClassVar[str] = "routing"
    action_id: str
    action: str
    rule: str
    """Rule id, e.g. R6.3; `message` where the message itself could not be understood."""
    reason: str
