"""What was wrong with the Kafka client when a broker goes away, and is repaired."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, OutOfOrderSequenceNumber

from shared.messaging import repairs
from shared.messaging.broker import MAX_RECORDS, POLL_MS, committed_of, make_broker, places_of, subscribe
from tests.conftest import World, eventually


@pytest.fixture
async def producer(world: World) -> AsyncIterator[Any]:
    """A producer as services have it."""
    repairs.repair()
    made = AIOKafkaProducer(
        bootstrap_servers=world.settings.kafka_bootstrap, enable_idempotence=True, request_timeout_ms=500
    )
    await made.start()
    yield made
    await made.stop()


def lose_leaders(client: Any) -> None:
    """Make a client believe what a broker says that shuts down: nobody leads."""
    for partitions in client.cluster._partitions.values():
        for number, partition in partitions.items():
            partitions[number] = partition._replace(leader=-1)


async def test_a_batch_waits_for_its_leader_and_the_partition_goes_on_afterwards(
    world: World, producer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = world.namespace + "mailbox.mayor"
    await producer.send_and_wait(topic, b"1", partition=0)
    asked = AIOKafkaClient._metadata_update

    async def nobody_leads(client: Any, cluster: Any, topics: Any) -> bool:
        lose_leaders(client)
        await asyncio.sleep(0.05)
        return False

    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", nobody_leads)
    lose_leaders(producer.client)
    waiting = await producer.send(topic, b"2", partition=0)
    done, _ = await asyncio.wait([waiting], timeout=1.5)
    assert not done, "it was given up, and its sequence number with it"
    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", asked)
    await asyncio.wait_for(waiting, 10)
    await producer.send_and_wait(topic, b"3", partition=0)
    assert [record.value for record in await world.records("mailbox.mayor")] == [b"1", b"2", b"3"]


async def test_a_producer_whose_numbers_are_out_of_order_starts_anew(world: World, producer: Any) -> None:
    topic = world.namespace + "mailbox.mayor"
    await producer.send_and_wait(topic, b"1", partition=0)
    producer._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 5)
    with pytest.raises(OutOfOrderSequenceNumber):
        await producer.send_and_wait(topic, b"2", partition=0)
    await producer.send_and_wait(topic, b"3", partition=0)
    assert [record.value for record in await world.records("mailbox.mayor")] == [b"1", b"3"]


async def test_a_client_without_a_broker_asks_a_few_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    repairs.repair()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and nobody listens
        client: Any = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{nobody.getsockname()[1]}")
        asked = 0

        async def fail(*_: Any) -> bool:
            nonlocal asked
            asked += 1
            return False

        monkeypatch.setattr(repairs, "_ask_who_leads", fail)
        client._sync_task = asyncio.create_task(client._md_synchronizer())

        async def insist() -> None:
            while True:
                await client.force_metadata_update()

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(insist(), 2)
        await client.close()
        assert 1 < asked < 15


async def test_a_consumer_that_is_stopped_while_its_broker_is_away_does_not_cancel_who_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    repairs.repair()
    consumer = AIOKafkaConsumer(bootstrap_servers=world.settings.kafka_bootstrap, retry_backoff_ms=60_000)
    await consumer.start()
    tried = asyncio.Event()

    async def away(*_: Any, **__: Any) -> None:
        tried.set()
        raise NodeNotReadyError

    monkeypatch.setattr(consumer._client, "send", away)
    consumer.assign([TopicPartition(world.namespace + "mailbox.mayor", 0)])
    consumer.seek(TopicPartition(world.namespace + "mailbox.mayor", 0), 0)
    await asyncio.wait_for(tried.wait(), 10)
    await consumer.stop()
    assert not any(connection.connected() for connection in consumer._client._conns.values())


@dataclass
class Follower:
    """A subscriber of a pattern as services have it, and what it was given."""

    subscriber: Any
    values: list[bytes]

    @property
    def coordinator(self) -> Any:
        return self.subscriber.consumer._coordinator

    async def has(self, value: bytes) -> bool:
        return value in self.values


@pytest.fixture
async def follower(world: World, producer: Any) -> AsyncIterator[Follower]:
    """One that has had its first message."""
    values: list[bytes] = []

    async def handle(records: Any) -> None:
        values.extend(record.value for record in records)

    broker = make_broker(world.settings.kafka, "of-this-test")
    pattern = rf"^{re.escape(world.namespace)}mailbox\.(mayor|water)$"
    made = Follower(
        subscribe(broker, handle, group=world.namespace + "follower", pattern=pattern, title="mailbox"), values
    )
    await broker.start()
    await producer.send_and_wait(world.namespace + "mailbox.mayor", b"1")
    await eventually(partial(made.has, b"1"))
    yield made
    await broker.stop()


def fail_once(monkeypatch: pytest.MonkeyPatch, of: Any, name: str) -> None:
    """Let a method fail the next time, for a reason that nobody foresaw."""

    def fails(*_: Any) -> Any:
        monkeypatch.undo()
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(of, name, fails)


def test_a_request_over_a_connection_that_was_just_closed_fails_as_one_to_a_broker_that_is_away() -> None:
    repairs.repair()

    async def ask() -> None:
        async def accept(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None: ...

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        connection: Any = AIOKafkaConnection("127.0.0.1", port)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = asyncio.create_task(asyncio.Event().wait())
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            connection.send(connection_probe)
        assert not connection.connected()
        server.close()

    class Probe:
        """A request, as far as a connection looks at it."""

        def prepare(self, _: Any) -> Any:
            return self

        def build_request_header(self, **_: Any) -> Any:
            return self

        def encode(self) -> bytes:
            return b""

    connection_probe = Probe()
    uvloop.run(ask())  # as services run; asyncio's own loop says nothing of it


async def test_a_consumer_goes_on_where_its_topics_change_while_its_coordinator_is_looked_up(
    world: World, producer: Any, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it happens when a broker is killed that coordinates the group, and one that was away does not know all topics yet."""
    topic = world.namespace + "mailbox.mayor"
    look_up = follower.coordinator._client.coordinator_lookup

    async def with_fewer_topics(*asked: Any) -> Any:
        monkeypatch.undo()
        follower.coordinator._subscription.subscribe_from_pattern([topic])
        return await look_up(*asked)

    monkeypatch.setattr(follower.coordinator._client, "coordinator_lookup", with_fewer_topics)
    follower.coordinator.coordinator_dead()
    await producer.send_and_wait(topic, b"2")
    await producer.send_and_wait(world.namespace + "mailbox.water", b"3")
    await eventually(partial(follower.has, b"2"))
    await eventually(partial(follower.has, b"3"))


async def test_a_consumer_whose_place_in_its_group_is_kept_by_nobody_any_more_takes_it_again(
    world: World, producer: Any, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = world.namespace + "mailbox.mayor"
    fail_once(monkeypatch, follower.coordinator, "need_rejoin")
    follower.coordinator.request_rejoin()
    await producer.send_and_wait(topic, b"2")
    await eventually(partial(follower.has, b"2"))


async def test_a_consumer_that_ceased_to_fetch_fetches_again(
    world: World, producer: Any, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = world.namespace + "mailbox.mayor"
    fail_once(monkeypatch, follower.subscriber.consumer._fetcher, "_get_actions_per_node")
    for value in (b"2", b"3"):
        await producer.send_and_wait(topic, value)
        await eventually(partial(follower.has, value))


async def test_how_far_a_consumer_is_behind_is_known_also_where_it_cannot_fetch(
    world: World, producer: Any, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = world.namespace + "mailbox.mayor"

    async def committed() -> bool:
        return await committed_of(follower.subscriber, topic) == {0: 1}

    await eventually(committed)
    monkeypatch.setattr(repairs, "_get_up", lambda _consumer: None)
    follower.subscriber.consumer._fetcher._fetch_task.cancel()
    before = follower.subscriber.consumer._subscription.subscription.assignment
    follower.coordinator.request_rejoin()
    await eventually(lambda: is_assigned_anew(follower, before))
    await producer.send_and_wait(topic, b"2")
    async with asyncio.timeout(10):
        assert (await places_of(follower.subscriber))[topic, 0] == (1, 2)


async def is_assigned_anew(follower: Follower, before: Any) -> bool:
    now = follower.subscriber.consumer._subscription.subscription.assignment
    return now is not None and now is not before and now.active


async def test_a_client_that_follows_no_topic_asks_for_none(world: World, producer: Any) -> None:
    topic = world.namespace + "mailbox.mayor"
    assert await producer.client.force_metadata_update()
    assert not producer.client.cluster.topics()
    await producer.send_and_wait(topic, b"1")
    assert await producer.client.force_metadata_update()
    assert producer.client.cluster.topics() == {topic}


async def test_after_a_poll_that_found_nothing_it_listens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    repairs.repair()
    broker = make_broker("127.0.0.1:9", "of-this-test")

    async def handle(_: Any) -> None: ...

    subscriber = subscribe(broker, handle, group="of-this-test", topics=["letters"], title="letters")

    class Consumer:
        """Finds nothing."""

        async def getmany(self, *, timeout_ms: int, max_records: int) -> dict[Any, Any]:
            """Return that."""
            assert (timeout_ms, max_records) == (POLL_MS, MAX_RECORDS)
            return {}

    async def sleep(seconds: float) -> None:
        raise AssertionError(f"it slept for {seconds} s")

    monkeypatch.setattr(anyio, "sleep", sleep)
    monkeypatch.setattr(repairs, "_get_up", lambda _consumer: None)
    assert await subscriber.get_msg(Consumer()) == ()
