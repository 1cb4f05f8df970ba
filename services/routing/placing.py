"""Where a letter stands as each mailbox sees it: pure, from the letter's state alone.

A letter has one *entry* for each mailbox that it belongs to or was handed to (R10.2), and one for the duty office under the mailbox "". A
report has none for any part of the unit that it is about, a discarded letter has none at all (R3.7).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from services.routing.access import Tree, acting, parties, unit_of
from services.routing.models import Letter, Stage, State
from services.routing.repository import ListName, waits, written
from shared.contracts.reports import hidden_from
from shared.contracts.types import Labelled, Moment, Number

CITY: Final = ""
"""The mailbox under which the duty office finds every letter (R1.2)."""
LEVELS: Final = 3
"""Of domains (R3.4)."""
NEVER: Final = "none"
"""What stands in place of a due moment or number that a letter does not have: such letters come after all others."""

PathOf = Callable[[str], tuple[str, ...]]
"""Domain code → the codes from the first level down to it."""


class Place(Labelled):
    """Where a letter stands, as one mailbox sees it."""

    UNREAD = "unread", "未读"
    READ = "read", "已读待登记"
    NOTED = "noted", "掌握"
    PENDING = "pending", "拟办"
    SLIP = "slip", "单据待审批"
    SENT = "sent", "待签收"
    SUBMITTED = "submitted", "呈领导批示"
    DIRECT = "direct", "直办中"
    COLLECTED = "collected", "承办中"
    DRAFTED = "drafted", "承办回复待审核"
    REPLIED = "replied", "待答复来信人"
    WAITING = "waiting", "已交出在办"
    """Handed on by this mailbox, which waits for it."""
    PASSED = "passed", "已转出"
    """With others now, and this mailbox waits for nothing."""
    FINISHED = "finished", "办结"


PLACE: Final[Mapping[str, Place]] = {place.value: place for place in Place}
_HANDLED = (Place.SENT, Place.SUBMITTED, Place.DIRECT, Place.COLLECTED, Place.DRAFTED, Place.REPLIED)

PLACES: Final[Mapping[ListName, tuple[Place, ...]]] = {
    ListName.UNREAD: (Place.UNREAD,),
    ListName.PENDING: (Place.PENDING,),
    ListName.SLIPS: (Place.SLIP,),
    ListName.SUBMITTED: (Place.SUBMITTED,),
    ListName.IN_HAND: (Place.WAITING, Place.REPLIED),
    ListName.ARRIVALS: (Place.SENT,),
    ListName.COLLECTED: (Place.COLLECTED, Place.DRAFTED, Place.DIRECT),
    ListName.REPLIES: (Place.DRAFTED, Place.REPLIED),
    ListName.FINISHED: (Place.FINISHED,),
    ListName.ALL: (),
}
"""List → the places of its letters; none: all. Lists of tasks (returned, to tell …) are not among them."""


def places_of(name: ListName, mailbox: str) -> tuple[Place, ...]:
    """Return the places of a list; for the whole city, in hand is whatever anybody has in hand."""
    return _HANDLED if name is ListName.IN_HAND and mailbox == CITY else PLACES[name]


def number_key(number: Number) -> str:
    """Return a number so that texts sort as numbers do: by prefix, year and serial."""
    return f"{number.ascii_prefix}|{number.year:04}|{number.serial:09}|"


def fields(state: State, tree: Tree, path_of: PathOf) -> dict[str, dict[str, Any]]:
    """Return mailbox → the fields of its entry, for every mailbox that ever could have one; empty: it has none now.

    A hand-off is never forgotten, so whoever had an entry once is among them for ever: writing all of them leaves no stale one behind. Only
    successors of a closed mailbox change; who had an entry as one of them is looked up again when the entry is read (`may_find`).
    """
    letter = state.letter
    if letter is None:
        return {}
    ever = {CITY, letter.mailbox}
    for handoff in state.handoffs:
        ever |= {handoff.sender, handoff.receiver, unit_of(handoff.receiver, tree)}
    ever |= {acting(state, code, tree) for code in ever if code != CITY}
    return {mailbox: _entry(state, letter, mailbox, tree, path_of) for mailbox in ever}


def may_find(state: State | None, mailbox: str, tree: Tree) -> bool:
    """Whether a letter may be found in a mailbox's lists (R10.2)."""
    if state is None or state.letter is None or state.stage is Stage.DISCARDED:
        return False
    if mailbox == CITY:
        return True
    return mailbox in parties(state, tree) and not hidden_from(state.letter.classification, mailbox, tree)


def place_of(state: State, mailbox: str, tree: Tree) -> Place:
    """Return where a letter stands for a mailbox; it is neither discarded nor hidden from it."""
    stage = state.stage
    if stage is Stage.ARRIVED:
        return Place.READ if state.letter is not None and state.letter.read else Place.UNREAD
    holder = acting(state, state.holder, tree) if state.holder else None
    if holder is not None and stage is Stage.SUBMITTED:
        holder = unit_of(holder, tree)
    if mailbox in {CITY, holder} or stage in {Stage.FINISHED, Stage.NOTED}:
        return PLACE[stage.value]
    waiting = {acting(state, code, tree) for code in waits(state)}
    return Place.WAITING if mailbox in waiting else Place.PASSED


def _entry(state: State, letter: Letter, mailbox: str, tree: Tree, path_of: PathOf) -> dict[str, Any]:
    if not may_find(state, mailbox, tree):
        return {}
    about = letter.classification
    desk = state.holder or (state.answer.mailbox if state.answer else letter.mailbox)
    desk = acting(state, desk, tree)
    due_at, overdue = _due(state, mailbox, tree)
    last = f"|{state.letter_id}"
    entry: dict[str, Any] = {
        "mailbox": mailbox,
        "letter": state.letter_id,
        "place": place_of(state, mailbox, tree).value,
        "nature": about.nature.value,
        "region": about.region,
        "unit": unit_of(desk, tree),
        "desk": desk,
        "received": written(letter.received_at) + last,
        "due": (written(due_at) if due_at else NEVER) + last,
        "number": (number_key(letter.number) if letter.number else NEVER) + last,
        "overdue": overdue,
    }
    entry.update((f"domain{level}", code) for level, code in _levels(path_of(about.domain)))
    if about.reported_mailbox is not None:
        entry["reported"] = about.reported_mailbox
    if letter.registered_at is not None:
        entry["registered"] = written(letter.registered_at) + last
    if state.answer is not None:
        entry["finished"] = written(state.answer.at) + last
    return entry


def ranges(code: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the index range in which the entries of a mailbox stand: (equal fields, sort key)."""
    yield {"mailbox": code}, "received"


def _levels(path: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    yield from enumerate(path[:LEVELS], start=1)


def _due(state: State, mailbox: str, tree: Tree) -> tuple[Moment | None, bool]:
    """Return by when the innermost open hand-off that concerns a mailbox is due, and whether that has passed."""
    if state.stage is Stage.FINISHED:
        return None, False
    for handoff in reversed(state.open_handoffs):
        clock = state.clocks.get(handoff.id)
        ends = {CITY, acting(state, handoff.sender, tree), acting(state, handoff.receiver, tree)}
        if clock is not None and clock.due_at is not None and mailbox in ends:
            return clock.due_at, clock.overdue_at is not None
    return None, False
