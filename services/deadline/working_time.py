"""The domain's rules, made from the working calendar and the settings."""

from datetime import date, datetime, timedelta
from functools import lru_cache

from services.deadline.domain import Limit, Rules
from services.settings import Settings
from shared.calendar.working_days import Due, WorkingCalendar
from shared.calendar.zone import business_date, start_of_day

_ONE_DAY = timedelta(days=1)
_INSTANT = timedelta(milliseconds=1)


def rules_of(calendar: WorkingCalendar, settings: Settings) -> Rules:
    """Return the rules of R1.4, R3.1, R6.1, R7.1 and R7.3 for a calendar and the limits that the settings name.

    An urging goes out as a day begins, so its own day counts in the interval to the next; the day on which progress was explained does not,
    as the day of receipt does not in R6.1.
    """
    interval = settings.urge_every_working_days
    before = sorted(set(settings.remind_working_days), reverse=True)

    def limit(due: Due) -> Limit:
        return Limit(due.at, due.provisional)

    def due_soon(now: datetime) -> datetime:
        yesterday = business_date(now) - _ONE_DAY
        return start_of_day(calendar.add_working_days(yesterday, max(before, default=0) + 1)[0])

    def days_left(now: datetime, due_at: datetime) -> int:
        last = business_date(due_at - _INSTANT)
        if now < due_at:
            return calendar.working_days_between(business_date(now) - _ONE_DAY, last)
        return calendar.working_days_between(business_date(now), last)

    @lru_cache(maxsize=4096)
    def remind_at(due_at: datetime) -> tuple[datetime, ...]:
        last = business_date(due_at - _INSTANT)
        return tuple(start_of_day(_back(calendar, last, days)) for days in before)

    def schedules(start: datetime, end: datetime) -> str:
        years = calendar.schedule_years(business_date(start), business_date(end - _INSTANT))
        named = "、".join(str(year) for year in years)
        return f"按国务院{named}年节假日安排重新计算 / counted again by the State Council's schedule of {', '.join(map(str, years))}"

    return Rules(
        reading_due=lambda arrived: limit(calendar.reading_due(arrived)),
        disposition_due=lambda registered: limit(calendar.reply_due(registered, settings.disposition_working_days)),
        reply_due=lambda received, days: limit(calendar.reply_due(received, days)),
        reply_working_days=settings.reply_working_days,
        remind_at=remind_at,
        urge_again=lambda urged: calendar.reply_due(urged - _ONE_DAY, interval).at,
        hold_off=lambda explained: calendar.reply_due(explained, interval).at,
        due_soon=due_soon,
        days_left=days_left,
        schedules=schedules,
    )


def _back(calendar: WorkingCalendar, last: date, working_days: int) -> date:
    """Return the first of the last `working_days` working days up to and including `last`."""
    day = last
    while True:
        working_days -= calendar.is_working_day(day)
        if not working_days:
            return day
        day -= _ONE_DAY
