"""What the citizen sees under the receipt code: where the letter stands, in Chinese, with nobody's personal data (R8.3).

It is the citizen's only view, so each state says what it means and what can be done. A clerk's remark is never part of it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from services.intake.domain import Handoff, Letter, Stage
from shared.calendar.zone import SHANGHAI
from shared.contracts.types import Channel, InvalidReason, TurnTo, Way
from shared.directory import Directory

LocalTime = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(SHANGHAI))]
"""A time as the citizen's clock shows it: +08:00."""

TURN_TO: Mapping[TurnTo, str] = {
    TurnTo.PARTY_COMMITTEE: "请向同级党委办公厅（室）反映；反映党员、干部违纪问题的，请向纪检监察机关（举报电话12388）反映",
    TurnTo.PEOPLES_CONGRESS: "请向同级人大常委会的信访机构反映",
    TurnTo.CPPCC: "请向同级政协办公厅（室）反映",
    TurnTo.ARMED_FORCES: "请向有关部队或者当地人民武装部反映",
    TurnTo.COURT: "请向受理案件的人民法院反映，或者拨打诉讼服务热线12368",
    TurnTo.PROCURATORATE: "请向有关人民检察院反映，或者拨打检察服务热线12309",
}
"""Whose matter it is → whom the citizen is told to turn to (R3.0 (1))."""

EXPLAINED: Mapping[InvalidReason, str] = {
    InvalidReason.OUTSIDE_GOVERNMENT: "所反映的事项不属于政府的职权范围",
    InvalidReason.OFFICIAL_DOCUMENT: "公文请按照公文办理的规定，报送主送机关的办公厅（室），政府信箱不接收公文",
    InvalidReason.MALICIOUS: "来信含有恶意攻击的内容。如有具体诉求，请另写来信如实反映",
    InvalidReason.REPEATED_OR_EMPTY: (
        "来信内容重复，或者没有可以办理的具体事项。如有具体诉求，请写明时间、地点和情况后重新来信"
    ),
    InvalidReason.ADVERTISING: "来信属于广告，政府信箱不接收广告",
}
"""Reason → what the citizen is told, where nothing more is known (R3.0)."""

ANYWHERE = "请向主管该事项的党委、人大、政协、军队、法院或者检察院反映"
ALREADY = "所反映的事项此前已有来信反映，不再重复受理。如有新的情况，请写明后重新来信"


class Happening(BaseModel):
    """One step of the letter's way."""

    at: LocalTime
    text: str


class AnswerShown(BaseModel):
    """An answer to the citizen."""

    at: LocalTime
    mailbox: str
    channel: str
    text: str


class Standing(BaseModel):
    """Where a letter stands."""

    state: str = Field(description="In Chinese, for the citizen.", examples=["办理中"])
    explanation: str = Field(description="What that means, and what the citizen can do; in Chinese.")
    subject: str = Field(description="Empty once the text of a letter that was not accepted is erased (R3.7).")
    mailbox: str
    number: str | None = Field(description="信件编号; null until it is registered.")
    received_at: LocalTime
    due_at: LocalTime | None = Field(description="Until when the unit in charge must answer (R6.1).")
    overdue: bool
    history: list[Happening]
    answers: list[AnswerShown]


def standing(letter: Letter, directory: Directory, earlier: Letter | None = None) -> Standing:
    """Return what the citizen may know of their letter; `earlier` is the one it repeats, given only where the sender is the same."""
    name = _Names(directory)
    handoffs = [handoff for handoff in _shown(letter) if not handoff.ended]
    last = handoffs[-1] if handoffs else None
    limited = next((handoff for handoff in reversed(handoffs) if handoff.due_at is not None), None)
    answered = letter.is_answered
    overdue = bool(limited and limited.overdue and not answered)
    return Standing(
        state=_state(letter),
        explanation=_explanation(letter, name, last, earlier, overdue=overdue),
        subject=letter.subject,
        mailbox=name(letter.mailbox),
        number=letter.number.text if letter.number else None,
        received_at=letter.received_at,
        due_at=limited.due_at if limited and not answered else None,
        overdue=overdue,
        history=_history(letter, name, earlier),
        answers=[
            AnswerShown(at=a.at, mailbox=name(a.mailbox), channel=a.channel.label, text=a.text) for a in letter.answers
        ],
    )


def why_invalid(reason: InvalidReason, turn_to: TurnTo | None = None) -> str:
    """Return what the citizen is told of a letter that is not accepted, where no earlier letter is named (R3.0)."""
    if reason is InvalidReason.OUTSIDE_GOVERNMENT:
        return f"{EXPLAINED[reason]}，{TURN_TO[turn_to] if turn_to else ANYWHERE}"
    return EXPLAINED[reason]


def _why(letter: Letter, earlier: Letter | None) -> str:
    discarded = letter.discarded
    assert discarded is not None
    if discarded.earlier_letter is None:
        return why_invalid(discarded.reason, discarded.turn_to)
    if earlier is None:
        return ALREADY
    day = f"{earlier.received_at.astimezone(SHANGHAI):%Y年%-m月%-d日}"
    number = f"（编号 {earlier.number.text}）" if earlier.number else ""
    return f"与您{day}的来信{number}反映的是同一事项，不再重复受理。办理情况和答复请用那封来信的查询码查询"


def _history(letter: Letter, name: "_Names", earlier: Letter | None) -> list[Happening]:
    history = [Happening(at=letter.received_at, text=f"{name(letter.mailbox)}收到来信")]

    def happened(at: datetime | None, text: str) -> None:
        if at is not None:
            history.append(Happening(at=at, text=text))

    happened(letter.read_at, "工作人员已阅信")
    if letter.number:
        happened(letter.registered_at, f"已登记受理，编号 {letter.number.text}")
    if letter.stage is Stage.DISCARDED and letter.discarded:
        happened(letter.discarded.at, f"不予受理：{_why(letter, earlier)}")
        happened(letter.erased_at, "来信内容已按保存期限的规定删除")
    if letter.stage is Stage.NOTED:
        happened(letter.noted_at, "已存档供参考，感谢您的来信")
    for handoff in _shown(letter):
        happened(handoff.sent_at, _SENT.get(handoff.way, "已交{}办理").format(name(handoff.receiver)))
        happened(handoff.collected_at, f"{name(handoff.receiver)}已签收")
        happened(handoff.ended_at, f"已由{name(handoff.sender)}收回，另行安排办理")
    for told in letter.told:
        said = f"：{told.text}" if told.channel is Channel.ONLINE else f"（{_TOLD_BY[told.channel]}）"
        happened(told.at, f"{name(told.mailbox)}已告知您来信的去向{said}")
    for answer in letter.answers:
        happened(answer.at, f"{name(answer.mailbox)}已答复（{answer.channel.label}）")
    happened(letter.published_at, "来信和答复已公开")
    happened(letter.withdrawn_at, "公开的来信和答复已撤回，不再公开")
    return sorted(history, key=lambda happening: happening.at)


_SENT = {Way.FORWARD: "已转{}办理", Way.DIRECT: "由{}直接办理", Way.SUBMIT_UP: "已呈报{}协调"}
_TOLD_BY = {Channel.PHONE: "电话告知", Channel.EMAIL: "电子邮件告知"}


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
        self._directory = directory

    def __call__(self, code: str) -> str:
        return self._directory.get(code).name if code in self._directory else code


def _in_hand(letter: Letter) -> bool:
    return letter.reopened or any(not handoff.ended for handoff in letter.handoffs.values())


def _state(letter: Letter) -> str:
    if letter.is_answered:
        return "已答复"
    if letter.stage is Stage.REGISTERED:
        return "办理中" if _in_hand(letter) else "已登记，拟办中"
    return {
        Stage.UNREAD: "已收到，待阅",
        Stage.READ: "已阅，待登记",
        Stage.DISCARDED: "不予受理",
        Stage.NOTED: "已存档",
    }[letter.stage]


def _explanation(  # noqa: PLR0911 - one sentence for each state
    letter: Letter, name: _Names, last: Handoff | None, earlier: Letter | None, *, overdue: bool
) -> str:
    if letter.is_answered:
        return "来信已有答复，内容见下。"
    if letter.stage is Stage.DISCARDED:
        return f"{_why(letter, earlier)}。" + ("来信内容已按保存期限的规定删除。" if letter.erased_at else "")
    if letter.stage is Stage.NOTED:
        return "来信反映的情况已存档，供工作参考。此类来信不编号，不另行答复。感谢您的来信。"
    if letter.stage is Stage.READ:
        return "工作人员已阅信，正在核对。属于受理范围的，将登记并编号。"
    if letter.stage is Stage.UNREAD:
        return "来信已收到，工作人员将在工作时间阅信。请保存好查询码，以便查询。"
    if letter.reopened:
        return "先前的答复已退回重新办理，请等候新的答复。"
    if not _in_hand(letter):
        return "来信已登记受理，正在安排办理。"
    who = name(last.receiver) if last else name(letter.mailbox)
    if overdue:
        return f"来信由{who}办理，答复期限已过，正在督促尽快答复。"
    if last is not None and last.way is Way.FORWARD:
        return f"来信已转{who}，由该单位按职责处理。"
    return f"来信正由{who}办理，请等候答复。"
