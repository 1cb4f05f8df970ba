"""`python -m services.rebuild <service>`: throw a service's projection away and build it again from the topic `letters`.

Stop the service first. Only what follows from facts is forgotten; contact data and attachments are no projection and stay. While facts are
read again nothing is decided and nobody is told; at the end the service decides what its state requires and was never decided.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from services import NAMES
from services.__main__ import build
from services.runtime import Kit, Service
from services.settings import load_settings
from shared.contracts.facts import Fact
from shared.messaging.kafka import KafkaError, read_from_start
from shared.observability.logs import configure_logging
from shared.storage import StoreUnavailable, translated

BATCH = 2_000


async def rebuild(service: Service, *, forget: bool = True, tell: Any = None) -> int:
    """Rebuild a service that is built but not started; return the number of facts read.

    Args:
        service: the service.
        forget: drop its derived collections first.
        tell: called with (facts read, facts in all) after each batch.
    """
    database = service.kit.store.database(service.name)
    if forget:
        for name in service.derived:
            with translated():
                await database.drop_collection(name)
    await service.parking.ensure()
    for job in service.prepare:
        await job()
    read = await _read_all(service, tell)
    await _decide_what_is_left(service)
    for job in service.rebuilt:
        await job()
    return read


async def _read_all(service: Service, tell: Any) -> int:
    read = 0
    settings = service.kit.settings
    async for records, total in read_from_start(settings.kafka_bootstrap, settings.namespace + "letters", BATCH):
        await service.replay(records)
        read += len(records)
        if tell:
            tell(read, total)
    return read


async def _decide_what_is_left(service: Service) -> None:
    """Let the service decide, for every letter, what its state requires and no fact says yet."""
    letters = service.letters
    after = ""
    while True:
        with translated():
            cursor = (
                letters.aggregates.collection.find({"_id": {"$gt": after}}, {"_id": 1}).sort([("_id", 1)]).limit(BATCH)
            )
            ids = [document["_id"] async for document in cursor]
        if not ids:
            return
        after = ids[-1]
        await letters.command_many(ids, _nothing_new)


def _nothing_new(_letter_id: str, _state: Any, _now: Any) -> Sequence[Fact]:
    return ()


async def _main(name: str) -> int:
    kit = Kit(load_settings())
    service = build(name, kit)
    started = perf_counter()

    def tell(read: int, total: int) -> None:
        print(f"\r{name}: {read:,} of {total:,} facts, {read / (perf_counter() - started):,.0f}/s", end="", flush=True)

    try:
        read = await rebuild(service, tell=tell)
    finally:
        kit.store.close()
    print(f"\n{name}: rebuilt from {read:,} facts in {perf_counter() - started:.1f} s")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Rebuild; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.rebuild", description=__doc__)
    parser.add_argument("service", choices=NAMES)
    name = parser.parse_args(arguments).service
    configure_logging(name, "WARNING")
    try:
        return asyncio.run(_main(name))
    except (StoreUnavailable, KafkaError) as error:
        print(f"{name}: not rebuilt, start again: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
