"""Whole collections as files and back: documents as the store has them, byte by byte, in the form of mongodump (`*.bson.gz`).

A file is BSON documents one after the other, compressed with gzip; what is in memory at once is bounded, however large it is.
"""

import gzip
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from shared.storage.store import Store, translated

AT_ONCE, BYTES_AT_ONCE = 1_000, 4_000_000
"""The most documents, and about the most bytes, inserted together."""
_RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_SUM = 1 << 256


@dataclass
class Written:
    """What a file holds."""

    documents: int = 0
    size: int = 0
    """Bytes, before compression."""
    sha256: str = ""
    """Of the file, in hexadecimal."""
    content: str = ""
    """The sum of the SHA-256 of its documents modulo 2²⁵⁶, in hexadecimal: the same whatever their order."""
    _sum: int = field(default=0, repr=False)

    def count(self, raw: bytes) -> None:
        """Count a document."""
        self.documents += 1
        self.size += len(raw)
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(raw).digest(), "big")) % _SUM
        self.content = f"{self._sum:064x}"


class _Hashing:
    """A file that knows the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


@contextmanager
def writing(path: Path) -> Iterator[tuple[Callable[[bytes], None], Written]]:
    """Write documents (BSON) to a file; when it ends, the second part says what it holds. The file is not there until it is whole."""
    written = Written()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        hashing = _Hashing(file)
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=4, fileobj=cast("BinaryIO", hashing), mtime=0
        ) as packed:

            def write(raw: bytes) -> None:
                packed.write(raw)
                written.count(raw)

            yield write, written
        written.sha256 = hashing.hash.hexdigest()
    unfinished.replace(path)


def reading(path: Path) -> Iterator[bytes]:
    """Read the documents (BSON) of a file, one at a time.

    Raises:
        ValueError: it is cut off or spoilt.
    """
    try:
        with gzip.open(path, "rb") as packed:
            while head := packed.read(4):
                size = int.from_bytes(head, "little")
                body = packed.read(size - 4) if 5 <= size <= 1 << 26 else b""
                if len(body) != size - 4:
                    raise ValueError(f"{path.name} is cut off or spoilt")
                yield head + body
    except (OSError, EOFError) as error:
        raise ValueError(f"{path.name} is cut off or spoilt: {error}") from error


def packed(document: Mapping[str, Any]) -> bytes:
    """Return a document as BSON."""
    return bson.encode(document)


def unpacked(raw: bytes) -> dict[str, Any]:
    """Return the document of some BSON; times are aware."""
    found: dict[str, Any] = bson.decode(raw, CodecOptions(tz_aware=True))
    return found


def count(path: Path) -> Written:
    """Read a file and say what it holds; `sha256` is that of the file."""
    written = Written()
    for raw in reading(path):
        written.count(raw)
    with path.open("rb") as file:
        written.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return written


# ── the store ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prefix(store: Store) -> str:
    return f"{store.namespace}xinxiang_"


async def databases(store: Store) -> list[str]:
    """Return the namespace's databases that are there, without the prefix: names of services, `ops`."""
    await store.ping()
    with translated():
        names = await store.client.list_database_names()
    prefix = _prefix(store)
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix) and name != prefix + "ping")


async def collections(store: Store, database: str) -> list[str]:
    """Return the names of a database's collections."""
    with translated():
        return sorted(await store.database(database).list_collection_names())


async def raw_documents(store: Store, database: str, collection: str) -> AsyncIterator[bytes]:
    """Read all documents of a collection as BSON, in no special order."""
    found = store.client.get_database(_prefix(store) + database, codec_options=_RAW)[collection]
    with translated():
        async for document in found.find({}, batch_size=500):
            yield document.raw


async def dump(store: Store, database: str, collection: str, path: Path) -> Written:
    """Write a collection to `path`, and its indexes beside it (`*.metadata.json`, as mongodump does)."""
    with writing(path) as (write, written):
        async for raw in raw_documents(store, database, collection):
            write(raw)
    with translated():
        indexes = [dict(index) async for index in store.database(database)[collection].list_indexes()]
    metadata_of(path).write_text(json_util.dumps({"collectionName": collection, "indexes": indexes}), encoding="utf-8")
    return written


def metadata_of(path: Path) -> Path:
    """Return where the indexes of a dumped collection are."""
    return path.with_name(path.name.removesuffix(".bson.gz") + ".metadata.json")


async def load(store: Store, database: str, collection: str, path: Path) -> Written:
    """Put a dumped collection with its indexes into a database where it is not."""
    target = store.client.get_database(_prefix(store) + database, codec_options=_RAW)
    found = json_util.loads(metadata_of(path).read_text(encoding="utf-8"))["indexes"]
    indexes = [{k: v for k, v in index.items() if k not in {"v", "ns"}} for index in found if index["name"] != "_id_"]
    written = Written()
    with translated():
        if collection not in await target.list_collection_names():
            await target.create_collection(collection)
        if indexes:
            await target.command({"createIndexes": collection, "indexes": indexes})
        for batch in _batches(reading(path)):
            await target[collection].insert_many([RawBSONDocument(raw, _RAW) for raw in batch], ordered=False)
            for raw in batch:
                written.count(raw)
    return written


def _batches(documents: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for raw in documents:
        batch.append(raw)
        size += len(raw)
        if len(batch) >= AT_ONCE or size >= BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def sizes(store: Store) -> dict[str, int]:
    """Return database → bytes on disk as far as the store tells, indexes included."""
    found: dict[str, int] = {}
    for name in await databases(store):
        with translated():
            stats = await store.database(name).command("dbStats")
        found[name] = int(stats.get("storageSize", 0)) + int(stats.get("indexSize", 0))
    return found
