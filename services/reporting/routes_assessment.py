"""HTTP: the assessment (R11.4): scores, what they are made of down to the letters, what-if, and what was issued."""

from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from services.reporting import rights
from services.reporting.assessment import FIGURES, SPOT_CHECKS, Method, UnitScore, checked, name_of
from services.reporting.periods import Period
from services.reporting.scores import Issued, Scored, Scores, parse_period
from services.reporting.views import View
from shared.calendar.clock import Clock
from shared.contracts.errors import NotFound
from shared.contracts.types import Actor, Moment
from shared.printing.press import Press
from shared.printing.registers import Column
from shared.printing.sheet import MEDIA_TYPE, workbook
from shared.security.rights import Relation
from shared.security.tokens import Authenticated, Caller
from shared.web.paging import Page, decode_cursor, encode_cursor
from shared.web.problems import FieldError, Problem

PeriodName = Annotated[
    str, Path(max_length=10, description="A year, quarter or month.", examples=["2026-Q1", "2026-03"])
]
Cursor = Annotated[str | None, Query(max_length=400)]
Limit = Annotated[int, Query(ge=1, le=200)]


class Side(StrEnum):
    """Of what an indicator is made."""

    NUMERATOR = "numerator"
    DENOMINATOR = "denominator"


class MethodView(View):
    """The method in force."""

    method: Method
    hash: Annotated[str, Field(description="SHA-256 of what it says.")]
    figures: Annotated[dict[str, str], Field(description="What indicators may be made of, with Chinese names.")]


class IssuedView(View):
    """That a period was issued."""

    issued_at: Moment
    issued_by: Actor
    method_hash: str
    same_scores: Annotated[bool, Field(description="False: late facts or another method give other scores by now.")]


class ScoresView(View):
    """The scores of a period, group by group, the best first."""

    period: str
    title: str
    first_day: date
    last_day: date
    ended: bool
    up_to_date: Annotated[
        bool, Field(description="False: figures are being counted at this moment; ask again shortly.")
    ]
    method_hash: str
    groups: Annotated[dict[str, str], Field(description="Id → Chinese name.")]
    units: list[UnitScore]
    issued: IssuedView | None = None


class Moved(View):
    """How a unit would stand by another method."""

    unit: str
    name: str
    score: float | None
    rank: int | None
    score_now: float | None
    rank_now: int | None


class WhatIfView(View):
    """Scores by another method beside those in force; nothing is stored."""

    scores: ScoresView
    moved: list[Moved]


class UnitScoreView(View):
    """One unit's score."""

    period: str
    title: str
    up_to_date: bool
    method_hash: str
    score: UnitScore
    ranked: Annotated[int, Field(description="How many units of its group have a rank.")]


class LineView(View):
    """A letter that counts in an indicator."""

    letter_id: str
    number: Annotated[str, Field(description="Empty where it was not registered.")]
    figure: str
    label: str
    day: Annotated[date, Field(description="The day to which it counts, Asia/Shanghai.")]
    count: Annotated[float, Field(description="How many times; of spot checks the weight.")]


def actor(caller: Caller) -> Actor:
    """Return who asks."""
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)


def router(scores: Scores, clock: Clock, press: Press) -> APIRouter:  # noqa: PLR0915 - one route after the other
    """Return the routes of the assessment."""
    routes = APIRouter(prefix="/reporting", tags=["assessment"])
    directory = scores.directory

    def shown(name: str, period: Period, found: Scored, method: Method, issued: Issued | None = None) -> ScoresView:
        return ScoresView(
            period=name,
            title=method.title,
            first_day=period.first_day,
            last_day=period.end_day - timedelta(days=1),
            ended=period.ends_at <= clock.now(),
            up_to_date=found.fresh,
            method_hash=method.hash,
            groups={group.id: group.zh for group in method.groups},
            units=list(found.scores),
            issued=None
            if issued is None
            else IssuedView(
                issued_at=issued.issued_at,
                issued_by=issued.issued_by,
                method_hash=issued.method_hash,
                same_scores=list(issued.scores) == list(found.scores),
            ),
        )

    @routes.get("/assessment/method", summary="考评办法 The method of assessment in force (R11.4)")
    async def method(caller: Authenticated) -> MethodView:
        rights.METHOD.check(caller, {})
        names = {term: name_of(term) for term in (*FIGURES, *SPOT_CHECKS)}
        return MethodView(method=scores.method, hash=scores.method.hash, figures=names)

    @routes.get("/assessments/{period}", summary="考评 Scores of all units in a period (R11.4)")
    async def assessed(caller: Authenticated, period: PeriodName) -> ScoresView:
        rights.ASSESSMENT.check(caller, {})
        asked = parse_period(period)
        return shown(period, asked, await scores.of(asked), scores.method, await scores.issued(period))

    @routes.get(
        "/assessments/{period}/table.xlsx",
        response_class=Response,
        responses={200: {"content": {MEDIA_TYPE: {}}}},
        summary="考评表 Scores of all units as a table (R11.4)",
    )
    async def table(caller: Authenticated, period: PeriodName) -> Response:
        """What was issued, if it was; else the scores of this moment."""
        rights.ASSESSMENT.check(caller, {})
        asked, issued, now = parse_period(period), await scores.issued(period), clock.now()
        by = issued.method if issued else scores.method
        lines = list(issued.scores if issued else (await scores.of(asked)).scores)
        state = (
            f"{issued.issued_at:%Y-%m-%d} 发布 {issued.issued_by.name or issued.issued_by.subject}"
            if issued
            else "未发布"
        )
        about = [by.title, f"{asked.first_day} 至 {asked.end_day - timedelta(days=1)}", state, f"办法 {by.hash[:12]}"]
        work = partial(workbook, "考评表", about, columns_of(by), rows_of(lines, by), now)
        headers = {
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'attachment; filename="assessment-{period}.xlsx"',
        }
        return Response(await press.long.take(work), media_type=MEDIA_TYPE, headers=headers)

    @routes.post("/assessments/{period}/what-if", summary="试算 Scores by another method; nothing is stored (R11.4)")
    async def what_if(
        caller: Authenticated,
        period: PeriodName,
        variant: Annotated[
            dict[str, Any], Body(description="A whole method, as `GET /reporting/assessment/method` gives it.")
        ],
    ) -> WhatIfView:
        rights.ASSESSMENT.check(caller, {})
        asked = parse_period(period)
        other, problems = checked(variant, directory)
        if problems or other is None:
            raise Problem(
                422,
                "考评办法有误 / The method cannot be used",
                "Correct what is listed under 'errors' and send it again.",
                slug="invalid-fields",
                rule="R11.4",
                errors=[FieldError(f"/{one.where}", one.chinese, one.english, "R11.4") for one in problems],
            )
        then, now = await scores.of(asked, other), await scores.of(asked)
        before = {one.unit: one for one in now.scores}
        moved = [
            Moved(
                unit=one.unit,
                name=one.name,
                score=one.score,
                rank=one.rank,
                score_now=before[one.unit].score if one.unit in before else None,
                rank_now=before[one.unit].rank if one.unit in before else None,
            )
            for one in then.scores
        ]
        return WhatIfView(scores=shown(period, asked, then, other), moved=moved)

    @routes.post(
        "/assessments/{period}/issue",
        status_code=201,
        responses={200: {"model": Issued, "description": "It was issued before"}},
        summary="发布考评 Freeze the scores of a period (R11.4)",
    )
    async def issue(caller: Authenticated, period: PeriodName, response: Response) -> Issued:
        """Once, after its end: with the method, its hash, by whom and when. Asked again, it answers 200 with what was issued."""
        rights.ASSESSMENT.check(caller, {})
        made, new = await scores.issue(period, actor(caller), clock.now())
        if not new:
            response.status_code = 200
        return made

    @routes.get("/assessments/{period}/issued", summary="已发布的考评 The issued scores of a period (R11.4)")
    async def issued(caller: Authenticated, period: PeriodName) -> Issued:
        rights.ASSESSMENT.check(caller, {})
        parse_period(period)
        found = await scores.issued(period)
        if found is None:
            raise NotFound("R11.4", "该时段的考评尚未发布 / The assessment of this period was not issued yet")
        return found

    @routes.get("/mailboxes/{code}/assessments/{period}", summary="单位考评 The score of a unit (R11.4)")
    async def of_unit(caller: Authenticated, code: str, period: PeriodName) -> UnitScoreView:
        rights.ASSESSED.check(caller, {Relation.NAMED: (code, directory.current(code))})
        found = await scores.of(parse_period(period))
        mine = next((one for one in found.scores if one.unit == code), None)
        if mine is None:
            raise NotFound(
                "R11.4", "这个信箱不参加考评 / This mailbox is not assessed: it is no open unit of any group"
            )
        ranked = sum(one.rank is not None and one.group == mine.group for one in found.scores)
        return UnitScoreView(
            period=period,
            title=scores.method.title,
            up_to_date=found.fresh,
            method_hash=scores.method.hash,
            score=mine,
            ranked=ranked,
        )

    @routes.get(
        "/mailboxes/{code}/assessments/{period}/indicators/{indicator}/letters",
        summary="指标所计来信 The letters that an indicator counts (R11.4)",
    )
    async def letters(
        caller: Authenticated,
        code: str,
        period: PeriodName,
        indicator: Annotated[str, Path(max_length=40)],
        part: Side = Side.NUMERATOR,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> Page[LineView]:
        """In the order of days, without those that are kept from the caller."""
        rights.ASSESSED_LETTERS.check(caller, {Relation.NAMED: (code, directory.current(code))})
        asked, found = parse_period(period), scores.indicator(indicator)
        if code not in directory:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        terms = found.numerator if part is Side.NUMERATOR else found.denominator
        place = decode_cursor(cursor, str, str, str)
        after = (_day_in(place[0], asked), place[1], place[2]) if place else None
        lines = await scores.letters(code, asked, terms, actor(caller), after, limit + 1)
        items = [
            LineView(
                letter_id=one.letter_id,
                number=one.number,
                figure=one.figure,
                label=name_of(one.figure),
                day=date.fromisoformat(one.day),
                count=one.times,
            )
            for one in lines[:limit]
        ]
        return Page(items=items, next=encode_cursor(*lines[limit - 1][:3]) if len(lines) > limit else None)

    return routes


def _day_in(text: str, period: Period) -> str:
    """Return a cursor's day; one that somebody made up begins with the period."""
    try:
        return max(date.fromisoformat(text), period.first_day).isoformat()
    except ValueError:
        return period.first_day.isoformat()


def columns_of(method: Method) -> list[Column]:
    """Return the columns of the table: for each indicator its two sums, value and points."""
    found = [Column("组别", 24), Column("名次", 12), Column("单位", 44), Column("得分", 16)]
    for one in method.indicators:
        found += [Column(f"{one.zh}（权重 {one.weight:g}）{part}", 20) for part in ("分子", "分母", "值", "分数")]
    return found


def rows_of(scores: list[UnitScore], method: Method) -> list[list[Any]]:
    """Return the rows of the table; what was not assessed is empty."""
    names = {group.id: group.zh for group in method.groups}
    rows = []
    for one in scores:
        row: list[Any] = [names.get(one.group, one.group), one.rank, one.name, one.score]
        known = {line.id: line for line in one.indicators}
        for indicator in method.indicators:
            line = known.get(indicator.id)
            row += [None] * 4 if line is None else [line.numerator, line.denominator, line.value, line.points]
        rows.append(row)
    return rows
