"""The rendered forms of bulletins and the statistics page, without engines: the service's routes over invented bulletins and months."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI, Request

from services.application import on_rule_broken
from services.reporting import routes_bulletins, routes_statistics
from services.reporting.issue_view import IssueView
from services.reporting.periods import Period
from services.reporting.statistics import Month, Statistics
from shared.calendar.clock import FixedClock
from shared.calendar.zone import SHANGHAI
from shared.contracts.errors import NotFound, RuleBroken
from shared.web.app import create_app
from shared.web.templates import Pages
from tests import bulletins
from tests.paper import press

NOW = datetime(2026, 3, 16, 9, tzinfo=SHANGHAI)
FOLDER = Path(routes_bulletins.__file__).parent / "pages"


def months(count: int = 14) -> dict[date, Month]:
    """Invented months, the last one that of NOW; some classes are too small to be shown."""
    found: dict[date, Month] = {}
    first = date(2026, 3, 1)
    for back in range(count):
        size = 40 - back
        found[first] = Month(
            received=10 * size,
            answered=9 * size,
            domains={"utilities": 7 * size, "education": 3 * size - 2, "public-security": 2},
            regions={"500103": 10 * size - 3, "500105": 2, "500101": 1},
            units={"mayor": 8 * size, "education": size, "water": size - 1, "yuzhong": 1},
            in_time={"education": size, "water": size // 2, "yuzhong": 1},
            overdue={"education": 0, "water": 3, "yuzhong": 0},
        )
        first = (first - timedelta(days=1)).replace(day=1)
    return found


def statistics(known: Mapping[date, Month]) -> Statistics:
    """Statistics over months that are already read."""

    async def read(period: Period) -> Month:
        return known.get(period.first_day, Month())

    async def first_day() -> date | None:
        return min(known) if known else None

    return Statistics(read, first_day, bulletins.TREE)


def desk(
    issues: Sequence[IssueView] = (), known: Mapping[date, Month] | None = None, *, site: str = "https://mail.city.test"
) -> FastAPI:
    """The application."""
    by_id = {issue.id: issue for issue in issues}

    async def read(_: Request, id: str) -> IssueView:
        if id not in by_id:
            raise NotFound("R11.2", f"没有这一期：{id} / There is no such bulletin.")
        return by_id[id]

    async def listed(_: Request, after: str | None, limit: int) -> list[tuple[str, IssueView]]:
        found = [(issue.id, issue) for issue in issues if issue.hash and (after is None or issue.id < after)]
        return sorted(found, key=lambda one: one[0], reverse=True)[:limit]

    @contextlib.asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> Mapping[str, str | None]:
        return {}

    pages = Pages(FOLDER, now=lambda: NOW)
    clock = FixedClock(NOW)
    routers = [
        routes_bulletins.router(read, listed, press(), pages, clock, site=site),
        routes_statistics.router(statistics(months() if known is None else known), clock, pages),
    ]
    app = create_app("paper", routers, lifespan=alive, services=["reporting"], readiness=ready)
    app.add_exception_handler(RuleBroken, on_rule_broken)
    return app
