"""What spot checks and the assessment read, without engines: rows that a test invents, and cells counted from them as the service does."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from services.reporting.domain import Row, apart
from services.reporting.figures import Counts, cells_of, tallies
from services.reporting.periods import Period
from services.reporting.repository import dump_counts
from services.reporting.spot_checks import Check, Checked
from services.reporting.spot_store import Result, Spots, Versioned
from shared.directory import Directory


class Table:
    """A collection of few documents, found by their id or by a range of days."""

    def __init__(self, documents: Iterable[Mapping[str, Any]] = ()) -> None:
        self.documents = list(documents)

    def find(self, query: Mapping[str, Any], _fields: Any) -> "Table":
        days = query["day"]
        return Table(one for one in self.documents if days["$gte"] <= one["day"] < days["$lt"])

    def batch_size(self, _size: int) -> "Table":
        return self

    async def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        for one in self.documents:
            yield one

    async def find_one(self, query: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return next((one for one in self.documents if one["_id"] == query["_id"]), None)

    async def insert_one(self, document: Mapping[str, Any]) -> None:
        self.documents.append(document)


class Judged(Spots):
    """Letters and the spot checks about them; it is also the store in which cells and issued assessments lie."""

    def __init__(
        self,
        directory: Directory,
        letters: Mapping[str, Row],
        checks: Mapping[str, tuple[Check, Sequence[Checked]]] | None = None,
        results: Sequence[Result] = (),
    ) -> None:
        store: Any = self
        rows: Any = None
        super().__init__(store, rows, directory)
        self.known, self.checks, self.closed = letters, dict(checks or {}), results
        counts: dict[str, Counts] = {}
        for row in letters.values():
            for tally in tallies(apart(row, directory)):
                counts.setdefault(tally.cell, Counter())[tally[1:]] += 1
        cells = [
            {"_id": key, "mailbox": key.partition("|")[0], "day": key.partition("|")[2], "counts": dump_counts(found)}
            for key, found in counts.items()
        ]
        self.tables = {"cells": Table(cells), "assessments": Table()}

    def collection(self, _service: str, name: str) -> Table:
        return self.tables[name]

    async def rows_of(
        self, cells: Sequence[str], _only: Mapping[str, Any] | None = None
    ) -> AsyncIterator[tuple[str, Row]]:
        for letter_id, row in self.known.items():
            if not {*cells_of(row), *cells_of(apart(row, self.units))}.isdisjoint(cells):
                yield letter_id, row

    async def letters_by_id(self, letter_ids: Iterable[str]) -> dict[str, Row]:
        return {one: self.known[one] for one in letter_ids}

    async def add(self, check: Check, letters: Sequence[Checked]) -> None:
        self.checks[check.id] = (check, letters)

    async def get(self, check_id: str) -> Check | None:
        return self.checks[check_id][0]

    async def get_many(self, check_ids: Sequence[str]) -> dict[str, Check]:
        return {one: self.checks[one][0] for one in check_ids}

    async def letters(self, check_id: str) -> list[Versioned]:
        return [Versioned(one, 1) for one in self.checks[check_id][1]]

    async def results(self, unit: str, _before: str | None, _limit: int) -> list[Result]:
        return [one for one in self.closed if one.unit == unit]

    async def closed_in(self, period: Period) -> list[Result]:
        return [one for one in self.closed if period.starts_at <= one.closed_at < period.ends_at]
