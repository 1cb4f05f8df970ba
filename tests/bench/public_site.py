"""What the public site costs at 100,000 published letters: list, page, search, filters, feed, one request at a time and many at once.

The letters are written straight into publication's store by its own code; the index is made by the service, as after a lost disk.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from random import Random
from typing import Any
from urllib.parse import quote

import orjson

from services.kit import Kit
from services.publication.app import build
from shared.contracts.types import Nature
from tests.bench.client import Connection, request
from tests.bench.mail import samples
from tests.bench.results import Result, check, check_between, percentile
from tests.bench.town import Town, per, tell, until
from tests.public_letters import Public, write

LETTERS = 100_000
BATCH = 1_000
REQUESTS = 400
AT_ONCE = 16
START = datetime(2025, 1, 6, 1, tzinfo=UTC)
RARE = "金佛山索道"
"""A word of every 2,000th letter."""
PAGE_AIM_MS, SEARCH_AIM_MS, AIM_RATE = 20.0, 50.0, 500.0

SEARCHES: dict[str, str] = {
    "rare word": f"q={quote(RARE)}",
    "word of some": f"q={quote('路灯')}",
    "common word": f"q={quote('小区')}",
    "word of most": f"q={quote('我们')}",
    "two words": f"q={quote('小区 路灯')}",
    "common word and filters": f"q={quote('小区')}&nature=help&region=500103",
    "number": f"q={quote('渝府信〔2026〕77号')}",
    "no match": f"q={quote('火星移民')}",
    "nature": "nature=help",
    "domain with those below": "domain=utilities",
    "three filters": "nature=help&region=500103&domain=utilities",
    "month of receipt": "month=2025-02",
}
"""What is measured → the question."""


async def measure(town: Town) -> list[Result]:
    """Publish `LETTERS` letters, let the service index them, and read."""
    took = await _fill(town)
    tell(f"public site: {LETTERS:,} letters written in {took:.0f} s")
    await town.start("publication")
    connection = await Connection.open(town.port("publication"))

    async def ready() -> bool:
        status, _ = await connection.send(request("GET", "/public/data.json"))
        return status == 200

    began, before = time.perf_counter(), town.cpu()
    indexed = await until(ready, 900) - began
    spent = per(before, town.cpu(), LETTERS)
    results = [
        Result(
            "public search: index of all letters made anew",
            round(indexed, 1),
            "s",
            None,
            "lower",
            {"letters": LETTERS, "CPU ms per letter": spent, "memory, MB": _memory(town)},
            "with SEARCH_FOLDER only what changed since the last stop is taken up",
        )
    ]
    random = Random(5)
    letters = [f"/public/letters/YFX-2026-{random.randrange(LETTERS) + 1}" for _ in range(REQUESTS)]
    for name, paths in {
        "list": ["/public/letters"],
        "page": letters,
        "page as JSON": [f"{path}.json" for path in letters],
    }.items():
        results += await _pages(town, connection, f"public {name}", paths)
    results.append(await _one(town, connection, "public feed", ["/public/feed.atom"], PAGE_AIM_MS))
    slowest: dict[str, float] = {}
    times: list[float] = []
    before = town.cpu()
    for name, question in SEARCHES.items():
        each = await _times(connection, [f"/public/letters?{question}"], REQUESTS // 4)
        slowest[name] = percentile(each, 0.99)
        times += each
    spent = per(before, town.cpu(), len(times))
    beside = {
        "p50 ms": round(percentile(times, 0.5), 1),
        "p99 ms of each": {n: round(v, 1) for n, v in slowest.items()},
    }
    beside |= {"CPU ms per search": spent, "memory, MB": _memory(town)}
    worst = round(percentile(times, 0.99), 1)
    results.append(
        Result("public search", worst, "ms p99", SEARCH_AIM_MS, "lower", beside, "all kinds together, as pages")
    )
    await _checked(connection)
    connection.close()
    await town.stop()
    return results


async def _pages(town: Town, connection: Connection, name: str, paths: list[str]) -> list[Result]:
    alone = await _one(town, connection, name, paths, PAGE_AIM_MS)
    connections = [await Connection.open(town.port("publication")) for _ in range(AT_ONCE)]
    asked = iter(list(islice(cycle(paths), 4 * REQUESTS)))

    async def reader(own: Connection) -> None:
        for path in asked:
            status, _ = await own.send(request("GET", path))
            check(f"status of {path}", status, 200)

    before, began = town.cpu(), time.perf_counter()
    await asyncio.gather(*(reader(own) for own in connections))
    seconds = time.perf_counter() - began
    after = town.cpu()
    spent = per(before, after, 4 * REQUESTS)
    for own in connections:
        own.close()
    rate = round(1000 / max(0.001, spent["publication"]))
    beside = {
        "CPU ms per request": spent,
        f"per second, {AT_ONCE} at once, on this machine": round(4 * REQUESTS / seconds),
    }
    return [
        alone,
        Result(
            f"{name}, per core of the service", rate, "/s", AIM_RATE, "higher", beside, "from the service's CPU time"
        ),
    ]


async def _one(town: Town, connection: Connection, name: str, paths: list[str], aim: float) -> Result:
    before = town.cpu()
    times = await _times(connection, paths, REQUESTS)
    spent = per(before, town.cpu(), REQUESTS)
    beside = {"p50 ms": round(percentile(times, 0.5), 1), "CPU ms per request": spent}
    return Result(name, round(percentile(times, 0.99), 1), "ms p99", aim, "lower", beside, "one request at a time")


async def _times(connection: Connection, paths: list[str], number: int) -> list[float]:
    times = []
    for path in islice(cycle(paths), number):
        began = time.perf_counter()
        status, _ = await connection.send(request("GET", path))
        times.append((time.perf_counter() - began) * 1000)
        check(f"status of {path}", status, 200)
    return times


async def _checked(connection: Connection) -> None:
    """See that what was measured found what there is."""

    async def asked(question: str) -> dict[str, Any]:
        _, body = await connection.send(request("GET", f"/public/letters.json?{question}"))
        found: dict[str, Any] = orjson.loads(body)
        return found

    check("letters with the rare word", (await asked(SEARCHES["rare word"]))["total"], -(-LETTERS // 2_000))
    number = await asked(SEARCHES["number"])
    check("the letter of a number", [item["number"] for item in number["items"]], ["YFX-2026-77"])
    check("letters without a match", (await asked(SEARCHES["no match"]))["items"], [])
    check_between("letters with a common word", (await asked(SEARCHES["common word"]))["total"], LETTERS // 100, 1_000)


def _memory(town: Town) -> float:
    return round(town.memory()["publication"])


async def _fill(town: Town) -> float:
    kit = Kit(town.settings)
    service = build(kit)
    for job in service.prepare:
        await job()
    began = time.perf_counter()
    letters = _letters(kit)
    while chosen := list(islice(letters, BATCH)):
        await write(service, ((letter.id, letter.facts()) for letter in chosen))
    kit.store.close()
    return time.perf_counter() - began


def _letters(kit: Kit) -> Iterator[Public]:
    """Make letters of the sentences of the sample: about 300 characters with the reply, each a little different."""
    random = Random(11)
    texts = samples()
    sentences = [part + "。" for text in texts for part in text["body"].split("。") if part]
    domains = [domain.code for domain in kit.directory.all_domains()]
    regions = [region.code for region in kit.directory.regions()]
    units = [box.code for box in kit.directory.mailboxes() if box.parent == "mayor"]
    natures = list(Nature)
    for serial in range(1, LETTERS + 1):
        at = START + timedelta(minutes=5 * serial)
        yield Public(
            serial,
            subject=random.choice(texts)["subject"],
            body="".join(random.sample(sentences, 4)) + (RARE if serial % 2_000 == 1 else ""),
            reply="您好！来信收悉。" + "".join(random.sample(sentences, 3)),
            nature=random.choice(natures),
            domain=random.choice(domains),
            region=random.choice(regions),
            mailbox=random.choice(units),
            received=at - timedelta(days=12),
            at=at,
        )
