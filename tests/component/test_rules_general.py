"""Section 1 of the regulation, and that there is one procedure (R2.3), over the running services: intake, routing and deadline at once."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy import topics
from services.deadline.app import build as deadline
from services.intake.app import build as intake
from services.routing.app import build as routing
from shared.contracts.facts import CitizenAnswered, ReplyDueSet
from shared.contracts.mailbox import AssignmentArrived, LetterArrived
from tests.conftest import DATA, World, eventually
from tests.intake_desk import LETTER, arrived, submit
from tests.routing_desk import DUTY, staff

ROOT = Path(__file__).parents[2]
HEALTH: dict[str, Any] = {
    "code": "health",
    "name": "重庆市卫生健康委员会",
    "short_name": "市卫健委",
    "kind": "department_of_government",
    "parent": "mayor",
    "prefix": {"chinese": "渝卫信", "ascii": "YWX"},
    "responsible_department": "委办公室",
    "leader": {"name": "戊主任", "subject": "health-leader"},
    "staff": [
        {"name": "戊经办", "subject": "health-clerk", "roles": ["clerk"]},
        {"name": "戊负责", "subject": "health-head", "roles": ["head"]},
    ],
}
SLIP = {"opinion": "拟办", "requirements": "依法办理"}
CALL = {"channel": "phone", "text": "已电话答复来信人。"}


def directory_with(unit: dict[str, Any], folder: Path) -> Path:
    """The directory of the tests and one unit more."""
    content = yaml.safe_load((DATA / "directory.yaml").read_text(encoding="utf-8"))
    for name in ("domains", "regions"):
        content[name] = str((DATA / content[name]).resolve())
    content["mailboxes"].append(unit)
    file = folder / "directory.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return file


@dataclass
class City:
    """Citizens and offices of all mailboxes, over HTTP."""

    world: World
    client: httpx.AsyncClient

    async def does(self, who: tuple[str, ...], path: str, body: Any = None) -> dict[str, Any]:
        """POST, as soon as the service knows of the letter; the letter afterwards."""

        async def done() -> dict[str, Any]:
            answer = await self.client.post(path, json=body, headers=self.world.token(*who))
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        found: dict[str, Any] = await eventually(done)
        return found

    async def get(self, who: tuple[str, ...], path: str) -> httpx.Response:
        return await self.client.get(path, headers=self.world.token(*who))

    async def registered(self, mailbox: str) -> str:
        """A citizen's letter that the mailbox has read and registered; its id."""
        await submit(self.client, mailbox=mailbox)
        letter_id = (await arrived(self.client, self.world, 1, mailbox))[0]
        await self.does(staff(mailbox), f"/intake/letters/{letter_id}/read")
        await self.does(staff(mailbox), f"/intake/letters/{letter_id}/register")
        return letter_id

    async def kept(self, letter_id: str, mailbox: str) -> str:
        """The mailbox decides to answer by itself, and does; the last stage."""
        path = f"/routing/letters/{letter_id}"
        await self.does(staff(mailbox), f"{path}/slips", {**SLIP, "way": "direct", "receiver": mailbox})
        await self.does(staff(mailbox, "head"), f"{path}/slips/s1/approve")
        stage: str = (await self.does(staff(mailbox), f"{path}/answer", CALL))["stage"]
        return stage


@asynccontextmanager
async def city_of(world: World) -> AsyncIterator[City]:
    async with world.running(*(build(world.kit()) for build in (intake, routing, deadline))) as client:
        yield City(world, client)


async def test_r1_1_a_unit_that_is_added_to_the_directory_receives_letters_on_a_topic_of_its_own(
    world: World, tmp_path: Path
) -> None:
    file = directory_with(HEALTH, tmp_path)
    world.settings = world.settings.model_copy(update={"directory_file": file})
    codes = [mailbox.code for mailbox in world.kit().directory.mailboxes()]
    await topics.apply(world.settings.kafka_bootstrap, world.namespace, codes)
    async with city_of(world) as city:
        chosen = (await city.client.get("/intake/mailboxes")).json()
        assert "health" in {mailbox["code"] for mailbox in chosen}
        own = await city.registered("health")
        letter = (await city.get(staff("health"), f"/intake/letters/{own}")).json()
        assert letter["number"] == "渝卫信〔2026〕1号"
        assigned = await city.registered("mayor")
        slip = {**SLIP, "receiver": "health", "answer_by": "assignee"}
        await city.does(staff("mayor"), f"/routing/letters/{assigned}/slips", slip)
        await city.does(staff("mayor", "head"), f"/routing/letters/{assigned}/slips/s1/approve")

        async def told() -> bool:
            heard = {type(message) for message in await world.messages("mailbox.health")}
            assert heard >= {LetterArrived, AssignmentArrived}, heard
            return True

        await eventually(told)


async def test_r1_2_letters_come_in_at_one_place_and_one_office_sees_every_mailbox(world: World) -> None:
    async with city_of(world) as city:
        letters = {mailbox: await city.registered(mailbox) for mailbox in ("mayor", "yuzhong", "water")}
        for mailbox, letter_id in letters.items():
            lists = f"/routing/mailboxes/{mailbox}/letters?list=pending"

            async def pending(path: str = lists, wanted: str = letter_id) -> bool:
                page = await city.get(DUTY, path)
                return [row["letter_id"] for row in page.json()["items"]] == [wanted]

            await eventually(pending)

            async def seen(letter: str = letter_id) -> bool:
                answers = [
                    await city.get(DUTY, f"/{name}/letters/{letter}") for name in ("intake", "routing", "deadline")
                ]
                return [answer.status_code for answer in answers] == [200, 200, 200]

            await eventually(seen)
            stranger = staff("education", "head")
            assert (await city.get(stranger, lists)).status_code == 403


@pytest.mark.parametrize("lacking", ["responsible_department", "leader", "staff"])
def test_r1_3_no_service_starts_with_a_mailbox_that_names_nobody_responsible(
    world: World, tmp_path: Path, lacking: str
) -> None:
    file = directory_with({name: value for name, value in HEALTH.items() if name != lacking}, tmp_path)
    started = subprocess.run(
        [sys.executable, "-m", "services", "routing"],
        env={**world.environment(), "DIRECTORY_FILE": str(file), "PORT": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 2, started.stderr
    wrong = {"responsible_department": "responsible_department is missing", "leader": "leader is missing"}
    refused = [
        line for line in started.stderr.splitlines() if "R1.3" in line and wrong.get(lacking, "no clerk") in line
    ]
    assert len(refused) == 1, started.stderr
    assert "health" in refused[0]


async def test_r1_5_a_units_earlier_site_posts_its_letters_to_the_one_entry(world: World) -> None:
    async with city_of(world) as city:
        headers = {
            "Idempotency-Key": "water-site-4711",
            "Origin": "https://water.example",
            "User-Agent": "an older site",
        }
        letter = {**LETTER, "mailbox": "water"}
        answers = [await city.client.post("/intake/letters", json=letter, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [202, 202]
        assert len({answer.json()["receipt"] for answer in answers}) == 1
        await arrived(city.client, world, 1, "water")


async def test_r1_6_every_step_is_on_record_with_who_and_when_and_nothing_else_is(world: World) -> None:
    async with city_of(world) as city:
        await submit(city.client)
        letter_id = (await arrived(city.client, world))[0]
        path = f"/routing/letters/{letter_id}"
        refused = await city.client.post(f"/intake/letters/{letter_id}/register", headers=world.token(*staff("water")))
        assert refused.status_code == 404
        registered = await city.does(staff("mayor"), f"/intake/letters/{letter_id}/register")
        await city.get(DUTY, f"/intake/letters/{letter_id}")
        slip = {**SLIP, "receiver": "water", "answer_by": "assigner"}
        await city.does(staff("mayor"), f"{path}/slips", slip)
        again = await city.client.post(f"{path}/slips", json=slip, headers=world.token(*staff("mayor")))
        assert again.status_code == 409
        await city.does(staff("mayor", "head"), f"{path}/slips/s1/approve")
        await city.does(staff("water"), f"{path}/handoffs/s1/collect")
        await city.does(staff("water"), f"{path}/handoffs/s1/replies", {"text": "水压已恢复。"})
        await city.does(staff("water", "head"), f"{path}/handoffs/s1/replies/r1/approve")
        await city.does(staff("mayor"), f"{path}/answer", CALL)

        async def all_there() -> list[Any]:
            facts = await world.facts_of(letter_id)
            return facts if {CitizenAnswered, ReplyDueSet} <= {type(fact) for fact in facts} else []

        facts = await eventually(all_there)
        assert [(type(fact).__name__, fact.by.subject) for fact in facts if fact.by is not None] == [
            ("LetterRead", "mayor-clerk"),
            ("LetterRegistered", "mayor-clerk"),
            ("SlipPrepared", "mayor-clerk"),
            ("HandoffSent", "mayor-head"),
            ("HandoffCollected", "water-clerk"),
            ("ReplySubmitted", "water-clerk"),
            ("ReplyApproved", "water-head"),
            ("CitizenAnswered", "mayor-clerk"),
        ]
        assert {type(fact).__name__ for fact in facts if fact.by is None} == {"LetterReceived", "ReplyDueSet"}
        own = [fact for fact in facts if fact.source == "intake"]
        assert registered["version"] == len(own), "each version of a letter is a fact on record"


async def test_r2_3_a_letter_to_a_unit_goes_the_same_way_as_one_to_the_mayors_mailbox(world: World) -> None:
    async with city_of(world) as city:
        ways = []
        for mailbox in ("mayor", "yuzhong", "water"):
            letter_id = await city.registered(mailbox)
            assert await city.kept(letter_id, mailbox) == "finished"

            async def told(letter_id: str = letter_id) -> list[str]:
                names = [type(fact).__name__ for fact in await world.facts_of(letter_id)]
                return sorted(names) if "CitizenAnswered" in names and "ReplyDueSet" in names else []

            ways.append(await eventually(told))
        assert ways[0] == ways[1] == ways[2]
