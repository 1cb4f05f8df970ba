"""Routes of lists: what a mailbox has to do, and everything it ever had, filtered, sorted and searched."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from services.routing import repository
from services.routing.access import hidden_from
from services.routing.asking import Filters, after_of, query_of
from services.routing.listing import Listing
from services.routing.models import State
from services.routing.placing import CITY
from services.routing.repository import LISTS, ListName, order_of
from services.routing.showing import letter_row
from services.routing.views import LetterList, LetterRow
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller, Role, require
from shared.web.paging import decode_cursor, encode_cursor

READERS = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER, Role.UNIT_SYSTEM)

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]
Asked = Annotated[Filters, Depends()]


def add(router: APIRouter, letters: Letters[State], listing: Listing, tree: Directory) -> None:
    """Add the routes."""

    def hidden(state: State, caller: Caller) -> bool:
        return state.letter is None or hidden_from(state.letter.classification, caller.mailbox, tree)

    def shown(answer: LetterList) -> Response:
        return Response(answer.model_dump_json(), media_type="application/json")

    async def live(caller: Caller, code: str, name: ListName, limit: int, cursor: str | None) -> Response:
        """Read a list of work, as every move leaves it at once."""
        (after,) = decode_cursor(cursor, str) or ("",)
        found = await repository.page(letters.aggregates, code, name, after, limit + 1)
        rows: list[LetterRow] = [
            letter_row(stored.state, stored.version, code, tree, name)
            for stored in found[:limit]
            if stored.state is not None and stored.state.since is not None and not hidden(stored.state, caller)
        ]
        last = found[limit - 1].state if len(found) > limit else None
        return shown(LetterList(items=rows, next=encode_cursor(order_of(last)) if last else None))

    async def asked(
        caller: Caller, code: str, name: ListName, filters: Filters, limit: int, cursor: str | None
    ) -> Response:
        """Read a list over all letters."""
        query = query_of(filters, name, code, tree)
        portion = await listing.page(query, after_of(cursor, query), limit)
        rows = [
            letter_row(row.stored.state, row.stored.version, code, tree, name, row.place)
            for row in portion.rows
            if row.stored.state is not None and not hidden(row.stored.state, caller)
        ]
        following = encode_cursor(query.fingerprint, portion.next) if portion.next else None
        return shown(LetterList(items=rows, next=following, short=portion.short))

    @router.get("/mailboxes/{code}/letters", response_model=LetterList, summary="办理列表 A list of a mailbox (R10.2)")
    async def listed(
        caller: Authenticated,
        code: Annotated[str, Path(max_length=80)],
        filters: Asked,
        name: Annotated[
            ListName | None, Query(alias="list", description="without it `pending`, or `all` with a filter or sort")
        ] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Longest waiting first; the finished ones newest first. The flagged ones: those of all mailboxes, for the duty office.

        With a filter, a sort or `text`, and for `unread` and `all`, all letters are looked at that belong to it or were handed to it.
        """
        name = name or (ListName.ALL if filters.given else ListName.PENDING)
        over_all = filters.given or name not in LISTS
        if name is ListName.FLAGGED:
            require(caller, roles=(Role.DUTY_OFFICER,))
            answer = asked(caller, CITY, name, filters, limit, cursor) if over_all else None
            return await (answer or live(caller, CITY, name, limit, cursor))
        require(caller, roles=READERS, mailbox=code)
        if code not in tree:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        if over_all:
            return await asked(caller, code, name, filters, limit, cursor)
        return await live(caller, code, name, limit, cursor)

    @router.get("/letters", response_model=LetterList, summary="全市来信 Every letter of the city (R1.2, R10.2)")
    async def everywhere(
        caller: Authenticated,
        filters: Asked,
        name: Annotated[ListName, Query(alias="list")] = ListName.ALL,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """For the duty office: letters of all mailboxes, as the lists of one mailbox; in hand is what anybody has in hand."""
        require(caller, roles=(Role.DUTY_OFFICER,))
        return await asked(caller, CITY, name, filters, limit, cursor)
