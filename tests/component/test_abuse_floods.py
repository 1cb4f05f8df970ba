"""A flood of letters from one address, as fast as the machine can, at a real server: who floods waits, and nobody else notices."""

import asyncio
import json
import resource
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from services.intake.app import build
from tests.browser import origin
from tests.conftest import World, eventually
from tests.intake_desk import LETTER

LIMIT: Final = 20
LINES: Final = 16
AT_ONCE: Final = 25
"""Letters that a line sends before it reads an answer."""
ROUNDS: Final = 8
MOST_MEGABYTES: Final = 80


def letters(count: int) -> Iterator[bytes]:
    """Letters as requests, each saying that it comes from elsewhere."""
    for _ in range(count):
        body = json.dumps({**LETTER, "subject": f"来信{uuid4().hex[:8]}"}).encode()
        yield (
            f"POST /intake/letters HTTP/1.1\r\nHost: city.test\r\nContent-Type: application/json\r\nIdempotency-Key: {uuid4()}\r\n"
            f"X-Forwarded-For: 198.51.100.{uuid4().int % 250}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body


async def flood(port: int, counted: Counter[int]) -> None:
    """Send without pause; count the statuses of the answers, and how many of the refusals say when to come back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(ROUNDS):
        writer.write(b"".join(letters(AT_ONCE)))
        for _ in range(AT_ONCE):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            status = int(head.split(b" ", 2)[1])
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            counted[status] += 1
            if status == 429 and b"retry-after: " not in head:
                counted[-1] += 1
    writer.close()


async def test_flood_letters_of_one_address_as_fast_as_they_come_keep_no_other_out_and_lose_none(world: World) -> None:
    service = build(world.kit(portal_limit=f"{LIMIT}/600"))
    async with world.running(service) as client, origin(client) as base:
        port = urlsplit(base).port
        assert port is not None
        counted: Counter[int] = Counter()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        lines = [asyncio.create_task(flood(port, counted)) for _ in range(LINES)]
        honest = 0
        neighbours = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(transport=neighbours, base_url=base, timeout=30) as neighbour:
            while not all(line.done() for line in lines):
                if honest < LIMIT:
                    sent = await neighbour.post(
                        "/intake/letters", json=LETTER, headers={"Idempotency-Key": str(uuid4())}
                    )
                    assert sent.status_code == 202, sent.text
                    honest += 1
                await asyncio.sleep(0.05)
        await asyncio.gather(*lines)
        assert counted == {202: LIMIT, 429: LINES * AT_ONCE * ROUNDS - LIMIT}, "and each refusal says when to come back"
        assert honest >= 3
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        assert grown < MOST_MEGABYTES

        async def all_there() -> bool:
            stored = await service.letters.aggregates.collection.count_documents({})
            assert stored == LIMIT + honest
            return True

        await eventually(all_there)
