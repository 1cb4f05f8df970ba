"""Two hours at half the sustained rate: memory, file handles and lag must stay where they are (`BENCH_SOAK_SECONDS`).

What is sustained hangs on the machine, and is measured just before, unless `BENCH_SOAK_RATE` says how many letters a second to offer.
"""

import asyncio
import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services import NAMES
from tests.bench import delay, sustained
from tests.bench.records import Records
from tests.bench.results import Result, check
from tests.bench.sustained import ARRIVED, everywhere
from tests.bench.town import Town, tell

SECONDS = float(os.environ.get("BENCH_SOAK_SECONDS", "7200"))
RATE = os.environ.get("BENCH_SOAK_RATE", "")
LOOK_EVERY_SECONDS = 1.0
SAMPLES = 120
WARM_UP_SHARE = 0.25
AIM_PERCENT_PER_HOUR = 1.0
AIM_LATER_LAG = 1.2
"""Messages behind on average; what only shakes is flat."""
PATIENCE_SECONDS = 1800
"""For each service's count at the end: to count a million documents takes minutes."""
_LAG = re.compile(rb"^xinxiang_consumer_lag\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Sample:
    """What the five services used at a moment."""

    hours: float
    memory: dict[str, float]
    """MB, resident."""
    handles: dict[str, int]
    lag: dict[str, float]


async def measure(town: Town) -> list[Result]:
    """Offer letters at the rate, look at the services meanwhile, then count everything."""
    before: list[Result] = []
    if not RATE:
        async with Town(town.engines, "soak-rate") as other:
            before = await sustained.measure(other)
    rate = float(RATE or (before[0].value or 0.0) / 2)
    tell(f"soak: {rate:.0f} letters/s")
    await town.start()
    samples: list[Sample] = []
    offering = asyncio.create_task(delay.offer(town, SECONDS, 0, rate, "soak", LOOK_EVERY_SECONDS))
    began = time.perf_counter()
    while not offering.done():
        await asyncio.wait({offering}, timeout=SECONDS / SAMPLES)
        samples.append(await _sample(town, (time.perf_counter() - began) / 3600))
        if len(samples) % 10 == 0:
            last = samples[-1]
            used, behind = sum(last.memory.values()), sum(last.lag.values())
            tell(f"soak: {last.hours * 60:.0f} min, {used:.0f} MB, {behind:.0f} messages behind")
    report = await offering
    results = _results(samples, report, rate)
    tell(f"soak: {results[0].value:.2f} % an hour; now all letters are counted")
    check("answers other than 202", report["others"], {})
    async with Records(town) as records:
        await everywhere(town, records, report["accepted"], PATIENCE_SECONDS)
        told = await records.distinct(*records.mailboxes, of_type=ARRIVED)
    check("letters told to mailboxes", len(told), report["accepted"])
    return [*before, *results]


async def _sample(town: Town, hours: float) -> Sample:
    memory = town.memory()
    handles = {name: sum(p.num_fds() for p in town.processes()[name]) for name in NAMES}
    lag = {name: sum(map(float, _LAG.findall(await town.page(name, "/metrics")))) for name in NAMES}
    return Sample(hours, {name: memory[name] for name in NAMES}, handles, lag)


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line through (hours, value), in percent of the mean an hour."""
    line = statistics.linear_regression([at for at, _ in samples], [value for _, value in samples])
    return 100 * line.slope / statistics.mean(value for _, value in samples)


def _results(samples: Sequence[Sample], report: dict[str, Any], rate: float) -> list[Result]:
    """Memory, file handles and lag, each held against what it may grow by."""
    steady = samples[int(len(samples) * WARM_UP_SHARE) :]
    total = slope([(sample.hours, sum(sample.memory.values())) for sample in steady])
    first, last = steady[0], steady[-1]
    beside: dict[str, Any] = {
        "letters": report["accepted"],
        "delay p50 and p99 ms": f"{report['topic']['p50']:.0f} and {report['topic']['p99']:.0f}",
        "MB after warm-up": {name: round(value) for name, value in first.memory.items()},
        "MB at the end": {name: round(value) for name, value in last.memory.items()},
        "slope of each, % an hour": {
            name: round(slope([(sample.hours, sample.memory[name]) for sample in steady]), 2) for name in NAMES
        },
    }
    handles = slope([(sample.hours, sum(sample.handles.values())) for sample in steady])
    ends = {"handles after warm-up and at the end": f"{sum(first.handles.values())} and {sum(last.handles.values())}"}
    behind = [sum(sample.lag.values()) for sample in steady]
    halves = behind[: len(behind) // 2], behind[len(behind) // 2 :]
    later = statistics.mean(halves[1]) / max(1.0, statistics.mean(halves[0]))
    most = {
        "most messages behind in the first and in the last half": " and ".join(f"{max(half):.0f}" for half in halves)
    }
    note = f"{rate:.0f} letters/s for {SECONDS / 3600:.2g} h; the first {WARM_UP_SHARE:.0%} are warm-up"
    return [
        Result("memory's slope", total, "%/h", AIM_PERCENT_PER_HOUR, "lower", beside, note),
        Result("handles' slope", handles, "%/h", AIM_PERCENT_PER_HOUR, "lower", ends, note),
        Result("lag of the last half to that of the first", later, "×", AIM_LATER_LAG, "lower", most, note),
    ]
