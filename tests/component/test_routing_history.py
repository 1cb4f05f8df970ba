"""The history of a letter on real engines: complete, chained, checked against the record, and read by whom it concerns (R10.1, R10.2)."""

import os

from tests.conftest import World, eventually
from tests.routing_desk import DUTY, Desk, desk_of


async def whole(desk: Desk, letter_id: str, who=DUTY, count: int = 1):
    async def there():
        answer = await desk.get(f"letters/{letter_id}/history?limit=200", who)
        assert answer.status_code == 200, answer.text
        items = answer.json()["items"]
        return items if len(items) >= count else None

    return await eventually(there)


async def test_r10_1_smoke(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        items = await whole(desk, letter_id, DUTY, 4)
        import asyncio

        for args in (["show", letter_id], ["verify", letter_id], ["verify", "--all"], ["verify", "nope"]):
            p = await asyncio.create_subprocess_exec(
                ".venv/bin/python", "-m", "deploy.history", *args, env=os.environ | world.environment()
            )
            print(await p.wait())
