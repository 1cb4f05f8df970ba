"""All services of a city behind one client, and its duty office, which changes the directory (R1.1)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from services.intake.app import build as intake
from services.routing.app import build as routing
from services.runtime import Service
from tests.conftest import World, eventually
from tests.intake_desk import LETTER
from tests.routing_desk import DUTY, Desk, staff

DIRECTORY = "/routing/directory"
MAILBOXES = f"{DIRECTORY}/mailboxes"
ENTRY: dict[str, Any] = {
    "code": "east-lake",
    "name": "东湖新区管理委员会",
    "short_name": "东湖新区",
    "kind": "department_of_government",
    "parent": "mayor",
    "prefix": {"chinese": "渝东信", "ascii": "YDHX"},
    "responsible_department": "管委会办公室",
    "leader": {"name": "戊主任", "subject": "east-lake-leader"},
    "staff": [
        {"name": "戊经办", "subject": "east-lake-clerk", "roles": ["clerk"]},
        {"name": "戊负责", "subject": "east-lake-head", "roles": ["head"]},
    ],
}


@dataclass
class Hall:
    """All services of a city, and its duty office."""

    desk: Desk
    services: list[Service]

    @property
    def world(self) -> World:
        return self.desk.world

    @property
    def client(self) -> httpx.AsyncClient:
        return self.desk.client

    async def version(self) -> str:
        return (await self.client.get(DIRECTORY, headers=self.world.token(*DUTY))).headers["etag"]

    async def adds(self, **changes: Any) -> httpx.Response:
        body = {"entry": {**ENTRY, **changes}, "reason": "新设机构"}
        return await self.client.post(MAILBOXES, json=body, headers=self.world.token(*DUTY))

    async def changes(self, code: str, if_match: str | None = None, /, **entry: Any) -> httpx.Response:
        headers = {**self.world.token(*DUTY), "If-Match": if_match or await self.version()}
        return await self.client.patch(
            f"{MAILBOXES}/{code}", json={"entry": entry, "reason": "机构调整"}, headers=headers
        )

    async def closes(self, code: str, successor: str | None = None) -> dict[str, Any]:
        headers = {**self.world.token(*DUTY), "If-Match": await self.version()}
        body = {"successor": successor, "reason": "机构合并"}
        answer = await self.client.post(f"{MAILBOXES}/{code}/close", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        await self.all_know(answer.json()["version"])
        return answer.json()  # type: ignore[no-any-return]

    async def all_know(self, version: int) -> None:
        """Wait until every process has the change."""

        async def known() -> bool:
            return all(service.kit.directory.version >= version for service in self.services)

        await eventually(known)

    async def submits(self, mailbox: str, **changes: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid4())}
        return await self.client.post(
            "/intake/letters", json={**LETTER, "mailbox": mailbox, **changes}, headers=headers
        )

    async def unread(self, mailbox: str) -> list[str]:
        """Ids of letters that a mailbox's clerk has to read."""
        path = f"/intake/mailboxes/{mailbox}/letters"
        answer = await self.client.get(path, headers=self.world.token(*staff(mailbox)))
        assert answer.status_code == 200, answer.text
        return [row["letter_id"] for row in answer.json()["items"]]

    async def received(self, mailbox: str, **changes: Any) -> str:
        """Submit a letter; its id once the mailbox's clerk sees it."""
        before = set(await self.unread(mailbox))
        assert (await self.submits(mailbox, **changes)).status_code == 202

        async def new() -> str | None:
            return next((one for one in await self.unread(mailbox) if one not in before), None)

        return await eventually(new)  # type: ignore[no-any-return]

    async def registered(self, mailbox: str, letter_id: str, by: str | None = None) -> str:
        """Register a letter; its number once routing has it."""
        clerk = staff(by or mailbox)
        answer = await self.client.post(f"/intake/letters/{letter_id}/register", headers=self.world.token(*clerk))
        assert answer.status_code == 200, answer.text

        async def known() -> bool:
            found = await self.desk.get(f"letters/{letter_id}", DUTY)
            return found.status_code == 200 and found.json()["number"] is not None

        await eventually(known)
        return answer.json()["number"]  # type: ignore[no-any-return]

    async def listed(self, mailbox: str, name: str) -> list[str]:
        answer = await self.desk.get(f"mailboxes/{mailbox}/letters?list={name}", staff(mailbox))
        assert answer.status_code == 200, answer.text
        return [row["letter_id"] for row in answer.json()["items"]]


@asynccontextmanager
async def hall_of(world: World, *builders: Any) -> AsyncIterator[Hall]:
    """Services in processes of their own, as far as they can tell."""
    services = [build(world.kit()) for build in builders or (routing, intake)]
    async with world.running(*services) as client:
        yield Hall(Desk(world, client, services[0]), services)


def wrong(answer: httpx.Response) -> set[tuple[str, str]]:
    """The fields and rules of a refusal."""
    assert answer.status_code == 422, answer.text
    return {(error["field"], error["rule"]) for error in answer.json()["errors"]}


async def finished(hall: Hall, letter_id: str) -> bool:
    return bool((await hall.desk.get(f"letters/{letter_id}", DUTY)).json()["stage"] == "finished")


async def at_version(hall: Hall, version: str) -> bool:
    return await hall.version() == version
