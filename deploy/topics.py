"""`python -m deploy.topics apply|show`: make the broker's topics as `deploy/topics.yaml` declares them.

Safely repeated: topics that are missing are created, settings that differ are changed, nothing is ever deleted. The mailboxes are those of
the directory's file and those that were added while running.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from services import NAMES
from services.kit import Kit
from services.settings import Settings, WrongSettings, load_settings
from shared.directory import DirectoryError
from shared.messaging import topics as shared_topics
from shared.messaging.connection import Kafka, client_options
from shared.messaging.topics import BY_BROKERS, DAY_MS, ONE_COPY, Copies, Topic, TopicsRefused

DECLARED = Path(__file__).with_name("topics.yaml")
CHUNK = shared_topics.CHUNK

__all__ = ["DAY_MS", "DECLARED", "Copies", "Topic", "TopicsRefused", "apply", "declared", "mailbox_codes", "remove"]


def declared(namespace: str, codes: Iterable[str], *, copies: Copies = ONE_COPY, file: Path = DECLARED) -> list[Topic]:
    """Return every topic with its full name.

    Args:
        namespace: prefix of all names.
        codes: codes of all mailboxes.
        copies: how many replicas they have.
        file: the declaration.
    """
    return shared_topics.declared(file, namespace, codes, NAMES, copies=copies)


async def apply(kafka: Kafka, namespace: str, codes: Iterable[str], wanted: Copies = BY_BROKERS) -> tuple[int, int]:
    """Create what is missing and correct what differs; return (created, changed).

    A topic that is there keeps its replicas, and `min.insync.replicas` follows from those, never from how many brokers answer just now.

    Raises:
        TopicsRefused: a topic has another number of partitions than declared.
        KafkaError: the broker does not answer.
    """
    admin = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=60_000)
    await admin.start()
    try:
        copies = await shared_topics.copies_there(admin, DECLARED, namespace, wanted)
        topics = declared(namespace, codes, copies=copies)
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics if topic.name not in existing]
        await shared_topics.create(admin, missing, copies.replicas)
        changed = 0
        for chunk in _chunks([topic for topic in topics if topic.name in existing]):
            changed += await _correct(admin, chunk, wanted)
        return len(missing), changed
    finally:
        await admin.close()


async def mailbox_codes(settings: Settings) -> list[str]:
    """Return the codes of all mailboxes: those of the file, and those that were added while running.

    Raises:
        DirectoryError: the file is refused, or contradicts the changes.
        KafkaError: the broker does not answer.
    """
    kit = Kit(settings)
    await kit.changes.read_once(missing_is_empty=True)
    return [mailbox.code for mailbox in kit.directory.mailboxes()]


async def remove(kafka: Kafka, namespace: str) -> int:
    """Delete all topics and consumer groups of a namespace (never of the empty one); return how many topics."""
    if not namespace:
        raise TopicsRefused("only the topics of a namespace can be deleted")
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        names = [name for name in await admin.list_topics() if name.startswith(namespace)]
        if names:
            await admin.delete_topics(names)
        return len(names)
    finally:
        await admin.close()


async def _correct(admin: Any, topics: list[Topic], wanted: Copies) -> int:
    real: list[Topic] = []
    for found in await admin.describe_topics([topic.name for topic in topics]):
        topic = next(t for t in topics if t.name == found["topic"])
        if found["partitions"] and len(found["partitions"]) != topic.partitions:
            raise TopicsRefused(
                f"{topic.name} has {len(found['partitions'])} partitions, deploy/topics.yaml says {topic.partitions}. "
                "Letters are ordered by partition: make a new namespace and move the data, or declare what is there."
            )
        replicas = len(found["partitions"][0]["replicas"]) if found["partitions"] else 1
        real.append(replace(topic, config={**topic.config, "min.insync.replicas": str(wanted.of(replicas).least)}))
    differing = await differing_settings(admin, real)
    if differing:
        changes = [ConfigResource(ConfigResourceType.TOPIC, t.name, configs=dict(t.config)) for t in differing]
        await admin.alter_configs(changes)
    return len(differing)


async def differing_settings(admin: Any, topics: Sequence[Topic]) -> list[Topic]:
    """Return those of the topics, all of which exist, whose settings on the broker are not the declared ones."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, t.name, configs=dict.fromkeys(t.config)) for t in topics]
    differing = []
    for answer in await admin.describe_configs(resources):
        for _, _, _, name, entries in answer.resources:
            actual = {entry[0]: entry[1] for entry in entries}
            topic = next(t for t in topics if t.name == name)
            if any(actual.get(key) != value for key, value in topic.config.items()):
                differing.append(topic)
    return differing


def _chunks(topics: list[Topic]) -> Iterable[list[Topic]]:
    return (topics[start : start + CHUNK] for start in range(0, len(topics), CHUNK))


def main(arguments: list[str] | None = None) -> int:
    """Apply or show; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.topics", description=__doc__)
    parser.add_argument("what", choices=["apply", "show"])
    what = parser.parse_args(arguments).what
    try:
        settings = load_settings()
    except WrongSettings as error:
        print(error, file=sys.stderr)
        return 2
    try:
        if what == "show":
            _show(settings)
            return 0
        created, changed = asyncio.run(_apply(settings))
    except (TopicsRefused, DirectoryError, KafkaError) as error:
        print(f"topics: {error}", file=sys.stderr)
        return 1
    print(f"topics: {created} created, {changed} changed")
    return 0


def _show(settings: Settings) -> None:
    copies = settings.copies.where(DECLARED, len(settings.kafka_bootstrap.split(",")))
    codes = [mailbox.code for mailbox in Kit(settings).directory.mailboxes()]
    for topic in declared(settings.namespace, codes, copies=copies):
        print(topic.name, topic.partitions, *(f"{key}={value}" for key, value in topic.config.items()))


async def _apply(settings: Settings) -> tuple[int, int]:
    return await apply(settings.kafka, settings.namespace, await mailbox_codes(settings), settings.copies)


if __name__ == "__main__":
    sys.exit(main())
