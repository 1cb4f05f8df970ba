"""Reporting, put together.

letters ──▶ handlers ──▶ domain: a row per letter ──▶ marks on (mailbox, day) cells ──▶ recounting ──▶ cells ──▶ totals
                                                                                                        │
leaders, units, duty office ◀──HTTP── api: figures of a period ◀── reports ◀────────────────────────────┤
                            ◀──HTTP── routes_issues ◀── issue_store ◀── issuing ◀── composing ◀─────────┘
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import Request

from services.kit import Kit
from services.reporting import api, routes_bulletins, routes_statistics
from services.reporting.composing import Composing
from services.reporting.distribution import load_distribution
from services.reporting.domain import ON
from services.reporting.handlers import Recounting, Rows
from services.reporting.issue_store import IssueLine, Issues, Revisions
from services.reporting.issue_view import IssueView
from services.reporting.issuing import Counted, Issuing
from services.reporting.last_backup import LastBackup
from services.reporting.reports import Reports
from services.reporting.repository import NAME, Cells, make_rows
from services.reporting.routes_issues import Reading
from services.reporting.running_week import RunningWeek
from services.reporting.statistics import Statistics
from services.reporting.statistics_cells import Months
from services.reporting.supervising import supervise
from services.reporting.totals import Totals
from services.runtime import Service
from shared.messaging.broker import committed_of, ends_of
from shared.messaging.work import Domain


def build(kit: Kit) -> Service:
    """Build the service; it starts later.

    Raises:
        DistributionError: the list of who gets bulletins cannot be used.
    """
    service = Service.new(NAME, kit)
    settings = kit.settings
    cells = Cells(kit.store, kit.directory, kit.calendar)
    rows = Rows(
        domain=Domain(NAME, ON),
        aggregates=make_rows(kit.store, kit.directory),
        outbox=service.outbox,
        parking=service.parking,
        clock=kit.clock,
        namespace=kit.namespace,
        cells=cells,
    )
    recounting = Recounting(rows, cells)
    totals = Totals(cells)
    reports = Reports(totals, kit.directory)
    issues, revisions = Issues(kit.store), Revisions(kit.store)
    issuing = Issuing(
        issues=issues,
        revisions=revisions,
        composing=Composing(reports, rows.aggregates, load_distribution(settings.bulletin_list_file)),
        counted=_counted(service),
        clock=kit.clock,
        after=settings.bulletin_delay(),
        again_seconds=10 * settings.sweep_seconds,
    )
    cells.hear += [issuing, totals]
    reading = Reading(issues, issuing, kit.directory, kit.clock, public=settings.bulletin_public)
    pages = kit.pages(Path(__file__).parent / "pages")

    service.letters = rows
    service.parts += [recounting, issuing]
    service.derived = ["rows", "cells", "totals"]
    service.rebuilt.append(recounting.sweep)
    service.prepare += [rows.aggregates.ensure, cells.ensure, issues.ensure, revisions.ensure]
    service.follow_letters()
    service.sweeps_of_one |= {"cells": recounting.sweep, "issues": issuing.sweep}
    service.measures += [recounting.measure, issuing.measure, RunningWeek(reports, kit.clock).measure]
    service.counts.append(LastBackup(kit.store).measure)
    months = Months(cells, kit.directory)
    service.routers += [
        # Before those of `/reporting/issues/{id}`, which match its files too.
        routes_bulletins.router(*_for_readers(reading, issues), kit.press, pages, kit.clock, site=settings.site_url),
        routes_statistics.router(Statistics(months.read, months.first_day, kit.directory), kit.clock, pages),
        api.router(reports, issues, reading, kit.clock, pages, public=settings.bulletin_public),
    ]
    supervise(service, rows.aggregates, issuing)
    return service


def _for_readers(reading: Reading, issues: Issues) -> tuple[routes_bulletins.Read, routes_bulletins.Listed]:
    async def read(request: Request, id: str) -> IssueView:
        found = await reading.read(request, id)
        return found if isinstance(found, IssueView) else found.view

    async def listed(request: Request, after: str | None, limit: int) -> list[tuple[str, IssueLine]]:
        return await issues.page(await reading.query(request, None, None, None), after, limit)

    return read, listed


def _counted(service: Service) -> Counted:
    topic = service.kit.namespace + "letters"

    def of(read: Callable[..., Awaitable[dict[int, int]]]) -> Callable[[], Awaitable[dict[int, int]]]:
        async def offsets() -> dict[int, int]:
            return await read(service.subscribers[0], topic)

        return offsets

    return Counted(ends=of(ends_of), committed=of(committed_of))
