"""Fixtures on real engines: a namespace of its own for each test, a clock that can be moved, services on the running loop."""

import asyncio
import itertools
import logging
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy import topics
from deploy.demo.city import Refused
from deploy.engines import Engines, Urls
from deploy.ops.cluster import Lag, lags
from services import NAMES
from services.__main__ import spare_the_collector
from services.application import application
from services.kit import Kit
from services.runtime import Service
from services.settings import Settings
from shared.calendar.clock import write_clock_file
from shared.contracts.catalogue import parse
from shared.contracts.envelope import Outgoing, attributes, pack_fact
from shared.contracts.facts import Fact
from shared.contracts.types import Value
from shared.messaging.connection import client_options
from shared.security.issue import ensure_keys, issue_token

DATA = Path(__file__).parent / "data"
MONDAY = datetime.fromisoformat("2026-03-02T09:30:00+08:00")
"""A working Monday; the next ten working days hold no holiday."""


# Topics come and go here all the time, and the client's log of it would bury what a failing test has to say.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


LONGEST = (
    "test_demo.py",
    "test_chaos.py",
    "test_alerts_fire.py",
    "test_replay.py",
    "test_engines_away.py",
    "test_rolling.py",
    "test_kills.py",
    "test_three_brokers.py",
    "test_credentials.py",
    "test_fuzzed_requests.py",
    "test_pages_accessible.py",
    "test_reports.py",
    "test_checker.py",
    "test_ops_rebuild.py",
    "test_directory_changes.py",
    "test_routing.py",
    "test_ops_erase.py",
    "test_access.py",
    "test_publication_markers.py",
    "test_reporting_pages_accessible.py",
    "test_whole_handling.py",
    "test_abuse_patterns.py",
    "test_fuzzed_messages.py",
)
"""These files begin first, so that the workers, each of which takes whole files, end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Tests and their modules stay, too."""
    spare_the_collector()


async def eventually(probe: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """Return what `probe` returns as soon as it is true; fail with its last answer or error after `seconds`.

    The longer it takes, the less often it asks, for what is waited for runs on the same cores. Whoever asks a service and is put off
    (503: nothing was done, come again) comes again.
    """
    last: Any = None
    pause = 0.02
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    last = await probe()
                except AssertionError as error:
                    last = error
                except Refused as refused:
                    if refused.status != 503:
                        raise
                    last = refused
                else:
                    if last:
                        return last
                await asyncio.sleep(pause)
                pause = min(0.2, pause * 1.2)
    except TimeoutError:
        raise AssertionError(f"did not happen within {seconds} s; last: {last!r}") from None


def without_engines() -> dict[str, str]:
    """The environment without engines that are somebody else's: for a test that needs some of its own."""
    return {name: value for name, value in os.environ.items() if name not in {"KAFKA_BOOTSTRAP", "MONGO_URL"}}


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """The engines all tests share; those given by the environment are used as they are."""
    shared = Engines(os.environ.get("TEST_ENGINES", "test"))
    started = not shared.running()
    shared.up()
    yield shared
    if started:
        shared.down()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key pair and its JWKS."""
    folder = tmp_path_factory.mktemp("keys")
    ensure_keys(folder)
    return folder


@dataclass
class World:
    """One test's own topics, databases and clock."""

    settings: Settings
    clock_file: Path
    keys: Path
    _seq: dict[tuple[str, str], "itertools.count[int]"] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """Prefix of everything this test makes."""
        return self.settings.namespace

    def kit(self, **changes: Any) -> Kit:
        """A new set of resources, as another process would have."""
        return Kit(self.settings.model_copy(update=changes))

    def environment(self) -> dict[str, str]:
        """The same settings for a service in a process of its own."""
        return {
            "KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "MONGO_URL": self.settings.mongo_url,
            "NAMESPACE": self.namespace,
            "DIRECTORY_FILE": str(self.settings.directory_file),
            "CLOCK_FILE": str(self.clock_file),
            "JWKS_FILE": str(self.keys / "jwks.json"),
            "SWEEP_SECONDS": str(self.settings.sweep_seconds),
            "BULLETIN_PUBLIC": str(self.settings.bulletin_public),
        }

    def move_clock(self, to: datetime, rate: float = 1.0) -> None:
        """Let it be `to` for every process of this test."""
        write_clock_file(self.clock_file, to, rate, backwards=True)

    def token(self, subject: str, mailbox: str, *roles: str) -> dict[str, str]:
        """The headers of a request by this person."""
        return {"Authorization": f"Bearer {issue_token(subject, mailbox, roles, keys_dir=self.keys)}"}

    @asynccontextmanager
    async def running(self, *services: Service) -> AsyncIterator[httpx.AsyncClient]:
        """Run services until they are ready; the client speaks to their origin."""
        app = application(services, services[0].kit)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:

                async def ready() -> bool:
                    return (await client.get("/health/ready")).status_code == 200

                await eventually(ready, 30)
                yield client

    async def publish(self, *facts: Fact, seq: int | None = None) -> None:
        """Put facts on `letters`, each with the next `seq` of its source on its letter (or `seq`)."""
        messages = []
        for fact in facts:
            counter = self._seq.setdefault((fact.letter_id, fact.source), itertools.count(1))
            number = next(counter) if seq is None else seq
            messages.append(pack_fact(fact, number))
        await self.send(*messages)

    async def send(self, *messages: Outgoing) -> None:
        """Put messages on their topics, in this order."""
        producer = AIOKafkaProducer(**client_options(self.settings.kafka), acks="all")
        try:
            await producer.start()
            sent = [
                await producer.send(
                    self.namespace + message.topic,
                    message.value,
                    key=message.key.encode(),
                    headers=[(name, text.encode()) for name, text in message.headers.items()],
                )
                for message in messages
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def produce(self, topic: str, key: str, value: bytes, headers: dict[str, str]) -> None:
        """Put one raw message on a topic (without namespace)."""
        await self.send(Outgoing("", topic, key, headers, value))

    async def records(self, topic: str) -> list[Any]:
        """Everything that is on a topic now."""
        name = self.namespace + topic
        code = topic.partition(".")[2]  # of a mailbox's topic; it may have been added while the test runs
        count = next(t.partitions for t in topics.declared(self.namespace, [code]) if t.name == name)
        partitions = [TopicPartition(name, partition) for partition in range(count)]
        consumer = AIOKafkaConsumer(**client_options(self.settings.kafka), auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[Any] = []
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    found += batch
            return sorted(found, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    async def messages(self, topic: str) -> list[Value]:
        """The messages that are on a topic now, read by their types; of a fact that was sent twice only the first."""
        found: dict[Any, Value] = {}
        for record in await self.records(topic):
            envelope = attributes(record.headers)
            key = (
                (envelope.subject, envelope.source, envelope.seq) if envelope.seq else (record.partition, record.offset)
            )
            found.setdefault(key, parse(envelope.type, record.value))
        return list(found.values())

    async def caught_up(self, *services: str, seconds: float = 20) -> None:
        """Wait until these services (none named: all five) have handled, and committed, all that is on their topics."""

        async def even() -> bool:
            left = [place for place in await self._places(services) if place.behind]
            assert not left, left
            return True

        await eventually(even, seconds)

    async def settled(self, *services: str, seconds: float = 120) -> None:
        """Wait until these services (none named: all five) have handled what is on their topics and sent what they decided on it.

        Nothing follows any more then, but from services that are not named, and from the clock.
        """
        kit = self.kit()

        async def at_rest() -> bool:
            places = await self._places(services)
            assert not any(place.behind for place in places)
            for service in services or NAMES:
                await kit.store.follow(service)
                for name in await kit.store.database(service).list_collection_names():
                    live = kit.store.collection(service, name)
                    assert not await live.count_documents({"unsent": {"$exists": True}}), (service, name)
            assert await self._places(services) == places, "something came meanwhile"
            return True

        await eventually(at_rest, seconds)
        kit.store.close()

    async def _places(self, services: Sequence[str]) -> list[Lag]:
        """How far the groups of these services are in each partition."""
        return [place for place in await lags(self.settings) if place.group.partition("-")[0] in (services or NAMES)]

    async def forget(self, service: str) -> None:
        """Throw away every document of a service, as if its database were new.

        The database stays: one that is dropped and made anew under the same name while other tests drop theirs may read as empty for a
        moment, though all was written (PostgreSQL's DocumentDB).
        """
        kit = self.kit()
        database = kit.store.database(service)
        for name in await database.list_collection_names():
            await database[name].delete_many({})
        kit.store.close()

    async def facts_of(self, letter_id: str) -> list[Fact]:
        """The facts on one letter as published, the first of each `seq` only."""
        return [f for f in await self.messages("letters") if isinstance(f, Fact) and f.letter_id == letter_id]


@asynccontextmanager
async def new_world(
    urls: Urls, keys: Path, folder: Path, make: type[World] = World, **changes: Any
) -> AsyncIterator[World]:
    """Topics and databases of a test's own, thrown away at its end; the clock stands at Monday 2026-03-02 09:30 and runs."""
    clock_file = folder / "clock.json"
    settings = Settings(
        kafka_bootstrap=urls.kafka_bootstrap,
        mongo_url=urls.mongo_url,
        namespace=f"t{secrets.token_hex(4)}-",
        directory_file=DATA / "directory.yaml",
        clock_file=clock_file,
        sweep_seconds=0.2,
        bulletin_public=True,
        **changes,
    )
    made = make(settings, clock_file, keys)
    made.move_clock(MONDAY)
    kit = made.kit()
    codes = [mailbox.code for mailbox in kit.directory.mailboxes()]
    await topics.apply(settings.kafka, settings.namespace, codes)
    yield made
    for name in NAMES:
        await kit.store.drop(name)
    kit.store.close()
    await topics.remove(settings.kafka, settings.namespace)


@pytest.fixture
async def world(engines: Engines, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A world of the test's own on the shared engines."""
    monkeypatch.setenv("JWKS_FILE", str(keys / "jwks.json"))
    async with new_world(engines.urls(), keys, tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Any]:
    """One browser for all tests that look at pages; `tests/browser.py` says how."""
    from tests.browser import launched  # noqa: PLC0415 - which needs what is in this file

    async with launched() as started:
        yield started
