"""`python -m deploy.parked list|show|replay|drop`: what services could not handle, and what to do about it.

A parked message is replayed or dropped by publishing it again on the topic where it came from, marked as such; then the letters that waited
behind it catch up in order. Repair a message by giving a file with its new value, or headers.
"""

import argparse
import asyncio
import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services import NAMES
from services.settings import Settings, load_settings
from shared.messaging.broker import make_broker
from shared.messaging.connection import client_options
from shared.messaging.parking import Message, Parking, Why, in_place_of
from shared.storage import Store, StoreUnavailable


class NotParked(Exception):
    """There is no such parked message, or it cannot be replayed now."""


def parking(settings: Settings, store: Store, service: str) -> Parking:
    """Return the waiting messages of one service."""
    return Parking(store, make_broker(settings.kafka, "xinxiang-parked"), service, settings.namespace)


async def listed(settings: Settings, store: Store, services: tuple[str, ...]) -> list[tuple[str, Message]]:
    """Return (service, message) of all that wait."""
    found = []
    for service in services:
        found += [(service, message) for message in await parking(settings, store, service).listed()]
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
        raise NotParked(f"{service} has no parked message {origin}; `list` shows what there is")
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


def _show(service: str, message: Message, *, content: bool) -> str:
    lines = [
        f"{service}  {message.origin}  {message.why}",
        f"  letter: {message.letter_id or '(unknown)'}",
        f"  error:  {message.error}",
    ]
    if content:
        lines += ["  stack:", *(f"    {line}" for line in message.stack.splitlines())]
        lines += [f"  {name}: {value.decode(errors='backslashreplace')}" for name, value in message.headers]
        lines += ["  value:", f"    {message.value.decode(errors='backslashreplace')}"]
    return "\n".join(lines)


async def _run(arguments: argparse.Namespace, settings: Settings) -> int:
    store = Store(settings.mongo_url, settings.namespace)
    services = (arguments.service,) if arguments.service else NAMES
    try:
        for service in services:
            await store.follow(service)
        if arguments.what == "list":
            found = await listed(settings, store, services)
            for service, message in found:
                print(_show(service, message, content=False))
            print(f"{sum(message.why is Why.FAILED for _, message in found)} parked, {len(found)} waiting in all")
            return 0
        if arguments.what == "show":
            for service in services:
                shown = await parking(settings, store, service).get(arguments.origin)
                if shown is not None:
                    print(_show(service, shown, content=True))
                    return 0
            raise NotParked(f"there is no parked message {arguments.origin}")
        headers = dict(header.split("=", 1) for header in arguments.header or [])
        if not arguments.service:
            raise NotParked("say which service: --service NAME")
        drop = arguments.what == "drop"
        await decide(
            settings,
            store,
            arguments.service,
            arguments.origin,
            drop=drop,
            value=arguments.content,
            headers=headers,
            by=arguments.by,
            reason=arguments.reason,
        )
        print(f"{arguments.what}: {arguments.origin} was published again; `list` shows whether it went through")
        return 0
    finally:
        store.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.parked", description=__doc__)
    parser.add_argument("what", choices=["list", "show", "replay", "drop"])
    parser.add_argument("origin", nargs="?", help="topic/partition/offset, as `list` shows it")
    parser.add_argument("--service", choices=NAMES, help="only this service (needed to replay or drop)")
    parser.add_argument("--value", help="file with the repaired message (JSON)")
    parser.add_argument("--header", action="append", help="repaired header, name=value; may be repeated")
    parser.add_argument("--by", default=getpass.getuser(), help="who decides; stands in the letter's history")
    parser.add_argument("--reason", default="", help="why; stands in the letter's history")
    chosen = parser.parse_args(arguments)
    if chosen.what != "list" and not chosen.origin:
        parser.error(f"{chosen.what} needs an origin")
    try:
        chosen.content = Path(chosen.value).read_bytes() if chosen.value else None
        return asyncio.run(_run(chosen, load_settings()))
    except (NotParked, StoreUnavailable, KafkaError, OSError) as error:
        print(f"parked: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
