"""The facts of a letter in their order: each that comes is applied, known already, or waits for another.

Facts are applied in the order of `seq` per source. `evolve` must not depend on the order *between* sources, because a service applies its
own facts before they are on the topic; then a projection that is rebuilt from offset 0 equals the live one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from shared.calendar.clock import Clock
from shared.contracts.catalogue import BY_TYPE, UnknownMessageType, is_newer, name_of, parse
from shared.contracts.envelope import Attributes, BadEnvelope
from shared.contracts.facts import Fact
from shared.messaging.parking import Message, Queue, Why, explain
from shared.messaging.work import Domain, Work
from shared.observability.tracing import span
from shared.storage import Stored

State = TypeVar("State")


@dataclass
class Arrivals(Generic[State]):
    """How a service takes facts; it neither reads nor writes anything."""

    domain: Domain[State]
    clock: Clock

    def __post_init__(self) -> None:
        self._of_interest = {name_of(fact) for fact in self.domain.on}

    def arrive(self, stored: Stored[State], messages: Sequence[Message], queue: Queue, *, live: bool) -> Work[State]:
        """Apply messages to a letter, and what of its queue no longer has to wait; the queue gets those that must.

        With `live` false (a rebuild) facts only evolve the state: nothing is decided.
        """
        work = Work.on(self.domain, stored)
        if stored.newer:
            work.outcomes += [self._hand_over(work, queue, message) for message in messages]
            return work
        self._drain(work, queue, live=live)
        for message in messages:
            work.outcomes.append(self._arrive(work, queue, message, live=live))
        return work

    @staticmethod
    def _hand_over(work: Work[State], queue: Queue, message: Message) -> str:
        """Leave a message to a process of the release that wrote the letter's state."""
        envelope = message.envelope
        assert envelope is not None
        if envelope.seq and envelope.seq <= work.seen.get(envelope.source, 0):
            return "duplicate"
        if message.origin not in {waiting.origin for waiting in queue.items}:
            queue.wait_for_upgrade(message, "a newer release wrote this letter's state")
            queue.items.append(message)
        return "waiting"

    def _arrive(self, work: Work[State], queue: Queue, message: Message, *, live: bool) -> str:
        """Apply one message, or let it wait; return the outcome for the metrics."""
        envelope = message.envelope
        assert envelope is not None
        expected = work.expected(envelope.source)
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

    def _replay(self, work: Work[State], queue: Queue, message: Message, *, live: bool) -> str:
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

    def _drain(self, work: Work[State], queue: Queue, *, live: bool) -> None:
        """Apply what no longer has to wait."""
        while queue.items:
            head = queue.items[0]
            envelope = head.envelope
            assert envelope is not None
            expected = work.expected(envelope.source)
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

    def _apply(self, work: Work[State], message: Message, queue: Queue, *, live: bool) -> bool:
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
                fact = self.fact(envelope, message.value)
                if fact is None:
                    work.seen[envelope.source] = envelope.seq
                    return True
                before = work.state
                work.evolve(fact, envelope.source, envelope.seq)
                if live:
                    work.decide(partial(self.domain.missed, before), self.clock.now())
        except Exception as error:  # noqa: BLE001 - whatever it is, one message must not stop the others
            back()
            if isinstance(error, UnknownMessageType) and error.newer:
                queue.wait_for_upgrade(message, str(error))
            else:
                queue.fail(message, *explain(error))
            return False
        return True

    def fact(self, envelope: Attributes, value: bytes) -> Fact | None:
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
