"""Any projection of any service, thrown away and rebuilt from `letters`, equals what was there."""

import asyncio
import os
import sys
from typing import Any

from deploy.history import Checker
from deploy.history_record import Layout, Topic
from services import NAMES
from services.__main__ import build
from services.routing.chain import Verdict
from services.routing.history import History
from shared.storage import Store
from tests.checker.projections import ALWAYS_NEW
from tests.conftest import World, eventually
from tests.e2e.fleet import ROOT, Fleet
from tests.e2e.journey import Journey

MADE_WHEN_ASKED = {"totals"}
"""Collections of which a document is there only once somebody has asked for it."""


async def documents(world: World) -> dict[tuple[str, str], dict[str, Any]]:
    """(Service, collection) → document id → document, of everything that follows from the topic."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for service in NAMES:
        kit = world.kit()
        built = build(service, kit)
        for name in {*built.derived, "waiting"} - MADE_WHEN_ASKED:
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
    for found in await histories(world):
        assert not found.behind, f"{found.letter_id}: {found.behind} facts are not in the history"
    return True


async def histories(world: World) -> list[Verdict]:
    """What `python -m deploy.history verify --all` finds of each letter (R10.1)."""
    store = Store(world.settings.mongo_url, world.namespace)
    checker = Checker(History(store, world.namespace), Topic(world.settings))
    await checker.topic.look()
    with Layout(checker.topic) as record:
        found = [verdict async for verdict in checker.all(record)]
    store.close()
    return found


async def different(world: World) -> int:
    """How many facts the topic holds, each counted once however often it was sent."""
    headers = [(record.key, dict(record.headers)) for record in await world.records("letters")]
    return len({(key, found["ce_source"], found["ce_seq"]) for key, found in headers})


async def rebuilt(world: World, service: str, *release: str) -> str:
    """Run the command as an operator does, of this release or of one that a test makes; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *release,
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
    assert len(before["routing", "history"]) == await different(fleet.world), "every fact is an entry, once (R10.1)"
    for service in NAMES:
        assert f"rebuilt from {facts}" in await rebuilt(fleet.world, service)

    async def equal() -> bool:
        after = await documents(fleet.world)
        for collection, held in before.items():
            assert after[collection].keys() == held.keys(), collection
            for key, document in held.items():
                assert after[collection][key] == document, (collection, key)
        return True

    # The command dropped collections: made anew beside other drops, one may for a moment read as empty.
    await eventually(equal)
    proven = await histories(fleet.world)
    assert len(proven) == len(journey.tales)
    assert not any(verdict.breaks or verdict.behind for verdict in proven)
    assert len(await fleet.world.records("letters")) == facts, "a rebuild decides nothing again"
