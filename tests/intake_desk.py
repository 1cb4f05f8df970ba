"""Intake as its users see it: citizens who submit, clerks who find letters in their lists."""

from typing import Any
from uuid import uuid4

from httpx import AsyncClient

from tests.conftest import World, eventually

LETTER: dict[str, Any] = {
    "mailbox": "mayor",
    "subject": "小区门口路灯不亮",
    "body": "我们小区门口的路灯坏了半个多月，晚上老人孩子出行很不安全，希望尽快修好。",
    "sender": {"name": "李明", "phone": "13800138000"},
    "nature": "help",
    "domain": "utilities-power",
    "region": "500103",
    "may_publish": True,
}


async def submit(client: AsyncClient, key: str | None = None, **changes: Any) -> dict[str, Any]:
    answer = await client.post(
        "/intake/letters", json={**LETTER, **changes}, headers={"Idempotency-Key": key or str(uuid4())}
    )
    assert answer.status_code == 202, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def unread(client: AsyncClient, world: World, mailbox: str = "mayor") -> list[dict[str, Any]]:
    answer = await client.get(
        f"/intake/mailboxes/{mailbox}/letters", headers=world.token(f"{mailbox}-clerk", mailbox, "clerk")
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


async def arrived(client: AsyncClient, world: World, count: int = 1, mailbox: str = "mayor") -> list[str]:
    """The ids of unread letters, once there are `count`."""

    async def enough() -> list[str]:
        rows = await unread(client, world, mailbox)
        return [row["letter_id"] for row in rows] if len(rows) == count else []

    return await eventually(enough)  # type: ignore[no-any-return]
