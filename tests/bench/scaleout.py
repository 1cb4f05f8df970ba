"""What more replicas cost: 1, 2 and 4 of each service on the same machine, which tells their CPU and not their speed.

Two questions. A city adds replicas as its letters grow: does a letter cost more while each replica has as much to do as before? And what
does it cost to have more replicas than the letters need? Then each does less at once, and messages that come one by one cost more each
than many together.
"""

import asyncio
from typing import Any

from services import NAMES
from tests.bench import delay
from tests.bench.journeys import drive
from tests.bench.results import Result, check
from tests.bench.town import Town, per, tell

REPLICAS = (1, 2, 4)
RATE_EACH, RATE, SECONDS, WARM_UP_SECONDS = 12.5, 50.0, 20.0, 5.0
JOURNEYS, WARM_UP_JOURNEYS, JOURNEY_RATE_EACH = 200, 40, 2.0
AIM = 1.2
SHARED = f"CPU ms per letter, {RATE_EACH:g} letters/s for each replica"
SAME = f"CPU ms per letter, {RATE:g} letters/s in all"
WHOLE_SHARED = f"CPU ms per whole journey, {JOURNEY_RATE_EACH:g}/s for each replica"
WHOLE = "CPU ms per whole journey, as many as go"


async def measure(town: Town) -> list[Result]:
    """For each number of replicas: letters at rates, then whole journeys at a rate and as many as go; CPU of all processes per letter."""
    costs: dict[int, dict[str, float]] = {}
    letters = journeys = 0
    for replicas in REPLICAS:
        tell(f"scale-out: {replicas} of each service")
        await town.start()
        more = [town.launch(f"{name}-{number}", "services", name) for name in NAMES for number in range(1, replicas)]
        await asyncio.gather(*(server.ready() for server in more))
        _, letters = await _letters(town, RATE, letters, WARM_UP_SECONDS)
        await town.settle()
        cost = costs[replicas] = {"CPU ms per second of doing nothing": await _idle(town)}
        for name, rate in ((SHARED, RATE_EACH * replicas), (SAME, RATE)):
            cost[name], letters = await _letters(town, rate, letters)
        await drive(town, WARM_UP_JOURNEYS, journeys)
        journeys += WARM_UP_JOURNEYS
        rate = JOURNEY_RATE_EACH * replicas
        for name, number, pace in ((WHOLE_SHARED, round(SECONDS * rate), rate), (WHOLE, JOURNEYS, None)):
            used = town.cpu()
            found = await drive(town, number, journeys, pace)
            cost[name] = per(used, town.cpu(), number)["all"]
            journeys += number
        cost["journeys/s"] = round(JOURNEYS / found["seconds"], 1)
        await town.stop()
    return [_result(costs, name) for name in (SHARED, SAME, WHOLE_SHARED, WHOLE)]


async def _letters(town: Town, rate: float, first: int, seconds: float = SECONDS) -> tuple[float, int]:
    """Offer letters; return the CPU milliseconds of all processes per letter, and the number of the next letter."""
    used = town.cpu()
    report = await delay.offer(town, seconds, first, rate, "scale")
    check("answers other than 202", report["others"], {})
    return per(used, town.cpu(), report["accepted"])["all"], report["next"]


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
