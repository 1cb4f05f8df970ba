"""HTTP of routing: the lists of a mailbox, one letter, and the moves that staff and units' systems make."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from services.routing import domain, routes_directory, routes_handling, routes_history, routes_slips
from services.routing.desk import Desk, LetterId
from services.routing.history import History
from services.routing.models import State
from services.routing.office import Office
from services.routing.repository import ListName, order_of, page
from services.routing.showing import letter_row
from services.routing.views import LetterRow, LetterView
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller, Role, require
from shared.web.paging import Page, decode_cursor, encode_cursor

READERS = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER, Role.UNIT_SYSTEM)

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]


def router(letters: Letters[State], tree: Directory, history: History, office: Office) -> APIRouter:
    """Return the routes of routing."""
    router = APIRouter(prefix="/routing", tags=["办理 handling"])
    desk = Desk(letters, tree)

    async def rows(caller: Caller, code: str, name: ListName, limit: int, cursor: str | None) -> Page[LetterRow]:
        (after,) = decode_cursor(cursor, str) or ("",)
        found = await page(letters.aggregates, code, name, after, limit + 1)
        shown = []
        for stored in found[:limit]:
            state, letter = stored.state, stored.state.letter if stored.state else None
            if state is None or letter is None or domain.hidden_from(letter.classification, caller.mailbox, tree):
                continue
            row = letter_row(state, stored.version, code, name, tree)
            if row is not None:
                shown.append(row)
        last = found[limit - 1].state if len(found) > limit else None
        return Page(items=shown, next=encode_cursor(order_of(last)) if last else None)

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
            require(caller, roles=(Role.DUTY_OFFICER,))
            return await rows(caller, "", name, limit, cursor)
        require(caller, roles=READERS, mailbox=code)
        if code not in tree:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        return await rows(caller, code, name, limit, cursor)

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter and its handling")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """For the first-receiving mailbox, those it was handed to, and the duty office (R10.2)."""
        require(caller, roles=READERS)
        stored = await letters.aggregates.get(letter_id)
        state, _ = domain.visible(stored.state, caller.mailbox, tree)
        require(caller, mailbox=domain.parties(state, tree))
        return desk.shown(stored, caller)

    routes_slips.add(router, desk)
    routes_handling.add(router, desk)
    routes_history.add(router, desk, history)
    routes_directory.add_routes(router, office)
    return router
