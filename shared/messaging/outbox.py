"""Sends what aggregates have in their outboxes: after the write, in order, and again if a crash came between.

A letter's outbox is always sent whole and in order, whoever sends it: a message is published once the broker has acknowledged the one
before it of the same letter and topic, and where one fails, what follows it waits for the sweep. So facts appear on the topic in the
order of their `seq`; a fact may appear twice, and consumers skip the second. Outboxes are emptied in batches once the broker has
acknowledged.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from time import time
from typing import Any, TypeAlias

from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from cachetools import LRUCache, TTLCache
from faststream.kafka import KafkaBroker

from shared.contracts.catalogue import TYPE_OF
from shared.contracts.envelope import Outgoing
from shared.contracts.mailbox import LetterArrived
from shared.observability import metrics
from shared.storage import Aggregates, Change, StoreUnavailable

log = logging.getLogger(__name__)

CLEAR_EVERY_SECONDS = 1.0
"""A letter that moves again within that time is written once less."""
SWEEP_EVERY_SECONDS = 1.0
RECORDS = frozenset({"letters", "directory"})
"""Topics that carry facts."""
SWEEP_AFTER = timedelta(seconds=5)
"""An outbox older than this was left by a crash or a refused send."""
SWEEP_LIMIT = 500
ARRIVED = TYPE_OF[LetterArrived]
CLOSED_SECONDS = 30.0
"""A topic that is missing, or that this Kafka user may not write, is tried again after so long: to find it out takes the client ten."""
QUEUE_LIMIT = 5_000
"""Letters on their way at once that wait to be sent; beyond it the sweep takes over, since all of it is in the store."""
ROOM = 1_000
"""Letters on their way at once beyond which no further batch is begun, nor anything swept."""
ROOM_SECONDS = 5.0
"""How long a batch waits for room at the most: where something cannot be sent for long, all else goes on, slowly."""


@dataclass(slots=True)
class _Parcel:
    """A letter's outbox on its way: complete when nothing of it waits for an acknowledgement."""

    aggregates: Aggregates[Any]
    letter_id: str
    version: int
    waiting: set[str]
    """Ids of entries not yet acknowledged."""
    swept: bool = False
    """Whether the sweep found it: it has waited for `SWEEP_AFTER` at least."""
    left: bool = False
    """Whether it is done with: complete, or given up to the sweep."""


_Place: TypeAlias = tuple[str, str]
"""(topic, letter id): what is to be sent there goes one after the other."""


@dataclass(slots=True)
class _Lane:
    """What waits to be sent: a line for each place, whose first is on its way or about to be."""

    lines: dict[_Place, deque[tuple[Outgoing, _Parcel]]] = field(default_factory=dict)
    next: "asyncio.Queue[_Place]" = field(default_factory=asyncio.Queue)
    """Places whose first may be published."""

    def put(self, entry: Outgoing, parcel: _Parcel) -> None:
        """Let an entry wait at the end of its line."""
        place = (entry.topic, parcel.letter_id)
        line = self.lines.get(place)
        if line is None:
            self.lines[place] = deque([(entry, parcel)])
            self.next.put_nowait(place)
        else:
            line.append((entry, parcel))

    def advance(self, place: _Place) -> None:
        """Take the first of a line off and let the one behind it go."""
        line = self.lines[place]
        line.popleft()
        if line:
            self.next.put_nowait(place)
        else:
            del self.lines[place]


@dataclass
class Outbox:
    """The sender of one service.

    Facts and messages to mailboxes go in lanes of their own: a mailbox whose topic is missing holds no fact up.
    """

    broker: KafkaBroker
    service: str
    namespace: str
    sweeps: Callable[[], bool] = lambda: True
    """Whether this process now sends what outboxes were left full; one of a service's replicas does it for all."""
    _facts: _Lane = field(default_factory=_Lane)
    _messages: _Lane = field(default_factory=_Lane)
    _acknowledged: LRUCache[str, None] = field(default_factory=lambda: LRUCache(maxsize=20_000))
    _cleared: dict[int, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    _collections: dict[int, Aggregates[Any]] = field(default_factory=dict)
    _accepted: LRUCache[str, float] = field(default_factory=lambda: LRUCache(maxsize=QUEUE_LIMIT * 2))
    """Letter id → when the front door had accepted it; real time, seconds since 1970."""
    _closed: TTLCache[str, None] = field(default_factory=lambda: TTLCache(maxsize=1_000, ttl=CLOSED_SECONDS))
    """Topics that did not take what was sent to them."""
    _passed: dict[int, int] = field(default_factory=dict)
    """Collection → how many of its oldest outboxes the next sweep passes over: they cannot be emptied now."""
    _in_hand: dict[str, int] = field(default_factory=dict)
    """Letter id → how many of its parcels are on their way."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _less: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a letter is no longer on its way."""

    def attach(self, aggregates: Aggregates[Any]) -> None:
        """Serve this collection."""
        self._collections[id(aggregates)] = aggregates
        aggregates.sent = self.acknowledged

    def acknowledged(self, entry_id: str) -> bool:
        """Whether the broker has the entry: this process sent it, or met it on its topic, not long ago."""
        return entry_id in self._acknowledged

    def met(self, entry_id: str) -> None:
        """Note that an entry, which another process of the service sent, is on its topic: it need not be sent again."""
        self._acknowledged[entry_id] = None

    def accepted(self, letter_id: str, at: float) -> None:
        """Note when a letter was accepted (real time, seconds since 1970), to measure how long it takes to its mailbox."""
        self._accepted[letter_id] = at

    def start(self) -> None:
        """Begin to send, to empty outboxes and to sweep; the broker must be connected."""
        self._tasks = [
            asyncio.create_task(self._send_loop(self._facts), name=f"{self.service} outbox facts"),
            asyncio.create_task(self._send_loop(self._messages), name=f"{self.service} outbox messages"),
            asyncio.create_task(self._clear_loop(), name=f"{self.service} outbox clear"),
            asyncio.create_task(self._sweep_loop(), name=f"{self.service} outbox sweep"),
        ]

    async def stop(self, seconds: float = 5.0) -> None:
        """Send what is queued for at most `seconds`, empty the outboxes of what was acknowledged, and end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._in_hand:  # noqa: ASYNC110 - bounded, at shutdown only
                    await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(StoreUnavailable):
            await self._clear()

    async def room(self) -> None:
        """Wait until fewer than `ROOM` letters are on their way, for at most `ROOM_SECONDS`.

        To be asked before a batch is begun: so what cannot be sent yet waits on the topic it came by, in its order, where the lag shows it
        and the front door sees it, and not in outboxes, where later ones would overtake it. Where nothing is sent at all, as in a rebuild,
        there is nothing to wait for.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(ROOM_SECONDS):
                while self._tasks and len(self._in_hand) >= ROOM:
                    self._less.clear()
                    await self._less.wait()

    def post(self, aggregates: Aggregates[Any], changes: Iterable[Change[Any]]) -> None:
        """Send the outboxes of letters that were just saved. Returns at once; a failure is made good by the sweep."""
        for change in changes:
            entries = [*change.before.outbox, *change.send]
            # Where nothing is new and all was acknowledged before, the write has emptied the outbox already.
            if change.send or not all(self.acknowledged(entry.id) for entry in entries):
                self._enqueue(aggregates, change.before.id, change.version, entries)

    def _enqueue(
        self,
        aggregates: Aggregates[Any],
        letter_id: str,
        version: int,
        entries: Sequence[Outgoing],
        *,
        swept: bool = False,
    ) -> None:
        if len(self._in_hand) >= QUEUE_LIMIT:
            return
        fresh = [entry for entry in entries if entry.id not in self._acknowledged]
        parcel = _Parcel(aggregates, letter_id, version, {entry.id for entry in fresh}, swept)
        if not fresh:
            self._complete(parcel)
            return
        self._in_hand[letter_id] = self._in_hand.get(letter_id, 0) + 1
        for entry in fresh:
            lane = self._facts if entry.topic in RECORDS else self._messages
            lane.put(entry, parcel)

    async def _send_loop(self, lane: _Lane) -> None:
        while True:
            place = await lane.next.get()
            entry, parcel = lane.lines[place][0]
            if entry.id in self._acknowledged:  # by an earlier parcel
                self._arrived(lane, place)
                continue
            if entry.topic in self._closed:
                self._failed(lane, place)
                continue
            try:
                future = await self._publish(entry)
            except Exception as error:
                if isinstance(error, UnknownTopicOrPartitionError | TopicAuthorizationFailedError):
                    self._closed[entry.topic] = None
                log.warning(
                    "sending failed; the sweep sends again", extra={"letter_id": parcel.letter_id}, exc_info=error
                )
                self._failed(lane, place)
                await asyncio.sleep(0.2)
            else:
                future.add_done_callback(partial(self._settled, lane, place))

    async def _publish(self, entry: Outgoing) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self.broker.publish(
            entry.value,
            topic=self.namespace + entry.topic,
            key=entry.key.encode(),
            headers=entry.headers,
            no_confirm=True,
        )
        return future

    def _settled(self, lane: _Lane, place: _Place, future: "asyncio.Future[Any]") -> None:
        if future.cancelled() or future.exception() is not None:
            self._failed(lane, place)
            return
        entry, parcel = lane.lines[place][0]
        self._acknowledged[entry.id] = None
        if entry.topic in RECORDS:
            metrics.facts_published_total.labels(self.service, entry.headers["ce_type"]).inc()
        elif entry.headers["ce_type"] == ARRIVED:
            self._delivered(entry.key, parcel)
        self._arrived(lane, place)

    def _delivered(self, letter_id: str, parcel: _Parcel) -> None:
        """Measure how long a letter took to its mailbox. One that a crash left to the sweep has taken `SWEEP_AFTER` at least.

        A letter that moves to another mailbox later was delivered before, and is not counted again.
        """
        accepted = self._accepted.pop(letter_id, None)
        if accepted is not None:
            metrics.delivery_seconds.labels(self.service).observe(max(0.0, time() - accepted))
        elif parcel.swept:
            metrics.delivery_seconds.labels(self.service).observe(SWEEP_AFTER.total_seconds())

    def _arrived(self, lane: _Lane, place: _Place) -> None:
        """Tick off the first of a line, which the broker has."""
        entry, parcel = lane.lines[place][0]
        lane.advance(place)
        parcel.waiting.discard(entry.id)
        if not parcel.waiting:
            self._leave(parcel)
            self._complete(parcel)

    def _failed(self, lane: _Lane, place: _Place) -> None:
        """Give up a whole line, lest what follows stands before what failed; it is in the store for the sweep."""
        for _, parcel in lane.lines.pop(place):
            self._leave(parcel)

    def _leave(self, parcel: _Parcel) -> None:
        """Count a parcel out, once."""
        if parcel.left:
            return
        parcel.left = True
        left = self._in_hand[parcel.letter_id] - 1
        if left:
            self._in_hand[parcel.letter_id] = left
        else:
            del self._in_hand[parcel.letter_id]
            self._less.set()

    def _complete(self, parcel: _Parcel) -> None:
        self._cleared[id(parcel.aggregates)][parcel.letter_id] = parcel.version
        self._wake.set()

    async def _clear_loop(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.sleep(CLEAR_EVERY_SECONDS)
            self._wake.clear()
            try:
                await self._clear()
            except StoreUnavailable:
                await asyncio.sleep(1)
            except Exception as error:
                log.exception("emptying outboxes failed; the sweep does it again", exc_info=error)
                await asyncio.sleep(1)

    async def _clear(self) -> None:
        for key, versions in list(self._cleared.items()):
            if versions:
                self._cleared[key] = {}
                await self._collections[key].clear_outbox(versions)

    async def _sweep_loop(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_SECONDS)
            try:
                if self.sweeps():
                    await self.sweep()
            except StoreUnavailable:
                await asyncio.sleep(2)
            except Exception as error:
                log.exception("the sweep of outboxes failed; it is tried again", exc_info=error)
                await asyncio.sleep(2)

    async def sweep(self, after: timedelta = SWEEP_AFTER) -> int:
        """Queue the outboxes that are older than `after`, as many as there is room for; return how many letters."""
        found = 0
        for aggregates in self._collections.values():
            most = min(SWEEP_LIMIT, ROOM - len(self._in_hand))
            if most <= 0:
                break
            passed = self._passed.get(id(aggregates), 0)
            left = await aggregates.unsent(datetime.now(UTC) - after, most, passed)
            stuck = 0
            for stored in left:
                stuck += stored.newer or any(entry.topic in self._closed for entry in stored.outbox)
                if stored.id not in self._in_hand and not stored.newer:
                    found += 1
                    self._enqueue(aggregates, stored.id, stored.version, stored.outbox, swept=True)
            # Letters that wait for a topic which takes nothing are passed over, until all were looked at: they hold no others up.
            self._passed[id(aggregates)] = passed + stuck if len(left) == most else 0
        if found:
            log.info("outboxes left behind are sent", extra={"count": found})
        return found

    async def measure(self) -> None:
        """Set the outbox metrics."""
        depth, oldest = 0, 0.0
        for aggregates in self._collections.values():
            waiting, age = await aggregates.outbox_depth()
            depth, oldest = depth + waiting, max(oldest, age)
        metrics.outbox_depth.labels(self.service).set(depth)
        metrics.outbox_oldest_seconds.labels(self.service).set(oldest)
