"""Hears what mailboxes are told, as a unit's system would: every `mailbox.<code>` from now on."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

Heard = Callable[[str, str, dict[str, Any], float], None]
"""Called with type (`LetterArrived`), letter id, message and the moment (performance counter)."""


class Watch:
    """Reads topics of one partition from their ends on.

    Args:
        bootstrap: the broker.
        topics: full names.
        heard: what to do with each message.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], heard: Heard) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap.split(","), enable_auto_commit=False, auto_offset_reset="latest"
        )
        self._partitions = [TopicPartition(topic, 0) for topic in topics]
        self._heard = heard
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        await self._consumer.seek_to_end(*self._partitions)
        for partition in self._partitions:
            await self._consumer.position(partition)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._consumer.stop()

    async def _listen(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=1000)
            now = time.perf_counter()
            for batch in fetched.values():
                for record in batch:
                    headers = dict(record.headers)
                    kind = headers["ce_type"].decode().split(".")[1]
                    self._heard(kind, headers["ce_subject"].decode(), orjson.loads(record.value), now)
