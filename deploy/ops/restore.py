"""`restore FOLDER`: put a backup into engines that are empty, and bring the store up to the record.

First the topics, record by record in their order; then the collections; each partition and each collection is compared with the backup
once it is in; then each service reads the facts that came after its store was read, and nothing else is decided; then the consumer
groups stand where these facts end.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import for_code

from deploy.ops.cluster import admin, bounds, consumer, parts_of, producer, read_range, topics_of
from deploy.ops.console import WELL, Ops, Refused, deciding, verb
from deploy.ops.vault import Manifest, Segment, damage, fingerprint, opened
from deploy.topics import DECLARED, declared
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.rebuild import catch_up
from services.runtime import Service
from services.settings import Settings
from shared.messaging import topics as shared_topics
from shared.messaging.kafka import TopicPartition
from shared.messaging.topics import Topic
from shared.storage import Store, translated
from shared.storage.dump import Written, collections, databases, load, packed, raw_documents, reading, unpacked

AT_ONCE = 2_000
DRILL = re.compile(r"drill-[0-9a-f]{6}-$")
"""How the namespace of a drill ends."""


@dataclass
class Restored:
    """What was put back."""

    records: int = 0
    documents: int = 0
    caught_up: dict[str, int] = field(default_factory=dict)
    """Service → facts that it read after its store was read."""
    notes: list[str] = field(default_factory=list)


def add(found: Any) -> None:
    """Add the verb."""
    about = "Services must not run. Exit status 1, and nothing done, where the backup is damaged or the engines are not empty."
    parser = verb(found, "restore", "put a backup into empty engines", about, run)
    parser.add_argument("folder", type=Path)
    deciding(parser)


async def run(ops: Ops) -> int:
    """Restore; say what to do next."""
    manifest = opened(ops.asked.folder)
    ops.confirm(
        f"将把 {manifest.ended_at} 的备份恢复到 {ops.settings.kafka_bootstrap} 与数据库，命名空间 {ops.settings.namespace!r} / "
        f"the backup of {manifest.ended_at} goes into {ops.settings.kafka_bootstrap} and the store, NAMESPACE {ops.settings.namespace!r}",
        "restore",
    )
    done = await restored(ops, ops.asked.folder, manifest)
    about = {"folder": str(ops.asked.folder), "records": done.records, "documents": done.documents}
    await ops.record("restore", about)
    lines = [
        f"恢复完成 / done: {done.records:,} 条记录 records, {done.documents:,} 个文档 documents",
        *(f"{service}：补读 {count} 条事实 / read {count} facts more" for service, count in done.caught_up.items()),
        *done.notes,
        (
            f"含 {manifest.ended_at} 以前受理的来信；其后的见旧系统：deploy.ops backup lost / letters accepted "
            f"until {manifest.ended_at} are in it"
        ),
        "接着 next: python -m deploy.ops health；启动服务 start the services；python -m deploy.history verify --all",
    ]
    ops.give(about | {"caught_up": done.caught_up, "notes": done.notes}, lines)
    return WELL


async def restored(ops: Ops, folder: Path, manifest: Manifest) -> Restored:
    """Put a backup into the engines and namespace of the settings.

    Raises:
        Refused: the backup is damaged, is of another RECEIPT_SECRET, or there is something already; nothing was done. Or what is in the
            store or on a topic afterwards is not what the backup holds.
    """
    wrong = list(damage(folder, manifest))
    if wrong:
        raise Refused("\n  ".join(["备份已损坏，未恢复 / the backup is damaged; nothing was restored:", *wrong[:20]]))
    if manifest.secret != fingerprint(ops.settings):
        raise Refused(
            "RECEIPT_SECRET 与备份时不同，查询码将全部失效 / RECEIPT_SECRET is not that of the backup: no receipt would open its letter. "
            "Set it to what it was"
        )
    await _refuse_unless_empty(ops)
    done = Restored()
    topics = await _make_topics(ops, manifest)
    places = await _put_records(ops, folder, manifest, done)
    await _compare_records(ops, folder, manifest, done)
    await _put_store(ops, folder, manifest, done)
    await _catch_up(ops, manifest, done)
    for name in NAMES:
        await ops.store.follow(name)
    await _set_groups(ops, manifest, places, topics)
    return done


async def _refuse_unless_empty(ops: Ops) -> None:
    found = []
    for name in await databases(ops.store):
        for one in await collections(ops.store, name):
            with translated():
                if await ops.store.database(name)[one].find_one({}, {"_id": 1}) is not None:
                    found.append(f"xinxiang_{name}.{one}")
    async with admin(ops.settings) as asking, consumer(ops.settings) as client:
        there = await topics_of(asking, ops.settings.namespace)
        parts = parts_of(there)
        found += sorted({f"topic {place.topic}" for place, (_, end) in (await bounds(client, parts)).items() if end})
    if found:
        raise Refused(
            f"目标不是空的：{', '.join(found[:5])}（共 {len(found)}）；未恢复 / not empty, so nothing was "
            "restored. Take new engines, or another "
            "NAMESPACE, or, if what is there is of no use any more, delete these databases and topics with the engines' own tools first"
        )


async def _make_topics(ops: Ops, manifest: Manifest) -> dict[str, int]:
    namespace = ops.settings.namespace
    codes = sorted(name.partition(".")[2] for name in manifest.partitions if name.startswith("mailbox."))
    async with admin(ops.settings) as asking:
        copies = await shared_topics.copies_there(asking, DECLARED, namespace, ops.settings.copies)
        there = await topics_of(asking, namespace)
        wanted = declared(namespace, codes, copies=copies)
        made = []
        for topic in wanted:
            count = manifest.partitions.get(topic.name.removeprefix(namespace), topic.partitions)
            if topic.name in there and len(there[topic.name]["partitions"]) != count:
                raise Refused(
                    f"{topic.name} 有 {len(there[topic.name]['partitions'])} 个分区，备份有 {count} 个 / has "
                    "another number of partitions than the "
                    "backup: the order per letter hangs on it. Delete the empty topic, then repeat"
                )
            if topic.name not in there:
                made.append(Topic(topic.name, count, topic.config))
        await shared_topics.create(asking, made, copies.replicas)
    return {topic.name.removeprefix(namespace): topic.partitions for topic in wanted}


async def _put_records(ops: Ops, folder: Path, manifest: Manifest, done: Restored) -> dict[tuple[str, int], int]:
    """Write all records; return (topic, partition) → how far its old offsets are above the new ones."""
    shifts: dict[tuple[str, int], int] = {}
    order = {name: number for number, name in enumerate(("directory", "letters"))}
    segments = sorted(manifest.segments, key=lambda s: (order.get(s.topic, 9), s.topic, s.partition, s.begin))
    async with producer(ops.settings) as client:
        for segment in segments:
            ops.progress(f"topic {segment.topic}/{segment.partition}: {segment.documents:,} records")
            place = (segment.topic, segment.partition)
            if place not in shifts:
                shifts[place] = segment.begin
            done.records += await _put_segment(ops, client, folder, segment)
    if any(shift for (topic, _), shift in shifts.items() if topic == "letters"):
        done.notes.append(
            "letters 的偏移变了，请重建 routing / `letters` begins elsewhere than it did: rebuild routing"
        )
    return shifts


async def _put_segment(ops: Ops, client: Any, folder: Path, segment: Segment) -> int:
    waiting: list[Any] = []
    last: Any = None
    records = 0
    for raw in reading(folder / segment.path):
        record = unpacked(raw)
        waiting.append(
            await client.send(
                ops.settings.namespace + segment.topic,
                record["v"],
                key=record["k"],
                partition=segment.partition,
                timestamp_ms=record["t"],
                headers=[(name, value) for name, value in record["h"]],
            )
        )
        records += 1
        if len(waiting) >= AT_ONCE:
            last = await _acknowledged(waiting)
    last = await _acknowledged(waiting) or last
    if last is not None and segment.topic == "letters" and last.offset + 1 != segment.end:
        raise Refused(
            f"{segment.path} 写入后的偏移不符 / {segment.path} ended at offset {last.offset + 1}, not "
            f"{segment.end}: somebody else writes to this topic"
        )
    return records


async def _compare_records(ops: Ops, folder: Path, manifest: Manifest, done: Restored) -> None:
    """Read back what is on the topics now: each partition has just the records of the backup, with key, value, headers and time."""
    parts: dict[tuple[str, int], list[Segment]] = {}
    for segment in manifest.segments:
        parts.setdefault((segment.topic, segment.partition), []).append(segment)
    async with consumer(ops.settings) as client:
        for (topic, partition), segments in sorted(parts.items()):
            ops.progress(f"topic {topic}/{partition}: reading back")
            wanted, found = Written(), Written()
            for record in (unpacked(raw) for one in segments for raw in reading(folder / one.path)):
                wanted.count(_content(record["t"], record["k"], record["v"], record["h"]))
            name = ops.settings.namespace + topic
            ((place, (begin, end)),) = (await bounds(client, [(name, partition)])).items()
            async for records in read_range(client, place, begin, end):
                for one in records:
                    found.count(_content(one.timestamp, one.key, one.value, one.headers))
            if (found.documents, found.content) == (wanted.documents, wanted.content):
                continue
            if (await client.beginning_offsets([place]))[place]:
                done.notes.append(
                    f"{topic}/{partition} 的记录已到期，未比较 / records of {topic}/{partition} expired meanwhile and were not compared"
                )
                continue
            raise Refused(
                f"{topic}/{partition} 恢复后与备份不同 / is not what the backup holds "
                f"({found.documents} of {wanted.documents} records): does anything else write to this topic?"
            )


def _content(timestamp: int, key: bytes | None, value: bytes | None, headers: Sequence[Sequence[Any]]) -> bytes:
    return packed({"t": timestamp, "k": key, "v": value, "h": [list(header) for header in headers]})


async def _acknowledged(waiting: list[Any]) -> Any:
    last = None
    for sent in waiting:
        last = await sent
    waiting.clear()
    return last


async def _put_store(ops: Ops, folder: Path, manifest: Manifest, done: Restored) -> None:
    for one in manifest.collections:
        ops.progress(f"store {one.database}.{one.collection}: {one.documents:,} documents")
        await load(ops.store, one.database, one.collection, folder / one.path)
        found = Written()
        async for raw in raw_documents(ops.store, one.database, one.collection):
            found.count(raw)
        if (found.documents, found.content) != (one.documents, one.content):
            raise Refused(
                f"{one.database}.{one.collection} 恢复后与备份不同 / is not what the backup holds "
                f"({found.documents} of {one.documents} documents): "
                "does anything else write to this store?"
            )
        done.documents += found.documents


def _begins(manifest: Manifest, service: str) -> dict[int, int]:
    """Return from where a service reads on: the least of what its groups of `letters` had committed before its store was read."""
    groups = ["routing", "routing-history"] if service == "routing" else [service]
    partitions = range(manifest.partitions["letters"])
    offsets = [manifest.groups.get(group, {}).get("letters", {}) for group in groups]
    return {partition: min(one.get(str(partition), 0) for one in offsets) for partition in partitions}


async def _catch_up(ops: Ops, manifest: Manifest, done: Restored) -> None:
    kit = Kit(ops.settings)
    try:
        for name in NAMES:
            ops.progress(f"{name}: catching up")
            service = build(name, kit)
            done.caught_up[name] = await catch_up(service, _begins(manifest, name))
            if name == "intake":
                await _forget_erased(service)
    finally:
        kit.store.close()


async def _forget_erased(service: Service) -> None:
    """Erase the contact data of letters whose erasure came after the store was read: it is no projection, so no fact takes it."""
    from services.intake.erasure import Erasure  # noqa: PLC0415 - intake is needed by this step alone

    likeness = service.part(Erasure).likeness
    erased = {"$or": [{f"state.{name}": {"$type": "date"}} for name in ("erased_at", "contact_erased_at")]}
    with translated():
        found = service.letters.aggregates.collection.find(erased, {"_id": 1})
        ids = [document["_id"] async for document in found]
    for start in range(0, len(ids), AT_ONCE):
        await likeness.forget(ids[start : start + AT_ONCE])


async def _set_groups(
    ops: Ops, manifest: Manifest, shifts: Mapping[tuple[str, int], int], topics: Mapping[str, int]
) -> None:
    """Let each group stand where it stood, in the new offsets; those of `letters` at its end, which has been read."""
    namespace = ops.settings.namespace
    for group, read in manifest.groups.items():
        offsets: dict[TopicPartition, int] = {}
        for topic, parts in read.items():
            for partition, offset in parts.items():
                end = manifest.ends.get(topic, {}).get(partition, 0)
                old = end if topic == "letters" else min(offset, end)
                shift = shifts.get((topic, int(partition)), end)
                if topic in topics:
                    offsets[TopicPartition(namespace + topic, int(partition))] = max(0, old - shift)
        if offsets:
            async with consumer(ops.settings, namespace + group) as client:
                client.assign(list(offsets))
                await client.commit(offsets)


async def wiped(settings: Settings, store: Store) -> None:
    """Delete everything of a namespace that a drill made: databases and topics.

    Raises:
        Refused: it is no drill's; or the broker does not delete its topics.
    """
    if not DRILL.search(settings.namespace):
        raise Refused(
            f"{settings.namespace!r} 不是演练的命名空间，不删除 / is no drill's namespace; nothing was deleted"
        )
    for name in await databases(store):
        await store.drop(name)
    async with admin(settings) as asking:
        names: Sequence[str] = [n for n in await asking.list_topics() if n.startswith(settings.namespace)]
        answer = await asking.delete_topics(list(names)) if names else None
        # Their groups' offsets go with the topics, and groups without offsets by themselves.
    left = [f"{name} ({for_code(code).__name__})" for name, code in answer.topic_error_codes if code] if answer else []
    if left:
        raise Refused(
            f"演练的主题未能删除 / the broker did not delete {len(left)} of the drill's topics: {', '.join(left[:3])}. "
            "Delete what begins so with Kafka's own tools; `python -m deploy.acls apply --passwords FOLDER` gives the "
            "operator's user the right to"
        )
