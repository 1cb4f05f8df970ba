"""Deadline, wired.

letters ──▶ handlers ──▶ domain ──▶ store ──▶ outbox ──▶ letters    starts and stops clocks, sets due moments (R6.1, R6.4, R7.3)
                           ▲  └─ next_at ─┐
clock, every second ──▶ sweep ◀───────────┘                         reminders, overdue, urging (R1.4, R3.1, R6.1, R7.1, R8.1)
schedules, at start ──▶ schedule ──▶ domain                         open due dates counted again (R6.1)
staff ──HTTP──▶ api ──▶ repository                                  clocks and live figures of a mailbox (R1.4)
"""

from datetime import datetime
from functools import partial

from services.deadline import handlers, repository
from services.deadline.api import router
from services.deadline.domain import Rules
from services.deadline.lookout import Lookout
from services.deadline.schedule import Schedule
from services.deadline.state import Clocks, Kind
from services.deadline.sweep import Sweep
from services.deadline.working_time import rules_of
from services.kit import Kit
from services.runtime import Service
from services.succession import Succession
from shared.contracts.facts import LETTERS
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.observability import metrics

REPORTED = "state.reported_mailbox"
"""The field of a document that names the mailbox a report (举报) is about."""


def build(kit: Kit) -> Service:
    """Build the service; nothing runs yet."""
    service = Service.new(repository.SERVICE, kit)
    rules = rules_of(kit.calendar, kit.settings)
    aggregates = repository.letters(kit.store, rules, kit.directory)
    letters = Letters(
        handlers.domain(rules), aggregates, service.outbox, service.parking, kit.clock, namespace=kit.namespace
    )
    service.letters = letters
    subscriber = service.follow_letters()
    schedule = Schedule(letters, rules, kit.calendar.fingerprint)
    sweep = Sweep(letters, Lookout(subscriber, kit.namespace + LETTERS, kit.clock), rules)

    async def clocks() -> None:
        await schedule.follow()
        await sweep()

    service.prepare.append(aggregates.ensure)
    service.sweeps["clocks"] = clocks
    service.sweeps["succession"] = Succession(kit.changes, aggregates, repository.ranges, REPORTED, kit.clock)
    service.measures.append(partial(_measure_delay, letters))
    service.counts.append(partial(_count, letters, kit.directory, rules))
    service.routers.append(router(letters, kit.directory, rules))
    return service


async def _measure_delay(letters: Letters[Clocks]) -> None:
    """Set the gauge of how long something waits to be declared (R1.4)."""
    since = await repository.undeclared_since(letters.aggregates, letters.clock.now())
    waited = (letters.clock.now() - since).total_seconds() if since else 0.0
    metrics.clocks_undeclared_seconds.labels(repository.SERVICE).set(waited)


async def _count(letters: Letters[Clocks], directory: Directory, rules: Rules) -> None:
    """Set the gauges of running clocks, of each kind and each mailbox (R1.4)."""
    now = letters.clock.now()
    found = await repository.figures_of_all(letters.aggregates, now=now, soon=rules.due_soon(now))
    for kind in Kind:
        running = sum(one.kinds[kind] for one in found.values())
        overdue = sum(one.overdue_kinds[kind] for one in found.values())
        metrics.letters.labels(repository.SERVICE, f"{kind.value} running").set(running - overdue)
        metrics.letters.labels(repository.SERVICE, f"{kind.value} overdue").set(overdue)
    codes = {mailbox.code for mailbox in directory.mailboxes()}
    for mailbox in codes | found.keys():
        _show(mailbox, found.get(mailbox, repository.NOTHING_RUNS), now)


def _show(mailbox: str, figures: repository.Figures, now: datetime) -> None:
    """Set the gauges of one mailbox."""
    for kind in Kind:
        metrics.mailbox_clocks.labels(repository.SERVICE, mailbox, kind.value).set(figures.kinds[kind])
        metrics.mailbox_overdue.labels(repository.SERVICE, mailbox, kind.value).set(figures.overdue_kinds[kind])
    metrics.mailbox_due_soon.labels(repository.SERVICE, mailbox).set(figures.due_soon)
    since = figures.oldest_since
    age = max(0.0, (now - since).total_seconds()) if since is not None else 0.0
    metrics.mailbox_oldest_seconds.labels(repository.SERVICE, mailbox).set(age)
