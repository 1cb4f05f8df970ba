"""HTTP: spot checks by the duty office (R11.1), and what a unit may see of those about it."""

from datetime import date
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.reporting import rights
from services.reporting.checklist import Answer, Checklist
from services.reporting.periods import period
from services.reporting.spot_checks import count, record, settle
from services.reporting.spot_desk import Move, SpotDesk, Wanted, counted
from services.reporting.spot_store import Versioned
from services.reporting.views_checks import (
    AboutView,
    CheckView,
    CountsView,
    LetterView,
    RedrawView,
    SampleView,
    UnitCount,
    about_view,
    check_fields,
    form_about,
    form_columns,
    form_rows,
    letter_view,
    redraw_view,
    sample_view,
)
from shared.calendar.clock import Clock
from shared.contracts.errors import NotFound
from shared.contracts.types import Actor
from shared.printing.press import Press
from shared.printing.sheet import MEDIA_TYPE, workbook
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.etag import etag_of, expected_version
from shared.web.paging import Page, decode_cursor, encode_cursor

CheckId = Annotated[str, Path(max_length=40, description="The spot check.")]
Place = Annotated[int, Path(ge=1, le=100_000, description="The letter's number in the sample.")]
IfMatch = Annotated[str | None, Header(description="The ETag of the letter as you read it; a stale one is refused.")]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[int, Query(ge=1, le=50)]


class DrawIn(BaseModel):
    """What shall be drawn."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    units: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=200)]
    first: Annotated[date, Field(alias="from", description="First day, Asia/Shanghai.")]
    to: Annotated[date, Field(description="The first day that no longer belongs to it.")]
    size: Annotated[int, Field(ge=1, le=1000, description="How many letters.")] = 20
    minimum: Annotated[int, Field(ge=0, le=20, description="At least so many of each stratum that has them.")] = 1
    double: Annotated[bool, Field(description="Whether two people shall read each letter, each by themselves.")] = False
    seed: Annotated[
        str | None, Field(min_length=1, max_length=100, pattern=r"^[ -~]+$", description="None: fresh from the system.")
    ] = None


class ResultIn(BaseModel):
    """What somebody found about a letter, or how a disagreement ends."""

    model_config = ConfigDict(extra="forbid")

    answers: Annotated[dict[str, Answer], Field(max_length=60, description="Item of the checklist → answer.")]
    remark: Annotated[str, Field(max_length=2_000)] = ""


class CloseIn(BaseModel):
    """How a check ends."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500, description="Needed where letters are not done.")] = ""


def actor(caller: Caller) -> Actor:
    """Return who asks."""
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)


def router(desk: SpotDesk, clock: Clock, press: Press) -> APIRouter:  # noqa: PLR0915 - one route after the other
    """Return the routes of spot checks."""
    routes = APIRouter(prefix="/reporting", tags=["spot checks"])
    directory = desk.directory

    def told(response: Response, found: Versioned, who: Actor) -> LetterView:
        response.headers["ETag"] = etag_of(found.version)
        response.headers["Cache-Control"] = "private, no-store"
        return letter_view(found, who, directory)

    @routes.get("/checklist", summary="抽查清单 The checklist in force (R11.1)")
    async def checklist(caller: Authenticated) -> Checklist:
        rights.CHECKLIST.check(caller, {})
        return desk.checklist

    @routes.post("/spot-checks", status_code=201, summary="抽取样本 Draw a sample (R11.1)")
    async def draw(caller: Authenticated, wanted: DrawIn, response: Response) -> SampleView:
        """For the duty office, whenever it likes: stratified by unit, handling and nature, by a seed that is shown."""
        rights.SPOT_CHECKS.check(caller, {})
        asked = Wanted(
            units=tuple(wanted.units),
            period=period(wanted.first, wanted.to),
            size=wanted.size,
            minimum=wanted.minimum,
            double=wanted.double,
            seed=wanted.seed,
        )
        check = await desk.draw(asked, actor(caller), clock.now())
        response.headers["Location"] = f"/reporting/spot-checks/{check.id}"
        return sample_view(await desk.sample(check.id, actor(caller)), actor(caller), directory)

    @routes.get("/spot-checks", summary="抽查列表 Spot checks, newest first (R11.1)")
    async def listed(caller: Authenticated, cursor: Cursor = None, limit: Limit = 20) -> Page[CheckView]:
        rights.SPOT_CHECKS.check(caller, {})
        after = decode_cursor(cursor, str)
        found = await desk.spots.page(after[0] if after else None, limit + 1)
        shown = [CheckView.model_validate(check_fields(check)) for _, check in found[:limit]]
        return Page(items=shown, next=encode_cursor(found[limit - 1][0]) if len(found) > limit else None)

    @routes.get("/spot-checks/{check_id}", summary="样本 A spot check with its letters (R11.1)")
    async def sample(caller: Authenticated, check_id: CheckId) -> SampleView:
        rights.SPOT_CHECKS.check(caller, {})
        return sample_view(await desk.sample(check_id, actor(caller)), actor(caller), directory)

    @routes.get("/spot-checks/{check_id}/redraw", summary="核对样本 Draw again by the same seed and compare (R11.1)")
    async def redraw(caller: Authenticated, check_id: CheckId) -> RedrawView:
        rights.SPOT_CHECKS.check(caller, {})
        return redraw_view(await desk.redraw(check_id, actor(caller)))

    @routes.get(
        "/spot-checks/{check_id}/form.xlsx",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {}}}},
        summary="抽查表 The form to take along (R11.1)",
    )
    async def form(caller: Authenticated, check_id: CheckId) -> Response:
        rights.SPOT_CHECKS.check(caller, {})
        who, now = actor(caller), clock.now()
        found = await desk.sample(check_id, who)
        rows = form_rows(found, who, directory)
        work = partial(workbook, "抽查表", form_about(found.check, now), form_columns(found.check.checklist), rows, now)
        headers = {
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'attachment; filename="check-{check_id}.xlsx"',
        }
        return Response(await press.long.take(work), media_type=MEDIA_TYPE, headers=headers)

    async def decided(
        move: Move, check_id: str, place: int, result: ResultIn, who: Actor, if_match: str | None
    ) -> Versioned:
        expected = expected_version(if_match)
        return await desk.decide(move, check_id, place, result.answers, result.remark, who, clock.now(), expected)

    @routes.get("/spot-checks/{check_id}/letters/{place}", summary="样本中的一件 One letter of a sample (R11.1)")
    async def letter(caller: Authenticated, check_id: CheckId, place: Place, response: Response) -> LetterView:
        rights.SPOT_CHECKS.check(caller, {})
        _, found = await desk.letter(check_id, place, actor(caller))
        return told(response, found, actor(caller))

    @routes.put("/spot-checks/{check_id}/letters/{place}/result", summary="记录结果 Record what was found (R11.1)")
    async def record_result(
        caller: Authenticated,
        check_id: CheckId,
        place: Place,
        result: ResultIn,
        response: Response,
        if_match: IfMatch = None,
    ) -> LetterView:
        """Each person has one reading of a letter. Of two readings the second is made without seeing the first."""
        rights.SPOT_CHECKS.check(caller, {})
        who = actor(caller)
        return told(response, await decided(record, check_id, place, result, who, if_match), who)

    @routes.post("/spot-checks/{check_id}/letters/{place}/settle", summary="裁定不一致 Settle a disagreement (R11.1)")
    async def settle_result(
        caller: Authenticated,
        check_id: CheckId,
        place: Place,
        result: ResultIn,
        response: Response,
        if_match: IfMatch = None,
    ) -> LetterView:
        """By a third person at once; by one of the two readers as soon as the other says the same. Answer only what differs."""
        rights.SPOT_CHECKS.check(caller, {})
        who = actor(caller)
        return told(response, await decided(settle, check_id, place, result, who, if_match), who)

    @routes.post("/spot-checks/{check_id}/close", summary="结束抽查 Close a spot check (R11.1)")
    async def close(caller: Authenticated, check_id: CheckId, how: CloseIn) -> CheckView:
        """Nothing more is recorded then; units may see their results, which count in their assessment."""
        rights.SPOT_CHECKS.check(caller, {})
        check = await desk.close(check_id, how.reason, actor(caller), clock.now())
        return CheckView.model_validate(check_fields(check))

    @routes.get("/spot-checks/{check_id}/counts", summary="抽查统计 What was found, per unit (R11.1)")
    async def counts(caller: Authenticated, check_id: CheckId) -> CountsView:
        rights.SPOT_CHECKS.check(caller, {})
        found = await desk.sample(check_id, actor(caller))
        letters = [one.checked for one in found.letters]
        return CountsView(
            id=check_id,
            units=[
                UnitCount(unit=unit, name=directory.get(unit).name, count=of_unit)
                for unit, of_unit in counted(letters, found.check).items()
            ],
            total=count(letters, found.check.checklist),
        )

    @routes.get("/mailboxes/{code}/spot-checks", summary="对本单位的抽查结果 Closed spot checks about a unit (R11.1)")
    async def about(caller: Authenticated, code: str, cursor: Cursor = None, limit: Limit = 10) -> Page[AboutView]:
        """For the unit itself (of a closed one its successor), after a check is closed, and for the duty office.

        Reports about the unit are left out.
        """
        rights.CHECKED.check(caller, {Relation.NAMED: (directory.current(code),)})
        if code not in directory:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        after = decode_cursor(cursor, str)
        found = await desk.about(code, actor(caller), after[0] if after else None, limit + 1)
        shown = [about_view(one, directory) for one in found[:limit]]
        return Page(items=shown, next=encode_cursor(found[limit - 1].result.position) if len(found) > limit else None)

    return routes
