"""The entries of all letters: what the filtered, sorted and searched lists read.

`entries` holds one small document for each mailbox and letter (`placing.py` says what is in it), `texts` what it is found by (`texts.py`).
Both follow from the letters alone and are computed anew whenever one changed, never counted up. `listing.py` reads them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.routing import placing
from services.routing.access import Tree
from services.routing.models import State
from services.routing.placing import PathOf
from services.routing.repository import SERVICE
from services.routing.texts import Text, Texts
from shared.messaging.broker import Record
from shared.messaging.letters import Letters
from shared.messaging.parking import read
from shared.messaging.patience import patiently
from shared.messaging.salvage import salvage
from shared.storage import Aggregates, Index, Store, UpdateOne, find_many, insert_missing, translated

ENTRIES: Final = "entries"
BATCH: Final = 500
"""Letters whose entries are made together in a rebuild."""

FILTERS: Final = ("domain3", "unit", "domain2", "region", "domain1", "place", "nature")
"""Fields that a list is filtered by, the most selective first; each has an index in the order of receipt."""
SORTS: Final = ("received", "due", "number", "registered", "finished")
"""Sort keys, each unique by itself and with an index of its own."""
_PARTIAL: Final = frozenset({"domain2", "domain3", "registered", "finished"})
"""Fields that not every entry has."""


def keys(*fields: str) -> list[tuple[str, int]]:
    """Return the keys of the index of these fields within a mailbox."""
    return [("mailbox", 1), *((name, 1) for name in fields)]


def _index(*fields: str) -> Index:
    lacking = {name: {"$exists": True} for name in fields if name in _PARTIAL}
    return Index(keys(*fields), only_where=lacking or None)


@dataclass(slots=True)
class Entries:
    """Keeps the entries as the letters are."""

    store: Store
    letters: Aggregates[State]
    tree: Tree
    path_of: PathOf
    texts: Texts = field(init=False)

    def __post_init__(self) -> None:
        self.texts = Texts(self.store)

    @property
    def collection(self) -> Any:
        """The driver's collection of entries."""
        return self.store.collection(SERVICE, ENTRIES)

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        filters = (_index(name, "received") for name in FILTERS)
        await self.store.ensure(self.collection, [*filters, *(_index(name) for name in SORTS)])
        await self.texts.ensure()

    async def places(self, query: Mapping[str, Any], place: str, limit: int) -> list[tuple[str, str]]:
        """Return at most `limit` entries that match, in the order of the index field `place`: (letter id, place)."""
        with translated():
            cursor = self.collection.find(dict(query), {"letter": 1, place: 1}).sort([(place, 1)]).limit(limit)
            return [(document["letter"], document[place]) for document in await cursor.to_list(limit)]

    async def ids(self, query: Mapping[str, Any]) -> list[str]:
        """Return the ids of all letters that match; only for sets that are small whatever is stored."""
        return await self.letters.ids(query)

    async def refresh(self, letter_ids: Iterable[str]) -> int:
        """Write the entries of these letters as the letters are now; return how many entries that changed.

        Two of these may overlap: an entry that was made from a later version of its letter stays.

        Raises:
            StoreUnavailable: do it again.
        """
        wanted: dict[str, dict[str, Any]] = {}
        versions: dict[str, int] = {}
        texts: dict[str, Text | None] = {}
        as_of: dict[str, int] = {}
        # What is remembered is at least as new as the fact that brought the letter here: who applied it, or sent it for another, read or
        # wrote the letter. A newer fact brings it here again.
        found, _ = await self.letters.recall(letter_ids)
        for stored in found.values():
            state = stored.state
            if state is None or state.letter is None:
                continue
            made = placing.fields(state, self.tree, self.path_of)
            for mailbox, fields in made.items():
                key = entry_id(stored.id, mailbox)
                wanted[key], versions[key] = fields, stored.version
            # Without an entry nobody may find it; what was erased has no text any more (R3.7).
            readable = made[placing.CITY] and (state.letter.subject or state.letter.body)
            texts[stored.id] = (state.letter.subject, state.letter.body) if readable else None
            as_of[stored.id] = stored.version
        changed = await self._write(wanted, versions)
        await self.texts.write(texts, as_of)
        return changed

    async def _write(self, wanted: dict[str, dict[str, Any]], versions: dict[str, int]) -> int:
        known = await find_many(self.collection, wanted)
        new = [{"_id": key, "as_of": versions[key], **wanted[key]} for key in wanted if key not in known]
        taken = {new[position]["_id"] for position in await insert_missing(self.collection, new)}
        writes = []
        for key in sorted(wanted):  # in one order for everybody, so that two batches never wait for each other
            fields, before = wanted[key], known.get(key, {})
            same = {name: value for name, value in before.items() if name not in {"_id", "as_of"}} == fields
            if key in taken or (before and not same):
                # A field of no use any more goes; where somebody else was faster, it is not known which ones there are.
                gone = {name: "" for name in (before or dict.fromkeys(_EVERY)) if name not in {"_id", "as_of", *fields}}
                change = {"$set": {"as_of": versions[key], **fields}, **({"$unset": gone} if gone else {})}
                writes.append(UpdateOne({"_id": key, "as_of": {"$lte": versions[key]}}, change))
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)
        return len(new) - len(taken) + len(writes)

    async def rebuild(self) -> None:
        """Make the entries of all letters."""
        after = ""
        while True:
            with translated():
                cursor = self.letters.collection.find({"_id": {"$gt": after}}, {"_id": 1}).sort([("_id", 1)])
                ids = [document["_id"] for document in await cursor.limit(BATCH).to_list(BATCH)]
            if not ids:
                return
            after = ids[-1]
            await self.refresh(ids)


_EVERY: Final = ("mailbox", "letter", "desk", "overdue", "reported", *FILTERS, *SORTS)


def entry_id(letter_id: str, mailbox: str) -> str:
    """Return the key of a letter's entry for a mailbox."""
    return f"{letter_id}|{mailbox}"


@dataclass(slots=True)
class Following:
    """Takes facts: first the letters, then their entries, then the batch is committed.

    So a crash at any instant brings the batch again, and the entries of all its letters are made anew, whatever was new in it. What
    a command decided comes round on the topic and is taken in the same way.
    """

    letters: Letters[State]
    entries: Entries
    namespace: str = ""

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a batch of the topic `letters`; see `Letters.handle`.

        Raises:
            StoreUnavailable: after a minute of retries; Kafka brings the batch again.
        """
        await self.letters.handle(records)
        await self.renew(list(dict.fromkeys(read(record, self.namespace).letter_id for record in records)))

    async def renew(self, letter_ids: Sequence[str]) -> None:
        """Make the entries of these letters anew."""
        async for attempt in patiently():
            with attempt:
                await salvage([one for one in letter_ids if one], self.entries.refresh, _leave)


async def _leave(_letter_id: str, _error: Exception) -> None:
    """A letter whose entries cannot be made keeps those it has; its handling goes on."""
