"""Every projection against the record, and against one that is rebuilt beside it, in databases of its own, from the same topic."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from secrets import token_hex
from types import TracebackType
from typing import Any, Final, Self

from deploy.topics import declared
from services import NAMES
from services.__main__ import build
from services.kit import Kit
from services.runtime import Service
from shared.messaging.kafka import read_from_start
from shared.storage import Store
from tests.checker.layout import BATCH, Layout
from tests.checker.report import Report
from tests.checker.town import Town

ALWAYS_NEW: Final = {"token", "stamp", "made", "as_of", "moved", "public_moved"}
"""Fields that differ with every write, or that say since when a document is as it is, by design."""
COUNTED: Final = {"seen", "version"}
"""Fields that say which facts are in a document: held against the record."""
MADE_WHEN_ASKED: Final = {"totals"}
"""Collections of which a document is there only once somebody has asked for it."""
HOLDING: Final = {"letters", "rows"}
"""Collections that have one document for each letter."""
_LETTER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass
class Shadow:
    """The five services, built and not started, on databases of their own. Use as an async context manager; it leaves nothing behind.

    They read the topics of the town and write nothing there. What was read once is not read again, so many checks of one town need one
    shadow.
    """

    town: Town
    services: list[Service] = field(default_factory=list)
    _begin: dict[int, int] = field(default_factory=dict)
    """Partition → where it is read on."""

    async def __aenter__(self) -> Self:
        settings = self.town.settings
        kit = Kit(settings)
        self.store = Store(settings.mongo_url, f"{settings.namespace}re{token_hex(3)}-")
        kit.__dict__["store"] = self.store  # of this kit alone: everything else is the town's
        self.live = Store(settings.mongo_url, settings.namespace)
        await kit.changes.read_once()
        topic = next(one for one in declared(settings.namespace, ()) if one.name == settings.namespace + "letters")
        self._begin = dict.fromkeys(range(topic.partitions), 0)
        self.services = [build(name, kit) for name in NAMES]
        for service in self.services:
            await service.parking.ensure()
            for job in service.prepare:
                await job()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self.services:
            for job in service.closing:
                await job()
            await self.store.drop(service.name)
        self.store.close()
        self.live.close()

    async def follow(self) -> None:
        """Read what the topic has got since."""
        settings = self.town.settings
        topic = settings.namespace + "letters"
        read = 0
        async for records, _ in read_from_start(settings.kafka_bootstrap, topic, BATCH, self._begin):
            for service in self.services:
                await service.replay(records)
            read += len(records)
            for record in records:
                self._begin[record.partition] = record.offset + 1
        for service in self.services if read else ():
            for job in service.rebuilt:
                await job()

    async def compare(self, layout: Layout, report: Report) -> None:
        """Compare each document of each projection."""
        for service in self.services:
            for name in sorted(set(service.derived) - MADE_WHEN_ASKED):
                await self._compare(service.name, name, layout, report)

    async def _compare(self, service: str, name: str, layout: Layout, report: Report) -> None:
        where = f"{service}/{name}"
        live, again = (_documents(store, service, name) for store in (self.live, self.store))
        held = 0
        async for key, document, rebuilt in _side_by_side(live, again):
            found = _LETTER.search(str(key))
            letter = found[0] if found else str((document or rebuilt or {}).get("letter_id", ""))
            if document is None:
                report.expect("projection.rebuild", False, letter, where, f"{_name(key)} is only in the rebuilt one")
                continue
            if name in HOLDING:
                held += 1
                _has_all(letter, document, layout, where, report)
            wrong = _different(document, rebuilt) if rebuilt is not None else ["everything"]
            report.expect("projection.rebuild", not wrong, letter, where, f"{_name(key)} differs in {', '.join(wrong)}")
        letters = layout.one("select count(*) from letters where digest != ''")
        if name in HOLDING and held < letters:
            report.violated("projection.facts", "", where, f"{letters - held} letters are not there")


def _has_all(letter: str, document: dict[str, Any], layout: Layout, where: str, report: Report) -> None:
    kept = layout.one("select seen from letters where letter = ?", letter)
    facts = json.loads(kept) if kept else {}
    seen = dict(document["seen"])
    report.expect("projection.facts", seen == facts, letter, where, f"it has seen {seen}, the record has {facts}")


def _different(document: dict[str, Any], rebuilt: dict[str, Any]) -> list[str]:
    """Return the fields that differ, with the part of the state in which they do."""
    found = []
    for name in sorted((document.keys() | rebuilt.keys()) - ALWAYS_NEW - COUNTED):
        one, other = document.get(name), rebuilt.get(name)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            parts = sorted(part for part in one.keys() | other.keys() if one.get(part) != other.get(part))
            found.append(f"{name} ({', '.join(parts)})")
        else:
            found.append(name)
    return found


def _name(key: Any) -> str:
    return f"document {str(key)[:80]}"


async def _documents(store: Store, service: str, name: str) -> AsyncIterator[dict[str, Any]]:
    """Yield all documents of a collection in the order of their ids."""
    after: Any = None
    while True:
        query = {} if after is None else {"_id": {"$gt": after}}
        cursor = store.collection(service, name).find(query).sort([("_id", 1)]).limit(BATCH)
        page = [document async for document in cursor]
        for document in page:
            yield document
        if len(page) < BATCH:
            return
        after = page[-1]["_id"]


async def _side_by_side(
    one: AsyncIterator[dict[str, Any]], other: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[tuple[Any, dict[str, Any] | None, dict[str, Any] | None]]:
    left, right = await anext(one, None), await anext(other, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left["_id"] < right["_id"]):
            assert left is not None
            yield left["_id"], left, None
            left = await anext(one, None)
        elif left is None or right["_id"] < left["_id"]:
            yield right["_id"], None, right
            right = await anext(other, None)
        else:
            yield left["_id"], left, right
            left, right = await anext(one, None), await anext(other, None)
