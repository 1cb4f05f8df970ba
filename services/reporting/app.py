"""Reporting, put together.

letters ──▶ handlers ──▶ domain: a row per letter ──▶ marks on (mailbox, day) cells ──▶ recounting ──▶ cells
                                                                                                        │
leaders, units, duty office ◀──HTTP── api: weekly bulletin, figures of a period ◀── reports ◀───────────┘
"""

from pathlib import Path

from services.reporting import api, routes_statistics
from services.reporting.domain import ON
from services.reporting.handlers import Recounting, Rows
from services.reporting.reports import Reports
from services.reporting.repository import NAME, Cells, make_rows
from services.reporting.statistics import Statistics
from services.reporting.statistics_cells import Months
from services.runtime import Kit, Service
from shared.messaging.broker import subscribe
from shared.messaging.letters import Domain
from shared.web.templates import Pages


def build(kit: Kit) -> Service:
    """Build the service; it starts later."""
    service = Service.new(NAME, kit)
    cells = Cells(kit.store, kit.directory)
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
    pages = Pages(Path(__file__).parent / "pages", now=kit.clock.now, rate=lambda: kit.clock.rate)

    service.letters = rows
    service.derived = ["rows", "cells"]
    service.rebuilt.append(recounting.sweep)
    service.prepare += [rows.aggregates.ensure, cells.ensure]
    service.subscribers.append(
        subscribe(
            service.broker,
            rows.handle,
            group=kit.group(NAME),
            topics=[kit.namespace + "letters"],
            title="reporting: facts about letters",
        )
    )
    service.sweeps["cells"] = recounting.sweep
    service.measures.append(recounting.measure)
    service.routers.append(
        api.router(Reports(cells, kit.directory), kit.clock, pages, public=kit.settings.bulletin_public)
    )
    months = Months(cells, kit.directory)
    service.routers.append(
        routes_statistics.router(Statistics(months.read, months.first_day, kit.directory), kit.clock, pages)
    )
    return service
