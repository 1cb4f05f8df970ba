"""The public's statistics (R10.4): letters of the whole city by month, domain, region and unit, without any number that points at a person.

Totals are shown as they stand. What is broken down goes through the rule of `small_cells.py`, month by month, when the month is over.
Nothing is broken down by nature, so no report (举报) is seen as one; a report never counts for the unit that it is about (`domain.apart`).
"""

import asyncio
import csv
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Annotated, Final

from pydantic import Field, computed_field

from services.reporting.figures import Figure
from services.reporting.periods import Period
from services.reporting.small_cells import FEWEST, Shown, added, shown
from services.reporting.views import View
from shared.calendar.zone import business_date
from shared.contracts.errors import NotFound
from shared.directory import Directory, UnknownEntry
from shared.text.tables import plain

LAST: Final = 12
"""So many months are shown unless a year is asked for."""
RUNNING_SECONDS: Final = 60
"""How old figures of the running month may be, and of one whose facts are still being counted."""
ENDED_SECONDS: Final = 3600
"""How old those of an earlier month may be."""
RULE: Final = (
    f"按领域、地区、单位分列的数字按月公布，当月结束后才计入；一个月内不足{FEWEST}件的类别并入“其他”，"
    f"“其他”不足{FEWEST}件或可由此推算出被并入的数字时，再并入件数最少的类别；较长期间为各月公布数之和。"
)


class Due(View):
    """How assignments went that fell due."""

    answered_in_time: Annotated[int, Field(description=Figure.ANSWERED_IN_TIME.meaning)]
    became_overdue: Annotated[int, Field(description=Figure.BECAME_OVERDUE.meaning)]

    @computed_field(  # type: ignore[prop-decorator]
        description="All that fell due."
    )
    @property
    def due(self) -> int:
        """All that fell due."""
        return self.answered_in_time + self.became_overdue

    @computed_field(  # type: ignore[prop-decorator]
        description="Share answered in time of all that fell due, 0 to 1; null where nothing did."
    )
    @property
    def timeliness(self) -> float | None:
        """Share answered in time of all that fell due, 0 to 1; None where nothing did."""
        due = self.answered_in_time + self.became_overdue
        return self.answered_in_time / due if due else None


class MonthLine(Due):
    """One month of the whole city."""

    month: Annotated[str, Field(examples=["2026-02"])]
    ended: Annotated[bool, Field(description="False: the month still runs, its figures grow.")]
    received: Annotated[int, Field(description=Figure.RECEIVED.meaning)]
    answered: Annotated[int, Field(description=Figure.ANSWERED.meaning)]


class ClassLine(View):
    """Letters of one class."""

    code: str
    label: Annotated[str, Field(description="Chinese name")]
    received: int


class Breakdown(View):
    """Letters received in the months that are over, by class, the largest first; `others` holds what is too small to be shown."""

    lines: list[ClassLine]
    others: int


class UnitDue(Due):
    """How one unit answered what was assigned to it."""

    code: str
    label: str


class UnitsDue(View):
    """Assignments that fell due in the months that are over, by unit."""

    lines: list[UnitDue]
    others: Due


class StatisticsView(View):
    """Statistics of a year or of the last months, for everybody."""

    year: Annotated[int | None, Field(description="Null: the last twelve months.")]
    years: Annotated[list[int], Field(description="The years that can be asked for.")]
    first_month: str
    last_month: str
    received: int
    answered: int
    timeliness: Annotated[
        float | None, Field(description="Share of assignments answered in time of all that fell due.")
    ]
    months: list[MonthLine]
    broken_down_until: Annotated[
        date | None, Field(description="Last day that breakdowns cover; null: no month of the period is over.")
    ]
    domains: Breakdown
    regions: Breakdown
    units: Breakdown
    units_due: UnitsDue
    rule: Annotated[str, Field(description="What is kept back, in words.")]
    up_to_date: bool


@dataclass(frozen=True, slots=True)
class Month:
    """What one month's cells tell, for the whole city."""

    received: int = 0
    answered: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    """Domain of the first level → letters."""
    regions: Mapping[str, int] = field(default_factory=dict)
    units: Mapping[str, int] = field(default_factory=dict)
    """Unit, its departments included → letters written to it."""
    in_time: Mapping[str, int] = field(default_factory=dict)
    """Unit → replies in time to other units' assignments."""
    overdue: Mapping[str, int] = field(default_factory=dict)
    """Unit → limits of other units' assignments that passed."""
    fresh: bool = True


ReadMonth = Callable[[Period], Awaitable[Month]]
FirstDay = Callable[[], Awaitable[date | None]]


@dataclass(slots=True)
class Statistics:
    """Statistics from months that are read now and then: a request costs nothing but adding up."""

    read: ReadMonth
    first_day: FirstDay
    directory: Directory
    _kept: dict[date, tuple[datetime, Month]] = field(default_factory=dict)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, year: int | None, now: datetime) -> StatisticsView:
        """Return the statistics of a year, or of the last twelve months with the running one.

        Raises:
            NotFound: there are no figures of that year.
        """
        today = business_date(now)
        running = today.replace(day=1)
        async with self._one:
            first = await self._first(now)
            years = list(range(first.year, today.year + 1))
            if year is not None and year not in years:
                raise NotFound(
                    "R10.4",
                    f"没有这一年的统计；可查：{'、'.join(map(str, years))} / There are no statistics of that year; there are: "
                    f"{', '.join(map(str, years))}.",
                )
            wanted = [m for m in _months(first, running) if year is None or m.year == year][-LAST:]
            months = {month: await self._month(month, now) for month in wanted}
        return view(year, years, months, running, self.directory)

    async def _first(self, now: datetime) -> date:
        """Return the first month that has figures; the running one where there is none."""
        known = await self.first_day()
        return (known or business_date(now)).replace(day=1)

    async def _month(self, month: date, now: datetime) -> Month:
        kept = self._kept.get(month)
        if kept is not None:
            at, content = kept
            ended = _next(month) <= business_date(at)
            if (
                timedelta()
                <= now - at
                < timedelta(seconds=ENDED_SECONDS if ended and content.fresh else RUNNING_SECONDS)
            ):
                return content
        content = await self.read(Period(month, _next(month)))
        self._kept[month] = now, content
        return content


def view(
    year: int | None, years: list[int], months: Mapping[date, Month], running: date, directory: Directory
) -> StatisticsView:
    """Return what the public sees of months, by their first days; those before `running` are over."""
    over = [month for first, month in months.items() if first < running]
    lines = [
        MonthLine(
            month=f"{first:%Y-%m}",
            ended=first < running,
            received=month.received,
            answered=month.answered,
            answered_in_time=sum(month.in_time.values()),
            became_overdue=sum(month.overdue.values()),
        )
        for first, month in months.items()
    ]
    domains = {domain.code for domain in directory.domains()}
    regions = {region.code for region in directory.regions()}
    units = {directory.unit_code(mailbox.code) for mailbox in directory.mailboxes()}
    whole = Due(
        answered_in_time=sum(line.answered_in_time for line in lines),
        became_overdue=sum(line.became_overdue for line in lines),
    )
    return StatisticsView(
        year=year,
        years=years,
        first_month=lines[0].month,
        last_month=lines[-1].month,
        received=sum(line.received for line in lines),
        answered=sum(line.answered for line in lines),
        timeliness=whole.timeliness,
        months=lines,
        broken_down_until=max((_next(first) - timedelta(days=1) for first in months if first < running), default=None),
        domains=_breakdown((shown(m.domains, domains) for m in over), lambda code: directory.domain(code).name),
        regions=_breakdown((shown(m.regions, regions) for m in over), lambda code: directory.region(code).name),
        units=_breakdown((shown(m.units, units) for m in over), lambda code: directory.get(code).name),
        units_due=_units_due(over, units, lambda code: directory.get(code).name),
        rule=RULE,
        up_to_date=all(month.fresh for month in months.values()),
    )


def _breakdown(months: Iterable[Shown], name: Callable[[str], str]) -> Breakdown:
    public = added(months)
    lines = [ClassLine(code=code, label=_named(name, code), received=n) for code, n in public.classes.items()]
    return Breakdown(lines=sorted(lines, key=lambda line: (-line.received, line.code)), others=public.others)


def _units_due(months: Iterable[Month], units: set[str], name: Callable[[str], str]) -> UnitsDue:
    """Show a unit's assignments in the months in which three or more fell due for it; of others, all together."""
    in_time: dict[str, int] = {}
    overdue: dict[str, int] = {}
    others = [0, 0]
    for month in months:
        due = {code: month.in_time.get(code, 0) + month.overdue.get(code, 0) for code in units}
        seen = shown(due, units).classes
        for code in units:
            if code in seen:
                in_time[code] = in_time.get(code, 0) + month.in_time.get(code, 0)
                overdue[code] = overdue.get(code, 0) + month.overdue.get(code, 0)
            else:
                others[0] += month.in_time.get(code, 0)
                others[1] += month.overdue.get(code, 0)
    lines = [
        UnitDue(code=code, label=_named(name, code), answered_in_time=in_time[code], became_overdue=overdue[code])
        for code in in_time
    ]
    lines.sort(key=lambda line: (-(line.timeliness or 0), -line.due, line.code))
    return UnitsDue(lines=lines, others=Due(answered_in_time=others[0], became_overdue=others[1]))


def table(view: StatisticsView) -> str:
    """Return statistics as CSV: one line each of a month, domain, region, unit; what does not apply is empty."""
    made = StringIO()
    writer = csv.writer(made, lineterminator="\r\n")
    writer.writerow(["by", "code", "label", "received", "answered", "answered_in_time", "became_overdue"])
    for month in view.months:
        due = (month.answered_in_time, month.became_overdue)
        writer.writerow(["month", month.month, month.month, month.received, month.answered, *due])
    for by, part in (("domain", view.domains), ("region", view.regions), ("unit", view.units)):
        for line in part.lines:
            writer.writerow([by, line.code, plain(line.label), line.received, "", "", ""])
        writer.writerow([by, "", "其他", part.others, "", "", ""])
    for unit in view.units_due.lines:
        writer.writerow(["unit_due", unit.code, plain(unit.label), "", "", unit.answered_in_time, unit.became_overdue])
    others = view.units_due.others
    writer.writerow(["unit_due", "", "其他", "", "", others.answered_in_time, others.became_overdue])
    return made.getvalue()


def _named(name: Callable[[str], str], code: str) -> str:
    try:
        return name(code)
    except UnknownEntry:
        return code


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _months(first: date, last: date) -> list[date]:
    found = [first]
    while found[-1] < last:
        found.append(_next(found[-1]))
    return found
