"""Ten times the sustained rate for a minute, over a million stored letters: what is refused, what is lost, how soon all is as before."""

import os
import time
from typing import Any

from tests.bench import delay, stock
from tests.bench.records import Records
from tests.bench.results import Result, check, check_between
from tests.bench.sustained import ARRIVED, everywhere
from tests.bench.town import Town, tell

LETTERS = int(os.environ.get("BENCH_SPIKE_LETTERS", "1000000"))
OPEN = 10_000
"""Of so many letters a fifth is under way; all others are finished."""
SUSTAINED = float(os.environ.get("BENCH_SPIKE_SUSTAINED", "320"))
"""Letters a second that this machine takes on and on, as `ONLY=sustained` measures it; the default is the most that any took."""
TIMES, SECONDS, CONNECTIONS = 10, 60.0, 512
PROBE_RATE, PROBE_SECONDS = 5.0, 4.0
CALM_RATE, CALM_SECONDS = 20.0, 20.0
AIM_SECONDS = 30.0
LONGEST_SECONDS = 300.0
REFUSALS = {"429", "503"}


async def measure(town: Town) -> list[Result]:
    """Fill the store, see what is normal, rush, then look every few seconds whether it is normal again."""
    town.keep_search()
    await stock.fill(town, LETTERS, open_below=OPEN)
    tell(f"spike: {LETTERS:,} letters stored")
    await town.start()
    tell(f"spike: settled after {await town.settle():.0f} s")
    async with Records(town) as records:
        calm = await delay.offer(town, CALM_SECONDS, 0, CALM_RATE, "calm")
        normal = calm["topic"]["p99"]
        tell(f"spike: normal delay p99 {normal:.0f} ms; {TIMES} times {SUSTAINED:.0f}/s for {SECONDS:.0f} s")
        report = await _rush(town)
        ended = time.perf_counter()
        back, looks = await _until_normal(town, normal, ended)
        sent = await records.number("submissions")
        await everywhere(town, records, sent)
        drained = time.perf_counter() - ended
        probes = calm["accepted"] + sum(look["accepted"] for look in looks)
        refused = sum(report["others"].values())
        check_between(
            "letters on submissions", sent, probes + report["accepted"], probes + report["accepted"] + refused
        )
        told = await records.distinct(*records.mailboxes, of_type=ARRIVED)
        check("letters told to mailboxes", len(told), sent)
        check("letters stored", await town.count("intake"), LETTERS + sent)
    errors = {what: number for what, number in report["others"].items() if what not in REFUSALS}
    check("answers other than 202, 429 and 503 with Retry-After", errors, {})
    beside: dict[str, Any] = {
        "due": report["due"],
        "sent": report["sent"],
        "accepted": report["accepted"],
        "accepted/s": round(report["accepted"] / report["seconds"], 1),
        "refused": report["others"],
        "lost": sent - len(told),
        "answer p50 and p99 ms": f"{report['p50_ms']:.0f} and {report['p99_ms']:.0f}",
        "normal delay p99 ms": round(normal),
        "looks until then": len(looks),
        "until every service had every letter, s": round(drained, 1),
    }
    note = "normal: all letters of a look within twice the delay's p99 before; what is not sent has found no free connection"
    return [Result("back to normal after a spike", back, "s", AIM_SECONDS, "lower", beside, note)]


async def _rush(town: Town) -> dict[str, Any]:
    order = {
        "port": town.port("intake"),
        "run": "spike",
        "rate": SUSTAINED * TIMES,
        "connections": CONNECTIONS,
        "seconds": SECONDS,
        "first": 0,
    }
    return await town.child("tests.bench.spike_load", order)


async def _until_normal(town: Town, normal: float, ended: float) -> tuple[float, list[dict[str, Any]]]:
    """Send a few letters again and again until their delay is as it was; return after how many seconds these were sent, and all looks."""
    looks: list[dict[str, Any]] = []
    while True:
        began = time.perf_counter() - ended
        first = looks[-1]["next"] if looks else 0
        look = await delay.offer(town, PROBE_SECONDS, first, PROBE_RATE, "probe")
        looks.append(look)
        seen_all = look["topic"]["letters"] == look["accepted"] and not look["others"]
        if seen_all and look["topic"]["max"] <= 2 * normal:
            return began, looks
        if began > LONGEST_SECONDS:
            return began, looks
