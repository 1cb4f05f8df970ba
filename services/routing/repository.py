"""Routing's collection of letters and its lists.

A letter stands in the lists of several mailboxes: of the one that has it (`holder`) and of those that handed it on and wait (`out0` …),
the nearest first. What else waits for somebody (an application, a citizen to be told …) stands in `task0` …. Each of these fields is
one text, `<place>|<mailbox>`; a list is some of these texts, read in the order of `order`, `<since>|<letter id>`. A page is one short
index range for each: the store scans an index in order only where the key is one plain field (no array) and the sort key has a range.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from services.routing.access import Tree, acting, unit_of
from services.routing.models import CLOSED, Stage, State
from shared.contracts.reports import NAMED, named
from shared.contracts.types import Moment, Way
from shared.storage import Aggregates, Index, Store, Stored

SERVICE = "routing"
HOLDER: Final = "holder"
OUT: Final = tuple(f"out{number}" for number in range(3))
"""The tree has three levels, so no more than three mailboxes wait for one letter."""
TASKS: Final = tuple(f"task{number}" for number in range(6))
"""What waits beyond six tasks on one letter comes into its list once an earlier one is done."""
WAITING: Final = "out"


class ListName(StrEnum):
    """The lists of a mailbox."""

    PENDING = "pending"
    """拟办: registered, forwarded, submitted or returned to this mailbox; no slip waits."""
    SLIPS = "slips"
    """Slips that wait for the head."""
    SUBMITTED = "submitted"
    """呈批: letters that wait for this mailbox's leader (R4.4)."""
    IN_HAND = "in-hand"
    """Handed on by this mailbox and not finished."""
    ARRIVALS = "arrivals"
    """Handed to this mailbox and not collected."""
    COLLECTED = "collected"
    """Collected, the reply not approved; or answered directly by this mailbox, the citizen not answered yet."""
    REPLIES = "replies"
    """A draft waits for this mailbox's head, or the assignee's reply waits for this mailbox's answer to the citizen."""
    FINISHED = "finished"
    """The citizen has an answer; newest first."""
    RETURNED = "returned"
    """Returned to this mailbox and to be disposed of anew (R5.1)."""
    TO_TELL = "to-tell"
    """Forwarded by this mailbox, the citizen not told yet where to (R4.3)."""
    EXTENSIONS = "extensions"
    """Applications for more time that wait for this mailbox (R6.4)."""
    INSTRUCTIONS = "instructions"
    """Leaders' instructions that this mailbox's staff follow (R8.1)."""
    FLAGGED = "flagged"
    """Letters that go to and fro, for the duty office (R5.1)."""
    UNREAD = "unread"
    """Not opened yet (R3.1). This list and the next stand in `entries` only."""
    ALL = "all"
    """Every letter that belongs to this mailbox or was handed to it (R10.2)."""


def _held(*stages: Stage) -> tuple[tuple[str, str], ...]:
    return tuple((HOLDER, stage.value) for stage in stages)


LISTS: Final[Mapping[ListName, tuple[tuple[str, str], ...]]] = {
    ListName.PENDING: _held(Stage.PENDING),
    ListName.SLIPS: _held(Stage.SLIP),
    ListName.SUBMITTED: _held(Stage.SUBMITTED),
    ListName.IN_HAND: (*((field, WAITING) for field in OUT), *_held(Stage.REPLIED)),
    ListName.ARRIVALS: _held(Stage.SENT),
    ListName.COLLECTED: _held(Stage.COLLECTED, Stage.DRAFTED, Stage.DIRECT),
    ListName.REPLIES: _held(Stage.DRAFTED, Stage.REPLIED),
    ListName.FINISHED: tuple((field, Stage.FINISHED.value) for field in (HOLDER, *OUT)),
    **{
        name: tuple((field, name.value) for field in TASKS)
        for name in (
            ListName.RETURNED,
            ListName.TO_TELL,
            ListName.EXTENSIONS,
            ListName.INSTRUCTIONS,
            ListName.FLAGGED,
        )
    },
}
"""List → the fields and places in which a letter of it stands; the lists that are not here stand in `entries` only."""

OPEN: Final = tuple(stage for stage in Stage if stage not in CLOSED)


def _list(place: str, mailbox: str) -> str:
    return f"{place}|{mailbox}"


def order_of(state: State) -> str:
    """Return the sort key of a letter in every list, or "" where it is in none."""
    return "" if state.since is None else f"{written(state.since)}|{state.letter_id}"


def written(moment: Moment) -> str:
    """Write a time so that texts sort as times do: UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def waits(state: State) -> Iterator[str]:
    """Return who handed the letter on and waits, the nearest first; a forward that was collected is waited for no more."""
    for handoff in reversed(state.open_handoffs):
        if handoff.sender != state.holder and (handoff.way is not Way.FORWARD or handoff.collected_at is None):
            yield handoff.sender


def _finished(state: State) -> Iterator[str]:
    """Return whose finished letter it is: the first-receiving mailbox, who answered, and others that had it."""
    if state.letter is not None and state.answer is not None:
        yield from (state.letter.mailbox, state.answer.mailbox)
    for handoff in reversed(state.handoffs):
        if handoff.withdrawn is None and handoff.returned is None:
            yield from (handoff.receiver, handoff.sender)


def _tasks(state: State) -> Iterator[tuple[str, ListName]]:
    """Return what waits for whom besides the letter itself; the duty office's list belongs to no mailbox."""
    if state.flagged and state.stage is not Stage.FINISHED:
        yield "", ListName.FLAGGED
    if state.returned is not None:
        yield state.returned.sender, ListName.RETURNED
    if state.stage is not Stage.FINISHED:
        yield from ((h.sender, ListName.EXTENSIONS) for h in state.open_handoffs if h.undecided is not None)
    yield from ((handoff.sender, ListName.TO_TELL) for handoff in state.handoffs if handoff.to_tell)
    yield from ((one.mailbox, ListName.INSTRUCTIONS) for one in state.instructions if one.ended is None)


def ranges(code: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the index ranges in which the letters of a mailbox's lists stand: (equal fields, sort key)."""
    for field, place in dict.fromkeys(part for parts in LISTS.values() for part in parts):
        yield {field: _list(place, code)}, "order"


def letters(store: Store, tree: Tree) -> Aggregates[State]:
    """Return the collection of letters."""

    def fields(state: State) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys((HOLDER, *OUT, *TASKS, "order", NAMED))
        if state.since is None or state.letter is None:
            return found
        found["order"] = order_of(state)
        found[NAMED] = named(state.letter.classification)

        def fill(names: Iterable[str], mailboxes: Iterable[str], place: str) -> None:
            """Place the letter in lists; no mailbox ever finds a report about itself, the one above it does instead."""
            seen = dict.fromkeys(acting(state, code, tree) for code in mailboxes)
            found.update((name, _list(place, code)) for name, code in zip(names, seen, strict=False))

        stage, holder = state.stage, state.holder
        if stage is Stage.FINISHED:
            fill((HOLDER, *OUT), _finished(state), stage.value)
        elif holder is not None:
            has_it = acting(state, holder, tree)
            fill((HOLDER,), (unit_of(has_it, tree) if stage is Stage.SUBMITTED else has_it,), stage.value)
            fill(OUT, (code for code in waits(state) if acting(state, code, tree) != has_it), WAITING)
        tasks = dict.fromkeys((acting(state, code, tree) if code else code, name) for code, name in _tasks(state))
        for field, (code, name) in zip(TASKS, islice(tasks, len(TASKS)), strict=False):
            found[field] = _list(name.value, code)
        return found

    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=lambda state: state.model_dump(mode="json"),
        load=State.model_validate,
        fields=fields,
        indexes=[
            *(
                Index([(field, 1), ("order", 1)], only_where={field: {"$exists": True}})
                for field in (HOLDER, *OUT, *TASKS)
            ),
            Index([(NAMED, 1)], only_where={NAMED: {"$exists": True}}),
        ],
    )


async def page(letters: Aggregates[State], mailbox: str, name: ListName, after: str, limit: int) -> list[Stored[State]]:
    """Return the first `limit` letters of a mailbox's list behind the sort key `after` ("": from the start).

    Lists of work begin with what has waited longest, the finished ones with the newest. The list of flagged letters is that of no mailbox.
    """
    newest_first = name is ListName.FINISHED
    beyond = {"$gt": "", "$lt": after or "~"} if newest_first else {"$gt": after, "$lt": "~"}
    direction = -1 if newest_first else 1
    found = await asyncio.gather(
        *(
            letters.find({field: _list(place, mailbox), "order": beyond}, sort=[("order", direction)], limit=limit)
            for field, place in LISTS[name]
        )
    )
    merged = {stored.id: stored for part in found for stored in part}
    return sorted(merged.values(), key=lambda s: order_of(s.state) if s.state else "", reverse=newest_first)[:limit]


async def open_letters(letters: Aggregates[State]) -> dict[Stage, int]:
    """Count the letters at each stage that is not the last, whoever has them: a range of the index for each."""
    held = ({HOLDER: {"$gt": _list(stage.value, ""), "$lt": _list(stage.value, "~")}} for stage in OPEN)
    counts = await asyncio.gather(*map(letters.count, held))
    return dict(zip(OPEN, counts, strict=True))
