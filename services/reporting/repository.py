"""Where reporting keeps its rows, one document per letter, and its cells, one per mailbox and day.

A cell document also says whether it is *dirty*, that is, whether rows may have changed since it was counted. Each mark has a new stamp; a
recount reads the stamp before the rows and takes the mark off only if the stamp is still the same. A recount of which another one was
faster is thrown away, so an older count never replaces a newer one.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from secrets import token_hex
from typing import Any

from services.reporting.domain import Row, apart
from services.reporting.figures import BY_CODE, Counts, Figure, Side, cells_of, count
from services.reporting.periods import Period
from shared.contracts.reports import Units
from shared.storage import Aggregates, Index, Store, UpdateOne, translated

NAME = "reporting"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_WAITS = {"$gt": _BEGINNING}
"""What the mark of a dirty cell is: closed below, so that the store reads the partial index in its order."""
ROWS_AT_ONCE = 500
_STOCK = (Figure.BECAME_OVERDUE, Figure.ANSWERED_LATE)
"""The two figures whose sum from the beginning gives the stock of overdue assignments."""


def dump(row: Row) -> dict[str, Any]:
    """Return a row as it is stored: only what is known of it."""
    return row.model_dump(mode="json", exclude_defaults=True)


def make_rows(store: Store, units: Units) -> Aggregates[Row]:
    """Return the collection of rows, found by their cells."""
    return Aggregates(
        store=store,
        service=NAME,
        name="rows",
        dump=dump,
        load=Row.model_validate,
        fields=lambda row: {"cells": sorted({*cells_of(row), *cells_of(apart(row, units))}) or None},
        indexes=[Index([("cells", 1)])],
    )


@dataclass(frozen=True, slots=True)
class Dirty:
    """A cell that waits to be recounted."""

    key: str
    tallies: int
    """How much was counted in it last time: about what a recount will cost."""
    stamp: str
    """Of the last mark."""
    made: str | None
    """Of the last count."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Cells added up."""

    counts: Counts
    fresh: bool
    """Whether none of the cells waits to be recounted."""


@dataclass(slots=True)
class Cells:
    """The cells of all mailboxes and days."""

    store: Store
    units: Units
    """The directory: it says in whose figures a report counts."""

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(NAME, "cells")

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.store.ensure(
            self.collection,
            [
                Index([("mailbox", 1), ("day", 1)]),
                Index([("day", 1)]),
                Index([("dirty", 1)], only_where={"dirty": {"$exists": True}}),
            ],
        )

    async def mark(self, keys: Iterable[str]) -> None:
        """Have cells recounted. The rows must have been written before."""
        now, stamp = datetime.now(UTC), token_hex(8)
        writes = []
        for key in sorted(set(keys)):  # in one order for everybody, so that two replicas never wait for each other
            mailbox, _, day = key.rpartition("|")
            change = {
                "$set": {"stamp": stamp},
                "$setOnInsert": {"mailbox": mailbox, "day": day},
                "$min": {"dirty": now},
            }
            writes.append(UpdateOne({"_id": key}, change, upsert=True))
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def dirty(self, limit: int, without: Sequence[str] = ()) -> list[Dirty]:
        """Return the cells that wait longest, but for some."""
        query: dict[str, Any] = {"dirty": _WAITS}
        if without:
            query["_id"] = {"$nin": list(without)}
        return await self._read(query, limit)

    async def still_dirty(self, keys: Sequence[str]) -> list[Dirty]:
        """Return those of the cells that still wait, as they are now."""
        return await self._read({"_id": {"$in": list(keys)}, "dirty": _WAITS}, len(keys))

    async def _read(self, query: Mapping[str, Any], limit: int) -> list[Dirty]:
        fields = {"tallies": 1, "stamp": 1, "made": 1}
        with translated():
            cursor = self.collection.find(dict(query), fields).sort([("dirty", 1)]).limit(limit)
            return [Dirty(d["_id"], d.get("tallies", 0), d["stamp"], d.get("made")) async for d in cursor]

    async def recount(self, cells: Sequence[Dirty], rows: Aggregates[Row]) -> dict[str, int]:
        """Count cells anew from their rows and write them; return how much was counted in each."""
        began = datetime.now(UTC)
        counts: dict[str, Counts] = {cell.key: Counter() for cell in cells}
        with translated():
            found = rows.collection.find({"cells": {"$in": list(counts)}}, {"_id": 0, "state": 1})
            async for document in found.batch_size(ROWS_AT_ONCE):
                count([apart(rows.load(document["state"]), self.units)], counts)
        tallies = {key: counted.total() for key, counted in counts.items()}
        made = token_hex(8)
        writes: list[Any] = []
        clears: list[Any] = []
        for cell in sorted(cells, key=lambda cell: cell.key):  # in the order of `mark`
            stored = {"counts": _dump(counts[cell.key]), "tallies": tallies[cell.key], "made": made}
            writes.append(UpdateOne({"_id": cell.key, "made": cell.made}, {"$set": stored}))
            mine = {"_id": cell.key, "made": made}
            clears.append(UpdateOne({**mine, "stamp": cell.stamp}, {"$unset": {"dirty": ""}}))
            # What was marked before the rows were read is counted: from now on the cell has waited only since then.
            clears.append(UpdateOne({**mine, "stamp": {"$ne": cell.stamp}}, {"$set": {"dirty": began}}))
        with translated():
            await self.collection.bulk_write(writes, ordered=False)
            await self.collection.bulk_write(clears, ordered=False)
        return tallies

    async def sum(self, mailbox: str | None, period: Period) -> Sum:
        """Add up the cells of a mailbox (none: of all) in a period."""
        first, end = period.first_day.isoformat(), period.end_day.isoformat()
        return await self._sum(_of(mailbox, {"$gte": first, "$lt": end}), {"counts": 1, "dirty": 1})

    async def stock(self, mailbox: str | None, day: date) -> Sum:
        """Add up what makes the stock of overdue assignments at the beginning of a day: all days before it."""
        stored = {f"counts.{side}.{figure}": 1 for side in Side for figure in _STOCK}
        return await self._sum(_of(mailbox, {"$lt": day.isoformat()}), {**stored, "dirty": 1})

    async def _sum(self, query: Mapping[str, Any], fields: Mapping[str, int]) -> Sum:
        counts: Counts = Counter()
        fresh = True
        with translated():
            async for document in self.collection.find(dict(query), dict(fields)):
                fresh = fresh and "dirty" not in document
                _add(document.get("counts", {}), counts)
        return Sum(counts, fresh)

    async def by_day(self, mailbox: str, since: date) -> dict[date, Counts]:
        """Return the counts of each day since `since` on which a mailbox has any."""
        found: dict[date, Counts] = {}
        with translated():
            async for document in self.collection.find(
                _of(mailbox, {"$gte": since.isoformat()}),
                {"day": 1, "counts.letters.received": 1, "counts.assigned.assigned": 1, "tallies": 1},
            ):
                if document.get("tallies"):
                    _add(document["counts"], found.setdefault(date.fromisoformat(document["day"]), Counter()))
        return found

    async def waiting(self) -> tuple[int, float]:
        """Return how many cells wait to be recounted, and how long the oldest has waited, in seconds."""
        with translated():
            number = await self.collection.count_documents({"dirty": _WAITS})
            oldest = await self.collection.find_one({"dirty": _WAITS}, {"dirty": 1}, sort=[("dirty", 1)])
        return number, (datetime.now(UTC) - oldest["dirty"]).total_seconds() if oldest else 0.0


def _of(mailbox: str | None, days: Mapping[str, str]) -> dict[str, Any]:
    query: dict[str, Any] = {"day": dict(days)}
    if mailbox is not None:
        query["mailbox"] = mailbox
    return query


def _dump(counts: Counts) -> dict[str, dict[str, list[list[Any]]]]:
    """Return counts as stored: side → figure → pairs of key and number; keys are values, since codes may be anything."""
    stored: dict[str, dict[str, list[list[Any]]]] = {}
    for (side, figure, key), number in sorted(counts.items()):
        stored.setdefault(side.value, {}).setdefault(figure.value, []).append([key, number])
    return stored


def _add(stored: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]], into: Counts) -> None:
    for side, figures in stored.items():
        for figure, pairs in figures.items():
            for key, number in pairs:
                into[Side(side), BY_CODE[figure], key] += number
