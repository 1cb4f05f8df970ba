"""Search and filters over what is public (R9.2): the index of this process finds, the store says what is public and shows it.

An answer only has letters that the store shows at that moment, with their text of that moment: what was withdrawn is gone at once, whatever
the index still has.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from services.publication.extracts import has_words
from services.publication.index import WINDOW, Entry, Hit, Index, words_of
from services.publication.repository import PublicLetter, PublicSite, month_of
from shared.contracts.types import Nature
from shared.directory import Directory
from shared.search import Follower, NotReady
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem

T = TypeVar("T")


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
        self._follower: Follower[Entry] = Follower(self._index, site.changes, self._entries)
        self._counted: tuple[int, dict[str, dict[str, int]]] = (-1, {})
        self.look = self._follower.look
        self.close = self._follower.close

    @property
    def version(self) -> int:
        """Grows with each change that was taken up."""
        return self._follower.version

    # ── following the store ──────────────────────────────────────────────────────────────────────────────────────────

    async def _entries(self, letter_ids: Sequence[str]) -> dict[str, Entry]:
        return {key: self._entry(letter) for key, letter in (await self._site.letters(letter_ids)).items()}

    def _entry(self, letter: PublicLetter) -> Entry:
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

    async def _fresh(self) -> None:
        with _prepared():
            await self._follower.fresh()

    async def _do(self, job: Callable[..., T], *arguments: Any) -> T:
        with _prepared():
            return await self._follower.do(job, *arguments)

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find(self, asked: Asked, cursor: str | None, limit: int) -> Found:
        """Return a page of what fits; a page never repeats nor skips a letter because others are published meanwhile.

        Raises:
            Problem: 503 while the index is made, 400 for a wrong cursor.
        """
        await self._fresh()
        kinds = self._kinds(asked)
        if asked.words:
            numbered = await self._do(self._index.numbered, asked.words)
            named = (await self._site.letters([numbered])).values() if numbered else ()
            letters = [letter for letter in named if self._fits(letter, kinds)]
            if letters:
                return Found(letters, None, 1, more=False)
        words = words_of(asked.words)
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
        if not self._follower.ready:
            return {}
        if self._counted[0] != self.version:
            self._counted = (self.version, _sorted(await self._do(self._index.counts)))
        return self._counted[1]

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
            kinds.append([_kind("m", code) for code in sorted(self._answering(asked.unit))])
        return kinds

    def _fits(self, letter: PublicLetter, kinds: Sequence[Sequence[str]]) -> bool:
        own = frozenset(self._entry(letter).kinds)
        return all(not own.isdisjoint(one) for one in kinds)

    def _answering(self, unit: str) -> Collection[str]:
        """Return the mailboxes whose answers are counted as a unit's, with those of what was closed into it; a department stands alone."""
        known = self._directory
        if known.unit_code(unit) != unit:
            return (unit,)
        here = [box.code for box in known.mailboxes() if known.unit_code(known.current(box.code)) == unit]
        return here or known.same_unit(unit)  # it is closed itself

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


@contextmanager
def _prepared() -> Iterator[None]:
    """Answer 503 while the index is made."""
    try:
        yield
    except NotReady as error:
        raise Problem(
            503,
            "检索正在准备中，请稍后再试 / The search is being prepared",
            "检索索引正在建立，一般不到一分钟；全部公开信件的列表照常可用。 / The index is being made, which takes less than a minute; "
            "the list of all published letters can be read meanwhile.",
            slug="search-not-ready",
            rule="R9.2",
            headers={"Retry-After": "10"},
        ) from error


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
