"""The FastStream broker of a service, and its batch subscribers with the settings that make delivery safe.

What is set here and why (each default below was tried and lost or looped messages):

- `enable_idempotence`: FastStream's producer otherwise acknowledges after one replica.
- `NACK_ON_ERROR` on every subscriber: other policies commit a batch that failed. A handler that raises sees the batch again.
- a parser of our own: the built-in one decodes every header as UTF-8, so one malformed header would come back for ever.
- `batch_timeout_ms` is how long a poll waits for a message; that nothing sleeps after an empty one is a repair (`repairs.py`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, TypeAlias

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.exceptions import IncorrectState
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from faststream.message import StreamMessage

from shared.messaging.connection import Kafka, broker_options
from shared.messaging.kafka import partition_of
from shared.messaging.repairs import repair
from shared.messaging.topics import Copies

log = logging.getLogger(__name__)

Record: TypeAlias = ConsumerRecord


class _Batch(KafkaAckableMessage):
    """A batch that commits and rewinds its own partitions, as far as they are still ours; the others' next owner reads them again."""

    async def ack(self) -> None:
        # FastStream commits every partition that is assigned, each of which the broker writes down: 88 for the actions of all units.
        if not self.committed:
            after: dict[TopicPartition, int] = {}
            for record in self.raw_message:
                partition = TopicPartition(record.topic, record.partition)
                after[partition] = max(record.offset + 1, after.get(partition, 0))
            ours = self.consumer.assignment()  # type: ignore[attr-defined]
            offsets = {partition: offset for partition, offset in after.items() if partition in ours}
            if offsets:
                await self.consumer.commit(offsets)  # type: ignore[call-arg]
        await StreamMessage.ack(self)

    async def nack(self) -> None:
        if not self.committed:
            earliest: dict[TopicPartition, int] = {}
            for record in self.raw_message:
                partition = TopicPartition(record.topic, record.partition)
                earliest[partition] = min(record.offset, earliest.get(partition, record.offset))
            for partition in earliest.keys() & self.consumer.assignment():  # type: ignore[attr-defined]
                self.consumer.seek(partition=partition, offset=earliest[partition])
        await StreamMessage.nack(self)


BatchHandler = Callable[[Sequence[Record]], Awaitable[None]]

MAX_RECORDS = 500
POLL_MS = 1_000
"""A poll ends at once when something comes; every so often it looks whether the consumer is still well."""
PACE_SECONDS = 0.08
"""A batch begins at the earliest so long after the one before, unless that one was full: larger batches cost far less per message,
and a message that comes alone does not wait."""
FOLLOWING_SECONDS = 0.25
"""The same where much comes, for whoever follows `letters`: what a citizen or a unit waits for is told by whoever decides it."""
CROWD = 4
"""Records a batch beyond which that begins: the pace grows with them."""
SESSION_MS = 10_000
"""After a crash the others, or the process started again, have its partitions after so long."""
METADATA_MAX_AGE_MS = 15_000
"""How often a client looks by itself what topics there are and who leads them."""
MAX_MESSAGE_BYTES = 1_048_576
BATCH_BYTES = 262_144
"""So much may wait for each partition while a request is under way, of which there is one at a time for each broker. With aiokafka's own
16 kB a busy mailbox is told of six letters a round trip."""
PING_SECONDS = 3.0
"""What does not answer for so long is away."""
ANSWER_SECONDS = 2.0
"""A broker that takes longer to be connected to is away."""


def make_broker(kafka: Kafka, client_id: str) -> KafkaBroker:
    """Make the broker of one service; it connects when started."""
    repair()
    return KafkaBroker(
        **broker_options(kafka),
        client_id=client_id,
        enable_idempotence=True,
        allow_auto_create_topics=False,
        request_timeout_ms=10_000,
        retry_backoff_ms=200,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        max_request_size=MAX_MESSAGE_BYTES,
        max_batch_size=BATCH_BYTES,
        graceful_timeout=10,
        logger=None,
    )


def subscribe(
    broker: KafkaBroker,
    handler: BatchHandler,
    *,
    group: str,
    topics: Sequence[str] = (),
    pattern: str | None = None,
    title: str,
    max_records: int = MAX_RECORDS,
    pace: float = PACE_SECONDS,
    longest_pace: float = 0.0,
) -> Any:
    """Let `handler` have the topics' records in batches of up to `max_records`, in order per partition; return the subscriber.

    The batch is committed after the handler returned, and comes again if it raised. `pace`: seconds from the beginning of a batch that
    was not full to that of the next; it grows up to `longest_pace` with the records of a batch.
    """

    async def parse(records: tuple[Record, ...]) -> _Batch:
        return _Batch(
            body=b"", headers={}, message_id="", correlation_id="", raw_message=records, consumer=subscriber.consumer
        )

    async def decode(message: KafkaAckableMessage) -> Any:
        return message.raw_message

    subscriber = broker.subscriber(
        *topics,
        pattern=pattern,
        batch=True,
        max_records=max_records,
        batch_timeout_ms=POLL_MS,
        group_id=group,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        max_poll_interval_ms=600_000,
        session_timeout_ms=SESSION_MS,
        parser=parse,
        decoder=decode,
        title=title,
        include_in_schema=False,
    )

    @subscriber
    async def consume(records: Any) -> None:
        began = monotonic()
        try:
            await handler(records)
        except Exception as error:
            log.exception(
                "a batch could not be handled; it comes again", extra={"topic": records[0].topic}, exc_info=error
            )
            raise
        rest = paced(len(records), pace, longest_pace) - (monotonic() - began)
        if rest > 0 and len(records) < max_records:
            await asyncio.sleep(rest)

    return subscriber


def paced(records: int, pace: float, longest: float) -> float:
    """Return the seconds from the beginning of a batch of so many records to that of the next."""
    return max(pace, min(longest, pace * records / CROWD))


def owns(subscriber: Any, topic: str, key: str) -> bool:
    """Return whether a subscriber of this process has the partition of a topic that a key's messages go to; before it starts: yes."""
    partitions = _partitions(subscriber, topic)
    return not partitions or partitions[partition_of(key, range(len(partitions)))] in subscriber.consumer.assignment()


def has_first(subscriber: Any, topic: str) -> bool:
    """Return whether a subscriber of this process has the first partition of a topic: one replica has; before it starts: no."""
    return subscriber.consumer is not None and TopicPartition(topic, 0) in subscriber.consumer.assignment()


async def answers(broker: KafkaBroker) -> bool:
    """Return whether a broker answers within `PING_SECONDS`. FastStream's own question asks for all topics there are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PING_SECONDS):
            while True:
                try:
                    await broker.config.admin_client._get_cluster_metadata([])  # noqa: SLF001 - the public calls ask for more
                except IncorrectState:
                    return False
                except (KafkaError, OSError):
                    await asyncio.sleep(PING_SECONDS / 10)
                else:
                    return True
    return False


async def look_for_topics(subscriber: Any) -> None:
    """Let a subscriber of a pattern see topics that were just made; by itself it looks every 15 seconds."""
    consumer = subscriber.consumer
    if consumer is not None:
        await consumer._client.force_metadata_update()  # noqa: SLF001 - the client has no public call for it


async def too_few_brokers(subscribers: Sequence[Any], copies: Copies) -> str | None:
    """Return why nothing could be acknowledged now: fewer brokers that keep a topic answer than must have a message; none: enough do.

    Asked of the brokers themselves: where too few are left to agree on anything, what they tell of one another is old.
    """
    for consumer in (subscriber.consumer for subscriber in subscribers if subscriber.consumer is not None):
        client = consumer._client  # noqa: SLF001 - the client has no public call for it
        topics = client.cluster._partitions  # noqa: SLF001
        keeping = {frozenset(part.replicas) for parts in list(topics.values()) for part in list(parts.values())}
        nodes = sorted(frozenset().union(*keeping))
        answers = await asyncio.gather(*(_answers(client, node) for node in nodes))
        there = {node for node, answer in zip(nodes, answers, strict=True) if answer}
        for replicas in keeping:
            least = copies.of(len(replicas)).least
            if len(replicas & there) < least:
                return f"{len(replicas & there)} of {len(replicas)} brokers that keep a topic answer; {least} must"
    return None


async def _answers(client: Any, node: int) -> bool:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return bool(await client.ready(node))
    except (TimeoutError, KafkaError):
        return False


async def places_of(subscriber: Any) -> dict[tuple[str, int], tuple[int, int]]:
    """Return (topic, partition) → (offset up to which messages were taken in hand, end), of those that this process is assigned.

    The end is asked of the broker: what the client remembers of it stands still while the consumer does. A consumer that has not begun to
    fetch a partition, or cannot, is where its group has committed it.
    """
    consumer = subscriber.consumer
    if consumer is None or not consumer.assignment():
        return {}
    places = {}
    for partition, end in (await consumer.end_offsets(list(consumer.assignment()))).items():
        subscription = consumer._subscription.subscription  # noqa: SLF001 - `consumer.position` waits for ever for one that cannot fetch
        state = subscription.assignment and subscription.assignment.state_value(partition)
        if state is not None:
            place = state.position if state.has_valid_position else await consumer.committed(partition)
            places[partition.topic, partition.partition] = (place or 0, end)
    return places


async def ends_of(subscriber: Any, topic: str) -> dict[int, int]:
    """Return where each partition of a topic ends now; nothing while the subscriber has not started."""
    partitions = _partitions(subscriber, topic)
    if not partitions:
        return {}
    ends = await subscriber.consumer.end_offsets(partitions)
    return {partition.partition: end for partition, end in ends.items()}


async def committed_of(subscriber: Any, topic: str) -> dict[int, int]:
    """Return how far a subscriber's group has committed each partition of a topic, whichever replica has it."""
    committed = {}
    for partition in _partitions(subscriber, topic):
        committed[partition.partition] = await subscriber.consumer.committed(partition) or 0
    return committed


def _partitions(subscriber: Any, topic: str) -> list[TopicPartition]:
    known = subscriber.consumer.partitions_for_topic(topic) if subscriber.consumer is not None else None
    return [TopicPartition(topic, number) for number in sorted(known or ())]


__all__ = [
    "BatchHandler",
    "Record",
    "TopicPartition",
    "answers",
    "committed_of",
    "ends_of",
    "has_first",
    "look_for_topics",
    "make_broker",
    "owns",
    "places_of",
    "subscribe",
    "too_few_brokers",
]
