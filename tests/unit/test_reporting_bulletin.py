"""Bulletins as leaders hold them: the PDF and the workbook of an issued one (R11.2, R11.3)."""

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from openpyxl import load_workbook

from services.reporting.bulletin import sections, shown
from services.reporting.issue_view import IssueView
from services.reporting.rendering import pdf, xlsx
from services.reporting.wording import number
from tests import bulletins
from tests.paper import bare, fonts_of, needs_fonts, pages, press, reader, text_of

LINK = "https://mail.city.test/bulletins/weekly-mayor-2026-W07"


@pytest.fixture(scope="module")
def printer() -> Any:
    return press()


def printed(issue: IssueView, printer: Any) -> str:
    return text_of(pdf(printer, issue, LINK))


def test_r11_2_the_bulletin_has_numbered_sections_in_the_order_of_such_bulletins() -> None:
    assert [one.title for one in sections(bulletins.full())] == [
        "一、来信概况",
        "二、分类情况",
        "三、热点领域和地区",
        "四、办理情况",
        "五、各单位办理时效",
        "六、超期与公示",
        "七、公开情况",
        "八、更正",
    ]
    empty = sections(bulletins.empty())
    assert [one.title for one in empty][-1] == "六、公开情况", "what there is nothing of leaves no gap in the numbers"
    assert empty[0].paragraphs == ("本周（2026年2月9日至2月15日），市长信箱没有收到来信。",)


def test_r11_2_sentences_tell_the_same_numbers_as_the_tables_and_charts_beside_them() -> None:
    overview, natures, hot, _, units, *_ = sections(bulletins.full())
    assert overview.paragraphs[0].startswith(
        "本周（2026年2月9日至2月15日），市长信箱共收到来信128件，较上周增加12件（10.3%），较去年同期减少5件（3.8%）。"
    )
    assert natures.paragraphs[0].startswith("按性质分，求助45件（35.2%）、投诉33件（25.8%）")
    (table,) = natures.tables
    assert table.rows[-1][:4] == ("合计", 128, 116, 133)
    for section in (natures, hot, units):
        for chart in section.charts:
            in_tables = {row[0]: row for one in section.tables for row in one.rows} | {
                row[1]: row for one in section.tables for row in one.rows
            }
            for place, label in enumerate(chart.labels):
                for _, values in chart.series:
                    if values[place] is not None:
                        assert values[place] in in_tables[label], (chart.title, label)


@needs_fonts
def test_r11_2_the_printed_bulletin_has_head_number_body_distribution_and_page_numbers(printer: Any) -> None:
    sheets = pages(pdf(printer, bulletins.full(), LINK))
    assert sheets[0].startswith("市长信箱工作周报〔2026〕第7期（总第59期）重庆市人民政府值班室2026年2月16日")
    assert all(f"—{number}—" in sheet for number, sheet in enumerate(sheets, start=1))
    whole = "".join(sheets)
    for one in sections(bulletins.full()):
        for text in (one.title, *one.paragraphs, *(chart.title for chart in one.charts)):
            assert bare(text) in whole, text
        for table in one.tables:
            for row in table.rows:
                assert all(bare(shown(value)) in whole for value in row), row
    for text in (
        "主送：市长、副市长，市政府秘书长、副秘书长",
        "抄送：市委值班室",
        "2026年2月16日印发",
        "共印",
        "附：统计口径",
    ):
        assert bare(text) in sheets[-1]
    assert (bulletins.full().hash or "none") in sheets[-1]
    assert bare(LINK) in sheets[-1]


@needs_fonts
def test_r11_2_the_printed_bulletin_keeps_for_ever_and_is_the_same_each_time(printer: Any) -> None:
    made = pdf(printer, bulletins.full(), LINK)
    assert made == pdf(press(), bulletins.full(), LINK)
    assert all(fonts_of(made).values()), "all fonts are in it"
    about = reader(made)
    metadata = about.trailer["/Root"]["/Metadata"].get_object().get_data().decode()  # type: ignore[index]
    assert "<pdfaid:part>2</pdfaid:part>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata, "also where charts and two hundred units are in it"
    assert about.metadata is not None
    assert about.metadata.title == "市长信箱工作周报〔2026〕第7期（总第59期）"


@needs_fonts
def test_r11_2_an_empty_week_and_one_of_two_hundred_units_with_any_names_are_printed_whole(printer: Any) -> None:
    assert "本周没有收到来信" in printed(bulletins.empty(), printer)
    crowded = printed(bulletins.crowded(), printer)
    assert all(f"第{place}区人民政府" in crowded for place in range(197))
    assert bare('=HYPERLINK("http://x")') in crowded
    assert "〔U+1F600〕" in crowded, "what the fonts lack is shown, in the chart too"


@needs_fonts
def test_r11_2_a_preview_says_that_it_is_not_issued_and_has_no_code(printer: Any) -> None:
    told = printed(bulletins.preview(), printer)
    assert "尚未印发" in told
    assert "SHA-256" not in told


def rows(book: Any, name: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in book[name].iter_rows(values_only=True)]


def test_r11_2_the_workbook_has_numbers_days_and_shares_as_what_they_are() -> None:
    book = load_workbook(io.BytesIO(xlsx(bulletins.full())))
    assert book.sheetnames[:4] == ["概况", "主要指标", "按性质", "热点领域"]
    assert all(sheet.freeze_panes == "A3" for sheet in book)
    assert rows(book, "按性质")[2] == ("建议", 31, 30, 33, pytest.approx(31 / 128))
    assert book["按性质"]["E3"].number_format == "0.0%"
    oldest = rows(book, "久未办结来信")[2]
    assert oldest[0] == "渝府信〔2026〕1号"
    assert oldest[4].isoformat() == "2026-01-11T00:00:00"
    assert isinstance(oldest[5], int)
    assert oldest[6].isoformat() == "2026-02-03T00:00:00", "a limit ends with the third, in the city's time (R6.1)"
    assert [book["久未办结来信"][cell].number_format for cell in ("E3", "G3")] == ["yyyy-mm-dd"] * 2
    cover = dict(row[:2] for row in rows(book, "概况")[2:12])
    assert cover["起"].date() == bulletins.FIRST
    assert cover["SHA-256"] == bulletins.full().hash
    units = rows(book, "各单位办理时效")
    assert units[2][:3] == (1, "市教委", 14)
    assert units[-1][1:4] == ("合计", 70, 57)


def test_r11_2_no_name_becomes_a_formula_in_the_workbook() -> None:
    book = load_workbook(io.BytesIO(xlsx(bulletins.crowded())))
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "n", "d"}
    (name,) = [cell for cell in cells if cell.value == '=HYPERLINK("http://x")']
    assert (name.data_type, name.number_format) == ("s", "@")


def test_r11_2_the_same_bulletin_gives_the_same_workbook() -> None:
    assert xlsx(bulletins.full()) == xlsx(bulletins.full())
    assert xlsx(bulletins.full()) != xlsx(bulletins.empty())
    told = load_workbook(io.BytesIO(xlsx(bulletins.full()))).properties
    assert (told.modified.replace(tzinfo=UTC), told.creator) == (bulletins.ISSUED, None), (
        "no clock, no name of a machine"
    )


def test_values_of_tables_read_as_they_do_in_the_city() -> None:
    assert shown(None) == "—"
    assert shown(datetime.fromisoformat("2026-03-16T16:00:00Z")) == "2026-03-16 24:00"
    assert shown(datetime.fromisoformat("2026-03-16T01:30:00Z")) == "2026-03-16 09:30"
    assert shown(7.25) == number(7.25) == "7.2"
