"""How many letters a second go all the way: from POST to stored and visible in the mailbox, with all five services at work."""

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from services import NAMES
from tests.bench.client import Pool, request
from tests.bench.records import Records
from tests.bench.results import Result, check, check_between
from tests.bench.town import Town, per, tell, until

CONNECTIONS = 64
SECONDS = 30.0
WARM_UP_SECONDS = 2.0
COLLECTION = {"reporting": "rows"}
"""Where a service keeps one document per letter; the others: `letters`."""
ARRIVED = "xinxiang.LetterArrived.v1"


async def measure(town: Town, seconds: float = SECONDS) -> list[Result]:
    """Let 64 connections send letters as fast as they are taken; then wait until the last letter is everywhere."""
    await town.start()
    async with Records(town) as records:
        warm = await send(town, WARM_UP_SECONDS, 0)
        stored_before = await taken(records, [warm])
        await everywhere(town, records, stored_before)
        tell(f"sustained: {CONNECTIONS} connections for {seconds:.0f} s")
        before, began = town.cpu(), time.perf_counter()
        report = await send(town, seconds, warm["next"])
        number = await taken(records, [warm, report])
        posted = time.perf_counter()
        tell(f"sustained: {report['accepted']:,} taken; waiting until the last one is everywhere")
        told = await _told(records, number)
        stored = await everywhere(town, records, number)
        spent = per(before, town.cpu(), number - stored_before, {"load": report["cpu_seconds"]})
        await _verify(town, records, number)
    letters = number - stored_before
    return [
        Result(
            "sustained",
            letters / (stored - began),
            "letters/s",
            500,
            "higher",
            {
                "letters": letters,
                "refused": sum(report["others"].values()),
                "taken/s": round(letters / report["seconds"], 1),
                "letters/s until the mailbox topic had the last": round(letters / (told - began), 1),
                "seconds from the last POST until visible everywhere": round(stored - posted, 2),
                "POST p99 ms": round(report["p99_ms"], 1),
                "CPU ms per letter": spent,
            },
            "from the first POST until the last letter is on its mailbox topic and in the stores of all five services",
        )
    ]


async def send(town: Town, seconds: float, first: int) -> dict[str, Any]:
    """Send letters as fast as they are taken; return the generator's report."""
    order = {
        "port": town.port("intake"),
        "run": "sustained",
        "connections": CONNECTIONS,
        "seconds": seconds,
        "first": first,
    }
    return await town.child("tests.bench.load", order)


async def taken(records: Records, reports: Sequence[dict[str, Any]]) -> int:
    """Return how many letters are on `submissions`: all that were accepted, and perhaps some whose sender was told to come again."""
    accepted, refused = (sum(map(count, reports)) for count in (_accepted, _refused))
    number = await records.number("submissions")
    check_between("messages on submissions", number, accepted, accepted + refused)
    return number


def _accepted(report: dict[str, Any]) -> int:
    return int(report["accepted"])


def _refused(report: dict[str, Any]) -> int:
    return sum(report["others"].values())


async def _told(records: Records, number: int) -> float:
    return await _reached(number, partial(records.number, *records.mailboxes), "messages of mailboxes", pause=0.05)


async def everywhere(town: Town, records: Records, number: int, patience: float = 300) -> float:
    """Wait until every service has every letter, at most `patience` seconds for each; return when that was.

    Raises:
        TimeoutError: naming the service that has not, and how many it has.
    """
    seen = await _told(records, number)
    for name in NAMES:
        count = partial(town.count, name, COLLECTION.get(name, "letters"))
        seen = await _reached(number, count, f"letters of {name}", patience)
    return seen


async def _reached(
    number: int, count: Callable[[], Awaitable[int]], what: str, patience: float = 300, pause: float = 0.1
) -> float:
    found = 0

    async def reached() -> bool:
        nonlocal found
        found = await count()
        return found >= number

    try:
        return await until(reached, patience, pause)
    except TimeoutError:
        raise TimeoutError(f"{what}: {found} of {number} after {patience:.0f} s") from None


async def _verify(town: Town, records: Records, number: int) -> None:
    check("letters told to mailboxes", len(await records.distinct(*records.mailboxes, of_type=ARRIVED)), number)
    for name in NAMES:
        check(f"letters of {name}", await town.count(name, COLLECTION.get(name, "letters")), number)
    token = town.token("mayor-clerk", "mayor", "clerk")
    path = "/intake/mailboxes/mayor/letters?order=newest&limit=1"
    status, body = await Pool(town.port("intake"), 1).send(
        request("GET", path, headers={"authorization": f"Bearer {token}"})
    )
    check("the mayor's list", (status, b'"letter_id"' in body), (200, True))
