"""The public notice board (公示栏, R7.2, R7.4): a page, a view for a screen in a lobby, and JSON; for staff what stood there before."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, Response

from services.publication.access import Access
from services.publication.answering import BY_ACCEPT, Accept, Format, answer, wants_json
from services.publication.board_view import SHOWN_ON_BOARD, Board, board_at
from services.publication.past_notices import PastNotice, PastNotices
from services.publication.repository import PublicSite
from shared.calendar.clock import Clock
from shared.calendar.working_days import WorkingCalendar
from shared.directory import Directory
from shared.security.tokens import Authenticated
from shared.web.documented import or_page
from shared.web.languages import Lang, language_of
from shared.web.paging import Page, decode_cursor, encode_cursor
from shared.web.templates import Pages

LASTS = {"Cache-Control": "no-cache"}
"""It may show the subject of a published letter, and one that is withdrawn is gone at once."""
ON_A_PAGE = 50
"""Entries of one page: a first view stays under 100 kB."""
ON_A_SCREEN = 8
"""Entries of one screenful in the lobby."""
SCREEN_SECONDS = 20
"""How long a screenful stays."""


def router(site: PublicSite, directory: Directory, calendar: WorkingCalendar, clock: Clock, pages: Pages) -> APIRouter:
    """Return the public endpoints."""
    routes = APIRouter(prefix="/public", tags=["public"])

    def unit_name(mailbox: str) -> str:
        return directory.get(mailbox).name if mailbox in directory else mailbox

    async def board_now() -> Board:
        return board_at(clock.now(), await site.board(), calendar, unit_name)

    @routes.get("/board.json", response_model=Board, summary="The notice board (公示栏, R7.2, R7.4)")
    async def board_json() -> Response:
        """Show the letters that the mayor's mailbox urged, or whose reply it sent back, and that still have no reply."""
        return await answer(pages, board_now(), "", LASTS, as_json=True)

    @routes.get(
        "/board",
        response_model=Board,
        responses=or_page(),
        summary="The notice board as a page (公示栏, R7.2, R7.4)",
    )
    async def board(
        accept: Accept = "",
        wanted: Format = "",
        lang: Lang = "",
        page: Annotated[int, Query(ge=1, le=SHOWN_ON_BOARD // ON_A_PAGE, description="Fifty entries are a page.")] = 1,
    ) -> Response:
        """Show the board; its times tick."""
        return await answer(
            pages,
            board_now(),
            "board.html",
            LASTS | BY_ACCEPT,
            as_json=wants_json(accept, wanted),
            language=language_of(lang),
            page=page,
            first=(page - 1) * ON_A_PAGE,
            last=page * ON_A_PAGE,
        )

    @routes.get("/board/lobby", response_class=HTMLResponse, summary="The notice board for a large screen (R7.2, R7.4)")
    async def lobby(
        lang: Lang = "",
        screen: Annotated[int, Query(ge=1, le=1000, description="Which screenful; past the last one the first.")] = 1,
        still: Annotated[bool, Query(description="Whether it stays at this screenful.")] = False,
    ) -> Response:
        """Show the board in large type, a screenful after the other, by itself."""
        found = await board_now()
        screens = max(1, -(-len(found.entries) // ON_A_SCREEN))
        shown = screen if screen <= screens else 1
        first = (shown - 1) * ON_A_SCREEN
        return pages.render(
            "lobby.html",
            language=language_of(lang),
            headers=LASTS,
            content=found,
            entries=found.entries[first : first + ON_A_SCREEN],
            screen=shown,
            screens=screens,
            following=shown % screens + 1,
            still=still,
            seconds=SCREEN_SECONDS,
        )

    return routes


def staff_router(past: PastNotices, access: Access) -> APIRouter:
    """Return what staff ask about the board: how long did which letter stand there."""
    routes = APIRouter(prefix="/publication", tags=["publication"])

    @routes.get("/notices", summary="What stood on the notice board, and how long (R7.2, R7.4)")
    async def notices(
        caller: Authenticated,
        mailbox: Annotated[str | None, Query(max_length=80, description="Only what this mailbox owed.")] = None,
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Page[PastNotice]:
        """List every posting, the letters posted last first; units ask for their own mailbox, the duty office for any or all."""
        access.may_see_notices(caller, mailbox)
        (after,) = decode_cursor(cursor, str) or (None,)
        found = await past.page(mailbox, after, limit, hidden=lambda case: access.hidden(caller, case))
        return Page(items=found.items, next=encode_cursor(found.next) if found.next else None)

    return routes
