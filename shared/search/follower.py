"""Keeps a process's search index up with the store.

What is indexed of a letter stands in the store with the place at which it was written, which an index of the store keeps in order. The
follower takes up what is newest before each answer, everything that is new every few seconds, and at times once more what was written
lately, since a write that began earlier may appear later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Generic, TypeVar

from shared.search.index_file import Damaged, IndexFile, Moved, NotReady, Unusable
from shared.storage import place

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")
T = TypeVar("T")

BATCH: Final = 500
"""Letters read and indexed at a time."""
AT_ONCE: Final = 100
"""Changes that an answer waits for; what is beyond comes with the next look."""
LOOK_SECONDS: Final = 5.0
LATE: Final = timedelta(seconds=60)
"""So much later than its place says may a change appear: longer than any write may take."""

Changes = Callable[[str, int], Awaitable[Sequence[tuple[str, str]]]]
"""(place, limit) → the changes beyond the place, (letter id, place), the oldest first; of a letter only its last one."""
Entries = Callable[[Sequence[str]], Awaitable[Mapping[str, Entry]]]
"""Letter ids → what is indexed of them now; a letter that is not to be found is left out."""


class Follower(Generic[Entry]):
    """Follows the store from the first call of `look` on; the index answers once all letters were taken up.

    Args:
        index: the index; only the follower's thread uses it.
        changes: reads what changed.
        entries: reads what is indexed.
        thorough_seconds: how often what was written lately is read again.
        rest: while the index is made anew, so many times as long as a batch took pass until the next one.
    """

    def __init__(
        self,
        index: IndexFile[Entry],
        changes: Changes,
        entries: Entries[Entry],
        *,
        thorough_seconds: float = LOOK_SECONDS,
        rest: float = 0.0,
    ) -> None:
        self._index = index
        self._changes = changes
        self._entries = entries
        self._thorough_seconds = thorough_seconds
        self._rest = rest
        self._thread = ThreadPoolExecutor(1, "search")
        self._lock = asyncio.Lock()
        self._looked = self._fresh = self._thorough = 0.0
        self.ready = False
        """Whether all letters were taken up once."""
        self.version = 0
        """Grows with each change that was taken up."""

    async def close(self) -> None:
        """Close the index."""
        await self.do(self._index.close)
        self._thread.shutdown(wait=False)

    async def look(self) -> None:
        """Take up all changes if it is time, now and then also those that appeared late.

        Raises:
            StoreUnavailable: do it again.
            Unusable: the index cannot be written; it is tried again with the next look.
        """
        now = monotonic()
        if self.ready and now - self._looked < LOOK_SECONDS:
            return
        async with self._lock:
            while True:
                thorough = not self.ready or now - self._thorough >= self._thorough_seconds
                try:
                    await self._take_up(BATCH, thorough=thorough, to_the_end=True)
                except Damaged:
                    continue  # a new file is begun
                except Unusable as error:
                    log.warning(
                        "a search index cannot be used: make room, or let the service write there",
                        extra={
                            "index": self._index.name,
                            "name_of_setting": "SEARCH_FOLDER",
                            "reason_code": error.reason,
                        },
                    )
                    raise
                break
        self.ready, self._looked = True, now
        if thorough:
            self._thorough = now

    async def fresh(self) -> None:
        """Take up the newest changes before an answer; whoever waits for another look that began later needs none of their own.

        Raises:
            NotReady: the index is being made, or cannot be written.
            StoreUnavailable: the store is away.
        """
        if not self.ready:
            raise NotReady
        asked = monotonic()
        async with self._lock:
            if self._fresh < asked:
                began = monotonic()
                await self._take_up(AT_ONCE, thorough=False, to_the_end=False)
                self._fresh = began

    async def do(self, job: Callable[..., T], *arguments: Any) -> T:
        """Let the index work in its own thread: the event loop has other requests to serve.

        Raises:
            NotReady: its file is damaged, and made anew with the next look; or it cannot be used.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)
        except Damaged:
            self.ready = False
            raise

    async def _take_up(self, limit: int, *, thorough: bool, to_the_end: bool) -> None:
        after: str = await self.do(self._index.position)
        if thorough:
            after = min(after, place(datetime.now(UTC) - LATE, ""))
        while True:
            began = monotonic()
            changes = await self._changes(after, limit)
            if changes:
                after = changes[-1][1]
                known = await self.do(self._index.known, changes)
                fresh = [(letter, moved) for letter, moved in changes if letter not in known]
                if fresh:
                    entries = await self._entries([letter for letter, _ in fresh])
                    taken = [Moved(letter, moved, entries.get(letter)) for letter, moved in fresh]
                    await self.do(self._index.take, taken, after)
                    self.version += 1
            if len(changes) < limit or not to_the_end:
                return
            if not self.ready:
                await asyncio.sleep(self._rest * (monotonic() - began))
