"""One service's view of all letters: facts in, decisions, facts out, each letter moved by one atomic write.

Everything a service does to a letter goes through `Letters`: a message of the topic `letters`, a command from HTTP or from a unit's
system, a clock that falls due. Each time: read the letter, let the domain decide, evolve the state, write state, versions and new facts at
once, send the facts. What the state requires next (`Domain.follow`) is decided in the same write as the fact that requires it.

In memory a letter is moved by `Work`; in which order its facts are applied, `Arrivals` knows. Here is what reads and writes.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from shared.calendar.clock import Clock
from shared.contracts.errors import Stale
from shared.contracts.facts import LETTERS, Fact
from shared.messaging.arrivals import Arrivals
from shared.messaging.broker import Record
from shared.messaging.desk import Command, Desk
from shared.messaging.outbox import Outbox
from shared.messaging.parking import Message, Parking, Queue, read, strays
from shared.messaging.patience import Conflict, patiently
from shared.messaging.salvage import salvage
from shared.messaging.work import Domain, Step, Telling, Work
from shared.observability import metrics
from shared.observability.tracing import span
from shared.storage import Aggregates, NewerDocument, Stored

log = logging.getLogger(__name__)

State = TypeVar("State")

TAKE_UP = 200
"""Letters that are tried again at once after an upgrade."""
RACES = 30
"""How often a write may lose against other writers before the caller is told to come back."""


Tell = Callable[[Sequence[Step[Any]]], Awaitable[Sequence[Telling]]]


Restore = Callable[[Sequence[Step[Any]]], Awaitable[None]]


async def _nothing(_of: Sequence[Any]) -> None:
    return None


async def _tell_nobody(_steps: Sequence[Step[Any]]) -> Sequence[Telling]:
    return ()


@dataclass
class Letters(Generic[State]):
    """A service's letters."""

    domain: Domain[State]
    aggregates: Aggregates[State]
    outbox: Outbox
    parking: Parking
    clock: Clock
    namespace: str = ""
    tell: Tell = _tell_nobody
    """Which mailboxes are told of steps. Asked once per batch; may read the store."""
    restore: Restore = _nothing
    """During a rebuild: restores what else of the service follows from the facts, e.g. the register."""
    owned: Callable[[str], bool] = lambda _letter_id: True
    """Whether this process takes a letter's facts. Others move those of another replica: what is remembered of them is old."""
    before_release: Callable[[Sequence[str]], Awaitable[None]] = _nothing
    """Does what must be done before facts of these letters that waited for a newer release are forgotten; a crash brings them again."""

    def __post_init__(self) -> None:
        self.outbox.attach(self.aggregates)
        self._arrivals = Arrivals(self.domain, self.clock)
        self._taken_up = ""
        self._desk: Desk[State] = Desk(self._serve)

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def command(
        self,
        letter_id: str,
        decide: Callable[[State | None, datetime], Sequence[Fact]],
        *,
        expected: int | None = None,
    ) -> Stored[State]:
        """Decide on one letter and write the outcome; return the letter as it is afterwards. Without a fact nothing changes (R1.6).

        `decide` gets the state and the time and returns facts (none: nothing changes); it is asked again when another write was faster.

        Raises:
            RuleBroken: from `decide`.
            Stale: the letter's version is not `expected`.
            StoreUnavailable: the store is away; the command may be repeated.
        """
        return await self._desk.take(letter_id, decide, expected)

    async def _serve(self, commands: Sequence[Command[State]]) -> None:
        """Serve commands with one read and one write; those of one letter one after the other, each on what the last one left."""
        todo = list(commands)
        again = {command.letter_id for command in todo if not self.owned(command.letter_id)}
        for _ in range(RACES):
            found, remembered = await self.aggregates.recall((command.letter_id for command in todo), again)
            works = {letter_id: Work.on(self.domain, stored) for letter_id, stored in found.items()}
            for command in todo:
                if not command.answer.done():
                    command.outcome = self._outcome(works[command.letter_id], command)
            # Where nothing is written, no version confirms what was remembered: read, and decide again.
            unsure = {letter_id for letter_id in remembered if not works[letter_id].change().moved}
            again = unsure | await self._save([work for work in works.values() if work.before.id not in unsure])
            for command in todo:
                if command.letter_id not in again:
                    command.finish()
            todo = [command for command in todo if command.letter_id in again]
            if not todo:
                return
        for command in todo:
            command.outcome = Conflict(command.letter_id)
            command.finish()

    def _outcome(self, work: Work[State], command: Command[State]) -> Stored[State] | Exception:
        if work.before.newer:
            return NewerDocument(command.letter_id, self.aggregates.schema + 1)
        if command.expected is not None and command.expected != work.version:
            return Stale(work.version)
        back = work.mark()
        try:
            command.context.run(work.decide, command.decide, self.clock.now())
        except Exception as error:  # noqa: BLE001 - whoever gave the command gets it; others of the batch do not
            back()
            return error
        return work.result()

    async def command_many(
        self,
        letter_ids: Iterable[str],
        decide: Callable[[str, State | None, datetime], Sequence[Fact]],
        traceparents: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Stored[State]]:
        """Decide on many letters with one read and one write; return those that changed.

        A letter on which `decide` raises is logged and left as it is. `traceparents` (letter id → header) continue the traces that asked.
        """
        await self.outbox.room()
        todo = list(dict.fromkeys(letter_ids))
        done: dict[str, Stored[State]] = {}
        again = {letter_id for letter_id in todo if not self.owned(letter_id)}
        for _ in range(RACES):
            works, unsure = [], set()
            found, remembered = await self.aggregates.recall(todo, again)
            for stored in found.values():
                if stored.newer:
                    continue  # a process of the newer release does it
                work = Work.on(self.domain, stored)
                try:
                    with span(f"{self.domain.source} decide", traceparents.get(stored.id), letter_id=stored.id):
                        work.decide(partial(decide, stored.id), self.clock.now())
                except Exception as error:
                    if stored.id in remembered:
                        unsure.add(stored.id)
                    else:
                        log.exception("a decision failed", extra={"letter_id": stored.id}, exc_info=error)
                else:
                    if work.change().moved:
                        works.append(work)
                    elif stored.id in remembered:
                        unsure.add(stored.id)
            again = unsure | await self._save(works)
            for work in works:
                if work.steps and work.before.id not in again:
                    done[work.before.id] = work.result()
            todo = list(again)
            if not todo:
                return done
        raise Conflict(todo[0])

    async def _save(self, works: Sequence[Work[State]], *, live: bool = True) -> set[str]:
        steps = [step for work in works for step in work.steps]
        if live:
            await self._tell(steps, {w.before.id: w for w in works})
        else:
            await self.restore(steps)
        changes = [change for change in (work.change() for work in works) if change.moved]
        lost = await self.aggregates.save(changes)
        self.outbox.post(self.aggregates, [change for change in changes if change.before.id not in lost])
        return lost

    async def _tell(self, steps: Sequence[Step[State]], works: Mapping[str, Work[State]]) -> None:
        if not steps:
            return
        traces = {id(step.fact): step.traceparent for step in steps}
        for number, telling in enumerate(await self.tell(steps)):
            works[telling.cause.letter_id].tell(telling, number, traces.get(id(telling.cause), ""))

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def handle(self, records: Sequence[Record], *, live: bool = True) -> None:
        """Take a batch of the topic `letters`: the handler of the subscriber.

        With `live` false (a rebuild) facts only evolve the state: nothing is decided, nobody is told.

        Raises:
            StoreUnavailable: after a minute of retries; Kafka brings the batch again.
        """
        if not records:
            return
        await self.outbox.room()
        started = perf_counter()
        async for attempt in patiently():
            with attempt:
                if attempt.retry_state.attempt_number > 1:
                    metrics.messages_total.labels(self.domain.source, LETTERS, "retried").inc(len(records))
                await salvage(
                    [read(record, self.namespace) for record in records],
                    partial(self._handle, live=live),
                    self.parking.aside,
                )
        metrics.message_handling_seconds.labels(self.domain.source, LETTERS).observe(perf_counter() - started)
        metrics.message_batch_size.labels(self.domain.source, LETTERS).observe(len(records))

    async def take_up(self) -> None:
        """Try again what waits for a newer release: this process may be of it. Some letters each time, one after the other."""
        ids = await self.parking.newer(self._taken_up, TAKE_UP)
        if ids:
            await self._handle((), live=True, also=ids)
        self._taken_up = ids[-1] if ids else ""

    async def _handle(self, messages: Sequence[Message], *, live: bool, also: Sequence[str] = ()) -> None:
        groups: dict[str, list[Message]] = defaultdict(list, {letter_id: [] for letter_id in also})
        outcomes: list[str] = []
        again: set[str] = set()
        for message in messages:
            if live and self._sent(message):
                outcomes.append("duplicate")
            else:
                groups[message.letter_id].append(message)
                if live and message.envelope is not None and message.envelope.source == self.domain.source:
                    again.add(message.letter_id)  # another replica moved it
        stray = groups.pop("", [])
        kept = await self.parking.queues(groups)
        outcomes += ["parked"] * len(stray)
        queues: dict[str, Queue] = {}
        todo = list(groups)
        for _ in range(RACES):
            works, unsure = [], set()
            found, remembered = await self.aggregates.recall(todo, again)
            for letter_id, stored in found.items():
                before = kept.get(letter_id, Queue())
                queue = queues[letter_id] = Queue(list(before.items), before.stored)
                self._meet(stored, groups[letter_id])
                work = self._arrivals.arrive(stored, groups[letter_id], queue, live=live)
                # Facts that another replica applied meanwhile look like a gap to one who only remembers.
                if letter_id in remembered and not {"waiting", "parked"}.isdisjoint(work.outcomes):
                    unsure.add(letter_id)
                else:
                    works.append(work)
            again = unsure | await self._save(works, live=live)
            outcomes += [o for work in works if work.before.id not in again for o in work.outcomes]
            todo = list(again)
            if not todo:
                break
        else:
            raise Conflict(todo[0])
        if also:
            await self.before_release(also)
        queues[""], removed = strays(stray)
        removed |= {message.replay_of for message in messages if message.replay_of and message.envelope}
        removed -= {waiting.origin for queue in queues.values() for waiting in queue.items}
        await self.parking.keep(queues, removed, record=live)
        for outcome in set(outcomes):
            metrics.messages_total.labels(self.domain.source, LETTERS, outcome).inc(outcomes.count(outcome))

    def _meet(self, stored: Stored[State], messages: Sequence[Message]) -> None:
        """Note what of a letter's outbox came on the topic: another replica has sent it."""
        if stored.outbox:
            came = {message.envelope.id: message.value for message in messages if message.envelope is not None}
            for entry in stored.outbox:
                if came.get(entry.id) == entry.value:
                    self.outbox.met(entry.id)

    def _sent(self, message: Message) -> bool:
        """Whether this very process sent the fact: then it was applied before, and the letter need not even be read."""
        envelope = message.envelope
        return (
            envelope is not None
            and envelope.source == self.domain.source
            and not message.replay_of
            and self.outbox.acknowledged(envelope.id)
        )
