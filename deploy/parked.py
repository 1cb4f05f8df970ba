"""Messages that services could not handle: who holds which, and their replay or drop.

A parked message is replayed or dropped by publishing it again on the topic where it came from, marked as such; then the letters that waited
behind it catch up in order. Operators do this by `python -m deploy.ops parked`.
"""

from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from services.settings import Settings
from shared.messaging.broker import make_broker
from shared.messaging.connection import client_options
from shared.messaging.parking import Message, Parking, Why, in_place_of
from shared.storage import Store


class NotParked(Exception):
    """There is no such parked message, or it cannot be replayed now."""


def parking(settings: Settings, store: Store, service: str) -> Parking:
    """Return the waiting messages of one service."""
    return Parking(store, make_broker(settings.kafka, "xinxiang-parked"), service, settings.namespace)


async def listed(
    settings: Settings, store: Store, services: tuple[str, ...], limit: int = 0, *, content: bool = True
) -> list[tuple[str, Message]]:
    """Return (service, message) of what waits; at most `limit` of each service, 0: all. See `Parking.listed`."""
    found = []
    for service in services:
        waiting = await parking(settings, store, service).listed(limit, content=content)
        found += [(service, message) for message in waiting]
    return found


async def decide(
    settings: Settings,
    store: Store,
    service: str,
    origin: str,
    *,
    drop: bool = False,
    value: bytes | None = None,
    headers: dict[str, str] | None = None,
    by: str = "",
    reason: str = "",
) -> None:
    """Replay or drop a parked message.

    Args:
        settings: where the engines are.
        store: the document store.
        service: the service that parked it.
        origin: `topic/partition/offset`.
        drop: skip the message instead.
        value: the repaired message.
        headers: repaired headers, by name.
        by: who decided it; it stands in the letter's history (R10.1).
        reason: why.

    Raises:
        NotParked: it is not parked, or it waits behind another message.
    """
    message = await parking(settings, store, service).get(origin)
    if message is None:
        raise NotParked(f"{service} has no parked message {origin}; `parked list` shows what there is")
    if message.why is Why.GAP:
        raise NotParked(
            f"{origin} waits for an earlier fact of its letter, which {service} has not had yet, and is handled by itself after that: "
            "look at the lag and the log of the service that sends it"
        )
    if message.why not in {Why.FAILED, Why.NEWER}:
        raise NotParked(f"{origin} only waits behind another message of its letter; replay or drop that one first")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    body, kept = in_place_of(message, value=value, headers=headers, drop=drop, decided=(now, by, reason))
    key = kept.get("ce_subject", message.key) if headers else message.key
    producer = AIOKafkaProducer(**client_options(settings.kafka), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(
            settings.namespace + message.topic,
            body,
            key=key.encode(),
            headers=[(name, text.encode()) for name, text in kept.items()],
        )
    finally:
        await producer.stop()
