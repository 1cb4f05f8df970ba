"""One service's view of all letters: facts in, decisions, facts out, each letter moved by one atomic write.

Everything a service does to a letter goes through `Letters`: a message of the topic `letters`, a command from HTTP or from a unit's
system, a clock that falls due. Each time: read the letter, let the domain decide, evolve the state, write state, versions and new facts at
once, send the facts. What the state requires next (`Domain.follow`) is decided in the same write as the fact that requires it.

Facts are applied in the order of `seq` per source. `evolve` must not depend on the order *between* sources, because this
service applies its own facts before they are on the topic; then a projection that is rebuilt from offset 0 equals the live one.
"""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from shared.contracts.catalogue import BY_TYPE, UnknownMessageType, is_newer, name_of, parse
from shared.contracts.envelope import Attributes, BadEnvelope, Outgoing, event_id, pack
from shared.contracts.errors import Stale
from shared.contracts.facts import Fact
from shared.contracts.types import Value
from shared.messaging.broker import Record
from shared.messaging.desk import Command, Desk
from shared.messaging.outbox import Outbox
from shared.messaging.parking import Message, Parking, Queue, Why, explain, read, strays
from shared.messaging.patience import Conflict, patiently
from shared.messaging.salvage import salvage
from shared.observability import metrics
from shared.observability.tracing import current_traceparent, span
from shared.storage import Aggregates, Change, NewerDocument, Stored

log = logging.getLogger(__name__)

State = TypeVar("State")

LETTERS = "letters"
TAKE_UP = 200
"""Letters that are tried again at once after an upgrade."""
RACES = 30
"""How often a write may lose against other writers before the caller is told to come back."""


class Clock(Protocol):
    """Whatever tells the time: aware UTC, milliseconds."""

    def now(self) -> datetime:
        """Return the moment."""


@dataclass(frozen=True, slots=True)
class Domain(Generic[State]):
    """What a service's pure domain code gives."""

    source: str
    """The service's name."""
    on: Mapping[type[Fact], Callable[[State | None, Any], State | None]]
    """Fact → how the state evolves. Facts not listed change nothing and are not even parsed."""
    follow: Callable[[State, datetime], Sequence[Fact]] = lambda _state, _now: ()
    """What the state requires that has not been decided yet; must become empty once its facts are applied."""


@dataclass(frozen=True, slots=True)
class Step(Generic[State]):
    """One fact as it was applied to a letter."""

    letter_id: str
    before: State | None
    fact: Fact
    after: State | None
    version: int = 0
    """The letter's version once the fact is applied."""
    seq: int = 0
    """The fact's count among those of its service on the letter."""
    traceparent: str = ""
    """The trace that it belongs to."""


@dataclass(frozen=True, slots=True)
class Telling:
    """A message for one mailbox that follows from a step."""

    topic: str
    message: Value
    cause: Fact


Tell = Callable[[Sequence[Step[Any]]], Awaitable[Sequence[Telling]]]


Restore = Callable[[Sequence[Step[Any]]], Awaitable[None]]


async def _restore_nothing(_steps: Sequence[Step[Any]]) -> None:
    return None


async def _tell_nobody(_steps: Sequence[Step[Any]]) -> Sequence[Telling]:
    return ()


@dataclass(slots=True)
class _Work(Generic[State]):
    """A letter while its messages are applied."""

    before: Stored[State]
    state: State | None
    seen: dict[str, int]
    steps: list[Step[State]] = field(default_factory=list)
    send: list[Outgoing] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, stored: Stored[State]) -> "_Work[State]":
        return cls(stored, stored.state, dict(stored.seen))

    @property
    def version(self) -> int:
        return sum(self.seen.values())

    def change(self) -> Change[State]:
        return Change(self.before, self.state, self.seen, self.send)

    def result(self) -> Stored[State]:
        return Stored(self.before.id, self.version, dict(self.seen), self.state)

    def mark(self) -> Callable[[], None]:
        """Return what puts everything back to how it is now."""
        state, seen, steps, send = self.state, dict(self.seen), len(self.steps), len(self.send)

        def back() -> None:
            self.state, self.seen = state, seen
            del self.steps[steps:], self.send[send:]

        return back


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
    restore: Restore = _restore_nothing
    """During a rebuild: restores what else of the service follows from the facts, e.g. the register."""
    owned: Callable[[str], bool] = lambda _letter_id: True
    """Whether this process takes a letter's facts. Others move those of another replica: what is remembered of them is old."""

    def __post_init__(self) -> None:
        self.outbox.attach(self.aggregates)
        self._of_interest = {name_of(fact) for fact in self.domain.on}
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
            works = {letter_id: _Work.on(stored) for letter_id, stored in found.items()}
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

    def _outcome(self, work: _Work[State], command: Command[State]) -> Stored[State] | Exception:
        if work.before.newer:
            return NewerDocument(command.letter_id, self.aggregates.schema + 1)
        if command.expected is not None and command.expected != work.version:
            return Stale(work.version)
        back = work.mark()
        try:
            command.context.run(self._decide, work, command.decide)
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
        todo = list(dict.fromkeys(letter_ids))
        done: dict[str, Stored[State]] = {}
        again = {letter_id for letter_id in todo if not self.owned(letter_id)}
        for _ in range(RACES):
            works, unsure = [], set()
            found, remembered = await self.aggregates.recall(todo, again)
            for stored in found.values():
                if stored.newer:
                    continue  # a process of the newer release does it
                work = _Work.on(stored)
                try:
                    with span(f"{self.domain.source} decide", traceparents.get(stored.id), letter_id=stored.id):
                        self._decide(work, partial(decide, stored.id))
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

    def _decide(self, work: _Work[State], decide: Callable[[State | None, datetime], Sequence[Fact]]) -> None:
        now = self.clock.now()
        for fact in decide(work.state, now):
            self._record(work, fact)
        self._follow(work, now)

    def _record(self, work: _Work[State], fact: Fact) -> None:
        """Apply a fact of this service and put it into the outbox."""
        source = self.domain.source
        seq = work.seen.get(source, 0) + 1
        evolve = self.domain.on.get(type(fact))
        after = evolve(work.state, fact) if evolve else work.state
        traceparent = current_traceparent()
        work.send.append(
            pack(
                fact,
                topic=LETTERS,
                letter_id=fact.letter_id,
                source=source,
                id=event_id(fact.letter_id, source, seq),
                time=fact.at,
                traceparent=traceparent,
                seq=seq,
            )
        )
        work.seen[source] = seq
        work.steps.append(Step(fact.letter_id, work.state, fact, after, work.version, seq, traceparent))
        work.state = after

    def _follow(self, work: _Work[State], now: datetime) -> None:
        for _ in range(RACES):
            if work.state is None:
                return
            facts = self.domain.follow(work.state, now)
            if not facts:
                return
            for fact in facts:
                self._record(work, fact)
        raise RuntimeError(f"{self.domain.source}: what follows from a state never ends; see Domain.follow")

    async def _save(self, works: Sequence[_Work[State]], *, live: bool = True) -> set[str]:
        steps = [step for work in works for step in work.steps]
        if live:
            await self._tell(steps, {w.before.id: w for w in works})
        else:
            await self.restore(steps)
        changes = [change for change in (work.change() for work in works) if change.moved]
        lost = await self.aggregates.save(changes)
        self.outbox.post(self.aggregates, [change for change in changes if change.before.id not in lost])
        return lost

    async def _tell(self, steps: Sequence[Step[State]], works: Mapping[str, _Work[State]]) -> None:
        if not steps:
            return
        traces = {id(step.fact): step.traceparent for step in steps}
        for number, telling in enumerate(await self.tell(steps)):
            work = works[telling.cause.letter_id]
            work.send.append(
                pack(
                    telling.message,
                    topic=telling.topic,
                    letter_id=telling.cause.letter_id,
                    source=self.domain.source,
                    id=event_id(telling.cause.letter_id, self.domain.source, work.version, f"told/{number}"),
                    time=telling.cause.at,
                    traceparent=traces.get(id(telling.cause), ""),
                )
            )

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def handle(self, records: Sequence[Record], *, live: bool = True) -> None:
        """Take a batch of the topic `letters`: the handler of the subscriber.

        With `live` false (a rebuild) facts only evolve the state: nothing is decided, nobody is told.

        Raises:
            StoreUnavailable: after a minute of retries; Kafka brings the batch again.
        """
        if not records:
            return
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

    async def before_release(self, letter_ids: Sequence[str]) -> None:
        """Do what must be done before facts that waited for a newer release are forgotten; a crash before it brings them again."""

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
                work = self._apply_all(stored, groups[letter_id], queue, live=live)
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

    def _apply_all(
        self, stored: Stored[State], messages: Sequence[Message], queue: Queue, *, live: bool
    ) -> _Work[State]:
        work = _Work.on(stored)
        if stored.newer:
            work.outcomes += [self._hand_over(work, queue, message) for message in messages]
            return work
        self._drain(work, queue, live=live)
        for message in messages:
            work.outcomes.append(self._arrive(work, queue, message, live=live))
        return work

    @staticmethod
    def _hand_over(work: _Work[State], queue: Queue, message: Message) -> str:
        """Leave a message to a process of the release that wrote the letter's state."""
        envelope = message.envelope
        assert envelope is not None
        if envelope.seq and envelope.seq <= work.seen.get(envelope.source, 0):
            return "duplicate"
        if message.origin not in {waiting.origin for waiting in queue.items}:
            queue.wait_for_upgrade(message, "a newer release wrote this letter's state")
            queue.items.append(message)
        return "waiting"

    def _arrive(self, work: _Work[State], queue: Queue, message: Message, *, live: bool) -> str:
        """Apply one message, or let it wait; return the outcome for the metrics."""
        envelope = message.envelope
        assert envelope is not None
        expected = work.seen.get(envelope.source, 0) + 1
        head = queue.items[0] if queue.items else None
        if head is not None and message.replay_of == head.origin:
            return self._replay(work, queue, message, live=live)
        if message.drop or (envelope.seq and envelope.seq < expected):
            return "duplicate"
        if head is None or self._passes(head, message, expected):
            if envelope.seq > expected:
                message.why, message.error = Why.GAP, _gap(envelope, expected)
                queue.items.append(message)
                return "waiting"
            if not self._apply(work, message, queue, live=live):
                queue.items.insert(0, message)
                return "waiting" if message.why is Why.NEWER else "parked"
            self._drain(work, queue, live=live)
            return "handled"
        if message.origin not in {waiting.origin for waiting in queue.items}:
            # Marked as what it waits for, so that it is taken up even if that is taken in this very moment.
            message.why = Why.NEWER if head.why is Why.NEWER else Why.BEHIND
            queue.items.append(message)
        return "waiting"

    @staticmethod
    def _passes(head: Message, message: Message, expected: int) -> bool:
        """Whether a message may be applied although others wait: it stands before them, or it is what they wait for."""
        envelope = message.envelope
        assert envelope is not None
        earlier = message.partition == head.partition and message.offset < head.offset
        fills = (
            head.why is Why.GAP
            and head.envelope is not None
            and head.envelope.source == envelope.source
            and envelope.seq == expected
        )
        return earlier or fills

    def _replay(self, work: _Work[State], queue: Queue, message: Message, *, live: bool) -> str:
        head, envelope = queue.items[0], message.envelope
        assert envelope is not None
        if message.drop:
            if head.envelope is not None and head.envelope.seq:
                seen = work.seen.get(head.envelope.source, 0)
                work.seen[head.envelope.source] = max(seen, head.envelope.seq)
        elif envelope.seq > work.seen.get(envelope.source, 0):
            trial = Queue()
            if not self._apply(work, message, trial, live=live):
                queue.fail(head, message.error, message.stack)
                return "parked"
        del queue.items[0]
        self._drain(work, queue, live=live)
        return "handled"

    def _drain(self, work: _Work[State], queue: Queue, *, live: bool) -> None:
        """Apply what no longer has to wait."""
        while queue.items:
            head = queue.items[0]
            envelope = head.envelope
            assert envelope is not None
            expected = work.seen.get(envelope.source, 0) + 1
            if envelope.seq < expected:
                del queue.items[0]
            elif head.why is Why.FAILED:
                return
            elif envelope.seq > expected:
                filling = _filling(queue, envelope.source, expected)
                if filling is None:
                    head.why, head.error = Why.GAP, _gap(envelope, expected)
                    return
                queue.items.insert(0, queue.items.pop(filling))
            elif self._apply(work, head, queue, live=live):
                del queue.items[0]
            else:
                return

    def _apply(self, work: _Work[State], message: Message, queue: Queue, *, live: bool) -> bool:
        """Apply one fact that is next in line; on an error leave the letter as it was, note the error and return false."""
        envelope = message.envelope
        assert envelope is not None
        back = work.mark()
        try:
            with span(
                f"{self.domain.source} {envelope.type}",
                envelope.traceparent,
                kind="consumer",
                letter_id=envelope.subject,
            ):
                fact = self._fact(envelope, message.value)
                if fact is None:
                    work.seen[envelope.source] = envelope.seq
                    return True
                before = work.state
                work.state = self.domain.on[type(fact)](before, fact)
                work.seen[envelope.source] = envelope.seq
                trace = current_traceparent()
                work.steps.append(Step(fact.letter_id, before, fact, work.state, work.version, envelope.seq, trace))
                if live:
                    self._follow(work, self.clock.now())
        except Exception as error:  # noqa: BLE001 - whatever it is, one message must not stop the others
            back()
            if isinstance(error, UnknownMessageType) and error.newer:
                queue.wait_for_upgrade(message, str(error))
            else:
                queue.fail(message, *explain(error))
            return False
        return True

    def _fact(self, envelope: Attributes, value: bytes) -> Fact | None:
        """Read a fact; none: a fact that is well sent but changes nothing here.

        Raises:
            BadEnvelope: it does not fit its envelope.
            UnknownMessageType, ValidationError: it cannot be read.
        """
        model = BY_TYPE.get(envelope.type)
        if envelope.seq == 0:
            raise BadEnvelope("the header ce_seq is missing; every fact on `letters` is counted")
        if model is not None and getattr(model, "source", "") != envelope.source:
            raise BadEnvelope(f"{envelope.type} is no fact of {envelope.source!r}")
        if (model is not None or is_newer(envelope.type)) and envelope.type.split(".")[1] not in self._of_interest:
            return None
        fact = parse(envelope.type, value)
        if not isinstance(fact, Fact) or fact.letter_id != envelope.subject:
            raise BadEnvelope(f"{envelope.type} is not a fact on the letter that its envelope names")
        return fact


def _gap(envelope: Attributes, expected: int) -> str:
    return f"fact {envelope.seq} of {envelope.source} came, {expected} has not"


def _filling(queue: Queue, source: str, seq: int) -> int | None:
    """Where in a queue the fact stands that its head waits for: facts may have come in any order."""
    for place, waiting in enumerate(queue.items):
        if waiting.envelope is not None and (waiting.envelope.source, waiting.envelope.seq) == (source, seq):
            return place
    return None
