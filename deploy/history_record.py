"""What `letters` holds, as histories are checked against it: read once, laid out by letter on disk, never all in memory."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field
from types import TracebackType
from typing import Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.routing.chain import Fact
from services.routing.history import PART
from services.routing.repository import SERVICE
from services.routing.steps import record_of
from services.settings import Settings
from shared.contracts.facts import LETTERS
from shared.messaging.connection import client_options
from shared.messaging.kafka import partition_of, read_from_start
from shared.messaging.parking import read

BATCH = 2_000
STRAYS = 10
"""How many records that are no facts are named; all are counted."""
_COLUMNS = "letter, partition, place, id, type, source, seq, at, sha256, replay_of, dropped, by, why, details"
_OF_LETTER = f"select {_COLUMNS} from facts where letter = ? order by partition, place"  # noqa: S608 - names of ours
_UNSEEN = "select distinct letter from facts where letter > ? and letter not in (select letter from checked) order by letter limit ?"


class NoSuchTopic(Exception):
    """There is nothing to check against."""


@dataclass(slots=True)
class Topic:
    """Where the record stands, and how far routing has recorded it."""

    settings: Settings
    partitions: list[int] = field(default_factory=list)
    handled: dict[int, int] = field(default_factory=dict)
    """Partition → the offset below which routing's histories have everything."""

    @property
    def name(self) -> str:
        """The topic's full name."""
        return self.settings.namespace + LETTERS

    async def look(self) -> None:
        """Ask the broker. Before the store is read: then what is below `handled` must be there.

        Raises:
            NoSuchTopic: there is none of that name.
            KafkaError: the broker does not answer.
        """
        admin = AIOKafkaAdminClient(**client_options(self.settings.kafka))
        await admin.start()
        try:
            described = (await admin.describe_topics([self.name]))[0]
            self.partitions = sorted(part["partition"] for part in described["partitions"])
            group = f"{self.settings.namespace}{SERVICE}-{PART}"
            known = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        if not self.partitions:
            raise NoSuchTopic(f"the broker has no topic {self.name!r}; see NAMESPACE and KAFKA_BOOTSTRAP")
        offsets = {p: known.get(TopicPartition(self.name, p)) for p in self.partitions}
        self.handled = {p: max(0, found.offset) if found else 0 for p, found in offsets.items()}

    def partition_of(self, letter_id: str) -> int:
        """Return where a letter's facts stand."""
        return partition_of(letter_id, self.partitions)


class Layout:
    """The facts of the topic by letter, in a file that is gone when this is closed; some 400 bytes a fact."""

    def __init__(self, topic: Topic, only: str | None = None) -> None:
        self.topic = topic
        self.only = only
        """The one letter whose facts are wanted: then only its partition is read."""
        wanted = topic.partitions if only is None else [topic.partition_of(only)]
        self.next = dict.fromkeys(wanted, 0)
        self.read = 0
        self.strays: list[str] = []
        """Where the first records stand that are no facts on any letter."""
        self.stray = 0
        self._disk = sqlite3.connect(
            ""
        )  # no name: SQLite keeps it in a temporary file, and in memory only a few MB of it
        self._disk.execute(f"create table facts ({_COLUMNS}, primary key (letter, partition, place)) without rowid")
        self._disk.execute("create table checked (letter primary key) without rowid")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._disk.close()

    async def read_on(self) -> None:
        """Read what the topic holds by now beyond what was read before.

        Raises:
            KafkaError: the broker does not answer.
        """
        settings = self.topic.settings
        async for records, _ in read_from_start(settings.kafka, self.topic.name, BATCH, self.next):
            facts = []
            for record in records:
                self.next[record.partition] = record.offset + 1
                if self.only is not None and record.key != self.only.encode():
                    continue
                found = record_of(read(record, settings.namespace))
                if found is not None:
                    facts.append(found.fact)
                    continue
                self.stray += 1
                self.strays += [f"{LETTERS}/{record.partition}/{record.offset}"][: STRAYS - len(self.strays)]
            self.read += len(records)
            self._add(facts)

    def _add(self, facts: Iterable[Fact]) -> None:
        rows = [(f.letter_id, *f.place, *astuple(f)[2:-1], *f.said) for f in facts]
        self._disk.executemany("insert or ignore into facts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def facts(self, letter_id: str) -> list[Fact]:
        """Return a letter's facts in their order on the topic."""
        with closing(self._disk.execute(_OF_LETTER, (letter_id,))) as found:
            return [_fact(row) for row in found]

    def check_off(self, letter_ids: Iterable[str]) -> None:
        """Note letters whose histories were seen."""
        self._disk.executemany("insert or ignore into checked values (?)", [(letter_id,) for letter_id in letter_ids])

    def unseen(self, size: int = 500) -> Iterator[Sequence[str]]:
        """Return the letters on the topic that were not checked off, some at a time."""
        after = ""
        while True:
            with closing(self._disk.execute(_UNSEEN, (after, size))) as found:
                letters = [row[0] for row in found]
            if not letters:
                return
            yield letters
            after = letters[-1]


def _fact(row: Sequence[object]) -> Fact:
    letter, partition, place, *plain = row
    values: Mapping[str, object] = dict(
        zip(("id", "type", "source", "seq", "at", "sha256", "replay_of"), plain, strict=False)
    )
    said = tuple(map(str, plain[8:]))
    return Fact(letter_id=letter, place=(partition, place), dropped=bool(plain[7]), said=said, **values)  # type: ignore[arg-type]
