"""HTML and script in every field, seen on every page in a real browser: it stays text, and no script of it ever runs.

The browser is told to ignore the page policy (CSP): what keeps scripts out here is that nothing is markup. That the policy would stop them
besides is in `test_abuse_city.py`.
"""

import json
import re
from datetime import timedelta
from typing import Final
from xml.etree import ElementTree as ET

from playwright.async_api import Browser, Page

from tests.browser import origin
from tests.citizen_pages import FILLED
from tests.conftest import MONDAY, World, eventually
from tests.pages_intake import type_in
from tests.report_search import ALL, NO_GROUND, City, city_of

SHORT: Final = "\"'><i class=evil onclick=hit()>甲"
"""Where a name has 50 characters."""
EVIL: Final = "</title></textarea>\"'><i class=evil><script>hit()</script>"
"""Where a subject has 60."""
LONG: Final = (
    f"{EVIL}<img src=x onerror=hit()><svg/onload=hit()><iframe srcdoc='<script>parent.hit()</script>'></iframe>"
    "<a href=javascript:hit()>x</a>]]></content><i class=evil>{{7*7}}${7*7}<!--</script><script>hit()//\u2028--></i> 请处理。"
)
HEAD: Final = ("mayor-head", "mayor", "head", "leader")
UNIT: Final = ("education-clerk", "education", "clerk", "head", "leader")
UNIT_HEAD: Final = ("education-head", "education", "head", "leader")
SENDER: Final = {"name": SHORT, "phone": "13800138000", "address": f"渝中区{EVIL}"}
ENTRY: Final = {"name": f"{SHORT}教委", "short_name": f"{SHORT}教", "responsible_department": SHORT}
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
    "/{evil}",
    "/routing/mailboxes/education/register.html",
    "/routing/mailboxes/mayor/register.html",
)


async def prepared(city: City) -> dict[str, str]:
    """Letters with markup in every field: one that is answered and public, one that is urged."""
    etag = (await city.client.get("/routing/directory", headers=city.world.token(*ALL))).headers["etag"]
    renamed = await city.client.patch(
        "/routing/directory/mailboxes/education",
        json={"entry": ENTRY, "reason": LONG},
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
        return (
            board == 1 and len(letters) == 1 and register.text.count("YFX-2026-") + register.text.count("渝府信") >= 2
        )

    await eventually(shown, 40)
    return ids


async def markup_of(page: Page) -> list[str]:
    """What became more than text."""
    found: list[str] = await page.evaluate(
        "() => [...document.querySelectorAll('i.evil, [onclick], [onerror], [onload], iframe, a[href^=javascript]')].map(e => e.outerHTML)"
    )
    return found


async def test_html_and_script_in_every_field_are_text_on_every_page_and_never_run(
    world: World, browser: Browser
) -> None:
    async with city_of(world) as city, origin(city.client) as base:
        ids = await prepared(city)
        evil = "%3C/title%3E%22'%3E%3Ci%20class=evil%3E%3Cscript%3Ehit()%3C/script%3E"
        ran: list[str] = []
        context = await browser.new_context(bypass_csp=True, extra_http_headers=world.token(*ALL))
        try:
            await context.expose_function("hit", lambda: ran.append("a script"))
            page = await context.new_page()
            page.on("dialog", lambda dialog: ran.append(dialog.message))
            shown = 0
            for path in PAGES:
                answer = await page.goto(base + path.format(evil=evil))
                assert answer is not None
                assert answer.status < 500
                assert await markup_of(page) == [], path
                shown += (await page.inner_text("body")).count("class=evil")
            assert shown >= 20, "the pages do not show what was written"
            await _written_by_a_citizen(page, base)
            assert ran == []
        finally:
            await context.close()
        await _read_by_programs(city, ids)


async def _written_by_a_citizen(page: Page, base: str) -> None:
    """The form, its summary and its receipt, in the browser."""
    await page.goto(f"{base}/write")
    await type_in(page, {**FILLED, "subject": EVIL, "body": LONG, "name": SHORT, "phone": EVIL})
    await page.locator("main button[value=check]").last.click()
    assert await markup_of(page) == []
    assert await page.input_value("#subject") == EVIL
    await page.fill("#phone", FILLED["phone"])
    async with page.expect_navigation():
        await page.locator("main button[value=check]").last.click()
    assert "核对来信" in await page.inner_text("h1")
    assert await markup_of(page) == []
    assert "class=evil" in await page.inner_text("main")


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
