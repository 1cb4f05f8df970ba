"""Looks for a person's data everywhere: each document of each database, each record of each topic."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.ops.cluster import admin, bounds, consumer, parts_of, read_range, topics_of
from deploy.ops.console import Ops
from shared.storage.dump import collections, databases, raw_documents

SHORT = 6
"""A marker of fewer characters that is no number, such as a name, counts only where the letter's id stands, too: others bear that name."""


@dataclass
class Found:
    """Where the person's data stands."""

    documents: Counter[str] = field(default_factory=Counter)
    """`database.collection` → documents."""
    records: Counter[str] = field(default_factory=Counter)
    """Topic → records."""
    until: dict[str, datetime | None] = field(default_factory=dict)
    """Topic → when the last of them expires; None: it is kept for ever."""

    def answer(self) -> list[dict[str, Any]]:
        """Return it for programs."""
        stored = [{"where": f"store {name}", "count": count} for name, count in sorted(self.documents.items())]
        on_topics = [
            {"where": f"topic {name}", "count": count, "until": self.until.get(name)}
            for name, count in sorted(self.records.items())
        ]
        return [*stored, *on_topics]


class Markers:
    """By what a person's data is known."""

    def __init__(self, letter_id: str, texts: Iterable[str]) -> None:
        self.id = letter_id.encode()
        found = {text.strip() for text in texts if len(text.strip()) >= 2}
        self.sure = [t.encode() for t in found if len(t) >= SHORT]
        self.short = [t.encode() for t in found if len(t) < SHORT]

    def here(self, *parts: bytes) -> bool:
        """Whether any of them stands in what belongs together."""
        if any(marker in part for part in parts for marker in self.sure):
            return True
        return any(self.id in part for part in parts) and any(m in part for part in parts for m in self.short)


async def scan(ops: Ops, markers: Markers) -> Found:
    """Read everything there is and say where the markers stand. It costs reading all databases and topics once.

    Raises:
        StoreUnavailable, KafkaError: it could not be read to the end.
    """
    found = Found()
    for database in await databases(ops.store):
        for collection in await collections(ops.store, database):
            ops.progress(f"scan {database}.{collection}")
            async for raw in raw_documents(ops.store, database, collection):
                if markers.here(raw):
                    found.documents[f"{database}.{collection}"] += 1
    namespace = ops.settings.namespace
    async with admin(ops.settings) as asking, consumer(ops.settings) as reading:
        there = await topics_of(asking, namespace)
        retention = await _retention(asking, list(there))
        parts = parts_of(there)
        for place, (begin, end) in sorted((await bounds(reading, parts)).items()):
            topic = place.topic.removeprefix(namespace)
            ops.progress(f"scan {topic}/{place.partition}")
            async for records in read_range(reading, place, begin, end):
                for record in records:
                    headers = (value or b"" for _, value in record.headers)
                    if markers.here(record.key or b"", record.value or b"", *headers):
                        found.records[topic] += 1
                        _note(found, topic, record.timestamp, retention[place.topic])
    return found


def _note(found: Found, topic: str, timestamp: int, kept: timedelta | None) -> None:
    if kept is None:
        found.until[topic] = None
        return
    last = found.until.get(topic) or datetime(1970, 1, 1, tzinfo=UTC)
    found.until[topic] = max(last, datetime.fromtimestamp(timestamp / 1000, UTC) + kept)


async def _retention(client: Any, names: list[str]) -> dict[str, timedelta | None]:
    """Return how long each topic keeps a record; None: for ever."""
    found: dict[str, timedelta | None] = {}
    for start in range(0, len(names), 200):
        wanted = [
            ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": None})
            for name in names[start : start + 200]
        ]
        for answer in await client.describe_configs(wanted):
            for _, _, _, name, entries in answer.resources:
                milliseconds = int({entry[0]: entry[1] for entry in entries}["retention.ms"])
                found[name] = None if milliseconds < 0 else timedelta(milliseconds=milliseconds)
    return found
