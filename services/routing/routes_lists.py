"""Routes of lists: what a mailbox has to do, and everything it ever had, filtered, sorted and searched."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from services.routing import repository, rights
from services.routing.access import is_kept_from
from services.routing.asking import Filters, after_of, query_of
from services.routing.desk import who_of
from services.routing.listing import Listing
from services.routing.models import State
from services.routing.placing import CITY
from services.routing.repository import LISTS, ListName, order_of
from services.routing.showing import letter_row
from services.routing.views import LetterList, LetterRow
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.paging import decode_cursor, encode_cursor

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]
Asked = Annotated[Filters, Depends()]


def add(router: APIRouter, letters: Letters[State], listing: Listing, tree: Directory) -> None:
    """Add the routes."""

    def hidden(state: State, caller: Caller) -> bool:
        return state.letter is None or is_kept_from(state.letter, who_of(caller), tree)

    def shown(answer: LetterList) -> Response:
        return Response(answer.model_dump_json(), media_type="application/json")

    async def live(caller: Caller, code: str, name: ListName, limit: int, cursor: str | None) -> Response:
        """Read a list of work, as every move leaves it at once."""
        (after,) = decode_cursor(cursor, str) or ("",)
        rows = list[tuple[str, LetterRow]]()
        while len(rows) <= limit:
            found = await repository.page(letters.aggregates, code, name, after, limit + 1)
            rows += [
                (order_of(stored.state), letter_row(stored.state, stored.version, code, tree, name))
                for stored in found
                if stored.state is not None and stored.state.since is not None and not hidden(stored.state, caller)
            ]
            if len(found) <= limit or found[-1].state is None:
                break
            after = order_of(found[-1].state)
        following = encode_cursor(rows[limit - 1][0]) if len(rows) > limit else None
        return shown(LetterList(items=[row for _, row in rows[:limit]], next=following))

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
            rights.FLAGGED.check(caller, {})
            answer = asked(caller, CITY, name, filters, limit, cursor) if over_all else None
            return await (answer or live(caller, CITY, name, limit, cursor))
        rights.LIST.check(caller, {Relation.NAMED: (code,)})
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
        rights.CITY.check(caller, {})
        return await asked(caller, CITY, name, filters, limit, cursor)
