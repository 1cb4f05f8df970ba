"""The notice board at one moment, as it is shown (公示栏, R7.2, R7.4): pure, of its entries, the working calendar and the time."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel

from services.publication.repository import Notice
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import business_date, end_of_day
from shared.contracts.types import Moment

SHOWN_ON_BOARD = 500
"""Entries shown one by one; the totals always count all."""
DAYS_AHEAD = 21
"""For how many days a page that stays open knows when working days begin; longer than any holiday."""


class BoardEntry(Notice):
    """A letter that still has no reply after it was urged or its reply was sent back, with the time since it was due (R7.2, R7.4)."""

    unit: str
    overdue_seconds: int
    """Calendar time since the due moment; 0 while a redo is not due yet."""
    overdue_working_days: int
    """Working days since the due moment, the current day included if it is one."""
    address: str | None
    """Where the letter can be read, if it was approved for publication; `subject` is given then only."""


class UnitTotal(BaseModel):
    """How many letters of one unit stand on the board."""

    mailbox: str
    unit: str
    count: int
    urged: int
    """Of these: urged and not answered (催办)."""
    sent_back: int
    """Of these: sent back and not answered anew (退办)."""
    longest_seconds: int
    """Calendar time since the earliest due moment."""
    longest_due_at: Moment


class Board(BaseModel):
    """The notice board at one moment."""

    as_of: Moment
    total: int
    urged: int
    sent_back: int
    entries: list[BoardEntry]
    """The longest overdue first; at most 500."""
    units: list[UnitTotal]
    """All units with entries, the most first; of equal ones the one that is late the longest."""
    working_days_begin: list[Moment]
    """When the working days of the next three weeks begin: each lets `overdue_working_days` of all that are due grow by one."""


def board_at(
    now: datetime, notices: Sequence[Notice], calendar: WorkingCalendar, unit_name: Callable[[str], str]
) -> Board:
    """Return the board; `notices` are all entries, the longest overdue first."""
    return Board(
        as_of=now,
        total=len(notices),
        urged=sum(notice.for_what != "sent_back" for notice in notices),
        sent_back=sum(notice.for_what == "sent_back" for notice in notices),
        entries=[_entry(now, notice, calendar, unit_name) for notice in notices[:SHOWN_ON_BOARD]],
        units=_totals(now, notices, unit_name),
        working_days_begin=list(_beginnings(now, calendar)),
    )


def _entry(now: datetime, notice: Notice, calendar: WorkingCalendar, unit_name: Callable[[str], str]) -> BoardEntry:
    last_day = business_date(notice.due_at - timedelta(milliseconds=1))
    return BoardEntry(
        **dict(notice),
        unit=unit_name(notice.mailbox),
        overdue_seconds=_seconds(now, notice.due_at),
        overdue_working_days=max(0, calendar.working_days_between(last_day, business_date(now))),
        address=None if notice.subject is None else f"/public/letters/{notice.number}",
    )


def _totals(now: datetime, notices: Sequence[Notice], unit_name: Callable[[str], str]) -> list[UnitTotal]:
    by_unit: dict[str, list[Notice]] = {}
    for notice in notices:
        by_unit.setdefault(notice.mailbox, []).append(notice)
    totals = [
        UnitTotal(
            mailbox=code,
            unit=unit_name(code),
            count=len(own),
            urged=sum(notice.for_what != "sent_back" for notice in own),
            sent_back=sum(notice.for_what == "sent_back" for notice in own),
            longest_seconds=_seconds(now, own[0].due_at),
            longest_due_at=own[0].due_at,
        )
        for code, own in by_unit.items()
    ]
    return sorted(totals, key=lambda total: (-total.count, total.longest_due_at, total.mailbox))


def _beginnings(now: datetime, calendar: WorkingCalendar) -> Iterator[datetime]:
    today = business_date(now)
    for ahead in range(DAYS_AHEAD):
        if calendar.is_working_day(today + timedelta(days=ahead + 1)):
            yield end_of_day(today + timedelta(days=ahead))


def _seconds(now: datetime, due_at: datetime) -> int:
    return max(0, int((now - due_at).total_seconds()))
