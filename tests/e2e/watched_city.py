"""A city that a real Prometheus watches, and the faults that its alerts are for: each is caused, and made good again, as it happens.

Faults come in acts: those of letters and services, a store that is slow and then away, Kafka away. Within an act they come together, so
that the whole takes a minute or two; each alert is looked at by itself.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from deploy.demo.city import Away, City, Refused, settled
from deploy.engines import Engines
from deploy.engines.processes import recorded
from shared.contracts.facts import Fact
from shared.security.receipts import receipt_code
from shared.storage import Store
from tests.clamd import Daemon, daemon_in
from tests.conftest import MONDAY, World, eventually
from tests.e2e.fleet import Fleet
from tests.e2e.troubles import Fault, burning, discarded, drop, mad, received
from tests.intake_desk import LETTER
from tests.operator import ops
from tests.prometheus import PACE, Prometheus

LATER = MONDAY + timedelta(days=70)
WEEKS_AFTER = LATER + timedelta(days=60)
DUE_SOON, FLOOD, POISON = 24, 650, 12
LIMIT_SECONDS = 40 * PACE
"""How long an act waits for its alerts to fire, and again for them to clear. One that does not is told by its own test."""


@dataclass
class WatchedCity:
    """The city, its watcher, and what citizens do all the time."""

    fleet: Fleet
    engines: Engines
    city: City
    prometheus: Prometheus
    store: Store
    scanner: Daemon
    ids: dict[str, str] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    _serial: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def world(self) -> World:
        """Its topics, databases and clock."""
        return self.fleet.world

    # ── what citizens do ─────────────────────────────────────────────────────────────────────────────────────────────

    async def citizens(self) -> None:
        """Write letters and read the public pages, a few a second, whatever the answer; who reads slowly holds up no writer."""
        async with asyncio.TaskGroup() as at_once:
            at_once.create_task(self._again_and_again(lambda: self.city.submit(LETTER | {"mailbox": "yuzhong"})))
            at_once.create_task(self._again_and_again(lambda: self.city.ask("GET", "/public/letters.json")))

    async def _again_and_again(self, deed: Callable[[], Awaitable[Any]]) -> None:
        while True:
            with suppress(Refused, Away):
                await deed()
            await asyncio.sleep(0.2)

    async def letter(self, name: str, mailbox: str = "mayor") -> str:
        """A letter that is in its mailbox; return its id."""
        subject = f"{LETTER['subject']}{name}"
        await self.city.submit(LETTER | {"subject": subject, "mailbox": mailbox})

        async def there() -> str:
            return next((r["letter_id"] for r in await self.city.letters(mailbox) if r["subject"] == subject), "")

        self.ids[name] = await eventually(there)
        return self.ids[name]

    def fired(self, *alerts: str) -> bool:
        """Whether all of these were seen to fire."""
        return all(self.faults[alert].fired for alert in alerts)

    async def prepare(self) -> None:
        """A backup, and letters that will be overdue: one unread, one pending, one in a unit's hands, one with a leader's instruction."""
        async with asyncio.TaskGroup() as at_once:
            at_once.create_task(self.back_up())
            at_once.create_task(self._late_letters())

    async def _late_letters(self) -> None:
        city = self.city
        await self.letter("未阅")
        for name in ("拟办", "承办", "批示"):
            await city.register(await self.letter(name), "mayor")
        handled = self.ids["承办"]
        await settled(lambda: city.prepare_slip(handled, "education"))
        await city.approve_slip(handled, "s1")
        await settled(lambda: city.collect(handled, "s1", "education"))
        instruct = {"text": "请尽快解决。", "report_by": "2026-03-06"}
        await settled(lambda: self._told("批示", "instructions", "leader", instruct))

    async def _told(self, name: str, path: str, role: str, body: Any) -> Any:
        headers = self.city.token("mayor", role)
        url = f"/routing/letters/{self.ids[name]}/{path}"
        return await self.city.ask("POST", url, headers=headers, body=body)

    # ── first act: letters and services ──────────────────────────────────────────────────────────────────────────────

    async def many_due_soon(self) -> None:
        """So many letters come to one mailbox at once."""
        self.world.move_clock(LATER)
        for _ in range(DUE_SOON):
            await self.city.submit(LETTER | {"mailbox": "water"})

    async def discard_them(self) -> None:
        """Its clerk works them off."""
        for row in await self.city.letters("water"):
            await self.city.read(row["letter_id"], "water")
            await self.city.discard(row["letter_id"], "water", "advertising")

    async def days_pass(self) -> None:
        """Ten weeks pass and nobody does anything."""
        self.world.move_clock(LATER)

    async def read_it(self) -> None:
        """The clerk reads."""
        await self.city.read(self.ids["未阅"], "mayor")

    async def dispose_of_it(self) -> None:
        """The letters that waited for a decision are handed on."""
        for name in ("拟办", "批示"):
            await self.city.prepare_slip(self.ids[name], "education")
            await self.city.approve_slip(self.ids[name], "s1")

    async def answer_it(self) -> None:
        """The unit answers."""
        letter_id = self.ids["承办"]
        view = await self.city.reply(letter_id, "s1", "education", "路灯已修复。")
        await self.city.approve_reply(letter_id, "s1", view["handoffs"][0]["replies"][-1]["reply_id"], "education")

    async def report_on_it(self) -> None:
        """Staff report to the leader."""
        await self._told("批示", "instructions/i1/end", "clerk", {"text": "已修复，已报领导"})

    async def poison(self) -> None:
        """A sender went mad: messages that nobody can understand, many at once and then more and more."""
        await self.world.send(*(mad(number) for number in range(POISON)))
        for number in range(POISON, 5 * POISON):
            if self.fired("ManyMessagesParked"):
                return
            await self.world.send(mad(number))
            await asyncio.sleep(PACE / 2)

    async def drop_poison(self) -> None:
        """An operator skips them."""
        parked = self.store.collection("intake", "waiting")
        origins = [document["_id"] async for document in parked.find({"topic": "submissions"})]
        await self.world.send(*map(drop, origins))

    async def skip_a_fact(self) -> None:
        """A fact comes whose predecessor has not."""
        self.ids["gap"] = str(uuid4())
        await self.world.publish(discarded(self.ids["gap"]), seq=2)

    async def bring_it(self) -> None:
        """The missing one comes."""
        await self.world.publish(received(self.ids["gap"]), seq=1)

    async def spoil_a_cell(self) -> None:
        """A document that nobody can read stands among reporting's cells."""
        spoilt = {"_id": "spoilt", "dirty": datetime.now().astimezone() - timedelta(hours=1)}
        await self.store.collection("reporting", "cells").insert_one(spoilt)

    async def remove_it(self) -> None:
        """An operator removes it."""
        await self.store.collection("reporting", "cells").delete_one({"_id": "spoilt"})

    async def kill_publication(self) -> None:
        """It crashes, and stays away until somebody looks."""
        self.fleet.of("publication").kill()

    async def start_publication(self) -> None:
        """It is started, and crashes twice more before it stays: so the number of restarts is told too."""
        run = self.fleet.of("publication")
        for _ in range(2):
            last = await self._last_started(run.port)
            run.start()
            await self._seen(run.port, last)
            run.kill()
        await self.fleet.up([run])

    async def _last_started(self, port: int) -> float:
        """When the last process there began that Prometheus has scraped, as that told it; 0: it has scraped none."""
        query = f'max_over_time(process_start_time_seconds{{instance="127.0.0.1:{port}"}}[1h])'
        found = await self.prometheus.ask(query)
        return max((float(one["value"][1]) for one in found), default=0.0)

    async def _seen(self, port: int, last: float) -> None:
        """Wait until Prometheus has scraped a process that began after `last`."""

        async def scraped() -> bool:
            return await self._last_started(port) > last

        await eventually(scraped, 40)

    async def guess(self) -> None:
        """Somebody tries receipt codes, one after the other."""
        for _ in range(400):
            code = receipt_code(b"somebody else's secret", str(uuid4()))
            await self.city.http.get(f"{self.city.urls['intake']}/intake/receipts/{code}")
            await asyncio.sleep(0.01)
            if self.fired("ManyRefused"):
                return

    async def backups_stop(self) -> None:
        """No backup is made for two nights: the last one, by its record, is so much older."""
        records = self.store.collection("ops", "log")
        before = datetime.now().astimezone() - timedelta(days=2)
        done = await records.update_many({"verb": "backup"}, {"$set": {"at": before}})
        assert done.modified_count

    async def back_up(self) -> None:
        """The operator's command makes a backup."""
        made = await ops(self.world, "backup", "into", self.fleet.folder / "backups")
        assert made.status == 0, made.err

    async def send_a_file(self) -> None:
        """The scanner goes away, and a citizen sends a file."""
        await asyncio.to_thread(self.scanner.process.stop)
        await self.city.attach("照片.pdf", b"%PDF-1.7\n")

    async def start_scanner(self) -> None:
        """It is started again."""
        await asyncio.to_thread(self.scanner.start)

    # ── second act: the store ────────────────────────────────────────────────────────────────────────────────────────

    async def slow_store(self) -> None:
        """The store's front answers in fits and starts, until the alerts on it and on the letters that wait for it fire."""
        hurt = ("StoreSlow", "DeliveringBurnsBudget page", "DeliveringBurnsBudget ticket")
        (pid,) = (process.pid() for process in recorded(self.engines.folder) if process.name == "ferretdb")
        assert pid
        end = time.monotonic() + LIMIT_SECONDS / 2
        try:
            while time.monotonic() < end and not self.fired(*hurt):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(2.5)
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.1)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def clock_leaps(self) -> None:
        """Deadline sees limits long after they passed: the clock leaps over them, day by day."""
        for day in range(1, 30):
            self.world.move_clock(LATER + timedelta(days=day))
            await asyncio.sleep(PACE)
            if self.fired("DeclaringBurnsBudget page", "DeclaringBurnsBudget ticket"):
                return

    async def stop_store(self) -> None:
        """The store is gone, and facts come in their thousands."""
        await asyncio.to_thread(self.engines.stop, "store")
        facts: list[Fact] = []
        for _ in range(FLOOD):
            letter_id = str(uuid4())
            facts += [received(letter_id), discarded(letter_id)]
        await self.world.publish(*facts)

    async def start_engines(self) -> None:
        """All engines run again."""
        await asyncio.to_thread(self.engines.start)

    # ── third act: Kafka ─────────────────────────────────────────────────────────────────────────────────────────────

    async def stop_kafka(self) -> None:
        """Kafka goes away over a weekend, while a clerk reads."""
        letter_id = await self.letter("断线")
        await asyncio.to_thread(self.engines.stop, "kafka")
        self.world.move_clock(WEEKS_AFTER)
        await self.city.read(letter_id, "mayor")

    # ── the play ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def acts(self) -> list[list[Fault]]:
        """All faults, act by act, in the order in which they are caused."""
        return [
            [
                Fault("LettersNotReadInTime", self.days_pass, self.read_it, {"mailbox": "mayor"}),
                Fault("LettersNotDisposedOfInTime", heal=self.dispose_of_it, labels={"mailbox": "mayor"}),
                Fault("RepliesOverdue", heal=self.answer_it, labels={"mailbox": "education"}),
                Fault("InstructionsNotReportedOn", heal=self.report_on_it, labels={"mailbox": "mayor"}),
                Fault("OldestLetterWaitsLong", labels={"mailbox": "education"}),
                Fault("MuchIsDueSoon", self.many_due_soon, self.discard_them, {"mailbox": "water"}),
                Fault("MessagesParked", self.poison, self.drop_poison, {"service": "intake"}),
                Fault("ManyMessagesParked", labels={"service": "intake"}),
                Fault("LettersWait", self.skip_a_fact, self.bring_it, {"service": "routing"}),
                Fault("FiguresNotRecounted", self.spoil_a_cell, self.remove_it),
                Fault("RegularTaskStopped", labels={"service": "reporting", "task": "cells"}),
                Fault("ServiceDown", self.kill_publication, self.start_publication, {"service": "publication"}),
                Fault("ServiceMissing", labels={"service": "publication"}),
                Fault("ServiceRestarts", labels={"service": "publication"}, fires_when_healed=True),
                Fault("ManyRefused", self.guess, labels={"service": "intake"}),
                Fault("BackupTooOld", self.backups_stop, self.back_up),
                Fault("FilesUnscanned", self.send_a_file, self.start_scanner, {"service": "intake", "outcome": "away"}),
            ],
            [
                Fault("StoreSlow", self.slow_store),
                *burning("DeliveringBurnsBudget"),
                *burning("DeclaringBurnsBudget", self.clock_leaps),
            ],
            [
                Fault("StoreAway", self.stop_store, self.start_engines),
                Fault("ServiceNotReady", labels={"service": "routing"}),
                Fault("ConsumerStalled", labels={"service": "intake", "group": "intake-submissions"}),
                Fault("ServiceFallsBehind", labels={"service": "deadline"}),
                *burning("PagesBurnBudget"),
            ],
            [
                Fault("KafkaAway", self.stop_kafka, self.start_engines),
                Fault("FactsNotSent", labels={"service": "intake"}),
                *burning("AcceptingBurnsBudget"),
                Fault("BulletinLate"),
                Fault("ClocksNotDeclared"),
            ],
        ]

    async def play(self) -> None:
        """Cause all faults and make them good again; note on each what its alert did."""
        acts = self.acts()
        self.faults = {fault.alert: fault for act in acts for fault in act}
        async with asyncio.TaskGroup() as behind:
            for act in acts:
                await self._act(act)
                tickets = [fault for fault in act if fault.fired and fault.is_slow]
                behind.create_task(self._watch(tickets, "cleared", present=False, seconds=3 * LIMIT_SECONDS))

    async def _act(self, act: Sequence[Fault]) -> None:
        # A busy machine may well make one letter late by itself, and its alert clears.
        await self._watch(act, "quiet_before", present=False)
        async with asyncio.TaskGroup() as deeds:
            for fault in act:
                deeds.create_task(fault.cause())
            await self._watch([fault for fault in act if not fault.fires_when_healed], "fired", present=True)
        async with asyncio.TaskGroup() as deeds:
            for fault in act:
                deeds.create_task(fault.heal())
            await self._watch([fault for fault in act if fault.fires_when_healed], "fired", present=True)
        await self._watch([fault for fault in act if fault.fired and not fault.is_slow], "cleared", present=False)

    async def _watch(
        self, faults: Sequence[Fault], note: str, *, present: bool, seconds: float = LIMIT_SECONDS
    ) -> None:
        """Look until each alert fires (or no longer does), and note it; give up after so many seconds."""
        end = time.monotonic() + seconds
        waiting = list(faults)
        while waiting and time.monotonic() < end:
            firing = await self.prometheus.firing()
            for fault in [fault for fault in waiting if fault.among(firing) is present]:
                setattr(fault, note, True)
                waiting.remove(fault)
            await asyncio.sleep(0.1)


@asynccontextmanager
async def watched(fleet: Fleet, engines: Engines, prometheus: Prometheus) -> AsyncIterator[WatchedCity]:
    """A city at work that Prometheus watches."""
    scanner = daemon_in(fleet.folder / "clamd")
    for run in fleet.runs:
        run.environment["SCANNER"] = scanner.address
    store = Store(fleet.world.settings.mongo_url, fleet.world.namespace)
    try:
        await asyncio.to_thread(scanner.start)
        await fleet.up()
        services = [{"targets": [f"127.0.0.1:{run.port}"], "labels": {"service": run.service}} for run in fleet.runs]
        prometheus.point("services.yaml", services)
        await prometheus.start()
        async with fleet.city() as city:
            watching = WatchedCity(fleet, engines, city, prometheus, store, scanner)
            citizens = asyncio.create_task(watching.citizens())
            try:
                await watching.prepare()
                yield watching
            finally:
                citizens.cancel()
                with suppress(asyncio.CancelledError):
                    await citizens
    finally:
        await prometheus.stop()
        scanner.process.stop()
        store.close()
