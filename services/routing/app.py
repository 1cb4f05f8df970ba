"""Routing, wired.

letters ──▶ state ◀── moves ◀── HTTP (staff)                     slips, hand-offs, returns, replies, extensions, answers (R4–R8)
              │         ▲
              │         └── actions.<code> (units' systems)      one effect for each action id; refusals with the rule
              ├──▶ outbox ──▶ letters, mailbox.<code>            what each mailbox must know at once (R6.3)
              └──▶ entries, texts ──▶ HTTP (lists, search)       every letter, as each mailbox sees it (R10.2)

letters ──▶ history ──▶ HTTP (staff)                             every fact of every service, as a chain (R10.1)
office ◀── HTTP (duty office)                                    the directory: topics made, then the change on `directory` (R1.1)
"""

import asyncio
import logging
from functools import partial

from services.kit import Kit
from services.routing import handlers, placing, repository
from services.routing.api import router
from services.routing.domain import follow
from services.routing.entries import ENTRIES, Entries, Following
from services.routing.handlers import Actions
from services.routing.history import HEADS, HISTORY, PACE_SECONDS, PART, History
from services.routing.listing import Listing
from services.routing.models import State
from services.routing.office import Office
from services.routing.office import entries as kept_directory
from services.routing.refusals import Refusals
from services.routing.state import ON
from services.routing.telling import Teller
from services.routing.texts import TEXTS, Search
from services.runtime import Service
from services.succession import Succession
from shared.contracts.facts import LETTERS
from shared.messaging.broker import look_for_topics, subscribe
from shared.messaging.letters import Letters
from shared.messaging.topics import TopicsRefused, make_mailbox_topics
from shared.messaging.work import Domain
from shared.observability import metrics

log = logging.getLogger(__name__)

REPORTED = "state.letter.classification.reported_mailbox"
"""The field of a document that names the mailbox a report (举报) is about."""


def build(kit: Kit) -> Service:
    """Build the service; nothing runs yet."""
    service = Service.new(repository.SERVICE, kit)
    aggregates = repository.letters(kit.store, kit.directory)
    letters: Letters[State] = Letters(
        Domain(repository.SERVICE, ON, follow),
        aggregates,
        service.outbox,
        service.parking,
        kit.clock,
        kit.namespace,
        tell=Teller(kit.directory),
    )
    entries = Entries(kit.store, aggregates, kit.directory, kit.directory.path_of)
    following = Following(letters, entries, kit.namespace)
    letters.before_release = following.renew
    refusals = Refusals(kit.store)
    actions = Actions(letters, kit.changes, service.broker, refusals, kit.namespace)
    settings = kit.settings
    make_topics = partial(
        make_mailbox_topics, settings.kafka, settings.topics_file, kit.namespace, wanted=settings.copies
    )
    office = Office(kept_directory(kit.store), service.outbox, kit.changes, kit.clock, make_topics)

    async def count() -> None:
        for stage, count in (await repository.open_letters(aggregates)).items():
            metrics.letters.labels(repository.SERVICE, stage.value).set(count)

    async def make_missing_topics() -> None:
        try:
            await office.all_topics()
        except TopicsRefused as error:  # letters of all other mailboxes still flow
            log.exception("topics of mailboxes are missing and cannot be made: deploy.topics apply", exc_info=error)

    history = History(kit.store, kit.namespace)
    service.letters = letters
    service.derived += [ENTRIES, TEXTS, HISTORY, HEADS]
    service.projections.append(history.handle)
    service.prepare += [
        aggregates.ensure,
        entries.ensure,
        office.aggregates.ensure,
        refusals.ensure,
        make_missing_topics,
    ]
    service.rebuilt.append(entries.rebuild)
    service.touched.append(entries.refresh)
    service.counts.append(count)
    service.sweeps["succession"] = Succession(kit.changes, aggregates, repository.ranges, REPORTED, kit.clock)
    service.sweeps["succession of entries"] = Succession(kit.changes, entries, placing.ranges, "reported", kit.clock)
    kit.press.has_fonts()
    search = Search(entries.texts, kit.settings.search_folder)
    service.sweeps["search"] = search.look
    service.closing.append(search.close)
    service.parts.append(search)
    listing = Listing(entries, search)
    service.routers.append(
        router(
            letters,
            listing,
            history,
            office,
            kit.directory,
            kit.press,
            settings.letter_url,
            settings.reply_working_days,
        )
    )
    service.follow_letters(following.handle)
    listen = partial(subscribe, service.broker)
    service.subscribers += [
        listen(
            history.handle,
            group=kit.group("routing", PART),
            topics=[kit.namespace + LETTERS],
            title="全部事实，留痕",
            pace=PACE_SECONDS,
        ),
        listen(
            actions.handle,
            group=kit.group("routing", "actions"),
            pattern=handlers.pattern(kit.namespace),
            title="单位系统的请求 actions.<code>",
        ),
    ]
    asked = service.subscribers[-1]
    looking: set[asyncio.Task[None]] = set()

    def look() -> None:
        task = asyncio.create_task(look_for_topics(asked), name="look for topics")
        looking.add(task)
        task.add_done_callback(looking.discard)

    kit.changes.live.listeners.append(look)
    return service
