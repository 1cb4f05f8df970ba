"""The public site: finished letters that were approved for it (R9.2).

No login, no original text, no citizen's data.

Each page is HTML, and JSON at the same address with `.json` (or with `?format=json`, or asked for with the header `Accept`).
"""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from services.publication.answering import BY_ACCEPT, Accept, Format, answer, wants_json
from services.publication.repository import PublicHead, PublicLetter, PublicSite
from shared.directory import Directory
from shared.web.languages import Lang, language_of
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem
from shared.web.templates import Pages

PAGE_SIZE = 20
_NUMBER = re.compile(r"[A-Z]{2,12}-[1-9]\d{3}-[1-9]\d{0,8}")
_LETTERS_LAST = {"Cache-Control": "public, max-age=15"}

Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]


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


def router(site: PublicSite, directory: Directory, pages: Pages) -> APIRouter:
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

    @routes.get("/letters.json", response_model=LetterList, summary="Published letters, newest first (R9.2)")
    async def letters_json(cursor: Cursor = None, limit: Limit = PAGE_SIZE) -> Response:
        """List published letters."""
        return await answer(pages, letter_list(cursor, limit), "", _LETTERS_LAST, as_json=True)

    @routes.get("/letters", response_class=HTMLResponse, summary="Published letters as a page (R9.2)")
    async def letters(accept: Accept = "", wanted: Format = "", cursor: Cursor = None, lang: Lang = "") -> Response:
        """List published letters, newest first."""
        return await answer(
            pages,
            letter_list(cursor, PAGE_SIZE),
            "letters.html",
            _LETTERS_LAST | BY_ACCEPT,
            as_json=wants_json(accept, wanted),
            language=language_of(lang),
            is_first=cursor is None,
        )

    @routes.get("/letters/{number}.json", response_model=LetterPage, summary="One published letter (R9.2)")
    async def letter_json(number: str) -> Response:
        """Show the approved text."""
        return await answer(pages, letter_page(number), "", _LETTERS_LAST, as_json=True)

    @routes.get("/letters/{number}", response_class=HTMLResponse, summary="One published letter as a page (R9.2)")
    async def letter(number: str, accept: Accept = "", wanted: Format = "", lang: Lang = "") -> Response:
        """Show the approved text."""
        as_json = wants_json(accept, wanted)
        return await answer(
            pages,
            letter_page(number),
            "letter.html",
            _LETTERS_LAST | BY_ACCEPT,
            as_json=as_json,
            language=language_of(lang),
        )

    return routes


def _plain(part: BaseModel) -> dict[str, Any]:
    return dict(part)


def _address(head: PublicHead) -> str:
    return f"/public/letters/{head.number}"
