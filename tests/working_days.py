"""Working days of 2026 as the State Council's notice lists them, and limits counted day by day: independent of the code under test."""

from datetime import UTC, date, datetime, timedelta

HOURS = timedelta(hours=8)
"""Chongqing is eight hours ahead."""
DAY = timedelta(days=1)
FREE_2026 = (
    "01-01 01-02 02-16 02-17 02-18 02-19 02-20 02-23 04-06 05-01 05-04 05-05 06-19 09-25 10-01 10-02 10-05 10-06 10-07"
)
"""The weekdays that are free; 2027 has no schedule yet."""
WORKED_2026 = "01-04 02-14 02-28 05-09 09-20 10-10"
"""The days of weekends that are worked."""


def works(day: date) -> bool:
    text = f"{day:%m-%d}"
    if day.year == 2026 and (text in FREE_2026 or text in WORKED_2026):
        return text in WORKED_2026
    return day.weekday() < 5


def end_of(day: date) -> datetime:
    """24:00 of a day in Chongqing."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + DAY - HOURS


def day_of(moment: datetime) -> date:
    """The day in Chongqing."""
    return (moment + HOURS).date()


def after(day: date, working_days: int) -> datetime:
    """The end of the n-th working day after a day that itself is not counted (R6.1)."""
    while working_days:
        day += DAY
        working_days -= works(day)
    return end_of(day)
