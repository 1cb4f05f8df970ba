"""Letters that citizens follow: the facts that bring one to each standing that the page shows."""

from datetime import datetime, timedelta
from typing import Any, Final

from services.settings import Settings
from shared.contracts import facts as f
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Channel,
    Classification,
    InvalidReason,
    Nature,
    Number,
    TurnTo,
    WithdrawalGround,
)
from shared.security.receipts import receipt_code

BEGAN: Final = datetime.fromisoformat("2026-02-02T10:00:00+08:00")
DUE: Final = datetime.fromisoformat("2026-02-17T00:00:00+08:00")
LATER: Final = datetime.fromisoformat("2026-03-07T00:00:00+08:00")
SECRET: Final = "此人多次来信，不要理他"
STANDINGS: Final = ("unread", "in_hand", "late", "extended", "answered", "published", "withdrawn", "refused", "noted")


def receipt(letter_id: str) -> str:
    """The code under which a letter is followed."""
    return receipt_code(Settings().secret(), letter_id)


def story(standing: str, letter_id: str, serial: int = 1) -> list[f.Fact]:
    """The facts on a letter that stands so."""
    clerk = Actor(subject="mayor-clerk", name="甲经办", mailbox="mayor")
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=serial)
    hours = iter(range(1, 30))

    def fact(kind: type[f.Fact], **values: Any) -> f.Fact:
        at = values.pop("at", BEGAN + timedelta(hours=next(hours)))
        by = None if kind in {f.LetterReceived, f.ReplyDueSet, f.ReplyOverdue, f.ReplyDueChanged} else clerk
        return kind(**{"letter_id": letter_id, "at": at, "by": by, **values})

    about = Classification(nature=Nature.HELP, domain="utilities-power", region="500103")
    words = {"subject": "小区门口路灯不亮", "body": "我们小区门口的路灯坏了半个多月，希望尽快修好。"}
    to = {"mailbox": "mayor", "chosen_mailbox": "mayor"}
    facts = [fact(f.LetterReceived, at=BEGAN, classification=about, may_publish=True, **to, **words)]
    if standing == "unread":
        return facts
    facts.append(fact(f.LetterRead))
    if standing == "refused":
        why = {"reason": InvalidReason.OUTSIDE_GOVERNMENT, "turn_to": TurnTo.COURT, "remark": SECRET}
        return [*facts, fact(f.LetterDiscarded, **why)]
    if standing == "noted":
        return [*facts, fact(f.LetterNoted, remark=SECRET)]
    sent = {
        "sender": "mayor",
        "opinion": "拟交市教委办理",
        "requirements": SECRET,
        "prepared_by": clerk,
        "number": number,
    }
    hand = {"handoff_id": "s1", "receiver": "education"}
    facts += [
        fact(f.LetterRegistered, number=number),
        fact(f.HandoffSent, answer_by=AnswerBy.ASSIGNEE, written_reply=False, **hand, **sent),
        fact(f.HandoffCollected, **hand),
        fact(f.ReplyDueSet, due_at=DUE, working_days=10, **hand),
    ]
    if standing == "late":
        facts.append(fact(f.ReplyOverdue, at=DUE, sender="mayor", due_at=DUE, **hand))
    if standing == "extended":
        facts.append(fact(f.ReplyDueChanged, before=DUE, due_at=LATER, why="extension", **hand))
    if standing in {"in_hand", "late", "extended"}:
        return facts
    answer = {"mailbox": "education", "channel": Channel.ONLINE, "text": "您好！路灯已于2月9日修复。\n感谢您的来信。"}
    facts.append(fact(f.CitizenAnswered, author=clerk, **answer))
    if standing in {"published", "withdrawn"}:
        shown = {"body": "路灯坏了。", "reply": "已修复。", "text_hash": "0" * 64, "subject": "路灯不亮"}
        facts.append(fact(f.LetterPublished, mailbox="education", number=number, prepared_by=clerk, **shown))
    if standing == "withdrawn":
        gone = {"mailbox": "education", "number": number, "ground": WithdrawalGround.PRIVACY, "remark": SECRET}
        facts.append(fact(f.PublicationWithdrawn, **gone))
    return facts
