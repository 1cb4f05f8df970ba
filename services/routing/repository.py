"""Routing's collection of letters and its lists.

A letter stands in the lists of two mailboxes at most: the one that disposes of it (`desk`) and the one it was handed to (`unit`). Both
fields are `<mailbox>|<stage>`; a list is some of these, read in the order of `order`, `<since>|<letter id>`. A page is one short index
range for each: the store scans an index in order only where the sort key is one field and has a range.
"""

import asyncio
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from services.routing.domain import Tree, hidden_from
from services.routing.state import Stage, State
from shared.contracts.types import Moment
from shared.storage import Aggregates, Index, Store, Stored

SERVICE = "routing"
DESK, UNIT = "desk", "unit"


class ListName(StrEnum):
    """The lists of a mailbox."""

    PENDING = "pending"
    """拟办: registered, no slip waits."""
    SLIPS = "slips"
    """Slips that wait for the head."""
    IN_HAND = "in-hand"
    """Handed out and not finished."""
    ARRIVALS = "arrivals"
    """Handed to this mailbox and not collected."""
    COLLECTED = "collected"
    """Collected, the reply not approved."""
    REPLIES = "replies"
    """A draft waits for this mailbox's head, or the assignee's reply waits for this mailbox's answer to the citizen."""
    FINISHED = "finished"
    """The citizen has an answer; newest first."""


LISTS: Final[Mapping[ListName, tuple[tuple[str, Stage], ...]]] = {
    ListName.PENDING: ((DESK, Stage.PENDING),),
    ListName.SLIPS: ((DESK, Stage.SLIP),),
    ListName.IN_HAND: tuple((DESK, s) for s in (Stage.SENT, Stage.COLLECTED, Stage.DRAFTED, Stage.REPLIED)),
    ListName.ARRIVALS: ((UNIT, Stage.SENT),),
    ListName.COLLECTED: ((UNIT, Stage.COLLECTED), (UNIT, Stage.DRAFTED)),
    ListName.REPLIES: ((UNIT, Stage.DRAFTED), (DESK, Stage.REPLIED)),
    ListName.FINISHED: ((DESK, Stage.FINISHED), (UNIT, Stage.FINISHED)),
}
"""List → the side on which the mailbox stands and the stage of the letter."""

OPEN: Final = (Stage.PENDING, Stage.SLIP, Stage.SENT, Stage.COLLECTED, Stage.DRAFTED, Stage.REPLIED)


def order_of(state: State) -> str:
    """Return the sort key of a letter in every list, or "" where it is in none."""
    return "" if state.since is None else f"{_text(state.since)}|{state.letter_id}"


def _text(moment: Moment) -> str:
    """Write a time so that texts sort as times do; all times are UTC with milliseconds."""
    return moment.isoformat(timespec="milliseconds")


def letters(store: Store, tree: Tree) -> Aggregates[State]:
    """Return the collection of letters."""

    def place(state: State, code: str | None) -> str | None:
        """Return where a mailbox finds the letter; it never finds a report about itself."""
        if code is None or state.letter is None or hidden_from(state.letter.classification, code, tree):
            return None
        return f"{code}|{state.stage.value}"

    def fields(state: State) -> dict[str, Any]:
        if state.since is None or state.letter is None:
            return {DESK: None, UNIT: None, "order": None}
        return {
            DESK: place(state, state.letter.mailbox),
            UNIT: place(state, state.handoff.receiver if state.handoff else None),
            "order": order_of(state),
        }

    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=lambda state: state.model_dump(mode="json"),
        load=State.model_validate,
        fields=fields,
        indexes=[Index([(side, 1), ("order", 1)], only_where={side: {"$exists": True}}) for side in (DESK, UNIT)],
    )


async def page(letters: Aggregates[State], mailbox: str, name: ListName, after: str, limit: int) -> list[Stored[State]]:
    """Return the first `limit` letters of a mailbox's list behind the sort key `after` ("": from the start).

    Lists of work begin with what has waited longest, the finished ones with the newest.
    """
    newest_first = name is ListName.FINISHED
    beyond = {"$gt": "", "$lt": after or "~"} if newest_first else {"$gt": after, "$lt": "~"}
    direction = -1 if newest_first else 1
    found = await asyncio.gather(
        *(
            letters.find({side: f"{mailbox}|{stage.value}", "order": beyond}, sort=[("order", direction)], limit=limit)
            for side, stage in LISTS[name]
        )
    )
    merged = {stored.id: stored for part in found for stored in part}
    return sorted(merged.values(), key=lambda s: order_of(s.state) if s.state else "", reverse=newest_first)[:limit]


async def open_letters(letters: Aggregates[State], mailboxes: Iterable[str]) -> dict[Stage, int]:
    """Count the letters at each stage that is not the last."""
    codes = list(mailboxes)
    counts = await asyncio.gather(
        *(letters.count({DESK: {"$in": [f"{code}|{stage.value}" for code in codes]}}) for stage in OPEN)
    )
    return dict(zip(OPEN, counts, strict=True))
