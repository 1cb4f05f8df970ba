"""`rebuild SERVICE`: build a projection anew beside the live one, from the record, and let it take its place while the service runs.

    --beside    build, catch up, exchange: for some fifteen seconds the service does as if the store were away (503, nothing
    lost, nothing twice)
    --back      exchange them again: the old one is brought up to the record first
    --forget    remove the one that is not live
    --release   let the service go on where an exchange was broken off, and with it what ran it

`shared/storage/generations.py` says how replicas follow. What is not made of facts (contact data, files, bulletins …) is no part of it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from deploy.ops.cluster import GROUPS, admin, bounds, committed, consumer, producer, read_range, topics_of
from deploy.ops.console import WELL, Ops, Refused, deciding, verb
from deploy.ops.letter import COLLECTION
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.rebuild import decide_what_is_left, read_on
from services.runtime import Service
from shared.contracts.facts import LETTERS
from shared.messaging.kafka import TopicPartition
from shared.messaging.parking import WAITING
from shared.storage import ReplaceOne, insert_missing, translated
from shared.storage.dump import packed
from shared.storage.generations import COLLECTION as GENERATIONS
from shared.storage.generations import LEASE_SECONDS, LIVE, Generation

CLOSE = 500
"""Messages behind the record, below which the rest is read while everything is held."""
DRAIN_SECONDS = 2.0
"""What a replica had in hand when it began to hold is done well within this."""
_BESIDES_STATE = ("token", "outbox", "unsent")


@dataclass
class Exchange:
    """One service's projection, and the one that shall take its place."""

    ops: Ops
    name: str
    document: dict[str, Any]
    service: Service
    """Built on the generation that shall take its place."""
    live: str
    new: str
    collections: frozenset[str]
    place: dict[int, int] = field(default_factory=dict)
    """Partition → up to where the new one has the record."""

    @property
    def marks(self) -> Any:
        """The collection with the document that replicas follow."""
        return self.ops.store.database(self.name)[GENERATIONS]

    def old(self, collection: str) -> Any:
        """Return a collection of the live generation, whatever is held."""
        generation = Generation(self.live, self.collections)
        return self.ops.store.database(generation.database(self.name, collection))[collection]

    async def mark(self, **changes: Any) -> None:
        """Write what replicas follow."""
        self.document |= changes
        with translated():
            await self.marks.replace_one({"_id": LIVE}, {"_id": LIVE, **self.document}, upsert=True)


def add(found: Any) -> None:
    """Add the verb."""
    about = "The service runs on. To rebuild a service that is stopped, in place: python -m services.rebuild SERVICE."
    parser = verb(found, "rebuild", "rebuild one projection beside the live one, and exchange them", about, run)
    parser.add_argument("service", choices=NAMES)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--beside", action="store_true", help="build a new one, and exchange them")
    what.add_argument("--back", action="store_true", help="exchange them again")
    what.add_argument(
        "--release", action="store_true", help="after an exchange was broken off: go on with what was live"
    )
    what.add_argument("--forget", action="store_true", help="remove the one that is not live")
    deciding(parser)


async def run(ops: Ops) -> int:
    """Do what was asked."""
    if ops.asked.release:
        with translated():
            marks = ops.store.database(ops.asked.service)[GENERATIONS]
            await marks.update_one({"_id": LIVE}, {"$set": {"held": False}})
        await ops.record("rebuild --release", {"service": ops.asked.service})
        ops.give({"service": ops.asked.service}, [f"{ops.asked.service}：继续 / goes on"])
        return WELL
    kit = Kit(ops.settings)
    try:
        exchange = await _prepared(ops, kit)
        if ops.asked.forget:
            return await _forget(exchange)
        ops.reason()
        return await _exchange(exchange)
    finally:
        kit.store.close()


async def _prepared(ops: Ops, kit: Kit) -> Exchange:
    name = ops.asked.service
    with translated():
        document = await ops.store.database(name)[GENERATIONS].find_one({"_id": LIVE}) or {}
    document.pop("_id", None)
    if document.get("held"):
        raise Refused(
            f"{name} 的交换没有完成 / an exchange of {name} was broken off while it was held, so its replicas wait. Nothing is lost: "
            f"see that no other `rebuild` runs, then `rebuild {name} --release` lets them go on with what was live"
        )
    service = build(name, kit)
    live = document.get("generation", "")
    previous = document.get("previous")
    if ops.asked.beside:
        if previous is not None:
            raise Refused(
                f"{name} 还留着前一代 {previous or '第一代'} / {name} still has the generation before ({previous or 'the first'}): "
                f"remove it first, `rebuild {name} --forget`, or go back to it, `--back`"
            )
        new = f"g{document.get('count', 1) + 1}"
    elif previous is None:
        raise Refused(
            f"{name} 没有前一代 / {name} has no generation before this one; `rebuild {name} --beside` makes one"
        )
    else:
        new = previous
    collections = frozenset([*service.derived, WAITING])
    kit.store.choose(name, Generation(new, collections))
    return Exchange(ops, name, document, service, live, new, collections)


async def _exchange(exchange: Exchange) -> int:
    ops, service = exchange.ops, exchange.service
    began = perf_counter()
    await service.kit.changes.read_once()
    await _build(exchange)
    compared = await _compare(exchange)
    ops.say(*_told(compared))
    ops.confirm(
        f"{exchange.name} 换用新的一代 / {exchange.name} goes on with the new one; it answers 503 for about fifteen seconds",
        "exchange",
    )
    held_at = perf_counter()
    await exchange.mark(generation=exchange.live, collections=sorted(exchange.collections), held=True)
    try:
        await asyncio.sleep(LEASE_SECONDS + DRAIN_SECONDS)
        left_at = await _left_at(exchange)
        sent = await _send_left(exchange)
        await _catch_up(exchange, 0)
        await _take_waiting(exchange)
        await _take_ahead(exchange)
    except BaseException:
        await exchange.mark(held=False)  # back to how it was: the live one was not touched
        raise
    # Where this write fails, it may have been done: so nothing is taken back, and `--release` goes on with what the document says then.
    await exchange.mark(
        generation=exchange.new,
        previous=exchange.live,
        left_at=left_at,
        count=max(int(exchange.new[1:]) if exchange.new else 1, exchange.document.get("count", 1)),
        held=False,
        at=datetime.now(UTC),
        by=ops.asked.by,
        why=ops.asked.reason,
    )
    held = perf_counter() - held_at
    await decide_what_is_left(service)
    about = {
        "service": exchange.name,
        "from": exchange.live or "g1",
        "to": exchange.new or "g1",
        "facts": sum(exchange.place.values()),
        "held_seconds": round(held, 1),
        "sent": sent,
    }
    await ops.record("rebuild", about)
    lines = [
        (
            f"{exchange.name}：已换用 {about['to']}，{about['facts']:,} 条事实，{perf_counter() - began:.1f} "
            f"秒，其中停 {held:.1f} 秒 / exchanged; "
            f"it was held for {held:.1f} s"
        ),
        f"前一代留着 / the one before is kept: `rebuild {exchange.name} --back` returns to it, `--forget` removes it",
    ]
    ops.give(about | {"compared": compared}, lines)
    return WELL


async def _build(exchange: Exchange) -> None:
    """Make the new one, or bring the old one up to the record, as far as is possible while the live one moves on."""
    ops, service = exchange.ops, exchange.service
    if ops.asked.beside:
        for name in exchange.collections:  # what a try before this may have left
            with translated():
                await service.kit.store.collection(exchange.name, name).drop()
        async with admin(ops.settings) as asking:
            topic = (await topics_of(asking, ops.settings.namespace))[ops.settings.namespace + "letters"]
        exchange.place = {part["partition"]: 0 for part in topic["partitions"]}
    else:
        exchange.place = {int(number): offset for number, offset in exchange.document["left_at"].items()}
    await service.parking.ensure()
    for job in service.prepare:
        await job()
    await _catch_up(exchange, CLOSE)
    for job in service.rebuilt:
        await job()
    await _catch_up(exchange, CLOSE)


async def _catch_up(exchange: Exchange, close: int) -> None:
    """Read on until no more than `close` messages are left."""

    def tell(read: int, total: int) -> None:
        exchange.ops.progress(f"{exchange.name}: {read:,} of {total:,} facts")

    while sum((await read_on(exchange.service, exchange.place, tell)).values()) > close:
        pass


# ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _compare(exchange: Exchange) -> dict[str, Any]:
    """Compare both: letters document by document where both have the same version, the rest by their number."""
    name = COLLECTION[exchange.name]
    found = {"letters": 0, "equal": 0, "different": 0, "moving": 0, "only_live": 0, "only_new": 0}
    new = _documents(exchange.service.kit.store.collection(exchange.name, name))
    old = _documents(exchange.old(name))
    left, right = await anext(old, None), await anext(new, None)
    while left is not None or right is not None:
        found["letters"] += 1
        if right is None or (left is not None and left[0] < right[0]):
            found["only_live"] += 1
            left = await anext(old, None)
        elif left is None or right[0] < left[0]:
            found["only_new"] += 1
            right = await anext(new, None)
        else:
            same = "moving" if left[1] != right[1] else "equal" if left[2] == right[2] else "different"
            found[same] += 1
            left, right = await anext(old, None), await anext(new, None)
    counts = {}
    for collection in sorted(exchange.collections - {name}):
        with translated():
            before = await exchange.old(collection).count_documents({})
            after = await exchange.service.kit.store.collection(exchange.name, collection).count_documents({})
        counts[collection] = [before, after]
    return {**found, "counts": counts}


async def _documents(collection: Any) -> AsyncIterator[tuple[str, int, bytes]]:
    """Go through letters by their ids: (id, version, hash of all that follows from facts)."""
    after = ""
    while True:
        with translated():
            cursor = collection.find({"_id": {"$gt": after}}).sort([("_id", 1)]).limit(500)
            batch = await cursor.to_list(500)
        for document in batch:
            plain = {key: document[key] for key in sorted(document) if key not in _BESIDES_STATE}
            yield document["_id"], document["version"], hashlib.sha256(packed(plain)).digest()
        if len(batch) < 500:
            return
        after = batch[-1]["_id"]


def _told(compared: Mapping[str, Any]) -> list[str]:
    counts = ", ".join(f"{name} {before}/{after}" for name, (before, after) in compared["counts"].items())
    return [
        (
            f"来信 letters: 相同 equal {compared['equal']}，不同 different {compared['different']}，正在变动 moving {compared['moving']}，"
            f"只在旧的 only live {compared['only_live']}，只在新的 only new {compared['only_new']}"
        ),
        f"其他 others (live/new): {counts}",
        *(["不同的将按记录更正 / what differs becomes as the record has it"] if compared["different"] else []),
    ]


# ── while it is held ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _left_at(exchange: Exchange) -> dict[str, int]:
    """Return up to where the live one certainly has the record: what its groups have committed. `--back` reads on from there."""
    namespace = exchange.ops.settings.namespace
    async with admin(exchange.ops.settings) as asking:
        known = await committed(asking, namespace)
    groups = [g for g, reads in GROUPS.items() if reads == LETTERS and g.partition("-")[0] == exchange.name]
    topic = namespace + LETTERS
    return {str(p): min(known[group].get(TopicPartition(topic, p), 0) for group in groups) for p in exchange.place}


async def _send_left(exchange: Exchange) -> int:
    """Send what the live one has decided and nobody has sent: a replica that crashed had it. What is on its topic already is left."""
    with translated():
        waiting = await exchange.old(COLLECTION[exchange.name]).find({"unsent": {"$exists": True}}).to_list(None)
    entries = [entry for document in waiting for entry in document.get("outbox", ())]
    if not entries:
        return 0
    since = min(document["unsent"] for document in waiting) - timedelta(minutes=1)
    there = await _ids_since(exchange.ops, {entry["topic"] for entry in entries}, since)
    sent = 0
    async with producer(exchange.ops.settings) as client:
        for entry in entries:
            if entry["id"] in there:
                continue
            headers = [(name, text.encode()) for name, text in entry["headers"].items()]
            topic = exchange.ops.settings.namespace + entry["topic"]
            await client.send_and_wait(topic, bytes(entry["value"]), key=entry["key"].encode(), headers=headers)
            sent += 1
    return sent


async def _ids_since(ops: Ops, topics: set[str], since: datetime) -> set[str]:
    """Return the ids of the messages that came to topics since a moment."""
    namespace, found = ops.settings.namespace, set()
    async with admin(ops.settings) as asking, consumer(ops.settings) as reading:
        there = await topics_of(asking, namespace)
        parts = [
            (namespace + t, p["partition"])
            for t in topics
            if namespace + t in there
            for p in there[namespace + t]["partitions"]
        ]
        moment = int(since.timestamp() * 1000)
        ends = await bounds(reading, parts)
        first = await reading.offsets_for_times(dict.fromkeys(ends, moment))
        for place, (_, end) in ends.items():
            begin = first[place].offset if first.get(place) else end
            async for records in read_range(reading, place, begin, end):
                found |= {value.decode() for record in records for name, value in record.headers if name == "ce_id"}
    return found


async def _take_waiting(exchange: Exchange) -> None:
    """Take over what is parked of other topics than `letters`."""
    with translated():
        kept = await exchange.old(WAITING).find({"topic": {"$ne": "letters"}}).to_list(None)
        if kept:
            writes = [
                ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in sorted(kept, key=lambda o: str(o["_id"]))
            ]
            await exchange.service.kit.store.collection(exchange.name, WAITING).bulk_write(writes, ordered=False)


async def _take_ahead(exchange: Exchange) -> None:
    """Take over what stands fast before a fact tells of it: a letter's number, where its registration was broken off (R3.6).

    Without it another letter would get the number, and the old one would have both if it came back; or nobody, for replicas go on from
    the last number they know.
    """
    for name, moment in exchange.service.ahead.items():
        with translated():
            # Closed below, or the store reads everything instead of the partial index.
            there = await exchange.old(name).find({moment: {"$gt": datetime.fromtimestamp(0, UTC)}}).to_list(None)
        await insert_missing(exchange.service.kit.store.collection(exchange.name, name), there)


# ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _forget(exchange: Exchange) -> int:
    ops, gone = exchange.ops, exchange.new
    ops.reason()
    ops.confirm(
        f"{exchange.name} 的 {gone or '第一代'} 将被删除 / {gone or 'the first generation'} of {exchange.name} will be removed",
        "forget",
    )
    for name in sorted(exchange.collections):
        with translated():
            await exchange.service.kit.store.collection(exchange.name, name).drop()
    if gone:
        await ops.store.drop(f"{exchange.name}_{gone}")
    exchange.document.pop("previous", None)
    exchange.document.pop("left_at", None)
    await exchange.mark()
    about = {"service": exchange.name, "forgotten": gone or "g1"}
    await ops.record("rebuild --forget", about)
    ops.give(about, [f"{exchange.name}：{about['forgotten']} 已删除 / removed"])
    return WELL
