"""Far more letters than the machine can take, for a minute; a process of its own that takes an order and gives a report.

Letters are due at the order's rate. Each connection sends the next that is due; what could not be sent by the end was never offered, and is
counted so. A letter that was refused with 429 or 503 is not sent again: its sender was told when to come back.
"""

import asyncio
import sys
import time
from collections import Counter
from typing import Any

import orjson
import uvloop

from tests.bench.client import Pool
from tests.bench.load import used
from tests.bench.mail import Mail
from tests.bench.results import percentile


async def rush(order: dict[str, Any]) -> dict[str, Any]:
    """Send letters that fall due at `rate` a second for `seconds` over `connections`; return what was answered."""
    mail, pool = Mail(order["run"]), Pool(order["port"], order["connections"])
    answers: Counter[str] = Counter()
    latencies: list[float] = []
    began = time.perf_counter()
    end = began + order["seconds"]
    sent = 0

    async def worker() -> None:
        nonlocal sent
        while (now := time.perf_counter()) < end:
            due = began + sent / order["rate"]
            if due > now:
                await asyncio.sleep(due - now)
                continue
            serial, sent = order["first"] + sent, sent + 1
            try:
                async with pool.connection() as connection:
                    status, _ = await connection.send(mail.request(serial))
                    told = b"\r\nretry-after:" in connection.head
            except OSError:
                answers["no answer"] += 1
                await asyncio.sleep(0.1)
                continue
            latencies.append(time.perf_counter() - now)
            answers[str(status) if status == 202 or told else f"{status} without Retry-After"] += 1

    await asyncio.gather(*(worker() for _ in range(order["connections"])))
    return {
        "sent": sent,
        "due": int(order["rate"] * order["seconds"]),
        "accepted": answers.pop("202", 0),
        "others": dict(answers),
        "seconds": time.perf_counter() - began,
        "next": order["first"] + sent,
        "p50_ms": percentile(latencies, 0.5) * 1000,
        "p99_ms": percentile(latencies, 0.99) * 1000,
        "cpu_seconds": used(),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(rush(orjson.loads(sys.stdin.buffer.read())))))
