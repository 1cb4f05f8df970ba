"""The printed forms 附表1–8 (R4.6): what stands in each cell. How a form looks is said once, in `shared/printing/form.typ`.

The citizen's name and contact data are not among them: only intake has them (architecture rule 4), and a form says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.routing.models import Handoff, Instruction, Letter, Reply, SentBack, Slip, State, Urging
from shared.contracts.types import Actor, Attachment, Medium, Way
from shared.directory import Directory, UnknownEntry
from shared.printing.text import lines, ordinal
from shared.web.languages import deadline, duration, shanghai, shanghai_date

SYSTEM: Final = "重庆市政府系统公开电子信箱"
"""What every form's title begins with (R4.6)."""
SUMMARY: Final = 180
"""A longer letter is begun in its cell and printed whole behind the form, so that opinions and signatures stay on its first pages."""
SLIPS: Final = {
    Way.DIRECT: ("附表2", "处理单"),
    Way.ASSIGN: ("附表3", "交办单"),
    Way.FORWARD: ("附表4", "转阅单"),
    Way.SUBMIT_UP: ("附表5", "呈办单"),
}
WHERE_CONTACT_IS: Final = "来信人姓名及联系方式只保存在受理环节，请有权限的人员在系统中查看，本单不印。"
SCAN: Final = "扫描二维码可回到系统中的本件；打开须登录并有权限。"


@dataclass(frozen=True, slots=True)
class Form:
    """One form, ready for the press."""

    name: str
    """Which of the regulation's forms, e.g. 附表3."""
    title: str
    rows: list[dict[str, Any]]
    at: datetime
    """The moment that the form is of: the latest thing on it. The same state gives the same bytes."""
    mark: str = ""
    """What became of it, where it is not simply in force, e.g. 待审批, 已撤回."""
    ordinal: str = ""
    notes: list[str] = field(default_factory=list)
    annex: tuple[list[str], bool] = ((), True)  # type: ignore[assignment]

    def data(self, letter: Letter, link: str, qr: str) -> dict[str, Any]:
        """Return the form as the template takes it."""
        annex, indent = self.annex
        return {
            "name": self.name,
            "title": SYSTEM + self.title,
            "number": letter.number.text if letter.number else "未编号",
            "mark": self.mark,
            "ordinal": self.ordinal,
            "rows": self.rows,
            "notes": [*self.notes, SCAN],
            "annex": annex,
            "annex_indent": indent,
            "link": link,
            "qr": qr,
        }


# ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pair(*cells: tuple[str, str]) -> dict[str, Any]:
    return {"kind": "pair", "cells": [{"label": label, "text": text} for label, text in cells]}


def _text(label: str, text: str, *signs: str, room: int = 0, signer: str = "", listed: bool = False) -> dict[str, Any]:
    """Return a row of running text; `room` (mm) is left for a hand to sign as `signer`, `listed` is no prose."""
    found, prose = lines(text)
    return {
        "kind": "text",
        "label": label,
        "lines": found,
        "indent": prose and not listed and len(text) > 30,
        "signs": [sign for sign in signs if sign],
        "room": room,
        "signer": signer,
    }


def _signed(what: str, who: Actor | None, at: datetime | None) -> str:
    return "" if who is None or at is None else f"{what}：{who.name or who.subject}　{shanghai(at)}"


def _files(attachments: Iterable[Attachment]) -> str:
    found = [f"{n}. {one.name}（{_size(one.size)}）" for n, one in enumerate(attachments, start=1)]
    return "\n".join(found) or "无"


def _size(count: int) -> str:
    return (
        f"{count} 字节" if count < 1_000 else f"{count / 1e3:.0f} KB" if count < 1_000_000 else f"{count / 1e6:.1f} MB"
    )


def _latest(*moments: datetime | None) -> datetime:
    return max(moment for moment in moments if moment is not None)


@dataclass(frozen=True, slots=True)
class Clerk:
    """Fills in the forms of one letter."""

    state: State
    letter: Letter
    tree: Directory
    reply_days: int
    """Working days for a reply where nobody sets others (`REPLY_WORKING_DAYS`, R6.1)."""

    def _name(self, code: str) -> str:
        """Return a mailbox's full name; its code where the directory has it no more."""
        try:
            return self.tree.get(code).name
        except UnknownEntry:
            return code

    def _about(self) -> list[dict[str, Any]]:
        about = self.letter.classification
        try:
            domain = self.tree.domain(about.domain).label
        except UnknownEntry:
            domain = about.domain
        try:
            region = self.tree.region(about.region).name
        except UnknownEntry:
            region = about.region
        return [
            _pair(("来信时间", shanghai(self.letter.received_at)), ("收信信箱", self._name(self.letter.mailbox))),
            _pair(("登记时间", shanghai(self.letter.registered_at)), ("来信性质", about.nature.label)),
            _pair(("涉及领域", domain), ("涉及区域", region)),
            _text("来信主题", self.letter.subject or "（无）"),
        ]

    def _summary(self) -> dict[str, Any]:
        body = self.letter.body
        if len(body) <= SUMMARY:
            return _text("来信内容", body or "（已按规定删除）")
        return _text("来信内容", body[:SUMMARY].rstrip() + "……\n（来信较长，全文附后）")

    def _annex(self) -> tuple[list[str], bool]:
        return lines(self.letter.body) if len(self.letter.body) > SUMMARY else ([], True)

    # ── 附表1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def registration(self) -> Form:
        """Return 附表1, the registration of the letter (R3.6)."""
        letter = self.letter
        rows = [
            *self._about(),
            _text("来信人", WHERE_CONTACT_IS),
            _text("来信内容", letter.body or "（已按规定删除）"),
            _text("附件", _files(letter.attachments), listed=True),
            _text(
                "拟办意见", "", _signed("登记人", letter.registered_by, letter.registered_at), room=24, signer="经办人"
            ),
            _text("领导批示", "", room=28, signer="领导"),
            _text("办理结果", "", room=20, signer="经办人"),
        ]
        at = letter.registered_at or letter.received_at
        return Form("附表1", "来信登记单", rows, at, notes=["编号由首接信箱登记时生成，一信一号，全程不变。"])

    # ── 附表2–5 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def slip(self, slip: Slip) -> Form:
        """Return 附表2, 3, 4 or 5, by the slip's way (R4.1–R4.4)."""
        handoff = next((one for one in self.state.handoffs if one.id == slip.id), None)
        name, title = SLIPS[slip.way]
        parts = {
            Way.DIRECT: self._direct,
            Way.ASSIGN: self._assign,
            Way.FORWARD: self._forward,
            Way.SUBMIT_UP: self._submit_up,
        }
        requirements = [_text("办理要求", slip.requirements)] if slip.requirements else []
        parties, ends = parts[slip.way](slip, handoff)
        rows = [
            *self._about(),
            self._summary(),
            _text("附件", _files(self.letter.attachments), listed=True),
            *parties,
            _text("拟办意见", slip.opinion, _signed("拟办人", slip.prepared_by, slip.prepared_at)),
            *requirements,
            self._approval(slip),
            *ends,
        ]
        mark, at = self._standing(slip, handoff)
        notes = [f"本单在系统中的序号：{slip.id}。", WHERE_CONTACT_IS]
        return Form(name, title, rows, at, mark, notes=notes, annex=self._annex())

    def _standing(self, slip: Slip, handoff: Handoff | None) -> tuple[str, datetime]:
        decision = slip.decision
        if decision is None:
            return "（待审批）", slip.prepared_at
        if handoff is None:
            return "（审批未通过，已退回拟办人）", decision.at
        last = _latest(
            decision.at, handoff.collected_at, handoff.instructed_at, handoff.told.at if handoff.told else None
        )
        if handoff.withdrawn is not None:
            return f"（已撤回：{shanghai(handoff.withdrawn.at)}）", _latest(last, handoff.withdrawn.at)
        if handoff.returned is not None:
            return f"（已退件：{shanghai(handoff.returned.at)}）", _latest(last, handoff.returned.at)
        return "", last

    def _approval(self, slip: Slip) -> dict[str, Any]:
        decision = slip.decision
        if decision is None:
            return _text("审批意见", "", room=28, signer="审批人")
        verdict = "同意。" if decision.reason is None else f"不同意：{decision.reason}"
        return _text("审批意见", verdict, _signed("审批人", decision.by, decision.at), room=14, signer="审批人")

    def _limit(self, slip: Slip, handoff: Handoff | None) -> str:
        clock = self.state.clocks.get(handoff.id) if handoff else None
        if clock is not None and clock.due_at is not None:
            return deadline(clock.due_at) + ("（暂定）" if clock.provisional else "")
        return f"{slip.working_days or self.reply_days}个工作日"

    def _receipt(self, handoff: Handoff | None, who: str) -> dict[str, Any]:
        """Return the cell where the receiver signs for the letter (签收, R6.3)."""
        if handoff is None or handoff.collected_at is None:
            return _text("签收", "", room=20, signer=who)
        by_hand = f"（以{handoff.medium.label}送达，由发出单位代为记录）" if handoff.by_hand else ""
        signed = _signed("签收人", handoff.collected_by, handoff.collected_at) + by_hand
        return _text("签收", "", signed, room=14, signer=who)

    def _direct(self, slip: Slip, handoff: Handoff | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        parties = [
            _pair(("首接单位", self._name(slip.sender)), ("承办部门", self._name(slip.receiver))),
            _pair(
                ("交办时间", shanghai(handoff.sent_at if handoff else None)), ("办理期限", self._limit(slip, handoff))
            ),
        ]
        inside = [] if slip.sender == slip.receiver else [self._receipt(handoff, "承办部门")]
        return parties, [*inside, _text("办理结果\n及答复情况", "", room=20, signer="承办人")]

    def _assign(self, slip: Slip, handoff: Handoff | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        medium = "系统" if slip.medium is Medium.SYSTEM else slip.medium.label
        written = "需要（附表6或正式行文）" if slip.written_reply else "不作要求"
        parties = [
            _pair(("交办单位", self._name(slip.sender)), ("承办单位", self._name(slip.receiver))),
            _pair(
                ("交办时间", shanghai(handoff.sent_at if handoff else None)), ("办理期限", self._limit(slip, handoff))
            ),
            _pair(("送达方式", medium), ("书面回复", written)),
            _text("答复方式", slip.answer_by.label),
        ]
        return parties, [self._receipt(handoff, "承办单位")]

    def _forward(self, slip: Slip, handoff: Handoff | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        parties = [
            _pair(("转出单位", self._name(slip.sender)), ("接收单位", self._name(slip.receiver))),
            _pair(("转阅时间", shanghai(handoff.sent_at if handoff else None)), ("办理期限", "不设期限，谁办理谁答复")),
        ]
        told = handoff.told if handoff else None
        if told is None:
            how = _text("告知来信人\n去向", "", room=16, signer="告知人")
        else:
            how = _text("告知来信人\n去向", f"{told.channel.label}：{told.text}", _signed("告知人", told.by, told.at))
        return parties, [how, self._receipt(handoff, "接收单位")]

    def _submit_up(self, slip: Slip, handoff: Handoff | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        own = slip.sender == slip.receiver
        upward = "本单位分管领导" if own else self._name(slip.receiver)
        parties = [
            _pair(("呈办单位", self._name(slip.sender)), ("呈送", upward)),
            _pair(
                ("呈办时间", shanghai(handoff.sent_at if handoff else None)),
                ("呈办事由", "请示批示" if own else "请求协调"),
            ),
        ]
        given = self._instruction(handoff) if handoff and own else None
        if given is None:
            return parties, [_text("领导批示", "", room=34, signer="领导")]
        report = f"落实情况请于{deadline(given.report_by)}前报告。"
        signed = _signed("批示领导", given.leader, given.at)
        return parties, [_text("领导批示", f"{given.text}\n{report}", signed, room=18, signer="领导")]

    def _instruction(self, handoff: Handoff) -> Instruction | None:
        """Return the own leader's instruction that a submission asked for; whoever may see the slip may see it."""
        at = handoff.instructed_at
        return next((i for i in self.state.instructions if i.at == at and i.mailbox == handoff.sender), None)

    # ── 附表6–8 ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _handed(self, handoff: Handoff) -> list[dict[str, Any]]:
        names = ("首接单位", "承办部门") if handoff.way is Way.DIRECT else ("交办单位", "承办单位")
        return [
            _text("来信主题", self.letter.subject or "（无）"),
            _pair((names[0], self._name(handoff.sender)), (names[1], self._name(handoff.receiver))),
        ]

    def reply(self, handoff: Handoff, reply: Reply) -> Form:
        """Return 附表6, a written reply (R6.2)."""
        document = reply.document
        text = reply.text
        formal: list[dict[str, Any]] = []
        if document is not None:
            scan = document.scan.name if document.scan else "无"
            formal = [
                _pair(("正式行文\n文号", document.number), ("成文日期", shanghai_date(document.dated))),
                _text("行文扫描件", scan),
            ]
            text = text or "以正式行文回复，见上列文号。"
        decision = reply.decision
        if decision is None:
            waits = reply == handoff.draft
            approval = _text("审核意见", "", room=36, signer="承办单位负责人")
            mark = "（待审核）" if waits else "（已由后稿代替）"
        elif decision.reason is not None:
            signed = _signed("审核人", decision.by, decision.at)
            approval = _text("审核意见", f"不同意：{decision.reason}", signed)
            mark = "（审核未通过）"
        else:
            signed = _signed("审核人", decision.by, decision.at)
            approval = _text("审核意见", "同意。", signed, room=30, signer="承办单位负责人")
            mark = "（已退办）" if any(one.reply_id == reply.id for one in handoff.sent_back) else ""
        rows = [
            *self._handed(handoff),
            _pair(
                ("交办时间", shanghai(handoff.sent_at)), ("回复时间", shanghai(decision.at if decision else reply.at))
            ),
            *formal,
            _text("办理情况\n及回复内容", text, _signed("承办人", reply.author, reply.at)),
            _text("附件", _files(reply.attachments), listed=True),
            approval,
            _text("交办单位\n意见", "", room=36, signer="交办单位"),
        ]
        back = [one.at for one in handoff.sent_back if one.reply_id == reply.id]
        at = _latest(reply.at, decision.at if decision else None, *back)
        return Form("附表6", "承办回复单", rows, at, mark, notes=[f"本回复在系统中的序号：{handoff.id}/{reply.id}。"])

    def urging(self, handoff: Handoff, urging: Urging) -> Form:
        """Return 附表7, one urging (R7.1)."""
        which = ordinal(urging.count)
        late = duration(urging.at - urging.due_at)
        explained = [*(note.at for note in handoff.progress), *(asked.at for asked in handoff.extensions)]
        told = max((at for at in explained if at <= urging.at), default=None)
        silence = "也未收到情况说明" if told is None else f"{shanghai(told)}说明情况后也未再收到进展说明"
        text = (
            f"该件已于{deadline(urging.due_at)}到期，至本单发出时已逾期{late}，尚未收到你单位的回复，{silence}。"
            f"现予{which}催办。请抓紧办理，按要求回复；确有特殊情况不能按期办结的，请立即说明原因和进展。"
        )
        rows = [
            *self._handed(handoff),
            _pair(("交办时间", shanghai(handoff.sent_at)), ("办理期限", deadline(urging.due_at))),
            _pair(("催办时间", shanghai(urging.at)), ("已逾期", late)),
            _text("办理要求", handoff.requirements or handoff.opinion),
            _text("催办意见", text, room=26, signer="催办单位"),
            _text("承办单位\n情况说明", "", room=40, signer="承办单位"),
            _text("签收", "", room=16, signer="承办单位"),
        ]
        return Form("附表7", "催办单", rows, urging.at, ordinal=f"（{which}催办）", notes=[f"本单针对：{handoff.id}。"])

    def send_back(self, handoff: Handoff, back: SentBack) -> Form:
        """Return 附表8, one reply sent back to be done again (R7.3)."""
        which = ordinal(back.count)
        reply = next((one for one in handoff.replies if one.id == back.reply_id), None)
        given = reply.text or "（正式行文）" if reply else "（见系统中的来信历史）"
        clock = self.state.clocks.get(handoff.id)
        last = bool(handoff.sent_back) and handoff.sent_back[-1].count == back.count
        limit = f"{back.working_days or self.reply_days}个工作日"
        if last and clock is not None and clock.due_at is not None and clock.due_at > back.at:
            limit = f"{deadline(clock.due_at)}（{limit}）" if not handoff.extensions else deadline(clock.due_at)
        rows = [
            *self._handed(handoff),
            _pair(("交办时间", shanghai(handoff.sent_at)), ("原回复时间", shanghai(_decided_at(reply)))),
            _pair(("退办时间", shanghai(back.at)), ("重办期限", limit)),
            _text("原回复内容", given),
            _text("退办理由", back.reason),
            _text("重办要求", back.requirements, _signed("退办人", back.by, back.at), room=34, signer="退办单位"),
            _text("签收", "", room=30, signer="承办单位"),
        ]
        notes = [f"本单针对：{handoff.id}/{back.reply_id}。"]
        return Form("附表8", "退办单", rows, back.at, ordinal=f"（{which}退办）", notes=notes)


def _decided_at(reply: Reply | None) -> datetime | None:
    return reply.decision.at if reply is not None and reply.decision is not None else None
