"""Files that may become public: cleaned before they are kept, in a bucket of publication's own (R9.1).

What a citizen sent stays with intake. A preparer uploads the copy that may be public; it is cleaned (`cleaning.py`), loses its name, and is
kept only as long as a text that waits or is public names it:

- one that no text names goes after two days;
- those of a letter that is withdrawn, withheld or erased (R3.7) go at once. The record needs no copy: its facts keep each file's name, size
  and SHA-256, by which a copy elsewhere can be known for what was public; what the citizen sent is still with intake, but for an erased
  letter; and the grounds of a withdrawal are grounds for keeping no further copy. To publish again, a file is uploaded again.

`look_at` says when a file must be looked at; a file that a text names has none. Before each write after which no text names a file, by a
decision or by another service's fact, its `look_at` is set (`handlers.Unnamed`), so that a crash after it leaves no file behind: the sweep
narrows by it, and re-checks each by its letter.
"""

import asyncio
import hashlib
from asyncio import Semaphore
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Final

from pydantic import Field

from services.publication.cleaning import ENDINGS, clean_apart
from services.publication.domain import Case
from services.publication.repository import SERVICE
from shared.contracts.errors import BadInput, NotFound
from shared.contracts.types import Moment, PublishedFile, Value
from shared.security.scanner import Away, Gate
from shared.storage import Aggregates, Bucket, Index, Store, translated

KEPT_LOOSE: Final = timedelta(days=2)
DECIDED_WITHIN: Final = timedelta(minutes=1)
"""A decision is written long before; then the sweep may look who names what."""
MOST_FILES: Final = 10
"""Files that one letter may be shown with."""
MOST_KEPT: Final = 30
"""Files that are kept for one letter, named or not."""
AT_ONCE: Final = 100
_BEGINNING: Final = datetime(2000, 1, 1, tzinfo=UTC)


Counted = Callable[[str], Mapping[str, int]]
"""Counts the marks in a text by kind."""


class Copy(Value):
    """A cleaned file that is kept for a letter."""

    id: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    copy_of: str | None = None
    """Id of the citizen's attachment that it is a copy of."""
    marks: Mapping[str, int] = Field(default_factory=dict)
    """Kind → how many pieces of the text in it look like personal data; a picture's text is not read."""
    uploaded_at: Moment


@dataclass(slots=True)
class Files:
    """The cleaned files of all letters."""

    store: Store
    cases: Aggregates[Case]
    max_bytes: int
    gate: Gate
    _cleaning: Semaphore = field(default_factory=lambda: Semaphore(1))
    """One at a time: each may take much memory."""

    @property
    def bucket(self) -> Bucket:
        """Where they lie."""
        return Bucket(self.store, SERVICE, "attachments")

    @property
    def collection(self) -> Any:
        """The driver's collection of file descriptions."""
        return self.bucket.descriptions

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.bucket.ensure()
        await self.store.ensure(
            self.collection,
            [
                Index([("metadata.letter_id", 1), ("metadata.id", 1)], unique=True),
                Index([("metadata.look_at", 1)], only_where={"metadata.look_at": {"$exists": True}}),
            ],
        )

    async def keep(self, letter_id: str, content: bytes, copy_of: str | None, counted: Counted) -> Copy:
        """Clean a file and keep it.

        Raises:
            BadInput: it is empty, too large, one too many, of a kind that is not published, or there is malware in it.
            Away: nobody looked into it, and the city's policy is that somebody must.
        """
        if not content:
            raise BadInput("R9.1", "附件是空文件 / The file is empty", "/file")
        if len(content) > self.max_bytes:
            raise BadInput(
                "R9.1",
                f"附件不能超过 {self.max_bytes // 1_000_000} MB / A file may have at most {self.max_bytes} bytes",
                "/file",
            )
        if len(await self.of(letter_id)) >= MOST_KEPT:
            raise BadInput(
                "R9.1",
                f"此件已有 {MOST_KEPT} 个文件，请先删去不用的 / {MOST_KEPT} files are kept for this letter; remove some first",
                "/file",
            )
        verdict = await self.gate.look_into(content)
        if verdict is not None and verdict.found:
            raise BadInput(
                "R9.1", "这个文件含有恶意程序，没有收下 / There is malware in this file, it was not taken", "/file"
            )
        if verdict is None and self.gate.policy == "hold":
            raise Away("nobody looked into the file")
        async with self._cleaning:
            clean = await clean_apart(content, "/file")
            # A long text takes seconds, and others shall be answered meanwhile.
            marks = dict(await asyncio.to_thread(counted, clean.text))
        copy = Copy(
            id=token_hex(16),
            media_type=clean.media_type,
            size=len(clean.content),
            sha256=hashlib.sha256(clean.content).hexdigest(),
            copy_of=copy_of,
            marks=marks,
            uploaded_at=datetime.now(UTC),
        )
        kept = {**copy.model_dump(), "letter_id": letter_id, "look_at": copy.uploaded_at + KEPT_LOOSE, "loose": True}
        async with self.bucket.new(f"{copy.id}.{ENDINGS[copy.media_type]}", kept) as upload:
            await upload.write(clean.content)
        return copy

    async def of(self, letter_id: str) -> list[Copy]:
        """Return the files that are kept for a letter, the oldest first."""
        with translated():
            found = self.collection.find({"metadata.letter_id": letter_id}, {"metadata": 1})
            copies = [Copy.model_validate(described["metadata"]) async for described in found]
        return sorted(copies, key=lambda copy: (copy.uploaded_at, copy.id))

    async def named(self, letter_id: str, ids: Sequence[str]) -> tuple[PublishedFile, ...]:
        """Return the files with these ids, renamed by their order: 附件1.pdf, 附件2.jpg.

        Raises:
            BadInput: no such file is kept for the letter.
        """
        if not ids:
            return ()
        kept = {copy.id: copy for copy in await self.of(letter_id)}
        files = []
        for place, file_id in enumerate(ids):
            copy = kept.get(file_id)
            if copy is None:
                raise BadInput(
                    "R9.1",
                    "此件没有这个公开附件；请先上传 / No such file is kept for this letter; upload it first",
                    f"/attachments/{place}",
                )
            name = f"附件{place + 1}.{ENDINGS[copy.media_type]}"
            files.append(
                PublishedFile(id=file_id, name=name, media_type=copy.media_type, size=copy.size, sha256=copy.sha256)
            )
        return tuple(files)

    async def open(self, letter_id: str, file_id: str) -> AsyncIterator[bytes] | None:
        """Return a letter's file in pieces, or none if it is gone; see `Bucket.open`."""
        with translated():
            query = {"metadata.letter_id": letter_id, "metadata.id": file_id}
            described = await self.collection.find_one(query, {"_id": 1})
        return None if described is None else await self.bucket.open(described["_id"])

    async def remove(self, letter_id: str, id: str) -> None:
        """Remove a file.

        Raises:
            NotFound: there is none.
        """
        with translated():
            described = await self.collection.find_one({"metadata.letter_id": letter_id, "metadata.id": id}, {"_id": 1})
        if described is None:
            raise missing()
        await self.bucket.remove([described["_id"]])

    async def look_again(self, letter_id: str, ids: Collection[str], *, loose: bool = False) -> None:
        """Say that these files may soon be named, or be named no more; `loose`: one that no text names then may go at once."""
        if ids:
            query = {"metadata.letter_id": letter_id, "metadata.id": {"$in": sorted(ids)}}
            when = {"metadata.look_at": datetime.now(UTC) + DECIDED_WITHIN, "metadata.loose": loose}
            with translated():
                await self.collection.update_many(query, {"$set": when})

    async def forget(self, *letter_ids: str) -> None:
        """Remove all files of letters that were withdrawn, withheld or erased."""
        with translated():
            found = self.collection.find({"metadata.letter_id": {"$in": sorted(letter_ids)}}, {"_id": 1})
            gone = [described["_id"] async for described in found]
        await self.bucket.remove(gone)

    async def sweep(self) -> None:
        """Look at the files whose time has come: keep what a text names, remove what none has named for two days."""
        now = datetime.now(UTC)
        with translated():
            due = self.collection.find({"metadata.look_at": {"$gt": _BEGINNING, "$lt": now}}, {"metadata": 1})
            found = [described async for described in due.sort([("metadata.look_at", 1)]).limit(AT_ONCE)]
        if not found:
            return
        cases = await self.cases.get_many({described["metadata"]["letter_id"] for described in found})
        gone = []
        for described in found:
            case = cases[described["metadata"]["letter_id"]].state
            change = _judged(described["metadata"], case, now)
            if change is None:
                gone.append(described["_id"])
                continue
            same = {"_id": described["_id"], "metadata.look_at": described["metadata"]["look_at"]}
            with translated():
                await self.collection.update_one(same, change)
        await self.bucket.remove(gone)


def missing() -> NotFound:
    """Return the error for a file that is not there."""
    return NotFound("R9.1", "没有这个附件 / There is no such attachment")


def _judged(kept: Mapping[str, Any], case: Case | None, now: datetime) -> Mapping[str, Any] | None:
    """Return how a file's description changes; none: the file goes."""
    if case is not None and kept["id"] in case.files:
        return {"$unset": {"metadata.look_at": "", "metadata.loose": ""}}
    if kept["loose"]:
        return None
    return {"$set": {"metadata.look_at": now + KEPT_LOOSE, "metadata.loose": True}}
