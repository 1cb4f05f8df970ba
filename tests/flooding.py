"""A flood from one address: `python -m tests.flooding PORT LINES EACH < letter.json`, a process of its own, so that it has its own core.

All requests are made beforehand; then each of the lines writes all of its own at once, whoever answers, and reads the answers. Each letter
has a subject of its own and says that it was passed on for another address. Prints one JSON object: see `Flood`. Standard library only.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4


@dataclass
class Flood:
    """What became of a flood."""

    statuses: dict[int, int] = field(default_factory=dict)
    """Status → how many answers."""
    cut: int = 0
    """Connections that ended before all their answers had come."""
    unexplained: int = 0
    """Refusals (429, 503) that do not say when to come back."""
    accepted: list[str] = field(default_factory=list)
    """The subjects of the letters that were answered with 202."""
    bytes: int = 0
    offered_seconds: float = 0.0
    """Until the last request was handed to the system."""
    answered_seconds: float = 0.0
    """Until the last answer was read."""


def request(letter: dict[str, Any], subject: str) -> bytes:
    """A letter as it goes over the wire."""
    body = json.dumps({**letter, "subject": subject}).encode()
    return (
        f"POST /intake/letters HTTP/1.1\r\nHost: city.test\r\nContent-Type: application/json\r\nIdempotency-Key: {uuid4()}\r\n"
        f"X-Forwarded-For: 198.51.100.{uuid4().int % 250}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def line(port: int, subjects: list[str], sent: bytes, flood: Flood, began: float) -> None:
    """One connection: write everything, read every answer; they come in the order of the requests."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.set_write_buffer_limits(0)

    async def offered() -> None:
        writer.write(sent)
        await writer.drain()
        flood.offered_seconds = max(flood.offered_seconds, time.monotonic() - began)

    async def answers() -> None:
        for subject in subjects:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split(b" ", 2)[1])
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            flood.statuses[status] = flood.statuses.get(status, 0) + 1
            flood.unexplained += status in {429, 503} and b"retry-after: " not in head
            if status == 202:
                flood.accepted.append(subject)

    try:
        await asyncio.gather(offered(), answers())
    except (ConnectionError, asyncio.IncompleteReadError):
        flood.cut += 1
    writer.close()


async def main(port: int, lines: int, each: int, letter: dict[str, Any]) -> Flood:
    """Make the requests, then let all lines go at once."""
    flood = Flood()
    subjects = [[f"来信{uuid4().hex[:12]}" for _ in range(each)] for _ in range(lines)]
    sent = [b"".join(request(letter, subject) for subject in of_line) for of_line in subjects]
    flood.bytes = sum(map(len, sent))
    began = time.monotonic()
    await asyncio.gather(*(line(port, *pair, flood, began) for pair in zip(subjects, sent, strict=True)))
    flood.answered_seconds = time.monotonic() - began
    return flood


if __name__ == "__main__":
    where, how_many, of_each = (int(argument) for argument in sys.argv[1:])
    print(json.dumps(asdict(asyncio.run(main(where, how_many, of_each, json.load(sys.stdin))))))
