"""Kafka or the store goes away for a while and comes back: everything goes on by itself, and no letter is lost or made twice.

How long they stay away: `AWAY_SECONDS` (12 by default: longer than any time limit of Kafka's client).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
import pytest

from deploy.demo.city import City, Refused
from deploy.engines import Engines
from tests.conftest import eventually
from tests.e2e.fleet import Fleet, Run
from tests.e2e.journey import Fate, Journey
from tests.e2e.stream import Stream, arrived_once

AWAY_SECONDS = float(os.environ.get("AWAY_SECONDS", "12"))


@asynccontextmanager
async def away(engines: Engines, what: str, take_away: Callable[[str], None]) -> AsyncIterator[None]:
    """Inside, an engine is away; it is gone for `AWAY_SECONDS` at least."""
    await asyncio.to_thread(take_away, what)
    rest = asyncio.create_task(asyncio.sleep(AWAY_SECONDS))
    try:
        yield
        await rest
    finally:
        await asyncio.to_thread(engines.start)


async def all_say(fleet: Fleet, path: str, status: int) -> None:
    """Wait until every service answers a health question with this status."""

    async def said() -> bool:
        return {(await run.get(path)).status_code for run in fleet.runs} == {status}

    await eventually(said, 30)


async def refused_with(city: City, path: str, headers: dict[str, str]) -> Refused:
    """Ask for something that cannot be had now."""
    with pytest.raises(Refused) as refused:
        await city.ask("GET", path, headers=headers)
    return refused.value


async def started_anew(run: Run) -> None:
    """A deployment hits the worst moment: a process leaves in time, and so does its successor, which never saw the engine."""
    for _ in range(2):
        code, seconds = await run.leave()
        assert code == 0, run.last_words()
        assert seconds < 15
        run.start()
        await eventually(partial(answers, run), 60)
        assert (await run.get("/health/ready")).status_code == 503


async def answers(run: Run) -> bool:
    """Whether a process lives."""
    try:
        return (await run.get("/health/live")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_while_the_store_is_away_letters_are_taken_and_all_are_there_afterwards(
    fault_engines: Engines, fault_fleet: Fleet, how: str
) -> None:
    fleet = fault_fleet
    await fleet.up()
    what, take_away = ("store", fault_engines.stop) if how == "stopped" else ("postgres", fault_engines.kill)
    async with fleet.city() as city:
        journey, stream = Journey(fleet.world, [city]), Stream(city)
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(stream.run())
            group.create_task(journey.first_weeks())
            await journey.reached("collected", 2)
            async with away(fault_engines, what, take_away):
                before = len(stream.accepted)
                await all_say(fleet, "/health/ready", 503)
                await all_say(fleet, "/health/live", 200)
                for service, mailbox in (("intake", "mayor"), ("routing", "mayor"), ("deadline", "water")):
                    what_for = {"intake": "letters", "routing": "letters?list=pending", "deadline": "figures"}[service]
                    path = f"/{service}/mailboxes/{mailbox}/{what_for}"
                    refused = await refused_with(city, path, city.token(mailbox))
                    assert (refused.status, bool(refused.problem.get("title"))) == (503, True)
                for path in ("/public/letters.json", "/reporting/weeks/2026-W10"):
                    assert (await refused_with(city, path, {})).status == 503

                async def went_on() -> bool:
                    return len(stream.accepted) > before + 20

                await eventually(went_on)
                await started_anew(fleet.of("deadline"))
            await all_say(fleet, "/health/ready", 200)
            await journey.reached("published", len(journey.of(Fate.ANSWERED)))
            stream.stop()
            await posting
        assert not stream.refused
        await arrived_once(city, stream.accepted)


async def test_while_kafka_is_away_letters_are_refused_and_the_same_keys_make_each_letter_once(
    fault_engines: Engines, fault_fleet: Fleet
) -> None:
    fleet = fault_fleet
    await fleet.up()
    async with fleet.city() as city:
        journey, streams = Journey(fleet.world, [city]), [Stream(city, 1000 * n) for n in range(1, 5)]
        async with asyncio.TaskGroup() as group:
            posting = [group.create_task(stream.run()) for stream in streams]
            group.create_task(journey.first_weeks())
            await journey.reached("collected", 2)
            async with away(fault_engines, "kafka", fault_engines.stop):
                await all_say(fleet, "/health/ready", 503)
                await all_say(fleet, "/health/live", 200)

                async def was_refused() -> bool:
                    return all(stream.refused for stream in streams)

                await eventually(was_refused)
                await started_anew(fleet.of("deadline"))
            await all_say(fleet, "/health/ready", 200)
            await journey.reached("published", len(journey.of(Fate.ANSWERED)))
            for stream in streams:
                stream.stop()
            await asyncio.gather(*posting)
        for refused in (refused for stream in streams for refused in stream.refused):
            assert refused.retry_after > 0
        accepted = {subject: receipt for stream in streams for subject, receipt in stream.accepted.items()}
        await arrived_once(city, accepted)
        assert sum(run.log.stat().st_size for run in fleet.runs) < 5_000_000, "a client ran wild while Kafka was away"
