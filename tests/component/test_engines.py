"""The engines of the tests themselves: what makes each start cheap, and what holds as soon as they are up."""

import os
from pathlib import Path

import pytest
from pymongo.errors import DuplicateKeyError

from deploy.engines import Engines, Process
from deploy.engines.kafka import coordinates
from services import runtime
from services.routing.app import build as routing
from tests.conftest import World, without_engines


def test_a_broker_starts_from_the_classes_that_the_first_one_on_this_machine_kept(engines: Engines) -> None:
    pid = Process("kafka", engines.folder).pid()
    if pid is None:
        pytest.skip("these engines are somebody else's")
    option = "-XX:SharedArchiveFile="
    command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    (kept,) = [Path(word.removeprefix(option)) for word in command if word.startswith(option)]
    assert kept.stat().st_size > 10_000_000
    assert str(kept) in Path(f"/proc/{pid}/maps").read_text(), "Java took it"


def test_a_new_broker_is_up_once_consumer_groups_can_join() -> None:
    new = Engines(f"new{os.environ.get('PYTEST_XDIST_WORKER', '')}", without_engines())
    new.reset()
    try:
        bootstrap = new.start("kafka").kafka_bootstrap
        assert coordinates(int(bootstrap.rpartition(":")[2])), "a group that joins now is told to come again"
    finally:
        new.reset()


async def test_an_index_is_built_at_once_where_documents_are_already(world: World) -> None:
    """Nothing builds indexes in the background here: see `IDLE_JOBS`."""
    kit = world.kit()
    collection = kit.store.database("intake")["filled"]
    await collection.insert_many([{"_id": number, "name": f"n{number}"} for number in range(1000)])
    await collection.create_index([("name", 1)], unique=True)
    with pytest.raises(DuplicateKeyError):
        await collection.insert_one({"_id": -1, "name": "n500"})
    kit.store.close()


async def test_a_start_that_fails_for_a_reason_nobody_foresaw_says_so_and_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "LONGEST_START_PAUSE_SECONDS", 0.05)
    service = routing(world.kit())
    waited_for: list[str] = []

    async def fails_twice() -> None:
        waited_for.append(service.waits_for["start"])
        if len(waited_for) <= 2:
            raise RuntimeError("unforeseen")

    service.prepare.append(fails_twice)
    async with world.running(service):
        pass
    assert waited_for[1].startswith("RuntimeError")
    assert len(waited_for) == 3
    assert caplog.text.count("the service cannot start; it tries again") == 2
