"""Two minutes of `make chaos`: letters on all their ways while all that is under them is killed, stopped, cut off, filled and slowed."""

import os

from tests.chaos.running import ROOT, run

SEED = int(os.environ.get("SEED") or 20_260_301)
SECONDS = float(os.environ.get("CHAOS_SECONDS") or 120)


async def test_faults_of_every_kind_lose_double_and_disorder_nothing() -> None:
    outcome = await run(SEED, SECONDS, ROOT / "build" / "chaos" / str(SEED), print, rate=0.5)
    report = "\n".join(outcome.lines())
    print(report)
    assert not outcome.failed, report
