"""Routing, wired.

letters ──▶ state ◀── moves ◀── HTTP (staff)                     slips, hand-offs, returns, replies, extensions, answers (R4–R8)
              │         ▲
              │         └── actions.<code> (units' systems)      one effect for each action id; refusals with the rule
              ├──▶ outbox ──▶ letters, mailbox.<code>            what each mailbox must know at once (R6.3)
              └──▶ entries, texts ──▶ HTTP (lists, search)       every letter, as each mailbox sees it (R10.2)

letters ──▶ history ──▶ HTTP (staff)                             every fact of every service, as a chain (R10.1)
"""

from functools import partial

from services.routing import handlers, repository
from services.routing.api import router
from services.routing.domain import follow
from services.routing.entries import ENTRIES, TEXTS, Entries, Following
from services.routing.handlers import Actions
from services.routing.history import HEADS, HISTORY, PACE_SECONDS, PART, History
from services.routing.listing import Listing
from services.routing.models import State
from services.routing.state import ON
from services.routing.telling import Teller
from services.runtime import Kit, Service
from shared.messaging.broker import subscribe
from shared.messaging.letters import LETTERS, Domain, Letters
from shared.observability import metrics


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
    actions = Actions(letters, kit.directory, service.broker, kit.namespace)

    async def measure() -> None:
        codes = [mailbox.code for mailbox in kit.directory.mailboxes()]
        for stage, count in (await repository.open_letters(aggregates, codes)).items():
            metrics.letters.labels(repository.SERVICE, stage.value).set(count)

    history = History(kit.store, kit.namespace)
    service.letters = letters
    service.derived += [ENTRIES, TEXTS, HISTORY, HEADS]
    service.projections.append(history.handle)
    service.prepare += [aggregates.ensure, entries.ensure]
    service.rebuilt.append(entries.rebuild)
    service.measures.append(measure)
    kit.press.has_fonts()
    service.routers.append(
        router(letters, Listing(entries), history, kit.directory, kit.press, kit.settings.letter_url)
    )
    listen = partial(subscribe, service.broker)
    service.subscribers += [
        listen(
            following.handle, group=kit.group("routing"), topics=[kit.namespace + LETTERS], title="全部事实 letters"
        ),
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
    return service
