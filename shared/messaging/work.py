"""One letter while it is moved, in memory alone: facts are decided or arrive, the state evolves, messages are put into the outbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.contracts.envelope import Outgoing, event_id, pack, pack_fact
from shared.contracts.facts import Fact
from shared.contracts.types import Value
from shared.observability.tracing import current_traceparent
from shared.storage import Change, Stored

State = TypeVar("State")

_ENDLESS = 30
"""How often something may follow from a state before it must be an error."""


@dataclass(frozen=True, slots=True)
class Domain(Generic[State]):
    """What a service's pure domain code gives."""

    source: str
    """The service's name."""
    on: Mapping[type[Fact], Callable[[State | None, Any], State | None]]
    """Fact → how the state evolves. Facts not listed change nothing and are not even parsed."""
    follow: Callable[[State, datetime], Sequence[Fact]] = lambda _state, _now: ()
    """What the state requires that has not been decided yet; must become empty once its facts are applied."""
    missed: Callable[[State | None, State | None, datetime], Sequence[Fact]] = lambda _before, _after, _now: ()
    """State before and after a fact that arrived → what had come to pass before it and was never declared; not asked in a rebuild."""


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


@dataclass(slots=True)
class Work(Generic[State]):
    """A letter while facts are applied to it: what it was, what it is, and what must be written and sent for that."""

    domain: Domain[State]
    before: Stored[State]
    state: State | None
    seen: dict[str, int]
    steps: list[Step[State]] = field(default_factory=list)
    send: list[Outgoing] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    """What became of each message, for the metrics."""

    @classmethod
    def on(cls, domain: Domain[State], stored: Stored[State]) -> "Work[State]":
        """Begin with a letter as it is stored."""
        return cls(domain, stored, stored.state, dict(stored.seen))

    @property
    def version(self) -> int:
        """The letter's version now."""
        return sum(self.seen.values())

    def change(self) -> Change[State]:
        """What must be written."""
        return Change(self.before, self.state, self.seen, self.send)

    def result(self) -> Stored[State]:
        """The letter once that is written."""
        return Stored(self.before.id, self.version, dict(self.seen), self.state)

    def mark(self) -> Callable[[], None]:
        """Return what puts everything back to how it is now."""
        state, seen, steps, send = self.state, dict(self.seen), len(self.steps), len(self.send)

        def back() -> None:
            self.state, self.seen = state, seen
            del self.steps[steps:], self.send[send:]

        return back

    def expected(self, source: str) -> int:
        """The `seq` of the next fact of a service."""
        return self.seen.get(source, 0) + 1

    def decide(self, decide: Callable[[State | None, datetime], Sequence[Fact]], now: datetime) -> None:
        """Apply what `decide` decides, and what follows from it; whatever it raises is raised."""
        for fact in decide(self.state, now):
            self._record(fact)
        self.follow(now)

    def follow(self, now: datetime) -> None:
        """Apply what the state requires that has not been decided yet (`Domain.follow`)."""
        for _ in range(_ENDLESS):
            if self.state is None:
                return
            facts = self.domain.follow(self.state, now)
            if not facts:
                return
            for fact in facts:
                self._record(fact)
        raise RuntimeError(f"{self.domain.source}: what follows from a state never ends; see Domain.follow")

    def _record(self, fact: Fact) -> None:
        """Apply a fact of this service and put it into the outbox."""
        seq = self.expected(fact.source)
        evolve = self.domain.on.get(type(fact))
        after = evolve(self.state, fact) if evolve else self.state
        traceparent = current_traceparent()
        self.send.append(pack_fact(fact, seq, traceparent))
        self._step(fact, after, fact.source, seq, traceparent)

    def evolve(self, fact: Fact, source: str, seq: int) -> None:
        """Apply a fact that came on the topic and is next in line."""
        self._step(fact, self.domain.on[type(fact)](self.state, fact), source, seq, current_traceparent())

    def _step(self, fact: Fact, after: State | None, source: str, seq: int, traceparent: str) -> None:
        self.seen[source] = seq
        self.steps.append(Step(fact.letter_id, self.state, fact, after, self.version, seq, traceparent))
        self.state = after

    def tell(self, telling: Telling, number: int, traceparent: str) -> None:
        """Put a message for a mailbox into the outbox; `number` tells those of one batch apart."""
        letter_id, source = telling.cause.letter_id, self.domain.source
        self.send.append(
            pack(
                telling.message,
                topic=telling.topic,
                letter_id=letter_id,
                source=source,
                id=event_id(letter_id, source, self.version, f"told/{number}"),
                time=telling.cause.at,
                traceparent=traceparent,
            )
        )
