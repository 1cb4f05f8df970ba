"""What a letter costs, in CPU and on disk, with ten thousand, a hundred thousand and a million letters stored (`BENCH_GROWTH`).

As in a city that goes on for years: a thousand letters a day, all finished but for the same two thousand.
"""

import os
from pathlib import Path
from typing import Any

from deploy.engines.places import instance_folder
from services import NAMES
from tests.bench import delay, stock
from tests.bench.journeys import drive
from tests.bench.results import Result, check
from tests.bench.town import Town, per, tell

SIZES = tuple(int(size) for size in os.environ.get("BENCH_GROWTH", "10000,100000,1000000").split(","))
RATE, SECONDS, WARM_UP_SECONDS = 50.0, 20.0, 5.0
JOURNEYS, WARM_UP_JOURNEYS = 300, 30
AIM = 1.2


async def measure(town: Town) -> list[Result]:
    """At each size: letters at a fixed rate, then whole journeys; CPU of all processes per letter, disk per stored letter."""
    costs: dict[int, dict[str, float]] = {}
    town.keep_search()
    stored = serial = journey = 0
    for size in SIZES:
        before = await _store_bytes(town)
        await stock.fill(town, size, stored, open_below=SIZES[0])
        grown = (await _store_bytes(town) - before) / (size - stored)
        stored = size
        tell(f"growth: {size:,} letters stored")
        await town.start()
        tell(f"growth: settled after {await town.settle():.0f} s")
        cost: dict[str, float] = {"store bytes per letter put there": round(grown)}
        warm = await delay.offer(town, WARM_UP_SECONDS, serial, RATE, "growth")
        used = town.cpu()
        report = await delay.offer(town, SECONDS, warm["next"], RATE, "growth")
        check("answers other than 202", {**warm["others"], **report["others"]}, {})
        serial = report["next"]
        cost["CPU ms per letter taken and stored"] = per(used, town.cpu(), report["accepted"])["all"]
        cost["delay p99 ms"] = round(report["topic"]["p99"], 1)
        await drive(town, WARM_UP_JOURNEYS, journey)
        used, logged, held = town.cpu(), _log_bytes(town), await _store_bytes(town)
        found = await drive(town, JOURNEYS, journey + WARM_UP_JOURNEYS)
        journey += WARM_UP_JOURNEYS + JOURNEYS
        cost["CPU ms per whole journey"] = per(used, town.cpu(), JOURNEYS)["all"]
        cost["journeys/s"] = round(JOURNEYS / found["seconds"], 1)
        cost["store bytes per journey"] = round((await _store_bytes(town) - held) / JOURNEYS)
        for topic, bytes_now in _log_bytes(town).items():
            cost[f"{topic} bytes per journey"] = round((bytes_now - logged.get(topic, 0)) / JOURNEYS)
        costs[size] = cost
        await town.stop()
    return [_result(costs, name) for name in ("CPU ms per letter taken and stored", "CPU ms per whole journey")]


def _result(costs: dict[int, dict[str, float]], name: str) -> Result:
    first, last = costs[SIZES[0]][name], costs[SIZES[-1]][name]
    beside: dict[str, Any] = {f"with {size:,} stored": found for size, found in costs.items()}
    note = f"from {SIZES[0]:,} to {SIZES[-1]:,} stored letters, all finished but {SIZES[0] // 5:,}"
    return Result(f"growth of {name}", last / first, "times", AIM, "lower", beside, note)


async def _store_bytes(town: Town) -> int:
    """Return what the store says that the databases of all services take, indexes and all."""
    found = [await town.store.database(name).command("dbStats") for name in NAMES]
    return sum(int(each.get("totalSize") or each["storageSize"] + each["indexSize"]) for each in found)


def _log_bytes(town: Town) -> dict[str, int]:
    """Return what this town's topics take on the broker's disk, those of mailboxes together; nothing where it is not of this machine."""
    found: dict[str, int] = {}
    for folder in (instance_folder(town.engines.name) / "kafka" / "data").glob(f"{town.namespace}*"):
        topic = folder.name.removeprefix(town.namespace).rpartition("-")[0].partition(".")[0]
        found[topic] = found.get(topic, 0) + sum(map(_size, folder.glob("*.log")))
    return {topic: size for topic, size in found.items() if size}


def _size(file: Path) -> int:
    return file.stat().st_size
