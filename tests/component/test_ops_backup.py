"""A backup made while everything runs comes back as it was: every public answer, number, history and byte of a file."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.ops import cluster, restore
from deploy.ops.shelf import NAME
from deploy.ops.vault import MANIFEST
from services.reporting.last_backup import LastBackup
from shared.observability import metrics
from shared.storage.dump import databases
from tests.conftest import MONDAY, World, eventually, new_world
from tests.operator import answered, call, city, ops, published, received, registered
from tests.routing_desk import CLERK, DUTY

PUBLIC = ("letters.json", "letters/YFX-2026-1.json", "board.json", "data.json", "feed.atom")
SUPERVISED = ("/reporting/issues", "/reporting/spot-checks")


async def answers(client: httpx.AsyncClient, world: World, letters: dict[str, str]) -> dict[str, Any]:
    """All that citizens and staff may read, by address."""
    found: dict[str, Any] = {}
    duty = world.token(*DUTY)
    for path in PUBLIC:
        answer = await client.get(f"/public/{path}")
        assert answer.status_code == 200, path
        found[path] = re.sub(r'"as_of":"[^"]*"', "", answer.text)
    for path in SUPERVISED:
        found[path] = (await client.get(path, headers=duty)).json()
        for one in found[path]["items"]:
            at = f"{path}/{one['id']}"
            found[at] = (await client.get(at, headers=duty)).json()
    for letter_id, receipt in letters.items():
        for path in (f"/routing/letters/{letter_id}", f"/routing/letters/{letter_id}/history"):
            found[path] = (await client.get(path, headers=duty)).json()
        path = f"/intake/letters/{letter_id}"
        found[path] = (await client.get(path, headers=world.token(*CLERK))).json()
        found[receipt] = (await client.get(f"/intake/receipts/{receipt}")).json()
        for file in found[path].get("attachments", ()):
            at = f"/intake/letters/{letter_id}/attachments/{file['id']}"
            found[at] = (await client.get(at, headers=world.token(*CLERK))).content
    return found


async def supervised(client: httpx.AsyncClient, world: World) -> None:
    """A week later its bulletin is issued, and a spot check is drawn."""
    world.move_clock(MONDAY + timedelta(days=7))

    async def issued() -> Any:
        return (await client.get("/reporting/issues", headers=world.token(*DUTY))).json()["items"]

    await eventually(issued, 120)
    wanted = {"units": ["education"], "from": "2026-01-01", "to": "2027-01-01", "size": 1}
    await call(client, world, "POST", "/reporting/spot-checks", DUTY, wanted)


async def test_a_backup_made_while_letters_come_is_restored_equal_and_names_what_it_lacks(
    world: World, tmp_path: Path, engines: Any, keys: Path
) -> None:
    folder, later = tmp_path / "first", tmp_path / "second"
    letters: dict[str, str] = {}
    async with city(world) as (client, _):
        up = await client.post("/intake/attachments", files={"file": ("照片.pdf", b"%PDF-1.7\n" + b"x" * 600_000)})
        with_file, receipt = await received(client, world, attachments=[up.json()["attachment"]])
        letters[with_file] = receipt
        await registered(client, world, with_file)
        await answered(client, world, with_file)
        await published(client, world, with_file)
        await supervised(client, world)
        await ops(world, "backup", "create", folder)

        going = True

        async def more() -> None:
            while going:
                letter_id, code = await received(client, world)
                letters[letter_id] = code
                await registered(client, world, letter_id)

        writing = asyncio.create_task(more())
        await eventually(lambda: asyncio.sleep(0, len(letters) > 3))
        made = await ops(
            world, "backup", "create", later, "--since", folder, "--metrics", tmp_path / "b.prom", "--json"
        )
        assert made.status == 0, made.err
        going = False
        await writing
        after, _ = await received(client, world)
        await registered(client, world, after)
        await world.settled()
        lost = (await ops(world, "backup", "lost", later, "--json")).answer
        assert after in lost["accepted"]
        live = await answers(client, world, {i: r for i, r in letters.items() if i not in lost["facts"]})

        # A backup is proved by restoring it beside what runs, which does not notice.
        drill = await ops(world, "drill", later, "--yes", "--json")
        assert (drill.status, drill.answer["wrong"]) == (0, []), drill.err or drill.out
        assert drill.answer["lost"] == lost["accepted"]

    async with new_world(engines.urls(), keys, tmp_path) as other:
        other.move_clock(MONDAY + timedelta(days=7))
        refused = await ops(world, "restore", later, "--yes")
        assert (refused.status, "not empty" in refused.err) == (1, True)

        # What was altered or cut off is not taken.
        victim = later / "store" / "intake" / "letters.bson.gz"
        whole = victim.read_bytes()
        victim.write_bytes(whole[:-20])
        for verb in ("backup verify", "restore"):
            spoilt = await ops(other, *verb.split(), later, *(("--yes",) if verb == "restore" else ()))
            assert (spoilt.status, "letters.bson.gz" in spoilt.out + spoilt.err) == (1, True)
        victim.write_bytes(whole)

        done = await ops(other, "restore", later, "--yes", "--json")
        assert done.status == 0, done.err
        async with city(other) as (client, _):
            await other.settled()
            kept = {i: r for i, r in letters.items() if i not in lost["facts"]}
            assert with_file in kept
            again = await answers(client, other, kept)
            for path, answer in live.items():
                assert again[path] == answer, path
            for letter_id in {*letters, after}:
                answer = await client.get(f"/intake/letters/{letter_id}", headers=other.token(*CLERK))
                assert answer.status_code == (404 if letter_id in lost["accepted"] else 200), letter_id
            new, _ = await received(client, other)
            number = await registered(client, other, new)
            register = other.kit().store.collection("intake", "register")
            lines = [line["_id"] async for line in register.find({}).sort([("_id", 1)])]
            assert [int(line.rpartition("/")[2]) for line in lines] == list(range(1, len(lines) + 1))
            assert number
        kit = other.kit()
        await kit.store.drop("ops")
        kit.store.close()
    text = (tmp_path / "b.prom").read_text()
    assert "xinxiang_backup_last_success_timestamp_seconds 1" in text


async def test_a_nightly_backup_goes_on_from_the_last_is_told_as_a_metric_and_removes_what_is_old(
    world: World, tmp_path: Path
) -> None:
    shelf = tmp_path / "backups"
    old = shelf / (datetime.now(UTC) - timedelta(days=40)).strftime(NAME)
    (old / "store").mkdir(parents=True)
    kit = world.kit()
    gauge = metrics.backup_last_success_timestamp_seconds
    gauge.clear()
    measure = LastBackup(kit.store).measure
    await measure()
    assert not [one for family in gauge.collect() for one in family.samples], (
        "none was made, and an alert asks whether there is none"
    )

    began = datetime.now(UTC).timestamp()
    first = await ops(world, "backup", "into", shelf, "--json")
    assert first.status == 0, first.err
    assert (first.answer["removed"], old.exists()) == ([], True), "nobody asked for that"
    second = await ops(world, "backup", "into", shelf, "--keep-days", "30", "--json")
    assert second.status == 0, second.err
    assert (second.answer["removed"], old.exists()) == ([old.name], False)
    await measure()
    (told,) = (one for family in gauge.collect() for one in family.samples)
    assert began <= told.value <= datetime.now(UTC).timestamp()
    noted = (await ops(world, "log", "--json")).answer
    assert [one["verb"] for one in noted] == ["backup prune", "backup", "backup"]
    assert noted[0]["about"]["removed"] == [old.name]

    # One spoilt manifest stops no later backup.
    spoilt, before = Path(second.answer["folder"]), Path(first.answer["folder"])
    assert json.loads((spoilt / MANIFEST).read_text("utf-8"))["since"] == f"../{before.name}"
    (spoilt / MANIFEST).write_text("{")
    third = await ops(world, "backup", "into", shelf, "--keep-days", "30")
    assert third.status == 0, third.err
    assert spoilt.name in third.err
    newest = max(shelf.iterdir())
    assert json.loads((newest / MANIFEST).read_text("utf-8"))["since"] == ""
    assert (await ops(world, "backup", "verify", newest)).status == 0
    await kit.store.drop("ops")
    kit.store.close()


async def test_a_drill_reads_back_what_it_put_onto_topics_and_cleans_up_after_itself(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await world.produce("mailbox.mayor", f"letter-{number}", b'{"number": %d}' % number, {"ce_id": str(number)})
    folder = tmp_path / "backup"
    assert (await ops(world, "backup", "create", folder)).status == 0
    drill = ("drill", folder, "--yes", "--reason", "monthly", "--json")
    whole = await ops(world, *drill)
    assert (whole.status, whole.answer["records"]) == (0, 3), whole.err

    @asynccontextmanager
    async def careless(settings: Any) -> AsyncIterator[Any]:
        async with cluster.producer(settings) as client:
            send = client.send

            async def spoilt(topic: str, value: Any, **more: Any) -> Any:
                return await send(topic, value.replace(b"1", b"7"), **more)

            monkeypatch.setattr(client, "send", spoilt)
            yield client

    monkeypatch.setattr(restore, "producer", careless)
    wrong = await ops(world, *drill)
    assert wrong.status == 1
    assert "mailbox.mayor/" in wrong.err

    kit = world.kit()
    async with cluster.admin(world.settings) as asking:

        async def none_left() -> bool:  # the broker goes on telling of a topic for a moment once it is deleted
            left = [name for name in await asking.list_topics() if name.startswith(f"{world.namespace}drill-")]
            assert not left
            return True

        await eventually(none_left)
    with_namespace = [
        name for name in await kit.store.client.list_database_names() if f"{world.namespace}drill-" in name
    ]
    assert not with_namespace
    assert "ops" in await databases(kit.store)
    await kit.store.drop("ops")
    kit.store.close()
