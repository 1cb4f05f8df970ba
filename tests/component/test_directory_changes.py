"""The directory changed while services run: mailboxes added and renamed; restarts, crashes and laggards (R1.1–R1.3)."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.history import letter_of
from services.application import application
from services.routing.app import build as routing
from services.routing.office import entries
from services.runtime import Service
from shared.contracts.actions import ApproveReply, CollectLetter, SubmitReply
from shared.contracts.directory import MailboxAdded, MailboxChanged
from shared.contracts.envelope import pack
from shared.contracts.mailbox import ActionDone, AssignmentArrived, LetterArrived
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Actor, Classification, Contact, Nature
from shared.directory.changes import Change, add, applied
from shared.messaging import broker
from shared.messaging.topics import make_mailbox_topics
from shared.storage import Change as Move
from shared.storage import Stored
from tests.city_hall import DIRECTORY, ENTRY, MAILBOXES, at_version, finished, hall_of, wrong
from tests.conftest import MONDAY, World, eventually
from tests.intake_desk import LETTER
from tests.routing_desk import CLERK, DUTY, HEAD, action, staff

DEPLOY = Path("deploy").resolve()


# ── added ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r1_1_a_unit_that_is_added_gets_letters_and_works_over_its_own_topics_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "METADATA_MAX_AGE_MS", 3_600_000)  # no client sees new topics by chance
    async with hall_of(world) as hall:
        answer = await hall.adds()
        assert answer.status_code == 201, answer.text
        assert answer.json()["in_effect"] is True
        assert answer.headers["etag"] == '"1"'
        await hall.all_know(1)

        letter_id = await hall.received("east-lake")
        (arrived,) = await hall.desk.told("east-lake", LetterArrived)
        assert (arrived.letter_id, arrived.mailbox) == (letter_id, "east-lake")
        assert await hall.registered("east-lake", letter_id) == "渝东信〔2026〕1号"
        assert await letter_of(world.settings, world.kit().store, "渝东信〔2026〕1号") == letter_id  # by the operator
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
        shapes = await hall.adds(
            staff=[{"name": "", "roles": ["mayor"]}], kind="castle", code="East Lake", name="东\x00湖"
        )
        assert {field for field, _ in wrong(shapes)} >= {
            "/entry/code",
            "/entry/kind",
            "/entry/name",
            "/entry/staff/0/name",
        }
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


# ── renamed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r1_1_a_renamed_unit_keeps_its_letters_and_numbers_and_pages_show_the_new_name(world: World) -> None:
    async with hall_of(world) as hall:
        receipt = (await hall.submits("education")).json()["receipt"]
        (letter_id,) = await eventually(lambda: hall.unread("education"))
        number = await hall.registered("education", letter_id)
        answer = await hall.changes("education", name="重庆市教育局", short_name="市教育局")
        assert answer.status_code == 200, answer.text
        (former,) = answer.json()["mailbox"]["former_names"]
        assert (former["name"], former["short_name"]) == ("重庆市教育委员会", "市教委")

        async def shown() -> bool:
            standing = (await hall.client.get(f"/intake/receipts/{receipt}")).json()
            return bool((standing["mailbox"], standing["number"]) == ("重庆市教育局", number))

        assert await eventually(shown)
        again = await hall.received("education")
        assert (await hall.registered("education", again), number) == ("渝教信〔2026〕2号", "渝教信〔2026〕1号")

        (fact,) = await world.messages("directory")
        assert isinstance(fact, MailboxChanged)
        assert fact.changed == ("name", "short_name")
        for fixed, rule in (
            ({"prefix": {"chinese": "渝育信", "ascii": "YYX"}}, "R3.8"),
            ({"code": "schools"}, "R1.1"),
            ({"kind": "department", "prefix": None}, "R1.1"),
            ({"closed": {"at": "2026-03-02T09:30:00+08:00", "successor": "mayor"}}, "R1.1"),
            ({"staff": []}, "R1.3"),
        ):
            assert rule in {found for _, found in wrong(await hall.changes("education", **fixed))}
        lines = await hall.client.get(f"{MAILBOXES}/education/history", headers=world.token(*staff("water")))
        assert [(line["what"], line["changed"], line["reason"], line["by"]["subject"]) for line in lines.json()] == [
            ("MailboxChanged", ["name", "short_name"], "机构调整", "mayor-duty")
        ]


# ── restarts, crashes, laggards ──────────────────────────────────────────────────────────────────────────────────────


async def test_changes_outlive_a_restart_and_a_store_that_lost_them(world: World) -> None:
    async with hall_of(world, routing) as hall:
        assert (await hall.adds()).status_code == 201
    async with hall_of(world) as hall:
        assert await hall.version() == '"1"'
        assert (await hall.submits("east-lake")).status_code == 202
        gone = await hall.services[0].kit.store.database("routing")["directory"].delete_many({})
        assert gone.deleted_count
        renamed = await hall.changes("east-lake", short_name="东湖")
        assert renamed.json()["version"] == 2
        assert renamed.json()["in_effect"] is True
    async with hall_of(world, routing) as hall:
        entry = await hall.client.get(f"{MAILBOXES}/east-lake", headers=world.token(*DUTY))
        assert (entry.json()["short_name"], entry.headers["etag"]) == ("东湖", '"2"')


async def test_a_crash_between_the_topics_and_the_fact_leaves_a_unit_that_can_be_added(world: World) -> None:
    kit = world.kit()
    made = await make_mailbox_topics(
        kit.settings.kafka_bootstrap, kit.settings.topics_file, kit.namespace, ["east-lake"]
    )
    assert made == 2
    async with hall_of(world) as hall:
        assert (await hall.adds()).status_code == 201
        await hall.all_know(1)
        await hall.received("east-lake")
        await hall.desk.told("east-lake", LetterArrived)


async def test_a_change_that_was_stored_and_never_sent_is_sent_after_a_restart(world: World) -> None:
    service = routing(world.kit())
    aggregates = entries(service.kit.store)
    at = service.kit.clock.now()
    change = Change(by=Actor(subject="mayor-duty", mailbox="mayor"), at=at, reason="新设机构")
    facts = add(service.kit.directory, ENTRY, change)
    stored = Stored[Any]("directory")
    message = pack(
        facts[0], topic="directory", letter_id="east-lake", source="routing", id="1", time=at, traceparent="", seq=1
    )
    await aggregates.save([Move(stored, applied({}, facts), {"routing": 1}, [message])])
    service.kit.store.close()
    async with hall_of(world) as hall:  # the topics, too, were never made
        await eventually(lambda: at_version(hall, '"1"'))
        await hall.all_know(1)
        assert (await hall.submits("east-lake")).status_code == 202
    async with hall_of(world) as hall:
        await hall.desk.told("east-lake", LetterArrived)


async def test_a_file_that_contradicts_changes_is_refused_with_every_error_until_it_is_corrected(
    world: World, tmp_path: Path
) -> None:
    async with hall_of(world, routing) as hall:
        assert (await hall.adds()).status_code == 201
    text = world.settings.directory_file.read_text(encoding="utf-8").replace("../../deploy", str(DEPLOY))
    file = tmp_path / "directory.yaml"
    file.write_text(text.replace("渝水信", "渝东信").replace("YSX", "YDHX"), encoding="utf-8")
    service = routing(world.kit(directory_file=file))
    app = application([service], service.kit)
    async with app.router.lifespan_context(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city.test")

        async def refused() -> str | None:
            waits = (await client.get("/health/ready")).json()
            return str(waits) if "directory" in str(waits) and "渝东信" in str(waits) else None

        reasons = await eventually(refused)
        assert "YDHX" in reasons
        assert "east-lake" in reasons
        assert (await client.get("/health/live")).status_code == 200
        file.write_text(text, encoding="utf-8")

        async def ready() -> bool:
            return (await client.get("/health/ready")).status_code == 200

        await eventually(ready, 30)
        assert "east-lake" in service.kit.directory


async def test_a_letter_to_a_new_unit_is_not_parked_where_intake_has_not_heard_of_it_yet(world: World) -> None:
    async with hall_of(world) as hall:
        laggard = hall.services[1].kit.changes._follower
        assert laggard._task is not None
        laggard._task.cancel()  # it hears no more changes for a while
        assert (await hall.adds()).status_code == 201
        submission = SubmissionAccepted(
            letter_id="0198c0de-0000-8000-8000-00000000000a",
            at=MONDAY,
            mailbox="east-lake",
            subject="小区门口路灯不亮",
            body=LETTER["body"],
            contact=Contact(name="李明", phone="+8613800138000"),
            classification=Classification(nature=Nature.HELP, domain="utilities-power", region="500103"),
            may_publish=True,
        )
        sent = pack(
            submission,
            topic="submissions",
            letter_id=submission.letter_id,
            source="intake",
            id="s",
            time=MONDAY,
            traceparent="",
        )
        await world.produce(sent.topic, sent.key, sent.value, sent.headers)
        await eventually(lambda: catching_up(hall.services[1]))
        laggard._task = asyncio.create_task(laggard._follow())
        await hall.desk.told("east-lake", LetterArrived)
        assert await hall.services[1].parking.listed() == []


async def catching_up(service: Service) -> bool:
    """Whether somebody waits for the directory to be up to date."""
    return bool(service.kit.changes._follower._moved._waiters)
