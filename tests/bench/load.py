"""The load generator at the front door, a process of its own: `python -m tests.bench.load` takes an order and gives a report, both JSON.

*Closed*: each of some connections sends its next letter when the last one was answered.
"""

import asyncio
import itertools
import resource
import sys
import time
from collections import Counter
from typing import Any

import orjson
import uvloop

from tests.bench.client import Connection
from tests.bench.mail import Mail
from tests.bench.results import percentile

PAUSE_AFTER_REFUSAL = 0.2


async def closed(order: dict[str, Any]) -> dict[str, Any]:
    """Send letters over `connections` for `seconds`, serials from `first` on; return what was answered and how fast."""
    mail = Mail(order["run"])
    serials = itertools.count(order["first"])
    connections = [await Connection.open(order["port"]) for _ in range(order["connections"])]
    answers: Counter[int] = Counter()
    latencies: list[float] = []
    began = time.perf_counter()
    end = began + order["seconds"]

    async def worker(connection: Connection) -> None:
        while (sent := time.perf_counter()) < end:
            status, _ = await connection.send(mail.request(next(serials)))
            answers[status] += 1
            latencies.append(time.perf_counter() - sent)
            if status != 202:
                await asyncio.sleep(PAUSE_AFTER_REFUSAL)

    await asyncio.gather(*(worker(connection) for connection in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return {
        "accepted": answers.pop(202, 0),
        "others": {str(status): number for status, number in answers.items()},
        "seconds": seconds,
        "next": next(serials),
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "cpu_seconds": used(),
    }


def used() -> float:
    """Return the CPU seconds that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Take the order from standard input, write the report to standard output."""
    order = orjson.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(closed(order))))


if __name__ == "__main__":
    main()
