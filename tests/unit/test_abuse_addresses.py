"""Addresses that somebody would like us to ask (SSRF): in texts, files, tokens and settings. None of them is ever opened."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from services.publication.cleaning import clean
from services.publication.pdf import Unfit
from shared.security.tokens import KeySetError, TokenVerifier
from tests.paper import EMPTY, bare, needs_fonts, press, text_of
from tests.unit.test_printing import text_row

THERE: Final = "http://169.254.169.254/latest/meta-data"


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every connection and look-up of a name that is tried; there must be none."""
    tried: list[Any] = []

    def trying(*arguments: Any, **_: Any) -> Any:
        tried.append(arguments)
        raise OSError("nothing is asked here")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, trying)
    monkeypatch.setattr(socket.socket, "connect", trying)
    yield tried
    assert tried == []


@needs_fonts
def test_ssrf_an_address_in_a_letter_is_printed_and_not_opened() -> None:
    text = f'#image("{THERE}/a.png") #import "{THERE}" <img src="{THERE}"> ![]({THERE}) \\input{{{THERE}}} file:///etc/passwd'
    made = press().render_form({**EMPTY, "rows": [text_row(text)]}, datetime(2026, 3, 2, tzinfo=UTC))
    assert bare(text) in text_of(made)
    assert b"/URI" not in made, "nor is it a link that a reader's program would follow"


def pdf(add: Any) -> bytes:
    out = BytesIO()
    with pikepdf.new() as made:
        page = made.add_blank_page()
        page.Contents = made.make_stream(b"0 0 10 10 re f")
        add(made, page)
        made.save(out)
    return out.getvalue()


def _link(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
    action = Dictionary(S=Name.URI, URI=String(THERE))
    page.Annots = Array(
        [made.make_indirect(Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=[0, 0, 9, 9], A=action))]
    )


def _opened(made: pikepdf.Pdf, _: pikepdf.Page) -> None:
    made.Root.OpenAction = Dictionary(S=Name.GoToR, F=String(THERE), D=Array([0, Name.Fit]))


def _script(made: pikepdf.Pdf, _: pikepdf.Page) -> None:
    made.Root.OpenAction = Dictionary(S=Name.JavaScript, JS=String(f"app.launchURL('{THERE}')"))


def _submitted(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
    page.AA = Dictionary(O=Dictionary(S=Name.SubmitForm, F=Dictionary(FS=Name.URL, F=String(THERE))))


def _drawn_from_elsewhere(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
    picture = made.make_stream(
        b"", Type=Name.XObject, Subtype=Name.Image, Width=1, Height=1, ColorSpace=Name.DeviceGray, BitsPerComponent=8
    )
    picture.F = Dictionary(FS=Name.URL, F=String(THERE))
    page.Resources = Dictionary(XObject=Dictionary(A=picture))
    page.Contents = made.make_stream(b"/A Do")


@pytest.mark.parametrize("add", [_link, _opened, _script, _submitted, _drawn_from_elsewhere])
def test_ssrf_a_published_pdf_asks_no_address_and_leads_to_none(add: Any) -> None:
    sent = pdf(add)
    try:
        done = clean(sent)
    except Unfit:
        return
    with pikepdf.open(BytesIO(done.content)) as kept:
        everything = b"".join(one.unparse(resolved=True) for one in kept.objects)
    assert b"169.254" not in everything
    assert b"169.254" not in done.content


@pytest.mark.parametrize(
    "source",
    [THERE, "https://evil.example/jwks.json", "file:///etc/passwd", "//evil.example/jwks", "ftp://evil.example/k"],
)
def test_ssrf_a_key_set_is_a_file_or_itself_and_never_an_address(source: str) -> None:
    with pytest.raises(KeySetError):
        TokenVerifier(source)
