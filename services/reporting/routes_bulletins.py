"""Routes of issued bulletins as people hold them (R11.2, R11.3): pages, PDF, XLSX. The data is `GET /reporting/issues/{issue}`."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Annotated, Final, Protocol
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import HTMLResponse, Response

from services.reporting.bulletin import file_name, sections, title
from services.reporting.drawing import HELPERS
from services.reporting.issue_view import IssueView
from services.reporting.rendering import meanings, pdf, xlsx
from services.reporting.wording import WORDS, days
from shared.calendar.clock import Clock
from shared.printing.press import RETRY_AFTER_SECONDS, WAITING, Press, Turns
from shared.printing.sheet import MEDIA_TYPE
from shared.security.tokens import says_who
from shared.web.documented import also, file_of
from shared.web.languages import Lang, language_of
from shared.web.templates import Pages, in_others


class Line(Protocol):
    """An issued bulletin as a list shows it; `IssueView` is one."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def name(self) -> str:
        """Chinese name of the mailbox that it is about."""

    @property
    def number_text(self) -> str:
        """``〔2026〕第7期（总第59期）``."""

    @property
    def first_day(self) -> date:
        """The first day that it is about."""

    @property
    def last_day(self) -> date:
        """The last one."""

    @property
    def issued_at(self) -> datetime | None:
        """When it was issued."""


Read = Callable[[Request, str], Awaitable[IssueView]]
"""(request, id) → the bulletin, or the preview of one; raises NotFound, or a 401 or 403 for whom it is not (R11.3)."""
Listed = Callable[[Request, str | None, int], Awaitable[Sequence[tuple[str, Line]]]]
"""(request, place of the last one seen, how many) → what the caller may see, with their places, the last issued first."""

Id = Annotated[str, Path(max_length=120, description="Id of the bulletin.", examples=["weekly-mayor-2026-W07"])]
After = Annotated[str | None, Query(max_length=200, description="Place of the last bulletin of the page before.")]
PER_PAGE: Final = 30
KEPT: Final = 32
"""So many files and pages are kept ready: the bulletins of the day, which everybody reads at once."""


PREVIEW_KEPT_FOR: Final = timedelta(minutes=1)
"""So long what was made of a preview is sent again while it says the same."""

MEDIA_TYPES: Final = {"pdf": "application/pdf", "xlsx": MEDIA_TYPE}


def router(read: Read, listed: Listed, press: Press, pages: Pages, clock: Clock, *, site: str) -> APIRouter:
    """Return the routes, to be given before those of `/reporting/issues/{id}`, which match these too.

    `site` is the address under which people reach the system, without a slash at its end: printed bulletins lead there. Empty: nowhere.
    """
    routes = APIRouter(tags=["bulletins"])
    files = Files(press, clock)

    async def readable(request: Request, id: Id) -> IssueView:
        return await read(request, id)

    @routes.get(
        "/bulletins",
        summary="工作通报 Issued bulletins, a page (R11.2)",
        responses=also(401, 403),
        response_class=HTMLResponse,
    )
    async def all_of_them(request: Request, after: After = None, lang: Lang = "zh") -> HTMLResponse:
        found = await listed(request, after, PER_PAGE + 1)
        return pages.render(
            "issues.html",
            language=language_of(lang),
            issues=[{"issue": issue, "days": days(issue.first_day, issue.last_day)} for _, issue in found[:PER_PAGE]],
            more=found[PER_PAGE - 1][0] if len(found) > PER_PAGE else None,
            first=after is None,
        )

    @routes.get(
        "/bulletins/{id}",
        summary="一期通报 An issued bulletin, a page to read or print (R11.2, R11.3)",
        responses=also(401, 403),
        response_class=HTMLResponse,
    )
    async def page(found: Annotated[IssueView, Depends(readable)], lang: Lang = "zh") -> HTMLResponse:
        language = language_of(lang)
        others = in_others(f"/bulletins/{quote(found.id)}", language)

        def make() -> bytes:
            made = pages.text(
                "issue.html",
                language=language,
                other_languages=others,
                issue=found,
                title=title(found),
                subject=f"{found.name}{WORDS[found.series].now}工作情况",
                days=days(found.first_day, found.last_day),
                sections=sections(found),
                meanings=meanings(found),
                **HELPERS,
            )
            return made.encode()

        return HTMLResponse(await files.made(found, language, make, files.drawing))

    @routes.get(
        "/reporting/issues/{id}.pdf",
        summary="一期通报 An issued bulletin, on paper (R11.2, R11.3)",
        response_class=Response,
        responses=file_of("application/pdf") | also(304, 401, 403),
    )
    async def on_paper(request: Request, found: Annotated[IssueView, Depends(readable)]) -> Response:
        link = f"{site}/bulletins/{found.id}" if site else ""
        make = partial(pdf, press, found, link)
        return await files.send(request, found, "pdf", make)

    @routes.get(
        "/reporting/issues/{id}.xlsx",
        summary="一期通报 The tables of an issued bulletin, a workbook (R11.2, R11.3)",
        response_class=Response,
        responses=file_of(MEDIA_TYPE) | also(304, 401, 403),
    )
    async def as_workbook(request: Request, found: Annotated[IssueView, Depends(readable)]) -> Response:
        return await files.send(request, found, "xlsx", partial(xlsx, found))

    return routes


@dataclass(frozen=True, slots=True)
class _Made:
    """A file or page, when it was made and of what."""

    at: datetime
    issue: IssueView
    content: bytes


class Files:
    """Files and pages of bulletins, made off the event loop, once for all who ask at the same time, and kept for a while."""

    def __init__(self, press: Press, clock: Clock) -> None:
        self._press = press
        self._clock = clock
        self.drawing = Turns("bulletin-pages", WAITING, RETRY_AFTER_SECONDS)
        """For pages: their charts take tenths of a second, and no page waits for a register."""
        self._kept: OrderedDict[tuple[str, str | None, str], _Made] = OrderedDict()
        self._making: dict[tuple[str, str | None, str], asyncio.Task[bytes]] = {}

    async def send(self, request: Request, issue: IssueView, kind: str, make: Callable[[], bytes]) -> Response:
        """Answer with a file, or 304 where the asker's copy still holds.

        Raises:
            PressBusy: too many wait.
            CannotPrint: there are no fonts.
        """
        headers = {"Content-Disposition": f'inline; filename="{file_name(issue, kind)}"'}
        if issue.hash is not None:
            # What needed no token may be kept by caches on the way.
            kept_by = "private, no-cache" if says_who(request) else "public, max-age=3600"
            headers |= {"ETag": f'"{issue.hash}-{kind}"', "Cache-Control": kept_by, "Vary": "Authorization, Cookie"}
            if headers["ETag"] in request.headers.get("if-none-match", ""):
                return Response(status_code=304, headers=headers)
        content = await self.made(issue, kind, make, self._press.long)
        return Response(content, media_type=MEDIA_TYPES[kind], headers=headers)

    async def made(self, issue: IssueView, kind: str, make: Callable[[], bytes], turns: Turns) -> bytes:
        """Return what is kept of a bulletin; else make it in turn. An issued one never changes, a preview does.

        Raises:
            PressBusy: too many wait.
            CannotPrint: there are no fonts.
        """
        key = (issue.id, issue.hash, kind)
        kept = self._kept.get(key)
        if kept is not None and (issue.hash is not None or self._says_the_same(kept, issue)):
            return kept.content
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._make(key, issue, make, turns))
        return await asyncio.shield(self._making[key])  # who goes away takes nothing from the others who wait for it

    def _says_the_same(self, kept: _Made, preview: IssueView) -> bool:
        return kept.issue == preview and timedelta() <= self._clock.now() - kept.at < PREVIEW_KEPT_FOR

    async def _make(
        self, key: tuple[str, str | None, str], issue: IssueView, make: Callable[[], bytes], turns: Turns
    ) -> bytes:
        try:
            content = await turns.take(make)
        finally:
            del self._making[key]
        self._kept[key] = _Made(self._clock.now(), issue, content)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return content
