"""Addresses that somebody would like us to ask (SSRF): in texts, files, tokens, requests and settings. None of them is ever opened."""

import ast
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import filetype
import httpx
import jwt
import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from deploy.front import front
from services.publication.cleaning import clean
from services.publication.pdf import Unfit
from shared.contracts.catalogue import ACTIONS
from shared.printing.registers import Column
from shared.printing.sheet import workbook
from shared.security.oidc import Provider, ProviderAway, Refused
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import KeySetError, TokenVerifier
from tests.paper import EMPTY, bare, needs_fonts, press, text_of
from tests.provider import CLIENT, ISSUER, KEYS, FakeProvider
from tests.unit.test_abuse_files import office
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


# ── who can ask at all ───────────────────────────────────────────────────────────────────────────────────────────────

ASKING: Final = {
    "shared/observability/_otel.py": {"opentelemetry.exporter"},
    "shared/security/oidc.py": {"httpx"},
    "shared/security/scanner.py": {"aioclamd"},
}
"""File → by which library it asks. Kafka's and the store's drivers are held to their places by the import rules."""
ASKERS: Final = (
    *("httpx", "httpcore", "requests", "urllib3", "urllib.request", "aiohttp", "http.client", "socket", "aioclamd"),
    *("ftplib", "smtplib", "imaplib", "poplib", "telnetlib", "xmlrpc", "webbrowser", "websockets", "grpc"),
    *("opentelemetry.exporter", "asyncio.open_connection", "asyncio.create_connection", "asyncio.streams"),
)


def askers(file: Path) -> set[str]:
    """The libraries that ask others, among those that a file imports or calls."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Attribute):
            named.add(ast.unparse(node))
    return {asker for asker in ASKERS for name in named if f"{name}.".startswith(f"{asker}.")}


def test_ssrf_three_files_alone_ask_others_by_addresses_of_the_settings() -> None:
    root = Path(__file__).parents[2]
    found = {
        str(file.relative_to(root)): askers(file)
        for top in ("services", "shared")
        for file in (root / top).rglob("*.py")
    }
    assert {file: libraries for file, libraries in found.items() if libraries} == ASKING, (
        "whoever asks others is on docs/security.md, Where requests go, and tested here"
    )


def test_ssrf_no_action_of_a_unit_s_system_has_a_field_for_an_address() -> None:
    """Nor has a request over HTTP: `tests/component/test_abuse_city.py`."""
    assert len(ACTIONS) > 5
    wrong = [(kind.__name__, one) for kind in ACTIONS for one in kind.model_fields if is_for_an_address(one)]
    assert wrong == []


def is_for_an_address(name: str) -> bool:
    """Whether a field is called like one that holds something to be asked."""
    words = set(name.lower().replace("-", "_").split("_"))
    kinds = {
        "url",
        "uri",
        "href",
        "link",
        "callback",
        "webhook",
        "hook",
        "host",
        "endpoint",
        "redirect",
        "proxy",
        "feed",
    }
    return bool(words & (kinds | {f"{kind}s" for kind in kinds}))


# ── the provider, and what tokens and answers name ───────────────────────────────────────────────────────────────────


@dataclass
class Noting(FakeProvider):
    """Also knows where it was asked."""

    addresses: list[str] = field(default_factory=list)
    leads: str = ""
    """The end of a path that is answered by a redirect."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note the whole address."""
        self.addresses.append(str(request.url))
        if self.leads and request.url.path.endswith(self.leads):
            return httpx.Response(302, headers={"Location": THERE})
        return await super().handle_async_request(request)


def provider_at(noting: Noting) -> Provider:
    return Provider(SignInSettings(oidc_issuer=ISSUER, oidc_client_id=CLIENT), transport=noting)


async def test_ssrf_a_token_leads_to_no_keys_but_the_provider_s() -> None:
    noting = Noting()
    provider = provider_at(noting)
    now = int(time.time())
    claims = {"iss": THERE, "aud": "xinxiang", "sub": "a", "iat": now, "exp": now + 60}
    for headers in ({"kid": THERE}, {"jku": THERE}, {"x5u": THERE}, {"kid": "first", "jku": f"{THERE}/jwks.json"}):
        for issuer in (THERE, ISSUER):
            token = jwt.encode(claims | {"iss": issuer}, KEYS["stranger"], algorithm="RS256", headers=headers)
            with pytest.raises(Refused):
                await provider.access_claims(token)
    assert set(noting.addresses) == {f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"}


@pytest.mark.parametrize("path", ["/openid-configuration", "/keys"])
async def test_ssrf_no_redirect_of_the_provider_is_followed(path: str) -> None:
    noting = Noting(leads=path)
    with pytest.raises(ProviderAway):
        await provider_at(noting).signs_out()
    assert noting.addresses[-1].endswith(path)
    assert not [address for address in noting.addresses if "169.254" in address]


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────

OUTSIDE: Final = (
    f'<Relationships><Relationship Id="r1" Target="{THERE}" TargetMode="External"/></Relationships>'.encode()
)


@pytest.mark.parametrize("part", ["word__rels_settings.xml.rels", "xl_externalLinks__rels_externalLink1.xml.rels"])
def test_ssrf_a_document_that_names_a_template_or_a_workbook_elsewhere_is_only_a_file(part: str) -> None:
    main = {"word_document.xml": b"<document/>"} if part.startswith("word") else {"xl_workbook.xml": b"<workbook/>"}
    sent = office(**main, **{part: OUTSIDE})
    kind = filetype.guess(sent)
    assert kind is not None
    with pytest.raises(Unfit):
        clean(sent)


def test_ssrf_an_address_in_a_workbook_is_text_and_no_link() -> None:
    texts = [
        THERE,
        f'=WEBSERVICE("{THERE}")',
        f"=HYPERLINK({THERE})",
        "\\\\evil.example\\share",
        "mailto:a@evil.example",
    ]
    made = workbook("a", [THERE], [Column(THERE, 20)], [[text] for text in texts], datetime(2026, 3, 2, tzinfo=UTC))
    with ZipFile(BytesIO(made)) as book:
        names = book.namelist()
        parts = {name: book.read(name) for name in names}
    assert not [name for name in names if "externalLink" in name or "worksheets/_rels" in name or "connections" in name]
    for name, content in parts.items():
        assert b"hyperlink" not in content.lower().replace(b"=hyperlink(", b""), name
        assert b'TargetMode="External"' not in content, name
        assert b"<f>" not in content, name


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ssrf_the_one_address_of_a_demonstration_passes_on_to_the_services_alone() -> None:
    asked: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    urls = {name: f"http://{name}.test" for name in ("intake", "routing", "deadline", "publication", "reporting")}
    app = front(urls, httpx.MockTransport(note))
    forged = {"Host": "169.254.169.254", "X-Forwarded-Host": "169.254.169.254", "Forwarded": "host=169.254.169.254"}
    async with app.router.lifespan_context(app):
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city.test", headers=forged)
        for path in (
            "//169.254.169.254/a",
            "/@169.254.169.254",
            "/http://169.254.169.254/",
            "/intake@169.254.169.254/",
        ):
            await client.get(f"http://city.test{path}")
        scope = {
            "type": "http",
            "method": "GET",
            "headers": [],
            "query_string": b"",
            "server": ("a", 1),
            "scheme": "http",
        }
        for bare_path in ("@169.254.169.254/", ".169.254.169.254/", ":80@169.254.169.254/"):
            sent: list[Any] = []
            whole = scope | {"path": bare_path, "raw_path": bare_path.encode(), "http_version": "1.1"}
            await app(whole, _nothing, _collected(sent))
            assert sent[0]["status"] == 404
    assert set(asked) <= {httpx.URL(url).host for url in urls.values()}
    assert len(asked) == 4


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


def _collected(sent: list[Any]) -> Any:
    async def send(message: Any) -> None:
        sent.append(message)

    return send
