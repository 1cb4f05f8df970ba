"""`python -m deploy.topics apply|show`: make the broker's topics as `deploy/topics.yaml` declares them.

Safely repeated: topics that are missing are created, settings that differ are changed, nothing is ever deleted.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from services import NAMES
from services.settings import load_settings
from shared.directory import load_directory

DECLARED = Path(__file__).with_name("topics.yaml")
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


def declared(namespace: str, codes: Iterable[str], *, brokers: int = 1, file: Path = DECLARED) -> list[Topic]:
    """Return every topic with its full name.

    Args:
        namespace: prefix of all names.
        codes: codes of all mailboxes.
        brokers: how many brokers there are; bounds replication.
        file: the declaration.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    replicas = min(content["replication"], brokers)
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
            names = [pattern.replace("{service}", service) for service in NAMES]
        topics += [Topic(namespace + name, described["partitions"], config) for name in names]
    return topics


async def apply(bootstrap: str, namespace: str, codes: Iterable[str]) -> tuple[int, int]:
    """Create what is missing and correct what differs; return (created, changed).

    Raises:
        TopicsRefused: a topic has another number of partitions than declared.
        KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","), request_timeout_ms=60_000)
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        brokers = len(cluster["brokers"])
        wanted = declared(namespace, codes, brokers=brokers)
        replication = min(yaml.safe_load(DECLARED.read_text(encoding="utf-8"))["replication"], brokers)
        existing = set(await admin.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        for chunk in _chunks(missing):
            await _create(admin, chunk, replication)
            await _until_led(admin, chunk)
        changed = 0
        for chunk in _chunks([topic for topic in wanted if topic.name in existing]):
            changed += await _correct(admin, chunk)
        return len(missing), changed
    finally:
        await admin.close()


async def remove(bootstrap: str, namespace: str) -> int:
    """Delete all topics and consumer groups of a namespace (never of the empty one); return how many topics."""
    if not namespace:
        raise TopicsRefused("only the topics of a namespace can be deleted")
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(namespace)]
        if names:
            await admin.delete_topics(names)
        return len(names)
    finally:
        await admin.close()


async def _create(admin: Any, topics: list[Topic], replication: int) -> None:
    answer = await admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, topic_configs=dict(t.config)) for t in topics]
    )
    for name, code, *rest in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            raise TopicsRefused(f"{name} could not be created: {for_code(code).__name__} {rest[0] if rest else ''}")


async def _until_led(admin: Any, topics: list[Topic]) -> None:
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


async def _correct(admin: Any, topics: list[Topic]) -> int:
    for found in await admin.describe_topics([topic.name for topic in topics]):
        topic = next(t for t in topics if t.name == found["topic"])
        if found["partitions"] and len(found["partitions"]) != topic.partitions:
            raise TopicsRefused(
                f"{topic.name} has {len(found['partitions'])} partitions, deploy/topics.yaml says {topic.partitions}. "
                "Letters are ordered by partition: make a new namespace and move the data, or declare what is there."
            )
    resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, configs=dict.fromkeys(t.config)) for t in topics]
    differing = []
    for answer in await admin.describe_configs(resources):
        for _, _, _, name, entries in answer.resources:
            topic = next(t for t in topics if t.name == name)
            actual = {entry[0]: entry[1] for entry in entries}
            if any(actual.get(key) != value for key, value in topic.config.items()):
                differing.append(ConfigResource(ConfigResourceType.TOPIC, name, configs=dict(topic.config)))
    if differing:
        await admin.alter_configs(differing)
    return len(differing)


def _chunks(topics: list[Topic]) -> Iterable[list[Topic]]:
    return (topics[start : start + CHUNK] for start in range(0, len(topics), CHUNK))


def main(arguments: list[str] | None = None) -> int:
    """Apply or show; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.topics", description=__doc__)
    parser.add_argument("what", choices=["apply", "show"])
    what = parser.parse_args(arguments).what
    settings = load_settings()
    codes = [mailbox.code for mailbox in load_directory(settings.directory_file).mailboxes()]
    if what == "show":
        for topic in declared(settings.namespace, codes):
            print(topic.name, topic.partitions, *(f"{key}={value}" for key, value in topic.config.items()))
        return 0
    try:
        created, changed = asyncio.run(apply(settings.kafka_bootstrap, settings.namespace, codes))
    except (TopicsRefused, KafkaError) as error:
        print(f"topics: {error}", file=sys.stderr)
        return 1
    print(f"topics: {created} created, {changed} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
