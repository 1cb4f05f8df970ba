"""A flood of letters from one address, as fast as the machine can, at a real server: who floods waits, and nobody else notices."""

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from services.intake.app import build
from tests.browser import origin
from tests.conftest import World, eventually
from tests.intake_desk import LETTER

LIMIT: Final = 20
LINES: Final = 50
EACH: Final = 200
"""Letters that a line writes at once: ten thousand with all lines, offered within about a second."""
MOST_MEGABYTES: Final = 100


async def test_flood_ten_thousand_letters_of_one_address_at_once_keep_no_other_out_and_lose_none(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    service = build(world.kit(portal_limit=f"{LIMIT}/36000"))
    async with world.running(service) as client, origin(client) as base:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        flooding = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.flooding", str(urlsplit(base).port), str(LINES), str(EACH)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        told = asyncio.create_task(flooding.communicate(json.dumps(LETTER).encode()))
        honest = 0
        neighbours = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(transport=neighbours, base_url=base, timeout=30) as neighbour:
            while not told.done():
                if honest < LIMIT:
                    sent = await neighbour.post(
                        "/intake/letters", json=LETTER, headers={"Idempotency-Key": str(uuid4())}
                    )
                    assert sent.status_code == 202, sent.text
                    honest += 1
                await asyncio.sleep(0.05)
        flood: dict[str, Any] = json.loads((await told)[0])
        for name in ("offered", "answered"):
            rate = round(LINES * EACH / flood[f"{name}_seconds"])
            record_property(f"{name}_per_second", rate)
            print(f"{LINES * EACH} letters, {flood['bytes']} bytes: {name} {rate} a second")
        assert (flood["statuses"], flood["cut"]) == ({"202": LIMIT, "429": LINES * EACH - LIMIT}, 0)
        assert flood["unexplained"] == 0, "each refusal says when to come back"
        assert honest >= 3
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        print(f"{honest} letters of a neighbour meanwhile; {grown} MB more memory")
        assert grown < MOST_MEGABYTES

        async def all_there() -> bool:
            stored = [str(one) async for one in service.letters.aggregates.collection.find({})]
            assert len(stored) == LIMIT + honest
            return [sum(subject in one for one in stored) for subject in flood["accepted"]] == [1] * LIMIT

        await eventually(all_there)
