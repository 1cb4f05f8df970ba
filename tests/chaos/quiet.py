"""When the system is quiet: every replica is ready, nothing is left to read, to send or to count, as the services say themselves."""

import asyncio
from collections.abc import Iterable
from time import monotonic

import httpx

from tests.e2e.fleet import Run

MEASURE_SECONDS = 2
"""How often services measure while they are watched here; set for each process."""
LEFT = (
    "xinxiang_consumer_lag",
    "xinxiang_outbox_depth",
    "xinxiang_parked_letters",
    "xinxiang_waiting_letters",
    "xinxiang_dirty_cells",
)
"""Metrics that are 0 when nothing is left to do."""


async def ready(runs: Iterable[Run], seconds: float) -> list[str]:
    """Wait until every process is ready; return what each that is not says, after so many seconds."""
    end, waiting = monotonic() + seconds, list(runs)
    says: dict[str, str] = {}
    while waiting and monotonic() < end:
        for run in list(waiting):
            try:
                answer = await run.get("/health/ready")
            except httpx.TransportError as error:
                says[run.log.stem] = repr(error)
                continue
            says[run.log.stem] = answer.text[:300]
            if answer.status_code == 200:
                waiting.remove(run)
        await asyncio.sleep(0.3)
    return [f"{run.log.stem} does not come back: {says.get(run.log.stem)}" for run in waiting]


async def quiet(runs: Iterable[Run], seconds: float) -> list[str]:
    """Wait until nothing is left to do for as long as it takes every process to measure; return what is left after so many seconds."""
    runs, end, since = list(runs), monotonic() + seconds, monotonic()
    left: list[str] = []
    while monotonic() < end:
        left = [f"{run.log.stem}: {name} is {value:.0f}" for run in runs for name, value in (await _left(run)).items()]
        if left:
            since = monotonic()
        elif monotonic() - since > MEASURE_SECONDS + 1:
            return []
        await asyncio.sleep(0.5)
    return left or ["the system was never quiet for long enough"]


async def _left(run: Run) -> dict[str, float]:
    found = dict.fromkeys(LEFT, 0.0)
    try:
        answer = await run.get("/metrics")
    except httpx.TransportError:
        return {"an answer is missing from /metrics:": 1.0}
    for line in answer.text.splitlines():
        name = line.partition("{")[0]
        if name in found:
            found[name] += float(line.rpartition(" ")[2])
    return {name: value for name, value in found.items() if value}
