"""Deadline, wired.

letters ──▶ handlers ──▶ domain ──▶ store ──▶ outbox ──▶ letters    starts and stops clocks, sets due moments (R6.1)
                           ▲  └─ next_at ─┐
clock, every second ──▶ sweep ◀───────────┘                         reminders, overdue, urging (R3.1, R6.1, R7.1)
staff ──HTTP──▶ api ──▶ repository                                  clocks and live figures of a mailbox (R1.4)
"""

from services.deadline import handlers, repository
from services.deadline.api import router
from services.deadline.lookout import Lookout
from services.deadline.sweep import Sweep
from services.deadline.working_time import rules_of
from services.runtime import Kit, Service
from shared.messaging.letters import LETTERS, Letters
from shared.observability import metrics


def build(kit: Kit) -> Service:
    """Build the service; nothing runs yet."""
    service = Service.new(repository.SERVICE, kit)
    rules = rules_of(kit.calendar, kit.settings)
    aggregates = repository.letters(kit.store, rules)
    letters = Letters(
        handlers.domain(rules), aggregates, service.outbox, service.parking, kit.clock, namespace=kit.namespace
    )
    subscriber = handlers.register(
        service.broker, letters, group=kit.group(repository.SERVICE), namespace=kit.namespace
    )

    async def measure() -> None:
        totals = await repository.totals(aggregates, kit.clock.now())
        for kind in ("reading", "reply"):
            for late in (False, True):
                state = f"{kind} overdue" if late else f"{kind} running"
                metrics.letters.labels(service.name, state).set(totals.get((kind, late), 0))

    service.letters = letters
    service.subscribers.append(subscriber)
    service.prepare.append(aggregates.ensure)
    service.sweeps["clocks"] = Sweep(letters, Lookout(subscriber, kit.namespace + LETTERS, kit.clock), rules)
    service.measures.append(measure)
    service.routers.append(router(letters, kit.directory, rules))
    return service
