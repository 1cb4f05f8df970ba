"""Wiring of intake.

portal ──POST──▶ front door ──▶ submissions ──▶ letters + contacts ──LetterReceived──▶ letters
                                                     │──LetterArrived──▶ mailbox.<code>
clerk ───HTTP──▶ earlier? · read · classify · register (register: one line per number) · discard · note
sweeps ────────▶ marks of new letters · lines that a crash left · erasure of invalid letters' texts
"""

from functools import partial

from services.intake import domain, repository
from services.intake.api import staff_router
from services.intake.attachments import Attachments
from services.intake.contacts import Contacts, Likeness
from services.intake.domain import Letter, Stage
from services.intake.earlier import Repeats
from services.intake.entry import Entries
from services.intake.erasure import Erasure
from services.intake.front_door import FrontDoor
from services.intake.handlers import SUBMISSIONS_AT_ONCE, Disclosure, Registrar, Submissions
from services.intake.repository import Register
from services.intake.routes_citizens import public_router
from services.runtime import Kit, Service
from services.succession import Succession
from shared.messaging.broker import subscribe
from shared.messaging.letters import Domain, Letters
from shared.observability import metrics
from shared.security.guessing import GuessPenalty

OPEN = (Stage.UNREAD, Stage.READ)


def build(kit: Kit) -> Service:
    """Build intake."""
    service = Service.new(repository.SERVICE, kit)
    secret = kit.settings.secret()
    aggregates = repository.letters(kit.store, secret, kit.directory)
    contacts = Contacts(kit.store)
    register = Register(kit.store, kit.directory)
    attachments = Attachments(kit.store, secret, kit.settings.attachment_max_bytes)
    letters: Letters[Letter] = Letters(
        Domain(repository.SERVICE, domain.ON),
        aggregates,
        service.outbox,
        service.parking,
        kit.clock,
        kit.namespace,
        tell=Disclosure(contacts, kit.directory).tell,
    )
    registrar = Registrar(letters, register)
    likeness = Likeness(kit.store, aggregates, contacts, secret)
    erasure = Erasure(letters, likeness, attachments, kit.settings.invalid_retention_days)
    letters.restore = registrar.restore
    door = FrontDoor(service.broker, kit.namespace, secret, kit.directory, attachments, kit.clock.now)
    submissions = Submissions(letters, contacts, attachments, service.parking, kit.changes, kit.namespace)

    async def count_open() -> None:
        mailboxes = {"$in": [mailbox.code for mailbox in kit.directory.mailboxes()]}
        for stage in OPEN:
            open_now = await aggregates.count({"mailbox": mailboxes, "stage": stage.value})
            metrics.letters.labels(repository.SERVICE, stage.value).set(open_now)

    service.letters = letters
    service.derived.append("register")
    service.prepare += [aggregates.ensure, register.ensure, attachments.ensure, contacts.ensure]
    reported = "state.classification.reported_mailbox"
    service.sweeps |= {
        "register": registrar.confirm,
        "likeness": likeness.mark_new,
        "erasure": erasure.sweep,
        "succession": Succession(kit.changes, aggregates, repository.ranges, reported, kit.clock),
    }
    service.measures += [count_open, attachments.remove_orphans]
    service.body_limits["/intake/attachments"] = kit.settings.attachment_max_bytes + 10_000
    service.routers += [
        public_router(
            door,
            letters,
            kit.directory,
            Entries(kit.settings.portal_url),
            GuessPenalty(),
            kit.settings.trusted_proxies,
        ),
        staff_router(
            letters,
            contacts,
            Repeats(letters, contacts, likeness, kit.directory),
            registrar,
            attachments,
            kit.directory,
        ),
    ]
    listen = partial(subscribe, service.broker)
    service.subscribers += [
        listen(
            submissions.handle,
            group=kit.group("intake", "submissions"),
            topics=[kit.namespace + "submissions"],
            title="来信 submissions",
            max_records=SUBMISSIONS_AT_ONCE,
        ),
        listen(letters.handle, group=kit.group("intake"), topics=[kit.namespace + "letters"], title="全部事实 letters"),
    ]
    return service
