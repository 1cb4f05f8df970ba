"""What staff send to routing over HTTP."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.routing.domain import Application, PaperReply, ReplyText, SlipText, Verdict
from shared.calendar.zone import end_of_day
from shared.contracts.actions import Day
from shared.contracts.types import (
    AnswerBy,
    Attachment,
    Channel,
    ExtensionOutcome,
    FormalDocument,
    Medium,
    Way,
)


class SlipIn(BaseModel):
    """A slip: 处理单, 交办单, 转阅单 or 呈办单 (附表2–5)."""

    way: Way = Field(
        default=Way.ASSIGN, description="direct 直办 R4.1, assign 交办 R4.2, forward 转阅 R4.3, submit_up 呈办 R4.4"
    )
    receiver: str = Field(
        max_length=80,
        description="code of the mailbox that shall have it; the sender's own code where it answers itself, or submits to its own leader",
        examples=["water"],
    )
    opinion: str = Field(
        min_length=1,
        max_length=5_000,
        description="拟办意见",
        json_schema_extra={"rule": "R4.2"},
        examples=["拟交水务集团办理"],
    )
    requirements: str = Field(
        min_length=1,
        max_length=5_000,
        description="办理要求",
        json_schema_extra={"rule": "R4.2"},
        examples=["依法办理并答复来信人"],
    )
    answer_by: AnswerBy | None = Field(
        default=None,
        description="who answers the citizen: required on an assignment (R8.3); on a forward, `assignee` asks the receiver to (R4.3)",
        json_schema_extra={"rule": "R8.3"},
    )
    written_reply: bool = Field(default=False, description="whether a written reply (承办回复) is required (R6.2)")
    medium: Medium = Field(
        default=Medium.SYSTEM,
        description="fax or post: to an office that is not connected; the sender records its steps (R4.2)",
    )
    working_days: int | None = Field(
        default=None,
        ge=1,
        le=60,
        description="the limit; none: ten working days (R6.1)",
        json_schema_extra={"rule": "R6.1"},
    )

    def text(self) -> SlipText:
        """Return the slip as the domain takes it."""
        return SlipText(**dict(self))


class ReasonIn(BaseModel):
    """Why something is refused, withdrawn or returned."""

    reason: str = Field(min_length=1, max_length=2_000)


class NoteIn(BaseModel):
    """An explanation of progress (R7.1), or a report on an instruction (R8.1)."""

    text: str = Field(min_length=1, max_length=5_000, json_schema_extra={"rule": "R7.1"})


class ReplyIn(BaseModel):
    """A draft reply (承办回复, 附表6)."""

    text: str = Field(
        default="",
        max_length=20_000,
        description="may be left out only where a formal document goes to the assigner",
        json_schema_extra={"rule": "R6.2"},
    )
    document: FormalDocument | None = Field(default=None, description="a formal document (正式行文) instead (R6.2)")
    attachments: list[Attachment] = Field(default=[], max_length=20)
    channel: Channel = Field(
        default=Channel.ONLINE,
        description="how the assignee answers the citizen, where the slip asks it to (R8.3); by phone, `text` is the note of the call",
    )

    def reply(self) -> ReplyText:
        """Return the reply as the domain takes it."""
        return ReplyText(
            text=self.text, document=self.document, attachments=tuple(self.attachments), channel=self.channel
        )


class PaperReplyIn(ReplyIn):
    """A reply that came by fax or post (R4.2)."""

    person: str = Field(min_length=1, max_length=100, description="who handled it, by the paper")
    approver: str = Field(min_length=1, max_length=100, description="who approved it, by the paper")
    channel: Channel = Field(
        default=Channel.PHONE, description="how the office answered the citizen, where it was asked to"
    )

    def paper(self) -> PaperReply:
        """Return the reply as the domain takes it."""
        return PaperReply(**dict(self.reply()), person=self.person, approver=self.approver)


class SendBackIn(BaseModel):
    """Why a reply is to be done again, and how (退办单, 附表8)."""

    reason: str = Field(min_length=1, max_length=2_000, json_schema_extra={"rule": "R7.3"})
    requirements: str = Field(
        min_length=1, max_length=5_000, description="重办要求", json_schema_extra={"rule": "R7.3"}
    )
    working_days: int | None = Field(default=None, ge=1, le=60, description="the new limit; none: ten working days")


class ExtensionIn(BaseModel):
    """An application for more time."""

    reason: str = Field(min_length=1, max_length=2_000, json_schema_extra={"rule": "R6.4"})
    wanted_day: Day = Field(description="the wanted last day in time", json_schema_extra={"rule": "R6.4"})
    oral: bool = Field(default=False, description="by word of mouth; recorded by the duty office")

    def application(self) -> Application:
        """Return the application as the domain takes it."""
        return Application(reason=self.reason, wanted_due_at=end_of_day(self.wanted_day), oral=self.oral)


class VerdictIn(BaseModel):
    """The decision on an application for more time."""

    outcome: ExtensionOutcome = Field(json_schema_extra={"rule": "R6.4"})
    last_day: Day | None = Field(default=None, description="where it is granted in part: the last day in time")
    reason: str = Field(default="", max_length=2_000, description="required where it is not granted as applied for")

    def verdict(self) -> Verdict:
        """Return the decision as the domain takes it."""
        due_at = end_of_day(self.last_day) if self.last_day else None
        return Verdict(outcome=self.outcome, due_at=due_at, reason=self.reason)


class InstructionIn(BaseModel):
    """A leader's instruction (批示)."""

    text: str = Field(min_length=1, max_length=5_000, json_schema_extra={"rule": "R8.1"})
    report_by: Day = Field(
        description="the day by which staff report to the leader", json_schema_extra={"rule": "R8.1"}
    )

    def due_at(self) -> datetime:
        """Return the end of that day."""
        return end_of_day(self.report_by)


class ToldIn(BaseModel):
    """How the citizen was told where the letter went."""

    channel: Channel = Field(json_schema_extra={"rule": "R4.3"})
    text: str = Field(min_length=1, max_length=5_000, json_schema_extra={"rule": "R4.3"})


class AnswerIn(BaseModel):
    """The answer to the citizen, or the note of the call."""

    channel: Channel = Field(json_schema_extra={"rule": "R8.3"})
    text: str = Field(min_length=1, max_length=20_000, json_schema_extra={"rule": "R8.3"})
