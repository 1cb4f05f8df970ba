"""The names of the Kafka client that services need; only `shared/messaging` imports the client itself."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.partitioner import DefaultPartitioner
from faststream.exceptions import FastStreamException
from faststream.kafka import KafkaBroker

from shared.messaging.connection import Kafka, client_options

NOT_SENT = (KafkaError, FastStreamException, TimeoutError, OSError)
"""What a publication can raise when Kafka did not acknowledge it."""

_partition_of = DefaultPartitioner()


def partition_of(key: str, partitions: Sequence[int]) -> int:
    """Return the partition, of all of a topic's `partitions` in order, that a key's messages go to."""
    chosen: int = _partition_of(key.encode(), partitions, partitions)
    return chosen


async def partitions_of(consumer: Any, topic: str) -> set[int]:
    """Return the partitions of a topic that a consumer reads without a group; none: there is no such topic, or it may not be read.

    The client then follows this topic; a consumer that follows none would ask for all topics there are, again and again.

    Raises:
        KafkaError: no broker answers.
    """
    if not await consumer._client.set_topics([topic]):  # noqa: SLF001 - the client has no public call for it
        raise KafkaError("no broker answers")
    return consumer.partitions_for_topic(topic) or set()


async def read_from_start(
    kafka: Kafka, topic: str, batch: int, begin: Mapping[int, int] | None = None
) -> AsyncIterator[tuple[Sequence[ConsumerRecord], int]]:
    """Read a topic from offset 0 to where it ends now, without a consumer group.

    Args:
        kafka: the connection.
        topic: the topic's full name.
        batch: the most records to give at once.
        begin: partition → the offset to begin at, of the partitions to read; none: all of them from 0.

    Yields:
        (records in order per partition, how many the partitions hold).

    Raises:
        KafkaError: the broker does not answer.
    """
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4_194_304,
    )
    await consumer.start()
    try:
        everywhere = await partitions_of(consumer, topic)
        numbers = everywhere if begin is None else begin
        partitions = [TopicPartition(topic, number) for number in numbers]
        consumer.assign(partitions)
        for number, offset in (begin or {}).items():
            consumer.seek(TopicPartition(topic, number), offset)
        ends = await consumer.end_offsets(partitions)
        total = sum(ends.values())
        start = begin or {}
        left = {partition for partition in partitions if ends[partition] > start.get(partition.partition, 0)}
        while left:
            fetched = await consumer.getmany(*left, timeout_ms=1000, max_records=batch)
            records = [
                record for partition, found in fetched.items() for record in found if record.offset < ends[partition]
            ]
            if records:
                yield records, total
            left = {partition for partition in left if await consumer.position(partition) < ends[partition]}
    finally:
        await consumer.stop()


__all__ = [
    "NOT_SENT",
    "KafkaBroker",
    "KafkaError",
    "TopicPartition",
    "UnknownTopicOrPartitionError",
    "partition_of",
    "partitions_of",
    "read_from_start",
]
