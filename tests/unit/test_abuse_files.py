"""Files that are two things at once, names that are more than names, and what unpacks to more than there is room for."""

import zlib
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import filetype
import pikepdf
import pytest
from pikepdf import Array, Name

from services.intake.attachments import KINDS, safe_name
from services.publication import cleaning
from services.publication.cleaning import clean, clean_apart
from services.publication.pdf import MOST_DRAWN_BYTES, Unfit
from shared.contracts.errors import BadInput
from tests.unit.test_publication_cleaning import saved

SCRIPT = b"<script>alert(document.domain)</script>"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd.pdf"),
        ("..\\..\\windows\\system32\\cmd.exe", "cmd.pdf"),
        ("/etc/cron.d/x", "x.pdf"),
        ("C:\\a.pdf", "a.pdf"),
        ("a.pdf\x00.exe", "a.pdf_.pdf"),
        ("a\r\nSet-Cookie: x=1.pdf", "a__Set-Cookie_ x=1.pdf"),
        ('a"; filename="b.exe', "a__ filename=_b.pdf".replace("__", "_;", 1)),
        ("photo\u202egpj.exe", "photo_gpj.pdf"),
        ("照片\u200f\ufeff.jpg", "照片__.pdf"),
        ("a\u2044b\u2215c\uff0fd\uff3ce.pdf", "a_b_c_d_e.pdf"),
        ("CON", "_CON.pdf"),
        ("con.pdf", "_con.pdf"),
        ("NUL.tar.gz", "_NUL.tar.pdf"),
        ("Com1 .txt", "_Com1.pdf"),
        ("lpt¹.pdf", "_lpt¹.pdf"),
        ("concert.pdf", "concert.pdf"),
        (".htaccess", "htaccess.pdf"),
        ("...", "file.pdf"),
        ("", "file.pdf"),
        (" . . ", "file.pdf"),
        ("-rf.pdf", "-rf.pdf"),
        ("\ud800.pdf", "_.pdf"),
        ("附件" * 500 + ".pdf", ("附件" * 33)[:66] + ".pdf"),
        ("🀄" * 300, "🀄" * 50 + ".pdf"),
    ],
)
def test_a_file_s_name_is_no_path_no_device_no_header_and_fits_every_disk(sent: str, kept: str) -> None:
    named = safe_name(sent, "application/pdf")
    assert named == kept
    assert len(named) <= 100
    assert len(named.encode()) <= 255


def test_whatever_a_file_is_called_its_ending_is_that_of_its_content() -> None:
    for media_type, ending in KINDS.items():
        assert safe_name("invoice.html", media_type) == f"invoice.{ending}"


def office(**entries: bytes) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        for name, content in entries.items():
            archive.writestr(name.replace("_", "/"), content)
    return out.getvalue()


def pdf(**streams: Any) -> bytes:
    out = BytesIO()
    with pikepdf.new() as made:
        page = made.add_blank_page()
        page.Contents = made.make_stream(streams.get("drawn", b"0 0 10 10 re f"))
        made.save(out)
    return out.getvalue()


TWO_AT_ONCE = {
    "GIF and script": saved("GIF")[:6] + b"/*" + saved("GIF")[8:] + b"*/=1;" + SCRIPT,
    "GIF, then HTML": saved("GIF") + SCRIPT,
    "JPEG, then HTML": saved("JPEG") + b"<html>" + SCRIPT,
    "JPEG with HTML in its comment": saved("JPEG", comment=SCRIPT),
    "PNG, then a ZIP": saved("PNG") + office(run_sh=SCRIPT),
    "PDF, then a ZIP": pdf() + office(run_sh=SCRIPT),
    "PDF, then HTML": pdf() + SCRIPT,
}


@pytest.mark.parametrize("name", TWO_AT_ONCE)
def test_a_file_that_is_two_things_at_once_is_one_once_it_is_public(name: str) -> None:
    try:
        done = clean(TWO_AT_ONCE[name])
    except Unfit:
        return  # refused is right too
    assert SCRIPT not in done.content
    assert b"PK\x03\x04" not in done.content
    assert done.media_type == filetype.guess(done.content).mime


@pytest.mark.parametrize(
    "content",
    [
        SCRIPT,
        b"<!DOCTYPE html>" + SCRIPT,
        b"<svg xmlns='http://www.w3.org/2000/svg'>" + SCRIPT + b"</svg>",
        b"#!/bin/sh\n",
        b"MZ" + b"\0" * 100,
        b"\x7fELF" + b"\0" * 100,
        b"PK\x03\x04" + b"\0" * 100,
        b" %PDF-1.7",
    ],
)
def test_what_a_browser_or_a_system_would_run_is_no_kind_of_attachment(content: bytes) -> None:
    kind = filetype.guess(content)
    assert kind is None or kind.mime not in KINDS


def bomb() -> bytes:
    return b"0 0 1 1 re f\n" * (4 * MOST_DRAWN_BYTES // 13)


async def test_a_pdf_that_unpacks_to_far_too_much_is_refused_however_often_it_is_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cleaning, "WALL_SECONDS", 60)
    packed = zlib.compress(bomb(), 9)
    for filters, content in (([Name.FlateDecode], packed), ([Name.FlateDecode] * 2, zlib.compress(packed, 9))):
        out = BytesIO()
        with pikepdf.new() as made:
            page = made.add_blank_page()
            stream = made.make_stream(b"")
            stream.write(content, filter=Array(filters))
            page.Contents = stream
            made.save(out)
        assert len(out.getvalue()) < 500_000
        with pytest.raises(BadInput):
            await clean_apart(out.getvalue(), "/file")


async def test_office_files_are_never_unpacked_so_a_zip_bomb_is_only_a_file() -> None:
    sent = office(word_document_xml=b"\0" * 50_000_000)
    assert len(sent) < 100_000
    kind = filetype.guess(sent)
    assert kind is not None
    with pytest.raises(BadInput, match="PDF"):
        await clean_apart(sent, "/file")
