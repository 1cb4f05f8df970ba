"""Files in the store's GridFS, written so that nothing is left of one that breaks off.

GridFS writes a file's description at its end. Of an upload that is killed half-way, or that the store cuts off, pieces would stay that
nothing leads to: no list, no erasure, no sweep. So a mark is written before the first piece, and removed after the description.
"""

from collections.abc import AsyncIterator
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
class Uploads:
    """What writes the files of one bucket of a service."""

    store: Store
    service: str
    bucket: str

    @property
    def marks(self) -> Any:
        """The driver's collection of uploads under way."""
        return self.store.collection(self.service, f"{self.bucket}.uploads")

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(self.marks, [Index([("since", 1)])])

    @asynccontextmanager
    async def new(self, name: str, metadata: dict[str, Any]) -> AsyncIterator[Any]:
        """Give the driver's stream to write a new file into; leaving closes it, an error removes what was written.

        Raises:
            StoreUnavailable: the store is away; the file is not there.
        """
        file, bucket = ObjectId(), self.store.files(self.service, self.bucket)
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

    async def sweep(self) -> None:
        """Remove what is left of uploads that broke off, at most 100 at a time; one that came to its end stays."""
        with translated():
            old = {"since": {"$lt": datetime.now(UTC) - BROKEN_AFTER}}
            begun = [
                mark["_id"] async for mark in self.marks.find(old, {"_id": 1}).sort([("since", 1)]).limit(_AT_ONCE)
            ]
            if not begun:
                return
            described = self.store.collection(self.service, f"{self.bucket}.files").find(
                {"_id": {"$in": begun}}, {"_id": 1}
            )
            whole = {file["_id"] async for file in described}
            broken = [file for file in begun if file not in whole]
            await self.store.collection(self.service, f"{self.bucket}.chunks").delete_many(
                {"files_id": {"$in": broken}}
            )
            await self._done(begun)

    async def _done(self, files: list[Any]) -> None:
        await self.marks.delete_many({"_id": {"$in": files}})
