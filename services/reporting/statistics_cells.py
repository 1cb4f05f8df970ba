"""Reading one month of the whole city from the cells, with the few figures that the public's statistics show (R10.4)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from services.reporting.figures import Figure, Side
from services.reporting.periods import Period
from services.reporting.repository import Cells
from services.reporting.statistics import Month
from shared.directory import Directory
from shared.storage import translated

_LETTERS: Final = (Figure.RECEIVED, Figure.ANSWERED, Figure.DOMAIN, Figure.REGION)
_UNDERTAKEN: Final = (Figure.ANSWERED_IN_TIME, Figure.BECAME_OVERDUE)


@dataclass(frozen=True, slots=True)
class Months:
    """Months read from the cells: one query each, over the index by day."""

    cells: Cells
    directory: Directory

    async def read(self, period: Period) -> Month:
        """Add up the cells of all mailboxes in a month."""
        days = {"$gte": period.first_day.isoformat(), "$lt": period.end_day.isoformat()}
        fields = {
            "mailbox": 1,
            "dirty": 1,
            **{f"counts.{Side.LETTERS}.{figure}": 1 for figure in _LETTERS},
            **{f"counts.{Side.UNDERTAKEN}.{figure}": 1 for figure in _UNDERTAKEN},
        }
        sums: dict[Figure, Counter[str]] = {figure: Counter() for figure in (*_LETTERS, *_UNDERTAKEN)}
        units: Counter[str] = Counter()
        fresh = True
        with translated():
            async for document in self.cells.collection.find({"day": days}, fields):
                fresh = fresh and "dirty" not in document
                unit = self.directory.unit_code(document["mailbox"])
                counts = document.get("counts", {})
                units[unit] += _sum(_pairs(counts, Side.LETTERS, Figure.RECEIVED))
                for figure in _LETTERS:
                    for key, number in _pairs(counts, Side.LETTERS, figure):
                        sums[figure][self._class(figure, key)] += number
                for figure in _UNDERTAKEN:
                    # What a unit hands on to its own departments is its own business (R4.2b).
                    others = [
                        pair
                        for pair in _pairs(counts, Side.UNDERTAKEN, figure)
                        if self.directory.unit_code(pair[0]) != unit
                    ]
                    sums[figure][unit] += _sum(others)
        return Month(
            received=sums[Figure.RECEIVED].total(),
            answered=sums[Figure.ANSWERED].total(),
            domains=sums[Figure.DOMAIN],
            regions=sums[Figure.REGION],
            units=units,
            in_time=sums[Figure.ANSWERED_IN_TIME],
            overdue=sums[Figure.BECAME_OVERDUE],
            fresh=fresh,
        )

    async def first_day(self) -> date | None:
        """Return the first day that has a cell."""
        with translated():
            found = await self.cells.collection.find_one(
                {"day": {"$gt": "2", "$lt": "9"}, "tallies": {"$gt": 0}}, {"day": 1}, sort=[("day", 1)]
            )
        return None if found is None else date.fromisoformat(found["day"])

    def _class(self, figure: Figure, key: str) -> str:
        """Return what is counted together: domains up to the first level."""
        return self.directory.path_of(key)[0] if figure is Figure.DOMAIN else key


def _pairs(counts: Mapping[str, Any], side: Side, figure: Figure) -> Sequence[tuple[str, int]]:
    found: Sequence[tuple[str, int]] = counts.get(side.value, {}).get(figure.value, ())
    return found


def _sum(pairs: Sequence[tuple[str, int]]) -> int:
    return sum(number for _, number in pairs)
