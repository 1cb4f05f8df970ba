"""What the citizen sees under the receipt code: where the letter stands, with nobody's personal data (R8.3).

It is the citizen's only view, so each state says what it means and what can be done. A clerk's remark is never part of it. In Chinese;
a `Voice` says the same in another language, but for names and for what people wrote.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from services.intake.domain import Handoff, Letter, Stage
from services.intake.voice import CHINESE, Voice, marked
from shared.calendar.zone import SHANGHAI
from shared.contracts.types import Channel, InvalidReason, TurnTo, Way
from shared.directory import Directory
from shared.web.languages import deadline, shanghai_date

LocalTime = Annotated[datetime, AfterValidator(lambda moment: moment.astimezone(SHANGHAI))]
"""A time as the citizen's clock shows it: +08:00."""

TURN_TO: Mapping[TurnTo, str] = {
    TurnTo.PARTY_COMMITTEE: marked(
        "请向同级党委办公厅（室）反映；反映党员、干部违纪问题的，请向纪检监察机关（举报电话12388）反映"
    ),
    TurnTo.PEOPLES_CONGRESS: marked("请向同级人大常委会的信访机构反映"),
    TurnTo.CPPCC: marked("请向同级政协办公厅（室）反映"),
    TurnTo.ARMED_FORCES: marked("请向有关部队或者当地人民武装部反映"),
    TurnTo.COURT: marked("请向受理案件的人民法院反映，或者拨打诉讼服务热线12368"),
    TurnTo.PROCURATORATE: marked("请向有关人民检察院反映，或者拨打检察服务热线12309"),
}
"""Whose matter it is → whom the citizen is told to turn to (R3.0 (1))."""

EXPLAINED: Mapping[InvalidReason, str] = {
    InvalidReason.OUTSIDE_GOVERNMENT: marked("所反映的事项不属于政府的职权范围"),
    InvalidReason.OFFICIAL_DOCUMENT: marked("公文请按照公文办理的规定，报送主送机关的办公厅（室），政府信箱不接收公文"),
    InvalidReason.MALICIOUS: marked("来信含有恶意攻击的内容。如有具体诉求，请另写来信如实反映"),
    InvalidReason.REPEATED_OR_EMPTY: marked(
        "来信内容重复，或者没有可以办理的具体事项。如有具体诉求，请写明时间、地点和情况后重新来信"
    ),
    InvalidReason.ADVERTISING: marked("来信属于广告，政府信箱不接收广告"),
}
"""Reason → what the citizen is told, where nothing more is known (R3.0)."""

ANYWHERE = marked("请向主管该事项的党委、人大、政协、军队、法院或者检察院反映")
ALREADY = marked("所反映的事项此前已有来信反映，不再重复受理。如有新的情况，请写明后重新来信")


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
    not_accepted: bool = Field(description="Whether it was not accepted (R3.0); the explanation says why.")
    explanation: str = Field(description="What that means, and what the citizen can do; in Chinese.")
    subject: str = Field(description="Empty once the text of a letter that was not accepted is erased (R3.7).")
    mailbox: str
    number: str | None = Field(description="信件编号; null until it is registered.")
    received_at: LocalTime
    due_at: LocalTime | None = Field(description="Until when the unit in charge must answer (R6.1).")
    overdue: bool
    published: str | None = Field(
        description="Where letter and answer are on the public site; null while they are not (R9.2)."
    )
    history: list[Happening]
    answers: list[AnswerShown]


def standing(letter: Letter, directory: Directory, earlier: Letter | None = None, voice: Voice = CHINESE) -> Standing:
    """Return what the citizen may know of their letter; `earlier` is the one it repeats, given only where the sender is the same."""
    name = _Names(directory)
    handoffs = [handoff for handoff in _shown(letter) if not handoff.ended]
    last = handoffs[-1] if handoffs else None
    limited = next((handoff for handoff in reversed(handoffs) if handoff.due_at is not None), None)
    answered = letter.is_answered
    overdue = bool(limited and limited.overdue and not answered)
    return Standing(
        state=voice.say(_state(letter)),
        not_accepted=letter.stage is Stage.DISCARDED,
        explanation=_explanation(letter, name, last, earlier, voice, overdue=overdue),
        subject=letter.subject,
        mailbox=name(letter.mailbox),
        number=letter.number.text if letter.number else None,
        received_at=letter.received_at,
        due_at=limited.due_at if limited and not answered else None,
        overdue=overdue,
        published=_published(letter),
        history=_history(letter, name, earlier, voice),
        answers=[
            AnswerShown(at=a.at, mailbox=name(a.mailbox), channel=voice.say(a.channel.label), text=a.text)
            for a in letter.answers
        ],
    )


def _published(letter: Letter) -> str | None:
    shown = letter.number is not None and letter.published_at is not None and letter.withdrawn_at is None
    return f"/public/letters/{letter.number.ascii}" if shown and letter.number else None


def why_invalid(reason: InvalidReason, turn_to: TurnTo | None = None, voice: Voice = CHINESE) -> str:
    """Return what the citizen is told of a letter that is not accepted, where no earlier letter is named (R3.0)."""
    why = voice.say(EXPLAINED[reason])
    if reason is InvalidReason.OUTSIDE_GOVERNMENT:
        return voice.say("{why}，{whom}").format(why=why, whom=voice.say(TURN_TO[turn_to] if turn_to else ANYWHERE))
    return why


def _why(letter: Letter, earlier: Letter | None, voice: Voice) -> str:
    say = voice.say
    discarded = letter.discarded
    assert discarded is not None
    if discarded.earlier_letter is None:
        return why_invalid(discarded.reason, discarded.turn_to, voice)
    if earlier is None:
        return say(ALREADY)
    day = shanghai_date(earlier.received_at, voice.language)
    number = say("（编号 {number}）").format(number=earlier.number.text) if earlier.number else ""
    return say("与您{day}的来信{number}反映的是同一事项，不再重复受理。办理情况和答复请用那封来信的查询码查询").format(
        day=day, number=number
    )


def _history(letter: Letter, name: "_Names", earlier: Letter | None, voice: Voice) -> list[Happening]:
    say = voice.say
    history: list[Happening] = []

    def happened(at: datetime | None, sentence: str, /, **parts: str) -> None:
        if at is not None:
            history.append(Happening(at=at, text=say(sentence).format(**parts)))

    happened(letter.received_at, "{who}收到来信", who=name(letter.mailbox))
    happened(letter.read_at, "工作人员已阅信")
    if letter.number:
        happened(letter.registered_at, "已登记受理，编号 {number}", number=letter.number.text)
    if letter.stage is Stage.DISCARDED and letter.discarded:
        happened(letter.discarded.at, "不予受理：{why}", why=_why(letter, earlier, voice))
        happened(letter.erased_at, "来信内容已按保存期限的规定删除")
    else:
        happened(letter.erased_at, "来信内容已依法删除")
    happened(letter.contact_erased_at, "来信人的联系方式已依法删除")
    if letter.stage is Stage.NOTED:
        happened(letter.noted_at, "已存档供参考，感谢您的来信")
    for handoff in _shown(letter):
        happened(handoff.sent_at, _SENT[handoff.way], who=name(handoff.receiver))
        happened(handoff.collected_at, "{who}已签收", who=name(handoff.receiver))
        for change in handoff.due_changes:
            due = deadline(change.due_at, voice.language)
            happened(change.at, _DUE_CHANGED[change.why], due=due)
        happened(handoff.ended_at, "已由{who}收回，另行安排办理", who=name(handoff.sender))
    for told in letter.told:
        happened(told.at, _TOLD_BY[told.channel], who=name(told.mailbox), text=told.text)
    for answer in letter.answers:
        happened(answer.at, "{who}已答复（{how}）", who=name(answer.mailbox), how=say(answer.channel.label))
    happened(letter.published_at, "来信和答复已公开")
    happened(letter.withdrawn_at, "公开的来信和答复已撤下")
    return sorted(history, key=lambda happening: happening.at)


_SENT = {
    Way.ASSIGN: marked("已交{who}办理"),
    Way.FORWARD: marked("已转{who}办理"),
    Way.DIRECT: marked("由{who}直接办理"),
    Way.SUBMIT_UP: marked("已呈报{who}协调"),
}
_DUE_CHANGED = {
    "extension": marked("经批准延期，答复期限延至{due}"),
    "sent_back": marked("答复已退回重新办理，新的答复期限是{due}"),
    "schedule": marked("因放假安排调整，答复期限改为{due}"),
}
_TOLD_BY = {
    Channel.ONLINE: marked("{who}已告知您来信的去向：{text}"),
    Channel.PHONE: marked("{who}已告知您来信的去向（电话告知）"),
    Channel.EMAIL: marked("{who}已告知您来信的去向（电子邮件告知）"),
}


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
    return _AT[letter.stage]


_AT = {
    Stage.UNREAD: marked("已收到，待阅"),
    Stage.READ: marked("已阅，待登记"),
    Stage.DISCARDED: marked("不予受理"),
    Stage.NOTED: marked("已存档"),
}
STATES = (marked("已答复"), marked("办理中"), marked("已登记，拟办中"), *_AT.values())
"""Every state that is told."""


def _explanation(  # noqa: PLR0911 - one sentence for each state
    letter: Letter, name: _Names, last: Handoff | None, earlier: Letter | None, voice: Voice, *, overdue: bool
) -> str:
    say = voice.say
    if letter.is_answered:
        return say("来信已有答复，内容见下。")
    if letter.stage is Stage.DISCARDED:
        why = say("{why}。").format(why=_why(letter, earlier, voice))
        return why + (say("来信内容已按保存期限的规定删除。") if letter.erased_at else "")
    if letter.stage is Stage.NOTED:
        return say("来信反映的情况已存档，供工作参考。此类来信不编号，不另行答复。感谢您的来信。")
    if letter.stage is Stage.READ:
        return say("工作人员已阅信，正在核对。属于受理范围的，将登记并编号。")
    if letter.stage is Stage.UNREAD:
        return say("来信已收到，工作人员将在工作时间阅信。请保存好查询码，以便查询。")
    if letter.reopened:
        return say("先前的答复已退回重新办理，请等候新的答复。")
    if not _in_hand(letter):
        return say("来信已登记受理，正在安排办理。")
    who = name(last.receiver) if last else name(letter.mailbox)
    if overdue:
        return say("来信由{who}办理，答复期限已过，正在督促尽快答复。").format(who=who)
    if last is not None and last.way is Way.FORWARD:
        return say("来信已转{who}，由该单位按职责处理。").format(who=who)
    return say("来信正由{who}办理，请等候答复。").format(who=who)
