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
from services.publication.past_notices import PastNotices
from services.publication.repository import REPORTED, SERVICE, PublicSite, cases, ranges
from services.runtime import Kit, Service
from services.succession import Succession
from shared.messaging.letters import Domain, Letters
from shared.observability import metrics

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
    pages = kit.pages(Path(__file__).parent / "pages")

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
        routes_home.router(public, kit.directory, pages, _promises(kit)),
        routes_board.router(public, kit.directory, kit.calendar, kit.clock, pages),
        routes_board.staff_router(PastNotices(aggregates), Access(kit.directory)),
    ]
    return service


def _promises(kit: Kit) -> routes_home.Promises:
    settings = kit.settings
    opening, closing = settings.hours()
    return routes_home.Promises(
        reply_days=settings.reply_working_days,
        disposition_days=settings.disposition_working_days,
        urge_days=settings.urge_every_working_days,
        opening=f"{opening:%H:%M}",
        closing=f"{closing:%H:%M}",
        attachment_megabytes=settings.attachment_max_bytes // 1_000_000,
        erased_after_days=settings.invalid_retention_days,
    )
