"""The history of each letter (R10.1): every fact of every service, in the order of the topic `letters`, as a chain of hashes.

A projection of the topic alone, kept by a subscriber of its own, so that it never holds handling up. `history` has one document per entry,
its `_id` = letter id/n; `heads` has one per letter: where its chain ends. What an entry is follows from the records before it and nothing
else, so writing it again, by whomever, changes nothing: entries are inserted where they are missing, then ends are moved, only forwards.
After a crash between the two, the batch comes again and does the rest.

A discarded letter's text is erased one day (R3.7): no entry holds text of the letter; `chain.py` says why its chain stays whole.
"""

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from services.routing import chain
from services.routing.chain import Entry, Fact, Head, Kept, Place
from services.routing.repository import SERVICE
from services.routing.steps import Category, Record, record_of, types_in
from shared.messaging.broker import Record as KafkaRecord
from shared.messaging.parking import read
from shared.messaging.patience import patiently
from shared.messaging.salvage import salvage
from shared.observability import metrics
from shared.storage import Store, StoreUnavailable, UpdateOne, find_many, insert_missing, translated

log = logging.getLogger(__name__)

HISTORY: Final = "history"
HEADS: Final = "heads"
PART: Final = "history"
"""What its consumer group is called besides the service."""
PACE_SECONDS: Final = 0.5
"""Nobody waits for a history, and larger batches cost far less per fact."""
LABEL: Final = "letters (history)"
"""How metrics call the topic as this subscriber reads it: routing follows it a second time."""
_FACT: Final = ("id", "type", "source", "seq", "at", "sha256")


@dataclass(frozen=True, slots=True)
class Told:
    """An entry and what it tells in words."""

    entry: Entry
    record: Record


@dataclass
class History:
    """The histories of all letters."""

    store: Store
    namespace: str = ""

    @property
    def entries(self) -> Any:
        """The driver's collection of entries."""
        return self.store.collection(SERVICE, HISTORY)

    @property
    def heads(self) -> Any:
        """The driver's collection of ends."""
        return self.store.collection(SERVICE, HEADS)

    # ── facts in ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def handle(self, records: Sequence[KafkaRecord]) -> None:
        """Take a batch of the topic `letters`: the handler of the subscriber. One read and one write of many entries and of many ends.

        Raises:
            StoreUnavailable: after a minute of retries; Kafka brings the batch again.
        """
        if not records:
            return
        started = perf_counter()
        found = [record_of(read(record, self.namespace)) for record in records]
        facts = [one for one in found if one is not None]
        written = 0

        async def record(some: Sequence[Record]) -> None:
            nonlocal written
            written += await self._record(some)

        async for attempt in patiently():
            with attempt:
                written = 0
                await salvage(facts, record, _leave)
        metrics.message_handling_seconds.labels(SERVICE, LABEL).observe(perf_counter() - started)
        metrics.message_batch_size.labels(SERVICE, LABEL).observe(len(records))
        # What is no fact on any letter is parked by the services' own subscribers; here it only counts as skipped.
        for outcome, number in (("handled", written), ("duplicate", len(records) - written)):
            metrics.messages_total.labels(SERVICE, LABEL, outcome).inc(number)

    async def _record(self, facts: Sequence[Record]) -> int:
        heads = await self._heads({record.fact.letter_id for record in facts})
        before = {letter_id: head.n for letter_id, head in heads.items()}
        documents = []
        for record in facts:
            entry = heads[record.fact.letter_id].extend(record.fact)
            if entry is not None:
                documents.append(_document(Told(entry, record)))
        taken = await insert_missing(self.entries, documents)
        await self._look_again([documents[position] for position in taken], before)
        await self._move({i: head for i, head in heads.items() if head.n > before[i]}, before)
        return len(documents)

    async def _look_again(self, taken: Sequence[Mapping[str, Any]], before: Mapping[str, int]) -> None:
        """See that what stands where entries were to be written are these very entries.

        Where another one stands, and the letter's end is further than it was read, the store had not shown that end: DocumentDB loses
        sight of a collection that was just made while others are thrown away. The fact would be passed over.

        Raises:
            StoreUnavailable: so it was; the end is read again.
        """
        there = await find_many(self.entries, [document["_id"] for document in taken], {"hash": 1})
        others = {d["letter"] for d in taken if d["_id"] in there and there[d["_id"]]["hash"] != d["hash"]}
        if any(head.n > before[letter_id] for letter_id, head in (await self._heads(others)).items()):
            raise StoreUnavailable("the document store showed an old end of a letter's history")

    async def _heads(self, letter_ids: Iterable[str]) -> dict[str, Head]:
        ids = list(letter_ids)
        there = await find_many(self.heads, ids)
        return {i: _head(there[i]) if i in there else Head() for i in ids}

    async def _move(self, moved: Mapping[str, Head], before: Mapping[str, int]) -> None:
        """Note the new ends. An end never moves back: another replica may have come further with the same records."""
        fresh = [{"_id": letter_id, **_end(head)} for letter_id, head in moved.items() if not before[letter_id]]
        taken = {fresh[position]["_id"] for position in await insert_missing(self.heads, fresh)}
        writes = [
            UpdateOne({"_id": letter_id, "n": {"$lt": head.n}}, {"$set": _end(head)})
            for letter_id, head in sorted(
                moved.items()
            )  # in one order for everybody, so that replicas never wait for each other
            if before[letter_id] or letter_id in taken
        ]
        if writes:
            with translated():
                await self.heads.bulk_write(writes, ordered=False)

    # ── histories out ────────────────────────────────────────────────────────────────────────────────────────────────

    async def page(self, letter_id: str, after: int, limit: int, category: Category | None = None) -> list[Told]:
        """Return the first `limit` entries of a letter behind number `after`, of one category where one is given."""
        query: dict[str, Any] = {"_id": {"$gt": _key(letter_id, after), "$lt": letter_id + "/~"}, "letter": letter_id}
        if category is not None:
            names, exactly = types_in(category)
            query["kind"] = {"$in" if exactly else "$nin": sorted(names)}
        with translated():
            cursor = self.entries.find(query).sort([("_id", 1)]).limit(limit)
            return [_told(document) for document in await cursor.to_list(limit)]

    async def kept(self, letter_ids: Sequence[str]) -> dict[str, Kept]:
        """Return whole histories, for a check; each letter asked for is in the answer."""
        ends = await self._ends(
            letter_ids
        )  # first: entries that are written meanwhile may stand beyond the end, but none is missing
        found: dict[str, Kept] = {}
        with translated():
            for letter_id in letter_ids:
                whole = {"$gt": letter_id + "/", "$lt": letter_id + "/~"}
                cursor = self.entries.find({"_id": whole, "letter": letter_id}).sort([("_id", 1)])
                found[letter_id] = Kept([_told(document).entry async for document in cursor], ends[letter_id])
        return found

    async def _ends(self, letter_ids: Sequence[str]) -> dict[str, tuple[int, str] | None]:
        ends: dict[str, tuple[int, str] | None] = dict.fromkeys(letter_ids)
        with translated():
            async for document in self.heads.find({"_id": {"$in": list(letter_ids)}}):
                ends[document["_id"]] = (document["n"], document["hash"])
        return ends

    async def everything(self, batch: int = 2_000) -> AsyncIterator[dict[str, Kept]]:
        """Go through the histories of all letters in the order of their ids, some letters at a time, each of them whole."""
        after = ""
        left: dict[str, list[Entry]] = {}
        while True:
            with translated():
                cursor = self.entries.find({"_id": {"$gt": after, "$lt": "~~"}}).sort([("_id", 1)]).limit(batch)
                documents = await cursor.to_list(batch)
            letters = left
            for document in documents:
                letters.setdefault(document["letter"], []).append(_told(document).entry)
            last = documents[-1]["letter"] if len(documents) == batch else None
            left = {} if last is None else {last: letters.pop(last)}
            ends = await self._ends(list(letters))
            yield {letter_id: Kept(entries, ends[letter_id]) for letter_id, entries in letters.items()}
            if last is None:
                return
            after = documents[-1]["_id"]


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _leave(record: Record, _error: Exception) -> None:
    """What cannot be written down is missing in the history, and `deploy.history verify` says so; all other letters' histories go on."""
    log.error("a fact is missing in its letter's history", extra={"letter_id": record.fact.letter_id})


def _key(letter_id: str, n: int) -> str:
    return f"{letter_id}/{n:08d}"


def _document(told: Told) -> dict[str, Any]:
    entry, record = told.entry, told.record
    fact = entry.fact
    document: dict[str, Any] = {
        "_id": _key(fact.letter_id, entry.n),
        "letter": fact.letter_id,
        "n": entry.n,
        "previous": entry.previous,
        "hash": entry.hash,
        **{name: getattr(fact, name) for name in _FACT},
        "kind": fact.type.removeprefix("xinxiang.").rpartition(".v")[0],
        "place": list(fact.place),
    }
    more = {
        "replay_of": fact.replay_of,
        "dropped": fact.dropped,
        "by": record.by,
        "why": record.why,
        "details": record.details,
        "unreadable": not record.readable,
    }
    return document | {name: value for name, value in more.items() if value}


def _told(document: Mapping[str, Any]) -> Told:
    """Read a document as it is, also one that somebody spoilt: a check must be able to say what is wrong with it."""
    by, why, details = document.get("by"), document.get("why", ""), document.get("details")
    fact = Fact(
        letter_id=document["letter"],
        place=_place(document),
        **{name: document.get(name, 0 if name == "seq" else "") for name in _FACT},
        replay_of=document.get("replay_of", ""),
        dropped=document.get("dropped", False),
        said=(chain.digest(by), chain.digest(why), chain.digest(details)),
    )
    entry = Entry(fact, document.get("n", 0), document.get("previous", ""), document.get("hash", ""))
    return Told(entry, Record(fact, by, why, details, not document.get("unreadable", False)))


def _place(document: Mapping[str, Any]) -> Place:
    partition, offset = document.get("place") or (-1, -1)
    return partition, offset


def _end(head: Head) -> dict[str, Any]:
    """Write an end; sources are values, for a name with a dot would be none of a field's."""
    assert head.place is not None
    sources = sorted(head.seen.keys() | head.ahead.keys())
    seen = [[source, head.seen.get(source, 0), sorted(head.ahead.get(source, ()))] for source in sources]
    return {"n": head.n, "hash": head.hash, "place": list(head.place), "seen": seen}


def _head(document: Mapping[str, Any]) -> Head:
    head = Head(document["n"], document["hash"], _place(document))
    for source, seen, ahead in document["seen"]:
        if seen:
            head.seen[source] = seen
        if ahead:
            head.ahead[source] = set(ahead)
    return head
