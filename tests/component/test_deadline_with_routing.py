"""A letter whose limit is extended and whose reply is sent back, through routing, deadline and publication at once (R6.4, R7.3, R7.4)."""

from datetime import datetime
from typing import Any

import httpx

from services.deadline.app import build as deadline
from services.publication.app import build as publication
from services.routing.app import build as routing
from shared.contracts.facts import ReplyDueChanged
from tests.component.test_deadline import number, received
from tests.conftest import MONDAY, World, eventually
from tests.deadline_stories import at, registered

ROLES = {"clerk": ("clerk",), "head": ("head",)}


class Office:
    """The people of two mailboxes, and one letter."""

    def __init__(self, world: World, client: httpx.AsyncClient, letter_id: str) -> None:
        self.world, self.client, self.letter_id = world, client, letter_id

    def headers(self, mailbox: str, role: str) -> dict[str, str]:
        return self.world.token(f"{mailbox}-{role}", mailbox, role)

    async def does(self, who: str, path: str, **body: Any) -> dict[str, Any]:
        """POST as `<mailbox> <role>`; the letter afterwards."""
        headers = self.headers(*who.split())
        answer = await self.client.post(f"/routing/letters/{self.letter_id}/{path}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def due_at(self, day: str) -> dict[str, Any]:
        """Wait until both services name this last day; return deadline's clock."""
        wanted = at(f"{day} 00:00")

        async def agreed() -> dict[str, Any]:
            headers = self.headers("education", "clerk")
            handling = (await self.client.get(f"/routing/letters/{self.letter_id}", headers=headers)).json()
            clocks = (await self.client.get("/deadline/mailboxes/education/clocks", headers=headers)).json()["items"]
            assert clocks, "not declared yet"
            found: dict[str, Any] = clocks[0]
            moments = (handling["handoffs"][0]["due_at"], found["due_at"])
            assert [moment and datetime.fromisoformat(moment) for moment in moments] == [wanted, wanted]
            return found

        clock: dict[str, Any] = await eventually(agreed)
        return clock


async def test_r6_4_r7_3_r7_4_extended_and_sent_back_through_all_services(world: World) -> None:
    services = [build(world.kit()) for build in (routing, deadline, publication)]
    async with world.running(*services) as client:
        office = Office(world, client, "a")
        await world.publish(
            received("a"), registered(MONDAY).model_copy(update={"letter_id": "a", "number": number(7)})
        )

        async def pending() -> bool:
            stored = await services[0].letters.aggregates.get("a")
            return bool(stored.version == 2)

        await eventually(pending)
        slip = {"receiver": "education", "opinion": "拟交办", "requirements": "按时回复", "answer_by": "assigner"}
        await office.does("mayor clerk", "slips", **slip)
        await office.does("mayor head", "slips/s1/approve")
        assert (await office.due_at("2026-03-17"))["kind"] == "reply"
        await office.does("education clerk", "handoffs/s1/collect")

        await office.does("education head", "handoffs/s1/extensions", reason="需专家论证", wanted_day="2026-03-25")
        await office.does("mayor head", "handoffs/s1/extensions/e1/decide", outcome="granted")
        assert (await office.due_at("2026-03-26"))["extended"] == 1

        await office.does("education clerk", "handoffs/s1/replies", text="正在研究。")
        await office.does("education head", "handoffs/s1/replies/r1/approve")
        await office.does("mayor head", "handoffs/s1/replies/r1/send-back", reason="未答所问", requirements="逐项答复")
        clock = await office.due_at("2026-03-17")
        assert (clock["kind"], clock["redo"]) == ("redo", 1)

        async def shown() -> bool:
            entries = (await client.get("/public/board.json")).json()["entries"]
            return [(e["number"], e["for_what"]) for e in entries] == [("YFX-2026-7", "sent_back")]

        await eventually(shown)
        await office.does("education clerk", "handoffs/s1/replies", text="已逐项答复。")
        await office.does("education head", "handoffs/s1/replies/r2/approve")

        async def over() -> bool:
            headers = office.headers("education", "clerk")
            clocks = (await client.get("/deadline/mailboxes/education/clocks", headers=headers)).json()["items"]
            return not clocks and not (await client.get("/public/board.json")).json()["total"]

        await eventually(over)
        moves = [f for f in await world.facts_of("a") if isinstance(f, ReplyDueChanged)]
        assert [move.why for move in moves] == ["extension", "sent_back"]
