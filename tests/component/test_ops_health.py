"""What operators see: all at a glance, lag from Kafka itself, parked messages, one letter's story, the directory."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.ops import directory, replicas
from deploy.ops.cluster import bounds
from deploy.ops.console import table, width
from shared.messaging.connection import client_options
from tests.city_hall import ENTRY
from tests.conftest import World, eventually
from tests.operator import answered, city, ops, received, registered
from tests.routing_desk import DUTY

SERVICES = tuple(
    f"--service={name}=http://city.test" for name in ("intake", "routing", "deadline", "publication", "reporting")
)


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the command speak to a city that runs in this process."""

    def speak(client: httpx.AsyncClient) -> None:
        ask = replicas.ask
        monkeypatch.setattr("deploy.ops.health.ask", lambda given: ask(given, client))
        monkeypatch.setattr(directory, "transport", lambda: client._transport)

    return speak


def lines(answer: Any) -> dict[str, Any]:
    return {line["what"]: line for line in answer["lines"]}


async def test_an_operator_sees_what_is_wrong_and_what_to_do(
    world: World, through: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with city(world) as (client, _):
        through(client)
        letter_id, receipt = await received(client, world)
        number = await registered(client, world, letter_id)
        await answered(client, world, letter_id)
        await world.settled()

        # All is well but for the backup, which was never made.
        health = await ops(world, "health", *SERVICES, "--json")
        wrong = [line["what"] for line in health.answer["lines"] if line["level"] != "ok"]
        assert (health.status, wrong) == (1, ["备份 backup"]), health.out
        assert {f"积压 lag {group}" for group in ("intake", "routing-history", "reporting")} <= set(
            lines(health.answer)
        )
        await ops(world, "backup", "create", tmp_path / "b")
        health = await ops(world, "health", *SERVICES, "--json")
        assert health.status == 0, health.out
        assert lines(health.answer)["版本 releases"]["value"] == "checkout ×5"
        for_people = await ops(world, "health", *SERVICES)
        assert "就绪 ready" in for_people.out

        # One letter's story, by its number, its id, its receipt: whole, without what the citizen wrote.
        stories = [await ops(world, "letter", name, "--json") for name in (letter_id, receipt, "YFX-2026-1")]
        assert [story.status for story in stories] == [0, 0, 0]
        story = stories[1].answer
        assert story == stories[0].answer == stories[2].answer
        assert [step["type"] for step in story["facts"]][:3] == ["LetterReceived", "LetterRead", "LetterRegistered"]
        assert [held["mailbox"] for held in story["holders"]] == ["mayor", "education", "mayor"]
        assert {"mayor", "education"} <= {told["mailbox"] for told in story["messages"]}
        assert not any(word in stories[0].out for word in ("李明", "13800138000", "路灯坏了"))
        told = await ops(world, "letter", letter_id, "--with-text")
        assert "路灯坏了" in told.out
        assert "13800138000" not in told.out
        assert number in told.out or "YFX" in told.out or "渝府信" in told.out
        nobody = await ops(world, "letter", "YFX-2026-99")
        assert (nobody.status, "no letter has the number" in nobody.err) == (1, True)

        # A message that nobody understands is parked: seen, repaired or dropped only with a reason, and on the record.
        for seq in (9, 10):
            envelope = {
                "ce_specversion": "1.0",
                "ce_id": f"{seq}",
                "ce_type": "xinxiang.LetterRead.v1",
                "ce_source": "/services/intake",
                "ce_subject": letter_id,
                "ce_seq": f"{seq}",
            }
            await world.produce("letters", letter_id, b"{}", envelope)

        async def waits() -> Any:
            found = await ops(world, "parked", "list", "--json")
            return found.answer if len(found.answer) == 10 else None

        waiting = await eventually(waits, 120)
        assert Counter(one["why"] for one in waiting) == {"gap": 5, "behind": 5}
        shown = await ops(world, "parked", "list")
        assert "10 waiting in all" in shown.out
        assert "only the first" not in shown.out
        monkeypatch.setattr("deploy.ops.parked.MOST", 1)
        shown = await ops(world, "parked", "list")
        assert "10 waiting in all" in shown.out
        assert "only the first 1 of each service" in shown.out
        assert shown.out.count(letter_id) == 5
        health = await ops(world, "health", *SERVICES, "--json")
        assert (health.status, lines(health.answer)["搁置 parked"]["advice"]) == (1, "python -m deploy.ops parked list")
        assert (await ops(world, "letter", letter_id, "--json")).status == 1
        origin = next(one["origin"] for one in waiting if one["why"] == "gap")
        assert "ce_seq: 9" in (await ops(world, "parked", "show", origin)).out
        refused = await ops(world, "parked", "drop", origin, "--service", "routing", "--yes")
        assert (refused.status, "--reason" in refused.err) == (1, True)
        for why, words in (("gap", "waits for an earlier fact"), ("behind", "waits behind")):
            origin = next(one["origin"] for one in waiting if one["why"] == why)
            undone = await ops(world, "parked", "drop", origin, "--service", "routing", "--yes", "--reason", "误发")
            assert (undone.status, words in undone.err) == (1, True)

        # A replica that does not answer is wrong, an engine that does not is unknown; a wrong word is explained.
        away = await ops(world, "health", "--service=intake=http://127.0.0.1:1", "--json")
        assert away.status == 1
        assert "log" in lines(away.answer)["intake http://127.0.0.1:1"]["advice"] or away.out
        odd = await ops(world, "health", "--service=post=http://city.test")
        assert (odd.status, "NAME=URL" in odd.err) == (1, True)

        # The directory: a dry run names every problem and changes nothing.
        monkeypatch.setenv("OPS_TOKEN", world.token(*DUTY)["Authorization"].removeprefix("Bearer "))
        good, bad, change = (tmp_path / name for name in ("good.yaml", "bad.yaml", "change.yaml"))
        good.write_text(json.dumps(ENTRY), encoding="utf-8")
        bad.write_text(json.dumps(ENTRY | {"parent": "nowhere", "staff": []}), encoding="utf-8")
        change.write_text("name: 东湖高新区管理委员会\nshort_name: 东湖高新区\n", encoding="utf-8")
        dry = await ops(world, "directory", "add", bad, "--reason", "新设", "--dry-run")
        assert dry.status == 1
        assert dry.err.count("\n") >= 3
        assert (await ops(world, "directory", "add", good, "--reason", "新设", "--dry-run")).status == 0
        assert (await ops(world, "directory", "show", "east-lake")).status == 1
        assert (await ops(world, "directory", "add", good, "--reason", "新设")).status == 0
        assert (await ops(world, "directory", "change", "east-lake", change, "--reason", "更名")).status == 0
        assert "东湖高新区" in (await ops(world, "directory", "list")).out
        closed = await ops(
            world, "directory", "close", "east-lake", "--successor", "yuzhong", "--reason", "并入", "--yes"
        )
        assert closed.status == 0, closed.err
        assert "MailboxClosed" in (await ops(world, "directory", "history", "east-lake")).out
        done = [one["verb"] for one in (await ops(world, "log", "--json")).answer]
        assert done[:3] == ["directory close", "directory change", "directory add"]
        kit = world.kit()
        await kit.store.drop("ops")
        kit.store.close()


async def test_how_far_topics_reach_is_learnt_of_all_at_once(world: World) -> None:
    """However many mailboxes a city has: the client would otherwise wait once for every topic, here until the time is over."""
    names = [f"{family}.{code}" for family in ("mailbox", "actions") for code in ("mayor", "education", "water")]
    for name in names:  # now each has a leader, and nothing else is waited for
        await world.produce(name, "1", b"{}", {})
    client = AIOKafkaConsumer(**client_options(world.settings.kafka), retry_backoff_ms=600_000)
    await client.start()
    try:
        async with asyncio.timeout(30):
            found = await bounds(client, [(world.namespace + name, 0) for name in names])
    finally:
        await client.stop()
    assert found == {TopicPartition(world.namespace + name, 0): (0, 1) for name in names}


def test_a_table_stands_straight_with_chinese_in_it() -> None:
    rows = [("数据库 store", 1), ("ok", 22)]
    shown = table(("什么 what", "数"), rows, (1,))
    assert len({width(line) for line in shown}) == 1
    assert width("信箱ok") == 6


def test_what_comes_from_outside_cannot_move_the_cursor() -> None:
    assert "\x1b" not in "".join(table(("a",), [("\x1b[2J",)]))
