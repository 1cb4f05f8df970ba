"""HTTP: the weekly bulletin, and figures of a mailbox or the whole city in any period."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import HTMLResponse

from services.reporting import rights, routes_issues
from services.reporting.figures import Figure
from services.reporting.issue_store import Issues
from services.reporting.issue_view import Series
from services.reporting.issues import Run
from services.reporting.periods import parse_week, period, week_before, week_id, week_of
from services.reporting.reports import Reports
from services.reporting.summing import SINGLE
from services.reporting.views import HANDLING, Bulletin, FiguresView, Weeks, first_level
from shared.calendar.clock import Clock
from shared.contracts.errors import NotFound
from shared.directory import UnknownMailbox
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, authenticated
from shared.web.documented import also
from shared.web.languages import Lang, language_of
from shared.web.templates import Pages

Week = Annotated[
    str, Path(description="ISO 8601 week, Monday 00:00 to Sunday 24:00 Asia/Shanghai.", examples=["2026-W07"])
]
From = Annotated[date, Query(alias="from", description="First day, Asia/Shanghai.", examples=["2026-02-09"])]
To = Annotated[date, Query(description="The first day that is no longer counted.", examples=["2026-02-16"])]


def _reader(public: bool) -> Callable[[Request], Awaitable[None]]:
    async def may_read(request: Request) -> None:
        """Anybody where the bulletin is public; it holds figures only. Otherwise whoever has a valid token."""
        if not public:
            await authenticated(request)

    return may_read


def router(
    reports: Reports, issues: Issues, reading: routes_issues.Reading, clock: Clock, pages: Pages, *, public: bool
) -> APIRouter:
    """Return the service's routes; `public`: the bulletin needs no token."""
    routes = APIRouter(prefix="/reporting", tags=["reporting"])
    reader = [Depends(_reader(public))]

    @routes.get(
        "/weeks", summary="Weeks that have figures, newest first (R11.2)", responses=also(401, 403), dependencies=reader
    )
    async def weeks(
        limit: Annotated[int, Query(ge=1, le=520, description="How many weeks to look back.")] = 53,
    ) -> Weeks:
        return await reports.weeks(limit, clock.now())

    @routes.get(
        "/weeks/{week}",
        summary="The figures of a week as they are now, with the id of the number that was issued of it (R11.2)",
        responses=also(401, 403),
        dependencies=reader,
    )
    async def bulletin(week: Week) -> Bulletin:
        wanted = parse_week(week)
        made = await reports.bulletin(wanted, clock.now())
        named = Run(Series.WEEKLY, reports.directory.mayor.code).id_of(wanted)
        return made.model_copy(update={"issue": named if await issues.exists(named) else None})

    @routes.get(
        "/weeks/{week}/page",
        summary="《市长信箱工作周报》 of a week as a page to read or print (R11.2)",
        responses=also(401, 403),
        dependencies=reader,
        response_class=HTMLResponse,
    )
    async def page(week: Week, lang: Lang = "zh") -> HTMLResponse:
        now = clock.now()
        wanted = parse_week(week)
        made = await bulletin(week)
        earlier, later = week_before(wanted), week_of(wanted.end_day)
        return pages.render(
            "weekly.html",
            language=language_of(lang),
            bulletin=made,
            domains=first_level(made.figures.domains, reports.directory),
            single=SINGLE,
            handling=HANDLING,
            definitions=list(Figure),
            earlier=week_id(earlier),
            later=week_id(later) if later.starts_at <= now else None,
        )

    @routes.get("/mailboxes/{code}/figures", summary="Figures of a mailbox in a period (R10.2, R10.4)")
    async def mailbox_figures(caller: Authenticated, code: str, first: From, to: To) -> FiguresView:
        rights.FIGURES.check(caller, {Relation.NAMED: (code, reports.directory.current(code))})
        try:
            reports.directory.get(code)
        except UnknownMailbox as unknown:
            raise NotFound(unknown.rule, unknown.message) from None
        return await reports.figures(code, period(first, to))

    @routes.get("/city/figures", summary="Figures of the whole city in a period, for the duty office (R1.2, R10.4)")
    async def city_figures(caller: Authenticated, first: From, to: To) -> FiguresView:
        rights.CITY.check(caller, {})
        return await reports.figures(None, period(first, to))

    routes_issues.add(routes, reading, issues)
    return routes
