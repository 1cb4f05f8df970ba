"""What the citizen sees under the receipt code: where the letter stands, in Chinese, with nobody's personal data (R8.3)."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.intake.domain import Handoff, Letter, Stage
from shared.contracts.types import InvalidReason, Way
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
    handoffs = _shown(letter)
    for handoff in handoffs:
        verb = {Way.FORWARD: "已转{}办理", Way.DIRECT: "由{}直接办理"}.get(handoff.way, "已交{}办理")
        history.append(Happening(at=handoff.sent_at, text=verb.format(name(handoff.receiver))))
        if handoff.collected_at:
            history.append(Happening(at=handoff.collected_at, text=f"{name(handoff.receiver)}已签收"))
    history += [Happening(at=a.at, text=f"{name(a.mailbox)}已答复（{a.channel.label}）") for a in letter.answers]
    if letter.published_at:
        history.append(Happening(at=letter.published_at, text="来信和答复已公开"))
    history.sort(key=lambda happening: happening.at)
    limited = [handoff for handoff in handoffs if not handoff.ended and handoff.due_at is not None]
    last = limited[-1] if limited else None
    answered = bool(letter.answers) and not letter.reopened
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


def _shown(letter: Letter) -> list[Handoff]:
    """Return the hand-offs between units; how a unit works inside is its own business (R4.2b, R4.4)."""
    shown = []
    for handoff in letter.handoffs.values():
        above = letter.handoffs.get(handoff.parent) if handoff.parent else None
        inner = above is not None and above.way in {Way.ASSIGN, Way.DIRECT}
        kept = handoff.way is Way.SUBMIT_UP and handoff.sender == handoff.receiver
        if not inner and not kept:
            shown.append(handoff)
    return shown


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
