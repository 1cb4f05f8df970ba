"""Where reporting keeps its rows, one document per letter, and its cells, one per mailbox and day.

A cell document also says whether it is *dirty*, that is, whether rows may have changed since it was counted. Each mark has a new stamp; a
recount reads the stamp before the rows and takes the mark off only if the stamp is still the same. A recount of which another one was
faster is thrown away, so an older count never replaces a newer one.

What is made of cells hears of a recount in this order: `Hears.will_change` before a cell is written with another content, `Hears.recounted`
after it is written and before its mark is taken off. So a crash at any instant leaves the cell dirty, and both happen again.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from secrets import token_hex
from typing import Any, Protocol

from cachetools import LRUCache

from services.reporting.domain import Row, apart
from services.reporting.figures import BY_CODE, TAKEN, Counts, Side, Tally, cells_of, tallies
from services.reporting.periods import Period
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.reports import Units, is_about_somebody
from shared.storage import Aggregates, Index, Store, UpdateOne, translated

NAME = "reporting"
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_WAITS = {"$gt": _BEGINNING}
"""What the mark of a dirty cell is: closed below, so that the store reads the partial index in its order."""
ROWS_AT_ONCE = 500
REMEMBER_FROM = 500
"""Tallies of the cells recounted together from which on rows are remembered."""
REMEMBERED = 10_000
"""Rows whose tallies are remembered: some 2 kB each."""
OPEN_BELOW = "~"
"""Sorts behind every moment in `open`."""


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
        fields=lambda row: {
            "cells": sorted({*cells_of(row), *cells_of(apart(row, units))}) or None,
            "open": open_key(row),
        },
        indexes=[Index([("cells", 1)]), Index([("open", 1)], only_where={"open": {"$exists": True}})],
    )


def open_key(row: Row) -> str | None:
    """Return `<mailbox>|<moment of registration>|<number>` of a letter whose citizen waits for an answer: the longest wait comes first.

    Reports about somebody are left out: a list of them would tell those whom they are about (R3.3).
    """
    since = row.open_since
    if since is None or not row.mailbox or is_about_somebody(row):
        return None
    return f"{row.mailbox}|{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}|{row.number}"


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


class Hears(Protocol):
    """What is made of cells."""

    async def will_change(self, keys: Sequence[str]) -> None:
        """Cells are about to be written with another content than they have."""

    async def recounted(self, keys: Sequence[str]) -> None:
        """Cells were written; their marks are still on."""


@dataclass(slots=True)
class Cells:
    """The cells of all mailboxes and days."""

    store: Store
    units: Units
    """The directory: it says in whose figures a report counts."""
    calendar: WorkingCalendar = field(default_factory=WorkingCalendar)
    """It says how many working days a time took; cells hold only when it began, so a schedule that arrives later counts."""
    hear: list[Hears] = field(default_factory=list)
    _remembered: "LRUCache[tuple[str, int, int], tuple[Tally, ...]]" = field(
        default_factory=lambda: LRUCache(maxsize=REMEMBERED)
    )

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
            earlier = self.collection.find({"_id": {"$in": list(counts)}}, {"counts": 1})
            before = {document["_id"]: document.get("counts", {}) async for document in earlier}
        async for row_tallies in self._tallies(cells, rows):
            for tally in row_tallies:
                counted = counts.get(tally.cell)
                if counted is not None:
                    counted[tally[1:]] += 1
        numbers = {key: counted.total() for key, counted in counts.items()}
        made = token_hex(8)
        stored = {key: dump_counts(counted) for key, counted in counts.items()}
        keys = sorted(stored)  # in the order of `mark`
        changed = [key for key in keys if stored[key] != before.get(key, {})]
        for listener in self.hear if changed else ():
            await listener.will_change(changed)
        by_key = {cell.key: cell for cell in cells}
        writes: list[Any] = []
        clears: list[Any] = []
        for key in keys:
            cell = by_key[key]
            content = {"counts": stored[key], "tallies": numbers[key], "made": made}
            writes.append(UpdateOne({"_id": key, "made": cell.made}, {"$set": content}))
            mine = {"_id": key, "made": made}
            clears.append(UpdateOne({**mine, "stamp": cell.stamp}, {"$unset": {"dirty": ""}}))
            # What was marked before the rows were read is counted: from now on the cell has waited only since then.
            clears.append(UpdateOne({**mine, "stamp": {"$ne": cell.stamp}}, {"$set": {"dirty": began}}))
        with translated():
            await self.collection.bulk_write(writes, ordered=False)
        for listener in self.hear:
            await listener.recounted(keys)
        with translated():
            await self.collection.bulk_write(clears, ordered=False)
        return numbers

    async def _tallies(self, cells: Sequence[Dirty], rows: Aggregates[Row]) -> AsyncIterator[Sequence[Tally]]:
        """Go through the rows that list any of these cells: where each counts, and as what.

        A large cell that was counted before is most likely counted again soon, and most of its rows have not moved since: of those that
        have the version they had then, only id and version are read.
        """
        wanted = {"cells": {"$in": [cell.key for cell in cells]}}
        if sum(cell.tallies for cell in cells) < REMEMBER_FROM:
            async for document in _each(rows.collection.find(wanted, {"_id": 0, "state": 1})):
                yield tallies(apart(rows.load(document["state"]), self.units))
            return
        directory = getattr(self.units, "version", 0)  # it says in whose figures a report counts
        moved: list[str] = []
        async for document in _each(rows.collection.find(wanted, {"version": 1})):
            known = self._remembered.get((document["_id"], document["version"], directory))
            if known is not None:
                yield known
                continue
            moved.append(document["_id"])
            if len(moved) == ROWS_AT_ONCE:  # a cell may have any number of rows: no more are held at a time
                async for found in self._read_anew(moved, rows, directory):
                    yield found
                moved.clear()
        async for found in self._read_anew(moved, rows, directory):
            yield found

    async def _read_anew(
        self, ids: Sequence[str], rows: Aggregates[Row], directory: int
    ) -> AsyncIterator[Sequence[Tally]]:
        """Read rows, and remember where they count and as what."""
        if not ids:
            return
        query = {"_id": {"$in": list(ids)}}
        async for document in _each(rows.collection.find(query, {"version": 1, "state": 1})):
            found = tuple(tallies(apart(rows.load(document["state"]), self.units)))
            self._remembered[document["_id"], document["version"], directory] = found
            yield found

    async def sum(self, mailbox: str | None, period: Period) -> Counts:
        """Add up the cells of a mailbox (none: of all) in a period, day by day; see `Totals.sum` for long ones."""
        counts: Counts = Counter()
        async for day, stored in self.read(mailbox, period, {"counts": 1}):
            self.add(stored, day, counts)
        return counts

    async def read(
        self, mailbox: str | None, period: Period, fields: Mapping[str, int]
    ) -> AsyncIterator[tuple[date, Mapping[str, Any]]]:
        """Go through the cells of a mailbox (none: of all) in a period: (day, what is stored of `fields`)."""
        days = {"$gte": period.first_day.isoformat(), "$lt": period.end_day.isoformat()}
        with translated():
            cursor = self.collection.find(_of(mailbox, days), {**fields, "day": 1})
            async for document in cursor.batch_size(ROWS_AT_ONCE):
                yield date.fromisoformat(document["day"]), document.get("counts", {})

    def add(self, stored: Mapping[str, Any], day: date, into: Counts) -> None:
        """Add the stored content of one cell; of a time taken, the key becomes the working days up to the cell's day."""
        for side, figures in stored.items():
            for figure, pairs in figures.items():
                what = BY_CODE[figure]
                for key, number in pairs:
                    into[Side(side), what, self._taken(key, day) if what in TAKEN else key] += number

    def _taken(self, began: str, day: date) -> str:
        return str(max(0, self.calendar.working_days_between(date.fromisoformat(began), day)))

    async def fresh(self, mailbox: str | None, end_day: date) -> bool:
        """Whether no cell before a day waits to be recounted. Ask before you read them."""
        with translated():
            waits = await self.collection.find_one(
                {"dirty": _WAITS, **_of(mailbox, {"$lt": end_day.isoformat()})}, {"_id": 1}
            )
        return waits is None

    async def first_day(self, mailbox: str | None) -> date | None:
        """Return the first day on which a mailbox (none: any) has a figure."""
        query = {**_of(mailbox, {"$gt": "", "$lt": "9"}), "tallies": {"$gt": 0}}
        with translated():
            cursor = self.collection.find(query, {"day": 1}).sort([("day", 1)]).limit(1)
            found = await cursor.to_list(1)
        return date.fromisoformat(found[0]["day"]) if found else None

    async def by_day(self, mailbox: str, since: date) -> dict[date, Counts]:
        """Return the counts of each day since `since` on which a mailbox has any."""
        found: dict[date, Counts] = {}
        with translated():
            async for document in self.collection.find(
                _of(mailbox, {"$gte": since.isoformat()}),
                {"day": 1, "counts.letters.received": 1, "counts.assigned.assigned": 1, "tallies": 1},
            ):
                if document.get("tallies"):
                    day = date.fromisoformat(document["day"])
                    self.add(document["counts"], day, found.setdefault(day, Counter()))
        return found

    async def waiting(self) -> tuple[int, float]:
        """Return how many cells wait to be recounted, and how long the oldest has waited, in seconds."""
        with translated():
            number = await self.collection.count_documents({"dirty": _WAITS})
            oldest = await self.collection.find_one({"dirty": _WAITS}, {"dirty": 1}, sort=[("dirty", 1)])
        return number, (datetime.now(UTC) - oldest["dirty"]).total_seconds() if oldest else 0.0


async def _each(cursor: Any) -> AsyncIterator[dict[str, Any]]:
    """Go through a cursor by portions: document by document costs more than the documents."""
    cursor = cursor.batch_size(ROWS_AT_ONCE)
    with translated():
        while documents := await cursor.to_list(ROWS_AT_ONCE):
            for document in documents:
                yield document


def _of(mailbox: str | None, days: Mapping[str, str]) -> dict[str, Any]:
    query: dict[str, Any] = {"day": dict(days)}
    if mailbox is not None:
        query["mailbox"] = mailbox
    return query


def dump_counts(counts: Counts) -> dict[str, dict[str, list[list[Any]]]]:
    """Return counts as stored: side → figure → pairs of key and number; keys are values, since codes may be anything."""
    stored: dict[str, dict[str, list[list[Any]]]] = {}
    for (side, figure, key), number in sorted(counts.items()):
        stored.setdefault(side.value, {}).setdefault(figure.value, []).append([key, number])
    return stored
