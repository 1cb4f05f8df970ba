"""Aggregates: one document per letter, moved by one atomic, conditional write.

The document holds the service's state of the letter, the highest `seq` seen from each service, the facts and messages not yet
sent (the outbox) and a `version`. `version` is the sum of all `seq` seen, so it grows with every fact, is the same after a rebuild, and
serves as the ETag. A write names the version it read; where another was faster, the caller reads again and decides again.

What was read or written last is kept in memory, so that the next move of a letter need not read it again: a write that starts from a letter
which somebody else has moved meanwhile is refused by its version, as any other. Whoever decides that *nothing* is to be written must have
read the letter (see `recall`).

A document says by which `schema` its state was written; none means 1. An older one is lifted when it is read, and written anew by the next
move. A newer one is of a newer release, which runs beside this one while services are upgraded one by one: it is never read, let alone
written (`NewerDocument`).

A bulk write reports only how many documents matched, so a document names in `token` the random tokens of its last writes: they show
afterwards whose writes it had, even if others have moved the letter on since.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Any, Generic, TypeVar

from cachetools import LRUCache
from pymongo import UpdateOne

from shared.contracts.envelope import Outgoing
from shared.observability import metrics
from shared.storage.store import Index, Store, insert_missing, translated

State = TypeVar("State")

KEPT = 1_000
"""Letters of one collection kept in memory."""
TOKEN_BYTES = 6
TOKENS_KEPT = 64
"""Characters: the last eight tokens, each of eight characters."""


@dataclass(slots=True)
class Stored(Generic[State]):
    """A letter's document as read; `state` is none where the service has none yet."""

    id: str
    version: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    """Service → highest `seq` of its facts applied here, this service's own included."""
    state: State | None = None
    outbox: tuple[Outgoing, ...] = ()
    tokens: str = ""
    """Whose writes the last ones were, the latest at the end."""
    newer: bool = False
    """A newer release wrote the state, which this one cannot read: `state` is none, and nothing may be written."""


class NewerDocument(Exception):
    """A newer release wrote this letter's state; a process of that release must do it."""

    def __init__(self, letter_id: str, schema: int) -> None:
        super().__init__(f"a newer release wrote this letter's state (schema {schema}); upgrade this process")
        self.letter_id = letter_id


@dataclass(slots=True)
class Change(Generic[State]):
    """A decided move from what was read to what shall be written."""

    before: Stored[State]
    state: State | None
    seen: dict[str, int]
    send: list[Outgoing] = field(default_factory=list)
    """New outbox entries, in the order in which they must be sent."""

    @property
    def version(self) -> int:
        """The version after the write."""
        return sum(self.seen.values())

    @property
    def moved(self) -> bool:
        """Whether there is anything to write."""
        return self.version != self.before.version or bool(self.send)

    @property
    def is_note(self) -> bool:
        """Whether nothing changes but what was seen: facts that mean nothing to this service."""
        return self.before.version != 0 and self.state is self.before.state and not self.send


_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def _with(tokens: str, token: str) -> str:
    return (tokens + token)[-TOKENS_KEPT:]


def _wall() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Aggregates(Generic[State]):
    """A collection of aggregates of one service."""

    store: Store
    service: str
    name: str
    dump: Callable[[State], dict[str, Any]]
    """State → document part; times are aware datetimes with milliseconds."""
    load: Callable[[dict[str, Any]], State]
    fields: Callable[[State], dict[str, Any]]
    """State → top-level fields that lists and sweeps index."""
    indexes: Sequence[Index] = ()
    schema: int = 1
    """How the document part is made; one more whenever an older release could not read it, or would lose something of it."""
    lift: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    """Older schema → its document part made into that of the next schema."""
    sent: Callable[[str], bool] = lambda _: False
    """Whether the broker has already acknowledged an entry, by its id (set by the outbox)."""
    _kept: "LRUCache[str, Stored[State]]" = field(default_factory=lambda: LRUCache(maxsize=KEPT))
    _kept_of: str = ""
    """The generation of the projection that they are of."""

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(self.service, self.name)

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        outbox = Index([("unsent", 1)], only_where={"unsent": {"$exists": True}})
        await self.store.ensure(self.collection, [outbox, *self.indexes])

    def stored(self, document: dict[str, Any]) -> Stored[State]:
        """Read a document of this collection.

        Raises:
            NewerDocument: a newer release wrote it.
        """
        schema = document.get("schema", 1)
        if schema > self.schema:
            raise NewerDocument(document["_id"], schema)
        raw = document.get("state")
        if raw is not None:
            for older in range(schema, self.schema):
                raw = self.lift[older](raw)
        return Stored(
            id=document["_id"],
            version=document["version"],
            seen=dict(document["seen"]),
            state=None if raw is None else self.load(raw),
            outbox=tuple(
                Outgoing(e["id"], e["topic"], e["key"], e["headers"], bytes(e["value"]))
                for e in document.get("outbox", ())
            ),
            tokens=document.get("token", ""),
        )

    def _stored_or_newer(self, document: dict[str, Any]) -> Stored[State]:
        try:
            return self.stored(document)
        except NewerDocument:
            return Stored(document["_id"], document["version"], dict(document["seen"]), newer=True)

    async def get(self, letter_id: str) -> Stored[State]:
        """Read one letter; a letter never seen comes as an empty `Stored` of version 0.

        Raises:
            NewerDocument: a newer release wrote it.
        """
        with translated():
            document = await self.collection.find_one({"_id": letter_id})
        return Stored(letter_id) if document is None else self.stored(document)

    async def get_many(self, letter_ids: Iterable[str]) -> dict[str, Stored[State]]:
        """Read many letters in one round trip; each id asked for is in the answer.

        Raises:
            NewerDocument: a newer release wrote one of them.
        """
        found = await self._get_many(letter_ids)
        for stored in found.values():
            if stored.newer:
                raise NewerDocument(stored.id, self.schema + 1)
        return found

    async def _get_many(self, letter_ids: Iterable[str]) -> dict[str, Stored[State]]:
        ids = list(dict.fromkeys(letter_ids))
        found: dict[str, Stored[State]] = {letter_id: Stored(letter_id) for letter_id in ids}
        if not ids:
            return found
        with metrics.store_seconds.labels(self.service, "read").time():
            documents = await self._read(self.collection.find({"_id": {"$in": ids}}), len(ids))
        for document in documents:
            stored = found[document["_id"]] = self._stored_or_newer(document)
            self._remember(stored)
        return found

    def _remember(self, stored: Stored[State]) -> None:
        """Keep what was read, unless something newer is kept: a read that began before a write may end after it."""
        kept = self._kept.get(stored.id)
        if not stored.newer and (kept is None or kept.version <= stored.version):
            self._kept[stored.id] = stored

    async def recall(
        self, letter_ids: Iterable[str], anew: Collection[str] = ()
    ) -> tuple[dict[str, Stored[State]], set[str]]:
        """Return letters as they are remembered, the others and those of `anew` as read in one round trip; and the ids of the former.

        What is remembered may be older than the store: good to decide on what is then written, on condition of its version. A refusal,
        or the finding that nothing is to be done, holds only for a letter that was read. One that a newer release wrote comes as `newer`.
        """
        generation = self.store.generation(self.service).name
        if generation != self._kept_of:
            self._kept.clear()
            self._kept_of = generation
        found: dict[str, Stored[State]] = {}
        missing: list[str] = []
        for letter_id in dict.fromkeys(letter_ids):
            kept = None if letter_id in anew else self._kept.get(letter_id)
            if kept is None:
                missing.append(letter_id)
            else:
                found[letter_id] = kept
        remembered = set(found)
        return found | await self._get_many(missing), remembered

    @staticmethod
    async def _read(cursor: Any, most: int) -> list[dict[str, Any]]:
        """Read all at once: going through a cursor document by document costs more than the documents."""
        with translated():
            documents: list[dict[str, Any]] = await cursor.batch_size(most + 1).to_list(most)
        return documents

    async def find(
        self, query: Mapping[str, Any], *, sort: Sequence[tuple[str, int]], limit: int
    ) -> list[Stored[State]]:
        """Read at most `limit` letters in the order of an index."""
        cursor = self.collection.find(dict(query)).sort(list(sort)).limit(limit)
        return [self.stored(document) for document in await self._read(cursor, limit)]

    async def places(self, query: Mapping[str, Any], place: str, limit: int) -> list[tuple[str, str]]:
        """Return at most `limit` letters that match, in the order of the index field `place`: (letter id, place)."""
        with translated():
            cursor = self.collection.find(dict(query), {"_id": 1, place: 1}).sort([(place, 1)]).limit(limit)
            return [(document["_id"], document[place]) async for document in cursor]

    async def ids(self, query: Mapping[str, Any]) -> list[str]:
        """Return the ids of all letters that match, by an index; only for sets that are small whatever is stored."""
        with translated():
            return [document["_id"] async for document in self.collection.find(dict(query), {"_id": 1})]

    async def count(self, query: Mapping[str, Any]) -> int:
        """Count letters by an index; only for sets that open work bounds."""
        with translated():
            counted: int = await self.collection.count_documents(dict(query))
            return counted

    def _document(self, change: Change[State], token: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Return what to set and what to remove: a field that is none is absent, so partial indexes leave it out."""
        waiting = [entry for entry in change.before.outbox if not self.sent(entry.id)] + change.send
        tokens = _with(change.before.tokens, token)
        if change.is_note:
            note: dict[str, Any] = {"version": change.version, "seen": change.seen, "token": tokens}
            emptied = change.before.outbox and not waiting
            return (note | {"outbox": []}, {"unsent": ""}) if emptied else (note, {})
        fields = {} if change.state is None else self.fields(change.state)
        fields["unsent"] = _wall() if waiting else None
        document: dict[str, Any] = {
            "version": change.version,
            "seen": change.seen,
            "token": tokens,
            "state": None if change.state is None else self.dump(change.state),
            **({"schema": self.schema} if self.schema > 1 else {}),
            "outbox": [
                {"id": e.id, "topic": e.topic, "key": e.key, "headers": e.headers, "value": e.value} for e in waiting
            ],
        }
        document.update((name, value) for name, value in fields.items() if value is not None)
        return document, {name: "" for name, value in fields.items() if value is None}

    async def save(self, changes: Sequence[Change[State]]) -> set[str]:
        """Write all changes, each atomically and only if its document is still as it was read.

        Returns the ids of the letters for which another write was faster: read, decide and save those again.
        """
        if not changes:
            return set()
        token = token_urlsafe(TOKEN_BYTES)
        # Always in one order: the store locks what a batch writes until its end, so two batches in different orders block each other.
        changes = sorted(changes, key=lambda change: change.before.id)
        new = [change for change in changes if change.before.version == 0]
        moved = [change for change in changes if change.before.version != 0]
        lost: set[str] = set()
        for change in changes:
            self._kept.pop(change.before.id, None)  # a write that fails may have happened
        with metrics.store_seconds.labels(self.service, "write").time():
            if new:
                lost |= await self._insert(new, token)
            if moved:
                lost |= await self._update(moved, token)
        for change in changes:
            kept = self._kept.get(change.before.id)
            if change.before.id not in lost and (kept is None or kept.version < change.version):
                self._kept[change.before.id] = self._after(change, token)
        return lost

    def _after(self, change: Change[State], token: str) -> Stored[State]:
        """Return a letter as it is after the write."""
        waiting = [entry for entry in (*change.before.outbox, *change.send) if not self.sent(entry.id)]
        tokens = _with(change.before.tokens, token)
        return Stored(change.before.id, change.version, dict(change.seen), change.state, tuple(waiting), tokens)

    async def _insert(self, changes: Sequence[Change[State]], token: str) -> set[str]:
        documents = [{"_id": c.before.id, **self._document(c, token)[0]} for c in changes]
        return {changes[position].before.id for position in await insert_missing(self.collection, documents)}

    async def _update(self, changes: Sequence[Change[State]], token: str) -> set[str]:
        writes = []
        for change in changes:
            document, gone = self._document(change, token)
            update = {"$set": document, "$unset": gone} if gone else {"$set": document}
            writes.append(UpdateOne({"_id": change.before.id, "version": change.before.version}, update))
        with translated():
            result = await self.collection.bulk_write(writes, ordered=False)
            if result.matched_count == len(writes):
                return set()
            ids = [change.before.id for change in changes]
            found = {d["_id"]: d["token"] async for d in self.collection.find({"_id": {"$in": ids}}, {"token": 1})}
        return {letter_id for letter_id in ids if token not in found.get(letter_id, "")}

    async def refresh(self, letter_ids: Iterable[str]) -> int:
        """Compute the top-level fields anew, where what they depend on besides the state has changed; return how many letters that moved.

        A letter that was written meanwhile is left: its fields are new.
        """
        writes = []
        with translated():
            documents = [d async for d in self.collection.find({"_id": {"$in": list(letter_ids)}}, {"outbox": 0})]
        for document in sorted(documents, key=lambda document: document["_id"]):  # in the order of `save`
            stored = self._stored_or_newer(document)
            if stored.newer:
                continue  # a process of that release does it
            fields = {} if stored.state is None else self.fields(stored.state)
            wanted = {name: value for name, value in fields.items() if value != document.get(name)}
            change = {
                "$set": {name: value for name, value in wanted.items() if value is not None},
                "$unset": {name: "" for name, value in wanted.items() if value is None},
            }
            if wanted:
                which = {"_id": stored.id, "version": stored.version}
                writes.append(UpdateOne(which, {name: part for name, part in change.items() if part}))
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)
        return len(writes)

    async def clear_outbox(self, versions: Mapping[str, int]) -> None:
        """Empty the outbox of each letter that still has the version whose messages were all acknowledged.

        A letter that moved on meanwhile is left: whoever moved it sends and clears.
        """
        if not versions:
            return
        writes = [
            UpdateOne({"_id": letter_id, "version": version}, {"$set": {"outbox": []}, "$unset": {"unsent": ""}})
            for letter_id, version in sorted(versions.items())  # in the order of `save`
        ]
        with translated():
            await self.collection.bulk_write(writes, ordered=False)
        for letter_id, version in versions.items():
            kept = self._kept.get(letter_id)
            if kept is not None and kept.version == version:
                self._kept[letter_id] = replace(kept, outbox=())

    async def unsent(self, before: datetime, limit: int, skip: int = 0) -> list[Stored[State]]:
        """Return letters whose outbox was filled before `before` (real time, UTC) and never cleared, oldest first, from the `skip`th on.

        They are remembered: whoever sends another's facts, and so gets them back as its own, knows their letters as they are. One that a
        newer release wrote comes as `newer`.
        """
        # Closed below, or the store reads the whole collection instead of the partial index.
        query = self.collection.find({"unsent": {"$gt": _BEGINNING, "$lt": before}}).sort([("unsent", 1)])
        documents = await self._read(query.skip(skip).limit(limit), limit)
        found = [self._stored_or_newer(document) for document in documents]
        for stored in found:
            self._remember(stored)
        return found

    async def outbox_depth(self) -> tuple[int, float]:
        """Return how many letters wait to be sent and the age of the oldest in seconds (0 if none)."""
        depth = await self.count({"unsent": {"$exists": True}})
        if not depth:
            return 0, 0.0
        with translated():
            oldest = await self.collection.find_one({"unsent": {"$exists": True}}, {"unsent": 1}, sort=[("unsent", 1)])
        return depth, (_wall() - oldest["unsent"]).total_seconds() if oldest else 0.0
