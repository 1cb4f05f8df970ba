"""The press by itself: what cannot be printed is shown, what somebody wrote is never run, and the paper keeps for ever."""

import asyncio
import io
import logging
import struct
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from services.routing import register
from shared.calendar.zone import end_of_day
from shared.printing import fonts
from shared.printing.press import WAITING, CannotPrint, Press, PressBusy, qr_svg
from shared.printing.sheet import workbook
from shared.printing.text import lines, ordinal, printable
from tests.paper import EMPTY, bare, fonts_of, needs_fonts, pages, press, reader, text_of

AT = datetime(2026, 3, 2, 2, 12, tzinfo=UTC)
LATIN = frozenset(range(0x20, 0x7F)) | {ord("信"), ord("箱"), ord("　")}
CODE = (
    '#panic("x") #sys.version #import "/etc/passwd" #read("/etc/passwd") #set page(width: 1pt) #{1+1}',
    "] ) } #] *粗* _斜_ `码` $x^2$ = 标题 - 项 + 项 / 词: 义 // 注 /* 注 */ @引用 <标签> \\u{41} ~ --- https://a.b",
    '{"lines": ["x"]} </svg> %PDF-1.7 endobj <?xml ?> &amp; \'"',
)
"""Texts that are code in Typst, JSON, SVG or PDF."""


def text_row(text: str, **more: Any) -> dict[str, Any]:
    found, prose = lines(text)
    row = {"kind": "text", "label": "内容", "lines": found, "indent": prose, "signs": [], "room": 0, "signer": ""}
    return {**row, **more}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("信箱 a\tb", "信箱 a    b"),
        ("a😀b", "a〔U+1F600〕b"),
        ("a\0b", "a〔U+0000〕b"),
        ("a\u202eb\u2066", "a〔U+202E〕b〔U+2066〕"),
        ("\ud800", "〔U+D800〕"),
        ("نص عربي", "〔U+0646 U+0635〕 〔U+0639 U+0631 U+0628 U+064A〕"),
        ("ᠮᠣᠩᠭᠣᠯᠬᠡ", "〔8个字符无法打印〕"),
        ("a\u200b\ufeff\u00adb\ufe0f", "ab"),
        ("a\u00a0b\u2003c\u3000d", "a b c　d"),
        ("a\r\nb\rc\u2028d\x0be", "a\nb\nc\nd\ne"),
    ],
)
def test_what_cannot_be_printed_is_shown(written: str, shown: str) -> None:
    assert printable(written, LATIN) == shown


def test_a_long_word_may_be_broken_anywhere_and_chinese_is_left_alone() -> None:
    assert printable("a" * 60, LATIN) == "a" * 25 + "\u200b" + "a" * 25 + "\u200b" + "a" * 10
    assert printable("信箱" * 60, LATIN) == "信箱" * 60


def test_paragraphs_are_indented_and_drawings_made_of_characters_keep_their_shape() -> None:
    assert lines("\n\n　　第一段。  \n\n\n\n  第二段。\n") == (["第一段。", "", "第二段。"], True)
    drawn = "  /\\_/\\\n ( o.o )\n  > ^ <\n ======"
    assert lines(drawn) == (drawn.split("\n"), False)
    assert lines("") == ([], True)


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "第一次"), (10, "第十次"), (12, "第十二次"), (20, "第二十次"), (99, "第九十九次"), (100, "第100次")],
)
def test_slips_count_in_chinese(count: int, said: str) -> None:
    assert ordinal(count) == said


def test_the_characters_of_a_font_are_read_from_its_table(tmp_path) -> None:
    deltas = struct.pack(">HHHHHHH2HH2H2h2H", 4, 32, 0, 4, 4, 1, 0, 0x42, 0xFFFF, 0, 0x41, 0xFFFF, -0x40, 1, 0, 0)
    groups = struct.pack(">HHIII", 12, 0, 40, 0, 2) + struct.pack(">IIIIII", 0x4E00, 0x4E02, 7, 0x20000, 0x20000, 9)
    table = struct.pack(">HHHHIHHI", 0, 2, 3, 1, 20, 3, 10, 20 + len(deltas)) + deltas + groups
    head = struct.pack(">4sHHHH", b"OTTO", 1, 0, 0, 0) + struct.pack(">4sIII", b"cmap", 0, 12 + 16 + 16, len(table))
    file = tmp_path / "font.ttc"
    file.write_bytes(struct.pack(">4sHHII", b"ttcf", 1, 0, 1, 16) + head + table)
    assert fonts.characters(file, 0) == {0x41, 0x42, 0x4E00, 0x4E01, 0x4E02, 0x20000}


def test_fonts_are_those_given_else_the_systems(tmp_path) -> None:
    given, system = tmp_path / "given", tmp_path / "system"
    (system / "opentype" / "noto").mkdir(parents=True)
    assert fonts.find_folder(given, [system]) is None
    for name in fonts.FILES:
        (system / "opentype" / "noto" / name).touch()
    assert fonts.find_folder(given, [system]) == system / "opentype" / "noto"
    given.mkdir()
    (given / fonts.FILES[0]).touch()
    assert fonts.find_folder(given, [system]) == system / "opentype" / "noto"
    (given / fonts.FILES[1]).touch()
    assert fonts.find_folder(given, [system]) == given


async def test_without_fonts_printing_says_what_to_do(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("shared.printing.press.find_folder", lambda _: None)
    without = Press(tmp_path)
    assert not without.has_fonts()
    assert "fonts-noto-cjk" in caplog.text
    with pytest.raises(CannotPrint) as told:
        await without.form(EMPTY, AT)
    assert (told.value.status, told.value.rule) == (503, "R4.6")
    assert "FONTS_FOLDER" in told.value.detail


async def test_more_than_can_wait_are_told_to_come_again(tmp_path) -> None:
    busy, door = Press(tmp_path), threading.Event()
    waiting = [asyncio.create_task(busy.short.take(door.wait)) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(PressBusy) as told:
        await busy.short.take(door.wait)
    assert told.value.headers == {"Retry-After": "5"}
    door.set()
    await asyncio.gather(*waiting)
    assert await busy.short.take(lambda: 1) == 1


@needs_fonts
def test_r4_6_paper_keeps_for_ever_fonts_embedded_tagged_and_the_same_each_time() -> None:
    one = press()
    data = {**EMPTY, "rows": [text_row("学校门口的路灯坏了。")], "qr": qr_svg("https://city.test/letters/1")}
    made = one.render_form(data, AT)
    assert made == press().render_form(data, AT)
    assert made != one.render_form(data, AT.replace(year=2027))
    embedded = fonts_of(made)
    assert len(embedded) == 2
    assert all(embedded.values())
    pdf = reader(made)
    about: Any = pdf.metadata
    assert about.title == "重庆市政府系统公开电子信箱交办单　渝府信〔2026〕17号"
    assert about.author is None
    root: Any = pdf.trailer["/Root"]
    assert (root["/Lang"], root["/MarkInfo"]["/Marked"]) == ("zh-CN", True)
    described = root["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2<" in described
    assert "<pdfuaid:part>1<" in described


@needs_fonts
@pytest.mark.parametrize("code", CODE)
def test_r4_6_what_somebody_wrote_is_printed_and_never_run(code: str) -> None:
    pair = {"kind": "pair", "cells": [{"label": code, "text": code}, {"label": "b", "text": code}]}
    everywhere = dict.fromkeys(("name", "title", "number", "mark", "ordinal", "link"), code)
    row = text_row(code, label=code, signs=[code], room=10, signer=code)
    data = {**EMPTY, **everywhere, "rows": [pair, row], "notes": [code], "annex": [code]}
    # In every cell, line, signature, note and head of it.
    assert text_of(press().render_form(data, AT)).count(bare(code)) >= 15


@needs_fonts
def test_r4_6_a_long_text_goes_over_several_pages_under_a_repeated_head_and_none_is_lost() -> None:
    body = "\n".join(f"第{n}段：" + "学校门口的路灯坏了，晚上很不安全。" * 5 for n in range(60))
    found = pages(press().render_form({**EMPTY, "rows": [text_row(body)]}, AT))
    assert len(found) > 3
    for number, page in enumerate(found, start=1):
        assert f"第{number}页共{len(found)}页" in page
        assert number == 1 or page.startswith("重庆市政府系统公开电子信箱交办单（续）渝府信〔2026〕17号")
    whole = "".join(found)
    assert all(f"第{n}段：学校" in whole for n in range(60))
    assert whole.count("晚上很不安全") > 290


@needs_fonts
def test_r4_6_a_word_without_end_stays_inside_its_cell() -> None:
    made = press().render_form({**EMPTY, "rows": [text_row("a" * 5000)]}, AT)
    found = [line for page in reader(made).pages for line in page.extract_text().splitlines() if "aaa" in line]
    assert sum(line.count("a") for line in found) == 5000
    assert max(line.count("a") for line in found) < 100


@needs_fonts
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=300))
def test_r4_6_any_text_at_all_can_be_printed_to_the_standard(caplog, written: str) -> None:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        made = _SHARED.render_form({**EMPTY, "rows": [text_row(written)], "mark": written}, AT)
    assert made.startswith(b"%PDF")
    assert not caplog.records


_SHARED = press()


def test_the_code_on_a_form_is_that_of_its_link() -> None:
    assert qr_svg("https://city.test/letters/1") == qr_svg("https://city.test/letters/1")
    assert qr_svg("https://city.test/letters/1") != qr_svg("https://city.test/letters/2")


# ── spreadsheets ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r6_1_a_limit_stands_in_the_register_s_spreadsheet_under_its_last_day() -> None:
    heads = [column.head for column in register.COLUMNS]
    due = end_of_day(date(2026, 3, 16))
    lines = [
        [{"期限": moment, "答复时间": due}.get(head) for head in heads]
        for moment in (due, due - timedelta(hours=9), None)
    ]
    sheet = load_workbook(io.BytesIO(workbook("登记表", ["登记表"], register.COLUMNS, lines, AT))).active
    assert sheet is not None
    limit, answered = (heads.index(head) + 1 for head in ("期限", "答复时间"))
    cells = [sheet.cell(row, limit) for row in (3, 4, 5)]
    assert [cell.value for cell in cells] == [datetime.fromisoformat("2026-03-16")] * 2 + [None]
    assert {cell.number_format for cell in cells[:2]} == {"yyyy-mm-dd"}
    assert sheet.cell(3, answered).value == datetime.fromisoformat("2026-03-17"), (
        "an answer at midnight is the next day's"
    )
