"""Periods in which figures are given: whole days in Asia/Shanghai, weeks from Monday 00:00 to Sunday 24:00 (R10.4)."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from shared.calendar.zone import start_of_day, week_start
from shared.contracts.errors import BadInput

FIRST_YEAR = 2000
LAST_YEAR = 9999
LONGEST_DAYS = 3_660
_WEEK = timedelta(days=7)
_FORM = re.compile(r"([0-9]{4})-W([0-9]{2})")


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first_day` up to, not including, `end_day`."""

    first_day: date
    end_day: date

    @property
    def last_day(self) -> date:
        """The last day that belongs to it."""
        return self.end_day - timedelta(days=1)

    @property
    def starts_at(self) -> datetime:
        """Its first moment, UTC."""
        return start_of_day(self.first_day)

    @property
    def ends_at(self) -> datetime:
        """The first moment after it, UTC."""
        return start_of_day(self.end_day)


def period(first_day: date, end_day: date) -> Period:
    """Return the days from `first_day` up to, not including, `end_day`.

    Raises:
        BadInput: there is no day in it, too many, or one out of reach (R10.4).
    """
    if not first_day < end_day:
        raise BadInput(
            "R10.4",
            "统计时段为空：to 是不再计入的第一天，须晚于 from / "
            "The period has no day: `to` is the first day that is no longer counted, so give a later one than `from`.",
            "query:to",
        )
    if first_day.year < FIRST_YEAR or end_day.year >= LAST_YEAR or (end_day - first_day).days > LONGEST_DAYS:
        raise BadInput(
            "R10.4",
            f"统计时段须在{FIRST_YEAR}年至{LAST_YEAR - 1}年之间且不超过{LONGEST_DAYS}天 / "
            f"Ask for at most {LONGEST_DAYS} days, none before {FIRST_YEAR} or after {LAST_YEAR - 1}.",
            "query:from",
        )
    return Period(first_day, end_day)


def week(monday: date) -> Period:
    """Return the week that begins on a Monday."""
    return Period(monday, monday + _WEEK)


def week_of(day: date) -> Period:
    """Return the week that a day belongs to."""
    return week(week_start(day))


def week_id(period: Period) -> str:
    """Return the ISO 8601 name of a week, e.g. `2026-W07`."""
    year, number, _ = period.first_day.isocalendar()
    return f"{year}-W{number:02}"


def parse_week(text: str) -> Period:
    """Return the week with an ISO 8601 name.

    Raises:
        BadInput: there is no such week (R10.4).
    """
    match = _FORM.fullmatch(text)
    if match and FIRST_YEAR <= int(match[1]) < LAST_YEAR:
        with suppress(ValueError):
            return week(date.fromisocalendar(int(match[1]), int(match[2]), 1))
    raise BadInput(
        "R10.4",
        "没有这个周次；请按 ISO 8601 写明年份和周次，例如 2026-W07 / "
        "There is no such week; write year and week after ISO 8601, e.g. 2026-W07 (weeks are W01 to W52 or W53).",
        "path:week",
    )


def next_month(day: date) -> date:
    """Return the first day of the month after a day's."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def month(day: date) -> Period:
    """Return the month that a day belongs to."""
    return Period(day.replace(day=1), next_month(day))


def quarter(day: date) -> Period:
    """Return the quarter that a day belongs to."""
    first = date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return Period(first, next_month(first + timedelta(days=62)))


def year(number: int) -> Period:
    """Return a calendar year."""
    return Period(date(number, 1, 1), date(number + 1, 1, 1))


def week_before(current: Period) -> Period:
    """Return the week before a week."""
    return week(current.first_day - _WEEK)
