"""HTML and script in every field, seen on every page in a real browser: it stays text, no script of it ever runs, and no address in it is
asked. On paper it is text, too.

The browser is told to ignore the page policy (CSP): what keeps scripts out here is that nothing is markup. That the policy would stop them
besides is in `test_abuse_city.py`.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pikepdf
from playwright.async_api import Browser, Page, Request, Response, Route

from services.settings import Settings
from shared.printing.fonts import find_folder
from tests.browser import origin
from tests.citizen_letters import receipt
from tests.citizen_pages import FILLED
from tests.conftest import MONDAY, World, eventually
from tests.pages_intake import type_in
from tests.paper import text_of
from tests.report_search import ALL, NO_GROUND, City, city_of

SHORT: Final = "\"'><i class=evil onclick=hit()>甲"
"""Where a name has 50 characters."""
EVIL: Final = "</title></textarea>\"'><i class=evil><script>hit()</script>"
"""Where a subject has 60."""
LONG: Final = (
    f"{EVIL}<img src=x onerror=hit()><svg/onload=hit()><iframe srcdoc='<script>parent.hit()</script>'></iframe>"
    "<a href=javascript:hit()>x</a>]]></content><i class=evil>{{7*7}}${7*7}<!--</script><script>hit()//\u2028--></i>"
    "<img src=//evil.example/a.png> ![](http://evil.example/b.png) [x](//evil.example/) http://evil.example/ 请处理。"
)
HEAD: Final = ("mayor-head", "mayor", "head", "leader")
UNIT: Final = ("education-clerk", "education", "clerk", "head", "leader")
UNIT_HEAD: Final = ("education-head", "education", "head", "leader")
SENDER: Final = {"name": SHORT, "phone": "13800138000", "address": f"渝中区{EVIL}"}
ENTRIES: Final = {
    code: {"name": f"{SHORT}{code}", "short_name": f"{SHORT}{short}", "responsible_department": SHORT}
    for code, short in (("education", "教"), ("mayor", "市"))
}
MARKUP: Final = """() => [
  ...document.querySelectorAll("i.evil, [onclick], [onerror], [onload], iframe, a[href^=javascript]"),
  ...[...document.querySelectorAll("[href], [src], [action], [formaction]")].filter((one) =>
    ["href", "src", "action", "formaction"].some((name) => new URL(one.getAttribute(name) || "", location).hostname === "evil.example")),
].map((one) => one.outerHTML)"""
"""What became more than text, links to where somebody wrote among it."""
PAGES: Final = (
    "/public/",
    "/public/letters",
    "/public/letters?q=evil",
    "/public/letters?q={evil}&nature={evil}&month={evil}",
    "/public/letters/YFX-2026-1",
    "/public/letters/YFX-2026-1?lang=en",
    "/public/letters/{evil}",
    "/public/board",
    "/public/board/lobby?still=true",
    "/public/how",
    "/public/data",
    "/write?to={evil}&lang={evil}",
    "/follow?code={evil}",
    "/statistics",
    "/bulletins",
    "/bulletins/weekly-mayor-2026-W10",
    "/bulletins/{evil}",
    "/reporting/weeks/2026-W10/page",
    "/auth/login?return_to={evil}",
    "/docs?url=http://evil.example/a.json&configUrl=//evil.example/b.json&urls.primaryName={evil}",
    "/{evil}",
    "/routing/mailboxes/education/register.html",
    "/routing/mailboxes/mayor/register.html",
    "/routing/register.html",
)
PAPERS: Final = (
    "/routing/letters/{public}/registration.pdf",
    "/routing/letters/{public}/slips/s1.pdf",
    "/routing/letters/{public}/handoffs/s1/replies/r1.pdf",
    "/routing/letters/{public}/handoffs/s1/send-backs/1.pdf",
    "/routing/letters/{urged}/handoffs/s1/urgings/1.pdf",
    "/routing/mailboxes/mayor/register.pdf",
    "/routing/register.pdf",
    "/reporting/issues/weekly-mayor-2026-W10.pdf",
)
BESIDE: Final = {"/openapi.json", "/intake/letters", "/public", "/auth/{path:path}", "/static", "/docs", "/docs/viewer"}
"""Paths that the OpenAPI document leaves out. Pages among them: `/docs`, opened above; of signing in: `tests/unit/test_sign_in.py`."""


async def prepared(city: City) -> dict[str, str]:
    """Letters with markup in every field: one that is answered and public, one that is urged."""
    for code, entry in ENTRIES.items():
        etag = (await city.client.get("/routing/directory", headers=city.world.token(*ALL))).headers["etag"]
        renamed = await city.client.patch(
            f"/routing/directory/mailboxes/{code}",
            json={"entry": entry, "reason": LONG},
            headers={**city.world.token(*ALL), "If-Match": etag},
        )
        assert renamed.status_code == 200, renamed.text
    ids = {}
    for name in ("public", "urged"):
        letter = ids[name] = await city.submit("mayor", "help", subject=EVIL, body=LONG, sender=SENDER)
        await city.registered(letter)
        slip = {"receiver": "education", "opinion": LONG, "requirements": LONG, "answer_by": "assigner"}
        await city.moved(letter, "slips", ALL, slip)
        await city.moved(letter, "slips/s1/approve", HEAD)
        await city.moved(letter, "handoffs/s1/collect", UNIT)
    letter = ids["public"]
    await city.moved(letter, "instructions", UNIT, {"text": LONG, "report_by": "2026-03-06"})
    await city.moved(letter, "handoffs/s1/progress", UNIT, {"text": LONG})
    await city.moved(letter, "handoffs/s1/replies", UNIT, {"text": LONG})
    await city.moved(letter, "handoffs/s1/replies/r1/approve", UNIT_HEAD)
    await city.moved(letter, "handoffs/s1/replies/r1/send-back", ALL, {"reason": LONG, "requirements": LONG})
    await city.moved(letter, "handoffs/s1/replies", UNIT, {"text": LONG})
    await city.moved(letter, "handoffs/s1/replies/r2/approve", UNIT_HEAD)
    await city.moved(letter, "answer", ALL, {"channel": "online", "text": LONG})
    body = {"subject": EVIL, "body": LONG, "reply": LONG, "attachments": [], **NO_GROUND}
    case = await city.does(ALL, "POST", f"/publication/cases/{letter}/prepare", body)
    await city.settled(letter)
    approval = {"text_hash": case["prepared"]["text_hash"], "confirm_marks": True}
    await city.does(HEAD, "POST", f"/publication/cases/{letter}/approve", approval)
    await city.settled(letter)
    city.world.move_clock(MONDAY + timedelta(days=30))

    async def shown() -> bool:
        board = (await city.client.get("/public/board.json")).json()["total"]
        letters = (await city.client.get("/public/letters.json")).json()["items"]
        register = await city.client.get("/routing/mailboxes/mayor/register.html", headers=city.world.token(*ALL))
        bulletin = (await city.client.get("/reporting/issues/weekly-mayor-2026-W10")).json()
        urged = await city.client.get(f"/routing/letters/{ids['urged']}", headers=city.world.token(*ALL))
        assert (board, len(letters)) == (1, 1)
        assert bulletin.get("hash"), "the bulletin is not issued yet"
        assert urged.json()["handoffs"][0]["urgings"]
        return register.text.count("YFX-2026-") + register.text.count("渝府信") >= 2

    await eventually(shown, 60)
    return ids


@dataclass
class Reader:
    """Somebody who looks at pages, and what happened meanwhile."""

    page: Page
    base: str
    opened: set[str] = field(default_factory=set)
    """Method and path of each page that was answered with 200."""
    ran: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """What the browser asked of others."""

    def answered(self, answer: Response) -> None:
        """Note a page."""
        if answer.request.is_navigation_request() and answer.status == 200:
            self.opened.add(f"{answer.request.method.lower()} {urlsplit(answer.url).path}")

    def asks(self, request: Request) -> None:
        """Note what is asked of others."""
        if not request.url.startswith((f"{self.base}/", "data:", "blob:")):
            self.elsewhere.append(request.url)

    async def looks(self, where: str) -> int:
        """See that nothing on the page is markup; return how often it shows what was written."""
        assert await self.page.evaluate(MARKUP) == [], where
        return (await self.page.inner_text("body")).count("class=evil")

    async def opens(self, path: str, status: int | None = None) -> int:
        """Open a page and look at it."""
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        assert answer.status == status if status else answer.status < 500, path
        return await self.looks(path)

    async def presses(self, button: str, shows: str) -> None:
        """Press a button of the page's form, and look at what comes."""
        async with self.page.expect_navigation():
            await self.page.locator(button).last.click()
        assert shows in await self.page.inner_text("main")
        assert await self.looks(f"{button}: {shows}") > 0, f"{shows}: it does not show what was written"


@asynccontextmanager
async def reading(browser: Browser, base: str, headers: dict[str, str]) -> AsyncIterator[Reader]:
    """Open a browser that ignores the page policy."""
    context = await browser.new_context(bypass_csp=True, extra_http_headers=headers)
    try:
        reader = Reader(await context.new_page(), base)
        await context.expose_function("hit", lambda: reader.ran.append("a script"))
        reader.page.on("dialog", lambda dialog: reader.ran.append(dialog.message))
        reader.page.on("response", reader.answered)
        reader.page.on("request", reader.asks)
        yield reader
    finally:
        await context.close()


def left_out(document: Any, media_type: str, seen: Collection[str]) -> list[str]:
    """The operations that answer with this media type, and nobody looked at."""
    wanted = [
        f"{method} {path}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if media_type in operation["responses"].get("200", {}).get("content", {}) and "attachments" not in path
    ]
    assert len(wanted) > 5
    patterns = {one: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one))) for one in wanted}
    return [one for one, pattern in patterns.items() if not any(pattern.fullmatch(path) for path in seen)]


async def test_html_and_script_in_every_field_are_text_on_every_page_and_never_run(
    world: World, browser: Browser
) -> None:
    world.settings = world.settings.model_copy(update={"challenge": "always", "challenge_numbers": 1000})
    async with city_of(world) as city, origin(city.client) as base:
        ids = await prepared(city)
        document = (await city.client.get("/openapi.json")).json()
        evil = "%3C/title%3E%22'%3E%3Ci%20class=evil%3E%3Cscript%3Ehit()%3C/script%3E"
        async with reading(browser, base, world.token(*ALL)) as reader:
            shown = [await reader.opens(path.format(evil=evil)) for path in PAGES]
            assert sum(shown) >= 20, "the pages do not show what was written"
            await _written_by_a_citizen(reader)
            await _followed(reader, ids["public"], "来信已有答复")
            await _read_by_programs(city, ids)
            await _printed(city, ids, document)
            gone = {"ground": "inaccurate", "remark": LONG}
            await city.does(HEAD, "POST", f"/publication/cases/{ids['public']}/withdraw", gone)
            await city.settled(ids["public"])
            assert await reader.opens("/public/letters/YFX-2026-1", 410) > 0
            await _followed(reader, ids["public"], "撤下")
            assert reader.ran == []
            assert reader.elsewhere == []
            assert left_out(document, "text/html", reader.opened) == [], "open it in PAGES"
        hidden = {route.path for route in _routes(city) if not getattr(route, "include_in_schema", False)}
        assert hidden == BESIDE, "if it is a page, open it in PAGES"


def _routes(city: City) -> list[Any]:
    """The application's routes, but those of health and metrics, which are no pages."""
    return [one for one in city.client._transport.app.routes if hasattr(one, "path")]  # type: ignore[attr-defined]


async def _written_by_a_citizen(reader: Reader) -> None:
    """The form with what is wrong, its summary, the hurdle before it is sent, and its receipt."""
    page = reader.page
    await reader.opens("/write")
    await type_in(page, {**FILLED, "subject": EVIL, "body": LONG, "name": SHORT, "phone": EVIL})
    await page.locator("main button[value=check]").last.click()
    await reader.looks("the form")
    assert await page.input_value("#subject") == EVIL
    await page.fill("#phone", FILLED["phone"])
    await reader.presses("main button[value=check]", "核对来信")
    may_work = asyncio.Event()

    async def held(route: Route) -> None:
        await may_work.wait()
        await route.continue_()

    await page.route("**/work.js*", held)
    await reader.presses("main button[value=send]", "还差一步")
    may_work.set()
    await page.wait_for_selector(".receipt", timeout=60_000)
    assert await reader.looks("the receipt") > 0


async def _followed(reader: Reader, letter: str, shows: str) -> None:
    """Where a letter stands, by its code."""
    await reader.opens("/follow")
    await reader.page.fill("#code", receipt(letter))
    await reader.presses("form#follow button", shows)


async def _printed(city: City, ids: dict[str, str], document: Any) -> None:
    """On paper it is text, and nothing that a reader's program would open or run."""
    if find_folder(Settings().fonts_folder) is None:
        return  # as all tests of paper are left out without fonts
    for path in PAPERS:
        answer = await city.client.get(path.format(**ids), headers=city.world.token(*ALL))
        assert answer.status_code == 200, f"{path}: {answer.text[:200]}"
        assert "class=evil" in text_of(answer.content), path
        with pikepdf.open(BytesIO(answer.content)) as paper:
            parts = b"".join(one.unparse(resolved=True) for one in paper.objects)
        assert not re.search(rb"/JavaScript|/Launch|/SubmitForm|/GoToR|/URI\s*\([^)]*evil", parts), path
    assert left_out(document, "application/pdf", [f"get {path}" for path in PAPERS]) == [], "print it in PAPERS"


async def _read_by_programs(city: City, ids: dict[str, str]) -> None:
    """Feeds are XML whose texts are whole, JSON in pages ends where it should, and JSON is never taken for a page."""
    feed = await city.client.get("/public/feed.atom")
    root = ET.fromstring(feed.text)
    atom = "{http://www.w3.org/2005/Atom}"
    (entry,) = root.findall(f"{atom}entry")
    assert entry.findtext(f"{atom}title") == EVIL
    assert not root.findall(".//{http://www.w3.org/1999/xhtml}script")
    assert not root.findall(".//i")
    ET.fromstring((await city.client.get("/public/sitemap.xml")).text)
    page = (await city.client.get("/public/letters/YFX-2026-1")).text
    (data,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    assert EVIL in json.dumps(json.loads(data), ensure_ascii=False).replace('\\"', '"')
    for letter in ids.values():
        for path in (f"/intake/letters/{letter}", f"/routing/letters/{letter}", f"/publication/cases/{letter}"):
            answer = await city.client.get(path, headers=city.world.token(*ALL))
            assert answer.status_code in {200, 409}, "the one that is urged is no case of publication yet"
            assert answer.headers["content-type"] in {"application/json", "application/problem+json"}
            assert answer.headers["x-content-type-options"] == "nosniff"
