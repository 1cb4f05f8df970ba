"""`backup create|into|verify|lost FOLDER`: the store, the topics and the attachments, while everything runs.

What makes it consistent is its order. (1) How far each consumer group has come. (2) The store: first the documents of letters, then what is
made of them. (3) The end of `letters`; then everything that was decided before it is waited for, so that what mailboxes are told of it has
been sent; then the ends of all other topics. (4) The records up to these ends. So the record is never behind the store,
and a restore brings the store up to the record. Attachments are in the store.
"""

import asyncio
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

from deploy.ops import console
from deploy.ops.cluster import FAMILIES, admin, bounds, committed, consumer, parts_of, read_range, topics_of
from deploy.ops.console import WELL, WRONG, Ops, Refused, verb
from deploy.ops.letter import COLLECTION
from deploy.ops.shelf import chosen, pruned
from deploy.ops.vault import MANIFEST, Collected, Manifest, Segment, damage, fingerprint, now, opened, sha256
from shared.messaging.kafka import TopicPartition
from shared.storage import translated
from shared.storage.dump import collections, databases, dump, metadata_of, packed, writing
from shared.yaml_files import load_yaml

FIRST = ("letters", "rows", "heads", "attachments.files")
"""Collections that are read before what is made of them, or belongs to them: so nothing is newer than what it hangs on."""
SENT_WITHIN = 60.0
METRIC = "xinxiang_backup_last_success_timestamp_seconds"


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        "create: into a folder that is new or empty, while everything runs. into: into a new folder inside this "
        "one, going on from the last "
        "there. verify: read it whole, compare every SHA-256 and count. lost: what the running system has accepted since, that is what a "
        "restore of this backup would lose."
    )
    parser = verb(found, "backup", "store, topics and attachments: create, into, verify, lost", about, run)
    parser.add_argument("what", choices=["create", "into", "verify", "lost"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--since", type=Path, metavar="FOLDER", help="the last backup: of topics only what came since")
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE.prom",
        help=f"write {METRIC} there, for node_exporter's textfile collector",
    )
    parser.add_argument("--full-days", type=float, default=7, help="into: topics whole again after so many days (7)")
    parser.add_argument(
        "--keep-days",
        type=float,
        metavar="N",
        help="into: afterwards remove what `into` made there more than N days ago, but for what a younger one goes on from, and what "
        "was broken off a day ago; if not given, nothing is removed",
    )
    parser.set_defaults(by="", reason="")
    parser.add_argument("--by", default="backup", help="who makes it; goes on the record")


async def run(ops: Ops) -> int:
    """Do what was asked."""
    if ops.asked.keep_days is not None and (ops.asked.what != "into" or ops.asked.keep_days <= 0):
        raise Refused(
            "--keep-days 只用于 backup into，且大于 0 / --keep-days N belongs to `backup into FOLDER`, and N is more than 0: "
            "of other backups nothing is removed"
        )
    if ops.asked.what == "into":
        ops.asked.folder, ops.asked.since = chosen(ops.asked.folder, ops.asked.full_days)
    if ops.asked.what in {"create", "into"}:
        return await _create(ops)
    manifest = opened(ops.asked.folder)
    if ops.asked.what == "verify":
        found = list(damage(ops.asked.folder, manifest))
        said = found or [
            f"完好：{len(manifest.collections)} 个集合，{len(manifest.segments)} 段主题 / whole: as the manifest says, file by file"
        ]
        ops.give({"folder": str(ops.asked.folder), "damage": found}, said)
        return WRONG if found else WELL
    return await _lost(ops, manifest)


async def _create(ops: Ops) -> int:
    manifest = await created(ops, ops.asked.folder, ops.asked.since)
    if ops.asked.metrics:
        metric(ops.asked.metrics)
    size = sum(path.stat().st_size for path in ops.asked.folder.rglob("*") if path.is_file())
    about = {
        "folder": str(ops.asked.folder),
        "documents": sum(one.documents for one in manifest.collections),
        "records": sum(one.documents for one in manifest.segments),
        "bytes": size,
        "manifest": sha256(ops.asked.folder / MANIFEST),
    }
    await ops.record("backup", about)
    gone = [folder.name for folder in pruned(ops.asked.folder, ops.asked.keep_days)] if ops.asked.keep_days else []
    if gone:
        await ops.record("backup prune", {"folder": str(ops.asked.folder.parent), "removed": gone})
    answer = about | {
        "began_at": manifest.began_at,
        "ended_at": manifest.ended_at,
        "notes": manifest.notes,
        "removed": gone,
    }
    lines = [
        f"备份完成 / done: {about['documents']:,} 个文档 documents, {about['records']:,} 条记录 records, {size / 1e6:,.1f} MB",
        f"含 {manifest.ended_at} 以前受理的来信 / letters accepted until {manifest.ended_at} are in it",
        *manifest.notes,
        *(f"过期，已删除 expired and removed: {name}" for name in gone),
        f"清单 manifest SHA-256 {about['manifest']}：另存一处 / keep it elsewhere, too",
        "其中有来信人的联系方式：加密后再离开本机 / it holds contact data: encrypt it before it leaves, for example",
        f"  tar -C {ops.asked.folder} -c . | age -r RECIPIENT > backup.tar.age",
    ]
    ops.give(answer, lines)
    return WELL


def metric(path: Path) -> None:
    """Write the moment of a backup that went through, in Prometheus' text format; whoever reads the file sees it whole."""
    lines = [
        f"# HELP {METRIC} When the last backup went through.",
        f"# TYPE {METRIC} gauge",
        f"{METRIC} {time():.0f}",
        "",
    ]
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text("\n".join(lines), encoding="utf-8")
    unfinished.replace(path)


async def created(ops: Ops, folder: Path, since: Path | None = None) -> Manifest:
    """Make a backup in a folder; return its manifest.

    Raises:
        Refused: the folder is not empty; `since` is no backup of this system.
        StoreUnavailable, KafkaError: the folder is left without a manifest, so nobody takes it for a backup.
    """
    if _occupied(folder):
        raise Refused(
            f"{folder} 不是空的；备份不覆盖任何东西 / {folder} is not empty, and a backup overwrites nothing: name a new folder"
        )
    before = opened(since) if since is not None else None
    if before is not None and before.namespace != ops.settings.namespace:
        raise Refused(
            f"{since} 是命名空间 {before.namespace!r} 的备份 / {since} is of NAMESPACE {before.namespace!r}, not {ops.settings.namespace!r}"
        )
    _make(folder)
    manifest = Manifest(ops.settings.namespace, now(), secret=fingerprint(ops.settings))
    async with admin(ops.settings) as asking, consumer(ops.settings) as reading:
        await _groups(ops, asking, manifest)
        await _store(ops, folder, manifest)
        manifest.store_at = now()
        topics = await topics_of(asking, ops.settings.namespace)
        await _ends(ops, reading, topics, manifest)
        await _records(ops, reading, folder, manifest, before, since)
    _files(ops, folder, manifest)
    manifest.write(folder)
    return manifest


def _occupied(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


async def _groups(ops: Ops, asking: Any, manifest: Manifest) -> None:
    namespace = ops.settings.namespace
    for group, offsets in (await committed(asking, namespace)).items():
        for place, offset in offsets.items():
            topic = place.topic.removeprefix(namespace)
            manifest.groups.setdefault(group, {}).setdefault(topic, {})[str(place.partition)] = offset


async def _store(ops: Ops, folder: Path, manifest: Manifest) -> None:
    for database in await databases(ops.store):
        names = await collections(ops.store, database)
        names.sort(key=lambda name: (name not in FIRST, name))
        for name in names:
            ops.progress(f"store {database}.{name}")
            path = Path("store") / database / f"{name}.bson.gz"
            written = await dump(ops.store, database, name, folder / path)
            one = Collected(path.as_posix(), written.documents, written.sha256, written.content, database, name)
            one.indexes_sha256 = sha256(metadata_of(folder / path))
            manifest.collections.append(one)


async def _ends(ops: Ops, reading: Any, topics: dict[str, Any], manifest: Manifest) -> None:
    namespace = ops.settings.namespace
    parts = parts_of(topics)
    manifest.partitions = {name.removeprefix(namespace): len(topic["partitions"]) for name, topic in topics.items()}
    record = namespace + "letters"
    ends = await bounds(reading, [one for one in parts if one[0] == record])
    await _until_sent(ops, manifest)
    # Submissions last: whoever's letter is on the record has sent it before, so its contact data is here in any case.
    for family in sorted(FAMILIES, key=lambda name: name == "submissions"):
        wanted = [(n, p) for n, p in parts if n != record and n.removeprefix(namespace).partition(".")[0] == family]
        ends |= await bounds(reading, wanted)
    manifest.ended_at = now()
    for place, (_, end) in ends.items():
        manifest.ends.setdefault(place.topic.removeprefix(namespace), {})[str(place.partition)] = end


async def _until_sent(ops: Ops, manifest: Manifest) -> None:
    """Wait until everything that was decided before now has been sent."""
    moment = datetime.now(UTC)
    for service, name in COLLECTION.items():
        collection = ops.store.collection(service, name)
        query = {"unsent": {"$gt": datetime(1970, 1, 1, tzinfo=UTC), "$lt": moment}}
        try:
            async with asyncio.timeout(SENT_WITHIN):
                while True:
                    with translated():
                        left = await collection.find_one(query, {"_id": 1})
                    if left is None:
                        break
                    await asyncio.sleep(0.2)
        except TimeoutError:
            manifest.notes.append(
                f"{service} 有未发出的事实，恢复后由它发出 / {service} has decided facts that were not sent; "
                "after a restore it sends those "
                "that the store had"
            )


async def _records(
    ops: Ops, reading: Any, folder: Path, manifest: Manifest, before: Manifest | None, since: Path | None
) -> None:
    namespace = ops.settings.namespace
    starts = await bounds(reading, [(namespace + topic, int(p)) for topic, ends in manifest.ends.items() for p in ends])
    if before is not None and since is not None:
        manifest.since = _beside(folder, since)
    for place, (first, _) in sorted(starts.items()):
        begin = first
        topic, partition = place.topic.removeprefix(namespace), place.partition
        end = manifest.ends[topic][str(partition)]
        done = before.ends.get(topic, {}).get(str(partition), 0) if before else 0
        if done > end:
            raise Refused(
                f"{topic}/{partition} 比上次备份还短 / {topic}/{partition} ends at {end}, in {since} at {done}: "
                "another system; leave out --since"
            )
        if before is not None:
            kept = [
                one for one in before.segments if (one.topic, one.partition) == (topic, partition) and one.end > begin
            ]
            manifest.segments += [Segment(**asdict(one) | {"path": f"{manifest.since}/{one.path}"}) for one in kept]
            begin = max(begin, done)
        if begin < end:
            ops.progress(f"topic {topic}/{partition}: {end - begin:,} records")
            manifest.segments.append(
                await _segment(reading, folder, namespace, TopicPartition(topic, partition), begin, end)
            )


async def _segment(reading: Any, folder: Path, namespace: str, place: TopicPartition, begin: int, end: int) -> Segment:
    path = Path("topics") / place.topic / f"{place.partition}-{begin:012d}.bson.gz"
    with writing(folder / path) as (write, written):
        async for records in read_range(reading, TopicPartition(namespace + place.topic, place.partition), begin, end):
            for record in records:
                headers = [[name, value] for name, value in record.headers]
                write(
                    packed(
                        {"o": record.offset, "t": record.timestamp, "k": record.key, "v": record.value, "h": headers}
                    )
                )
    return Segment(
        path.as_posix(), written.documents, written.sha256, written.content, place.topic, place.partition, begin, end
    )


def _beside(folder: Path, since: Path) -> str:
    """Return the path of `since` as seen from `folder`, both of which may be moved together."""
    if folder.resolve().parent != since.resolve().parent:
        raise Refused(
            f"{since} 与 {folder} 须在同一文件夹 / {since} must stand beside {folder}: this backup names files "
            "of that one, and they move together"
        )
    return f"../{since.resolve().name}"


def _files(ops: Ops, folder: Path, manifest: Manifest) -> None:
    file = ops.settings.directory_file
    (folder / "files").mkdir()
    content = load_yaml(file)
    for source in [file, *(file.parent / content[table] for table in ("domains", "regions") if content.get(table))]:
        shutil.copyfile(source, folder / "files" / source.name)
        manifest.files[f"files/{source.name}"] = sha256(folder / "files" / source.name)


# ── what a restore would lose ────────────────────────────────────────────────────────────────────────────────────────


async def missing_from(ops: Ops, manifest: Manifest) -> tuple[dict[str, str], dict[str, int]]:
    """Return the letters that were accepted after the backup's end (id → when), and letters with facts after it (id → how many)."""
    accepted: dict[str, str] = {}
    moved: dict[str, int] = {}
    namespace = ops.settings.namespace
    async with consumer(ops.settings) as reading:
        for topic in ("submissions", "letters"):
            ends = manifest.ends.get(topic, {})
            places = await bounds(reading, [(namespace + topic, int(partition)) for partition in ends])
            for place, (begin, end) in places.items():
                async for records in read_range(reading, place, max(begin, ends[str(place.partition)]), end):
                    for record in records:
                        letter_id = (record.key or b"").decode(errors="replace")
                        if topic == "letters":
                            moved[letter_id] = moved.get(letter_id, 0) + 1
                        else:
                            at = datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(timespec="milliseconds")
                            accepted.setdefault(letter_id, at)
    return accepted, moved


async def _lost(ops: Ops, manifest: Manifest) -> int:
    accepted, moved = await missing_from(ops, manifest)
    rows = [
        (letter_id, at, moved.get(letter_id, 0)) for letter_id, at in sorted(accepted.items(), key=lambda one: one[1])
    ]
    older = {letter_id: count for letter_id, count in moved.items() if letter_id not in accepted}
    lines = console.table(("来信 letter", "受理于 accepted at", "事实 facts"), rows, (2,)) if rows else []
    lines.append(
        f"备份（至 {manifest.ended_at}）之后受理 {len(rows)} 封；另有 {len(older)} 封此前来信的 {sum(older.values())} 条事实 / "
        f"{len(rows)} letters were accepted after the backup, and {sum(older.values())} facts on {len(older)} earlier letters"
    )
    ops.give({"ended_at": manifest.ended_at, "accepted": accepted, "facts": moved}, lines)
    return WELL
