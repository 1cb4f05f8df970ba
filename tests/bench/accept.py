"""How many letters a second the front door takes, beside an endpoint that only validates them."""

from collections import Counter
from typing import Any

from tests.bench.records import Records
from tests.bench.results import Result
from tests.bench.sustained import taken
from tests.bench.town import Town, per, tell, until

CONNECTIONS = (1, 16, 64)
ROUNDS = 3
SECONDS = 3.0
WARM_UP_SECONDS = 1.0


async def measure(town: Town) -> list[Result]:
    """Alternate between the front door and the bare endpoint, `ROUNDS` times for each number of connections."""
    await town.start("intake")
    bare = town.launch("bare", "tests.bench.bare", "{port}")
    await bare.ready()
    results = []
    async with Records(town) as records:
        reports = [await _round(town, "intake", 16, WARM_UP_SECONDS, 0)]
        await _round(town, "bare", 16, WARM_UP_SECONDS, 0)
        first = reports[0]["next"]
        for connections in CONNECTIONS:
            seconds: Counter[str] = Counter()
            numbers: Counter[str] = Counter()
            others: Counter[str] = Counter()
            latency: dict[str, float] = {}
            before = town.cpu()
            for turn in range(ROUNDS):
                tell(f"accept: {connections} connections, {turn + 1} of {ROUNDS}")
                for name in ("intake", "bare"):
                    report = await _round(town, name, connections, SECONDS, first)
                    seconds[name] += report["seconds"]
                    numbers[name] += report["accepted"]
                    others.update(report["others"])
                    latency[f"{name} p99 ms"] = report["p99_ms"]
                    first = max(first, report["next"])
                    if name == "intake":
                        reports.append(report)
                        await _stored(town, await taken(records, reports))
            each = {name: numbers[name] / seconds[name] for name in numbers}
            spent = per(before, town.cpu(), 1)
            results.append(
                Result(
                    f"accept at {connections} connection{'s' if connections > 1 else ''}",
                    each["intake"] / each["bare"],
                    "of a bare endpoint",
                    0.5,
                    "higher",
                    {
                        "accepted/s": round(each["intake"], 1),
                        "refused": sum(others.values()),
                        "bare endpoint/s": round(each["bare"], 1),
                        **{name: round(value, 2) for name, value in latency.items()},
                        "CPU ms per letter (intake stores them as well)": {
                            "intake": round(spent["intake"] / numbers["intake"], 3),
                            "bare": round(spent["bare"] / numbers["bare"], 3),
                        },
                    },
                )
            )
    return results


async def _round(town: Town, name: str, connections: int, seconds: float, first: int) -> dict[str, Any]:
    order = {
        "port": town.port(name),
        "run": "accept",
        "connections": connections,
        "seconds": seconds,
        "first": first,
    }
    return await town.child("tests.bench.load", order)


async def _stored(town: Town, number: int) -> None:
    """Wait until everything is stored, so that storing does not take from what comes next."""

    async def stored() -> bool:
        return await town.count("intake") >= number

    await until(stored)
