"""Search and filters over what is public (R9.2): the index of this process finds, the store says what is public and shows it.

The index takes up from the store what changed since it last looked, by an indexed position: before each answer what is newest, and every
few seconds once more what was written lately, since a write that began earlier may appear later. An answer only has letters that the store
shows at that moment, with their text of that moment: what was withdrawn is gone at once, whatever the index still has.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from services.publication.extracts import has_words
from services.publication.index import WINDOW, Damaged, Entry, Hit, Index, Moved, words_of
from services.publication.repository import PublicLetter, PublicSite, month_of, place
from shared.contracts.types import Nature
from shared.directory import Directory
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem

T = TypeVar("T")

BATCH: Final = 500
"""Letters read and indexed at a time."""
AT_ONCE: Final = 100
"""Changes that an answer waits for; what is beyond comes with the next look."""
LOOK_SECONDS: Final = 5.0
LATE: Final = timedelta(seconds=60)
"""So much later than its position says may a change appear: longer than any write may take."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is searched for; all of it must fit."""

    words: str = ""
    nature: Nature | None = None
    domain: str | None = None
    """Itself and all below it (R3.4)."""
    region: str | None = None
    unit: str | None = None
    """A unit with its departments, or one department."""
    month: str | None = None
    """Month of receipt: `2026-03`."""
    published: str | None = None
    """Month of publication."""

    @property
    def is_all(self) -> bool:
        """Whether nothing is asked: the whole list."""
        return self == Asked()


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what fits: by rank where words are asked for, else newest first."""

    letters: list[PublicLetter]
    next: str | None
    total: int
    """How many fit, counted up to `index.WINDOW`."""
    more: bool
    """Whether there are more than that."""


class Search:
    """One process's search. It begins when `look` is first called, and answers once it has taken up all letters.

    Args:
        site: what is public.
        directory: the directory, for units and domains.
        folder: where the index is kept from one start to the next; none: it is made anew at each start.
    """

    def __init__(self, site: PublicSite, directory: Directory, folder: Path | None) -> None:
        self._site = site
        self._directory = directory
        paths = "\n".join("/".join(domain.path) for domain in directory.all_domains())
        self._index = Index(folder, sha256(paths.encode()).hexdigest())
        self._thread = ThreadPoolExecutor(1, "search")
        self._lock = asyncio.Lock()
        self._looked = 0.0
        self._thorough = 0.0
        self._counted: tuple[int, dict[str, dict[str, int]]] = (-1, {})
        self.ready = False
        """Whether all letters were taken up once."""
        self.version = 0
        """Grows with each change that was taken up."""

    async def close(self) -> None:
        """Close the index."""
        await self._do(self._index.close)
        self._thread.shutdown(wait=False)

    # ── following the store ──────────────────────────────────────────────────────────────────────────────────────────

    async def look(self) -> None:
        """Take up all changes, every few seconds also those that appeared late."""
        now = monotonic()
        if self.ready and now - self._thorough < LOOK_SECONDS:
            return
        async with self._lock:
            while True:
                try:
                    await self._take_up(late=True)
                except Damaged:
                    self.ready = False
                else:
                    break
        self.ready, self._thorough = True, now

    async def _fresh(self) -> None:
        """Take up the newest changes before an answer; whoever waits for another look that began later needs none of their own."""
        if not self.ready:
            raise Problem(
                503,
                "检索正在准备中，请稍后再试 / The search is being prepared",
                "检索索引正在建立，一般不到一分钟；全部公开信件的列表照常可用。 / The index is being made, which takes less than a minute; "
                "the list of all published letters can be read meanwhile.",
                slug="search-not-ready",
                rule="R9.2",
                headers={"Retry-After": "10"},
            )
        asked = monotonic()
        async with self._lock:
            if self._looked < asked:
                began = monotonic()
                await self._take_up(late=False)
                self._looked = began

    async def _take_up(self, *, late: bool) -> None:
        position: str = await self._do(self._index.position)
        after = min(position, place(datetime.now(UTC) - LATE, "")) if late else position
        limit = BATCH if late else AT_ONCE
        while True:
            changes = await self._site.changes(after, limit)
            if changes:
                after = changes[-1].moved
                known = await self._do(self._index.known, [(one.letter_id, one.moved) for one in changes])
                fresh = [one for one in changes if one.letter_id not in known]
                letters = await self._site.letters([one.letter_id for one in fresh])
                taken = [Moved(one.letter_id, one.moved, self._entry(letters.get(one.letter_id))) for one in fresh]
                if taken:
                    await self._do(self._index.take, taken, after)
                    self.version += 1
            if len(changes) < limit or not late:
                return

    def _entry(self, letter: PublicLetter | None) -> Entry | None:
        if letter is None:
            return None
        kinds = [("n", letter.nature), ("r", letter.region), ("m", letter.mailbox), ("t", letter.month)]
        kinds.append(("p", month_of(letter.published_at)))
        kinds += [("d", code) for code in self._directory.path_of(letter.domain)] if letter.domain else []
        return Entry(
            number=letter.number,
            number_text=letter.number_text,
            subject=letter.subject,
            texts=(letter.body, letter.reply),
            kinds=tuple(_kind(what, code) for what, code in kinds if code),
            published_seconds=int(letter.published_at.timestamp()),
        )

    async def _do(self, job: Callable[..., T], *arguments: Any) -> T:
        """Let the index work in its own thread: the event loop has other requests to serve."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, job, *arguments)

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, asked: Asked, cursor: str | None, limit: int) -> Found:
        """Return a page of what fits; a page never repeats nor skips a letter because others are published meanwhile.

        Raises:
            Problem: 503 while the index is made, 400 for a wrong cursor.
        """
        await self._fresh()
        if asked.words:
            numbered = await self._do(self._index.numbered, asked.words)
            letters = list((await self._site.letters([numbered])).values()) if numbered else []
            if letters:
                return Found(letters, None, 1, more=False)
        words, kinds = words_of(asked.words), self._kinds(asked)
        counted = await self._do(self._index.count, words, kinds, WINDOW + 1)
        page = self._ranked(words, kinds, cursor, limit) if words else self._newest(kinds, cursor, limit)
        letters, following = await page
        return Found(letters, following, min(counted, WINDOW), more=counted > WINDOW)

    async def counts(self) -> dict[str, dict[str, int]]:
        """Return filter (`nature` …) → code → how many published letters are of it."""
        await self._fresh()
        return await self.known_counts()

    async def known_counts(self) -> dict[str, dict[str, int]]:
        """Return `counts` as of the last look, without another; nothing while the index is made."""
        if not self.ready:
            return {}
        if self._counted[0] != self.version:
            self._counted = (self.version, _sorted(await self._do(self._index.counts)))
        return self._counted[1]

    async def sizes(self) -> tuple[int, int]:
        """Return how many letters are indexed, and the bytes of the index."""
        return await self._do(self._index.sizes)

    def _kinds(self, asked: Asked) -> list[list[str]]:
        one = [
            ("n", asked.nature),
            ("d", asked.domain),
            ("r", asked.region),
            ("t", asked.month),
            ("p", asked.published),
        ]
        kinds = [[_kind(what, code)] for what, code in one if code]
        if asked.unit:
            whole = self._directory.unit_code(asked.unit) == asked.unit
            inside = self._directory.same_unit(asked.unit) if whole else {asked.unit}
            kinds.append([_kind("m", code) for code in sorted(inside)])
        return kinds

    async def _newest(
        self, kinds: Sequence[Sequence[str]], cursor: str | None, limit: int
    ) -> tuple[list[PublicLetter], str | None]:
        after = decode_cursor(cursor, int)
        before = after[0] if after else None
        shown: list[tuple[Hit, PublicLetter]] = []
        while len(shown) <= limit:
            hits = await self._do(self._index.newest, kinds, before, limit + 1)
            shown += await self._shown(hits, ())
            if len(hits) <= limit:
                break
            before = hits[-1].order
        following = encode_cursor(shown[limit - 1][0].order) if len(shown) > limit else None
        return [letter for _, letter in shown[:limit]], following

    async def _ranked(
        self, words: Sequence[str], kinds: Sequence[Sequence[str]], cursor: str | None, limit: int
    ) -> tuple[list[PublicLetter], str | None]:
        keys = decode_cursor(cursor, int, int, int, int)
        high, low, score, order = keys or (None, None, None, None)
        window = await self._do(self._index.ranked, words, kinds, high, low)
        waiting = iter([hit for hit in window.hits if keys is None or (hit.score, hit.order) < (score, order)])
        shown: list[tuple[Hit, PublicLetter]] = []
        following = None
        while True:
            hits = list(islice(waiting, limit + 1 - len(shown)))
            shown += await self._shown(hits, words)
            if len(shown) > limit:
                following = following or _after(window.high, window.low, shown[limit - 1][0])
                return [letter for _, letter in shown[:limit]], following
            if len(shown) == limit:
                following = _after(window.high, window.low, shown[-1][0])
            if not hits:
                if not window.more:
                    return [letter for _, letter in shown], None
                window = await self._do(self._index.ranked, words, kinds, window.low, None)
                waiting = iter(window.hits)

    async def _shown(self, hits: Sequence[Hit], words: Sequence[str]) -> list[tuple[Hit, PublicLetter]]:
        """Return those that are public and still have the words, as the store has them now."""
        letters = await self._site.letters([hit.letter for hit in hits])
        found = [(hit, letters[hit.letter]) for hit in hits if hit.letter in letters]
        return [(hit, letter) for hit, letter in found if has_words((letter.subject, letter.body, letter.reply), words)]


_FILTERS: Final = {"n": "nature", "d": "domain", "r": "region", "m": "mailbox", "t": "month", "p": "published"}


def _sorted(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {name: {} for name in _FILTERS.values()}
    for kind, number in counts.items():
        what, _, code = kind.partition(":")
        found[_FILTERS[what]][unquote(code)] = number
    return found


def _kind(what: str, code: str) -> str:
    return f"{what}:{quote(code, safe='')}"


def _after(high: int, low: int, last: Hit) -> str:
    return encode_cursor(high, low, last.score, last.order)
