"""Requests that are given, sent as fast as some clients get their answers; a process of its own that takes an order and gives a report."""

import asyncio
import sys
import time
from collections import Counter
from typing import Any

import orjson
import uvloop

from tests.bench.client import Connection, request
from tests.bench.load import used
from tests.bench.results import percentile


async def sent(order: dict[str, Any]) -> dict[str, Any]:
    """Send each of `requests` ([method, path, body]) once with the `token`, `in_flight` at a time; return what came of it."""
    headers = {"authorization": f"Bearer {order['token']}"}
    ready = iter([request(method, path, body, headers) for method, path, body in order["requests"]])
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    wrong = ""
    connections = [await Connection.open(order["port"]) for _ in range(order["in_flight"])]
    before = used()
    began = time.perf_counter()

    async def worker(connection: Connection) -> None:
        nonlocal wrong
        for content in ready:
            start = time.perf_counter()
            status, answer = await connection.send(content)
            latencies.append(time.perf_counter() - start)
            statuses[status] += 1
            if status != 200 and not wrong:
                wrong = answer[:500].decode(errors="replace")

    await asyncio.gather(*(worker(connection) for connection in connections))
    seconds = time.perf_counter() - began
    for connection in connections:
        connection.close()
    return {
        "seconds": seconds,
        "statuses": {str(status): number for status, number in statuses.items()},
        "wrong": wrong,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "cpu_seconds": used() - before,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(sent(orjson.loads(sys.stdin.buffer.read())))))
