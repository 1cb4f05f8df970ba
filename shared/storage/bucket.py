"""Files in the store's GridFS: written so that nothing is left of one that breaks off, read piece by piece, removed content first.

GridFS writes a file's description at its end. Of an upload that is killed half-way, or that the store cuts off, pieces would stay that
nothing leads to: no list, no erasure, no sweep. So a mark is written before the first piece, and removed after the description.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from shared.storage.store import Index, Store, translated

BROKEN_AFTER = timedelta(hours=1)
"""No upload takes so long."""
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a service."""

    store: Store
    service: str
    name: str

    @property
    def descriptions(self) -> Any:
        """The driver's collection of file descriptions."""
        return self.store.collection(self.service, f"{self.name}.files")

    @property
    def chunks(self) -> Any:
        """The driver's collection of the pieces of files."""
        return self.store.collection(self.service, f"{self.name}.chunks")

    @property
    def marks(self) -> Any:
        """The driver's collection of uploads under way."""
        return self.store.collection(self.service, f"{self.name}.uploads")

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(self.marks, [Index([("since", 1)])])

    @asynccontextmanager
    async def new(self, name: str, metadata: dict[str, Any]) -> AsyncIterator[Any]:
        """Give the driver's stream to write a new file into; leaving closes it, an error removes what was written.

        Raises:
            StoreUnavailable: the store is away; the file is not there.
        """
        file, bucket = ObjectId(), self.store.files(self.service, self.name)
        with translated():
            await self.marks.insert_one({"_id": file, "since": datetime.now(UTC)})
            stream = bucket.open_upload_stream_with_id(file, name, metadata=metadata)
            try:
                yield stream
            except BaseException:
                await stream.abort()
                await self._done([file])
                raise
            await stream.close()
            await self._done([file])

    async def open(self, file: Any) -> AsyncIterator[bytes] | None:
        """Return a file, by the id of its description, in pieces; none if it is gone.

        The first piece is read here, so that an answer only begins where there is one; each other when it is asked for. One that is removed
        meanwhile breaks off. The driver's own stream would read up to 16 MB ahead.
        """
        first = await self._piece(file, 0)
        return None if first is None else self._pieces(file, first)

    async def _pieces(self, file: Any, piece: bytes | None) -> AsyncIterator[bytes]:
        place = 0
        while piece is not None:
            yield piece
            place += 1
            piece = await self._piece(file, place)

    async def _piece(self, file: Any, place: int) -> bytes | None:
        with translated():
            found = await self.chunks.find_one({"files_id": file, "n": place}, {"data": 1})
        return None if found is None else bytes(found["data"])

    async def remove(self, files: Sequence[Any]) -> None:
        """Remove files, content first: after a crash the description is still there to find the rest by."""
        if files:
            with translated():
                await self.chunks.delete_many({"files_id": {"$in": list(files)}})
                await self.descriptions.delete_many({"_id": {"$in": list(files)}})

    async def sweep(self) -> None:
        """Remove what is left of uploads that broke off, at most 100 at a time; one that came to its end stays."""
        with translated():
            old = {"since": {"$lt": datetime.now(UTC) - BROKEN_AFTER}}
            begun = [
                mark["_id"] async for mark in self.marks.find(old, {"_id": 1}).sort([("since", 1)]).limit(_AT_ONCE)
            ]
            if not begun:
                return
            whole = {file["_id"] async for file in self.descriptions.find({"_id": {"$in": begun}}, {"_id": 1})}
            broken = [file for file in begun if file not in whole]
            await self.chunks.delete_many({"files_id": {"$in": broken}})
            await self._done(begun)

    async def _done(self, files: list[Any]) -> None:
        await self.marks.delete_many({"_id": {"$in": files}})
