"""The broker's topics, as `deploy/topics.yaml` declares them: made when they are missing, never deleted.

A family of topics has a name with `{code}`, one for each mailbox, or `{service}`, one for each service.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.messaging.connection import Kafka, client_options
from shared.yaml_files import load_yaml

DAY_MS = 86_400_000
CHUNK = 200
LED_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as declared."""

    name: str
    partitions: int
    config: Mapping[str, str]


class TopicsRefused(Exception):
    """The declared topics cannot be made."""


@dataclass(frozen=True, slots=True)
class Copies:
    """How many brokers keep a topic, and how many of them must have a message before it is acknowledged."""

    replicas: int = 0
    """0: as many as the declaration says, at most as many as there are brokers."""
    least: int = 0
    """`min.insync.replicas`; 0: one less than the replicas, so that one broker may be away."""

    def where(self, file: Path, brokers: int) -> "Copies":
        """Return what holds where there are so many brokers. A number that was asked for stays: too few brokers refuse it."""
        content = load_yaml(file)
        return self.of(self.replicas or min(int(content["replication"]), brokers))

    def of(self, replicas: int) -> "Copies":
        """Return what holds of a topic that has so many replicas."""
        return Copies(replicas, min(self.least or max(1, replicas - 1), replicas))


ONE_COPY = Copies(1, 1)
BY_BROKERS = Copies()


def declared(
    file: Path, namespace: str, codes: Iterable[str], services: Collection[str] = (), *, copies: Copies = ONE_COPY
) -> list[Topic]:
    """Return every topic with its full name.

    Args:
        file: the declaration.
        namespace: prefix of all names.
        codes: codes of the mailboxes for which topics are wanted.
        services: names of the services for which topics are wanted.
        copies: how many replicas they have, as `Copies.where` gives it.
    """
    content = load_yaml(file)
    codes = list(codes)
    topics = []
    for pattern, described in content["topics"].items():
        retention = described["retention"]
        config = {
            "retention.ms": "-1" if retention == "forever" else str(int(retention) * DAY_MS),
            "retention.bytes": "-1",
            "cleanup.policy": described.get("cleanup", "delete"),
            "min.insync.replicas": str(copies.least),
        }
        names = [pattern]
        if "{code}" in pattern:
            names = [pattern.replace("{code}", code) for code in codes]
        elif "{service}" in pattern:
            names = [pattern.replace("{service}", service) for service in services]
        topics += [Topic(namespace + name, described["partitions"], config) for name in names]
    return topics


async def copies_there(admin: Any, file: Path, namespace: str, wanted: Copies) -> Copies:
    """Return how many replicas new topics get: what was asked for, else as many as `letters` has, else by the number of brokers.

    By the brokers that answer only where there is no topic yet: with one of three away, a new mailbox's topics would get fewer.
    """
    if not wanted.replicas:
        for found in await admin.describe_topics([namespace + "letters"]):
            if found["partitions"]:
                return wanted.of(len(found["partitions"][0]["replicas"]))
    return wanted.where(file, len((await admin.describe_cluster())["brokers"]))


async def make_mailbox_topics(
    kafka: Kafka, file: Path, namespace: str, codes: Iterable[str], wanted: Copies = BY_BROKERS
) -> int:
    """Make the topics of these mailboxes that are missing, with the declared settings; return how many. Safely repeated.

    They can be used when this returns.

    Raises:
        TopicsRefused: the broker does not make them.
        KafkaError: it does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=20_000)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        families = declared(file, namespace, codes)
        common = {topic.name for topic in declared(file, namespace, ())}
        missing = {topic.name for topic in families} - common - existing
        if not missing:
            return 0
        copies = await copies_there(admin, file, namespace, wanted)
        topics = [topic for topic in declared(file, namespace, codes, copies=copies) if topic.name in missing]
        await create(admin, topics, copies.replicas)
        return len(topics)
    finally:
        await admin.close()


async def create(admin: Any, topics: Sequence[Topic], replication: int) -> None:
    """Create topics and wait until they can be used; what somebody else creates meanwhile is fine.

    Raises:
        TopicsRefused: the broker does not make them.
    """
    for start in range(0, len(topics), CHUNK):
        chunk = topics[start : start + CHUNK]
        await _create(admin, chunk, replication)
        await _until_led(admin, chunk)


async def _create(admin: Any, topics: Sequence[Topic], replication: int) -> None:
    answer = await admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, topic_configs=dict(t.config)) for t in topics]
    )
    for name, code, *rest in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise TopicsRefused(f"{name} could not be created: {for_code(code).__name__} {rest[0] if rest else ''}")


async def _until_led(admin: Any, topics: Sequence[Topic]) -> None:
    """Wait until the broker tells a leader for every partition of new topics: before that nobody can use them."""
    names = [topic.name for topic in topics]
    try:
        async with asyncio.timeout(LED_SECONDS):
            while True:
                found = await admin.describe_topics(names)
                led = [part["leader"] >= 0 for topic in found for part in topic["partitions"]]
                if len(led) == sum(topic.partitions for topic in topics) and all(led):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise TopicsRefused(
            f"new topics have no leader after {LED_SECONDS} s; look at the broker, then run this again"
        ) from None
