"""Business time: the days and weeks of Asia/Shanghai."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


def business_date(moment: datetime) -> date:
    """Return the day in Asia/Shanghai on which a moment (aware) falls.

    Raises:
        ValueError: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; give an aware time")
    return moment.astimezone(SHANGHAI).date()


def start_of_day(day: date) -> datetime:
    """Return 00:00 Asia/Shanghai of a day as an aware UTC time."""
    return datetime.combine(day, time.min, SHANGHAI).astimezone(UTC)


def end_of_day(day: date) -> datetime:
    """Return 24:00 Asia/Shanghai of a day, which is 00:00 of the next, as an aware UTC time."""
    return start_of_day(day + timedelta(days=1))


def week_start(day: date) -> date:
    """Return the Monday of a day's week (R10.4)."""
    return day - timedelta(days=day.weekday())
