"""Any projection of any service, thrown away and rebuilt from `letters`, equals what was there."""

import asyncio
import os
import sys
from typing import Any

from services import NAMES
from services.__main__ import build
from tests.conftest import World, eventually
from tests.e2e.fleet import ROOT, Fleet
from tests.e2e.journey import Journey

ALWAYS_NEW = {"token", "stamp", "made", "as_of"}
"""Fields that differ with every write, or that say since when a document is as it is, by design."""


async def documents(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """(Service, collection) → document id → document, of everything that follows from the topic."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for service in NAMES:
        kit = world.kit()
        built = build(service, kit)
        for name in [*built.derived, "waiting"]:
            found[service, name] = {
                document["_id"]: {key: value for key, value in document.items() if key not in ALWAYS_NEW}
                async for document in kit.store.database(service)[name].find({})
            }
        kit.store.close()
    return found


async def is_quiet(world: World) -> bool:
    """Whether everything decided was sent and everything marked was counted."""
    for (service, name), collection in (await documents(world)).items():
        for key, document in collection.items():
            for field in ("outbox", "unsent", "dirty", "open"):
                assert not document.get(field), f"{service}/{name}/{key} still has {field}"
    return True


async def rebuilt(world: World, service: str) -> str:
    """Run the command as an operator does; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.rebuild",
        service,
        cwd=ROOT,
        env=os.environ | world.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_every_projection_rebuilt_from_the_topic_equals_what_was_there(fleet: Fleet) -> None:
    await fleet.up()
    async with fleet.city() as city:
        journey = Journey(fleet.world, [city])
        await journey.whole()
        await journey.check()
        await eventually(lambda: is_quiet(fleet.world), 60)
    await fleet.leave()
    before = await documents(fleet.world)
    facts = len(await fleet.world.records("letters"))
    assert len(before["intake", "letters"]) == len(before["reporting", "rows"]) == len(journey.tales)
    assert len(before["intake", "register"]) == len(journey.tales) - 1
    assert len(before["reporting", "cells"]) > 3
    for service in NAMES:
        assert f"rebuilt from {facts}" in await rebuilt(fleet.world, service)
    after = await documents(fleet.world)
    for collection, held in before.items():
        assert after[collection].keys() == held.keys(), collection
        for key, document in held.items():
            assert after[collection][key] == document, (collection, key)
    assert len(await fleet.world.records("letters")) == facts, "a rebuild decides nothing again"
