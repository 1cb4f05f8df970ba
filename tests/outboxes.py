"""An outbox without engines: its broker acknowledges when a test says so, and its collection holds what a test puts there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeAlias

from aiokafka.errors import UnknownTopicOrPartitionError

from shared.messaging.outbox import Outbox
from shared.storage import Stored

Sender: TypeAlias = tuple[Outbox, "Broker", Any]


class Broker:
    """Acknowledges at once or when it is told to, and refuses what it is told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        """What was handed over and not refused at once, by its value."""
        self.refuses_once: set[str] = set()
        self.missing: dict[str, int] = {}
        """Topics that are not there, and how often each was asked for."""
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.at_once = True

    async def publish(self, value: bytes, *, topic: str, **_: Any) -> "asyncio.Future[None]":
        """Take a message."""
        name = value.decode()
        if topic in self.missing:
            self.missing[topic] += 1
            raise UnknownTopicOrPartitionError(topic)
        if name in self.refuses_once:
            self.refuses_once.remove(name)
            raise TimeoutError(name)
        self.log.append(name)
        future = self.waiting[name] = asyncio.get_running_loop().create_future()
        if self.at_once:
            future.set_result(None)
        return future


class Collection:
    """Letters whose outboxes are not yet empty."""

    def __init__(self) -> None:
        self.left: list[Stored[Any]] = []
        self.cleared: dict[str, int] = {}

    async def unsent(self, _before: datetime, limit: int, skip: int = 0) -> list[Stored[Any]]:
        """Return them, as many as asked for."""
        return [letter for letter in self.left if letter.id not in self.cleared][skip : skip + limit]

    async def clear_outbox(self, versions: Any) -> None:
        """Note which are empty now."""
        self.cleared.update(versions)


@asynccontextmanager
async def sending(service: str) -> AsyncIterator[Sender]:
    """Give an outbox of a service that sends, its broker and its collection."""
    broker: Any = Broker()
    collection: Any = Collection()
    outbox = Outbox(broker, service, "")
    outbox.attach(collection)
    outbox.start()
    yield outbox, broker, collection
    await outbox.stop(seconds=0.1)
