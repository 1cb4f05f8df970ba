"""How long services take to be ready, and what memory they take after work."""

from services import NAMES
from tests.bench.journeys import drive
from tests.bench.records import Records
from tests.bench.results import Result
from tests.bench.sustained import everywhere, send, taken
from tests.bench.town import Town, names_of, tell

LOAD_SECONDS = 10.0
JOURNEYS = 200


async def start(town: Town) -> list[Result]:
    """Start each service alone, then all five at once; each has its topics and makes its indexes the first time."""
    alone = {}
    for turn in ("first", "again"):
        for name in NAMES:
            tell(f"start: {name}, {turn}")
            alone[name] = (await town.start(name))[name]
            await town.stop()
    together = await town.start()
    return [
        Result(
            "start of all five services at once",
            max(together.values()),
            "s",
            None,
            "lower",
            {
                "each alone, s": {name: round(seconds, 2) for name, seconds in alone.items()},
                "each with the others, s": {name: round(seconds, 2) for name, seconds in together.items()},
            },
            "from the start of the process until /health/ready says yes; indexes are there already",
        )
    ]


async def memory(town: Town) -> list[Result]:
    """Read resident memory after letters at full speed and whole journeys."""
    await town.start()
    fresh = town.memory()
    tell(f"memory: {LOAD_SECONDS:.0f} s of letters, then {JOURNEYS} journeys")
    async with Records(town) as records:
        report = await send(town, LOAD_SECONDS, 1_000_000)
        await everywhere(town, records, await taken(records, [report]))
    await drive(town, JOURNEYS, 0)
    after = town.memory()
    services = {name: round(after[name], 1) for name in names_of(after)}
    return [
        Result(
            "memory of the five services",
            sum(services.values()),
            "MB",
            600,
            "lower",
            {
                "each": services,
                "each before the work": {name: round(fresh[name], 1) for name in services},
                "engines": {name: round(after[name], 1) for name in after if name not in services},
            },
            f"resident, after {report['accepted']:,} letters and {JOURNEYS} journeys; PostgreSQL's shared memory counted once",
        )
    ]
