"""SIGTERM under load: each service stops taking, finishes, commits and leaves within 15 seconds; nothing is lost."""

import asyncio
import socket

from tests.e2e.fleet import Fleet, ended
from tests.e2e.journey import Fate, Journey
from tests.e2e.stream import Stream, arrived_once


async def test_every_service_leaves_in_time_under_load_and_nothing_is_lost(fleet: Fleet) -> None:
    await fleet.up()
    async with fleet.city() as city:
        journey, streams = Journey(fleet.world, [city]), [Stream(city, 1000 * n) for n in range(1, 5)]
        async with asyncio.TaskGroup() as group:
            posting = [group.create_task(stream.run()) for stream in streams]
            group.create_task(journey.first_weeks())
            await journey.reached("collected", 3)
            ends = await fleet.leave()
            await fleet.up()
            await journey.reached("published", len(journey.of(Fate.ANSWERED)))
            for stream in streams:
                stream.stop()
            await asyncio.gather(*posting)
        assert {code for code, _ in ends.values()} == {0}, ends
        assert max(seconds for _, seconds in ends.values()) < 15, ends
        accepted = {subject: receipt for stream in streams for subject, receipt in stream.accepted.items()}
        assert len(accepted) > 20
        await arrived_once(city, accepted)
        for run in fleet.runs:
            assert '"level":"error"' not in run.log.read_text(), run.last_words()


async def test_a_service_whose_port_another_process_has_ends_and_says_so(fleet: Fleet) -> None:
    run = fleet.of("publication")
    with socket.create_server(("127.0.0.1", run.port)):
        run.start()
        assert run.process is not None
        assert await ended(run.process, 60) == 3
    said = run.last_words()
    assert "OSError: Address already in use" in said
    assert f"port {run.port}" in said
    assert "PORT" in said
