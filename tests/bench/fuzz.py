"""Bad input, for as long as you like: requests and messages at random (docs/fuzzing.md). What is found stands in the note.

`FUZZ_SECONDS` (1800) of requests, over and over with the next seed from `FUZZ_SEED` on; and each way to bend a message
`FUZZ_ROUNDS` (20) times.
"""

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.results import Result, check
from tests.bench.town import Town, tell
from tests.conftest import new_world
from tests.fuzz import disorder, gun
from tests.fuzz.city import fuzzed_city
from tests.fuzz.requests import SLOW_SECONDS, Fuzzer, Report

EXAMPLES = 24
"""Requests to each operation before the next seed is taken."""


async def measure(town: Town) -> list[Result]:
    """Ask and bombard; nothing may be found."""
    seconds, seed = int(os.environ.get("FUZZ_SECONDS", "1800")), int(os.environ.get("FUZZ_SEED", "1"))
    rounds = int(os.environ.get("FUZZ_ROUNDS", "20"))
    os.environ["JWKS_FILE"] = str(town.folder / "keys" / "jwks.json")
    report = Report()
    with TemporaryDirectory() as folder:
        async with (
            new_world(town.engines.urls(), town.folder / "keys", Path(folder)) as world,
            fuzzed_city(world, town.folder, copies=3) as (run, known),
        ):
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                fuzzer = await asyncio.to_thread(Fuzzer, run.url, known, seed, SLOW_SECONDS, report)
                await asyncio.to_thread(fuzzer.ask_oddly)
                await asyncio.to_thread(fuzzer.ask_all, EXAMPLES, lambda: time.monotonic() > ends)
                tell(f"seed {seed}: {sum(report.asked.values())} requests, {len(report.findings)} findings")
                seed += 1
            sent = await gun.fire(world, gun.barrage(rounds, seed))
            await world.caught_up(seconds=600)
            waits, heard = await gun.parked(world), await gun.refused(world, gun.UNITS)
            await disorder.out_of_order(world, seed)
            await disorder.again_and_forged(world)
    lost = [str(one) for one in sent if one.shot.bad and not gun.answered_for(one, waits, heard)]
    check("messages that nobody can find again", lost, [])
    statuses = {str(status): number for status, number in sorted(report.answered.items())}
    return [
        Result(
            "findings in fuzzed requests",
            len(report.findings),
            "findings",
            0,
            "lower",
            beside={
                "requests": sum(report.asked.values()),
                "operations": len(report.asked),
                "statuses": statuses,
                "slowest": report.slowest[:5],
            },
            note=report.text(),
        ),
        Result(
            "findings in fuzzed messages",
            len(lost),
            "findings",
            0,
            "lower",
            beside={"messages": len(sent), "parked or waiting": len(waits), "refused": len(heard)},
        ),
    ]
