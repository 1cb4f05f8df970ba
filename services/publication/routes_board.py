"""The public notice board (公示栏, R7.2, R7.4): a page, and JSON."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from services.publication.answering import BY_ACCEPT, Accept, Format, answer, wants_json
from services.publication.repository import Notice, PublicSite
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import business_date
from shared.contracts.types import Moment
from shared.directory import Directory
from shared.web.templates import Pages

SHOWN_ON_BOARD = 500
"""Entries shown one by one; the totals always count all."""
LASTS = {"Cache-Control": "public, max-age=2"}


class Clock(Protocol):
    """Whatever tells the time."""

    def now(self) -> datetime:
        """Return the moment (aware, UTC)."""


class BoardEntry(Notice):
    """A letter that still has no reply after it was urged or its reply was sent back, with the time since it was due (R7.2, R7.4)."""

    unit: str
    overdue_seconds: int
    """Calendar time since the due moment."""
    overdue_working_days: int
    """Working days since the due moment, the current day included if it is one."""


class UnitTotal(BaseModel):
    """How many letters of one unit stand on the board."""

    mailbox: str
    unit: str
    count: int


class Board(BaseModel):
    """The notice board at one moment."""

    as_of: Moment
    total: int
    entries: list[BoardEntry]
    """The longest overdue first; at most 500."""
    units: list[UnitTotal]
    """All units with entries, the most first."""


def router(site: PublicSite, directory: Directory, calendar: WorkingCalendar, clock: Clock, pages: Pages) -> APIRouter:
    """Return the public endpoints."""
    routes = APIRouter(prefix="/public", tags=["public"])

    def unit_name(mailbox: str) -> str:
        return directory.get(mailbox).name if mailbox in directory else mailbox

    async def board_now() -> Board:
        now = clock.now()
        notices = await site.board()
        counts = Counter(notice.mailbox for notice in notices)
        return Board(
            as_of=now,
            total=len(notices),
            entries=[entry_of(notice, now) for notice in notices[:SHOWN_ON_BOARD]],
            units=[UnitTotal(mailbox=code, unit=unit_name(code), count=n) for code, n in counts.most_common()],
        )

    def entry_of(notice: Notice, now: datetime) -> BoardEntry:
        last_day = business_date(notice.due_at - timedelta(milliseconds=1))
        return BoardEntry(
            **_plain(notice),
            unit=unit_name(notice.mailbox),
            overdue_seconds=max(0, int((now - notice.due_at).total_seconds())),
            overdue_working_days=max(0, calendar.working_days_between(last_day, business_date(now))),
        )

    @routes.get("/board.json", response_model=Board, summary="The notice board (公示栏, R7.2, R7.4)")
    async def board_json() -> Response:
        """Show the letters that the mayor's mailbox urged, or whose reply it sent back, and that still have no reply."""
        return await answer(pages, board_now(), "", LASTS, as_json=True)

    @routes.get("/board", response_class=HTMLResponse, summary="The notice board as a page (公示栏, R7.2, R7.4)")
    async def board(accept: Accept = "", wanted: Format = "") -> Response:
        """Show the board; its times tick."""
        as_json = wants_json(accept, wanted)
        return await answer(pages, board_now(), "board.html", LASTS | BY_ACCEPT, as_json=as_json)

    return routes


def _plain(part: BaseModel) -> dict[str, Any]:
    return dict(part)
