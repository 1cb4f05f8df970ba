"""What each fact is in a letter's history: its category, its words, where its why comes from, and which mailboxes read it (R10.1, R10.2).

What a unit does inside is its own business (R4.2b): an entry is read by the same mailboxes that `showing.py` shows the same thing to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import orjson
from pydantic import ValidationError

from services.routing import chain
from shared.contracts import facts
from shared.contracts.catalogue import UnknownMessageType, parse
from shared.contracts.envelope import Attributes
from shared.contracts.types import Actor, Classification, Labelled, Number, Value
from shared.messaging.parking import DECIDED, Message

LONGEST_ID: Final = 64
"""Characters of a letter's id."""


class Category(Labelled):
    """The categories in which a letter's steps are kept (R10.1)."""

    ACCEPTANCE = "acceptance", "受理"
    HANDLING = "handling", "办理"
    REPLY = "reply", "回复"
    TIME = "time", "时限"
    SUPERVISION = "supervision", "督办"
    INSTRUCTION = "instruction", "批示"
    PUBLICATION = "publication", "公示"
    OTHER = "other", "其他"


class Reader(StrEnum):
    """Which of the mailboxes that may see a letter read an entry; the duty office reads all."""

    PARTIES = "parties"
    """All of them."""
    FIRST = "first"
    """The first-receiving mailbox."""
    NAMED = "named"
    """The mailbox that the fact names."""
    SLIP = "slip"
    """The one that made the slip."""
    ENDS = "ends"
    """The two ends of the hand-off."""
    DRAFTER = "drafter"
    """The end that writes the reply."""
    STAFF = "staff"
    """Those who follow the instruction, and the leader's mailbox."""


Why = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the table."""

    category: Category
    name: str
    """What happened, in Chinese and English."""
    reader: Reader
    why: Why = lambda _fact: ""
    """Fact → the reason, opinion or text that it gives."""


def _of(*names: str) -> Why:
    """Return what joins the texts of these fields, each on lines of its own."""
    return lambda fact: "\n".join(text for name in names if (text := getattr(fact, name)))


def _labels(name: str) -> Why:
    """Return what names the reason, or the grounds, in the regulation's words."""

    def why(fact: Any) -> str:
        found = getattr(fact, name)
        return "；".join(one.label for one in (found if isinstance(found, tuple) else (found,)))

    return why


def _erased(fact: facts.LetterErased) -> str:
    return fact.ground or (fact.reason.label if fact.reason else "")


def _withheld(fact: facts.PublicationWithheld) -> str:
    return "来信人不同意公开" if fact.consent_refused else _labels("grounds")(fact)


_CAUSES: Final = {"extension": "延期", "sent_back": "退办", "schedule": "节假日安排变动", "urged": "催办"}


def _moved(fact: facts.ReplyDueChanged) -> str:
    return "：".join(part for part in (_CAUSES[fact.why], fact.detail) if part)


C, R = Category, Reader
# The remark on a discard is left out: it may quote the letter, whose text is erased after its retention (R3.7). The reason stays.
STEPS: Final[Mapping[type[facts.Fact], Step]] = {
    facts.LetterReceived: Step(C.ACCEPTANCE, "收到来信 / The letter was received", R.PARTIES),
    facts.LetterRead: Step(C.ACCEPTANCE, "阅读来信 / Staff read it", R.FIRST),
    facts.LetterReclassified: Step(C.ACCEPTANCE, "更正分类 / The classification was corrected", R.FIRST),
    facts.LetterRegistered: Step(C.ACCEPTANCE, "登记编号 / It was registered", R.PARTIES),
    facts.LetterDiscarded: Step(C.ACCEPTANCE, "不予受理 / It was not accepted", R.FIRST, _labels("reason")),
    facts.LetterErased: Step(C.ACCEPTANCE, "删除内容 / What the citizen wrote was erased", R.FIRST, _erased),
    facts.LetterNoted: Step(C.ACCEPTANCE, "掌握存档 / It was archived for reference", R.FIRST, _of("remark")),
    facts.SlipPrepared: Step(C.HANDLING, "拟写单据 / A slip was prepared", R.SLIP, _of("opinion", "requirements")),
    facts.SlipRefused: Step(C.HANDLING, "退回单据 / The slip was refused", R.SLIP, _of("reason")),
    facts.HandoffSent: Step(
        C.HANDLING, "批准发出 / The slip was approved and sent", R.PARTIES, _of("opinion", "requirements")
    ),
    facts.HandoffCollected: Step(C.HANDLING, "签收 / It was collected", R.PARTIES),
    facts.SlipWithdrawn: Step(C.HANDLING, "撤回单据 / The slip was withdrawn", R.PARTIES, _of("reason")),
    facts.HandoffReturned: Step(C.HANDLING, "退件 / It was returned", R.PARTIES, _of("reason")),
    facts.CitizenTold: Step(C.HANDLING, "告知来信人去向 / The citizen was told where it went", R.PARTIES, _of("text")),
    facts.ProgressRecorded: Step(C.HANDLING, "说明进展 / Progress was explained", R.ENDS, _of("text")),
    facts.ReplySubmitted: Step(C.REPLY, "拟写承办回复 / A reply was drafted", R.DRAFTER, _of("text")),
    facts.ReplyRefused: Step(C.REPLY, "退回承办回复 / The draft was refused", R.DRAFTER, _of("reason")),
    facts.ReplyApproved: Step(C.REPLY, "批准承办回复 / The reply was approved", R.ENDS, _of("text")),
    facts.CitizenAnswered: Step(C.REPLY, "答复来信人 / The citizen was answered", R.PARTIES, _of("text")),
    facts.ReplySentBack: Step(C.SUPERVISION, "退办 / The reply was sent back", R.ENDS, _of("reason", "requirements")),
    facts.ExtensionRequested: Step(C.TIME, "申请延期 / More time was applied for", R.ENDS, _of("reason")),
    facts.ExtensionDecided: Step(C.TIME, "审批延期 / The application was decided", R.ENDS, _of("reason")),
    facts.InstructionGiven: Step(C.INSTRUCTION, "领导批示 / A leader gave an instruction", R.STAFF, _of("text")),
    facts.InstructionFollowedUp: Step(
        C.INSTRUCTION, "落实批示 / The instruction was followed up", R.STAFF, _of("text")
    ),
    facts.InstructionEnded: Step(C.INSTRUCTION, "办结批示 / The instruction was ended", R.STAFF, _of("text")),
    facts.InstructionReminded: Step(C.INSTRUCTION, "提醒落实批示 / Staff were reminded of the instruction", R.STAFF),
    facts.UrgingDue: Step(C.SUPERVISION, "应予催办 / An urging fell due", R.PARTIES),
    facts.UrgingSent: Step(C.SUPERVISION, "催办 / The urging slip was sent", R.PARTIES),
    facts.ReadingOverdue: Step(C.TIME, "逾期未阅 / It was not read in time", R.NAMED),
    facts.DispositionOverdue: Step(C.TIME, "逾期未处理 / It was not disposed of in time", R.NAMED),
    facts.ReplyDueSet: Step(C.TIME, "确定办理期限 / The limit was set", R.PARTIES),
    facts.ReplyDueChanged: Step(C.TIME, "变更办理期限 / The limit was changed", R.PARTIES, _moved),
    facts.ReplyReminded: Step(C.TIME, "临期提醒 / The assignee was reminded of the limit", R.PARTIES),
    facts.ReplyOverdue: Step(C.TIME, "逾期未复 / The limit passed without a reply", R.PARTIES),
    facts.PublicationPrepared: Step(C.PUBLICATION, "拟公示 / A public text was proposed", R.NAMED, _labels("grounds")),
    facts.LetterPublished: Step(C.PUBLICATION, "公示来信 / It was published", R.PARTIES),
    facts.PublicationWithheld: Step(C.PUBLICATION, "不予公示 / It was not published", R.NAMED, _withheld),
    facts.PublicationWithdrawn: Step(
        C.PUBLICATION, "撤回公示 / It was taken off the public site", R.PARTIES, lambda f: f.ground.label
    ),
    facts.NoticePosted: Step(
        C.PUBLICATION, "列入公示栏 / It was put on the notice board", R.PARTIES, lambda f: _CAUSES[f.for_what]
    ),
    facts.NoticeRemoved: Step(C.PUBLICATION, "移出公示栏 / It left the notice board", R.PARTIES),
}
"""Every fact of every service."""

UNKNOWN: Final = Step(C.OTHER, "其他事项 / A step that this release does not know", R.NAMED)
"""Read by the duty office alone: nobody can say whom it concerns."""
BY_NAME: Final = {kind.__name__: step for kind, step in STEPS.items()}

DETAILS: Final = (
    *("number", "mailbox", "sender", "receiver", "leader", "author", "prepared_by", "approver_name"),
    *("slip_id", "handoff_id", "reply_id", "extension_id", "instruction_id", "parent", "text_hash"),
    *("way", "medium", "answer_by", "written_reply", "channel", "by_hand", "oral", "outcome", "count", "flagged"),
    *(
        "working_days",
        "working_days_left",
        "due_at",
        "wanted_due_at",
        "report_by",
        "provisional",
        "before",
        "after",
        "earlier_letter",
        "turn_to",
    ),
)
"""The fields that an entry tells besides who, when and why: none holds text of the letter or of the citizen."""

DECISION: Final = ("decided_at", "decided_by", "decided_why")
"""The details of what a person decided on a parked record."""


def step_of(type: str) -> Step:
    """Return the row of a CloudEvents type, whatever its version."""
    return BY_NAME.get(type.removeprefix("xinxiang.").rpartition(".v")[0], UNKNOWN)


def types_in(category: Category) -> tuple[set[str], bool]:
    """Return the names of the facts in a category, and whether it holds exactly these (else: all but these)."""
    if category is Category.OTHER:
        return set(BY_NAME), False
    return {name for name, step in BY_NAME.items() if step.category is category}, True


# ── from a record to an entry ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Record:
    """A fact of the topic and what its entry tells in words."""

    fact: chain.Fact
    by: dict[str, str] | None = None
    why: str = ""
    details: Mapping[str, Any] | None = None
    readable: bool = True
    """False: services could not read it, so it had no effect (it is parked until a person decides)."""


def record_of(message: Message) -> Record | None:
    """Read a record of `letters`; none: its envelope makes it no fact on any letter, and services park it as such.

    Never raises, whatever the record holds: a history goes on behind a bad one.
    """
    envelope = message.envelope
    if envelope is None or not envelope.seq or not 0 < len(envelope.subject) <= LONGEST_ID:
        return None
    by, why, details, readable = _told(envelope, message.value)
    if message.replay_of:
        details = (details or {}) | _decision(message)
    fact = chain.Fact(
        letter_id=envelope.subject,
        place=(message.partition, message.offset),
        id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        seq=envelope.seq,
        at=_moment(dict(message.headers).get("ce_time", b"")),
        sha256=sha256(message.value).hexdigest(),
        replay_of=message.replay_of,
        dropped=message.drop,
        said=(chain.digest(by), chain.digest(why), chain.digest(details)),
    )
    return Record(fact, by, why, details, readable)


def _decision(message: Message) -> dict[str, str]:
    """Return when, by whom and why a person replayed or dropped a parked record."""
    given = {name: value.decode(errors="replace") for name, value in message.headers if name in DECIDED}
    return {called: given[name] for name, called in zip(DECIDED, DECISION, strict=True) if given.get(name)}


def _told(envelope: Attributes, value: bytes) -> tuple[dict[str, str] | None, str, dict[str, Any] | None, bool]:
    """Return who, why, the details, and whether services can read the fact."""
    try:
        fact = parse(envelope.type, value)
    except UnknownMessageType:
        return _unknown_by(value), "", None, True
    except ValidationError:
        return None, "", None, False
    if not isinstance(fact, facts.Fact) or (fact.source, fact.letter_id) != (envelope.source, envelope.subject):
        return None, "", None, False
    kind = fact.__class__
    details = {name: told for name in _names(kind) if (told := _plain(getattr(fact, name))) not in (None, "")}
    return fact.by.model_dump() if fact.by else None, STEPS[kind].why(fact), details or None, True


def _unknown_by(value: bytes) -> dict[str, str] | None:
    """Return who did what a newer release tells of: every fact says it in the same way."""
    try:
        return Actor.model_validate(orjson.loads(value)["by"]).model_dump()
    except (ValueError, TypeError, KeyError):
        return None


@lru_cache(maxsize=256)
def _names(kind: type[Value]) -> tuple[str, ...]:
    return tuple(name for name in DETAILS if name in kind.model_fields)


def _plain(part: Any) -> Any:
    if isinstance(part, datetime):
        return _text(part)
    if isinstance(part, Enum):
        return part.value
    if isinstance(part, Number):
        return part.text
    if isinstance(part, Actor | Classification):
        return part.model_dump(mode="json", exclude_none=True)
    return part


def _text(moment: datetime) -> str:
    """Write a time in UTC; one at the very end of the calendar stays as it was written."""
    try:
        return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:
        return moment.isoformat(timespec="milliseconds")


def _moment(header: bytes) -> str:
    try:
        moment = datetime.fromisoformat(header.decode())
    except ValueError:
        return ""
    return _text(moment) if moment.tzinfo else ""
