"""Intake's lists on a real store: what they leave out."""

from services.intake.app import build
from tests.conftest import World, eventually
from tests.intake_desk import LETTER, arrived, submit, unread


async def test_r10_2_a_letter_that_a_correction_made_a_report_about_its_mailbox_leaves_that_mailboxs_list(
    world: World,
) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client, mailbox="water")
        await submit(client, mailbox="water", subject="水压不足的问题")
        both = await arrived(client, world, 2, "water")
        duty = world.token("mayor-duty", "mayor", "duty_officer", "clerk")
        corrected = {name: LETTER[name] for name in ("domain", "region")}
        answer = await client.put(
            f"/intake/letters/{both[0]}/classification",
            json={**corrected, "nature": "report", "reported_mailbox": "water"},
            headers=duty,
        )
        assert answer.status_code == 200, answer.text
        water = world.token("water-clerk", "water", "clerk")

        async def listed(headers: dict[str, str], mailbox: str = "water") -> list[str]:
            found = await client.get(f"/intake/mailboxes/{mailbox}/letters?stage=read", headers=headers)
            return [row["letter_id"] for row in found.json()["items"]]

        async def there() -> bool:
            return await listed(duty, "mayor") == [both[0]]

        await eventually(there)
        assert await listed(water) == []
        assert await listed(duty) == []
        assert [row["letter_id"] for row in await unread(client, world, "water")] == [both[1]]
