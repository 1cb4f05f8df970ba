"""Any one service is killed (SIGKILL) in the middle of the journey and started again: the journey ends the same."""

import asyncio

import pytest

from tests.e2e.fleet import Fleet
from tests.e2e.journey import Journey


@pytest.mark.parametrize(
    ("service", "step", "count"),
    [
        ("intake", "screened", 2),
        ("routing", "collected", 2),
        ("publication", "published", 2),
        ("reporting", "answered", 3),
    ],
)
async def test_kill_in_the_middle_and_the_journey_ends_the_same(
    fleet: Fleet, service: str, step: str, count: int
) -> None:
    await fleet.up()
    async with fleet.city() as city:
        journey = Journey(fleet.world, [city])
        async with asyncio.TaskGroup() as group:
            group.create_task(journey.first_weeks())
            await journey.reached(step, count)
            await fleet.restart(service)
        await journey.get_late()
        await journey.end()
        await journey.check()


async def test_kill_deadline_while_its_clocks_fall_due_and_each_is_declared_once(fleet: Fleet) -> None:
    await fleet.up()
    async with fleet.city() as city:
        journey = Journey(fleet.world, [city])
        await journey.first_weeks()
        async with asyncio.TaskGroup() as group:
            group.create_task(journey.get_late())
            await fleet.restart("deadline")
        await journey.end()
        await journey.check()
