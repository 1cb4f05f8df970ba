"""What a backup is: a folder with a manifest, the store's collections, and segments of topics.

    manifest.json                                 what there is: counts, SHA-256 of each file, offsets, versions
    store/<database>/<collection>.bson.gz         documents, as mongodump writes them; .metadata.json: its indexes
    topics/<topic>/<partition>-<offset>.bson.gz   records {o: offset, t: timestamp in ms, k: key, v: value, h: [[name, value]]}
    files/                                        the directory's file and its tables

Names are without the namespace. A backup that was made `--since` another names that one's segments by a path beside itself
(`../<folder>/…`).
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.ops.console import Refused
from services.settings import Settings
from shared.storage.dump import count, metadata_of

FORM = "xinxiang-backup-1"
MANIFEST = "manifest.json"


@dataclass
class Stored:
    """One file with documents or records."""

    path: str
    documents: int
    sha256: str
    content: str
    """See `shared.storage.dump.Written`."""


@dataclass
class Collected(Stored):
    """A collection of the store."""

    database: str = ""
    collection: str = ""
    indexes_sha256: str = ""


@dataclass
class Segment(Stored):
    """Records of one partition of one topic."""

    topic: str = ""
    partition: int = 0
    begin: int = 0
    """Offset of the first record."""
    end: int = 0
    """Offset behind the last record."""


@dataclass
class Manifest:
    """What a backup holds."""

    namespace: str
    began_at: str
    """UTC, ISO 8601."""
    store_at: str = ""
    """When the store had been read: bulletins, contact data and files that came later are not in it."""
    ended_at: str = ""
    """When the end of the last topic was taken. What was accepted later is not in it."""
    secret: str = ""
    """A fingerprint of RECEIPT_SECRET: with another secret receipts open nothing."""
    since: str = ""
    """The folder of the backup that this one goes on from."""
    groups: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """Consumer group → topic → partition → offset committed before the store was read: all before it is in the store."""
    partitions: dict[str, int] = field(default_factory=dict)
    """Topic → how many partitions it has."""
    ends: dict[str, dict[str, int]] = field(default_factory=dict)
    """Topic → partition → the offset behind the last record that is here."""
    collections: list[Collected] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    """Path → SHA-256 of the directory's files."""
    notes: list[str] = field(default_factory=list)
    form: str = FORM

    def write(self, folder: Path) -> None:
        """Write it last: a folder without manifest is no backup."""
        unfinished = folder / (MANIFEST + ".part")
        unfinished.write_text(json.dumps(asdict(self), ensure_ascii=False, indent=1), encoding="utf-8")
        unfinished.replace(folder / MANIFEST)


def opened(folder: Path) -> Manifest:
    """Read a backup's manifest.

    Raises:
        Refused: the folder holds no whole backup.
    """
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"{folder} 中没有完整的备份 / no whole backup in {folder}: it has no {MANIFEST}, which is written last"
        ) from None
    except ValueError as error:
        raise Refused(f"{folder / MANIFEST} 已损坏 / is spoilt: {error}") from None
    form = found.get("form") if isinstance(found, dict) else None
    if form != FORM:
        raise Refused(f"{folder} 的格式是 {form!r}，本版只读 {FORM} / this version reads {FORM} only")
    try:
        found["collections"] = [Collected(**one) for one in found["collections"]]
        found["segments"] = [Segment(**one) for one in found["segments"]]
        return Manifest(**found)
    except (KeyError, TypeError) as error:
        raise Refused(f"{folder / MANIFEST} 已损坏 / is spoilt: {error}") from None


def fingerprint(settings: Settings) -> str:
    """Return by what a RECEIPT_SECRET is known again, without giving it away."""
    return hmac.digest(settings.secret(), b"backup", "sha256").hex()[:16]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Read a backup whole and yield what is wrong with it: files missing, altered or cut off, counts that differ, gaps between segments."""
    for one in (*manifest.collections, *manifest.segments):
        path = folder / one.path
        if not path.exists():
            yield f"{one.path}：缺失 / missing"
            continue
        try:
            found = count(path)
        except ValueError as error:
            yield str(error)
            continue
        if (found.sha256, found.documents, found.content) != (one.sha256, one.documents, one.content):
            yield f"{one.path}：与清单不符 / not as the manifest says ({found.documents} of {one.documents} documents)"
    for one in manifest.collections:
        path = metadata_of(folder / one.path)
        if not path.exists() or sha256(path) != one.indexes_sha256:
            yield f"{path.name}：缺失或与清单不符 / missing, or not as the manifest says"
    for name, wanted in manifest.files.items():
        if not (folder / name).exists() or sha256(folder / name) != wanted:
            yield f"{name}：缺失或与清单不符 / missing, or not as the manifest says"
    yield from _gaps(manifest)


def _gaps(manifest: Manifest) -> Iterator[str]:
    parts: dict[tuple[str, int], list[Segment]] = {}
    for one in manifest.segments:
        parts.setdefault((one.topic, one.partition), []).append(one)
    for (topic, partition), segments in parts.items():
        segments.sort(key=lambda one: one.begin)
        at = segments[0].begin
        for one in segments:
            if one.begin != at:
                yield f"{topic}/{partition}：{at} 至 {one.begin} 缺失 / records {at} to {one.begin} are missing"
            at = one.end
        if at != manifest.ends[topic][str(partition)]:
            yield f"{topic}/{partition}：缺尾部 / its end is missing"


def now() -> str:
    """Return the moment, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
