"""How long a letter takes from POST until its mailbox can see it, at a rate that a city may have on a bad day."""

from typing import Any

from tests.bench.results import Result, check
from tests.bench.town import Town, per, tell

RATE = 100
SECONDS = 30.0
WARM_UP_SECONDS = 5.0
LOOK_EVERY_SECONDS = 0.04


async def measure(town: Town) -> list[Result]:
    """Offer `RATE` letters a second, whatever the answers; all five services are at work."""
    await town.start()
    warm = await offer(town, WARM_UP_SECONDS, 0)
    tell(f"delay: {RATE}/s for {SECONDS:.0f} s")
    before = town.cpu()
    report = await offer(town, SECONDS, warm["next"])
    spent = per(before, town.cpu(), report["accepted"], {"load": report["cpu_seconds"]})
    check("answers other than 202", {**warm["others"], **report["others"]}, {})
    check("letters told to mailboxes", report["topic"]["letters"], report["accepted"])
    check("letters stored", await town.count("intake"), warm["accepted"] + report["accepted"])
    looks = f"looked at every {LOOK_EVERY_SECONDS * 1000:.0f} ms, which the delay includes; the mayor's letters, about half of all"
    return [
        _result(report, "topic", "delay to the mailbox topic, p99", spent, ""),
        _result(report, "list", "delay to the mailbox list, p99", spent, looks),
    ]


def _result(report: dict[str, Any], kind: str, name: str, spent: dict[str, float], note: str) -> Result:
    found = report[kind]
    beside: dict[str, Any] = {
        "p50 ms": round(found["p50"], 1),
        "max ms": round(found["max"], 1),
        "letters": found["letters"],
        "answer to the POST, p50 and p99 ms": f"{report['answer']['p50']:.1f} and {report['answer']['p99']:.1f}",
    }
    if kind == "topic":
        beside["CPU ms per letter"] = spent
    return Result(
        name, found["p99"], "ms", 250, "lower", beside, note or f"offered: {RATE} letters/s for {SECONDS:.0f} s"
    )


async def offer(
    town: Town,
    seconds: float,
    first: int,
    rate: float = RATE,
    run: str = "delay",
    look_every: float = LOOK_EVERY_SECONDS,
) -> dict[str, Any]:
    """Offer letters at a rate, whatever the answers, and look at the mayor's list meanwhile; return the generator's report."""
    order = {
        "port": town.port("intake"),
        "run": run,
        "rate": rate,
        "seconds": seconds,
        "first": first,
        "look_every": look_every,
        "token": town.token("mayor-clerk", "mayor", "clerk"),
        "bootstrap": town.settings.kafka_bootstrap,
        "topics": [f"{town.namespace}mailbox.{mailbox.code}" for mailbox in town.directory.mailboxes()],
    }
    return await town.child("tests.bench.delay_load", order)
