"""An operator at the command line, on the engines of a test's own world."""

import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from deploy.ops.__main__ import serve
from services import NAMES
from services.__main__ import build
from services.application import application
from services.runtime import Service
from services.settings import Settings
from tests.conftest import World, eventually
from tests.intake_desk import LETTER
from tests.routing_desk import CLERK, DUTY, HEAD, SLIP, UNIT_CLERK, UNIT_HEAD


@dataclass
class Said:
    """What a run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


async def ops(world: World, *arguments: str | Path, settings: Settings | None = None) -> Said:
    """Run `python -m deploy.ops …` on a world."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stderr = sys.stderr, err
    try:
        status = await serve([str(argument) for argument in arguments], settings or world.settings, out)
    finally:
        sys.stderr = before
    return Said(status, out.getvalue(), err.getvalue())


NO_GROUND = {"state_secret": False, "trade_secret": False, "privacy": False, "highly_sensitive": False}


@asynccontextmanager
async def city(world: World) -> AsyncIterator[tuple[httpx.AsyncClient, list[Service]]]:
    """All five services."""
    services = [build(name, world.kit()) for name in NAMES]
    app = application(services, services[0].kit)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:

            async def ready() -> bool:
                return (await client.get("/health/ready")).status_code == 200

            await eventually(ready, 120)
            yield client, services


async def call(client: httpx.AsyncClient, world: World, method: str, path: str, who: Any, body: Any = None) -> Any:
    """Do something over HTTP, again where the service says to come back; what is answered."""

    async def asked() -> httpx.Response | None:
        found = await client.request(method, path, json=body, headers=world.token(*who))
        return None if found.status_code == 503 else found

    answer: httpx.Response = await eventually(asked, 120)
    assert answer.status_code in {200, 201}, (path, answer.text)
    return answer.json()


async def unread(client: httpx.AsyncClient, world: World) -> list[str]:
    """Ids of letters in the mayor's mailbox that are being screened."""
    found = await call(client, world, "GET", "/intake/mailboxes/mayor/letters?limit=200", CLERK)
    return [row["letter_id"] for row in found["items"]]


async def received(client: httpx.AsyncClient, world: World, **changes: Any) -> tuple[str, str]:
    """A letter that has arrived: its id and receipt."""
    before = set(await unread(client, world))
    headers = {"Idempotency-Key": str(uuid4())}

    async def taken() -> str | None:
        answer = await client.post("/intake/letters", json={**LETTER, **changes}, headers=headers)
        assert answer.status_code in {202, 503}, answer.text
        return str(answer.json()["receipt"]) if answer.status_code == 202 else None

    receipt: str = await eventually(taken, 120)

    async def new() -> str | None:
        return next((one for one in await unread(client, world) if one not in before), None)

    return await eventually(new, 120), receipt


async def registered(client: httpx.AsyncClient, world: World, letter_id: str) -> str:
    """Register a letter; its number, once routing has it."""
    found = await call(client, world, "POST", f"/intake/letters/{letter_id}/register", CLERK)

    async def known() -> bool:
        answer = await client.get(f"/routing/letters/{letter_id}", headers=world.token(*DUTY))
        return answer.status_code == 200 and answer.json()["number"] is not None

    await eventually(known, 120)
    return str(found["number"])


async def answered(client: httpx.AsyncClient, world: World, letter_id: str) -> None:
    """A registered letter is handed to a unit, which answers it; publication has its case."""
    post = partial(call, client, world, "POST")
    letter = f"/routing/letters/{letter_id}"
    await post(f"{letter}/slips", CLERK, SLIP)
    await post(f"{letter}/slips/s1/approve", HEAD)
    await post(f"{letter}/handoffs/s1/collect", UNIT_CLERK)
    await post(f"{letter}/handoffs/s1/replies", UNIT_CLERK, {"text": "路灯已修复。"})
    await post(f"{letter}/handoffs/s1/replies/r1/approve", UNIT_HEAD)

    async def opened() -> bool:
        answer = await client.get(f"/publication/cases/{letter_id}", headers=world.token(*UNIT_CLERK))
        return answer.status_code == 200 and bool(answer.json()["status"] == "to-prepare")

    await eventually(opened, 120)


async def corrected(client: httpx.AsyncClient, world: World, letter_id: str) -> None:
    """A correction of what the public reads waits for approval."""
    text = {"subject": "路灯不亮", "body": "路灯坏了一个月。", "reply": "已修复。", **NO_GROUND}
    await call(client, world, "POST", f"/publication/cases/{letter_id}/prepare", UNIT_CLERK, text)


async def published(client: httpx.AsyncClient, world: World, letter_id: str) -> None:
    """What the public may read of an answered letter is approved."""
    case = f"/publication/cases/{letter_id}"
    text = {"subject": "路灯不亮", "body": "路灯坏了半个多月。", "reply": "已修复。", **NO_GROUND}
    prepared = (await call(client, world, "POST", f"{case}/prepare", UNIT_CLERK, text))["prepared"]
    await call(client, world, "POST", f"{case}/approve", UNIT_HEAD, {"text_hash": prepared["text_hash"]})
