"""One client of a MongoDB-compatible store, its databases, and the two errors that services know."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from bson.codec_options import CodecOptions
from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
)
from pymongo import IndexModel, InsertOne, timeout
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.uri_parser import parse_uri
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random

from shared.storage.generations import COLLECTION as GENERATIONS
from shared.storage.generations import LIVE, Generation, generation_of

log = logging.getLogger(__name__)

Collection = AsyncIOMotorCollection
Database = AsyncIOMotorDatabase

DUPLICATE_KEY = 11000
_FIRST = Generation()

TIME_LIMIT_FACTOR = 4
"""An operation may take this many times as long as a sign of life; the store itself then ends it, so that none holds its locks for
ever after the service gave up."""
LONG_SECONDS = 3_600
"""The limit of what is rare and may take long: making an index, throwing a database away."""


def _sqlstate(text: str) -> int:
    """Return the number under which DocumentDB passes on an error of PostgreSQL in the middle of a batch."""
    return sum((ord(character) - ord("0") & 0x3F) << 6 * place for place, character in enumerate(text))


_UNAVAILABLE_CODES = frozenset(
    {
        1,  # InternalError: FerretDB's only answer while its PostgreSQL is killed, stopping, starting or unreachable
        6,  # HostUnreachable
        7,  # HostNotFound
        26,  # NamespaceNotFound: DocumentDB loses sight of a collection that it is just making, while others are thrown away
        50,  # MaxTimeMSExpired: it took longer than TIME_LIMIT_FACTOR allows
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        189,  # PrimarySteppedDown
        262,  # ExceededTimeLimit
        10107,  # NotWritablePrimary
        11600,  # InterruptedAtShutdown
        11602,  # InterruptedDueToReplStateChange
        _sqlstate("40001"),  # serialization failure
        _sqlstate("40P01"),  # two batches waited for each other's documents, and this one was chosen to give way
        _sqlstate("53100"),  # its disk is full
        _sqlstate("53200"),  # it has no memory left
        _sqlstate("53300"),  # too many connections
        _sqlstate("55P03"),  # a lock was not to be had in time
        _sqlstate("57014"),  # cancelled
        _sqlstate("57P01"),  # PostgreSQL is shut down
        _sqlstate("57P02"),  # PostgreSQL crashed
        _sqlstate("57P03"),  # PostgreSQL is starting or stopping
    }
)
_UNCONFIRMED = "a majority of the document store did not confirm a write, which may yet be undone"
_REFUSED_CODES = frozenset(
    {
        13,  # Unauthorized: no user was given, or it may not do this
        18,  # AuthenticationFailed: no such user, or a wrong password
    }
)


class StoreUnavailable(Exception):
    """The document store does not answer, or not in time, or does not let us in.

    Whether a write took effect is unknown: retry it idempotently.
    """


class DuplicateKey(Exception):
    """A unique index refused the document."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into `StoreUnavailable` and `DuplicateKey`; other errors pass as they are.

    Each `StoreUnavailable` is a line in the log: who asked is told only that the store cannot be reached, an operator wants to know why.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise DuplicateKey(str(error.details)) from error
    except WriteConcernError as error:
        raise _unavailable(_UNCONFIRMED, error, error.code) from error
    except BulkWriteError as error:
        if error.details.get("writeConcernErrors"):
            raise _unavailable(_UNCONFIRMED, error) from error
        codes = [write.get("code") for write in error.details.get("writeErrors", ())]
        if code := next(filter(_UNAVAILABLE_CODES.__contains__, codes), None):
            raise _unavailable("the document store refused part of a batch", error, code) from error
        raise
    except ConnectionFailure as error:
        raise _unavailable(f"the document store does not answer ({type(error).__name__})", error) from error
    except OperationFailure as error:
        if error.code in _UNAVAILABLE_CODES:
            raise _unavailable(f"the document store cannot work now (code {error.code})", error, error.code) from error
        if error.code in _REFUSED_CODES:
            said = "the document store refuses us: look at user and password in MONGO_URL"
            raise _unavailable(said, error, error.code) from error
        raise
    except PyMongoError as error:
        if error.timeout:
            raise _unavailable(f"the document store did not answer in time ({type(error).__name__})", error) from error
        raise


def _unavailable(said: str, error: PyMongoError, code: int | None = None) -> StoreUnavailable:
    log.warning("the document store failed an operation", extra={"error_type": type(error).__name__, "code": code})
    return StoreUnavailable(said)


async def insert_missing(collection: Any, documents: Sequence[Mapping[str, Any]], *, ordered: bool = False) -> set[int]:
    """Insert documents in one round trip; return the positions of those whose key was taken (they are not written).

    With `ordered`, writing stops at the first that is taken, and only that position is returned. Otherwise documents are
    written in the order of their `_id`: a bulk write is one transaction in the store, and two that take the same keys in
    different orders block each other.
    """
    if not documents:
        return set()
    positions = list(range(len(documents)))
    if not ordered:
        positions.sort(key=lambda position: documents[position]["_id"])
    with translated():
        try:
            await collection.bulk_write([InsertOne(documents[position]) for position in positions], ordered=ordered)
        except BulkWriteError as error:
            failures = error.details.get("writeErrors", [])
            unconfirmed = error.details.get("writeConcernErrors")
            if unconfirmed or any(failure.get("code") != DUPLICATE_KEY for failure in failures):
                raise
            return {positions[failure["index"]] for failure in failures}
    return set()


async def find_many(
    collection: Any,
    keys: Iterable[str],
    fields: Mapping[str, int] | None = None,
    where: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the documents with these keys, of those that fit `where`, in one round trip: key → document, or `fields` of it.

    Raises:
        StoreUnavailable: the store is away.
    """
    wanted = list(keys)
    if not wanted:
        return {}
    with translated():
        cursor = collection.find({"_id": {"$in": wanted}, **(where or {})}, fields).batch_size(len(wanted) + 1)
        return {document["_id"]: document for document in await cursor.to_list(len(wanted))}


def is_address(url: str) -> bool:
    """Whether the driver can read an address of a store; what it would say of a wrong one may quote the password."""
    if not url.startswith("mongodb://"):
        return True  # one with `+srv` would be looked up in the DNS
    try:
        parse_uri(url, warn=False)
    except (PyMongoError, ValueError, OSError):
        return False
    return True


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
    """How long a sign of life may take; other operations may take `TIME_LIMIT_FACTOR` times as long."""
    _client: Any = field(default=None, repr=False)
    _found: bool = False
    """Whether the store ever answered."""
    _closed: bool = False
    _collections: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)
    _generations: dict[str, Generation] = field(default_factory=dict, repr=False)

    @property
    def client(self) -> Any:
        """The driver's client.

        Raises:
            StoreUnavailable: `close` was called.
        """
        if self._closed:
            raise StoreUnavailable("the connection to the document store was closed")
        if self._client is None:
            milliseconds = int(self.timeout_seconds * 1000)
            self._client = AsyncIOMotorClient(
                self.url,
                tz_aware=True,
                serverSelectionTimeoutMS=milliseconds,
                connectTimeoutMS=milliseconds,
                timeoutMS=milliseconds * TIME_LIMIT_FACTOR,
                heartbeatFrequencyMS=1_000,
                retryReads=False,
                maxPoolSize=32,
                retryWrites=False,
                w="majority",
                journal=True,
                appname="xinxiang",
            )
        return self._client

    def database(self, service: str) -> Any:
        """Return the database that belongs to one service.

        Raises:
            StoreUnavailable: the store was there and is away.
        """
        self._look()
        return self._database(service)

    def collection(self, service: str, name: str) -> Any:
        """Return a collection of one service, of the live generation where it belongs to one.

        Raises:
            StoreUnavailable: the store was there and is away; or the projection is being exchanged for another.
        """
        self._look()
        generation = self._generations.get(service, _FIRST)
        if generation.withheld(name):
            why = (
                "is being exchanged"
                if generation.held
                else "may have been exchanged: the store has not said lately which is live"
            )
            raise StoreUnavailable(f"the projection of {service} {why}")
        database = generation.database(service, name)
        found = self._collections.get((database, name))
        if found is None:
            found = self._collections[database, name] = self._database(database)[name]
        return found

    async def follow(self, service: str, leased: frozenset[str] = frozenset()) -> Generation:
        """Look which generation of a service is live, and work with it from now on; return it.

        Args:
            service: the service.
            leased: the collections that must not be touched once this look is older than `LEASE_SECONDS`; whoever gives any looks
                again every `LOOK_EVERY_SECONDS`.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        self._look()
        looked_at = monotonic()
        with translated():
            document = await self._database(service)[GENERATIONS].find_one({"_id": LIVE})
        found = self._generations[service] = generation_of(document, leased, looked_at)
        return found

    def generation(self, service: str) -> Generation:
        """Return the generation of a service that this process works with."""
        return self._generations.get(service, _FIRST)

    def choose(self, service: str, generation: Generation) -> None:
        """Work with a generation whether it is live or not: it is being built."""
        self._generations[service] = generation

    def _look(self) -> None:
        """Refuse at once while the store is known to be away: each operation that waited for it would keep one of the driver's
        few threads, and so would let others wait that need no store.
        """
        if self.client.delegate.topology_description.has_readable_server():
            self._found = True
        elif self._found:
            raise StoreUnavailable("the document store does not answer")

    def _database(self, service: str) -> Any:
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
        with translated(), timeout(self.timeout_seconds):
            await self._database("ping")["ping"].find_one({"_id": 0})

    async def ensure(self, collection: Any, indexes: Sequence[Index]) -> None:
        """Create a collection and its indexes where they are missing.

        While other collections are created and thrown away, DocumentDB now and then loses sight of the one that it is just making: it is
        asked again.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        if not indexes:
            return
        models = [index.model() for index in indexes]
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_random(0.05, 0.5),
            stop=stop_after_attempt(10),
            reraise=True,
        ):
            await self.ping()  # or the long limit would also be that for finding the store
            with attempt, translated(), timeout(LONG_SECONDS):
                await collection.create_indexes(models)

    async def drop(self, service: str) -> None:
        """Throw a service's whole database away."""
        await self.ping()
        with translated(), timeout(LONG_SECONDS):
            await self.client.drop_database(self.database(service))

    def close(self) -> None:
        """Close all connections for good; a store that is away is not waited for."""
        if self._client is not None:
            if not self._found or self.client.delegate.topology_description.has_readable_server():
                self._client.close()
            self._client = None
            self._collections.clear()
        self._closed = True
