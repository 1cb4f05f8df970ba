"""Extracts, open data lines, structured data and addresses of the public site (R9.2)."""

import csv
import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from services.publication.addresses import Addresses
from services.publication.extracts import extract, has_words, marked
from services.publication.index import Entry, Index, number_key, words_of
from services.publication.open_data import FIELDS, Licence, bounds, csv_line
from services.publication.structured import in_script
from shared.search import Moved


def shown(pieces: list) -> str:
    """Pieces as text, hits in brackets."""
    return "".join(f"[{piece.text}]" if piece.hit else piece.text for piece in pieces)


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("小区门口的路灯坏了", "路灯", "小区门口的[路灯]坏了"),
        ("路灯路灯", "路灯", "[路灯][路灯]"),
        ("供水管网", "水管 供水管网", "[供水管网]"),
        ("ＰＭ２．５超标", "pm2.5", "[ＰＭ２]．５超标"),
        ("B12路，b12路", "b12", "[B12]路，[b12]路"),
        ("ﬁle里的字", "file", "[ﬁle]里的字"),
        ("<b>路灯</b>", "路灯", "<b>[路灯]</b>"),
        ("没有", "路灯", "没有"),
    ],
)
def test_r9_2_the_words_are_marked_where_they_stand(text: str, query: str, expected: str) -> None:
    assert shown(marked(text, words_of(query))) == expected


def test_r9_2_an_extract_shows_the_place_with_most_words() -> None:
    text = "路灯。" + "长" * 200 + "小区的路灯坏了" + "尾" * 200
    assert "[小区]的[路灯]坏了" in shown(extract(["开头没有", text], ["路灯", "小区"], 60))
    pieces = extract(["开头没有", text], ["路灯", "小区"], 60)
    assert pieces[0].text == pieces[-1].text == "…"
    assert sum(len(piece.text) for piece in pieces) <= 62
    assert shown(extract(["短短的信"], [])) == "短短的信"


@given(st.text(max_size=80), st.text(min_size=2, max_size=6))
def test_r9_2_marking_changes_no_character(text: str, query: str) -> None:
    pieces = marked(text, words_of(query))
    assert "".join(piece.text for piece in pieces) == text
    for piece in pieces:
        if piece.hit:
            assert has_words([piece.text], [next(w for w in words_of(query) if has_words([piece.text], [w]))])


@given(
    st.lists(st.text(alphabet="供水管网路灯 5gＧ。", min_size=1, max_size=12), min_size=1, max_size=8),
    st.text(alphabet="供水管网路灯 5g", min_size=2, max_size=6),
)
def test_r9_2_the_index_finds_exactly_the_texts_that_have_all_words(texts: list[str], query: str) -> None:
    words = words_of(query)
    if not words:
        return
    index = Index(None)
    entries = [Entry(f"A-{n}", f"甲{n}号", "", (text,), (), n) for n, text in enumerate(texts)]
    index.take([Moved(str(n), f"{n}", entry) for n, entry in enumerate(entries)], "9")
    found = {hit.letter for hit in index.ranked(words, []).hits}
    assert found == {str(n) for n, text in enumerate(texts) if has_words([text], words)}
    index.take([Moved(letter, "x", None) for letter in found], "9")
    assert index.ranked(words, []).hits == []
    assert index.known((str(n), f"{n}") for n in range(len(texts))) == {str(n) for n in range(len(texts))} - found
    index.close()


def test_r9_2_however_wide_a_window_is_asked_for_no_more_than_two_are_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.publication.index.WINDOW", 4)
    index = Index(None)
    entries = [Entry(f"A-{n}", f"甲{n}号", "路灯", (), (), n + 1) for n in range(12)]
    index.take([Moved(str(n), f"{n}", entry) for n, entry in enumerate(entries)], "9")
    window = index.ranked(["路灯"], [])
    assert [hit.letter for hit in window.hits] == ["11", "10", "9", "8"]
    assert index.ranked(["路灯"], [], window.high, window.low) == window
    forged = index.ranked(["路灯"], [], 2**62, 0)
    assert len(forged.hits) == 8
    index.close()


def test_r9_1_a_text_that_is_withdrawn_is_not_left_in_the_file(tmp_path: Path) -> None:
    def bytes_of(folder: Path) -> bytes:
        return b"".join(file.read_bytes() for file in folder.iterdir())

    index = Index(tmp_path)
    texts = {"short": "独一无二", "long": "举世无双" + "长" * 5_000}
    for n, (letter, text) in enumerate(texts.items()):
        index.take([Moved(letter, f"{n}", Entry(letter, letter, "", (text,), (), n))], f"{n}")
    index.close()
    assert all(text[:4].encode() in bytes_of(tmp_path) for text in texts.values())
    index = Index(tmp_path)
    index.take([Moved(letter, "9", None) for letter in texts], "9")
    index.close()
    assert not any(text[:4].encode() in bytes_of(tmp_path) for text in texts.values())


@pytest.mark.parametrize("number", ["渝府信〔2026〕17号", "渝府信[2026]17号", "渝府信（2026） 17号", "渝府信202617号"])
def test_r9_2_a_printed_number_is_found_whichever_brackets_it_was_typed_with(number: str) -> None:
    assert number_key(number) == number_key("渝府信〔2026〕17号")


@given(st.text(max_size=40))
def test_r9_2_no_cell_of_the_data_is_a_formula_and_every_cell_is_read_back(text: str) -> None:
    fields: dict[str, object] = {field.name: text for field in FIELDS} | {"attachments": [], "region": None}
    line = csv_line(fields)
    assert line.endswith("\r\n")
    (row,) = csv.reader(StringIO(line, newline=""))
    cell = row[2]
    assert cell in (text, "'" + text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@given(st.text(max_size=60))
def test_r9_2_structured_data_cannot_end_its_script_element(text: str) -> None:
    written = str(in_script({"text": text + "</script><!--"}))
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written)["text"] == text + "</script><!--"


def test_r9_2_a_month_begins_and_ends_at_midnight_in_shanghai() -> None:
    assert bounds("2026-12") == (datetime(2026, 11, 30, 16, tzinfo=UTC), datetime(2026, 12, 31, 16, tzinfo=UTC))


def test_r9_2_a_licence_has_a_name_and_perhaps_an_address() -> None:
    assert Licence.read("CC BY 4.0 https://x.example/a") == Licence(name="CC BY 4.0", address="https://x.example/a")
    assert Licence.read("政府数据开放许可") == Licence(name="政府数据开放许可", address=None)


@pytest.mark.parametrize("host", ["evil.example/..", "a b", 'x"><script>', "", "user@host", "host:123456"])
def test_r9_2_a_host_that_is_none_is_not_believed(host: str) -> None:
    request = Request(
        {"type": "http", "scheme": "http", "path": "/", "headers": [(b"host", host.encode())], "server": None}
    )
    assert Addresses("").of(request).url == ""
    assert Addresses("https://mail.city.example").of(request).url == "https://mail.city.example"
