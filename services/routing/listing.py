"""Lists over all letters of a mailbox: filtered, sorted, searched, in pages. Read-only; the interface for whoever shows or prints one.

Each sort has an index, and each filter one in the order of receipt. A page costs a bounded amount of work, whatever is asked: where few
letters fit one of the filters they are all read and sorted here; otherwise an index is walked in order for at most so far, and the page
may come out short, with the key from where the next one goes on.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import astuple, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.routing.entries import FILTERS, Entries, entry_id, keys
from services.routing.models import State
from services.routing.placing import Place, may_find, place_of
from services.routing.repository import written
from services.routing.texts import Search, hashed
from shared.contracts.types import Nature
from shared.storage import Stored, translated
from shared.text import normalized

FEW: Final = 600
"""Entries or letters that are read and sorted here rather than walked to."""
PASSED: Final = 3_000
"""Entries of one filter that may be passed over to find those few."""
WINDOWS: Final = (1_000, 4_000, 8_000)
"""Index entries that each step of a walk may pass over: little where many fit, and more only where few do."""
SEARCHED: Final = (150, 250, 300)
"""Letters of which each step of a walk asks whether they have all bigrams of the words."""
END: Final = "~"
"""Behind every sort key."""


class Sort(StrEnum):
    """What a list is sorted by. A letter without due moment or number comes after all that have one (sorted upwards);
    one that was not registered, or not finished, is not in a list that is sorted by that.
    """

    RECEIVED = "received"
    DUE = "due"
    """The due moment of what this mailbox has in hand or waits for; finished letters have none any more."""
    NUMBER = "number"
    REGISTERED = "registered"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a mailbox's letters. All filters must fit."""

    mailbox: str
    """"": every letter of the city (`placing.CITY`)."""
    places: tuple[Place, ...] | None = None
    """Where the letter stands for this mailbox: any of these; none: anywhere."""
    nature: Nature | None = None
    domain: tuple[str, ...] = ()
    """The path of a domain: its sub-domains fit too."""
    region: str = ""
    unit: str = ""
    """The unit, with all its departments, that has the letter or answered it."""
    desk: str = ""
    """With `unit`: one mailbox of it only."""
    number: str = ""
    """`placing.number_key` of a number."""
    words: tuple[str, ...] = ()
    """All must occur in subject or body; normalized (`shared.text`), at least one of two characters."""
    dated: Sort = Sort.RECEIVED
    """Which day `since` and `until` are about: received, registered or finished."""
    since: datetime | None = None
    until: datetime | None = None
    """The end, not included; aware."""
    sort: Sort = Sort.RECEIVED
    descending: bool = False

    @property
    def fingerprint(self) -> str:
        """What a cursor of this query carries, so that no other query takes it."""
        return hashlib.sha256(repr(astuple(self)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Row:
    """A letter in a list."""

    key: str
    """Where it stands: the sort key, unique in the list."""
    letter_id: str
    place: Place
    stored: Stored[State]
    """The letter as it is now."""


@dataclass(frozen=True, slots=True)
class Portion:
    """A page."""

    rows: tuple[Row, ...]
    next: str | None
    """Give it as `after` to go on; none: this was the end."""
    short: bool = False
    """Whether the work for one page was over before it was full."""


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry as it was read."""

    key: str
    letter_id: str


_Step = tuple[Sequence[_Found], str | None]
"""Some entries in order, and the key up to which everything was looked at; none: to the end."""
_Keys = list[tuple[str, int]]


@dataclass(slots=True)
class Listing:
    """Answers queries."""

    entries: Entries
    search: Search

    async def page(self, query: Query, after: str = "", limit: int = 50) -> Portion:
        """Return at most `limit` letters behind the key `after` ("": from the start).

        A letter that a report, a discard or a move has just taken from the list is left out, even where its entry is not renewed yet.

        Raises:
            StoreUnavailable: the store is away.
        """
        rows: list[Row] = []
        done: str | None = after
        most = len(WINDOWS) * (limit + 1)
        async with aclosing(self._steps(query, after, limit + 1)) as steps:
            async for found, reached in steps:
                for start in range(0, len(found), limit + 1):
                    if most <= 0:
                        return Portion(tuple(rows), done, short=True)
                    chunk = found[start : start + limit + 1]
                    rows += await self._rows(query, chunk)
                    if len(rows) > limit:
                        return Portion(tuple(rows[:limit]), rows[limit - 1].key)
                    most, done = most - len(chunk), chunk[-1].key
                done = reached
        return Portion(tuple(rows), done, short=done is not None and len(rows) < limit)

    async def every(self, query: Query, batch: int = 200) -> AsyncIterator[tuple[Row, ...]]:
        """Yield all letters of a query in order, at most `batch` at once; each of them once."""
        after: str | None = ""
        while after is not None:
            portion = await self.page(query, after, batch)
            if portion.rows:
                yield portion.rows
            after = portion.next

    async def _rows(self, query: Query, found: Sequence[_Found]) -> list[Row]:
        letters = await self.entries.letters.get_many(one.letter_id for one in found)
        rows = []
        for one in found:
            stored, tree = letters[one.letter_id], self.entries.tree
            state = stored.state
            if state is None or not may_find(state, query.mailbox, tree) or not _has_words(state, query.words):
                continue
            place = place_of(state, query.mailbox, tree)
            if query.places is None or place in query.places:
                rows.append(Row(one.key, one.letter_id, place, stored))
        return rows

    # ── three ways to find entries ───────────────────────────────────────────────────────────────────────────────────

    async def _steps(self, query: Query, after: str, want: int) -> AsyncGenerator[_Step]:
        if query.places == ():
            yield (), None
            return
        conditions = _conditions(query)
        words = hashed(query.words)
        few, lead = await self._few(query, conditions, words, after)
        if few is not None:
            yield few, None
            return
        async for found, reached in self._walk(
            query, conditions, lead, after, SEARCHED if words else [want] * len(WINDOWS)
        ):
            yield (await self._with_words(found, words) if words else found), reached

    async def _few(
        self, query: Query, conditions: Mapping[str, Any], words: Sequence[int], after: str
    ) -> tuple[Sequence[_Found] | None, str | None]:
        """Return everything that fits, where it is little enough to be sorted here; else none, and the filter whose index to walk.

        In the order of receipt the filter that fits fewest is walked, since each has an index in that order.
        """
        if query.number:
            return await self._gathered(query, conditions, keys("number"), after), None
        if words:
            ids = await self.search.few(words, FEW)
            if ids is not None:
                entries = {"_id": {"$in": [entry_id(letter_id, query.mailbox) for letter_id in ids]}}
                return await self._gathered(query, {**conditions, **entries}, [("_id", 1)], after), None
        filters = [name for name in (*FILTERS, query.dated.value) if name in conditions]
        ordered = query.sort is Sort.RECEIVED
        fewest, name = 0, filters[0] if filters else ""
        if len(filters) > 1 or (filters and not ordered):
            counts = await asyncio.gather(*(self._count({"mailbox": query.mailbox, n: conditions[n]}) for n in filters))
            fewest, name = min(zip(counts, filters, strict=True), key=lambda one: one[0])
        if ordered and name in FILTERS:
            return None, name
        if name and not words and fewest <= PASSED:
            index = keys(name, Sort.RECEIVED.value) if name in FILTERS else keys(name)
            if await self._count(conditions, FEW, hint=index) <= FEW:
                return await self._gathered(query, conditions, index, after), None
        return None, next((one for one in filters if one in FILTERS), None) if ordered else None

    async def _count(self, conditions: Mapping[str, Any], most: int = PASSED, **how: Any) -> int:
        """Count what fits, up to one more than `most`."""
        with translated():
            counted: int = await self.entries.collection.count_documents(dict(conditions), limit=most + 1, **how)
            return counted

    async def _gathered(self, query: Query, conditions: Mapping[str, Any], index: _Keys, after: str) -> list[_Found]:
        """Return what fits, which is known to be few, in the order of the sort key."""
        sort = query.sort.value
        which = {**conditions, **_range(query, after)}
        cursor = self.entries.collection.find(which, {"_id": 0, sort: 1, "letter": 1})
        found = await _all(cursor, index, sort, FEW)
        return sorted(found, key=lambda one: one.key, reverse=query.descending)

    async def _walk(
        self, query: Query, conditions: Mapping[str, Any], lead: str | None, after: str, wants: Sequence[int]
    ) -> AsyncGenerator[_Step]:
        """Go through an index in order: that of one filter, or of the sort key alone. Several places are several walks at once."""
        branches: list[dict[str, Any]] = [{}]
        if lead == "place":
            branches = [{lead: place.value} for place in query.places or ()]
        elif lead is not None:
            branches = [{lead: conditions[lead]}]
        rest = {name: condition for name, condition in conditions.items() if name not in {"mailbox", lead}}
        index = keys(lead, query.sort.value) if lead else keys(query.sort.value)
        for window, want in zip(WINDOWS, wants, strict=True):
            edge = await self._edge(query, branches, after, index, window) if rest else None
            reach = _range(query, after, edge)
            ways = ({"mailbox": query.mailbox, **branch, **rest, **reach} for branch in branches)
            parts = await asyncio.gather(*(self._first(query, way, index, want) for way in ways))
            found = sorted((one for part in parts for one in part), key=lambda one: one.key, reverse=query.descending)
            if len(found) >= want:
                found, after = found[:want], found[want - 1].key
                yield found, after
            else:
                yield found, edge
                if edge is None:
                    return
                after = edge

    async def _edge(
        self, query: Query, branches: Sequence[Mapping[str, Any]], after: str, index: _Keys, window: int
    ) -> str | None:
        """Return the key up to which a step may go, so that it passes over no more than `window` entries; none: to the end."""
        sort, reach = query.sort.value, _range(query, after)

        async def edge(branch: Mapping[str, Any]) -> str | None:
            cursor = self.entries.collection.find({"mailbox": query.mailbox, **branch, **reach}, {"_id": 0, sort: 1})
            cursor = cursor.sort([(sort, -1 if query.descending else 1)]).hint(index)
            with translated():
                last = await cursor.skip(max(1, window // len(branches)) - 1).limit(1).to_list(1)
            return last[0][sort] if last else None

        edges = [one for one in await asyncio.gather(*map(edge, branches)) if one is not None]
        return None if not edges else max(edges) if query.descending else min(edges)

    async def _with_words(self, found: Sequence[_Found], words: Sequence[int]) -> list[_Found]:
        having = await self.entries.texts.having(words, (one.letter_id for one in found))
        return [one for one in found if one.letter_id in having]

    async def _first(self, query: Query, which: Mapping[str, Any], index: _Keys, number: int) -> list[_Found]:
        """Return the first so many entries in the order of an index."""
        sort = query.sort.value
        cursor = self.entries.collection.find(dict(which), {"_id": 0, sort: 1, "letter": 1})
        return await _all(cursor.sort([(sort, -1 if query.descending else 1)]).limit(number), index, sort, number)


async def _all(cursor: Any, index: _Keys, sort: str, most: int) -> list[_Found]:
    """Read a cursor by an index, in one round trip where it gives no more than `most`."""
    with translated():
        documents = await cursor.hint(index).batch_size(most + 1).to_list(None)
    return [_Found(document[sort], document["letter"]) for document in documents]


def _conditions(query: Query) -> dict[str, Any]:
    """Return what entries must fit, but for the range of the sort key."""
    conditions: dict[str, Any] = {"mailbox": query.mailbox}
    if query.places is not None:
        places = [place.value for place in query.places]
        conditions["place"] = places[0] if len(places) == 1 else {"$in": places}
    if query.domain:
        conditions[f"domain{len(query.domain)}"] = query.domain[-1]
    plain = {
        "nature": query.nature and query.nature.value,
        "region": query.region,
        "unit": query.unit,
        "desk": query.desk,
    }
    conditions |= {name: value for name, value in plain.items() if value}
    if query.number:
        conditions["number"] = {"$gt": query.number, "$lt": query.number + END}
    days = _days(query)
    if days and query.dated is not query.sort:
        conditions[query.dated.value] = days
    return conditions


def _days(query: Query) -> dict[str, str]:
    """Return the range of sort keys of the days that are asked for."""
    if query.since is None and query.until is None:
        return {}
    return {"$gt": written(query.since) if query.since else "", "$lt": written(query.until) if query.until else END}


def _range(query: Query, after: str, edge: str | None = None) -> dict[str, Any]:
    """Return the range of the sort key: always with both ends, or the store does not read an index in order."""
    days = _days(query) if query.dated is query.sort else {}
    low, high = days.get("$gt", ""), days.get("$lt", END)
    if query.number and query.sort is Sort.NUMBER:
        low, high = query.number, query.number + END
    upper = "$lt"
    if query.descending:
        high = min(high, after or END)
        return {query.sort.value: {"$gte" if edge else "$gt": edge or low, "$lt": high}}
    if edge is not None and edge <= high:
        high, upper = edge, "$lte"
    return {query.sort.value: {"$gt": max(low, after), upper: high}}


def _has_words(state: State, words: Sequence[str]) -> bool:
    """Whether all words occur: bigrams only say that they may."""
    letter = state.letter
    if not words or letter is None:
        return not words
    text = f"{letter.subject}\n{letter.body}"
    missing = [word for word in words if word not in text]
    if not missing:
        return True
    text = normalized(letter.subject) + " " + normalized(letter.body)
    return all(word in text for word in missing)
