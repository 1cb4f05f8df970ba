"""Where spot checks are kept (R11.1).

`spot_checks` has one document per sample; `spot_letters` one per letter of it, so that people who record about different letters never wait
for each other; `spot_results` one per closed check and unit, by which results are found and scored.

They do not follow from the topic `letters`: a rebuild leaves them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from services.reporting.domain import Row, apart
from services.reporting.figures import cell_key
from services.reporting.periods import Period
from services.reporting.repository import NAME, ROWS_AT_ONCE
from services.reporting.sampling import Member, members_of
from services.reporting.spot_checks import Check, Checked, Count
from shared.contracts.errors import Stale
from shared.contracts.reports import Units
from shared.storage import Aggregates, Index, Store, UpdateOne, translated

CELLS_AT_ONCE = 400
_ABOUT_SOMEBODY: Final = {
    "$or": [{"state.reported_mailbox": {"$exists": True}}, {"state.reported_people": {"$exists": True}}]
}
"""Rows of reports that name a mailbox or a person: few of all."""
_LAST = "~"
"""Comes after every position in a list."""


@dataclass(frozen=True, slots=True)
class Versioned:
    """A letter of a sample and the version of its document."""

    checked: Checked
    version: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a closed check found about a unit."""

    check_id: str
    unit: str
    position: str
    """In the list of the unit's results."""
    closed_at: datetime
    count: Count


@dataclass(slots=True)
class Spots:
    """The spot checks."""

    store: Store
    rows: Aggregates[Row]
    units: Units
    """The directory."""

    def _collection(self, name: str) -> Any:
        return self.store.collection(NAME, name)

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.store.ensure(self._collection("spot_checks"), [Index([("position", 1)])])
        results = [Index([("unit", 1), ("position", 1)]), Index([("closed_at", 1)])]
        await self.store.ensure(self._collection("spot_results"), results)

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def population(self, units: Sequence[str], period: Period) -> tuple[list[Member], dict[str, str]]:
        """Return the letters that came to the units in the period, and the numbers of those that have one: found by their cells."""
        cells = _cells(units, period)
        keys, members, numbers = list(cells), set[Member](), dict[str, str]()
        for first in range(0, len(keys), CELLS_AT_ONCE):
            async for letter_id, row in self.rows_of(keys[first : first + CELLS_AT_ONCE]):
                found = members_of(letter_id, apart(row, self.units), cells)
                members.update(found)
                if found and row.number:
                    numbers[letter_id] = row.number
        return sorted(members), numbers

    async def has_report(self, units: Sequence[str], period: Period, such: Callable[[Row], bool]) -> bool:
        """Whether such a report about somebody came to the units in the period, also where it counts above them by now."""
        cells = _cells(units, period)
        keys = list(cells)
        for first in range(0, len(keys), CELLS_AT_ONCE):
            async for letter_id, row in self.rows_of(keys[first : first + CELLS_AT_ONCE], _ABOUT_SOMEBODY):
                if such(row) and any(members_of(letter_id, one, cells) for one in (row, apart(row, self.units))):
                    return True
        return False

    async def rows_of(
        self, cells: Sequence[str], only: Mapping[str, Any] | None = None
    ) -> AsyncIterator[tuple[str, Row]]:
        """Go through the letters that list one of the cells, or `only` those of them that a query finds."""
        with translated():
            found = self.rows.collection.find({"cells": {"$in": list(cells)}, **(only or {})}, {"state": 1})
            async for document in found.batch_size(ROWS_AT_ONCE):
                yield document["_id"], self.rows.load(document["state"])

    async def letters_by_id(self, letter_ids: Iterable[str]) -> dict[str, Row]:
        """Return the rows of letters, as they are now."""
        found = await self.rows.get_many(letter_ids)
        return {one: stored.state for one, stored in found.items() if stored.state is not None}

    # ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def add(self, check: Check, letters: Sequence[Checked]) -> None:
        """Store a sample; it is there once its letters are."""
        made = [{"_id": _place(check.id, one.place), "version": 0, **_dump(one)} for one in letters]
        with translated():
            if made:
                await self._collection("spot_letters").insert_many(made)
            position = f"{check.drawn_at.astimezone(UTC).isoformat(timespec='milliseconds')}|{check.id}"
            await self._collection("spot_checks").insert_one({"_id": check.id, "position": position, **_dump(check)})

    async def page(self, before: str | None, limit: int) -> list[tuple[str, Check]]:
        """Return at most `limit` samples before a position, the newest first: (position, sample)."""
        query = {"position": {"$gte": "", "$lt": before or _LAST}}
        with translated():
            found = self._collection("spot_checks").find(query).sort([("position", -1)]).limit(limit)
            return [(document["position"], Check.model_validate(document)) async for document in found]

    async def get(self, check_id: str) -> Check | None:
        """Return a sample."""
        with translated():
            document = await self._collection("spot_checks").find_one({"_id": check_id})
        return None if document is None else Check.model_validate({**document, "id": check_id})

    async def get_many(self, check_ids: Sequence[str]) -> dict[str, Check]:
        """Return samples by their ids."""
        with translated():
            found = self._collection("spot_checks").find({"_id": {"$in": list(check_ids)}})
            return {document["_id"]: Check.model_validate(document) async for document in found}

    async def letters(self, check_id: str) -> list[Versioned]:
        """Return all letters of a sample, in order."""
        query = {"_id": {"$gte": f"{check_id}|", "$lt": f"{check_id}|{_LAST}"}}
        with translated():
            found = self._collection("spot_letters").find(query).sort([("_id", 1)])
            return [_versioned(document) async for document in found]

    async def letter(self, check_id: str, place: int) -> Versioned | None:
        """Return one letter of a sample."""
        with translated():
            document = await self._collection("spot_letters").find_one({"_id": _place(check_id, place)})
        return None if document is None else _versioned(document)

    async def change(self, check_id: str, before: Versioned, after: Checked) -> Versioned:
        """Write what changed, if nobody else did meanwhile.

        Raises:
            Stale: somebody did.
        """
        if after is before.checked:
            return before
        key = _place(check_id, before.checked.place)
        new = {**_dump(after), "version": before.version + 1}
        with translated():
            written = await self._collection("spot_letters").update_one(
                {"_id": key, "version": before.version, "closed": False}, {"$set": new}
            )
        if written.matched_count:
            return Versioned(after, before.version + 1)
        now = await self.letter(check_id, before.checked.place)
        raise Stale(now.version if now else 0)

    # ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def freeze(self, check_id: str) -> None:
        """Let nothing more be recorded about a sample's letters."""
        query = {"_id": {"$gte": f"{check_id}|", "$lt": f"{check_id}|{_LAST}"}, "closed": False}
        with translated():
            await self._collection("spot_letters").update_many(
                query, {"$set": {"closed": True}, "$inc": {"version": 1}}
            )

    async def close(self, check: Check, counts: Mapping[str, Count]) -> None:
        """Store what was found per unit, then that the check is closed; done again it is the same."""
        assert check.closed_at is not None
        position = f"{check.closed_at.astimezone(UTC).isoformat(timespec='milliseconds')}|{check.id}"
        writes = [
            UpdateOne(
                {"_id": f"{check.id}|{unit}"},
                {
                    "$set": {
                        "check": check.id,
                        "unit": unit,
                        "position": position,
                        "closed_at": check.closed_at,
                        "count": _dump(found),
                    }
                },
                upsert=True,
            )
            for unit, found in sorted(counts.items())
        ]
        with translated():
            if writes:
                await self._collection("spot_results").bulk_write(writes, ordered=False)
            await self._collection("spot_checks").update_one({"_id": check.id}, {"$set": _dump(check)})

    async def results(self, unit: str, before: str | None, limit: int) -> list[Result]:
        """Return at most `limit` results about a unit before a position, the newest first."""
        query = {"unit": unit, "position": {"$gte": "", "$lt": before or _LAST}}
        with translated():
            found = self._collection("spot_results").find(query).sort([("position", -1)]).limit(limit)
            return [_result(document) async for document in found]

    async def closed_in(self, period: Period) -> list[Result]:
        """Return all results of checks that were closed in a period."""
        query = {"closed_at": {"$gte": period.starts_at, "$lt": period.ends_at}}
        with translated():
            return [_result(document) async for document in self._collection("spot_results").find(query)]


def _cells(units: Sequence[str], period: Period) -> dict[str, str]:
    """Return the cells of units in a period: key → unit."""
    days = [period.first_day.fromordinal(n) for n in range(period.first_day.toordinal(), period.end_day.toordinal())]
    return {cell_key(unit, day): unit for unit in units for day in days}


def _dump(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(mode="json")
    return dumped


def _place(check_id: str, place: int) -> str:
    return f"{check_id}|{place:06}"


def _versioned(document: Mapping[str, Any]) -> Versioned:
    return Versioned(Checked.model_validate(document), document["version"])


def _result(document: Mapping[str, Any]) -> Result:
    counted = Count.model_validate(document["count"])
    return Result(document["check"], document["unit"], document["position"], document["closed_at"], counted)
