"""Reads a topic from its beginning and then follows it, without a consumer group: every process sees every message.

For a short record that each process holds in memory, such as the changes of the directory. `start` returns once everything that was on the
topic then has been taken; `catch_up` once everything that is on it now has been.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from shared.messaging.connection import Kafka, client_options
from shared.messaging.kafka import partitions_of
from shared.messaging.repairs import repair

log = logging.getLogger(__name__)

POLL_MS = 1_000
AGAIN_SECONDS = 1.0


@dataclass
class Follower:
    """Gives one topic of one partition, whole and in order, to `take`, which must not raise."""

    kafka: Kafka
    topic: str
    """With the deployment's namespace."""
    take: Callable[[Sequence[ConsumerRecord]], None]
    _position: int = 0
    """The offset behind the last record taken."""
    _moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _consumer: Any = None
    _task: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Take everything there is, then go on in the background; again: nothing happens.

        Raises:
            KafkaError: the broker does not answer, or there is no such topic.
        """
        async with self._starting:
            if self._task is not None:
                return
            await self._read_all()
            self._task = asyncio.create_task(self._follow(), name=f"follow {self.topic}")

    async def read_once(self) -> None:
        """Take everything there is, and go on no further.

        Raises:
            KafkaError: the broker does not answer, or there is no such topic.
        """
        try:
            await self._read_all()
        finally:
            await self.stop()

    async def catch_up(self, seconds: float = 10.0) -> bool:
        """Wait until everything that is on the topic now has been taken; return whether that was so in time."""
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(seconds):
                if self._consumer is None:
                    return False
                partition = TopicPartition(self.topic, 0)
                end = (await self._consumer.end_offsets([partition]))[partition]
                async with self._moved:
                    await self._moved.wait_for(lambda: self._position >= end)
                return True
        return False

    async def stop(self) -> None:
        """Stop following; what was taken stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._consumer is not None:
            with suppress(Exception):
                await self._consumer.stop()
            self._consumer = None

    async def _read_all(self) -> None:
        repair()
        consumer = AIOKafkaConsumer(
            **client_options(self.kafka),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=10_000,
            retry_backoff_ms=200,
        )
        try:
            await consumer.start()
            await self._look_for_it(consumer)
            partition = TopicPartition(self.topic, 0)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, self._position)
            while self._position < end:
                await self._take(await consumer.getmany(partition, timeout_ms=POLL_MS))
        except BaseException:
            with suppress(Exception):
                await consumer.stop()
            raise
        self._consumer = consumer

    async def _look_for_it(self, consumer: Any) -> None:
        if not await partitions_of(consumer, self.topic):
            raise UnknownTopicOrPartitionError(
                f"the topic {self.topic} is missing, or this Kafka user may not read it: "
                "python -m deploy.topics apply, python -m deploy.acls check"
            )

    async def _follow(self) -> None:
        while True:
            try:
                await self._take(await self._consumer.getmany(timeout_ms=POLL_MS))
            except Exception as error:
                log.exception("a topic cannot be followed; it is tried again", exc_info=error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, fetched: Any) -> None:
        for records in fetched.values():
            self.take(records)
            self._position = records[-1].offset + 1
        if fetched:
            async with self._moved:
                self._moved.notify_all()
