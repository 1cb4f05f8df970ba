"""What every service is made of and how it lives: start while engines may be away, work, stop within 15 seconds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter, time
from typing import Any, TypeVar

from fastapi import APIRouter

from services.kit import Kit
from shared.contracts.facts import LETTERS
from shared.directory import DirectoryError, load_directory
from shared.messaging.broker import (
    FOLLOWING_SECONDS,
    BatchHandler,
    answers,
    has_first,
    make_broker,
    owns,
    places_of,
    subscribe,
    too_few_brokers,
)
from shared.messaging.connection import said_of, why_refused
from shared.messaging.kafka import KafkaBroker, KafkaError, UnknownTopicOrPartitionError
from shared.messaging.outbox import Outbox
from shared.messaging.parking import WAITING, Parking
from shared.observability import metrics
from shared.observability.logs import service_context
from shared.security.claims import RolesError
from shared.storage import StoreUnavailable
from shared.storage.generations import LOOK_EVERY_SECONDS

log = logging.getLogger(__name__)

PING_EVERY_SECONDS = 2
PLACES_SECONDS = 5
"""How long the broker may take to say where partitions end."""
TAKE_UP_EVERY_SECONDS = 2
"""Between two looks at what waits for a newer release."""
REST = 200
"""After counting open work for t seconds, this many times t pass until it is counted again."""
LONGEST_START_PAUSE_SECONDS = 5
STOP_SECONDS = 8
"""For what is in hand at the end, after the web server took up to `GRACE_SECONDS`: with what Python needs to leave, under 15 s."""
GRACE_SECONDS = 5
"""For requests in hand at the end."""

Job = Callable[[], Awaitable[None]]
Part = TypeVar("Part")


@dataclass
class Service:
    """One of the five services, built and not yet started."""

    name: str
    kit: Kit
    broker: KafkaBroker
    outbox: Outbox
    parking: Parking
    routers: list[APIRouter] = field(default_factory=list)
    subscribers: list[Any] = field(default_factory=list)
    prepare: list[Job] = field(default_factory=list)
    """Run before work starts, e.g. to create indexes; repeated until it succeeds."""
    sweeps: dict[str, Job] = field(default_factory=dict)
    """Name → what every replica does every `SWEEP_SECONDS`; narrow first, then re-check each item."""
    sweeps_of_one: dict[str, Job] = field(default_factory=dict)
    """Name → the same, where one replica does it for all."""
    leads: Callable[[], bool] = lambda: False
    """Whether this replica is the one: it has the first partition of `letters`. While that moves, two may be, or for seconds none."""
    measures: list[Job] = field(default_factory=list)
    """Set gauges, every ten seconds."""
    counts: list[Job] = field(default_factory=list)
    """Set gauges by counting open work; each then rests `REST` times as long as it took."""
    body_limits: dict[str, int] = field(default_factory=dict)
    """Path prefix, or pattern with `*` → largest request body in bytes, where it differs."""
    waits_for: dict[str, str] = field(default_factory=dict)
    """What is not ready and why; empty: ready."""
    letters: Any = None
    """The service's `Letters`."""
    derived: list[str] = field(default_factory=lambda: ["letters"])
    """Collections that follow from the topic `letters` alone and can be thrown away."""
    ahead: dict[str, str] = field(default_factory=dict)
    """One of these → a moment that its documents have as long as no fact may tell of them: an exchange takes them over."""
    projections: list[BatchHandler] = field(default_factory=list)
    """Handlers of what else is made of the topic `letters`, each by a subscriber of its own."""
    rebuilt: list[Job] = field(default_factory=list)
    """Run at the end of a rebuild."""
    touched: list[Callable[[Sequence[str]], Awaitable[Any]]] = field(default_factory=list)
    """What makes anew what hangs on letters, of those that moved while a projection is brought up to the record."""
    closing: list[Job] = field(default_factory=list)
    """Run at the end of stopping, to let go of what the process holds."""
    parts: list[object] = field(default_factory=list)
    """What of this service others work with, each by its class: see `part`."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _started: bool = False
    _shown: set[tuple[str, ...]] = field(default_factory=set)
    """Partitions whose lag is shown: labels of the gauges."""
    _rests: dict[int, float] = field(default_factory=dict)
    """Place in `counts` → until when it rests, by the monotonic clock."""

    def part(self, kind: type[Part]) -> Part:
        """Return the part of a class: the operator's command and tests do by hand what the service does by itself.

        Raises:
            LookupError: the service has none.
        """
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"{self.name} has no {kind.__name__} among its parts")

    def follow_letters(self, handle: BatchHandler | None = None) -> Any:
        """Let `letters` of this service have all facts, or `handle`, which passes them on to it; return the subscriber."""
        topic = self.kit.namespace + LETTERS
        group = self.kit.group(self.name)
        subscriber = subscribe(
            self.broker,
            handle or self.letters.handle,
            group=group,
            topics=[topic],
            title=f"{self.name}：全部事实 letters",
            longest_pace=FOLLOWING_SECONDS,
        )
        self.letters.owned = partial(owns, subscriber, topic)
        self.leads = self.outbox.sweeps = partial(has_first, subscriber, topic)
        self.subscribers.append(subscriber)
        return subscriber

    @classmethod
    def new(cls, name: str, kit: Kit) -> "Service":
        """Make a service with its broker, outbox and parking."""
        broker = make_broker(kit.settings.kafka, f"xinxiang-{name}")
        return cls(
            name=name,
            kit=kit,
            broker=broker,
            outbox=Outbox(broker, name, kit.namespace),
            parking=Parking(kit.store, broker, name, kit.namespace),
            waits_for={"start": "the service is starting"},
        )

    async def replay(self, records: Sequence[Any]) -> None:
        """Take records of `letters` in a rebuild: they only evolve the state."""
        await self.letters.handle(records, live=False)
        for handle in self.projections:
            await handle(records)

    def start(self) -> None:
        """Begin to work as soon as the engines are there; returns at once."""
        metrics.build_info.labels(self.name, self.kit.settings.release).set(1)
        metrics.ready.labels(self.name).set_function(lambda: float(not self.waits_for))
        with service_context(self.name):
            self._tasks = [
                asyncio.create_task(self._live(), name=f"{self.name} life"),
                asyncio.create_task(self._watch_generation(), name=f"{self.name} generation"),
            ]

    async def _watch_generation(self) -> None:
        """Keep looking which generation of the projection is live; see `shared/storage/generations.py`."""
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            try:
                await self._look()
            except StoreUnavailable:
                pass  # `_ping` tells of it
            except Exception as error:
                log.exception("cannot look which projection is live; it is tried again", exc_info=error)

    async def _live(self) -> None:
        await self._until_started()
        sweep_seconds = self.kit.settings.sweep_seconds
        tasks = [asyncio.create_task(self._repeat(n, j, sweep_seconds)) for n, j in self.sweeps.items()]
        for name, job in self.sweeps_of_one.items():
            tasks.append(asyncio.create_task(self._repeat(name, job, sweep_seconds, self.leads)))
        measure_seconds = self.kit.settings.measure_seconds
        tasks.append(asyncio.create_task(self._repeat("measure", self._measure, measure_seconds)))
        tasks.append(asyncio.create_task(self._repeat("lag", self._measure_lag, measure_seconds)))
        take_up = self._repeat("take up", self.letters.take_up, TAKE_UP_EVERY_SECONDS)
        tasks.append(asyncio.create_task(take_up, name=f"{self.name} take up"))
        tasks.append(asyncio.create_task(self._repeat("ping", self._ping, PING_EVERY_SECONDS)))
        self._tasks += tasks

    async def _look(self) -> None:
        await self.kit.store.follow(self.name, frozenset([*self.derived, WAITING]))

    async def _until_started(self) -> None:
        pause = 0.2
        while True:
            try:
                await self._know_the_directory()
                if self.kit.sign_in is not None:
                    self.kit.sign_in.roles.check_mailboxes()
                    self.waits_for.pop("roles", None)
                await self._look()
                await self.parking.ensure()
                for job in self.prepare:
                    await job()
                self.waits_for.pop("store", None)
                await self.broker.start()
            except DirectoryError as error:
                self.waits_for["directory"] = str(error)
                log.exception("the directory is refused; the service starts once its file is corrected", exc_info=error)
                await asyncio.sleep(LONGEST_START_PAUSE_SECONDS)
            except RolesError as error:
                self.waits_for["roles"] = str(error)
                log.exception("the roles file does not fit the directory; correct it and start again", exc_info=error)
                await asyncio.sleep(LONGEST_START_PAUSE_SECONDS)
            except (StoreUnavailable, KafkaError, OSError) as error:
                part = "store" if isinstance(error, StoreUnavailable) else "kafka"
                reason = await self._reason(error)
                self.waits_for[part] = f"{reason}: trying again"
                metrics.engine_up.labels(self.name, part).set(0)
                log.warning(
                    "an engine is away or refuses; the service starts when it is back or lets it in",
                    extra={"name_of_setting": part, "refusal": reason},
                )
                with suppress(Exception):
                    await self.broker.stop()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_START_PAUSE_SECONDS)
            except Exception as error:
                self.waits_for["start"] = f"{type(error).__name__}: see the log; trying again"
                log.exception("the service cannot start; it tries again", exc_info=error)
                await asyncio.sleep(LONGEST_START_PAUSE_SECONDS)
            else:
                break
        self.outbox.start()
        self._started = True
        self.waits_for.clear()
        log.info("the service is ready")

    async def _know_the_directory(self) -> None:
        """Read the changes of the directory; where its file contradicts them, look at the file again: it may have been corrected."""
        changes = self.kit.changes
        if changes.live.wrong is not None:
            changes.live.reseed(load_directory(self.kit.settings.directory_file))
        await changes.start()

    async def _repeat(self, name: str, job: Job, seconds: float, when: Callable[[], bool] = lambda: True) -> None:
        done = None
        while True:
            try:
                if when():
                    if done is None:
                        done = metrics.task_done_timestamp_seconds.labels(self.name, name)
                        done.set(time())  # one that never ends well is late from its start
                    await job()
                    done.set(time())
            except StoreUnavailable:
                await asyncio.sleep(min(5.0, seconds * 5))
            except Exception as error:
                log.exception("a repeated task failed; it is tried again", extra={"task": name}, exc_info=error)
                await asyncio.sleep(min(5.0, seconds * 5))
            await asyncio.sleep(seconds)

    async def _ping(self) -> None:
        probes = (("store", self._store_alive), ("kafka", self._kafka_alive), ("directory", self._directory_right))
        for part, alive in probes:
            wrong = await alive()
            if wrong:
                self.waits_for[part] = wrong
            else:
                self.waits_for.pop(part, None)
            if part != "directory":
                metrics.engine_up.labels(self.name, part).set(not wrong)

    async def _store_alive(self) -> str | None:
        began = perf_counter()
        try:
            await self.kit.store.ping()
        except StoreUnavailable as error:
            return str(error)
        finally:
            metrics.store_seconds.labels(self.name, "ping").observe(perf_counter() - began)
        return None

    async def _kafka_alive(self) -> str | None:
        if await answers(self.broker):
            return await too_few_brokers(self.subscribers, self.kit.settings.copies)
        return await why_refused(self.kit.settings.kafka) or "the broker does not answer"

    async def _reason(self, error: Exception) -> str:
        if isinstance(error, UnknownTopicOrPartitionError | StoreUnavailable):
            return str(error)
        kafka = self.kit.settings.kafka
        return await why_refused(kafka) or said_of(error, kafka) or type(error).__name__

    async def _directory_right(self) -> str | None:
        wrong = self.kit.changes.live.wrong
        return None if wrong is None else str(wrong)

    async def _measure(self) -> None:
        await self.outbox.measure()
        await self.parking.measure()
        for job in self.measures:
            await job()
        for place, job in enumerate(self.counts):
            began = monotonic()
            if began >= self._rests.get(place, 0.0):
                await job()
                self._rests[place] = monotonic() + REST * (monotonic() - began)

    async def _measure_lag(self) -> None:
        """Set the gauges of consumers, by themselves: they must tell of a consumer that waits for the store."""
        shown: dict[tuple[str, ...], tuple[int, int]] = {}
        try:
            async with asyncio.timeout(PLACES_SECONDS):
                for subscriber in self.subscribers:
                    group = subscriber.group_id.removeprefix(self.kit.namespace)
                    for (topic, partition), (place, end) in (await places_of(subscriber)).items():
                        label = metrics.topic_label(topic.removeprefix(self.kit.namespace))
                        labels = (self.name, group, label, str(partition))
                        # the topics of all mailboxes have one label
                        before, behind = shown.get(labels, (0, 0))
                        shown[labels] = (before + place, behind + max(0, end - place))
        except (KafkaError, TimeoutError):
            return  # the last figures stand; that the broker is away is another gauge's business
        for key, (place, behind) in shown.items():
            metrics.consumer_position.labels(*key).set(place)
            metrics.consumer_lag.labels(*key).set(behind)
        for key in self._shown - shown.keys():  # another replica has them now
            metrics.consumer_position.remove(*key)
            metrics.consumer_lag.remove(*key)
        self._shown = set(shown)

    async def stop(self) -> None:
        """Stop taking messages, finish what is in hand, send what was decided, commit and leave."""
        self.waits_for["stop"] = "the service is stopping"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._started:
            await asyncio.gather(*(subscriber.stop() for subscriber in self.subscribers), return_exceptions=True)
            await self.outbox.stop()
        with suppress(Exception):
            await self.broker.stop()
        await asyncio.gather(*(job() for job in self.closing), return_exceptions=True)
