"""Deadline's collection: one document per letter, with the moment at which it must be looked at next, and its running clocks in slots.

Several clocks of a letter may run at once, for several mailboxes: an assignment and the second one under it (R4.2b), instructions of
leaders. The store walks an index in order only over plain top-level fields, never over arrays or parts of a subdocument. So the running
clocks stand in numbered slots, the one that is due first in slot 0, each slot with an index of its own; a mailbox's list is merged from one
short scan per slot.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import Any

from services.deadline.domain import Condition, Rules, next_at, timed
from services.deadline.state import Clock, Clocks, Kind
from shared.contracts.reports import NAMED, keeper, named
from shared.contracts.types import subject_key
from shared.directory import Directory
from shared.storage import Aggregates, Index, Store, translated

SERVICE = "deadline"
SLOTS = 6
"""How many running clocks of one letter are listed and counted: those due first. Hand-offs follow the tree of mailboxes, so no more than
three run at once; more than three open instructions on one letter are seen on the letter itself."""

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every moment. The store walks a partial index in its order only for a range that is closed below; else it sorts, or reads all."""
_INSTANT = timedelta(milliseconds=1)


def ranges(code: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the index ranges in which the clocks of a mailbox stand: (equal fields, sort key)."""
    return (({slot.holder: code}, slot.place) for slot in _SLOTS)


def letters(store: Store, rules: Rules, directory: Directory) -> Aggregates[Clocks]:
    """Return the collection of letters. The clocks of a closed mailbox are listed with its successor's.

    `next_at` is there while something is left to declare. `holder0`, `place0` and `kind0` are the first slot. A letter on which nothing
    runs is in no index. The clocks of a report about a unit are listed for the mailbox above that unit.
    """

    def fields(state: Clocks) -> dict[str, Any]:
        running = timed(state, rules)[:SLOTS]
        found: dict[str, Any] = dict.fromkeys(_FIELDS)
        for slot, (clock, due) in zip(_SLOTS, running, strict=False):
            found[slot.holder] = keeper(state, clock.mailbox, directory)
            found[slot.place] = _place(due.at, state.letter_id, clock)
            found[slot.kind] = clock.name.value
            found[slot.since] = clock.started_at
        found["next_at"] = next_at(state, rules)
        found[NAMED] = named(state) if running else None
        return found

    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=lambda state: state.model_dump(mode="json", exclude_defaults=True),
        load=Clocks.model_validate,
        fields=fields,
        indexes=[
            Index([("next_at", 1)], only_where={"next_at": {"$exists": True}}),
            Index([(NAMED, 1)], only_where={NAMED: {"$exists": True}}),
            *(
                Index([(slot.holder, 1), (slot.place, 1)], only_where={slot.holder: {"$exists": True}})
                for slot in _SLOTS
            ),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Slot:
    """The names of a slot's fields."""

    number: int

    @property
    def holder(self) -> str:
        """Who must act."""
        return f"holder{self.number}"

    @property
    def place(self) -> str:
        """Where the clock stands in the list of its mailbox."""
        return f"place{self.number}"

    @property
    def kind(self) -> str:
        """What the clock measures."""
        return f"kind{self.number}"

    @property
    def since(self) -> str:
        """Since when it runs."""
        return f"since{self.number}"


_SLOTS = [_Slot(number) for number in range(SLOTS)]
_FIELDS = [name for slot in _SLOTS for name in (slot.holder, slot.place, slot.kind, slot.since)]


def _mark(moment: datetime) -> str:
    """Return a moment so that its order as text is its order in time."""
    return f"{int(moment.timestamp() * 1000):015d}"


def _place(due_at: datetime, letter_id: str, clock: Clock) -> str:
    """Return a clock's place in the lists: one text, unique, in the order in which clocks are due."""
    return f"{_mark(due_at)}/{letter_id}/{clock.kind.value}/{clock.id}"


async def due(letters: Aggregates[Clocks], until: datetime, *, skip: int = 0, limit: int) -> list[str]:
    """Return the ids of letters that must be looked at by `until`, the longest due first."""
    with translated():
        query = letters.collection.find({"next_at": {"$gt": BEGINNING, "$lte": until}}, {"_id": 1})
        cursor = query.sort([("next_at", 1)]).skip(skip).limit(limit)
        return [document["_id"] async for document in cursor]


async def undeclared_since(letters: Aggregates[Clocks], now: datetime) -> datetime | None:
    """Return since when the letter that is due longest has been; none: no letter is due."""
    with translated():
        query = {"next_at": {"$gt": BEGINNING, "$lte": now}}
        found = await letters.collection.find_one(query, {"next_at": 1}, sort=[("next_at", 1)])
    return None if found is None else found["next_at"]


async def open_letters(letters: Aggregates[Clocks], limit: int) -> AsyncIterator[list[str]]:
    """Yield the ids of all letters on which a clock runs, at most `limit` at a time, along the index of the mailboxes' lists.

    One whose clock moves to a later place meanwhile comes again; one that moves to a mailbox that was passed may be left out.
    """
    slot, mailbox = _SLOTS[0], ""
    while True:
        with translated():
            beyond = {slot.holder: {"$gt": mailbox, "$lt": "~"}}
            found = await letters.collection.find_one(beyond, {slot.holder: 1}, sort=[(slot.holder, 1)])
        if found is None:
            return
        mailbox, place = found[slot.holder], ""
        while page := await letters.places(
            {slot.holder: mailbox, slot.place: {"$gt": place, "$lt": "~"}}, slot.place, limit
        ):
            place = page[-1][1]
            yield [letter_id for letter_id, _ in page]


def _range(condition: Condition, now: datetime, soon: datetime, after: str | None) -> dict[str, str]:
    late, near = _mark(now + _INSTANT), _mark(soon + _INSTANT)
    first, last = {Condition.OVERDUE: ("", late), Condition.DUE_SOON: (late, near)}.get(condition, ("", "~"))
    return {"$gt": max(first, after or ""), "$lt": last}


@dataclass(frozen=True, slots=True)
class Listed:
    """A running clock in a mailbox's list."""

    place: str
    state: Clocks
    clock: Clock


async def page(
    letters: Aggregates[Clocks],
    mailbox: str,
    condition: Condition,
    after: str | None,
    limit: int,
    *,
    now: datetime,
    soon: datetime,
) -> list[Listed]:
    """Return the clocks that run for a mailbox, soonest due first, beyond the place `after`.

    Args:
        letters: the collection.
        mailbox: who must act.
        condition: `running` is all; else only those overdue, or due by `soon`.
        after: place of the last clock of the page before.
        limit: at most so many.
        now: the moment.
        soon: the latest due moment that counts as soon.
    """
    bounds = _range(condition, now, soon, after)

    async def scan(slot: _Slot) -> list[Listed]:
        with translated():
            query = {slot.holder: mailbox, slot.place: bounds}
            cursor = letters.collection.find(query, {"outbox": 0}).sort([(slot.place, 1)]).limit(limit)
            found = [(document[slot.place], letters.stored(document).state) async for document in cursor]
        return [
            Listed(place, state, clock)
            for place, state in found
            if state is not None and (clock := _clock_at(place, state)) is not None
        ]

    scans = await asyncio.gather(*(scan(slot) for slot in _SLOTS))
    return list(islice(merge(*scans, key=attrgetter("place")), limit))


def _clock_at(place: str, state: Clocks) -> Clock | None:
    _, kind, name = place.rsplit("/", 2)
    return state.find(kind, name)


@dataclass(frozen=True, slots=True)
class Figures:
    """The live figures of one mailbox's clocks (R1.4)."""

    kinds: Mapping[Kind, int]
    """Running clocks of each kind."""
    overdue_kinds: Mapping[Kind, int]
    """Those of them that are overdue."""
    due_soon: int = 0
    oldest_since: datetime | None = None
    """Since when the clock runs that runs longest."""
    oldest_due_at: datetime | None = None

    @property
    def running(self) -> int:
        """All running clocks."""
        return sum(self.kinds.values())

    @property
    def overdue(self) -> int:
        """All that are overdue."""
        return sum(self.overdue_kinds.values())


async def figures(
    letters: Aggregates[Clocks], mailbox: str, *, now: datetime, soon: datetime, reader: str = ""
) -> Figures:
    """Count the running clocks of a mailbox in one pass over its open work.

    Reports about `reader`, the subject of who asks, do not count (architecture rule 4).
    """
    unseen = _unseen(reader)
    found = await _counted(letters, lambda slot: {slot.holder: mailbox, **unseen}, now=now, soon=soon)
    return found.get(mailbox, NOTHING_RUNS)


async def figures_of_all(
    letters: Aggregates[Clocks], *, now: datetime, soon: datetime, reader: str = ""
) -> dict[str, Figures]:
    """Count the running clocks of every mailbox that has any, in one pass over all open work; reports about `reader` do not count."""
    unseen = _unseen(reader)
    return await _counted(letters, lambda slot: {slot.holder: {"$exists": True}, **unseen}, now=now, soon=soon)


def _unseen(reader: str) -> dict[str, Any]:
    return {NAMED: {"$ne": subject_key(reader)}} if reader else {}


async def _counted(
    letters: Aggregates[Clocks], match: Callable[[_Slot], dict[str, Any]], *, now: datetime, soon: datetime
) -> dict[str, Figures]:
    late, near = _mark(now + _INSTANT), _mark(soon + _INSTANT)

    async def counted(slot: _Slot) -> list[dict[str, Any]]:
        steps = [
            {"$match": {slot.place: {"$gt": "", "$lt": "~"}, **match(slot)}},
            {
                "$group": {
                    "_id": {"mailbox": f"${slot.holder}", "kind": f"${slot.kind}"},
                    "running": {"$sum": 1},
                    "overdue": _number({"$lt": [f"${slot.place}", late]}),
                    "soon": _number({"$lt": [f"${slot.place}", near]}),
                    "due": {"$min": f"${slot.place}"},
                    "since": {"$min": f"${slot.since}"},
                }
            },
        ]
        with translated():
            return [group async for group in letters.collection.aggregate(steps)]

    groups: dict[str, list[dict[str, Any]]] = {}
    for found in await asyncio.gather(*map(counted, _SLOTS)):
        for group in found:
            groups.setdefault(group["_id"]["mailbox"], []).append(group)
    return {mailbox: _figures(parts) for mailbox, parts in groups.items()}


def _figures(groups: Sequence[Mapping[str, Any]]) -> Figures:
    """Add up what the slots of one mailbox gave."""

    def total(name: str, kind: Kind | None = None) -> int:
        return sum(group[name] for group in groups if kind is None or group["_id"]["kind"] == kind.value)

    due = min(group["due"] for group in groups)
    return Figures(
        kinds={kind: total("running", kind) for kind in Kind},
        overdue_kinds={kind: total("overdue", kind) for kind in Kind},
        due_soon=total("soon") - total("overdue"),
        oldest_since=min((group["since"] for group in groups if group["since"] is not None), default=None),
        oldest_due_at=BEGINNING + timedelta(milliseconds=int(due.partition("/")[0])),
    )


def _number(condition: Any) -> dict[str, Any]:
    return {"$sum": {"$cond": [condition, 1, 0]}}


NOTHING_RUNS = Figures(kinds=dict.fromkeys(Kind, 0), overdue_kinds=dict.fromkeys(Kind, 0))
"""The figures of a mailbox on which nothing waits."""
