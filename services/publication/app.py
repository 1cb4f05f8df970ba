"""Publication, put together.

letters ──▶ handlers ──▶ domain ──▶ repository ──▶ letters (prepared, published, withheld, notices)
                           ▲             │
staff ──HTTP──▶ api ───────┘             └──▶ site ──▶ the public: letters, notice board
staff ──files─▶ cleaning ─▶ attachments ──▶ the public, once approved
"""

from functools import partial
from pathlib import Path

from services.publication import api, handlers, routes_attachments, routes_proposal, site
from services.publication.access import Access
from services.publication.attachments import Files
from services.publication.domain import ON, Status, follow
from services.publication.redaction import redactor
from services.publication.remaining import Remaining
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
    access = Access(kit.directory)
    files = Files(kit.store, aggregates, kit.settings.attachment_max_bytes)
    redact = redactor(kit.settings.redaction_file)
    remaining = Remaining(redact.marks)
    public = PublicSite(aggregates)
    pages = Pages(Path(__file__).parent / "pages", now=kit.clock.now, rate=lambda: kit.clock.rate)

    async def measure() -> None:
        for status in OPEN:
            metrics.letters.labels(SERVICE, status.value).set(await aggregates.count({"status": status.value}))
        noticed = await aggregates.count({"notice_due": {"$exists": True}})
        metrics.letters.labels(SERVICE, "on-notice-board").set(noticed)

    service.letters = letters
    service.prepare += [aggregates.ensure, files.ensure]
    service.measures += [measure, files.sweep]
    service.body_limits["/publication/cases/*/attachments"] = kit.settings.attachment_max_bytes + 10_000
    service.sweeps["succession"] = Succession(kit.changes, aggregates, ranges, REPORTED, kit.clock)
    handlers.listen(service, letters)
    service.routers += [
        api.router(letters, access, files, remaining),
        routes_proposal.router(letters, access, redact),
        routes_attachments.staff_router(letters, access, files, remaining),
        routes_attachments.public_router(public, files),
        site.router(public, kit.directory, kit.calendar, kit.clock, pages),
    ]
    return service
