"""What a unit's own system may ask to do, on its topic `actions.<code>`, keyed by letter id.

The unit is the one that the topic is named after, whatever the message says: broker ACLs tie the topic to its credentials. The CloudEvents
id is the action's id: the same id twice has one effect.
"""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.types import (
    AnswerBy,
    Attachment,
    Channel,
    ExtensionOutcome,
    FormalDocument,
    Medium,
    Value,
    Way,
)

Id = Annotated[str, Field(min_length=1, max_length=64)]
Subject = Annotated[str, Field(min_length=1, max_length=100)]
Code = Annotated[str, Field(min_length=1, max_length=80)]
Reason = Annotated[str, Field(min_length=1, max_length=2_000)]
Note = Annotated[str, Field(min_length=1, max_length=5_000)]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Days = Annotated[int, Field(ge=1, le=60)]
Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2100, 1, 1))]
"""A calendar day in Asia/Shanghai."""


class Action(Value):
    """A request of a unit about one letter that it has or had."""

    version: ClassVar[int] = 1

    letter_id: Id
    person: Subject
    """Who in the unit asks, as the unit's system knows them."""
    person_name: Annotated[str, Field(max_length=100)] = ""


class OnHandoff(Action):
    """A request about one hand-off of the letter."""

    handoff_id: Id


class OnInstruction(Action):
    """A request about one leader's instruction on the letter."""

    instruction_id: Id
    """Which instruction of the letter, e.g. `i1`."""


# ── slips ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class PrepareSlip(Action):
    """Draft a slip (处理单, 交办单, 转阅单 or 呈办单, R4.1–R4.4); it waits for the head."""

    way: Way = Way.ASSIGN
    to: Code
    """Mailbox code of the receiver; the unit's own code where it answers itself, or submits to its own leader."""
    opinion: Note
    requirements: Note
    answer_by: AnswerBy | None = None
    """Who answers the citizen: required on an assignment (R8.3); on a forward, `assignee` asks the receiver to (R4.3)."""
    written_reply: bool = False
    medium: Medium = Medium.SYSTEM
    working_days: Days | None = None
    """The limit, where it is not the regulation's (R6.1)."""


class ApproveSlip(Action):
    """Approve the slip as the unit's head, not the person who prepared it; the letter is handed on (R4.2)."""

    slip_id: Id


class RefuseSlip(Action):
    """Give the slip back to the clerk (R4.2)."""

    slip_id: Id
    reason: Reason


class WithdrawSlip(OnHandoff):
    """Take back what was sent in error, until it is collected (R4.2)."""

    reason: Reason


class TellCitizen(OnHandoff):
    """Record how the citizen was told where a forwarded letter went (R4.3)."""

    channel: Channel
    text: Note


# ── as a receiver ────────────────────────────────────────────────────────────────────────────────────────────────────


class CollectLetter(OnHandoff):
    """Sign for a letter (签收, R6.3); the sender does so for an office that it reaches by fax or post (R4.2)."""


class ReturnLetter(OnHandoff):
    """Return what was received in error (退件, R5.1)."""

    reason: Reason


class RecordProgress(OnHandoff):
    """Explain progress (R7.1)."""

    text: Note


class SubmitReply(OnHandoff):
    """Draft the unit's reply (R6.2)."""

    text: Annotated[str, Field(max_length=20_000)] = ""
    """May be empty only where a formal document goes to the assigner."""
    document: FormalDocument | None = None
    """Where the reply is a formal document (正式行文)."""
    attachments: tuple[Attachment, ...] = ()
    """Files that belong to the reply."""
    channel: Channel = Channel.ONLINE
    """How the unit answers the citizen, where the slip asks it to (R8.3): by phone, `text` is the note of the call."""


class ApproveReply(OnHandoff):
    """Approve the draft as the unit's head; not the person who wrote it (R6.2)."""


class RefuseReply(OnHandoff):
    """Give the draft back to its author."""

    reason: Reason


class RequestExtension(OnHandoff):
    """Apply for more time, before the limit (R6.4)."""

    reason: Reason
    wanted_day: Day
    """The wanted last day in time."""


# ── as an assigner ───────────────────────────────────────────────────────────────────────────────────────────────────


class DecideExtension(OnHandoff):
    """Decide on an application for more time (R6.4)."""

    extension_id: Id
    outcome: ExtensionOutcome
    last_day: Day | None = None
    """Where it is granted in part: the last day in time."""
    reason: Annotated[str, Field(max_length=2_000)] = ""


class RecordReply(OnHandoff):
    """Record a reply that came by fax or post (R4.2)."""

    text: Annotated[str, Field(max_length=20_000)] = ""
    document: FormalDocument | None = None
    """Where the reply is a formal document (正式行文)."""
    attachments: tuple[Attachment, ...] = ()
    """Files that belong to the reply."""
    handled_by: Subject
    """Who handled it there, by the paper (R6.2)."""
    approved_by: Subject
    """Who approved it there, by the paper (R6.2)."""
    channel: Channel = Channel.PHONE
    """How the office answered the citizen, where it was asked to (R8.3)."""


class SendBackReply(OnHandoff):
    """Send a reply back to be done again (退办, R7.3)."""

    reason: Reason
    requirements: Note
    working_days: Days | None = None
    """The new limit; none: the regulation's ten working days."""


class AnswerCitizen(Action):
    """Answer the citizen, or record the call: with the assignee's reply in hand (R8.3), or directly (R4.1)."""

    channel: Channel
    text: Text


# ── instructions ─────────────────────────────────────────────────────────────────────────────────────────────────────


class GiveInstruction(Action):
    """A leader's instruction (批示, R4.4, R8.1)."""

    text: Note
    report_by: Day
    """The day by which staff shall report to the leader."""


class FollowUpInstruction(OnInstruction):
    """Record how an instruction is carried out (R8.1)."""

    text: Note


class EndInstruction(OnInstruction):
    """End an instruction that is carried out, with the report to the leader (R8.1)."""

    text: Note
