"""Kafka as operators see it: topics, their ends, consumer groups, records. Every client of the command is made here."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.settings import Settings
from shared.contracts.facts import LETTERS
from shared.messaging.connection import client_options


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[Any]:
    """A client for questions about topics and groups.

    Raises:
        KafkaError: the broker does not answer.
    """
    client = AIOKafkaAdminClient(**client_options(settings.kafka), request_timeout_ms=30_000)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def consumer(settings: Settings, group: str | None = None) -> AsyncIterator[Any]:
    """A consumer that commits nothing by itself and joins no group; with a group's name it may read and set that group's offsets."""
    client = AIOKafkaConsumer(
        **client_options(settings.kafka),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_194_304,
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def producer(settings: Settings) -> AsyncIterator[Any]:
    """A producer that loses and doubles nothing."""
    client = AIOKafkaProducer(
        **client_options(settings.kafka), acks="all", enable_idempotence=True, max_request_size=4_194_304
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def topics_of(client: Any, namespace: str) -> dict[str, Any]:
    """Return the topics of a namespace: full name → what the broker describes of it."""
    names = sorted(name for name in await client.list_topics() if _ours(name, namespace))
    found: dict[str, Any] = {}
    for start in range(0, len(names), 200):
        for topic in await client.describe_topics(names[start : start + 200]):
            found[topic["topic"]] = topic
    return found


def parts_of(topics: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return every (topic, partition) of what `topics_of` found."""
    return [(name, part["partition"]) for name, topic in topics.items() for part in topic["partitions"]]


FAMILIES = ("letters", "directory", "submissions", "mailbox", "actions")


def _ours(name: str, namespace: str) -> bool:
    return name.startswith(namespace) and name.removeprefix(namespace).partition(".")[0] in FAMILIES


async def bounds(client: Any, topics: Iterable[tuple[str, int]]) -> dict[TopicPartition, tuple[int, int]]:
    """Return where each (topic, partition) begins and ends now; `client` is a consumer, and loses what it is assigned."""
    partitions = [TopicPartition(*one) for one in topics]
    if not partitions:
        return {}
    # So it learns of all topics at once. Of those that it is only asked about, it learns one every tenth of a second.
    client.assign(partitions)
    client.pause(*partitions)
    begins = await client.beginning_offsets(partitions)
    ends = await client.end_offsets(partitions)
    return {partition: (begins[partition], ends[partition]) for partition in partitions}


@dataclass(frozen=True, slots=True)
class Lag:
    """How far one consumer group is in one partition."""

    group: str
    """Without the namespace."""
    topic: str
    """Without the namespace."""
    partition: int
    committed: int | None
    """None: the group has not committed anything yet and will begin at the first message."""
    begin: int
    end: int

    @property
    def behind(self) -> int:
        """Messages between the last one handled and the end."""
        return max(0, self.end - (self.begin if self.committed is None else max(self.committed, self.begin)))


# What each group reads. A group that has not committed anything yet is in no list of the broker's, and yet it is behind.
SUBMISSIONS, ACTIONS = "submissions", "actions."
GROUPS: Mapping[str, str] = {
    "intake": LETTERS,
    "intake-submissions": SUBMISSIONS,
    "routing": LETTERS,
    "routing-history": LETTERS,
    "routing-actions": ACTIONS,
    "deadline": LETTERS,
    "publication": LETTERS,
    "reporting": LETTERS,
}


async def committed(client: Any, namespace: str) -> dict[str, dict[TopicPartition, int]]:
    """Return the committed offsets of our groups; `client` is an admin's. Group names without namespace."""
    found: dict[str, dict[TopicPartition, int]] = {}
    for group in GROUPS:
        known = await client.list_consumer_group_offsets(namespace + group)
        found[group] = {tp: o.offset for tp, o in known.items() if o.offset >= 0 and tp.topic.startswith(namespace)}
    return found


def reads(group: str, topic: str) -> bool:
    """Whether a group reads a topic (both without namespace)."""
    wanted = GROUPS[group]
    return topic.startswith(wanted) if wanted.endswith(".") else topic == wanted


async def lags(settings: Settings) -> list[Lag]:
    """Ask Kafka itself how far all groups are.

    Raises:
        KafkaError: it does not answer.
    """
    namespace = settings.namespace
    async with admin(settings) as asking, consumer(settings) as reading:
        topics = await topics_of(asking, namespace)
        parts = parts_of(topics)
        known = await committed(asking, namespace)  # before the ends, so that no lag is ever below zero
        ends = await bounds(reading, parts)
    return [
        Lag(group, plain, tp.partition, known[group].get(tp), *ends[tp])
        for group in GROUPS
        for tp in sorted(ends)
        if reads(group, plain := tp.topic.removeprefix(namespace))
    ]


async def read_range(
    client: Any, partition: TopicPartition, begin: int, end: int, batch: int = 2_000
) -> AsyncIterator[Sequence[Any]]:
    """Read the records of one partition from `begin` up to but not including `end`, in order; `client` is a consumer."""
    if begin >= end:
        return
    client.assign([partition])
    client.seek(partition, begin)
    while await client.position(partition) < end:
        for records in (await client.getmany(partition, timeout_ms=1_000, max_records=batch)).values():
            wanted = [record for record in records if record.offset < end]
            if wanted:
                yield wanted
