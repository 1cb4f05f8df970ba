"""The broker's topics, as `deploy/topics.yaml` declares them: made when they are missing, never deleted.

A family of topics has a name with `{code}`, one for each mailbox, or `{service}`, one for each service.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from shared.messaging.connection import Kafka, client_options

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


def replication_of(file: Path, brokers: int) -> int:
    """Return how many replicas each topic has where there are so many brokers."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return min(int(content["replication"]), brokers)


def declared(
    file: Path, namespace: str, codes: Iterable[str], services: Collection[str] = (), *, brokers: int = 1
) -> list[Topic]:
    """Return every topic with its full name.

    Args:
        file: the declaration.
        namespace: prefix of all names.
        codes: codes of the mailboxes for which topics are wanted.
        services: names of the services for which topics are wanted.
        brokers: how many brokers there are; bounds replication.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    replicas = min(content["replication"], brokers)
    codes = list(codes)
    topics = []
    for pattern, described in content["topics"].items():
        retention = described["retention"]
        config = {
            "retention.ms": "-1" if retention == "forever" else str(int(retention) * DAY_MS),
            "retention.bytes": "-1",
            "cleanup.policy": described.get("cleanup", "delete"),
            "min.insync.replicas": str(max(1, replicas - 1)),
        }
        names = [pattern]
        if "{code}" in pattern:
            names = [pattern.replace("{code}", code) for code in codes]
        elif "{service}" in pattern:
            names = [pattern.replace("{service}", service) for service in services]
        topics += [Topic(namespace + name, described["partitions"], config) for name in names]
    return topics


async def make_mailbox_topics(kafka: Kafka, file: Path, namespace: str, codes: Iterable[str]) -> int:
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
        wanted = {topic.name for topic in families} - common - existing
        if not wanted:
            return 0
        brokers = len((await admin.describe_cluster())["brokers"])
        topics = [topic for topic in declared(file, namespace, codes, brokers=brokers) if topic.name in wanted]
        await create(admin, topics, replication_of(file, brokers))
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
