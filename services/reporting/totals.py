"""Totals of whole months and years, so that what a period costs follows its length and not how long the system has run.

A total is the sum of its cells, kept once it was asked for. It is thrown away whenever one of its cells is recounted, and added up anew
when it is next asked for: it is never counted on. Each total has a stamp, new whenever it is thrown away; who adds up reads the stamp first
and writes only if it is still the same, so a sum of older cells never stays.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from secrets import token_hex
from typing import Any

from services.reporting.figures import BY_CODE, Counts, Side
from services.reporting.periods import Period, month, next_month, year
from services.reporting.repository import NAME, Cells, dump_counts
from services.reporting.summing import FLOWS
from shared.storage import UpdateOne, translated

ALL = ""
"""Stands for all mailboxes together; no mailbox has this code."""
_FLOWS = tuple(flow.value for flow in FLOWS)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of cells over any period, by kept totals of the months and years in it."""

    cells: Cells

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.cells.store.collection(NAME, "totals")

    # ── what cells tell ──────────────────────────────────────────────────────────────────────────────────────────────

    async def will_change(self, keys: Sequence[str]) -> None:
        """Nothing yet: what is added up from a cell before it is written is thrown away after."""

    async def recounted(self, keys: Sequence[str]) -> None:
        """Throw away every total that holds one of these cells: months first, since years are added up from months."""
        months: set[str] = set()
        for key in keys:
            mailbox, _, day = key.rpartition("|")
            months |= {f"{mailbox}|{day[:7]}", f"{ALL}|{day[:7]}"}
        for spans in (months, {span[:-3] for span in months}):
            with translated():
                await self.collection.update_many(
                    {"_id": {"$in": sorted(spans)}}, {"$set": {"stamp": token_hex(8)}, "$unset": {"counts": ""}}
                )

    # ── sums ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def sum(self, mailbox: str | None, period: Period) -> Counts:
        """Add up a period."""
        counts: Counts = Counter()
        days, spans = split(period)
        for part in days:
            counts.update(await self.cells.sum(mailbox, part))
        for total in await self._totals(mailbox, spans):
            _add(total, counts)
        return counts

    async def before(self, mailbox: str | None, day: date) -> Counts:
        """Add up what makes the stocks at the beginning of a day (`FLOWS`): all days before it."""
        counts: Counts = Counter()
        first = await self.cells.first_day(mailbox)
        if first is None or first >= day:
            return counts
        days, spans = split(Period(year(first.year).first_day, day))
        fields = {f"counts.{side.value}.{flow}": 1 for side in Side for flow in _FLOWS}
        for part in days:
            async for at, stored in self.cells.read(mailbox, part, fields):
                self.cells.add(stored, at, counts)
        for total in await self._totals(mailbox, spans):
            _add(total, counts, _FLOWS)
        return counts

    async def _totals(self, mailbox: str | None, spans: Sequence[Period]) -> list[Mapping[str, Any]]:
        """Return the stored content of totals; those that are not kept are added up."""
        named = {f"{ALL if mailbox is None else mailbox}|{span_id(span)}": span for span in spans}
        fingerprint = self.cells.calendar.fingerprint
        with translated():
            cursor = self.collection.find({"_id": {"$in": list(named)}, "calendar": fingerprint})
            kept = {document["_id"]: document["counts"] async for document in cursor if "counts" in document}
        return [kept[name] if name in kept else await self._add_up(name, mailbox, span) for name, span in named.items()]

    async def _add_up(self, name: str, mailbox: str | None, span: Period) -> Mapping[str, Any]:
        """Add up one total and keep it, unless a cell was recounted meanwhile."""
        with translated():
            new = UpdateOne({"_id": name}, {"$setOnInsert": {"stamp": token_hex(8)}}, upsert=True)
            await self.collection.bulk_write([new])
            stamp = (await self.collection.find_one({"_id": name}, {"stamp": 1}))["stamp"]
        counts: Counts = Counter()
        if span == month(span.first_day):
            counts = await self.cells.sum(mailbox, span)
        else:
            for total in await self._totals(mailbox, list(_months(span))):
                _add(total, counts)
        stored = dump_counts(counts)
        with translated():
            await self.collection.update_one(
                {"_id": name, "stamp": stamp},
                {"$set": {"counts": stored, "calendar": self.cells.calendar.fingerprint}},
            )
        return stored


def split(period: Period) -> tuple[list[Period], list[Period]]:
    """Cut a period into (pieces of months, whole months and years)."""
    days: list[Period] = []
    whole: list[Period] = []
    at = period.first_day
    while at < period.end_day:
        for span in (year(at.year), month(at)):
            if span.first_day == at and span.end_day <= period.end_day:
                whole.append(span)
                at = span.end_day
                break
        else:
            end = min(next_month(at), period.end_day)
            days.append(Period(at, end))
            at = end
    return days, whole


def span_id(span: Period) -> str:
    """Return the name of a month or a year, e.g. `2026-02` or `2026`."""
    return f"{span.first_day:%Y-%m}" if span == month(span.first_day) else f"{span.first_day:%Y}"


def _months(span: Period) -> list[Period]:
    return [month(date(span.first_day.year, number, 1)) for number in range(1, 13)]


def _add(total: Mapping[str, Any], into: Counts, only: Sequence[str] | None = None) -> None:
    for side, figures in total.items():
        for figure, pairs in figures.items():
            if only is None or figure in only:
                for key, number in pairs:
                    into[Side(side), BY_CODE[figure], key] += number
