"""Contact data of citizens, and the index by which likely earlier letters are found (R3.0 (4))."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cachetools import TTLCache

from services.intake.domain import Letter
from services.intake.likeness import marks
from services.intake.repository import BEGINNING, SERVICE, position
from shared.contracts.types import Contact
from shared.storage import Aggregates, DeleteOne, Index, Store, UpdateOne, insert_missing, translated

KEPT = 2_000
KEPT_SECONDS = 3_600
"""Contact data kept in memory, of letters lately received or looked at; where another replica erased it, no longer than this."""
AT_ONCE = 100
BREATH = 10
"""Letters marked between two looks at other work: a mark takes a third of a millisecond of the processor."""
NOT_YET = timedelta(seconds=2)
"""How long a letter that is not stored yet is left alone: its contact data is written a moment before it."""


@dataclass(slots=True)
class Contacts:
    """Names and addresses of citizens. Never in `letters`, never in logs; only here and on `mailbox.<code>`.

    A document holds the contact data of one letter and, once it is marked, the letter's `marks` in the index of likeness.
    """

    store: Store
    _known: TTLCache[str, Contact] = field(default_factory=lambda: TTLCache(maxsize=KEPT, ttl=KEPT_SECONDS))
    """Contact data never changes, so what was written or read need not be read again."""

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(SERVICE, "contacts")

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(self.collection, [Index([("new", 1)], only_where={"new": {"$exists": True}})])

    async def keep(self, contacts: Mapping[str, Contact]) -> None:
        """Store contact data by letter id; what is there already stays."""
        new = datetime.now(UTC)
        documents = [{"_id": i, "contact": c.model_dump(), "new": new} for i, c in contacts.items()]
        taken = await insert_missing(self.collection, documents)
        self._known.update({i: c for position, (i, c) in enumerate(contacts.items()) if position not in taken})

    async def get_many(self, letter_ids: Iterable[str]) -> dict[str, Contact]:
        """Return the contact data of those letters that have any."""
        wanted = set(letter_ids)
        found = {letter_id: contact for letter_id in wanted if (contact := self._known.get(letter_id)) is not None}
        missing = list(wanted - found.keys())
        if missing:
            with translated():
                cursor = self.collection.find({"_id": {"$in": missing}})
                read = {d["_id"]: Contact.model_validate(d["contact"]) async for d in cursor}
            self._known.update(read)
            found |= read
        return found

    async def unmarked(self, limit: int) -> dict[str, Contact]:
        """Return contact data of letters that have no marks yet, the oldest first."""
        with translated():
            waiting = {"$gt": BEGINNING, "$lt": datetime.now(UTC)}  # closed below, or the partial index is not used
            cursor = self.collection.find({"new": waiting}).sort([("new", 1)]).limit(limit)
            return {d["_id"]: Contact.model_validate(d["contact"]) async for d in cursor}

    async def marked(self, found: Mapping[str, Sequence[str]]) -> None:
        """Note that letters have these marks."""
        await self._update({i: {"$set": {"marks": list(own)}, "$unset": {"new": ""}} for i, own in found.items()})

    async def postpone(self, letter_ids: Iterable[str]) -> None:
        """Leave letters alone for a while: they are not stored yet."""
        later = datetime.now(UTC) + NOT_YET
        await self._update({letter_id: {"$set": {"new": later}} for letter_id in letter_ids})

    async def _update(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        writes = [UpdateOne({"_id": letter_id}, dict(change)) for letter_id, change in sorted(changes.items())]
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def marks_of(self, letter_ids: Iterable[str]) -> dict[str, list[str]]:
        """Return the marks of those letters that have any."""
        with translated():
            cursor = self.collection.find({"_id": {"$in": list(letter_ids)}}, {"marks": 1})
            return {d["_id"]: d["marks"] async for d in cursor if d.get("marks")}

    async def forget(self, letter_ids: Sequence[str]) -> None:
        """Erase the contact data of letters (R3.7)."""
        for letter_id in letter_ids:
            self._known.pop(letter_id, None)
        with translated():
            await self.collection.delete_many({"_id": {"$in": list(letter_ids)}})


@dataclass(slots=True)
class Likeness:
    """The index of likeness: one document `<mark>|<position>` for each mark of each letter, and nothing else in it.

    Letters are marked after they are stored, some at a time, so that a rush is not slowed by it.
    """

    store: Store
    letters: Aggregates[Letter]
    contacts: Contacts
    secret: bytes

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(SERVICE, "likeness")

    async def newest(self, mark: str, before: str, limit: int) -> list[str]:
        """Return the ids of letters with a mark that stand before a position, the newest first."""
        with translated():
            cursor = self.collection.find({"_id": {"$gt": f"{mark}|", "$lt": f"{mark}|{before}"}})
            documents = await cursor.sort([("_id", -1)]).limit(limit).to_list(limit)
        return [document["_id"].rpartition("|")[2] for document in documents]

    async def mark_new(self) -> None:
        """Mark letters that came since the last time."""
        waiting = await self.contacts.unmarked(AT_ONCE)
        if not waiting:
            return
        entries: list[dict[str, Any]] = []
        found: dict[str, list[str]] = {}
        erased: list[str] = []
        for number, (letter_id, stored) in enumerate((await self.letters.get_many(waiting)).items()):
            letter = stored.state
            if letter is None:
                continue
            if not letter.has_contact:  # its submission came again after it was erased
                erased.append(letter_id)
                continue
            own = marks(self.secret, letter.subject, letter.body, waiting[letter_id])
            found[letter_id] = [f"{mark}|{position(letter)}" for mark in own]
            entries += [{"_id": entry} for entry in found[letter_id]]
            if number % BREATH == 0:
                await asyncio.sleep(0)
        await insert_missing(self.collection, entries)
        await self.contacts.marked(found)
        await self.contacts.forget(erased)
        await self.contacts.postpone(waiting.keys() - found.keys() - set(erased))

    async def forget(self, letter_ids: Sequence[str]) -> None:
        """Erase the marks of letters, then their contact data, which names the marks (R3.7)."""
        entries = sorted(e for own in (await self.contacts.marks_of(letter_ids)).values() for e in own)
        if entries:
            with translated():
                await self.collection.bulk_write([DeleteOne({"_id": entry}) for entry in entries], ordered=False)
        await self.contacts.forget(letter_ids)
