"""Letters at a fixed rate, whatever the answers, and when each became visible; a process of its own that takes an order and gives a report.

A delay counts from the moment at which the letter was to be sent, so that a stall is not hidden by sending later.
"""

import asyncio
import contextlib
import itertools
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
import uvloop

from tests.bench.client import Pool, request
from tests.bench.load import used
from tests.bench.mail import Mail, serial_of
from tests.bench.results import percentile
from tests.bench.town import until
from tests.bench.watch import Watch

CONNECTIONS = 64
LIST = "/intake/mailboxes/mayor/letters?order=newest&limit=40"
LAST_SECONDS = 15.0
_SERIAL = re.compile("（([0-9]{7})）".encode())


class Delays:
    """When each letter was sent, told, and seen in the mayor's list."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._mail = Mail(order["run"])
        self._pool = Pool(order["port"], CONNECTIONS)
        self.sent: dict[int, float] = {}
        self.answered: dict[int, float] = {}
        self.told: dict[int, float] = {}
        self.listed: dict[int, float] = {}
        self.mayors: set[int] = set()
        self.statuses: Counter[int | str] = Counter()

    def heard(self, kind: str, _letter_id: str, message: dict[str, Any], at: float) -> None:
        """Note a letter that arrived on a mailbox topic."""
        if kind == "LetterArrived":
            serial = serial_of(message["subject"])
            self.told.setdefault(serial, at)
            if message["mailbox"] == "mayor":
                self.mayors.add(serial)

    async def offer(self, seconds: float) -> None:
        """Send at the order's rate."""
        rate, first = self._order["rate"], self._order["first"]
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._post(first + number, due))

    async def _post(self, serial: int, due: float) -> None:
        self.sent[serial] = due
        try:
            status, _ = await self._pool.send(self._mail.request(serial))
        except ConnectionError as error:  # told in the report: hours of measuring are not thrown away for it
            self.statuses[type(error).__name__] += 1
            return
        self.statuses[status] += 1
        self.answered[serial] = time.perf_counter()

    async def look(self) -> None:
        """Look at the mayor's list again and again."""
        ask = request("GET", LIST, headers={"authorization": f"Bearer {self._order['token']}"})
        while True:
            asked = time.perf_counter()
            status, body = await self._pool.send(ask)
            now = time.perf_counter()
            if status == 200:
                for serial in _SERIAL.findall(body):
                    self.listed.setdefault(int(serial), now)
            await asyncio.sleep(max(0.0, asked + self._order["look_every"] - now))

    async def finish(self) -> None:
        """Wait for what is under way."""

        async def seen() -> bool:
            return self.told.keys() >= self.sent.keys() and self.listed.keys() >= self.mayors

        with contextlib.suppress(TimeoutError):
            await until(seen, LAST_SECONDS)


async def offered(order: dict[str, Any]) -> dict[str, Any]:
    """Send letters at `rate` a second for `seconds`; return the delays in milliseconds."""
    delays = Delays(order)
    async with Watch(order["bootstrap"], order["topics"], delays.heard):
        looking = asyncio.create_task(delays.look())
        await delays.offer(order["seconds"])
        await delays.finish()
        looking.cancel()
    return {
        "accepted": delays.statuses.pop(202, 0),
        "others": {str(status): number for status, number in delays.statuses.items()},
        "next": order["first"] + len(delays.sent),
        "answer": _summary(delays.answered[s] - delays.sent[s] for s in delays.answered),
        "topic": _summary(delays.told[s] - delays.sent[s] for s in delays.told if s in delays.sent),
        "list": _summary(delays.listed[s] - delays.sent[s] for s in delays.listed if s in delays.sent),
        "cpu_seconds": used(),
    }


def _summary(seconds: Any) -> dict[str, float]:
    found: Sequence[float] = list(itertools.chain(seconds))
    return {
        "letters": len(found),
        "p50": percentile(found, 0.5) * 1000,
        "p99": percentile(found, 0.99) * 1000,
        "max": max(found, default=0.0) * 1000,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(offered(orjson.loads(sys.stdin.buffer.read())))))
