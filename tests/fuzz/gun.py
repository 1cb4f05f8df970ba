"""Sends shots, and finds out what became of each: refused, parked, or taken."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.producer import message_accumulator
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy

from deploy.parked import listed
from services import NAMES
from shared.contracts.mailbox import ActionRefused
from shared.messaging.parking import Message
from shared.storage import Store
from tests.conftest import World
from tests.fuzz.messages import (
    NO_UTF8,
    ON_ACTIONS,
    ON_DIRECTORY,
    ON_LETTERS,
    ON_SUBMISSIONS,
    Shot,
    bombardment,
    examples,
)

UNITS = ("education", "water")
PARTITIONS = {"letters": 12, "submissions": 12}
Waits: TypeAlias = dict[str, list[tuple[str, Message]]]
Heard: TypeAlias = dict[str, ActionRefused]


@dataclass(frozen=True)
class Sent:
    """A shot, and where it stands."""

    shot: Shot
    partition: int
    offset: int

    @property
    def origin(self) -> str:
        return f"{self.shot.topic}/{self.partition}/{self.offset}"

    def __str__(self) -> str:
        kind = dict(self.shot.headers).get("ce_type") or b"?"
        return f"{self.origin} {kind[:60].decode(errors='replace')} {self.shot.bent}"


class _Garbling(_DefaultRecordBatchBuilderPy):  # type: ignore[misc]
    """Writes headers with names that are no UTF-8, which this client does not do by itself."""

    _buffer: Any

    def build(self) -> bytearray:
        self._buffer = bytearray(bytes(self._buffer).replace(NO_UTF8.encode(), b"\xff" * len(NO_UTF8)))
        return super().build()


async def fire(world: World, shots: Sequence[Shot], *, spread: bool = True) -> list[Sent]:
    """Put shots on their topics: spread over all partitions, or each where its key belongs."""
    message_accumulator.DefaultRecordBatchBuilder = _Garbling
    producer = AIOKafkaProducer(
        bootstrap_servers=world.settings.kafka_bootstrap, acks="all", max_request_size=4_000_000
    )
    await producer.start()
    try:
        waiting = [
            await producer.send(
                world.namespace + shot.topic,
                shot.value,
                key=shot.key,
                partition=number % PARTITIONS.get(shot.topic, 1) if spread else None,
                headers=list(shot.headers),
            )
            for number, shot in enumerate(shots)
        ]
        told = await asyncio.gather(*waiting)
    finally:
        await producer.stop()
        message_accumulator.DefaultRecordBatchBuilder = DefaultRecordBatchBuilder
    return [Sent(shot, one.partition, one.offset) for shot, one in zip(shots, told, strict=True)]


async def parked(world: World) -> Waits:
    """Origin → (service, message) of all that waits, as an operator sees it."""
    store = Store(world.settings.mongo_url, world.settings.namespace)
    try:
        found: Waits = {}
        for service, message in await listed(world.settings, store, tuple(NAMES)):
            found.setdefault(message.origin, []).append((service, message))
        return found
    finally:
        store.close()


async def refused(world: World, units: Iterable[str]) -> Heard:
    """Id of an action → its refusal, as its unit heard it."""
    return {
        message.action_id: message
        for unit in units
        for message in await world.messages(f"mailbox.{unit}")
        if isinstance(message, ActionRefused)
    }


def barrage(rounds: int, seed: int) -> list[Shot]:
    """Every way on every topic that a service reads, so many times."""
    actions = [replace(shot, topic=f"actions.{unit}") for unit in UNITS for shot in examples("actions")]
    return [
        *bombardment(examples("letters"), ON_LETTERS, rounds, seed),
        *bombardment(examples("submissions"), ON_SUBMISSIONS, rounds, seed),
        *bombardment(actions, ON_ACTIONS, rounds, seed),
        *bombardment(examples("directory"), ON_DIRECTORY, rounds, seed),
    ]


def answered_for(one: Sent, waits: Waits, heard: Heard) -> bool:
    """Whether a message that nobody could take is where an operator or its unit finds it."""
    if one.shot.topic == "directory":
        return True  # of what is no change at all, each process writes a line into its log
    action = (dict(one.shot.headers).get("ce_id") or b"").decode(errors="replace")
    return one.origin in waits or (one.shot.topic.startswith("actions.") and action in heard)
