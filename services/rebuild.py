"""`python -m services.rebuild <service>`: throw a service's projection away and build it again from the topic `letters`.

Stop the service first. Only what follows from facts is forgotten; contact data and attachments are no projection and stay. While facts are
read again nothing is decided and nobody is told; at the end the service decides what its state requires and was never decided.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.runtime import Service
from services.settings import load_settings
from shared.contracts.facts import Fact
from shared.messaging.kafka import KafkaError, read_from_start
from shared.observability.logs import configure_logging
from shared.storage import StoreUnavailable, translated

BATCH = 2_000


class UnsentFacts(Exception):
    """Throwing the projection away would lose facts that were decided and have not been sent."""


async def rebuild(service: Service, *, force: bool = False, tell: Any = None) -> int:
    """Throw away and rebuild the projection of a service that is built but not started; return the number of facts read.

    Args:
        service: the service.
        force: go on although facts in the outbox are lost by it.
        tell: called with (facts read, facts in all) after each batch.

    Raises:
        UnsentFacts: the outbox holds facts, and `force` is not set.
    """
    await service.kit.store.follow(service.name)
    await service.kit.changes.read_once()
    unsent, _ = await service.letters.aggregates.outbox_depth()
    if unsent and not force:
        raise UnsentFacts(
            f"{unsent} letters have facts that were decided and not yet sent; start {service.name} until they are, or use --force"
        )
    with translated():
        for name in service.derived:
            await service.kit.store.collection(service.name, name).drop()
    await service.parking.forget("letters")
    await service.parking.ensure()
    for job in service.prepare:
        await job()
    read = await _read_all(service, tell)
    await decide_what_is_left(service)
    for job in service.rebuilt:
        await job()
    return read


async def _read_all(service: Service, tell: Any) -> int:
    read = 0
    settings = service.kit.settings
    async for records, total in read_from_start(settings.kafka, settings.namespace + "letters", BATCH):
        await service.replay(records)
        read += len(records)
        if tell:
            tell(read, total)
    return read


async def catch_up(service: Service, begin: Mapping[int, int]) -> int:
    """Bring the projection of a service that is built but not started up to the record; return the number of facts read.

    As in a rebuild, facts only evolve the state while they are read; then is decided what the letters that moved require.

    Args:
        service: the service.
        begin: partition → the offset to begin at; what was applied before is skipped.
    """
    await service.kit.store.follow(service.name)
    await service.kit.changes.read_once()
    await service.parking.ensure()
    for job in service.prepare:
        await job()
    touched = await read_on(service, dict(begin))
    ids = sorted(touched)
    for start in range(0, len(ids), BATCH):
        await service.letters.command_many(ids[start : start + BATCH], _nothing_new)
    return sum(touched.values())


async def read_on(service: Service, place: dict[int, int], tell: Any = None) -> dict[str, int]:
    """Take what `letters` holds by now beyond a place, and move the place; return the letters that moved, with how many facts each."""
    settings = service.kit.settings
    touched: dict[str, int] = {}
    topic = settings.namespace + "letters"
    async for records, total in read_from_start(settings.kafka, topic, BATCH, place):
        await service.replay(records)
        if tell:
            tell(sum(place.values()), total)
        for record in records:
            place[record.partition] = record.offset + 1
            letter_id = (record.key or b"").decode(errors="replace")
            touched[letter_id] = touched.get(letter_id, 0) + 1
    for refresh in service.touched if touched else ():
        await refresh(sorted(touched))
    return touched


async def decide_what_is_left(service: Service) -> None:
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


async def _main(name: str, *, force: bool) -> int:
    kit = Kit(load_settings())
    service = build(name, kit)
    started = perf_counter()

    def tell(read: int, total: int) -> None:
        print(f"\r{name}: {read:,} of {total:,} facts, {read / (perf_counter() - started):,.0f}/s", end="", flush=True)

    try:
        read = await rebuild(service, force=force, tell=tell)
    finally:
        kit.store.close()
    print(f"\n{name}: rebuilt from {read:,} facts in {perf_counter() - started:.1f} s")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Rebuild; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.rebuild", description=__doc__)
    parser.add_argument("service", choices=NAMES)
    parser.add_argument("--force", action="store_true", help="go on although unsent facts are lost")
    chosen = parser.parse_args(arguments)
    name = chosen.service
    configure_logging(name, "WARNING")
    try:
        return asyncio.run(_main(name, force=chosen.force))
    except (StoreUnavailable, KafkaError, UnsentFacts) as error:
        print(f"{name}: not rebuilt, start again: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
