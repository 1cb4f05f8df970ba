"""How many numbers a second one mailbox's register gives out, and what it costs when replicas write into it at once (R3.6)."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from services.intake.repository import Register
from shared.contracts.types import Actor
from shared.storage import Store
from tests.bench.results import Result, check, percentile
from tests.bench.town import Town, per, tell

WRITERS = (1, 2, 4)
LETTERS = 4_000
AT_ONCE = 64
"""Clerks who wait for a number, in all."""
CLERK = Actor(subject="mayor-clerk", mailbox="mayor")


async def measure(town: Town) -> list[Result]:
    """For each number of replicas: let clerks register letters of one mailbox and year, each at one of them; then look for gaps."""
    rates: dict[int, dict[str, float]] = {}
    for year, writers in enumerate(WRITERS, start=2026):
        tell(f"register: {writers} at once")
        stores = [Store(town.settings.mongo_url, town.namespace) for _ in range(writers)]
        registers = [Register(store, town.directory) for store in stores]
        await registers[0].ensure()
        before, began, own = town.cpu(), time.perf_counter(), time.process_time()
        waits = await _register(registers, year)
        seconds = time.perf_counter() - began
        spent = per(before, town.cpu(), LETTERS, {"register": time.process_time() - own})
        found = [int(d["_id"][-9:]) async for d in registers[0].collection.find({"_id": {"$regex": f"^mayor/{year}/"}})]
        check("numbers", sorted(found) == list(range(1, LETTERS + 1)), True)
        rates[writers] = {
            "numbers/s": round(LETTERS / seconds),
            "p50 ms": round(percentile(waits, 0.5) * 1000, 1),
            "p99 ms": round(percentile(waits, 0.99) * 1000, 1),
            "CPU ms per number": spent["all"],
        }
        for store in stores:
            store.close()
    return [
        Result(
            "numbers of one register",
            rates[WRITERS[0]]["numbers/s"],
            "numbers/s",
            None,
            "higher",
            {f"{writers} at once": found for writers, found in rates.items()},
            f"{AT_ONCE} clerks at once in all; all writers are in one process here, so their own CPU is shared",
        )
    ]


async def _register(registers: Sequence[Register], year: int) -> list[float]:
    """Return how many seconds each letter waited for its number."""
    waits: list[float] = []
    letters = iter(range(LETTERS))

    async def clerk(register: Register) -> None:
        for letter in letters:
            began = time.perf_counter()
            await register.line("mayor", year, f"{year}-{letter}", CLERK, datetime.now(UTC))
            waits.append(time.perf_counter() - began)

    await asyncio.gather(*(clerk(registers[n % len(registers)]) for n in range(AT_ONCE)))
    return waits
