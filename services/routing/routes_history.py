"""The route of a letter's history, and who reads what of it (R10.1, R10.2)."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from services.routing import domain, rights
from services.routing.access import Tree
from services.routing.desk import Desk, LetterId, who_of
from services.routing.history import History, Told
from services.routing.models import Handoff, Stage, State
from services.routing.showing import Mine
from services.routing.steps import Category, Reader, step_of
from services.routing.views import View
from shared.contracts.reports import kept_from
from shared.contracts.types import Actor, Classification
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.paging import Page, decode_cursor, encode_cursor


class EntryView(View):
    """An entry of a letter's history. Of one that is withheld only number and hashes are shown, so that the chain can be followed."""

    n: int = Field(description="1, 2, 3 … without gaps")
    previous: str = Field(description="hash of entry n − 1; of the first: 64 zeros")
    hash: str = Field(description="SHA-256 (hex); what of is said in the page of this service")
    withheld: bool = Field(description="true: it concerns the inside of another mailbox (R4.2b)")
    category: Category | None = None
    category_label: str | None = None
    what: str | None = Field(default=None, description="in Chinese and English")
    at: str | None = Field(default=None, description="UTC with milliseconds, as it is in the hash")
    by: Actor | None = Field(default=None, description="null: the citizen or the system")
    why: str | None = Field(default=None, description="the reason, opinion or text that the fact gives")
    details: Mapping[str, Any] | None = Field(
        default=None, description="parties, ids, limits and the like, as in the fact"
    )
    event_id: str | None = None
    type: str | None = Field(default=None, description="CloudEvents type of the fact")
    source: str | None = None
    seq: int | None = None
    sha256: str | None = Field(default=None, description="of the fact's bytes on the topic `letters`")
    replay_of: str | None = Field(
        default=None, description="origin of the parked message that a person replayed or dropped"
    )
    dropped: bool = False
    unreadable: bool = Field(default=False, description="true: services could not read it, so it had no effect")


def add(router: APIRouter, desk: Desk, history: History) -> None:
    """Add the route."""

    @router.get("/letters/{letter_id}/history", response_model=Page[EntryView], summary="办理过程 History (R10.1)")
    async def shown(
        caller: Authenticated,
        letter_id: LetterId,
        category: Annotated[Category | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Page[EntryView]:
        """For whom the letter is. Oldest first; with `category` only entries that the caller may read."""
        rights.HISTORY.check_role(caller)
        state = (await desk.letters.aggregates.get(letter_id)).state
        state = _visible(state, caller, desk.tree)
        (after,) = decode_cursor(cursor, int) or (0,)
        found = await history.page(letter_id, after, limit + 1, category)
        views = [entry_view(told, state, caller, desk.tree) for told in found[:limit]]
        more = encode_cursor(found[limit - 1].entry.n) if len(found) > limit else None
        return Page(items=[view for view in views if category is None or not view.withheld], next=more)


def _visible(state: State | None, caller: Caller, tree: Tree) -> State:
    """Return the letter's state, for a caller who may read its history.

    Of a discarded letter, the fact and the reason are kept for checks (R3.7): by the duty office, and by the mailbox that discarded it.

    Raises:
        NotFound: there is no such letter, or it is a report about the caller's unit.
        Problem: it belongs to other mailboxes.
    """
    if state is not None and state.letter is not None and state.stage is Stage.DISCARDED:
        own = domain.acting(state, state.letter.mailbox, tree)
        may = rights.HISTORY.allows(caller, {Relation.PARTY: (own,)})
        if may and not domain.is_kept_from(state.letter, who_of(caller), tree):
            return state
    known, _ = domain.visible(state, who_of(caller), tree)
    rights.HISTORY.check(caller, {Relation.PARTY: domain.parties(known, tree)})
    return known


def entry_view(told: Told, state: State, caller: Caller, tree: Tree) -> EntryView:
    """Show an entry to somebody who may see the letter."""
    entry, record = told.entry, told.record
    fact, step = entry.fact, step_of(entry.fact.type)
    bare = {"n": entry.n, "previous": entry.previous, "hash": entry.hash}
    if not _reads(told, state, caller, tree):
        return EntryView(**bare, withheld=True)
    return EntryView(
        **bare,
        withheld=False,
        category=step.category,
        category_label=step.category.label,
        what=what(told),
        at=fact.at or None,
        by=record.by,
        why=record.why or None,
        details=record.details,
        event_id=fact.id,
        type=fact.type,
        source=fact.source,
        seq=fact.seq,
        sha256=fact.sha256,
        replay_of=fact.replay_of or None,
        dropped=fact.dropped,
        unreadable=not record.readable,
    )


def what(told: Told) -> str:
    """Return what happened in words; what a person decided on a parked message says so."""
    fact = told.entry.fact
    chinese, english = step_of(fact.type).name.split(" / ")
    if fact.dropped:
        return f"经人工决定略过：{chinese} / Skipped by a person's decision: {english}"
    if fact.replay_of:
        return f"经人工重发：{chinese} / Sent again by a person's decision: {english}"
    return f"{chinese} / {english}"


def _reads(told: Told, state: State, caller: Caller, tree: Tree) -> bool:
    details = told.record.details or {}
    for about in (details.get("before"), details.get("after")):
        once = Classification.model_validate(about) if isinstance(about, Mapping) else None
        if once is not None and kept_from(once, caller.mailbox, caller.subject, tree):
            return False  # the letter was once classified as a report about the caller or their unit
    return caller.is_duty_officer or _concerned(told, state, Mine(state, caller.mailbox, tree))


def _concerned(told: Told, state: State, mine: Mine) -> bool:  # noqa: PLR0911 - one line for each kind of reader
    details = told.record.details or {}
    handoff = _part(state.handoffs, details.get("handoff_id"))
    match step_of(told.entry.fact.type).reader if told.record.readable else Reader.NAMED:
        case Reader.PARTIES:
            return True
        case Reader.FIRST:
            return state.letter is not None and mine(state.letter.mailbox)
        case Reader.NAMED:
            return mine(details.get("mailbox") or "")
        case Reader.SLIP:
            slip = _part(state.slips, details.get("slip_id"))
            return slip is not None and mine(slip.sender)
        case Reader.ENDS:
            return handoff is not None and mine(handoff.sender, handoff.receiver)
        case Reader.DRAFTER:
            return handoff is not None and mine(_drafter(handoff))
        case Reader.STAFF:
            given = _part(state.instructions, details.get("instruction_id"))
            return given is not None and mine(given.mailbox, given.leader.mailbox)


def _part(parts: Any, part_id: str | None) -> Any:
    return next((part for part in parts if part.id == part_id), None)


def _drafter(handoff: Handoff) -> str:
    return handoff.sender if handoff.by_hand else handoff.receiver
