"""Hears what units are told on `mailbox.<code>` and what their systems ask on `actions.<code>`, from the beginning."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts.catalogue import parse
from shared.contracts.envelope import attributes
from shared.contracts.types import Value
from shared.messaging.connection import Kafka, client_options

T = TypeVar("T", bound=Value)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of a topic."""

    topic: str
    """Without the namespace."""
    id: str
    """CloudEvents id."""
    message: Value
    sent_at: datetime
    """By the simulated clock, as the envelope says."""
    heard: float
    """When it was heard: `time.monotonic()`."""


class Listener:
    """Reads topics without a group, so that nobody else's reading is disturbed; keeps each message once by its id."""

    def __init__(self, kafka: Kafka, namespace: str, topics: Iterable[str]) -> None:
        self._namespace = namespace
        self._partitions = [TopicPartition(namespace + topic, 0) for topic in topics]
        self._consumer: Any = AIOKafkaConsumer(
            **client_options(kafka), auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        self._heard: dict[tuple[str, str], Heard] = {}
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        self._consumer.assign(self._partitions)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _listen(self) -> None:
        async for record in self._consumer:
            envelope = attributes(record.headers)
            topic = record.topic.removeprefix(self._namespace)
            headers = dict(record.headers)
            sent_at = datetime.fromisoformat(headers["ce_time"].decode())
            message = parse(envelope.type, record.value)
            heard = Heard(topic, envelope.id, message, sent_at, time.monotonic())
            self._heard.setdefault((topic, envelope.id), heard)
            self._more.set()

    def all(self, kind: type[T], where: Callable[[T], bool] = lambda _: True, topic: str = "") -> list[Heard]:
        """Return what was heard so far of one type."""
        return [
            heard
            for heard in self._heard.values()
            if isinstance(heard.message, kind) and topic in ("", heard.topic) and where(heard.message)
        ]

    async def wait_for(
        self,
        kind: type[T],
        where: Callable[[T], bool] = lambda _: True,
        *,
        topic: str = "",
        count: int = 1,
        seconds: float = 20,
    ) -> list[Heard]:
        """Return as soon as `count` messages of a type were heard; what there is after `seconds`, if fewer."""
        end = time.monotonic() + seconds
        while len(found := self.all(kind, where, topic)) < count:
            self._more.clear()
            left = end - time.monotonic()
            if left <= 0:
                break
            try:
                await asyncio.wait_for(self._more.wait(), left)
            except TimeoutError:
                break
        return found
