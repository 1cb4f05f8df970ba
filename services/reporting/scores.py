"""Scores of a period (R11.4): from cells and closed spot checks, down to their letters; and what was issued, frozen."""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final, NamedTuple

from services.reporting import assessment
from services.reporting.assessment import FIGURES, RULE, SPOT_CHECKS, Indicator, Method, UnitScore
from services.reporting.checklist import Answer
from services.reporting.domain import Row, apart
from services.reporting.figures import Side, cell_key, tallies
from services.reporting.issues import due_at
from services.reporting.periods import FIRST_YEAR, LAST_YEAR, Period, month, quarter, year
from services.reporting.repository import NAME, ROWS_AT_ONCE
from services.reporting.spot_store import Spots
from shared.calendar.zone import business_date
from shared.contracts.errors import BadInput, NotFound, RuleBroken
from shared.contracts.reports import kept_from
from shared.contracts.types import Actor, Moment, Value
from shared.directory import Directory
from shared.storage import DuplicateKey, translated
from shared.web.languages import shanghai

_FORM: Final = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])|-Q([1-4]))?")
DAYS_AT_ONCE: Final = 14
COUNTED_SECONDS, PAUSE_SECONDS = 3.0, 0.2
"""So long, and with such pauses, an issue waits until all is counted: what is on its way takes a moment."""


def parse_period(text: str) -> Period:
    """Return a year (`2026`), quarter (`2026-Q1`) or month (`2026-03`).

    Raises:
        BadInput: it is none (R11.4).
    """
    match = _FORM.fullmatch(text)
    if match and FIRST_YEAR <= int(match[1]) < LAST_YEAR:
        number = int(match[1])
        if match[2]:
            return month(date(number, int(match[2]), 1))
        return quarter(date(number, 3 * int(match[3]), 1)) if match[3] else year(number)
    raise BadInput(
        RULE,
        "没有这个考评时段；请写年、季度或月，例如 2026、2026-Q1、2026-03 / "
        "There is no such period; write a year, quarter or month, e.g. 2026, 2026-Q1 or 2026-03",
        "path:period",
    )


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a period."""

    scores: Sequence[UnitScore]
    fresh: bool
    """Whether no cell of the period waits to be recounted."""


class Issued(Value):
    """An assessment that was issued: nothing in it changes any more."""

    period: str
    issued_at: Moment
    issued_by: Actor
    method: Method
    method_hash: str
    """SHA-256 (hex) of the method by which the scores came about."""
    scores: tuple[UnitScore, ...]


class Line(NamedTuple):
    """A letter that counts in an indicator: on a day, as a figure, so many times."""

    day: str
    letter_id: str
    figure: str
    number: str
    """The letter's, in ASCII."""
    times: float


@dataclass(slots=True)
class Scores:
    """Where scores come from."""

    spots: Spots
    directory: Directory
    method: Method
    counted: Callable[[datetime, datetime], Awaitable[bool]]
    """(moment, now) → whether all facts that were there at that moment are counted; see `Counted.through`."""
    after: timedelta
    """How long after the end of its period one may be issued, as a bulletin is (`BULLETIN_AFTER`)."""

    @property
    def _cells(self) -> Any:
        return self.spots.store.collection(NAME, "cells")

    @property
    def _issued(self) -> Any:
        return self.spots.store.collection(NAME, "assessments")

    async def of(self, period: Period, method: Method | None = None) -> Scored:
        """Return the scores of all units in a period, by the method in force or by another one; nothing is stored."""
        by = method or self.method
        numbers: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        fresh = await self._add_figures(by.terms, period, numbers)
        if by.terms & SPOT_CHECKS.keys():
            for result in await self.spots.closed_in(period):
                of_unit = numbers[self._unit(result.unit)]
                of_unit["spot_checks.passed"] += Fraction(str(result.count.passed_weight))
                of_unit["spot_checks.applied"] += Fraction(str(result.count.weight))
        return Scored(assessment.scores(by, self.directory, numbers), fresh)

    async def _add_figures(
        self, terms: Collection[str], period: Period, into: Mapping[str, dict[str, Fraction]]
    ) -> bool:
        """Add up the cells of the period, mailbox by mailbox: one pass by the index of days."""
        wanted = {FIGURES[term]: term for term in terms if term in FIGURES}
        fields = {f"counts.{side.value}.{figure.value}": 1 for side, figure in wanted}
        days = {"$gte": period.first_day.isoformat(), "$lt": period.end_day.isoformat()}
        fresh = True
        with translated():
            found = self._cells.find({"day": days}, {"mailbox": 1, "dirty": 1, **fields})
            async for document in found.batch_size(ROWS_AT_ONCE):
                fresh = fresh and "dirty" not in document
                counts = document.get("counts", {})
                for (side, figure), term in wanted.items():
                    for key, number in counts.get(side.value, {}).get(figure.value, ()):
                        unit = self._credited(document["mailbox"], side, key)
                        if unit is not None:
                            into[unit][term] += number
        return fresh

    def _unit(self, code: str) -> str:
        """Return the unit that answers today for what a mailbox does: a department's, of a closed one the successor's."""
        return self.directory.unit_code(self.directory.current(code))

    def _credited(self, mailbox: str, side: Side, key: str) -> str | None:
        """Return in whose score something of a mailbox's cell counts; none: in nobody's.

        What comes to a department from outside its unit counts for the unit (R4.2); what a unit hands on to its own departments is its
        own business (R4.2b).
        """
        if side is not Side.UNDERTAKEN:
            return self.directory.current(mailbox)
        unit = self._unit(mailbox)
        return None if self._unit(key) == unit else unit

    # ── letters ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def indicator(self, indicator_id: str) -> Indicator:
        """Return an indicator of the method in force.

        Raises:
            NotFound: there is none.
        """
        found = self.method.indicator(indicator_id)
        if found is None:
            known = ", ".join(one.id for one in self.method.indicators)
            raise NotFound(RULE, f"没有这项指标；现有 {known} / There is no such indicator; these are: {known}")
        return found

    async def letters(
        self,
        unit: str,
        period: Period,
        terms: Sequence[str],
        who: Actor,
        after: tuple[str, str, str] | None,
        limit: int,
    ) -> list[Line]:
        """Return at most `limit` letters that count in some figures of a unit, in the order of days, from behind a place in that order.

        Those that are kept from the caller are left out.
        """
        if not SPOT_CHECKS.keys().isdisjoint(terms):
            lines = await self._checked(unit, period, terms, who)
            return [line for line in lines if after is None or line[:3] > after][:limit]
        found: list[Line] = []
        day = max(period.first_day, date.fromisoformat(after[0])) if after else period.first_day
        mailboxes = [one.code for one in self.directory.mailboxes() if self._unit(one.code) == unit]
        while day < period.end_day and len(found) < limit:
            end = min(period.end_day, day + timedelta(days=DAYS_AT_ONCE))
            lines = await self._counted(unit, mailboxes, day, end, terms, who)
            found += [line for line in lines if after is None or line[:3] > after]
            day = end
        return found[:limit]

    async def _counted(
        self, unit: str, mailboxes: Sequence[str], first: date, end: date, terms: Sequence[str], who: Actor
    ) -> list[Line]:
        days = [first + timedelta(days=n) for n in range((end - first).days)]
        cells = {cell_key(code, day): (code, day.isoformat()) for code in mailboxes for day in days}
        names = {FIGURES[term]: term for term in terms}
        lines: dict[tuple[str, str, str], Line] = {}
        async for letter_id, row in self.spots.rows_of(list(cells)):
            if self._is_kept(row, who):
                continue
            found = Counter(
                (cells[tally.cell][1], names[tally.side, tally.figure])
                for tally in tallies(apart(row, self.directory))
                if tally.cell in cells
                and (tally.side, tally.figure) in names
                and self._credited(cells[tally.cell][0], tally.side, tally.key) == unit
            )
            for (day, term), number in found.items():
                lines[day, letter_id, term] = Line(day, letter_id, term, row.number, number)
        return [lines[key] for key in sorted(lines)]

    async def _checked(self, unit: str, period: Period, terms: Sequence[str], who: Actor) -> list[Line]:
        """Return the letters of closed spot checks about a unit, with the weights of what they passed."""
        lines: dict[tuple[str, str, str], Line] = {}
        results = [result for result in await self.spots.closed_in(period) if self._unit(result.unit) == unit]
        checks = await self.spots.get_many([result.check_id for result in results])
        for result in results:
            found = await self.spots.letters(result.check_id)
            letters = [one.checked for one in found if one.checked.unit == result.unit]
            rows = await self.spots.letters_by_id({one.letter_id for one in letters})
            weights = {item.id: item.weight for item in checks[result.check_id].checklist.items}
            day = business_date(result.closed_at).isoformat()
            for one in letters:
                row, answers = rows.get(one.letter_id), one.result or {}
                if (
                    row is None
                    or self._is_kept(row, who)
                    or self._is_kept(row, who.model_copy(update={"mailbox": unit}))
                ):
                    continue
                for term, counted in (
                    ("spot_checks.passed", {Answer.YES}),
                    ("spot_checks.applied", {Answer.YES, Answer.NO}),
                ):
                    number = sum(weights[item] for item, answer in answers.items() if answer in counted)
                    if term in terms and number:
                        key = (day, one.letter_id, term)
                        before = lines[key].times if key in lines else 0  # in another check of that day, or drawn twice
                        lines[key] = Line(*key, one.number, before + number)
        return sorted(lines.values())

    def _is_kept(self, row: Row, who: Actor) -> bool:
        return kept_from(row, who.mailbox, who.subject, self.directory)

    # ── issued ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def issued(self, period: str) -> Issued | None:
        """Return what was issued for a period."""
        with translated():
            document = await self._issued.find_one({"_id": period})
        return None if document is None else Issued.model_validate(document["issued"])

    async def issue(self, name: str, by: Actor, now: Moment) -> tuple[Issued, bool]:
        """Freeze the scores of a period by the method in force, once; return what is issued, and whether it is by this request.

        It is as complete as a bulletin is: made `after` the end of its period, once every fact that was there then is counted.

        Raises:
            RuleBroken: the period is not over, or its figures are being counted (R11.4).
        """
        period = parse_period(name)
        before = await self.issued(name)
        if before is not None:
            return before, False
        if period.ends_at > now:
            last = period.end_day - timedelta(days=1)
            raise RuleBroken(RULE, f"时段至{last}24时止，尚未结束 / The period is not over: its last day is {last}")
        due = due_at(period, self.after)
        if due > now:
            raise RuleBroken(
                RULE,
                f"该时段的数字还在汇总，请在{shanghai(due)}之后再试 / "
                f"Facts of the period are still coming in; try again after {shanghai(due, 'en')} (BULLETIN_AFTER)",
            )
        found = await self.of(period) if await self._is_counted(due, now) else None
        if found is None or not found.fresh:
            raise RuleBroken(
                RULE, "统计数正在更新，请稍后再试 / Figures are being counted at this moment; try again shortly"
            )
        made = Issued(
            period=name,
            issued_at=now,
            issued_by=by,
            method=self.method,
            method_hash=self.method.hash,
            scores=tuple(found.scores),
        )
        try:
            with translated():
                await self._issued.insert_one({"_id": name, "issued": made.model_dump(mode="json")})
        except DuplicateKey:  # by somebody else at the same moment
            return await self.issue(name, by, now)
        return made, True

    async def _is_counted(self, moment: Moment, now: Moment) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(COUNTED_SECONDS):
                while not await self.counted(moment, now):  # noqa: ASYNC110 - other replicas count too
                    await asyncio.sleep(PAUSE_SECONDS)
                return True
        return False
