"""The directory changed while services run: over HTTP, on real engines, with letters under way (R1.1–R1.3)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.deadline.app import build as deadline
from services.intake.app import build as intake
from services.publication.app import build as publication
from services.reporting.app import build as reporting
from services.routing.app import build as routing
from services.runtime import Service
from shared.contracts.actions import AnswerCitizen, ApproveReply, CollectLetter, SubmitReply
from shared.contracts.directory import MailboxAdded, MailboxChanged, MailboxClosed
from shared.contracts.mailbox import ActionDone, AssignmentArrived, ContactDisclosed, LetterArrived
from tests.component.test_intake import LETTER
from tests.conftest import World, eventually
from tests.routing_desk import CLERK, DUTY, HEAD, SLIP, Desk, action, staff

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

    async def changes(self, code: str, if_match: str | None = None, **entry: Any) -> httpx.Response:
        headers = {**self.world.token(*DUTY), "If-Match": if_match or await self.version()}
        return await self.client.patch(
            f"{MAILBOXES}/{code}", json={"entry": entry, "reason": "机构调整"}, headers=headers
        )

    async def closes(self, code: str, successor: str | None = None) -> dict[str, Any]:
        headers = {**self.world.token(*DUTY), "If-Match": await self.version()}
        body = {"successor": successor, "reason": "机构合并"}
        answer = await self.client.post(f"{MAILBOXES}/{code}/close", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

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


# ── added ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r1_1_a_unit_that_is_added_gets_letters_and_works_over_its_own_topics_at_once(world: World) -> None:
    async with hall_of(world) as hall:
        answer = await hall.adds()
        assert answer.status_code == 201, answer.text
        assert answer.json()["in_effect"] is True
        assert answer.headers["etag"] == '"1"'

        letter_id = await hall.received("east-lake")
        (arrived,) = await hall.desk.told("east-lake", LetterArrived)
        assert (arrived.letter_id, arrived.mailbox) == (letter_id, "east-lake")
        assert await hall.registered("east-lake", letter_id) == "渝东信〔2026〕1号"
        choices = (await hall.client.get("/intake/mailboxes")).json()
        assert {"code": "east-lake", "name": "东湖新区", "label": "东湖新区管理委员会"} in choices

        handed = await hall.desk.letter()
        await hall.desk.sent(handed, "mayor", "east-lake")
        await hall.desk.told("east-lake", AssignmentArrived)
        collect = await hall.desk.ask("east-lake", action(CollectLetter, handed))
        done = await hall.desk.told("east-lake", ActionDone)
        assert [one.action_id for one in done] == [collect]
        await hall.desk.ask("east-lake", action(SubmitReply, handed, text="路灯已修复。"))
        await hall.desk.ask("east-lake", action(ApproveReply, handed, person="wang"))
        await eventually(lambda: finished(hall, handed))

        (fact,) = await world.messages("directory")
        assert isinstance(fact, MailboxAdded)
        assert (fact.mailbox, fact.directory_version, fact.reason) == ("east-lake", 1, "新设机构")
        assert fact.by.subject == "mayor-duty"


async def finished(hall: Hall, letter_id: str) -> bool:
    return bool((await hall.desk.get(f"letters/{letter_id}", DUTY)).json()["stage"] == "finished")


async def test_r1_3_an_incomplete_entry_is_refused_with_all_its_reasons_and_leaves_nothing_behind(world: World) -> None:
    async with hall_of(world, routing) as hall:
        bad = {name: value for name, value in ENTRY.items() if name not in {"leader", "responsible_department"}}
        bad |= {"staff": [], "prefix": {"chinese": "渝水信", "ascii": "YSX"}, "region": "500103"}
        answer = await hall.client.post(MAILBOXES, json={"entry": bad}, headers=world.token(*DUTY))
        assert wrong(answer) == {
            ("/entry/leader", "R1.3"),
            ("/entry/responsible_department", "R1.3"),
            ("/entry/staff", "R1.3"),
            ("/entry/prefix", "R3.6"),
            ("/entry/region", "R3.5"),
            ("/reason", "R10.1"),
        }
        shapes = await hall.adds(staff=[{"name": "", "roles": ["mayor"]}], kind="castle", code="East Lake")
        assert {field for field, _ in wrong(shapes)} >= {"/entry/code", "/entry/kind", "/entry/staff/0/name"}
        assert await world.messages("directory") == []
        assert await hall.version() == '"0"'


async def test_r1_2_only_the_duty_office_changes_the_directory_and_any_staff_read_it(world: World) -> None:
    async with hall_of(world, routing) as hall:
        for who in (
            CLERK,
            HEAD,
            staff("education", "leader"),
            ("system", "education", "unit_system"),
            ("a", "mayor", "admin"),
        ):
            headers = {**world.token(*who), "If-Match": '"0"'}
            refused = [
                await hall.client.post(MAILBOXES, json={"entry": ENTRY, "reason": "x"}, headers=headers),
                await hall.client.patch(f"{MAILBOXES}/water", json={"entry": {}, "reason": "x"}, headers=headers),
                await hall.client.post(f"{MAILBOXES}/water/close", json={"reason": "x"}, headers=headers),
            ]
            assert [answer.status_code for answer in refused] == [403, 403, 403]
        read = await hall.client.get(f"{MAILBOXES}/water", headers=world.token(*staff("education")))
        assert [person["name"] for person in read.json()["staff"]] == ["丁经办", "丁负责"]
        machine = await hall.client.get(DIRECTORY, headers=world.token("system", "education", "unit_system"))
        assert {box["code"] for box in machine.json()["mailboxes"]} >= {"mayor", "water"}
        assert {str(box["staff"]) for box in machine.json()["mailboxes"]} == {"None"}
        assert (await hall.client.get(DIRECTORY)).status_code == 401


async def test_two_administrators_at_once_one_of_them_is_told_to_read_again(world: World) -> None:
    async with hall_of(world, routing, routing) as hall:
        read = await hall.version()
        answers = await asyncio.gather(
            hall.changes("water", read, short_name="水务"), hall.changes("education", read, short_name="教委")
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        late = next(answer for answer in answers if answer.status_code == 409)
        assert late.headers["etag"] == '"1"'
        assert late.json()["current_version"] == 1
        unread = await hall.client.patch(
            f"{MAILBOXES}/water", json={"entry": {}, "reason": "x"}, headers=world.token(*DUTY)
        )
        assert unread.status_code == 428
        assert len(await world.messages("directory")) == 1


async def test_many_units_added_at_once_through_two_replicas_stand_in_one_order(world: World) -> None:
    async with hall_of(world, routing) as one, hall_of(world, routing) as other:
        prefixes = "甲乙丙丁戊己"
        made = [
            hall.adds(
                code=f"unit-{n}",
                name=f"第{n}局",
                prefix={"chinese": f"渝{prefixes[n]}信", "ascii": f"Y{'ABCDEF'[n]}"},
                staff=[
                    {"name": "某", "subject": f"unit-{n}-a", "roles": ["clerk"]},
                    {"name": "某", "subject": f"unit-{n}-b", "roles": ["head"]},
                ],
                leader={"name": "某", "subject": f"unit-{n}-l"},
            )
            for n, hall in enumerate([one, other] * 3)
        ]
        answers = await asyncio.gather(*made)
        assert [answer.status_code for answer in answers] == [201] * 6
        assert [fact.directory_version for fact in await world.messages("directory")] == [1, 2, 3, 4, 5, 6]  # type: ignore[attr-defined]
        for hall in (one, other):
            assert await eventually(lambda hall=hall: at_version(hall, '"6"'))  # type: ignore[misc]


async def at_version(hall: Hall, version: str) -> bool:
    return await hall.version() == version
