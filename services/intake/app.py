"""Wiring of intake.

portal ──POST──▶ front door ──▶ submissions ──▶ letters + contacts ──LetterReceived──▶ letters
                                                     │──LetterArrived──▶ mailbox.<code>
clerk ───HTTP──▶ earlier? · read · classify · register (register: one line per number) · discard · note
sweeps ────────▶ marks of new letters · lines that a crash left · erasure of invalid letters' texts
"""

import time
from collections.abc import Callable

from fastapi import APIRouter

from services.intake import domain, repository
from services.intake.api import staff_router
from services.intake.attachments import Attachments
from services.intake.backlog import Backlog
from services.intake.contacts import Contacts, Likeness
from services.intake.domain import Letter, Stage
from services.intake.earlier import Repeats
from services.intake.entry import Entries
from services.intake.erasure import Erasure
from services.intake.floods import Floods
from services.intake.following import Following
from services.intake.forms import ATTACHMENTS
from services.intake.front_door import FrontDoor
from services.intake.handlers import SUBMISSIONS_AT_ONCE, Disclosure, Registrar, Submissions
from services.intake.page_words import FOLDER, Words
from services.intake.posted import Counter
from services.intake.repository import Register
from services.intake.routes_citizens import public_router
from services.intake.routes_follow import FollowPages, follow_router
from services.intake.routes_write import WritePages, write_router
from services.kit import Kit
from services.runtime import Service
from services.succession import Succession
from shared.messaging.broker import places_of, subscribe
from shared.messaging.letters import Letters
from shared.messaging.work import Domain
from shared.observability import metrics
from shared.security.forms import Forms
from shared.security.guessing import GuessPenalty
from shared.security.scanner import gate

OPEN = (Stage.UNREAD, Stage.READ)


def citizen_pages(
    kit: Kit, door: FrontDoor, following: Following, floods: Floods, seconds: Callable[[], float]
) -> list[APIRouter]:
    """Return the routes of the pages on which citizens write and follow letters."""
    pages, https = kit.pages(FOLDER), kit.settings.hsts
    words, proxies, secrets = Words(pages), kit.settings.trusted_proxies, kit.form_secrets
    to_write, to_follow = (
        Forms(secrets, purpose, seconds, proxies, always_https=https) for purpose in ("write", "follow")
    )
    counter = Counter("/write", to_write, floods, words, proxies)
    days = kit.settings.reply_working_days
    write = WritePages(pages, words, counter, door, floods, to_write, to_follow, kit.calendar, days, proxies)
    counter = Counter("/follow", to_follow, floods, words, proxies)
    return [write_router(write), follow_router(FollowPages(pages, words, counter, following, floods, to_follow))]


def build(kit: Kit, seconds: Callable[[], float] = time.time) -> Service:
    """Build intake. `seconds` is real time, by which floods are told; it does not follow the clock of demonstrations."""
    service = Service.new(repository.SERVICE, kit)
    secret = kit.settings.secret()
    aggregates = repository.letters(kit.store, secret, kit.directory)
    contacts = Contacts(kit.store)
    register = Register(kit.store, kit.directory)
    settings = kit.settings
    scanner = gate(repository.SERVICE, settings.scanner, settings.unscanned)
    attachments = Attachments(kit.store, secret, settings.attachment_max_bytes, scanner)
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
    backlog = Backlog(lambda: places_of(arrivals), settings.most_waiting)
    door = FrontDoor(service.broker, kit.namespace, secret, kit.directory, attachments, backlog, kit.clock.now)
    submissions = Submissions(letters, contacts, attachments, service.parking, kit.changes, backlog, kit.namespace)

    async def count_open() -> None:
        for stage in OPEN:
            open_now = await aggregates.count({"stage": stage.value})
            metrics.letters.labels(repository.SERVICE, stage.value).set(open_now)

    metrics.delivery_seconds.labels(repository.SERVICE)  # so that the first letter counts as an increase
    service.letters = letters
    service.parts += [registrar, erasure]
    service.derived.append("register")
    service.ahead["register"] = "open"
    service.prepare += [aggregates.ensure, register.ensure, attachments.ensure, contacts.ensure]
    reported = "state.classification.reported_mailbox"
    service.sweeps |= {
        "register": registrar.confirm,
        "succession": Succession(kit.changes, aggregates, repository.ranges, reported, kit.clock),
    }
    service.sweeps_of_one |= {
        "lines left": registrar.confirm_left_lines,
        "likeness": likeness.mark_new,
        "erasure": erasure.sweep,
    }
    service.counts.append(count_open)
    service.measures += [submissions.remove_orphans, attachments.bucket.sweep, attachments.scan_waiting]
    service.body_limits["/intake/attachments"] = kit.settings.attachment_max_bytes + 10_000
    service.body_limits["/write"] = ATTACHMENTS * kit.settings.attachment_max_bytes + 500_000
    proxies = kit.settings.trusted_proxies
    floods = Floods(kit.settings, seconds)
    following = Following(door, letters, kit.directory, GuessPenalty())
    service.routers += [
        public_router(door, following, floods, kit.directory, Entries(kit.settings.portal_url), proxies),
        *citizen_pages(kit, door, following, floods, seconds),
        staff_router(
            letters,
            contacts,
            Repeats(letters, contacts, likeness, kit.directory),
            registrar,
            attachments,
            kit.directory,
        ),
    ]
    arrivals = subscribe(
        service.broker,
        submissions.handle,
        group=kit.group("intake", "submissions"),
        topics=[kit.namespace + "submissions"],
        title="来信 submissions",
        max_records=SUBMISSIONS_AT_ONCE,
    )
    service.subscribers.append(arrivals)
    service.follow_letters()
    return service
