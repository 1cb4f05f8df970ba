"""What the citizen sees under the receipt code: where the letter stands, in Chinese, with nobody's personal data (R8.3)."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.intake.domain import Letter, Stage
from shared.contracts.types import InvalidReason
from shared.directory import Directory

TURN_TO = "请向相应的党委、人大、政协、军队、法院或检察院反映"


class Happening(BaseModel):
    """One step of the letter's way."""

    at: datetime
    text: str


class AnswerShown(BaseModel):
    """An answer to the citizen."""

    at: datetime
    mailbox: str
    channel: str
    text: str


class Standing(BaseModel):
    """Where a letter stands."""

    state: str = Field(description="In Chinese, for the citizen.", examples=["办理中"])
    subject: str
    mailbox: str
    number: str | None = Field(description="信件编号; null until it is registered.")
    received_at: datetime
    due_at: datetime | None = Field(description="Until when the unit in charge must answer (R6.1).")
    overdue: bool
    history: list[Happening]
    answers: list[AnswerShown]


def standing(letter: Letter, directory: Directory) -> Standing:
    """Return what the citizen may know of their letter."""
    name = _Names(directory)
    history = [Happening(at=letter.received_at, text=f"{name(letter.mailbox)}收到来信")]
    if letter.read_at:
        history.append(Happening(at=letter.read_at, text="工作人员已阅信"))
    if letter.number and letter.registered_at:
        history.append(Happening(at=letter.registered_at, text=f"已登记受理，编号 {letter.number.text}"))
    if letter.stage is Stage.DISCARDED and letter.discarded:
        reason = letter.discarded.reason
        advice = f"；{TURN_TO}" if reason is InvalidReason.OUTSIDE_GOVERNMENT else ""
        history.append(Happening(at=letter.discarded.at, text=f"不予受理：{reason.label}{advice}"))
    if letter.stage is Stage.NOTED and letter.noted_at:
        history.append(Happening(at=letter.noted_at, text="已存档供参考，感谢您的来信"))
    for handoff in letter.handoffs.values():
        history.append(Happening(at=handoff.sent_at, text=f"已交{name(handoff.receiver)}办理"))
        if handoff.collected_at:
            history.append(Happening(at=handoff.collected_at, text=f"{name(handoff.receiver)}已签收"))
    history += [Happening(at=a.at, text=f"{name(a.mailbox)}已答复（{a.channel.label}）") for a in letter.answers]
    if letter.published_at:
        history.append(Happening(at=letter.published_at, text="来信和答复已公开"))
    history.sort(key=lambda happening: happening.at)
    last = list(letter.handoffs.values())[-1] if letter.handoffs else None
    answered = bool(letter.answers)
    return Standing(
        state=_state(letter, answered=answered),
        subject=letter.subject,
        mailbox=name(letter.mailbox),
        number=letter.number.text if letter.number else None,
        received_at=letter.received_at,
        due_at=last.due_at if last and not answered else None,
        overdue=bool(last and last.overdue and not answered),
        history=history,
        answers=[
            AnswerShown(at=a.at, mailbox=name(a.mailbox), channel=a.channel.label, text=a.text) for a in letter.answers
        ],
    )


class _Names:
    def __init__(self, directory: Directory) -> None:
        self._names = {mailbox.code: mailbox.name for mailbox in directory.mailboxes()}

    def __call__(self, code: str) -> str:
        return self._names.get(code, code)


def _state(letter: Letter, *, answered: bool) -> str:
    if answered:
        return "已答复"
    if letter.stage is Stage.REGISTERED:
        return "办理中" if letter.handoffs else "已登记，拟办中"
    return {
        Stage.UNREAD: "已收到，待阅",
        Stage.READ: "已阅，待登记",
        Stage.DISCARDED: "不予受理",
        Stage.NOTED: "已存档",
    }[letter.stage]
