"""Routing on real engines, as its users see it: staff over HTTP, units' systems over their topics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx

from services.routing.app import build
from services.runtime import Service
from shared.contracts.actions import Action
from shared.contracts.envelope import pack
from shared.contracts.facts import Fact, LetterReceived, LetterRegistered, ReplyDueSet
from shared.contracts.types import Attachment, Classification, Nature, Number
from tests.conftest import MONDAY, World, eventually

TEXT = "学校门口的路灯坏了两周，孩子放学不安全，请尽快修复。"
ABOUT = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")
FILE = Attachment(id="0" * 32, name="照片.jpg", media_type="image/jpeg", size=10, sha256="0" * 64)
SLIP = {
    "receiver": "education",
    "opinion": "拟交市教委办理",
    "requirements": "依法办理并答复来信人",
    "answer_by": "assignee",
}


@dataclass
class Desk:
    """Routing as its users see it."""

    world: World
    client: httpx.AsyncClient
    service: Service
    _serial: int = 0

    async def letter(self, *, registered: bool = True, received_at: datetime = MONDAY, **changes: Any) -> str:
        """A letter to the mayor's mailbox, as intake tells of it; return its id."""
        letter_id = str(uuid4())
        self._serial += 1
        values = {
            "mailbox": "mayor",
            "chosen_mailbox": "mayor",
            "subject": "学校门口的路灯坏了",
            "body": TEXT,
            "classification": ABOUT,
            "may_publish": True,
            "attachments": (FILE,),
        }
        facts: list[Fact] = [LetterReceived(letter_id=letter_id, at=received_at, **{**values, **changes})]
        if registered:
            number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=self._serial)
            facts.append(LetterRegistered(letter_id=letter_id, at=MONDAY, number=number))
        await self.world.publish(*facts)

        async def known() -> bool:
            found = await self.service.letters.aggregates.get(letter_id)
            return bool(found.version == len(facts))

        await eventually(known)
        return letter_id

    async def post(self, path: str, who: tuple[str, ...], body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.post(
            f"/routing/letters/{path}", json=body, headers={**self.world.token(*who), **headers}
        )

    async def done(self, path: str, who: tuple[str, ...], body: Any = None) -> dict[str, Any]:
        answer = await self.post(path, who, body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert answer.headers["etag"] == f'"{found["version"]}"'
        return found

    async def get(self, path: str, who: tuple[str, ...]) -> httpx.Response:
        return await self.client.get(f"/routing/{path}", headers=self.world.token(*who))

    async def listed(self, mailbox: str, name: str) -> list[str]:
        answer = await self.get(f"mailboxes/{mailbox}/letters?list={name}", DUTY)
        assert answer.status_code == 200, answer.text
        return [row["letter_id"] for row in answer.json()["items"]]

    async def assigned(self, **changes: Any) -> str:
        letter_id = await self.letter()
        await self.done(f"{letter_id}/slips", CLERK, {**SLIP, **changes})
        await self.done(f"{letter_id}/slips/s1/approve", HEAD)
        return letter_id

    async def sent(self, letter_id: str, sender: str, receiver: str, way: str = "assign", **changes: Any) -> str:
        """The sender's clerk drafts a slip and its head approves it; return the hand-off's id."""
        answer_by = {"answer_by": "assignee"} if way == "assign" else {}
        text = {"opinion": "拟办", "requirements": "依法办理", **answer_by, **changes}
        view = await self.done(f"{letter_id}/slips", staff(sender), {"way": way, "receiver": receiver, **text})
        slip_id: str = view["slips"][-1]["slip_id"]
        await self.done(f"{letter_id}/slips/{slip_id}/approve", staff(sender, "head"))
        return slip_id

    async def replied(self, letter_id: str, handoff_id: str, receiver: str, **reply: Any) -> dict[str, Any]:
        """The receiver's clerk drafts a reply and its head approves it."""
        body = {"text": "路灯已修复。", **reply}
        view = await self.done(f"{letter_id}/handoffs/{handoff_id}/replies", staff(receiver), body)
        (handoff,) = [one for one in view["handoffs"] if one["handoff_id"] == handoff_id]
        reply_id = handoff["replies"][-1]["reply_id"]
        return await self.done(f"{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/approve", staff(receiver, "head"))

    async def due(self, letter_id: str, handoff_id: str, receiver: str, at: datetime) -> None:
        """Deadline sets the limit of a hand-off."""
        values = {"handoff_id": handoff_id, "receiver": receiver, "due_at": at, "working_days": 10}
        await self.world.publish(ReplyDueSet(letter_id=letter_id, at=MONDAY, **values))

        async def known() -> bool:
            state = (await self.service.letters.aggregates.get(letter_id)).state
            return handoff_id in state.clocks

        await eventually(known)

    async def facts(self, letter_id: str, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait until routing has published that many facts of a kind."""

        async def there() -> list[Any] | None:
            found = [fact for fact in await self.world.facts_of(letter_id) if isinstance(fact, kind)]
            return found if len(found) >= count else None

        found: list[Any] = await eventually(there)
        return found

    async def ask(self, unit: str, action: Action, action_id: str | None = None) -> str:
        """Do as a unit's system does; return the action's id."""
        action_id = action_id or str(uuid4())
        message = pack(
            action,
            topic=f"actions.{unit}",
            letter_id=action.letter_id,
            source=unit,
            id=action_id,
            time=MONDAY,
            traceparent="",
        )
        await self.world.produce(message.topic, message.key, message.value, message.headers)
        return action_id

    async def told(self, mailbox: str, kind: type[Any], count: int = 1) -> list[Any]:
        """Wait until a mailbox has been told `count` times."""

        async def arrived() -> list[Any] | None:
            found = [m for m in await self.world.messages(f"mailbox.{mailbox}") if isinstance(m, kind)]
            return found if len(found) >= count else None

        found: list[Any] = await eventually(arrived)
        assert len(found) == count
        return found


def staff(mailbox: str, role: str = "clerk") -> tuple[str, ...]:
    return f"{mailbox}-{role}", mailbox, role


CLERK = ("mayor-clerk", "mayor", "clerk")
HEAD = ("mayor-head", "mayor", "head")
DUTY = ("mayor-duty", "mayor", "duty_officer")
UNIT_CLERK = ("education-clerk", "education", "clerk")
UNIT_HEAD = ("education-head", "education", "head")
UNIT_SYSTEM = ("education-system", "education", "unit_system")
OTHER = ("water-clerk", "water", "clerk", "head")


@asynccontextmanager
async def desk_of(world: World, **settings: object) -> AsyncIterator[Desk]:
    service = build(world.kit(**settings))
    async with world.running(service) as client:
        yield Desk(world, client, service)


def action(kind: type[Action], letter_id: str, person: str = "li", **values: Any) -> Action:
    """An action of somebody in a unit, on the first hand-off where nothing else is said."""
    handoff = {"handoff_id": "s1"} if "handoff_id" in kind.model_fields else {}
    return kind(**{"letter_id": letter_id, "person": person, "person_name": "李某", **handoff, **values})
