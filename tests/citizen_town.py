"""A town whose citizens use the pages: intake on a clock for floods that only tests move."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.engines import Engines
from services.intake.app import build
from services.runtime import Service
from tests.citizen_pages import FILLED, Shown, Visitor
from tests.conftest import World, eventually, new_world

DUTY = ("mayor-duty", "mayor", "duty_officer", "clerk")


@dataclass
class Town:
    """Intake on a clock for floods that only tests move, and who visits it."""

    world: World
    client: httpx.AsyncClient
    service: Service
    seconds: list[float]
    _homes: int = 0
    seen: set[str] = field(default_factory=set)

    def visitor(self) -> Visitor:
        """A browser at an address of its own."""
        self._homes += 1
        client = httpx.AsyncClient(
            transport=self.client._transport,
            base_url="http://city.test",
            headers={"X-Forwarded-For": f"10.1.{self._homes // 250}.{self._homes % 250 + 1}"},
        )
        return Visitor(client)

    def later(self, seconds: float) -> None:
        """Let real time pass."""
        self.seconds[0] += seconds

    async def written(self, visitor: Visitor, typed: dict[str, str] | None = None) -> Shown:
        """A letter that is filled in as people do, who need longer than programs, and stands on the page where it is checked."""
        empty = await visitor.open("/write")
        self.later(60)
        return await visitor.press(empty, "check", FILLED | (typed or {}))

    async def new_letters(self, count: int = 1, mailbox: str = "mayor") -> list[dict[str, Any]]:
        """The letters that came since this was asked last, once there are so many."""
        staff = self.world.token(*DUTY)

        async def enough() -> list[dict[str, Any]]:
            found = []
            for code in {mailbox, "mayor"}:
                answer = await self.client.get(f"/intake/mailboxes/{code}/letters?limit=200", headers=staff)
                found += answer.json()["items"]
            new = [one for one in found if one["letter_id"] not in self.seen]
            assert len(new) <= count, new
            return new if len(new) == count else []

        rows = await eventually(enough)
        self.seen |= {row["letter_id"] for row in rows}
        staff = self.world.token(*DUTY)
        return [(await self.client.get(f"/intake/letters/{row['letter_id']}", headers=staff)).json() for row in rows]


@asynccontextmanager
async def opened(engines: Engines, keys: Path, folder: Path, **settings: Any) -> AsyncIterator[Town]:
    """A town for a whole file of tests; every story has its own visitors."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JWKS_FILE", str(keys / "jwks.json"))
        async with new_world(engines.urls(), keys, folder) as world:
            seconds = [1_900_000_000.0]
            service = build(world.kit(trusted_proxies=1, **settings), lambda: seconds[0])
            async with world.running(service) as client:
                yield Town(world, client, service, seconds)
