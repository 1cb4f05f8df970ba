"""What a service could not handle, and what queues behind it.

A message that cannot be understood or breaks a rule is *parked*: recorded on `letters.parked.<service>` and kept in the service's
collection `waiting`. Later messages on the same letter wait there too, in order; other letters flow. A fact that came too early (a gap in
`seq`) waits in the same way until the missing one arrives.

`python -m deploy.ops parked` lists what waits, and replays or drops a parked message by publishing it again on the topic where it
came from, with the header `replayof`; so the topic also records the decision.
"""

import logging
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from faststream.kafka import KafkaBroker
from pydantic import ValidationError

from shared.contracts.envelope import LETTER_ID, Attributes, BadEnvelope, attributes
from shared.messaging.broker import MAX_MESSAGE_BYTES, Record
from shared.observability import metrics
from shared.storage import DeleteOne, Index, ReplaceOne, Store, translated

log = logging.getLogger(__name__)

WAITING = "waiting"
"""The collection of what waits."""
DECIDED = ("replayat", "replayby", "replaywhy")
"""Headers of a replay or drop that say when, by whom and why it was decided."""
LONGEST_RECORD = MAX_MESSAGE_BYTES - 50_000
"""Bytes of a record on the parked topic, with room for its key and what the broker adds."""
LONGEST_KEY = 1_000
_REPLAY = frozenset({"replayof", "replaydrop", *DECIDED})


class Why(StrEnum):
    """Why a message waits."""

    FAILED = "failed"
    """It could not be handled: a person must replay or drop it."""
    GAP = "gap"
    """An earlier fact of the same service has not arrived."""
    BEHIND = "behind"
    """Another message of the letter waits before it."""
    NEWER = "newer"
    """A newer release sent it, or wrote the letter's state: it is taken by itself once this service is upgraded."""


@dataclass(slots=True)
class Message:
    """A record as it came from Kafka, with its envelope if it could be read."""

    topic: str
    """Without the deployment's namespace."""
    partition: int
    offset: int
    key: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes
    envelope: Attributes | None = None
    error: str = ""
    """Why it could not be handled."""
    replay_of: str = ""
    """Origin of the parked message in whose place this one was published."""
    drop: bool = False
    """With `replay_of`: this records the decision to skip that message."""
    why: Why | None = None
    """Set while it waits."""
    stack: str = ""

    @property
    def origin(self) -> str:
        """Where it stands: `topic/partition/offset`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def letter_id(self) -> str:
        """The letter it is about, or "" where that cannot be told: then nothing can queue behind it."""
        return self.envelope.subject if self.envelope else ""


def read(record: Record, namespace: str) -> Message:
    """Take a record from Kafka; an unreadable envelope is noted in `error`, never raised."""
    key = (record.key or b"").decode(errors="replace")
    headers = tuple((name, value or b"") for name, value in record.headers)
    replay = {name: value.decode(errors="replace") for name, value in headers if name in _REPLAY}
    topic = record.topic.removeprefix(namespace)
    message = Message(
        topic=topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        headers=headers,
        value=record.value or b"",
        # of another topic's messages nobody decides here, whatever a message says
        replay_of=origin if (origin := replay.get("replayof", "")).startswith(f"{topic}/") else "",
        drop=replay.get("replaydrop") == "true",
    )
    try:
        envelope = attributes(headers)
        if not LETTER_ID.fullmatch(envelope.subject):
            message.error = f"ce_subject is no letter id ({envelope.subject[:64]!r})"
        elif envelope.subject == key:
            message.envelope = envelope
        else:
            message.error = f"the key is not the letter id that ce_subject names ({envelope.subject[:64]!r})"
    except BadEnvelope as error:
        message.error = str(error)
    return message


def explain(error: BaseException) -> tuple[str, str]:
    """Return an error as text and stack without the values of the message: those may be personal data."""
    if isinstance(error, ValidationError):
        problems = [
            f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['type']}" for e in error.errors(include_url=False)
        ]
        text = f"{error.title} does not fit: " + "; ".join(problems[:20])
    elif getattr(error, "rule", None):
        text = f"{getattr(error, 'rule', '')}: {error}"
    else:
        text = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return text[:2000], "".join(traceback.format_list(frames))[-4000:]


@dataclass(slots=True)
class Queue:
    """What waits on one letter, in order; `items[0]` is what the others wait for."""

    items: list[Message] = field(default_factory=list)
    stored: dict[str, Why | None] = field(default_factory=dict)
    """Origin → reason, as in the store when read."""
    parked: list[Message] = field(default_factory=list)
    """Newly failed: to be recorded on the parked topic."""

    def fail(self, message: Message, error: str, stack: str = "") -> None:
        """Note that a message could not be handled."""
        message.why, message.error, message.stack = Why.FAILED, error, stack
        self.parked.append(message)

    def wait_for_upgrade(self, message: Message, error: str) -> None:
        """Note that a message needs a newer release than this."""
        message.why, message.error = Why.NEWER, error


def strays(messages: Iterable[Message]) -> tuple[Queue, set[str]]:
    """Sort messages that belong to no letter's queue: those to park, and the origins that need not wait any longer.

    A stray that is itself a replay and failed again is not kept: the one that it replays still is.
    """
    queue, removed = Queue(), set()
    for message in messages:
        if message.drop and message.replay_of:
            removed.add(message.replay_of)
        elif not message.replay_of:
            queue.fail(message, message.error, message.stack)
            queue.items.append(message)
    return queue, removed


@dataclass(slots=True)
class Parking:
    """The waiting messages of one service."""

    store: Store
    broker: KafkaBroker
    service: str
    namespace: str = ""

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(self.service, WAITING)

    @property
    def topic(self) -> str:
        """Where newly parked messages are recorded."""
        return f"letters.parked.{self.service}"

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(
            self.collection,
            [Index([("letter_id", 1), ("topic", 1), ("offset", 1)]), Index([("why", 1), ("letter_id", 1)])],
        )

    async def queues(self, letter_ids: Iterable[str]) -> dict[str, Queue]:
        """Return the queues of those of the letters that have one."""
        found: dict[str, Queue] = {}
        ids = [i for i in dict.fromkeys(letter_ids) if i]
        if not ids:
            return found
        with translated():
            async for document in self.collection.find({"letter_id": {"$in": ids}}).sort(
                [("letter_id", 1), ("topic", 1), ("offset", 1)]
            ):
                message = _message(document)
                queue = found.setdefault(document["letter_id"], Queue())
                queue.items.append(message)
                queue.stored[message.origin] = message.why
        return found

    async def newer(self, after: str, limit: int) -> list[str]:
        """Return at most `limit` letters, in the order of their ids beyond `after`, on which something needs a newer release."""
        with translated():
            query = {"why": Why.NEWER.value, "letter_id": {"$gt": after}}
            cursor = self.collection.find(query, {"letter_id": 1}).sort([("letter_id", 1)]).limit(limit)
            return list(dict.fromkeys([document["letter_id"] async for document in cursor]))

    async def listed(self, limit: int = 0, *, content: bool = True) -> list[Message]:
        """Return what waits, failed ones and what is behind them, in order; at most `limit`, 0: all.

        Without `content` their values are left empty: each may have a megabyte.
        """
        fields = None if content else {"value": 0}
        with translated():
            cursor = self.collection.find({}, fields).sort([("letter_id", 1), ("topic", 1), ("offset", 1)]).limit(limit)
            return [_message(document) async for document in cursor]

    async def get(self, origin: str) -> Message | None:
        """Return one waiting message."""
        with translated():
            document = await self.collection.find_one({"_id": origin})
        return None if document is None else _message(document)

    async def keep(self, queues: Mapping[str, Queue], removed: Iterable[str] = (), *, record: bool = True) -> None:
        """Record what newly failed on the parked topic, then write what changed in the queues in one batch.

        `removed` are origins that were replayed or dropped outside of any letter's queue.
        """
        writes: dict[str, Any] = {origin: DeleteOne({"_id": origin}) for origin in removed}
        for letter_id, queue in queues.items():
            for message in queue.parked:
                log.error(
                    "a message was parked",
                    extra={"letter_id": letter_id, "topic": message.topic, "offset": message.offset},
                )
                if record:
                    await self._record(message)
            now = {message.origin: message for message in queue.items}
            writes |= {origin: DeleteOne({"_id": origin}) for origin in queue.stored if origin not in now}
            writes |= {
                origin: ReplaceOne({"_id": origin}, _document(letter_id, message), upsert=True)
                for origin, message in now.items()
                if queue.stored.get(origin) != message.why or message in queue.parked
            }
        if writes:
            with translated():
                # in one order for everybody, so that two replicas never wait for each other
                await self.collection.bulk_write([writes[origin] for origin in sorted(writes)], ordered=False)

    async def aside(self, message: Message, error: Exception) -> None:
        """Park one fact that could not be handled at all; later ones of its letter queue behind it."""
        queue = (await self.queues([message.letter_id])).get(message.letter_id) or Queue()
        if message.origin not in queue.stored:
            queue.fail(message, *explain(error))
            queue.items.append(message)
            await self.keep({message.letter_id: queue})

    async def aside_alone(self, message: Message, error: Exception) -> None:
        """Park one message that could not be handled at all and that no other waits for."""
        message.error, message.stack = explain(error)
        await self.keep({"": strays([message])[0]})

    async def _record(self, message: Message) -> None:
        await self.broker.publish(
            record_of(message, self.service, datetime.now(UTC)),
            topic=self.namespace + self.topic,
            key=message.key.encode()[:LONGEST_KEY],
            headers={"content-type": "application/json"},
        )

    async def measure(self) -> None:
        """Set the metric of parked letters."""
        failed, waiting = await self.counts()
        metrics.parked_letters.labels(self.service).set(failed)
        metrics.waiting_letters.labels(self.service).set(waiting)

    async def forget(self, topic: str) -> None:
        """Forget what waits of one topic: it is read again from there."""
        with translated():
            await self.collection.delete_many({"topic": topic})

    async def holds(self, topic: str) -> bool:
        """Whether messages of a topic are parked that are of no letter's queue."""
        with translated():
            return await self.collection.find_one({"letter_id": "", "topic": topic}, {"_id": 1}) is not None

    async def totals(self) -> tuple[int, int]:
        """Return how many messages failed, and how many wait in all."""
        with translated():
            return await self._failed(), await self.collection.count_documents({})

    async def counts(self) -> tuple[int, int]:
        """Return how many messages failed, and how many letters wait for them or for a gap."""
        with translated():
            return await self._failed(), len(await self.collection.distinct("letter_id"))

    async def _failed(self) -> int:
        failed: int = await self.collection.count_documents({"why": Why.FAILED.value})
        return failed


def record_of(message: Message, service: str, at: datetime) -> bytes:
    """Return what is written to the parked topic: error, stack and origin, and the message itself for a reader.

    A message that would make the record too long for the broker is cut and marked `cut`; whole it is in the store and at its origin.
    """

    def record(value: int | None, header: int | None, headers: int | None) -> bytes:
        known = {
            "service": service,
            "at": at.isoformat(timespec="milliseconds"),
            "origin": message.origin,
            "letter_id": message.letter_id,
            "error": message.error,
            "stack": message.stack,
            "headers": {
                name[:header]: text[:header].decode(errors="backslashreplace")
                for name, text in message.headers[:headers]
            },
            "value": message.value[:value].decode(errors="backslashreplace"),
        }
        return orjson.dumps(known if value is None else known | {"cut": True})

    whole = record(None, None, None)
    return whole if len(whole) <= LONGEST_RECORD else record(100_000, 1_000, 20)


def in_place_of(
    message: Message,
    *,
    value: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    drop: bool = False,
    decided: tuple[str, str, str] | None = None,
) -> tuple[bytes, dict[str, str]]:
    """Return value and headers with which a parked message is published again on its topic.

    `value` and `headers` repair it; `drop` records the decision to skip it; `decided` says when (ISO 8601, UTC), by whom and why.
    """
    kept = {name: raw.decode(errors="replace") for name, raw in message.headers if name not in _REPLAY}
    kept.update(headers or {})
    kept["replayof"] = message.origin
    if drop:
        kept["replaydrop"] = "true"
    kept |= {name: text for name, text in zip(DECIDED, decided or (), strict=False) if text}
    return message.value if value is None else value, kept


def _document(letter_id: str, message: Message) -> dict[str, Any]:
    return {
        "_id": message.origin,
        "letter_id": letter_id,
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "key": message.key,
        "headers": [[name, value] for name, value in message.headers],
        "value": message.value,
        "why": message.why.value if message.why else None,
        "error": message.error,
        "stack": message.stack,
        "at": datetime.now(UTC),
    }


def _message(document: Mapping[str, Any]) -> Message:
    headers: Sequence[Sequence[Any]] = document["headers"]
    message = Message(
        topic=document["topic"],
        partition=document["partition"],
        offset=document["offset"],
        key=document["key"],
        headers=tuple((name, bytes(value)) for name, value in headers),
        value=bytes(document.get("value", b"")),
        why=Why(document["why"]) if document["why"] else None,
        error=document["error"],
        stack=document["stack"],
    )
    try:
        message.envelope = attributes(message.headers)
    except BadEnvelope as error:
        message.error = message.error or str(error)
    return message
