"""What more replicas cost: 1, 2 and 4 of each service on the same machine, which tells their CPU and not their speed."""

import asyncio
from typing import Any

from services import NAMES
from tests.bench import delay
from tests.bench.journeys import drive
from tests.bench.results import Result, check
from tests.bench.town import Town, per, tell

REPLICAS = (1, 2, 4)
RATE, SECONDS, WARM_UP_SECONDS = 50.0, 20.0, 5.0
JOURNEYS, WARM_UP_JOURNEYS = 200, 40
AIM = 1.2


async def measure(town: Town) -> list[Result]:
    """For each number of replicas: letters at a fixed rate, then whole journeys; CPU of all processes per letter."""
    costs: dict[int, dict[str, float]] = {}
    serial = journey = 0
    for replicas in REPLICAS:
        tell(f"scale-out: {replicas} of each service")
        await town.start()
        more = [town.launch(f"{name}-{number}", "services", name) for name in NAMES for number in range(1, replicas)]
        await asyncio.gather(*(server.ready() for server in more))
        warm = await delay.offer(town, WARM_UP_SECONDS, serial, RATE, "scale")
        idle = await _idle(town)
        used = town.cpu()
        report = await delay.offer(town, SECONDS, warm["next"], RATE, "scale")
        check("answers other than 202", {**warm["others"], **report["others"]}, {})
        serial = report["next"]
        cost = {"CPU ms per letter taken and stored": per(used, town.cpu(), report["accepted"])["all"]}
        await drive(town, WARM_UP_JOURNEYS, journey)
        used = town.cpu()
        found = await drive(town, JOURNEYS, journey + WARM_UP_JOURNEYS)
        journey += WARM_UP_JOURNEYS + JOURNEYS
        cost["CPU ms per whole journey"] = per(used, town.cpu(), JOURNEYS)["all"]
        cost["journeys/s"] = round(JOURNEYS / found["seconds"], 1)
        cost["CPU ms per second of doing nothing"] = idle
        costs[replicas] = cost
        await town.stop()
    return [_result(costs, name) for name in ("CPU ms per letter taken and stored", "CPU ms per whole journey")]


async def _idle(town: Town, seconds: float = 10.0) -> float:
    """Return the CPU milliseconds that all processes use in a second in which nothing happens."""
    used = sum(town.cpu().values())
    await asyncio.sleep(seconds)
    return round((sum(town.cpu().values()) - used) * 1000 / seconds, 1)


def _result(costs: dict[int, dict[str, float]], name: str) -> Result:
    first, last = costs[REPLICAS[0]][name], costs[REPLICAS[-1]][name]
    beside: dict[str, Any] = {f"{replicas} of each": found for replicas, found in costs.items()}
    note = "all on the same cores: CPU per letter must not grow, letters a second cannot"
    return Result(f"scale-out: growth of {name}", last / first, "times", AIM, "lower", beside, note)
