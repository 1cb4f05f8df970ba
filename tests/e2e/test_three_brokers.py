"""Three brokers, two of which must have a message: one dies and everything goes on, another dies and nothing false is promised."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy import topics
from deploy.demo.city import Refused
from deploy.engines import Engines, Urls
from deploy.engines.cluster import Cluster
from services import NAMES
from tests.chaos.ledger import Acknowledged, Ledger, Numbered
from tests.checker import Town
from tests.conftest import World, eventually, new_world
from tests.e2e.fleet import ROOT, Fleet
from tests.e2e.journey import Fate, Journey, Tale
from tests.e2e.stream import Stream, arrived_once
from tests.e2e.test_engines_away import all_say

AT = "2026-03-02T10:00:00+08:00"
SECONDS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three nodes that may be killed: nobody else's."""
    own = Cluster("three")
    own.reset()
    try:
        own.up()
        yield own
    finally:
        own.reset()


@pytest.fixture
async def city_on_three(engines: Engines, cluster: Cluster, keys: Path, tmp_path: Path) -> AsyncIterator[Fleet]:
    """The five services on them; the store is the one that all tests share."""
    urls = Urls(cluster.bootstrap, engines.urls().mongo_url)
    async with new_world(urls, keys, tmp_path) as world:
        fleet = Fleet(world, tmp_path)
        yield fleet
        fleet.kill_all()


async def _kept_by_three(world: World, *topic_names: str) -> bool:
    """Whether three brokers keep each partition of these topics, and two must have a message."""
    return await _kept(world, *topic_names) == {(name, 3, "2") for name in topic_names}


async def _made(world: World, code: str) -> int:
    """Make the topics of a mailbox, again while the broker that died is still believed in; return how many topics were changed by it."""
    changed = []

    async def made() -> bool:
        try:
            changed.append((await topics.apply(world.settings.kafka_bootstrap, world.namespace, [code]))[1])
        except (KafkaError, topics.TopicsRefused):
            return False
        return await _kept_by_three(world, f"mailbox.{code}", f"actions.{code}")

    await eventually(made, SECONDS)
    return sum(changed)


async def _kept(world: World, *topic_names: str) -> set[tuple[str, int, str]]:
    """(Topic, how many brokers keep a partition of it, how many of them must have a message)."""
    names = [world.namespace + name for name in topic_names]
    admin = AIOKafkaAdminClient(bootstrap_servers=world.settings.kafka_bootstrap.split(","))
    await admin.start()
    try:
        resources = [ConfigResource(ConfigResourceType.TOPIC, name, {"min.insync.replicas": None}) for name in names]
        least = {
            name: entries[0][1] if entries else ""  # a broker that has not heard of the topic yet
            for answer in await admin.describe_configs(resources)
            for _, _, _, name, entries in answer.resources
        }
        return {
            (found["topic"].removeprefix(world.namespace), len(part["replicas"]), least[found["topic"]])
            for found in await admin.describe_topics(names)
            for part in found["partitions"]
        }
    finally:
        await admin.close()


def _ledger(folder: Path, journey: Journey, streams: list[Stream]) -> None:
    ledger = Ledger(folder)
    for tale in journey.tales:
        ledger.add(Acknowledged(AT, tale.key, tale.receipt, tale.body))
        if tale.serial:
            ledger.add(Numbered(AT, tale.letter_id, tale.serial))
    for stream in streams:
        for subject, receipt in stream.accepted.items():
            body = Tale(0, Fate.ANSWERED, "water").body | {"subject": subject}
            ledger.add(Acknowledged(AT, subject, receipt, body))


async def _checked(folder: Path) -> tuple[int | None, str]:
    """Check as whoever keeps the folder does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.checker", str(folder)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.timeout(600)  # three nodes start side by side, twice
async def test_one_broker_dies_then_another_and_no_letter_that_was_promised_is_lost(
    city_on_three: Fleet, cluster: Cluster, tmp_path: Path
) -> None:
    fleet, world = city_on_three, city_on_three.world
    await eventually(lambda: _kept_by_three(world, "letters", "submissions", "mailbox.water"))
    await fleet.up()
    async with fleet.city() as city:
        journey, streams = Journey(world, [city]), [Stream(city, 1000 * n) for n in (1, 2)]

        def accepted() -> int:
            return sum(len(stream.accepted) for stream in streams)

        async def more_than(count: int) -> None:
            async def there() -> bool:
                return accepted() > count

            await eventually(there, SECONDS)

        async with asyncio.TaskGroup() as group:
            posting = [group.create_task(stream.run()) for stream in streams]
            going = group.create_task(journey.first_weeks())
            await journey.reached("screened", 2)

            await asyncio.to_thread(cluster.kill, 1)
            await more_than(accepted() + 20)
            await going
            await all_say(fleet, "/health/ready", 200)
            # What is made while a broker is away is made for three all the same, and nothing that is there loses its guard.
            assert await _made(world, "north") == 0

            await asyncio.to_thread(cluster.kill, 2)
            await all_say(fleet, "/health/ready", 503)
            await all_say(fleet, "/health/live", 200)
            with pytest.raises(Refused) as refused:
                await city.submit(Tale(1, Fate.ANSWERED, "water").body | {"subject": "只剩一个节点时的来信"})
            assert (refused.value.status, refused.value.retry_after > 0) == (503, True)
            before = accepted()

            await asyncio.to_thread(cluster.start, 1, 2)
            await all_say(fleet, "/health/ready", 200)
            await more_than(before + 20)
            for stream in streams:
                stream.stop()
            await asyncio.gather(*posting)
        for stream in streams:
            await arrived_once(city, stream.accepted)
        await journey.get_late()
        await journey.end()
        _ledger(tmp_path, journey, streams)
        Town({name: [fleet.of(name).url] for name in NAMES}, world.environment(), world.keys).save(tmp_path)
        status, said = await _checked(tmp_path)
        assert status == 0, said
        report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert report["invariants"]["letter.there"]["checked"] == accepted() + len(journey.tales)
