"""A malformed message on any topic parks in the service that reads it; others flow; once repaired, its letter catches up in order."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy.demo.city import City, Refused
from deploy.parked import listed
from services import NAMES
from shared.contracts.actions import CollectLetter
from shared.contracts.envelope import event_id, pack_fact
from shared.contracts.facts import Fact, LetterReclassified, LetterRegistered
from shared.contracts.mailbox import ActionRefused
from shared.contracts.types import Actor, Classification, Nature, Number
from shared.messaging.parking import Why
from shared.storage import Store
from tests.component.test_messaging import received
from tests.conftest import MONDAY, World, eventually
from tests.e2e.fleet import ROOT, Fleet
from tests.e2e.journey import Fate, Journey, Tale, ask

WHY = ("--by", "duty", "--reason", "a field was of a wrong kind")
CLERK = Actor(subject="mayor-clerk", mailbox="mayor")


async def waiting(world: World, service: str) -> list[tuple[str, Why | None]]:
    """What waits in a service: origin and reason, in order."""
    store = Store(world.settings.mongo_url, world.namespace)
    found = await listed(world.settings, store, (service,))
    store.close()
    return [(message.origin, message.why) for _, message in found]


async def parked(world: World, *arguments: str, status: int = 0) -> str:
    """Run `python -m deploy.ops parked` as an operator does; return what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.ops",
        "parked",
        *arguments,
        cwd=ROOT,
        env=os.environ | world.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == status, said.decode()
    return said.decode()


def message(fact: Fact, seq: int) -> tuple[str, str, bytes, dict[str, str]]:
    """A fact as its service would send it."""
    made = pack_fact(fact, seq)
    return made.topic, made.key, made.value, made.headers


def registered(letter_id: str, serial: int) -> Fact:
    """The fact that will be malformed: every service needs it."""
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=serial)
    return LetterRegistered(letter_id=letter_id, at=MONDAY, by=CLERK, number=number)


def reclassified(letter_id: str) -> Fact:
    """The fact that stands behind it."""
    before = Classification(nature=Nature.HELP, domain="utilities-power", region="500103")
    after = before.model_copy(update={"nature": Nature.COMPLAINT})
    return LetterReclassified(letter_id=letter_id, at=MONDAY, by=CLERK, before=before, after=after)


async def versions(world: World, letter_id: str) -> dict[str, int]:
    """Service → how many facts on a letter it has applied."""
    kit = world.kit()
    found = {}
    for service in NAMES:
        collection = kit.store.database(service)["rows" if service == "reporting" else "letters"]
        document = await collection.find_one({"_id": letter_id}, {"seen": 1})
        found[service] = document["seen"].get("intake", 0) if document else 0
    kit.store.close()
    return found


async def test_a_malformed_fact_parks_in_each_service_and_its_letter_catches_up_after_one_repair(
    fleet: Fleet, tmp_path: Path
) -> None:
    world = fleet.world
    await fleet.up()
    topic, key, value, headers = message(registered("a", 1), 2)
    await world.produce(*message(received("a"), 1))
    await world.produce(topic, key, value.replace(b'"serial":1', b'"serial":"first"'), headers)
    await world.produce(*message(reclassified("a"), 3))
    for seq, fact in enumerate((received("b"), registered("b", 2), reclassified("b")), start=1):
        await world.produce(*message(fact, seq))

    async def others_flow() -> bool:
        return set((await versions(world, "b")).values()) == {3}

    await eventually(others_flow, 40)
    origins = set()
    for service in NAMES:
        stuck = await eventually(partial(waiting, world, service), 40)
        assert [why for _, why in stuck] == [Why.FAILED, Why.BEHIND], service
        origins.add(stuck[0][0])
        record = (await world.records(f"letters.parked.{service}"))[0]
        assert "number.serial" in orjson.loads(record.value)["error"]
    assert set((await versions(world, "a")).values()) == {1}
    (origin,) = origins
    assert origin in await parked(world, "list", status=1)
    (tmp_path / "repaired.json").write_bytes(value)
    await parked(world, "replay", origin, "--service", "routing", "--value", str(tmp_path / "repaired.json"), *WHY)

    async def caught_up() -> bool:
        nobody_waits = not any([await waiting(world, service) for service in NAMES])
        return nobody_waits and set((await versions(world, "a")).values()) == {3}

    await eventually(caught_up, 40)
    async with fleet.city() as city:
        letter = await city.handling("a", "mayor")
    assert (letter["number_ascii"], letter["classification"]["nature"]) == ("YFX-2026-1", "complaint")


async def test_a_malformed_submission_and_a_malformed_action_park_and_take_effect_once_repaired(
    fleet: Fleet, tmp_path: Path
) -> None:
    world = fleet.world
    await fleet.up()
    async with fleet.city() as city:
        first, second = Tale(1, Fate.ANSWERED, "education"), Tale(2, Fate.ANSWERED, "education")
        journey = Journey(world, [city])
        await journey.submit(first)
        await journey.screen(first)
        value = await _spoiled_submission(world)
        await journey.submit(second)
        await journey.screen(second)
        (tmp_path / "submission.json").write_bytes(value)
        await _repair(world, "intake", tmp_path / "submission.json")
        await eventually(lambda: _is_unread(city, "spoiled"), 40)

        await city.prepare_slip(first.letter_id, "education")
        await city.approve_slip(first.letter_id, "s1")
        good = CollectLetter(letter_id=first.letter_id, handoff_id="s1", person="education-clerk")
        headers = {"ce_id": "spoiled-action", "ce_type": "xinxiang.CollectLetter.v1", "ce_subject": first.letter_id}
        headers |= {"ce_specversion": "1.0", "ce_source": "/units/education"}
        await world.produce("actions.education", first.letter_id, b'{"letter_id": 7}', headers)
        refused = await eventually(lambda: _refusals(world), 40)
        assert [(r.action_id, r.rule) for r in refused] == [("spoiled-action", "message")]
        await journey.hand_out(second)
        (tmp_path / "action.json").write_bytes(good.model_dump_json().encode())
        await _repair(world, "routing", tmp_path / "action.json")

        async def collected() -> Any:
            return (await city.handling(first.letter_id, "education"))["handoffs"][0]["collected_at"]

        await eventually(collected, 40)
        await ask(world, "education", good, "spoiled-action")
        await journey.answer(first)
        assert [(r.action_id, r.rule) for r in await _refusals(world)] == [("spoiled-action", "message")]


async def _spoiled_submission(world: World) -> bytes:
    """Put a submission on the topic that lacks its subject; return what it should have been."""
    record = (await world.records("submissions"))[0]
    good = orjson.loads(record.value) | {"letter_id": "spoiled", "subject": "spoiled"}
    bad = {name: part for name, part in good.items() if name != "subject"}
    headers = {name: text.decode() for name, text in record.headers}
    headers |= {"ce_subject": "spoiled", "ce_id": event_id("spoiled", "intake", 0, "submission")}
    await world.produce("submissions", "spoiled", orjson.dumps(bad), headers)
    return orjson.dumps(good)


async def _repair(world: World, service: str, file: Path) -> None:
    """Replay the one message that a service parked with its right content, and see that nothing waits any more."""
    stuck = await eventually(lambda: waiting(world, service), 40)
    assert [why for _, why in stuck] == [Why.FAILED]
    await parked(world, "replay", stuck[0][0], "--service", service, "--value", str(file), *WHY)

    async def nothing_waits() -> bool:
        return not await waiting(world, service)

    await eventually(nothing_waits, 40)


async def _is_unread(city: City, letter_id: str) -> bool:
    try:
        return letter_id in {row["letter_id"] for row in await city.letters("mayor")}
    except Refused:
        return False


async def _refusals(world: World) -> list[ActionRefused]:
    return [told for told in await world.messages("mailbox.education") if isinstance(told, ActionRefused)]


@pytest.mark.parametrize("topic", ["letters", "submissions", "actions.water"])
async def test_bytes_that_are_no_message_at_all_park_and_can_be_dropped(fleet: Fleet, topic: str) -> None:
    world = fleet.world
    readers = {"letters": NAMES, "submissions": ("intake",), "actions.water": ("routing",)}[topic]
    runs = [fleet.of(service) for service in {"intake", *readers}]
    await fleet.up(runs)
    await world.produce(topic, "\udcff\udcfe".encode(errors="surrogateescape").decode("latin-1"), b"\xff\xfe", {})
    stuck = [await eventually(partial(waiting, world, service), 40) for service in readers]
    (origin,) = {origin for found in stuck for origin, _ in found}
    await parked(world, "drop", origin, "--service", readers[-1], "--yes", *WHY)

    async def nothing_waits() -> bool:
        return not any([await waiting(world, service) for service in readers])

    await eventually(nothing_waits, 40)
