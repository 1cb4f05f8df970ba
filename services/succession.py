"""Keeps the lists right when a mailbox is closed, merged or moved in the tree, or its people change, while the service works (R1.1, R1.3).

Lists stand in index fields that are computed from a letter and the directory. Whoever writes a letter computes them anew; the others are
refreshed here, in batches, each letter only as it was read. Every process does it for itself once it knows of the change, so the last one
to know leaves everything right; and again a little later, for what was being written at that moment. What a stop interrupts is done after
the next start.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, Protocol, TypeAlias

from shared.calendar.clock import Clock
from shared.contracts.directory import MailboxChanged, MailboxClosed
from shared.contracts.reports import naming
from shared.directory.directory import subjects_of
from shared.messaging.changes import DirectoryChanges

log = logging.getLogger(__name__)

BATCH = 200
AGAIN_SECONDS = 10.0
LOOK_BACK = timedelta(days=7)
"""A change younger than that is gone through once more at start: a stop may have interrupted it."""

Ranges: TypeAlias = Callable[[str], Iterable[tuple[Mapping[str, str], str]]]
"""Mailbox → the index ranges in which its letters stand: (equal fields, sort key)."""


class Placed(Protocol):
    """A collection in whose lists letters stand: the letters themselves, or what is made of them."""

    async def places(self, query: Mapping[str, Any], place: str, limit: int) -> list[tuple[str, str]]:
        """Return at most `limit` letters that match, in the order of the index field `place`: (letter id, place)."""

    async def ids(self, query: Mapping[str, Any]) -> list[str]:
        """Return the ids of all letters that match, which are few."""

    async def refresh(self, letter_ids: Iterable[str]) -> int:
        """Place these letters anew; return how many that moved."""


class Succession:
    """A sweep that does nothing while nothing has changed.

    Args:
        changes: the directory and its changes.
        aggregates: the service's letters, or what lists of them are made of.
        ranges: where a mailbox's letters stand.
        reported: the field of a document that names the mailbox a report (举报) is about.
        clock: the clock.
    """

    def __init__(
        self, changes: DirectoryChanges, aggregates: Placed, ranges: Ranges, reported: str, clock: Clock
    ) -> None:
        self._changes = changes
        self._aggregates = aggregates
        self._ranges = ranges
        self._reported = reported
        self._clock = clock
        self._done: int | None = None
        """The directory's version up to which the lists are right."""
        self._since: int | None = None
        """Where the second time begins."""
        self._again_at: float | None = None
        self.refreshed = 0
        """How many letters were placed anew."""

    async def __call__(self) -> None:
        """Go through what the changes since the last time concern."""
        version = self._changes.directory.version
        if self._done != version:
            if self._again_at is None:
                self._since = self._done
            await self._go_through(self._done, version)
            self._done, self._again_at = version, monotonic() + AGAIN_SECONDS
        elif self._again_at is not None and monotonic() >= self._again_at:
            self._again_at = None
            await self._go_through(self._since, version)

    async def _go_through(self, after: int | None, version: int) -> None:
        whole, reports, people = self._concerned(after, version)
        for code in sorted(whole):
            await self._refresh(code, {})
        for code, inside in sorted(reports.items()):
            await self._refresh(code, {self._reported: {"$in": sorted(inside)}})
        if people:
            letter_ids = await self._aggregates.ids(naming(people))
            for first in range(0, len(letter_ids), BATCH):
                self.refreshed += await self._aggregates.refresh(letter_ids[first : first + BATCH])

    def _concerned(self, after: int | None, version: int) -> tuple[set[str], dict[str, frozenset[str]], set[str]]:
        """Return whose letters are concerned.

        They are the mailboxes all of whose letters are; those of which only reports about certain mailboxes are; and the people who work
        elsewhere than before, so that reports about them are kept from others (R1.2).
        """
        tree = self._changes.directory
        earliest = self._clock.now() - LOOK_BACK
        whole: set[str] = set()
        reports: dict[str, frozenset[str]] = {}
        people: set[str] = set()
        for fact in self._changes.live.between(after or 0, version):
            if after is None and fact["at"] < earliest:
                continue
            people |= self._changes.live.came_or_left(fact["directory_version"])
            closed = fact["what"] == MailboxClosed.__name__
            moved = fact["what"] == MailboxChanged.__name__ and "parent" in fact["changed"]
            if not (closed or moved):
                continue
            unit = tree.unit_code(tree.current(fact["mailbox"]))
            whole.add(fact["mailbox"])
            if moved:
                whole.add(unit)
            inside = tree.same_unit(unit)
            reports |= {code: inside for code in inside if tree.current(code) == code}
            people.update(*(subjects_of(tree.get(code)) for code in inside))
        return whole, reports, people

    async def _refresh(self, code: str, only: Mapping[str, Any]) -> None:
        for equal, place in self._ranges(code):
            last = ""
            while True:
                query = {**equal, place: {"$gt": last, "$lt": "~"}, **only}
                found = await self._aggregates.places(query, place, BATCH)
                if not found:
                    break
                last = found[-1][1]
                self.refreshed += await self._aggregates.refresh([letter_id for letter_id, _ in found])
                await asyncio.sleep(0)
