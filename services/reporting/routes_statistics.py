"""Routes of the public's statistics (R10.4): a page, and the same as JSON and CSV."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from starlette.responses import HTMLResponse

from services.reporting.drawing import HELPERS
from services.reporting.statistics import Statistics, StatisticsView, table
from shared.calendar.clock import Clock
from shared.web.documented import file_of
from shared.web.languages import Lang, Language, language_of
from shared.web.templates import Pages, in_others

Year = Annotated[
    int | None,
    Query(ge=2000, le=9999, description="A calendar year; none: the last twelve months.", examples=[2026]),
]
KEEP: Final = {"Cache-Control": "public, max-age=60"}
"""Figures of the running month are a minute old anyway."""
DRAWN_FOR: Final = timedelta(minutes=1)
"""So long a page is sent again that says the same: charts cost more than all else of it."""


def router(statistics: Statistics, clock: Clock, pages: Pages) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["statistics"])
    drawn: dict[tuple[int | None, Language], tuple[datetime, StatisticsView, HTMLResponse]] = {}

    @routes.get("/statistics", summary="统计 Statistics for everybody, a page (R10.4)", response_class=HTMLResponse)
    async def page(year: Year = None, lang: Lang = "zh") -> HTMLResponse:
        now, language = clock.now(), language_of(lang)
        found = await statistics.of(year, now)
        if (kept := drawn.get((year, language))) is not None:
            at, of, page = kept
            if of == found and timedelta() <= now - at < DRAWN_FOR:
                return page
        others = in_others("/statistics" if year is None else f"/statistics?year={year}", language)
        page = pages.render(
            "statistics.html", language=language, headers=KEEP, s=found, other_languages=others, **HELPERS
        )
        drawn[year, language] = now, found, page
        return page

    @routes.get("/statistics.json", summary="统计 Statistics for everybody, as data (R10.4)")
    async def data(response: Response, year: Year = None) -> StatisticsView:
        """Breakdowns keep small numbers back; `rule` says how."""
        response.headers.update(KEEP)
        return await statistics.of(year, clock.now())

    @routes.get(
        "/statistics.csv",
        summary="统计 Statistics for everybody, as a table (R10.4)",
        response_class=Response,
        responses=file_of("text/csv; charset=utf-8"),
    )
    async def csv(year: Year = None) -> Response:
        """UTF-8 with a mark at its beginning, by which spreadsheets know it; lines by month, domain, region and unit."""
        content = table(await statistics.of(year, clock.now()))
        name = f"statistics-{year or 'last-12-months'}.csv"
        return Response(
            b"\xef\xbb\xbf" + content.encode(),
            media_type="text/csv; charset=utf-8",
            headers={**KEEP, "Content-Disposition": f'attachment; filename="{name}"'},
        )

    return routes
