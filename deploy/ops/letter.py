"""`letter NUMBER|ID|RECEIPT`: one letter's whole story with timing, as the record has it, and how far each service is with it.

No contact data is shown, and what people wrote only with `--with-text`. It reads one partition of `letters`, and the
topics of the mailboxes that had to do with the letter, as far back as they are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.history import NoSuchLetter, letter_of
from deploy.ops.cluster import admin, bounds, consumer, read_range, topics_of
from deploy.ops.console import WELL, WRONG, Ops, Refused, ago, table, verb
from deploy.parked import parking
from services import NAMES
from services.routing.steps import record_of, step_of
from shared.calendar.zone import SHANGHAI
from shared.contracts import facts as known
from shared.contracts.catalogue import BY_TYPE, parse
from shared.contracts.facts import Fact
from shared.messaging.kafka import TopicPartition, partition_of
from shared.messaging.parking import Message, read
from shared.security.receipts import MistypedReceipt, parse_receipt, receipt_key
from shared.storage import translated

COLLECTION = {name: "rows" if name == "reporting" else "letters" for name in NAMES}
"""Where each service keeps its document of a letter."""


@dataclass
class Story:
    """What is known of one letter."""

    letter_id: str
    records: list[Any] = field(default_factory=list)
    """Its records on `letters`, in order."""
    messages: list[Message] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    """Those that can be read."""
    told: list[tuple[str, datetime, str]] = field(default_factory=list)
    """(mailbox, when, what) of the messages that mailboxes got."""
    documents: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    waiting: dict[str, list[Message]] = field(default_factory=dict)


def add(found: Any) -> None:
    """Add the verb."""
    about = "Exit status 1 where a service lags behind with the letter, or messages on it are parked."
    parser = verb(found, "letter", "one letter's whole story, with timing", about, run)
    parser.add_argument("letter", help="its number (渝府信〔2026〕17号, YFX-2026-17), id or receipt code")
    parser.add_argument("--with-text", action="store_true", help="also what people wrote: treat it as such")


async def run(ops: Ops) -> int:
    """Show it."""
    story = Story(await found_letter(ops, ops.asked.letter))
    await _read_record(ops, story)
    if not story.records:
        raise Refused(
            f"没有来信 {ops.asked.letter} / there is no letter {ops.asked.letter!r}: neither a number, nor an id, nor a receipt code"
        )
    await _read_mailboxes(ops, story)
    for service in NAMES:
        with translated():
            document = await ops.store.collection(service, COLLECTION[service]).find_one({"_id": story.letter_id})
        story.documents[service] = document or {}
        queues = await parking(ops.settings, ops.store, service).queues([story.letter_id])
        story.waiting[service] = queues[story.letter_id].items if queues else []
    behind = lagging(story)
    ops.give(_answer(story, ops.asked.with_text), _lines(story, ops.asked.with_text))
    return WRONG if behind or any(story.waiting.values()) else WELL


async def found_letter(ops: Ops, text: str) -> str:
    """Return the id of a letter by its number, id or receipt code.

    Raises:
        Refused: there is none of that number or code.
    """
    try:
        code = parse_receipt(text)
    except MistypedReceipt:
        try:
            return await letter_of(ops.settings, ops.store, text)
        except NoSuchLetter as error:
            raise Refused(str(error)) from error
    key = receipt_key(ops.settings.secret(), code)
    with translated():
        document = await ops.store.collection("intake", "letters").find_one({"receipt": key}, {"_id": 1})
    if document is None:
        raise Refused(
            f"没有查询码 {code} 的来信 / no letter has the receipt code {code} (is RECEIPT_SECRET that of the services?)"
        )
    return str(document["_id"])


async def _read_record(ops: Ops, story: Story) -> None:
    topic = ops.settings.namespace + "letters"
    async with admin(ops.settings) as asking, consumer(ops.settings) as client:
        described = (await topics_of(asking, ops.settings.namespace)).get(topic)
        if described is None:
            raise Refused(f"没有主题 {topic} / the broker has no topic {topic!r}: see NAMESPACE and KAFKA_BOOTSTRAP")
        numbers = sorted(part["partition"] for part in described["partitions"])
        place = TopicPartition(topic, partition_of(story.letter_id, numbers))
        begin, end = (await bounds(client, [(topic, place.partition)]))[place]
        async for records in read_range(client, place, begin, end):
            own = [record for record in records if record.key == story.letter_id.encode()]
            story.records += own
    for record in story.records:
        message = read(record, ops.settings.namespace)
        story.messages.append(message)
        fact = _fact(message)
        if fact is not None:
            story.facts.append(fact)


def _fact(message: Message) -> Fact | None:
    if message.envelope is None or message.envelope.type not in BY_TYPE or message.drop:
        return None
    try:
        found = parse(message.envelope.type, message.value)
    except ValueError:
        return None
    return found if isinstance(found, Fact) else None


async def _read_mailboxes(ops: Ops, story: Story) -> None:
    codes = {
        str(code)
        for fact in story.facts
        for name in ("mailbox", "sender", "receiver")
        if (code := getattr(fact, name, None))
    }
    namespace = ops.settings.namespace
    async with admin(ops.settings) as asking, consumer(ops.settings) as client:
        there = await topics_of(asking, namespace)
        wanted = [
            (namespace + f"mailbox.{code}", 0) for code in sorted(codes) if namespace + f"mailbox.{code}" in there
        ]
        for place, (begin, end) in (await bounds(client, wanted)).items():
            async for records in read_range(client, place, begin, end):
                for record in records:
                    message = read(record, namespace)
                    if record.key == story.letter_id.encode() and message.envelope is not None:
                        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                        story.told.append(
                            (message.topic.removeprefix("mailbox."), at, _plain_name(message.envelope.type))
                        )
    story.told.sort(key=lambda one: one[1])


def _plain_name(type: str) -> str:
    return type.removeprefix("xinxiang.").rpartition(".v")[0]


def holders(facts: Sequence[Fact]) -> list[tuple[str, datetime, datetime | None]]:
    """Return who had the letter, from when until when (None: still)."""
    moves: list[tuple[str, datetime]] = []
    ways: dict[str, tuple[str, str]] = {}
    ended = known.HandoffReturned | known.SlipWithdrawn | known.ReplyApproved
    for fact in facts:
        now = None
        if isinstance(fact, known.LetterReceived):
            now = fact.mailbox
        elif isinstance(fact, known.HandoffSent):
            ways[fact.handoff_id] = (fact.sender, fact.receiver)
            now = fact.receiver
        elif isinstance(fact, ended):
            now = ways.get(fact.handoff_id, (None, None))[0]
        if now is not None and (not moves or moves[-1][0] != now):
            moves.append((now, fact.at))
    ends = [at for _, at in moves[1:]] + [None]
    return [(who, since, until) for (who, since), until in zip(moves, ends, strict=True)]


def lagging(story: Story) -> dict[str, dict[str, tuple[int, int]]]:
    """Return service → source → (highest seq it has applied, highest on the record), where it lacks some."""
    record: dict[str, int] = {}
    for message in story.messages:
        if message.envelope is not None and message.envelope.seq:
            record[message.envelope.source] = max(record.get(message.envelope.source, 0), message.envelope.seq)
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for service, document in story.documents.items():
        seen = document.get("seen", {})
        short = {source: (seen.get(source, 0), seq) for source, seq in record.items() if seen.get(source, 0) < seq}
        if short:
            found[service] = short
    return found


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _steps(story: Story, with_text: bool) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    before: datetime | None = None
    for record, message in zip(story.records, story.messages, strict=True):
        envelope = message.envelope
        found = record_of(message)
        headers = dict(message.headers)
        try:
            at = datetime.fromisoformat(headers.get("ce_time", b"").decode())
        except ValueError:
            at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        step: dict[str, Any] = {
            "at": at,
            "since_previous_seconds": None if before is None else (at - before).total_seconds(),
            "on_record_after_seconds": max(0.0, record.timestamp / 1000 - at.timestamp()),
            "origin": message.origin,
            "source": envelope.source if envelope else None,
            "seq": envelope.seq if envelope else None,
            "type": _plain_name(envelope.type) if envelope else None,
            "by": (found.by or {}).get("subject") if found else None,
            "mailbox": (found.by or {}).get("mailbox") if found else None,
            "replay_of": message.replay_of or None,
            "dropped": message.drop,
            "readable": found.readable if found else False,
        }
        if with_text:
            step |= {"why": found.why if found else "", "details": dict(found.details or {}) if found else {}}
        steps.append(step)
        before = at
    return steps


def _answer(story: Story, with_text: bool) -> dict[str, Any]:
    behind = lagging(story)
    received = [fact for fact in story.facts if isinstance(fact, known.LetterReceived)]
    numbers = [fact.number for fact in story.facts if isinstance(fact, known.LetterRegistered)]
    answer: dict[str, Any] = {
        "letter_id": story.letter_id,
        "number": numbers[0].text if numbers else None,
        "facts": _steps(story, with_text),
        "holders": [{"mailbox": who, "since": since, "until": until} for who, since, until in holders(story.facts)],
        "messages": [{"mailbox": code, "at": at, "type": what} for code, at, what in story.told],
        "services": {
            service: {
                "version": document.get("version", 0),
                "seen": document.get("seen", {}),
                "lacks": {s: {"has": a, "record": b} for s, (a, b) in behind.get(service, {}).items()},
                "unsent": len(document.get("outbox", ())),
                "waiting": [
                    {"origin": m.origin, "why": m.why.value if m.why else None, "error": m.error}
                    for m in story.waiting[service]
                ],
            }
            for service, document in story.documents.items()
        },
        "next_clock_at": story.documents["deadline"].get("next_at"),
        "publication": story.documents["publication"].get("status"),
    }
    if with_text and received:
        answer["text"] = {"subject": received[0].subject, "body": received[0].body}
    return answer


def _shown(at: datetime | None) -> str:
    return "-" if at is None else at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _lines(story: Story, with_text: bool) -> list[str]:
    answer = _answer(story, with_text)
    rows = []
    for step in answer["facts"]:
        what = step_of(f"xinxiang.{step['type']}.v1").name if step["type"] else "无法读取 / unreadable"
        mark = " [略过 dropped]" if step["dropped"] else " [重发 replayed]" if step["replay_of"] else ""
        gap = "" if step["since_previous_seconds"] is None else f"+{ago(abs(step['since_previous_seconds']))}"
        who = f"{step['by']} ({step['mailbox']})" if step["by"] else "-"
        rows.append((_shown(step["at"]), gap, f"{step['source']} {step['seq']}", what + mark, who))
    lines = [f"来信 letter {story.letter_id}  编号 number {answer['number'] or '-'}", ""]
    lines += table(("时间 at", "间隔", "服务 service", "事实 fact", "何人 by"), rows, (1,))
    if with_text:
        text = answer.get("text", {})
        lines += ["", f"标题 subject: {text.get('subject', '')}", f"内容 body: {text.get('body', '')}"]
        lines += [f"  {_shown(step['at'])} {step['why']}" for step in answer["facts"] if step["why"]]
    now = datetime.now(UTC)
    held = [
        (
            one["mailbox"],
            _shown(one["since"]),
            _shown(one["until"]),
            ago(((one["until"] or now) - one["since"]).total_seconds()),
        )
        for one in answer["holders"]
    ]
    lines += ["", *table(("在谁手中 held by", "自 since", "至 until", "历时"), held)]
    told = [(one["mailbox"], _shown(one["at"]), one["type"]) for one in answer["messages"]]
    if told:
        lines += ["", *table(("告知信箱 told", "时间 at", "消息 message"), told)]
    services = []
    for name, one in answer["services"].items():
        lacks = ", ".join(f"{s}: {p['has']}/{p['record']}" for s, p in one["lacks"].items())
        waits = ", ".join(f"{m['origin']} {m['why']}: {m['error']}" for m in one["waiting"])
        services.append((name, one["version"], lacks or "齐全 all", one["unsent"] or "-", waits or "-"))
    lines += ["", *table(("服务 service", "版本", "缺 lacks", "未发 unsent", "等候 waiting"), services, (1,))]
    lines += [
        "",
        f"下一时限 next clock: {_shown(answer['next_clock_at'])}    公开 publication: {answer['publication'] or '-'}",
    ]
    return lines
