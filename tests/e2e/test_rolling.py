"""From one release to the next without an interruption: services are upgraded one by one under load, and one is rolled back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from services import NAMES
from shared.contracts.envelope import attributes
from tests.conftest import World, eventually
from tests.e2e.fleet import Fleet, Run
from tests.e2e.journey import Fate, Journey, Tale
from tests.e2e.test_rebuild import documents, is_quiet, rebuilt

NEXT = ("tests.rolling.next_release", "services")
THIS = ("services",)
READERS = tuple(name for name in NAMES if name != "routing")
"""They only read the fact of which the next release writes a version 2."""
AT_ONCE = 2
RECORDED = ("id", "type", "source", "seq", "at", "sha256", "hash")
"""What an entry of a history holds of a fact, whichever release recorded it; an old one has no words for a newer fact until a rebuild."""


@pytest.mark.timeout(600)
async def test_services_are_upgraded_one_by_one_under_load_and_one_is_rolled_back(fleet_of_two: Fleet) -> None:
    fleet = fleet_of_two
    world = fleet.world
    await fleet.up()
    async with fleet.city(0) as first, fleet.city(1) as second:
        journey = Journey(world, [first, second], count=0)
        async with _load(journey) as more:
            await more(3)
            assert await _collected(world) == {"v1"}
            for replica in (0, 1):
                await _becomes(fleet, NEXT, READERS, [replica])
                await more(2)
            assert await _collected(world) == {"v1"}, "readers first: nobody writes version 2 yet"
            for replica in (0, 1):
                await _becomes(fleet, NEXT, ["routing"], [replica])
                await more(2)
            assert await _collected(world) == {"v1", "v2"}

            # One replica of two readers goes back: what it cannot read waits for its neighbour, and is taken by that.
            await _becomes(fleet, THIS, ["deadline", "reporting"], [1])
            await more(5)
            await eventually(lambda: _took_over(fleet), 60)
            await _old_says_that_another_must_do_it(fleet)
            await _becomes(fleet, NEXT, ["deadline", "reporting"], [1])
        await journey.check()
        await eventually(lambda: is_quiet(world), 60)
        for run in fleet.runs:
            assert await run.metric("xinxiang_parked_letters") == 0
            assert not _errors(run), _errors(run)
    await fleet.leave()

    before = await documents(world)
    assert not any(before[service, "waiting"] for service in NAMES)
    schemas = Counter(document.get("schema", 1) for document in before["deadline", "letters"].values())
    assert schemas[2] > 0
    for service in NAMES:
        assert "rebuilt from" in await rebuilt(world, service, *NEXT[:1])

    async def equal() -> bool:
        after = await documents(world)
        for collection, held in before.items():
            assert after[collection].keys() == held.keys(), collection
            for key, document in held.items():
                found, held_before = after[collection][key], _as_the_next_release_writes(collection, document)
                if collection == ("routing", "history") and str(document["type"]).endswith(".v2"):
                    found, held_before = ({name: one[name] for name in RECORDED} for one in (found, held_before))
                assert found == held_before, (collection, key)
        return True

    # The command dropped collections: made anew beside other drops, one may for a moment read as empty.
    await eventually(equal)


def _as_the_next_release_writes(collection: tuple[str, str], document: dict[str, Any]) -> dict[str, Any]:
    """A document that was not touched since the upgrade is by the old schema still; a rebuild writes all by the new one."""
    if collection != ("deadline", "letters") or "schema" in document:
        return document
    state = {("timers" if name == "clocks" else name): value for name, value in document["state"].items()}
    return document | {"state": state, "schema": 2}


def _errors(run: Run) -> list[str]:
    return [line for line in run.log.read_text().splitlines() if '"level":"error"' in line]


@asynccontextmanager
async def _load(journey: Journey) -> AsyncIterator[Any]:
    """Letters go their whole way all the time, a few at once; gives what waits until so many more have gone it."""
    going = True

    async def work() -> None:
        while going:
            number = len(journey.tales) + 1
            tale = Tale(number, Fate.ANSWERED, ("education", "water")[number % 2])
            journey.tales.append(tale)
            await journey._first_weeks(tale)

    tasks = [asyncio.create_task(work()) for _ in range(AT_ONCE)]

    async def more(count: int) -> None:
        done = journey.passed["published"]

        async def gone() -> bool:
            for task in tasks:
                if task.done():
                    task.result()
            return journey.passed["published"] >= done + count

        await eventually(gone, 120)

    try:
        yield more
        going = False
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _becomes(fleet: Fleet, module: tuple[str, ...], services: Iterable[str], replicas: Iterable[int]) -> None:
    """Let processes leave and start as another release, as a rolling restart does."""
    runs: list[Run] = [fleet.of(service, replica) for service in services for replica in replicas]
    await asyncio.gather(*(run.leave() for run in runs))
    for run in runs:
        run.module = module
    await fleet.up(runs)


async def _collected(world: World) -> set[str]:
    """The versions of the fact on the topic."""
    types = [attributes(record.headers).type for record in await world.records("letters")]
    return {name.rpartition(".")[2] for name in types if name.startswith("xinxiang.HandoffCollected.")}


async def _took_over(fleet: Fleet) -> bool:
    """Whether the replica of reporting that was rolled back was given version 2, which it left to its neighbour."""
    run = fleet.of("reporting", 1)
    return await run.metric("xinxiang_messages_total", topic="letters", outcome="waiting") > 0


async def _old_says_that_another_must_do_it(fleet: Fleet) -> None:
    """Over HTTP, for a letter whose document is of the next release: come back, and meet the neighbour."""
    kit = fleet.world.kit()
    by_the_next = await kit.store.collection("deadline", "letters").find_one({"schema": 2})
    kit.store.close()
    assert by_the_next is not None
    old, new = fleet.of("deadline", 1), fleet.of("deadline", 0)
    headers = fleet.world.token("mayor-clerk", "mayor", "clerk")
    path = f"/deadline/letters/{by_the_next['_id']}"
    async with httpx.AsyncClient(timeout=20) as client:

        async def known() -> bool:
            return (await client.get(new.url + path, headers=headers)).status_code == 200

        await eventually(known)
        refused = await client.get(old.url + path, headers=headers)
    assert refused.status_code == 503, refused.text
    assert refused.headers["retry-after"] == "1"
