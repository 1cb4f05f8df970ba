"""One client of a MongoDB-compatible store, its databases, and the two errors that services know."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)
from pymongo import IndexModel, InsertOne
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

Collection = AsyncIOMotorCollection
Database = AsyncIOMotorDatabase

DUPLICATE_KEY = 11000

_UNAVAILABLE_CODES = frozenset(
    {
        1,  # InternalError: what FerretDB answers while its PostgreSQL is away
        6,  # HostUnreachable
        7,  # HostNotFound
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        189,  # PrimarySteppedDown
        262,  # ExceededTimeLimit
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        16908292,  # DocumentDB: two batches waited for each other's documents, and this one was chosen to give way
    }
)


class StoreUnavailable(Exception):
    """The document store does not answer, or not in time. Whether a write took effect is unknown: retry it idempotently."""


class DuplicateKey(Exception):
    """A unique index refused the document."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into `StoreUnavailable` and `DuplicateKey`; other errors pass as they are."""
    try:
        yield
    except DuplicateKeyError as error:
        raise DuplicateKey(str(error.details)) from error
    except BulkWriteError as error:
        if any(write.get("code") in _UNAVAILABLE_CODES for write in error.details.get("writeErrors", ())):
            raise StoreUnavailable("the document store refused part of a batch") from error
        raise
    except ConnectionFailure as error:
        raise StoreUnavailable(f"the document store does not answer ({type(error).__name__})") from error
    except OperationFailure as error:
        if error.code in _UNAVAILABLE_CODES:
            raise StoreUnavailable(f"the document store cannot work now (code {error.code})") from error
        raise
    except PyMongoError as error:
        if error.timeout:
            raise StoreUnavailable(f"the document store did not answer in time ({type(error).__name__})") from error
        raise


async def insert_missing(collection: Any, documents: Sequence[Mapping[str, Any]], *, ordered: bool = False) -> set[int]:
    """Insert documents in one round trip; return the positions of those whose key was taken (they are not written).

    With `ordered`, writing stops at the first that is taken, and only that position is returned.
    """
    if not documents:
        return set()
    with translated():
        try:
            await collection.bulk_write([InsertOne(document) for document in documents], ordered=ordered)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            if any(failure.get("code") != DUPLICATE_KEY for failure in failures):
                raise
            return {failure["index"] for failure in failures}
    return set()


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a collection. Each index is paid for at every write: a list gets exactly one."""

    keys: Sequence[tuple[str, int]]
    unique: bool = False
    only_where: Mapping[str, Any] | None = None
    """Partial filter expression: documents it leaves out cost nothing."""
    expire_after_seconds: int | None = None

    def model(self) -> IndexModel:
        """Return the driver's description of this index."""
        options: dict[str, Any] = {}
        if self.unique:
            options["unique"] = True
        if self.only_where is not None:
            options["partialFilterExpression"] = dict(self.only_where)
        if self.expire_after_seconds is not None:
            options["expireAfterSeconds"] = self.expire_after_seconds
        return IndexModel(list(self.keys), **options)


@dataclass(slots=True)
class Store:
    """A connection to the store. Make one per event loop; it connects when first used and reconnects by itself."""

    url: str
    namespace: str = ""
    timeout_seconds: float = 5.0
    """After this long without an answer an operation fails with `StoreUnavailable`."""
    _client: Any = field(default=None, repr=False)

    @property
    def client(self) -> Any:
        """The driver's client."""
        if self._client is None:
            milliseconds = int(self.timeout_seconds * 1000)
            self._client = AsyncIOMotorClient(
                self.url,
                tz_aware=True,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                socketTimeoutMS=milliseconds * 6,
                timeoutMS=None,
                maxPoolSize=32,
                retryWrites=False,
                w="majority",
                journal=True,
                appname="xinxiang",
            )
        return self._client

    def database(self, service: str) -> Any:
        """Return the database that belongs to one service."""
        return self.client.get_database(
            f"{self.namespace}xinxiang_{service}", codec_options=CodecOptions(tz_aware=True)
        )

    def files(self, service: str, bucket: str) -> Any:
        """Return a GridFS bucket of one service."""
        return AsyncIOMotorGridFSBucket(self.database(service), bucket_name=bucket)

    async def ping(self) -> None:
        """Ask for a sign of life that reaches the disk's owner, not only the store's front.

        Raises:
            StoreUnavailable: there is none.
        """
        with translated():
            await self.client.get_database(f"{self.namespace}xinxiang_ping")["ping"].find_one({"_id": 0})

    async def ensure(self, collection: Any, indexes: Sequence[Index]) -> None:
        """Create a collection's indexes where they are missing."""
        if indexes:
            with translated():
                await collection.create_indexes([index.model() for index in indexes])

    async def drop(self, service: str) -> None:
        """Throw a service's whole database away."""
        with translated():
            await self.client.drop_database(self.database(service))

    def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            self._client.close()
            self._client = None
