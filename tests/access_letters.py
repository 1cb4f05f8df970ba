"""Letters at every stage, for the tests of who may what: the facts that bring one there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from services.publication.domain import PublicText
from shared.contracts import facts as f
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Medium, Nature, Number, Way
from tests.conftest import MONDAY

ABOUT: Final = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")
PUBLIC: Final = PublicText(subject="路灯", body="路灯坏了。", reply="已修复。")


def _by(mailbox: str, who: str = "lin") -> Actor:
    """Somebody who asks for nothing in these tests, so that everybody else may approve what they prepared."""
    return Actor(subject=who, mailbox=mailbox)


@dataclass
class Letter:
    """A letter and the facts that brought it to its stage."""

    id: str
    serial: int

    @property
    def number(self) -> Number:
        return Number(mailbox="yuzhong", prefix="渝中府信", ascii_prefix="YZFX", year=2026, serial=self.serial)

    def until(self, stage: str) -> list[f.Fact]:
        """The facts up to a stage."""
        return list(self._story(stage))

    def due(self) -> f.Fact:
        """The limit of the assignment, as deadline sets it."""
        values = {"handoff_id": "s2", "receiver": "education-basic", "working_days": 10}
        return f.ReplyDueSet(letter_id=self.id, at=MONDAY, due_at=MONDAY + timedelta(days=14), **values)

    def _fact(self, kind: type[f.Fact], mailbox: str = "yuzhong", /, **values: Any) -> f.Fact:
        by = None if kind is f.LetterReceived else _by(mailbox)
        return kind(**{"letter_id": self.id, "at": MONDAY, "by": by, **values})

    def _slip(self, slip_id: str, sender: str, receiver: str, way: Way, **more: Any) -> dict[str, Any]:
        parts = {"sender": sender, "receiver": receiver, "opinion": "拟办", "requirements": "办理", "way": way}
        return {**parts, "answer_by": AnswerBy.ASSIGNER, **more}

    def _prepared(self, slip_id: str, slip: Mapping[str, Any]) -> f.Fact:
        return self._fact(f.SlipPrepared, slip["sender"], slip_id=slip_id, **slip)

    def _sent(self, slip_id: str, slip: Mapping[str, Any]) -> f.Fact:
        more = {"prepared_by": _by(slip["sender"]), "written_reply": False, "number": self.number}
        approver = _by(slip["sender"], "gao")
        return self._fact(f.HandoffSent, handoff_id=slip_id, **{**slip, **more, "by": approver})

    def _story(self, stage: str) -> Iterator[f.Fact]:
        text = {"subject": "路灯坏了两周", "body": "学校门口的路灯坏了两周，请尽快修复。"}
        yield self._fact(
            f.LetterReceived,
            mailbox="yuzhong",
            chosen_mailbox="yuzhong",
            **text,
            classification=ABOUT,
            may_publish=True,
        )
        if stage == "unread":
            return
        yield self._fact(f.LetterRegistered, number=self.number)
        forward = self._slip("s1", "yuzhong", "education", Way.FORWARD)
        yield from (self._prepared("s1", forward), self._sent("s1", forward))
        yield self._fact(f.HandoffCollected, "education", handoff_id="s1", receiver="education")
        if stage in {"pending", "forwarded"}:
            return
        medium = Medium.FAX if stage == "faxed" else Medium.SYSTEM
        assign = self._slip("s2", "education", "education-basic", Way.ASSIGN, parent="s1", medium=medium)
        yield self._prepared("s2", assign)
        if stage == "slip":
            return
        yield self._sent("s2", assign)
        if stage == "sent":
            return
        ends = {"sender": "education", "receiver": "education-basic"}
        if stage == "withdrawn":
            yield self._fact(f.SlipWithdrawn, "education", handoff_id="s2", **ends, reason="误发")
            return
        yield self._fact(
            f.HandoffCollected, "education-basic", handoff_id="s2", receiver="education-basic", by_hand=stage == "faxed"
        )
        yield from self._later(stage, ends)

    def _later(self, stage: str, ends: Mapping[str, str]) -> Iterator[f.Fact]:
        basic = "education-basic"
        if stage == "asked":
            wanted = MONDAY + timedelta(days=20)
            more = {"handoff_id": "s2", "extension_id": "e1", "reason": "待配合", "wanted_due_at": wanted}
            yield self._fact(f.ExtensionRequested, basic, **ends, **more)
        if stage == "instructed":
            leader = _by("education", "shu")
            more = {"instruction_id": "i1", "mailbox": "education", "leader": leader, "text": "请尽快"}
            yield self._fact(f.InstructionGiven, "education", **more, report_by=MONDAY + timedelta(days=4))
        if stage == "urged":
            yield f.UrgingSent(letter_id=self.id, at=MONDAY, handoff_id="s2", **ends, count=1, due_at=MONDAY)
        if stage in {"collected", "faxed", "asked", "instructed", "urged"}:
            return
        yield self._fact(f.ReplySubmitted, basic, handoff_id="s2", reply_id="r1", text="已修复。")
        if stage == "drafted":
            return
        reply = {"handoff_id": "s2", "reply_id": "r1", **ends, "text": "已修复。", "author": _by(basic)}
        yield self._fact(f.ReplyApproved, basic, **reply, answer_by=AnswerBy.ASSIGNER)
        if stage == "redo":
            why = {"reply_id": "r1", "reason": "不完整", "requirements": "请补充", "count": 1}
            yield self._fact(f.ReplySentBack, "education", handoff_id="s2", **ends, **why)
        if stage in {"replied", "redo"}:
            return
        answerer = basic if stage == "inside" else "education"
        answer = {"mailbox": answerer, "channel": Channel.ONLINE, "text": "已修复。", "author": _by(answerer)}
        yield self._fact(f.CitizenAnswered, answerer, **answer)
        if stage == "answered":
            return
        shown = {**PUBLIC.model_dump(), "mailbox": answerer, "text_hash": PUBLIC.hash}
        yield self._fact(f.PublicationPrepared, answerer, **shown)
        if stage == "published":
            yield self._fact(f.LetterPublished, answerer, **shown, number=self.number, prepared_by=_by(answerer, "wen"))
