"""HTTP of routing: the lists of a mailbox, one letter, and the moves that staff and units' systems make."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from services.routing import domain, rights, routes_handling, routes_history, routes_slips
from services.routing.desk import Desk, LetterId, who_of
from services.routing.history import History
from services.routing.models import State
from services.routing.repository import ListName, order_of, page
from services.routing.showing import letter_row
from services.routing.views import LetterRow, LetterView
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.paging import Page, decode_cursor, encode_cursor

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]


def router(letters: Letters[State], tree: Directory, history: History) -> APIRouter:
    """Return the routes of routing."""
    router = APIRouter(prefix="/routing", tags=["办理 handling"])
    desk = Desk(letters, tree)

    async def rows(caller: Caller, code: str, name: ListName, limit: int, cursor: str | None) -> Page[LetterRow]:
        (after,) = decode_cursor(cursor, str) or ("",)
        who, shown = who_of(caller), list[tuple[State, LetterRow]]()
        while len(shown) <= limit:
            found = await page(letters.aggregates, code, name, after, limit + 1)
            for stored in found:
                state = stored.state
                if state is None or state.letter is None or domain.is_kept_from(state.letter, who, tree):
                    continue
                row = letter_row(state, stored.version, code, name)
                if row is not None:
                    shown.append((state, row))
            if len(found) <= limit or found[-1].state is None:
                break
            after = order_of(found[-1].state)
        following = encode_cursor(order_of(shown[limit - 1][0])) if len(shown) > limit else None
        return Page(items=[row for _, row in shown[:limit]], next=following)

    @router.get("/mailboxes/{code}/letters", response_model=Page[LetterRow], summary="办理列表 A list of a mailbox")
    async def listed(
        caller: Authenticated,
        code: Annotated[str, Path(max_length=80)],
        name: Annotated[ListName, Query(alias="list")] = ListName.PENDING,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[LetterRow]:
        """Longest waiting first; the finished ones newest first. The flagged ones: those of all mailboxes, for the duty office."""
        if name is ListName.FLAGGED:
            rights.FLAGGED.check(caller, {})
            return await rows(caller, "", name, limit, cursor)
        rights.LIST.check(caller, {Relation.NAMED: (code,)})
        if code not in tree:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        return await rows(caller, code, name, limit, cursor)

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter and its handling")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """For the first-receiving mailbox, those it was handed to, and the duty office (R10.2)."""
        rights.SHOW.check_role(caller)
        stored = await letters.aggregates.get(letter_id)
        state, _ = domain.visible(stored.state, who_of(caller), tree)
        rights.SHOW.check(caller, {Relation.PARTY: domain.parties(state, tree)})
        return desk.shown(stored, caller)

    routes_slips.add(router, desk)
    routes_handling.add(router, desk)
    routes_history.add(router, desk, history)
    return router
