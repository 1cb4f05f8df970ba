"""The public site: finished letters that were approved for it (R9.2), and the notice board (R7.2).

No login, no original text, no citizen's data.

Each page is HTML, and JSON at the same address with `.json` (or with `?format=json`, or asked for with the header `Accept`).
"""

import re
from collections import Counter
from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.publication.repository import Notice, PublicHead, PublicLetter, PublicSite
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import business_date
from shared.contracts.types import Moment
from shared.directory import Directory
from shared.storage import StoreUnavailable
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem, ServiceUnavailable
from shared.web.templates import Pages

PAGE_SIZE = 20
SHOWN_ON_BOARD = 500
"""Entries shown one by one; the totals always count all."""
_NUMBER = re.compile(r"[A-Z]{2,12}-[1-9]\d{3}-[1-9]\d{0,8}")
_LETTERS_LAST = {"Cache-Control": "no-cache"}
_BOARD_LASTS = {"Cache-Control": "public, max-age=2"}
_BY_ACCEPT = {"Vary": "Accept"}

Accept = Annotated[str, Header(include_in_schema=False)]
Format = Annotated[str, Query(alias="format", description="`json`: answer with JSON instead of a page.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]


class Clock(Protocol):
    """Whatever tells the time."""

    def now(self) -> datetime:
        """Return the moment (aware, UTC)."""


class LetterLine(PublicHead):
    """A published letter in the list."""

    unit: str
    """Name of the mailbox that answered."""
    address: str


class LetterPage(LetterLine):
    """A published letter: the approved text."""

    body: str
    reply: str


class LetterList(BaseModel):
    """A page of published letters, newest first."""

    items: list[LetterLine]
    next: str | None
    """Send as `cursor` for the next page; null on the last one."""


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

    async def letter_list(cursor: str | None, limit: int) -> LetterList:
        after = decode_cursor(cursor, str)
        found = await site.page(after[0] if after else None, limit)
        lines = [
            LetterLine(**_plain(head), unit=unit_name(head.mailbox), address=_address(head)) for head in found.letters
        ]
        return LetterList(items=lines, next=encode_cursor(found.next) if found.next else None)

    async def letter_page(number: str) -> LetterPage:
        asked = number.upper()
        found: PublicLetter | None = await site.letter(asked) if _NUMBER.fullmatch(asked) else None
        if found is None:
            raise Problem(
                404,
                "没有这封公开信件 / No such published letter",
                "这个编号没有公开的信件：可能编号有误，或来信尚未办结、尚未批准公开、不予公开。 / No letter is published under this "
                "number. Numbers look like YFX-2026-17; the list of all published letters is at /public/letters.",
                slug="not-published",
                rule="R9.1",
            )
        return LetterPage(**_plain(found), unit=unit_name(found.mailbox), address=_address(found))

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

    async def answer(
        content: Awaitable[BaseModel], template: str, lasts: Mapping[str, str], *, as_json: bool, **values: Any
    ) -> Response:
        """Answer with JSON or with a page; those who asked for a page get their problem as a page too."""
        if as_json:
            return Response((await content).model_dump_json(), 200, {**lasts}, "application/json")
        problem: Problem
        try:
            return pages.render(template, headers=lasts, content=await content, **values)
        except StoreUnavailable:
            problem = ServiceUnavailable("the document store")
        except Problem as error:
            problem = error
        return pages.render("problem.html", status=problem.status, headers=problem.headers, problem=problem)

    @routes.get("", include_in_schema=False)
    async def bare() -> Response:
        return RedirectResponse("/public/")

    @routes.get("/", response_class=HTMLResponse, summary="The public site")
    async def home() -> Response:
        """Say in a few words what there is to see."""
        return pages.render("home.html", headers=_LETTERS_LAST)

    @routes.get("/letters.json", response_model=LetterList, summary="Published letters, newest first (R9.2)")
    async def letters_json(cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> Response:
        """List published letters."""
        return await answer(letter_list(cursor, limit), "", _LETTERS_LAST, as_json=True)

    @routes.get("/letters", response_class=HTMLResponse, summary="Published letters as a page (R9.2)")
    async def letters(accept: Accept = "", wanted: Format = "", cursor: Cursor = None) -> Response:
        """List published letters, newest first."""
        return await answer(
            letter_list(cursor, PAGE_SIZE),
            "letters.html",
            _LETTERS_LAST | _BY_ACCEPT,
            as_json=_wants_json(accept, wanted),
            is_first=cursor is None,
        )

    @routes.get("/letters/{number}.json", response_model=LetterPage, summary="One published letter (R9.2)")
    async def letter_json(number: str) -> Response:
        """Show the approved text."""
        return await answer(letter_page(number), "", _LETTERS_LAST, as_json=True)

    @routes.get("/letters/{number}", response_class=HTMLResponse, summary="One published letter as a page (R9.2)")
    async def letter(number: str, accept: Accept = "", wanted: Format = "") -> Response:
        """Show the approved text."""
        as_json = _wants_json(accept, wanted)
        return await answer(letter_page(number), "letter.html", _LETTERS_LAST | _BY_ACCEPT, as_json=as_json)

    @routes.get("/board.json", response_model=Board, summary="The notice board (公示栏, R7.2, R7.4)")
    async def board_json() -> Response:
        """Show the letters that the mayor's mailbox urged, or whose reply it sent back, and that still have no reply."""
        return await answer(board_now(), "", _BOARD_LASTS, as_json=True)

    @routes.get("/board", response_class=HTMLResponse, summary="The notice board as a page (公示栏, R7.2, R7.4)")
    async def board(accept: Accept = "", wanted: Format = "") -> Response:
        """Show the board; its times tick."""
        as_json = _wants_json(accept, wanted)
        return await answer(board_now(), "board.html", _BOARD_LASTS | _BY_ACCEPT, as_json=as_json)

    return routes


def _plain(part: BaseModel) -> dict[str, Any]:
    return dict(part)


def _address(head: PublicHead) -> str:
    return f"/public/letters/{head.number}"


def _wants_json(accept: str, wanted: str) -> bool:
    return wanted == "json" or ("application/json" in accept and "text/html" not in accept)
