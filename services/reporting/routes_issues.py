"""HTTP: issued bulletins as data, and whether they still are what was issued (R11.2, R11.3)."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.reporting import rights
from services.reporting.issue_store import Issue, IssueLine, Issues
from services.reporting.issue_view import IssueView, Series
from services.reporting.issues import Run, canonical, digest, parse_id, runs_of_mailbox
from services.reporting.issuing import Issuing
from services.reporting.views import View
from shared.calendar.clock import Clock
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.security.rights import Relation
from shared.security.tokens import Caller, authenticated
from shared.web.documented import also
from shared.web.paging import Page, decode_cursor, encode_cursor

Id = Annotated[
    str,
    Path(
        max_length=120,
        description="Series, mailbox and period of the number.",
        examples=["weekly-mayor-2026-W07", "monthly-yuzhong-2026-02", "quarterly-yuzhong-2026-Q1", "yearly-mayor-2026"],
    ),
]
Reader = Callable[[Request, str], Awaitable[Issue | IssueView]]


class Verification(View):
    """Whether a number's content still has the hash that it was issued with."""

    id: str
    issued_hash: Annotated[str | None, Field(description="As it was written at its issue; null: it is not issued yet.")]
    content_hash: Annotated[str | None, Field(description="SHA-256 (hex) of the content as it is kept now.")]
    intact: Annotated[bool | None, Field(description="Whether they are equal; null: it is not issued yet.")]


class Reading:
    """Reads numbers for whoever may: those of the mayor's mailbox as `BULLETIN_PUBLIC` says, a unit's for the unit and the duty office."""

    def __init__(self, issues: Issues, issuing: Issuing, directory: Directory, clock: Clock, *, public: bool) -> None:
        self._issues = issues
        self._issuing = issuing
        self._directory = directory
        self._clock = clock
        self._public = public

    async def caller(self, request: Request) -> Caller | None:
        """Return who asks; none: nobody said, and need not.

        Raises:
            Problem: 401, the bulletin is not public or the token is not valid.
        """
        if self._public:
            return await authenticated.if_any(request)
        return await authenticated(request)

    async def read(self, request: Request, id: str) -> Issue | IssueView:
        """Return a number; of a period that has begun and of which none is issued yet, a preview.

        Raises:
            NotFound: there is no such number, and its period has not begun.
            Problem: 401 or 403, it is not for this caller.
        """
        run, period = parse_id(id)
        await self._check(request, run)
        issue = await self._issues.get(id)
        if issue is not None:
            return issue
        now = self._clock.now()
        if run not in runs_of_mailbox(run.mailbox, self._directory) or period.starts_at > now:
            raise NotFound(
                "R11.2",
                f"没有这一期：{id[:80]}；该时段尚未开始，或该信箱不编发 / "
                "There is no such number: its period has not begun, or this mailbox has no such series.",
            )
        return await self._issuing.preview(run.series, run.mailbox, period)

    async def _check(self, request: Request, run: Run) -> None:
        if run.mailbox == self._directory.mayor.code:
            await self.caller(request)
            return
        own = self._directory.same_unit(self._directory.current(run.mailbox)) | {run.mailbox}
        rights.UNIT_REPORT.check(await authenticated(request), {Relation.NAMED: own})

    async def query(
        self, request: Request, series: Series | None, mailbox: str | None, year: int | None
    ) -> dict[str, object]:
        """Return which numbers a list shows to this caller; without a mailbox, all that they may see.

        Raises:
            Problem: 401 or 403, what was asked for is not for this caller.
        """
        query: dict[str, object] = {}
        if mailbox is not None:
            self._directory.get(mailbox)
            await self._check(request, Run(series or Series.WEEKLY, mailbox))
            query["mailbox"] = mailbox
        else:
            caller = await self.caller(request)
            mayor = self._directory.mayor.code
            if caller is None:
                query["mailbox"] = mayor
            elif not rights.UNIT_REPORT.allows(caller, {}):
                query["mailbox"] = {"$in": sorted({mayor, self._directory.unit_code(caller.mailbox)})}
        if series is not None:
            query["series"] = series.value
        if year is not None:
            query["year"] = year
        return query


def add(routes: APIRouter, reading: Reading, issues: Issues) -> None:
    """Add the routes."""

    @routes.get("/issues", responses=also(401, 403), summary="Issued bulletins, the last one first (R11.2, R11.3)")
    async def listed(
        request: Request,
        series: Series | None = None,
        mailbox: Annotated[str | None, Query(max_length=80, description="Whose; without it, all you may see.")] = None,
        year: Annotated[int | None, Query(ge=2000, le=9999, description="The year in which they are numbered.")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Page[IssueLine]:
        query = await reading.query(request, series, mailbox, year)
        (after,) = decode_cursor(cursor, str) or (None,)
        found = await issues.page(query, after, limit + 1)
        more = len(found) > limit
        return Page(
            items=[line for _, line in found[:limit]], next=encode_cursor(found[limit - 1][0]) if more else None
        )

    @routes.get(
        "/issues/{id}",
        response_model=IssueView,
        responses=also(401, 403),
        summary="A bulletin as data: as it was issued, with its hash; before that a preview (R11.2, R11.3)",
    )
    async def issue(request: Request, id: Id) -> Response:
        found = await reading.read(request, id)
        if isinstance(found, IssueView):
            return Response(canonical(found.model_dump(mode="json")), media_type="application/json")
        # The text that was hashed, and the hash before it: no other reading and writing in between.
        return Response(
            f'{{"hash":"{found.hash}",{found.content[1:]}',
            media_type="application/json",
            headers={"ETag": f'"{found.hash}"'},
        )

    @routes.get(
        "/issues/{id}/verification",
        responses=also(401, 403),
        summary="Whether a bulletin still is what was issued (R11.2)",
    )
    async def verification(request: Request, id: Id) -> Verification:
        found = await reading.read(request, id)
        if isinstance(found, IssueView):
            return Verification(id=id, issued_hash=None, content_hash=None, intact=None)
        now = digest(found.content)
        return Verification(id=id, issued_hash=found.hash, content_hash=now, intact=now == found.hash)
