"""Working days as the State Council schedules them, and the due moments counted in them (R3.1, R6.1).

The yearly schedules 2004–2026 come with the chinesecalendar library; later years from schedule files
(:mod:`shared.calendar.schedules`). A year without a schedule is counted as Monday to Friday, and what depends on it is
*provisional*: it must be recomputed when the schedule arrives.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib.metadata import version

import chinese_calendar

from shared.calendar.schedules import REACH_BACK, YearSchedule
from shared.calendar.zone import SHANGHAI, business_date, end_of_day

REPLY_WORKING_DAYS = 10
MAX_WORKING_DAYS = 1000
OPENING = time(9, 0)
CLOSING = time(18, 0)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Due:
    """When something is due.

    Attributes:
        at: the moment (aware, UTC) at which it becomes overdue: 24:00 Asia/Shanghai of ``last_day``.
        last_day: the last day in time, as printed on slips.
        provisional: a year without a schedule was counted; recompute when its schedule is known (R6.1).
    """

    at: datetime
    last_day: date
    provisional: bool


class WorkingCalendar:
    """Which days are working days, and what is due when.

    Args:
        schedules: schedules of years the library does not know, or that replace what it says for a year.
        opening: when working hours begin on a working day (Asia/Shanghai).
        closing: when they end; a letter that arrives then or later is read on the next working day (R3.1).
    """

    def __init__(
        self, schedules: Iterable[YearSchedule] = (), *, opening: time = OPENING, closing: time = CLOSING
    ) -> None:
        if not opening < closing:
            raise ValueError(f"working hours {opening:%H:%M}–{closing:%H:%M} end before they begin; swap them")
        self.opening = opening
        self.closing = closing
        self._listed: dict[date, bool] = {}
        self._scheduled: set[int] = set()
        for schedule in schedules:
            self._scheduled.add(schedule.year)
            self._listed.update(dict.fromkeys(schedule.holidays, False))
            self._listed.update(dict.fromkeys(schedule.working, True))
        # Handlers ask for the same few days thousands of times, hence one small cache per calendar.
        self._works_on = lru_cache(maxsize=4096)(self._look_up)
        self._counted_on = lru_cache(maxsize=4096)(self._count_on)
        self._counted_between = lru_cache(maxsize=4096)(self._count_between)
        self._due_after = lru_cache(maxsize=4096)(self._make_due)

    def is_provisional(self, day: date) -> bool:
        """Return whether a day may still change because a schedule is missing.

        The last week of December also waits for the next year's schedule, which sometimes moves working days into it.
        """
        return not (self._is_known(day.year) and self._is_known((day + REACH_BACK).year))

    def is_working_day(self, day: date) -> bool:
        """Return whether a day is a working day, make-up working weekends (调休) included."""
        return self._works_on(day)

    def add_working_days(self, start: date, working_days: int) -> tuple[date, bool]:
        """Return the n-th working day after ``start``, which itself is not counted, and whether it is provisional.

        Raises:
            ValueError: the number of working days is not between 1 and 1,000.
        """
        return self._counted_on(start, working_days)

    def working_days_between(self, first: date, last: date) -> int:
        """Return how many working days follow ``first`` up to and including ``last``; negative when it is earlier."""
        if last < first:
            return -self._counted_between(last, first)
        return self._counted_between(first, last)

    def schedule_years(self, first: date, last: date) -> tuple[int, ...]:
        """Return the years whose schedules say which days from ``first`` to ``last`` are worked.

        Those that came as files, where there are any: they are what can have changed.
        """
        years = range(first.year, (last + REACH_BACK).year + 1)
        return tuple(year for year in years if year in self._scheduled) or tuple(years)

    @cached_property
    def fingerprint(self) -> str:
        """A short text that is another one whenever the schedules are other ones."""
        listed = "".join(f"{day}{'+' if works else '-'}" for day, works in sorted(self._listed.items()))
        known = f"{version('chinesecalendar')}|{sorted(self._scheduled)}|{listed}"
        return sha256(known.encode()).hexdigest()[:16]

    def reply_due(self, received_at: datetime, working_days: int = REPLY_WORKING_DAYS) -> Due:
        """Return when a reply to something received at a moment (aware) is due (R6.1).

        The day of receipt (Asia/Shanghai) is not counted; due at 24:00 of the last working day.
        """
        return self._due_after(business_date(received_at), working_days)

    def reading_due(self, arrived_at: datetime) -> Due:
        """Return when a letter that arrived at a moment (aware) must be read (R3.1).

        In working hours: by 24:00 of that working day. Otherwise by 24:00 of the next working day, which is the next
        one to *begin* after the arrival: before opening on a working day that is the same day, after closing, at a
        weekend or on a holiday the working day that follows.
        """
        day = business_date(arrived_at)
        if self.is_working_day(day) and arrived_at.astimezone(SHANGHAI).time() < self.closing:
            return Due(end_of_day(day), day, self.is_provisional(day))
        return self._due_after(day, 1)

    def in_working_hours(self, moment: datetime) -> bool:
        """Return whether a moment (aware) lies in the working hours of a working day."""
        local = moment.astimezone(SHANGHAI)
        return self.is_working_day(business_date(moment)) and self.opening <= local.time() < self.closing

    def _look_up(self, day: date) -> bool:
        listed = self._listed.get(day)
        if listed is not None:
            return listed
        if day.year not in self._scheduled and _library_knows(day.year):
            return bool(chinese_calendar.is_workday(day))
        return day.weekday() < 5

    def _count_on(self, start: date, working_days: int) -> tuple[date, bool]:
        if not 1 <= working_days <= MAX_WORKING_DAYS:
            raise ValueError(f"R6.1: {working_days} working days; give a number from 1 to {MAX_WORKING_DAYS}")
        day, left, provisional = start, working_days, False
        while left:
            day += _ONE_DAY
            provisional = provisional or self.is_provisional(day)
            left -= self._works_on(day)
        return day, provisional

    def _count_between(self, first: date, last: date) -> int:
        days = (first + timedelta(days=offset) for offset in range(1, (last - first).days + 1))
        return sum(map(self._works_on, days))

    def _make_due(self, day: date, working_days: int) -> Due:
        last_day, provisional = self._counted_on(day, working_days)
        return Due(end_of_day(last_day), last_day, provisional)

    def _is_known(self, year: int) -> bool:
        return year in self._scheduled or _library_knows(year)


@lru_cache(maxsize=512)
def _library_knows(year: int) -> bool:
    try:
        chinese_calendar.is_workday(date(year, 7, 1))
    except NotImplementedError:
        return False
    return True
