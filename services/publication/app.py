"""Publication, put together.

letters ──▶ handlers ──▶ domain ──▶ repository ──▶ letters (prepared, published, withheld, notices)
                           ▲             │
staff ──HTTP──▶ api ───────┘             └──▶ site ──▶ the public: letters, notice board
"""

from functools import partial
from pathlib import Path

from services.publication import api, handlers, routes_board, routes_home, site
from services.publication.access import Access
from services.publication.domain import ON, Status, follow
from services.publication.repository import REPORTED, SERVICE, PublicSite, cases, ranges
from services.runtime import Kit, Service
from services.succession import Succession
from shared.messaging.letters import Domain, Letters
from shared.observability import metrics
from shared.web.templates import Pages

OPEN = (Status.TO_PREPARE, Status.TO_APPROVE)


def build(kit: Kit) -> Service:
    """Build the service; it starts later."""
    service = Service.new(SERVICE, kit)
    aggregates = cases(kit.store, kit.directory)
    letters = Letters(
        Domain(SERVICE, ON, partial(follow, mayor=kit.directory.mayor.code)),
        aggregates,
        service.outbox,
        service.parking,
        kit.clock,
        kit.namespace,
    )
    public = PublicSite(aggregates)
    pages = Pages(Path(__file__).parent / "pages", now=kit.clock.now, rate=lambda: kit.clock.rate)

    async def measure() -> None:
        for status in OPEN:
            metrics.letters.labels(SERVICE, status.value).set(await aggregates.count({"status": status.value}))
        noticed = await aggregates.count({"notice_due": {"$exists": True}})
        metrics.letters.labels(SERVICE, "on-notice-board").set(noticed)

    service.letters = letters
    service.prepare.append(aggregates.ensure)
    service.measures.append(measure)
    service.sweeps["succession"] = Succession(kit.changes, aggregates, ranges, REPORTED, kit.clock)
    handlers.listen(service, letters)
    service.routers += [
        api.router(letters, Access(kit.directory)),
        site.router(public, kit.directory, pages),
        routes_home.router(pages),
        routes_board.router(public, kit.directory, kit.calendar, kit.clock, pages),
    ]
    return service
