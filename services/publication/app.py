"""Publication, put together.

letters ──▶ handlers ──▶ domain ──▶ repository ──▶ letters (prepared, published, withheld, notices)
                           ▲             │
staff ──HTTP──▶ api ───────┘             └──▶ site ──▶ the public: letters, notice board
staff ──files─▶ cleaning ─▶ attachments ──▶ the public, once approved
"""

from pathlib import Path

from services.kit import Kit
from services.publication import (
    api,
    handlers,
    routes_attachments,
    routes_board,
    routes_data,
    routes_feed,
    routes_home,
    routes_proposal,
    routes_sitemap,
    site,
)
from services.publication.access import Access
from services.publication.addresses import Addresses
from services.publication.attachments import Files
from services.publication.domain import Status
from services.publication.open_data import Licence
from services.publication.past_notices import PastNotices
from services.publication.redaction import redactor
from services.publication.remaining import Remaining
from services.publication.repository import REPORTED, SERVICE, PublicSite, cases, ranges
from services.publication.search import Search
from services.runtime import Service
from services.succession import Succession
from shared.messaging.letters import Letters
from shared.observability import metrics
from shared.security.scanner import gate

OPEN = (Status.TO_PREPARE, Status.TO_APPROVE)


def build(kit: Kit) -> Service:
    """Build the service; it starts later."""
    service = Service.new(SERVICE, kit)
    aggregates = cases(kit.store, kit.directory)
    letters = Letters(
        handlers.domain(kit.directory.mayor.code),
        aggregates,
        service.outbox,
        service.parking,
        kit.clock,
        kit.namespace,
    )
    access = Access(kit.directory)
    scanner = gate(SERVICE, kit.settings.scanner, kit.settings.unscanned)
    files = Files(kit.store, aggregates, kit.settings.attachment_max_bytes, scanner)
    unnamed = handlers.Unnamed(files)
    letters.tell, letters.restore = unnamed.tell, unnamed.restore
    redact = redactor(kit.settings.redaction_file)
    remaining = Remaining(redact.marks)
    public = PublicSite(aggregates)
    search = Search(public, kit.directory, kit.settings.search_folder)
    addresses = Addresses(kit.settings.site_url)
    pages = kit.pages(Path(__file__).parent / "pages")
    shown = site.Letters(public, search, kit.directory, pages, addresses)

    async def count() -> None:
        for status in OPEN:
            metrics.letters.labels(SERVICE, status.value).set(await aggregates.count({"status": status.value}))
        noticed = await aggregates.count({"notice_due": {"$exists": True}})
        metrics.letters.labels(SERVICE, "on-notice-board").set(noticed)

    service.letters = letters
    service.prepare += [aggregates.ensure, files.ensure]
    service.counts.append(count)
    service.measures += [files.sweep, files.bucket.sweep]
    service.body_limits["/publication/cases/*/attachments"] = kit.settings.attachment_max_bytes + 10_000
    service.sweeps |= {
        "search": search.look,
        "succession": Succession(kit.changes, aggregates, ranges, REPORTED, kit.clock),
    }
    service.closing.append(search.close)
    service.follow_letters()
    service.routers += [
        api.router(letters, access, files, remaining),
        routes_proposal.router(letters, access, redact),
        routes_attachments.staff_router(letters, access, files, remaining),
        routes_attachments.public_router(public, files),
        site.router(shown),
        routes_data.router(shown, Licence.read(kit.settings.open_data_licence), site.LASTS),
        routes_feed.router(shown, addresses, site.LASTS),
        routes_sitemap.router(shown, addresses, site.LASTS),
        routes_home.router(public, kit.directory, pages, _promises(kit)),
        routes_board.router(public, kit.directory, kit.calendar, kit.clock, pages),
        routes_board.staff_router(PastNotices(aggregates), access),
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
