"""What was wrong with the Kafka client when a broker goes away, and is repaired."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NodeNotReadyError, OutOfOrderSequenceNumber

from shared.messaging import repairs
from shared.messaging.broker import MAX_RECORDS, POLL_MS, make_broker, subscribe
from tests.conftest import World


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
    assert await subscriber.get_msg(Consumer()) == ()
