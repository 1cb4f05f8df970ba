"""Looking at pages as people do: in a real browser, on a phone and on a desk, dark and light, with and without scripts, by keyboard.

How to add a page to what `tests/component/test_pages_accessible.py` looks at:

1. Write a `Stage`: which services run, what happened in them (facts, requests), and its `Scene`s: one for each state of each page, each
   with a text that only this state shows, so that a scene which misses its state fails. `tests/pages_publication.py` is an example; a
   state that takes a few steps in the page (a form sent with mistakes) has `then=`, which gets the open page.
2. Name it in `STAGES` of `tests/component/test_pages_accessible.py`.

Each scene is then opened in every `LOOKS`: axe-core must find nothing (contrasts once light, once dark, once on paper), nothing may
reach beyond the page's sides, the page policy (CSP) may have refused nothing, and with the keyboard alone each control is reached in
its order and seen to be. `first_view` gives the bytes and requests of a page. `picture` keeps it as an image in the folder PICTURES, if
that is set, to look at with one's own eyes.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from axe_playwright_python.base import AXE_FILE_PATH  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright

from deploy.browser import MISSING, find
from services.runtime import Service
from shared.web.serving import server_options
from tests.conftest import World, eventually

AXE = AXE_FILE_PATH.read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""WCAG 2.2 AA, and what axe-core counts as good practice."""
HEIGHTS = {360: 740, 768: 1024, 1280: 800, 1920: 1080, 1080: 1920}


@dataclass(frozen=True)
class Look:
    """How a page is looked at."""

    width: int = 1280
    dark: bool = False
    language: str = "zh"
    scripts: bool = True
    printed: bool = False
    typed: bool = False
    """Whether it is gone through by keyboard, too."""

    def __str__(self) -> str:
        """Name the look in a picture's file and in a failing test."""
        parts = (f"{self.width}", "dark" if self.dark else "light", self.language)
        return "-".join((*parts, *([] if self.scripts else ["noscript"]), *(["print"] if self.printed else [])))


LOOKS = (
    Look(360, dark=False, language="zh", typed=True),
    Look(360, dark=True, language="en"),
    Look(768, dark=True, language="zh"),
    Look(1280, dark=False, language="en", typed=True),
    Look(1280, dark=False, language="zh", printed=True),
    Look(360, dark=False, language="zh", scripts=False),
)
"""Each width, scheme and language, with and without scripts, and paper."""
FEW = (LOOKS[0], LOOKS[2], LOOKS[3])
"""For further states of a page that is looked at in all `LOOKS` in another state."""


@dataclass(frozen=True)
class Scene:
    """A page in one state."""

    name: str
    path: str
    shows: str
    """A text that the page shows in this state in Chinese."""
    status: int = 200
    then: Callable[[Page], Awaitable[Any]] | None = None
    """What is done in the page before it is looked at."""
    looks: Sequence[Look] = LOOKS


@dataclass(frozen=True)
class Stage:
    """Services and what happened in them, so that their pages have something to show."""

    name: str
    services: Callable[[World], Sequence[Service]]
    happened: Callable[[World, httpx.AsyncClient], Awaitable[Any]]
    """Publishes facts and makes requests, and waits until the pages show it."""
    scenes: Sequence[Scene] = field(default_factory=tuple)


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser; the fixture `browser` is one for all tests."""
    found = find()
    if found is None:
        pytest.fail(MISSING)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found.executable,
            env={**os.environ, **found.environment},
            chromium_sandbox=os.geteuid() != 0,
        )
        yield browser
        await browser.close()


class _Server(uvicorn.Server):
    """Leaves signals to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Capture none."""
        yield


@asynccontextmanager
async def origin(client: httpx.AsyncClient, port: int = 0) -> AsyncIterator[str]:
    """Serve what `client` (of `World.running`) speaks to as the processes do, on a port (0: a free one); the address."""
    app = client._transport.app  # type: ignore[attr-defined]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", port))
        server = _Server(uvicorn.Config(app, lifespan="off", timeout_graceful_shutdown=1, **server_options("tests")))
        async with _serving(server, listening):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def _serving(server: _Server, listening: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve([listening]))
    try:
        await eventually(lambda: _started(server), 10)
        yield
    finally:
        server.should_exit = True
        await task


async def _started(server: _Server) -> bool:
    return server.started


@asynccontextmanager
async def opened(browser: Browser, look: Look) -> AsyncIterator[Page]:
    """A blank page in a look; what the browser complains of is in `page.complaints`."""
    context = await browser.new_context(
        viewport={"width": look.width, "height": HEIGHTS[look.width]},
        color_scheme="dark" if look.dark else "light",
        java_script_enabled=look.scripts,
        locale="en-GB" if look.language == "en" else "zh-CN",
        timezone_id="America/New_York",  # pages speak of Beijing time wherever they are read
        reduced_motion="no-preference",
    )
    try:
        page = await context.new_page()
        if look.printed:
            await page.emulate_media(media="print")
        yield page
    finally:
        await context.close()


def address(path: str, language: str) -> str:
    """`path` in a language."""
    if language == "zh":
        return path
    return f"{path}{'&' if '?' in path else '?'}lang={language}"


async def violations(page: Page, *, colours: bool) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and good practice, one line each: rule, what is wrong, where."""
    await page.evaluate(f"() => {{ {AXE}\n window.axe = axe; }}")
    found = await page.evaluate(
        "(options) => axe.run(document, options)",
        {
            "runOnly": {"type": "tag", "values": WCAG},
            "rules": {} if colours else {"color-contrast": {"enabled": False}},
            "resultTypes": ["violations"],
        },
    )
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


_TOO_WIDE = """() => {
  const page = document.documentElement;
  if (page.scrollWidth <= page.clientWidth) return [];
  const wide = Array.from(document.querySelectorAll("body *")).filter(
    (one) => one.getBoundingClientRect().right > page.clientWidth + 1 && !one.closest(".scroll"));
  return ["wider than the page (" + page.scrollWidth + " px): " + wide.slice(0, 3).map((one) => one.outerHTML.slice(0, 90)).join(" | ")];
}"""

_REACHED = """() => {
  const one = document.activeElement;
  if (!one || one === document.body) return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.height > 0
    && box.right > 0 && box.bottom > 0;
  return {html: one.outerHTML.slice(0, 120), seen: seen, id: one.id};
}"""

_FROM_THE_TOP = """async () => {
  await new Promise(requestAnimationFrame);  // by then what takes the focus of a new page by itself has taken it
  const top = document.createElement("i");
  top.tabIndex = -1;
  document.body.prepend(top);
  top.focus();
  top.remove();
}"""
"""Who looks at a page with a keyboard begins at its top, wherever the focus is."""

_CONTROLS = """() => Array.from(document.querySelectorAll(
    "a[href], button:not([disabled]), input:not([type=hidden]):not([disabled]), select, textarea, summary, [tabindex='0']"))
  .filter((one) => one.checkVisibility({visibilityProperty: true}))
  .filter((one, _, all) => one.type !== "radio" || one === (all.find((other) => other.name === one.name && other.checked)
    || all.find((other) => other.name === one.name)))  // one stop for a group, whose arrows do the rest
  .map((one) => one.outerHTML.slice(0, 120))"""


async def _reached(page: Page) -> Any:
    """What has the focus now; where the page is still on its way to it, what was seen a second later."""
    now = await page.evaluate(_REACHED)
    for _ in range(60):
        if now is None or now["seen"]:
            break
        await page.evaluate("() => new Promise(requestAnimationFrame)")
        now = await page.evaluate(_REACHED)
    return now


async def keyboard(page: Page) -> list[str]:
    """What is wrong for somebody with a keyboard alone: controls not reached, out of order, or not seen to be reached."""
    wanted: list[str] = await page.evaluate(_CONTROLS)
    wrong, reached = [], []
    await page.evaluate(_FROM_THE_TOP)
    for _ in range(min(len(wanted), 60)):
        await page.keyboard.press("Tab")
        now = await _reached(page)
        if now is None:
            break
        reached.append(now["html"])
        if not now["seen"]:
            wrong.append(f"reached by Tab but not seen to be: {now['html']}")
    for want, got in zip(wanted, reached, strict=False):
        if want != got:
            wrong.append(f"Tab reaches {got} where {want} is next in the page")
            break
    if len(reached) < min(len(wanted), 60):
        wrong.append(f"Tab ends after {len(reached)} of {len(wanted)} controls")
    return wrong


@dataclass(frozen=True)
class FirstView:
    """What a browser fetches to show a page for the first time."""

    requests: int
    bytes: int
    """All answers together, as they come over the wire."""
    seconds: float
    """Until the page and all it needs were loaded; for reports, never to be asserted."""


SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1_600_000 / 8, "uploadThroughput": 750_000 / 8}
"""A slow mobile connection: 1.6 Mbit/s down, 150 ms there and back."""


async def first_view(browser: Browser, url: str, width: int = 360, *, slow: bool = False) -> FirstView:
    """Open a page with an empty cache; with `slow`, over a slow connection."""
    async with opened(browser, Look(width)) as page:
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        if slow:
            await session.send("Network.emulateNetworkConditions", SLOW)
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        await page.goto(url, wait_until="load")
        seconds = await page.evaluate("() => performance.getEntriesByType('navigation')[0].loadEventStart / 1000")
        return FirstView(len(sizes), int(sum(sizes)), round(float(seconds), 3))


async def picture(page: Page, name: str) -> None:
    """Keep the whole page as an image in the folder PICTURES, where that is set."""
    folder = os.environ.get("PICTURES")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def _listen(page: Page, complaints: list[str]) -> None:
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))


async def findings(browser: Browser, base: str, scenes: Sequence[Scene]) -> list[str]:
    """Everything wrong with scenes in all their looks, one line each; raises AssertionError where one is not the scene at all.

    All scenes of a look are opened in one page, one after the other, and know nothing of each other: it begins each without cookies.
    """
    wrong: list[str] = []
    coloured = set[tuple[Scene, bool, bool]]()
    for look in LOOKS:
        async with opened(browser, look) as page:
            complaints: list[str] = []
            _listen(page, complaints)
            for scene in scenes:
                if look not in scene.looks:
                    continue
                complaints.clear()
                await page.context.clear_cookies()
                await page.unroute_all()
                await _enter(page, base, scene, look)
                own = [said for said in complaints if "status of" not in said]  # the scene's own status is no complaint
                if look.scripts:  # axe-core is a script itself
                    # To measure contrasts takes longer than all else, and they depend on neither width nor language.
                    scheme = (scene, look.dark, look.printed)
                    own += await violations(page, colours=scheme not in coloured)
                    coloured.add(scheme)
                own += await page.evaluate(_TOO_WIDE)
                if look.typed:
                    own += await keyboard(page)
                await picture(page, f"{scene.name}-{look}")
                wrong += [f"{scene.name} ({look}): {one}" for one in own]
    return wrong


async def _enter(page: Page, base: str, scene: Scene, look: Look) -> None:
    """Open a scene, and see that it is the one."""
    answer = await page.goto(base + address(scene.path, look.language), wait_until="load")
    if scene.then is not None:
        await scene.then(page)
    else:
        assert answer is not None
        assert answer.status == scene.status, f"{scene.name}: {answer.status}, not {scene.status}"
    if look.language == "zh":
        text = await page.text_content("body") or ""
        assert scene.shows in text, f"{scene.name} ({look}) does not show {scene.shows!r}: {text[:500]}"
