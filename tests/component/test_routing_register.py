"""The register 处理情况登记表 as those who use it see it: a page, a PDF and a spreadsheet of the same lines (R10.3, 附表9)."""

import io
from datetime import datetime, timedelta
from typing import Any

import httpx
from openpyxl import load_workbook

from services.routing import register
from shared.contracts.types import Nature
from tests.component.test_routing_ways import DUE, PHONE
from tests.conftest import MONDAY, World, eventually
from tests.paper import bare, needs_fonts, pages, text_of
from tests.routing_desk import ABOUT, CLERK, DUTY, HEAD, OTHER, UNIT_CLERK, Desk, desk_of

FORMULA = '=HYPERLINK("http://a.example","x")'
SHANGHAI = MONDAY.replace(tzinfo=None)


async def got(desk: Desk, path: str, who: tuple[str, ...]) -> httpx.Response:
    return await desk.get(f"{path}", who)


def sheet_of(content: bytes) -> Any:
    return load_workbook(io.BytesIO(content)).active


async def lines(desk: Desk, who: tuple[str, ...], path: str) -> list[dict[str, Any]]:
    """The lines of the spreadsheet as head → cell."""
    answer = await got(desk, path, who)
    assert answer.status_code == 200, answer.text
    head, *rows = list(sheet_of(answer.content).iter_rows(min_row=2, values_only=True))
    return [dict(zip(head, row, strict=True)) for row in rows]


async def until_listed(desk: Desk, who: tuple[str, ...], path: str, wanted: Any) -> list[dict[str, Any]]:
    async def there() -> list[dict[str, Any]] | None:
        found = await lines(desk, who, path)
        return found if wanted(found) else None

    found: list[dict[str, Any]] = await eventually(there)
    return found


async def story(desk: Desk) -> None:
    """One letter assigned, late, urged and answered; one pending whose subject is a formula; a report about a unit."""
    done = await desk.assigned(requirements="办结")
    await desk.due(done, "s1", "education", DUE)
    await desk.done(f"{done}/handoffs/s1/collect", UNIT_CLERK)
    desk.world.move_clock(DUE + timedelta(days=2))
    await desk.replied(done, "s1", "education")
    await desk.letter(subject=FORMULA)
    await desk.letter(
        classification=ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "water"}),
        subject="举报自来水公司",
    )


async def test_r10_3_a_spreadsheet_has_dates_numbers_a_frozen_head_and_no_formula(world: World) -> None:
    async with desk_of(world) as desk:
        await story(desk)
        path = "mailboxes/mayor/register.xlsx?from=2026-03-01&to=2026-03-31"
        found = await until_listed(desk, CLERK, path, lambda rows: len(rows) == 3 and rows[0]["结果"] == "办结")
        first, second, _ = found
        assert {name: first[name] for name in ("序号", "编号", "来信时间", "收信信箱", "性质", "区域", "处理方式")} == {
            "序号": 1,
            "编号": "渝府信〔2026〕1号",
            "来信时间": SHANGHAI,
            "收信信箱": "市长信箱",
            "性质": "投诉",
            "区域": "渝中区",
            "处理方式": "交办",
        }
        assert first["期限"] == datetime.fromisoformat("2026-03-16")
        assert (first["是否超期"], first["催办次数"], first["退办次数"], first["答复方式"]) == ("是", 0, 0, "网上回复")
        assert (second["主题"], second["处理方式"], second["期限"], second["结果"]) == (FORMULA, None, None, "拟办")

        answer = await got(desk, path, CLERK)
        name = 'inline; filename="register-mayor-2026-03-01-2026-03-31.xlsx"'
        assert answer.headers["content-disposition"] == name
        sheet = sheet_of(answer.content)
        assert sheet.freeze_panes == "A3"
        assert not [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]
        assert sheet["C3"].is_date
        assert "共 3 件" in sheet["A1"].value


@needs_fonts
async def test_r10_3_page_and_paper_show_the_same_lines_and_are_filtered_as_lists_are(world: World) -> None:
    async with desk_of(world) as desk:
        await story(desk)
        await until_listed(desk, CLERK, "mailboxes/mayor/register.xlsx", lambda rows: len(rows) == 3)
        page = await got(desk, "mailboxes/mayor/register.html?nature=report", CLERK)
        assert page.headers["content-type"].startswith("text/html")
        assert "举报自来水公司" in page.text
        assert "路灯" not in page.text
        assert '"/routing/mailboxes/mayor/register.pdf?nature=report"' in page.text
        page = await got(desk, "mailboxes/mayor/register.html", CLERK)
        assert "=HYPERLINK(&#34;http://a.example&#34;" in page.text
        paper = await got(desk, "mailboxes/mayor/register.pdf?from=2026-03-01", CLERK)
        text = text_of(paper.content)
        for part in (
            "附表9",
            register.TITLE,
            "信箱：重庆市市长信箱",
            "期间：2026年3月1日至最近（按登记日期）共3件",
            FORMULA,
            "渝府信〔2026〕1号2026年3月2日09:30",
            *(column.head for column in register.COLUMNS),
        ):
            assert bare(part) in text
        wrong = await got(desk, "mailboxes/mayor/register.pdf?from=2026-04-01&to=2026-03-01", CLERK)
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "query:to")
        assert (await got(desk, "mailboxes/mayor/register.doc", CLERK)).status_code == 422


async def test_r10_3_each_mailbox_has_its_own_register_and_the_duty_office_that_of_the_city(world: World) -> None:
    async with desk_of(world) as desk:
        await story(desk)
        report = await desk.letter(
            classification=ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education-basic"})
        )
        own = await until_listed(desk, UNIT_CLERK, "mailboxes/education/register.xlsx", lambda rows: len(rows) == 1)
        assert own[0]["承办单位"] == world.kit().directory.get("education").short_name
        city = await until_listed(desk, DUTY, "register.xlsx", lambda rows: len(rows) == 4)
        assert [row["序号"] for row in city] == [1, 2, 3, 4]
        await desk.sent(report, "mayor", "water")
        assert await lines(desk, OTHER, "mailboxes/water/register.xlsx?dated=received") is not None
        for path, who in (
            ("mailboxes/mayor/register.xlsx", UNIT_CLERK),
            ("register.xlsx", CLERK),
            ("register.pdf", HEAD),
        ):
            assert (await got(desk, path, who)).status_code == 403
        assert (await got(desk, "mailboxes/nowhere/register.pdf", DUTY)).status_code == 404


@needs_fonts
async def test_r10_3_a_register_of_many_pages_repeats_its_head_and_one_too_long_says_what_to_do(
    world: World, monkeypatch
) -> None:
    async with desk_of(world) as desk:
        for _ in range(3):
            await desk.letter()
        await until_listed(desk, CLERK, "mailboxes/mayor/register.xlsx", lambda rows: len(rows) == 3)
        monkeypatch.setattr(register, "MOST", 2)
        answer = await got(desk, "mailboxes/mayor/register.pdf", CLERK)
        assert (answer.status_code, answer.json()["rule"]) == (422, "R10.3")
        assert "缩短期间" in answer.json()["detail"]


@needs_fonts
async def test_r10_3_a_forwarded_letter_is_answered_in_the_register_by_who_handled_it(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.sent(letter_id, "mayor", "education", "forward")
        await desk.done(f"{letter_id}/handoffs/s1/told", CLERK, PHONE)
        (line,) = await until_listed(
            desk, CLERK, "mailboxes/mayor/register.xlsx", lambda rows: bool(rows and rows[0]["处理方式"])
        )
        assert (line["处理方式"], line["期限"], line["是否超期"]) == ("转阅", None, None)
        assert pages((await got(desk, "mailboxes/mayor/register.pdf", CLERK)).content)
