"""Intake on real engines: the front door, screening, the register."""

from typing import Any
from uuid import uuid4

from httpx import AsyncClient

from services.intake.app import build
from shared.contracts.facts import LetterReceived, LetterRegistered
from shared.contracts.mailbox import LetterArrived
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


async def test_r2_2_a_letter_is_received_read_and_registered(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt = (await submit(client))["receipt"]
        rows = await eventually(lambda: unread(client, world))
        letter_id = rows[0]["letter_id"]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        read = await client.post(f"/intake/letters/{letter_id}/read", headers=clerk)
        assert read.json()["stage"] == "read"
        registered = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk)
        assert registered.json()["number"] == "渝府信〔2026〕1号"
        standing = await client.get(f"/intake/receipts/{receipt}")
        assert standing.json()["number"] == "渝府信〔2026〕1号"
        assert standing.json()["state"] == "已登记，拟办中"

        async def published() -> bool:
            return any(isinstance(f, LetterRegistered) for f in await world.facts_of(letter_id))

        await eventually(published)
        told = await world.messages("mailbox.mayor")
        assert [type(message) for message in told] == [LetterArrived]
        assert isinstance((await world.facts_of(letter_id))[0], LetterReceived)
