"""The office that keeps the directory of mailboxes (R1.1): decides changes, makes topics, and puts each change on the record.

One document holds the entries that changes have made, the version and the outbox, and moves by one conditional write, like a letter's.
A mailbox's topics are there before the fact that adds it is written. A change takes effect, here too, once it is on the topic.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from services.routing.repository import SERVICE
from shared.calendar.clock import Clock
from shared.contracts.directory import DirectoryFact, MailboxAdded
from shared.contracts.envelope import Outgoing, event_id, pack
from shared.contracts.errors import Stale
from shared.directory import Directory, Mailbox
from shared.directory.changes import applied
from shared.messaging.changes import DIRECTORY, DirectoryChanges
from shared.messaging.outbox import Outbox
from shared.messaging.patience import Conflict
from shared.observability.tracing import current_traceparent
from shared.storage import Aggregates, Change, Store, Stored

RACES: Final = 10
EFFECT_SECONDS: Final = 5.0
"""How long the author of a change waits until it is on the topic."""

Entries: TypeAlias = Mapping[str, Mailbox]
Decide: TypeAlias = Callable[[Directory, datetime], Sequence[DirectoryFact]]


def entries(store: Store) -> Aggregates[Entries]:
    """Return the collection of the one document."""
    return Aggregates(
        store,
        SERVICE,
        "directory",
        dump=lambda made: {"mailboxes": [mailbox.model_dump(mode="json") for mailbox in made.values()]},
        load=lambda raw: {mailbox.code: mailbox for mailbox in map(Mailbox.model_validate, raw["mailboxes"])},
        fields=lambda _made: {},
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change."""

    directory: Directory
    """The directory with it."""
    facts: Sequence[DirectoryFact]
    in_effect: bool
    """False: it is decided and stored, but Kafka has not taken it yet."""


@dataclass
class Office:
    """Changes the directory for the duty office (R1.2)."""

    aggregates: Aggregates[Entries]
    outbox: Outbox
    changes: DirectoryChanges
    clock: Clock
    make_topics: Callable[[Iterable[str]], Awaitable[int]]
    """Makes the topics of mailboxes where they are missing."""

    def __post_init__(self) -> None:
        self.outbox.attach(self.aggregates)

    async def change(self, decide: Decide, expected: int | None = None) -> Outcome:
        """Decide on the directory as it is, and store and publish the outcome.

        Raises:
            DirectoryError: from `decide`; nothing is changed.
            UnknownMailbox: from `decide`.
            Stale: the directory's version is not `expected`.
            KafkaError, TopicsRefused: the topics of a new mailbox cannot be made; nothing is changed.
            StoreUnavailable: the store is away; ask what became of it, or try again.
        """
        for _ in range(RACES):
            before, made, version = await self._read()
            if expected is not None and expected != version:
                raise Stale(version)
            facts = decide(self.changes.live.of(made, version), self.clock.now())
            if not facts:
                return Outcome(self.changes.live.of(made, version), (), in_effect=True)
            new = [fact.mailbox for fact in facts if isinstance(fact, MailboxAdded)]
            if new:
                await self.make_topics(new)
            made, version = applied(made, facts), version + len(facts)
            move = Change(before, made, {SERVICE: version}, [_packed(fact) for fact in facts])
            if not await self.aggregates.save([move]):
                self.outbox.post(self.aggregates, [move])
                in_effect = await self.changes.reached(version, EFFECT_SECONDS)
                return Outcome(self.changes.live.of(made, version), facts, in_effect)
        raise Conflict(DIRECTORY)

    async def _read(self) -> tuple[Stored[Entries], dict[str, Mailbox], int]:
        """Return the document, the entries and the version; where the store has lost them, as the topic has them."""
        stored = await self.aggregates.get(DIRECTORY)
        live = self.changes.live
        if stored.version < live.version:
            await self.changes.catch_up()
            return stored, dict(live.overlay), live.version
        return stored, dict(stored.state or {}), stored.version

    async def all_topics(self) -> None:
        """Make what is missing of the topics of all mailboxes: the file may have new ones, or a crash came between."""
        await self.make_topics([mailbox.code for mailbox in self.changes.directory.mailboxes()])


def _packed(fact: DirectoryFact) -> Outgoing:
    return pack(
        fact,
        topic=DIRECTORY,
        letter_id=fact.mailbox,
        source=SERVICE,
        id=event_id(DIRECTORY, SERVICE, fact.directory_version),
        time=fact.at,
        traceparent=current_traceparent(),
        seq=fact.directory_version,
    )
