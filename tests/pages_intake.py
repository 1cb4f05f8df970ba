"""The citizens' pages in every state, for `tests/component/test_pages_accessible.py`: writing a letter, and following one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx
from playwright.async_api import FilePayload, Page

from services.intake.app import build
from services.runtime import Service
from tests.browser import FEW, Scene, Stage
from tests.citizen_letters import STANDINGS, receipt, story
from tests.citizen_pages import FILLED
from tests.conftest import World, eventually

FILE: Final[FilePayload] = {
    "name": "照片.png",
    "mimeType": "image/png",
    "buffer": b"\x89PNG\r\n\x1a\n" + b"\0" * 6000,
}


def on_screen(steps: Callable[[Page], Any]) -> Callable[[Page], Any]:
    """Take steps on the screen also where the page is then looked at on paper, on which there are no forms."""

    async def then(page: Page) -> None:
        printed = await page.evaluate("() => matchMedia('print').matches")
        await page.emulate_media(media="screen")
        await steps(page)
        await page.emulate_media(media="print" if printed else "screen")

    return then


async def type_in(page: Page, typed: Mapping[str, str] = FILLED) -> None:
    """Fill in the form for writing a letter."""
    for name, value in typed.items():
        field = page.locator(f"[name={name}]").first
        kind = await field.evaluate("one => one.type")
        if kind == "radio":
            await page.check(f"[name={name}][value={value}]")
        elif kind == "select-one":
            await field.select_option(value)
        else:
            await field.fill(value)


async def press(page: Page, button: str) -> None:
    """Press a button of the page's own form and wait for the answer."""
    async with page.expect_navigation():
        await page.locator(f"main button[value={button}]:visible").last.click()


async def _empty_sent(page: Page) -> None:
    if await page.evaluate("() => document.querySelector('#domain-first') === null"):
        await press(page, "check")
    else:  # the script says what is wrong before anything is sent
        await page.locator("main button[value=check]:visible").last.click()


async def _wrong(page: Page) -> None:
    """What only the server can tell."""
    await type_in(page, {**FILLED, "nature": "report", "phone": "12345", "email": "a@@b", "reported_mailbox": "water"})
    await page.set_input_files("#files", FILE)
    await press(page, "check")


async def _checked(page: Page) -> None:
    await type_in(page)
    await press(page, "check")


async def _hurdle(page: Page) -> None:
    await page.route("**/work.js*", lambda route: route.abort())  # so that it stays to be looked at
    await type_in(page)
    await press(page, "check")
    await press(page, "send")


async def _sent(page: Page) -> None:
    await _checked(page)
    await press(page, "send")
    await page.wait_for_selector(".receipt", timeout=60_000)


def _look_up(code: str) -> Callable[[Page], Any]:
    async def steps(page: Page) -> None:
        await page.fill("#code", code)
        async with page.expect_navigation():
            await page.locator("form#follow button").click()

    return steps


def _intake(world: World, **settings: Any) -> Sequence[Service]:
    return [build(world.kit(**settings))]


async def _nothing(_: World, __: httpx.AsyncClient) -> None:
    """Nothing has happened yet."""


async def _letters(world: World, client: httpx.AsyncClient) -> None:
    """A letter at each standing."""
    await world.publish(*(f for n, one in enumerate(STANDINGS) for f in story(one, f"letter-{one}", n + 1)))

    others = (f"192.0.2.{n}" for n in range(1, 250))  # asking too early is a wrong guess, which makes an address wait

    async def all_there() -> bool:
        elsewhere = {"X-Forwarded-For": next(others)}
        asked = [f"/intake/receipts/{receipt(f'letter-{one}')}" for one in ("noted", "published", "late")]
        answers = [await client.get(path, headers=elsewhere) for path in asked]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        noted, published, late = (answer.json() for answer in answers)
        return bool(published["published"] and late["overdue"] and noted["state"] == "已存档")

    await eventually(all_there)


OPEN: Final = {"write_limit": "", "form_limit": "", "upload_limit": "", "follow_limit": ""}
WRITE: Final = Stage(
    "write",
    lambda world: _intake(world, challenge="off", **OPEN),
    _nothing,
    (
        Scene("write-empty", "/write?to=water", "我要写信"),
        Scene("write-nothing-typed", "/write", "需要改正", then=on_screen(_empty_sent), looks=FEW),
        Scene("write-wrong", "/write", "照片.png", then=on_screen(_wrong), looks=FEW),
        Scene("write-check", "/write", "核对来信", then=on_screen(_checked), looks=FEW),
        Scene("write-receipt", "/write", "您的查询码", then=on_screen(_sent)),
    ),
)
FLOOD: Final = Stage(
    "flood",
    lambda world: _intake(world, challenge="always", **OPEN),
    _nothing,
    (Scene("write-hurdle", "/write", "还差一步", then=on_screen(_hurdle), looks=FEW),),
)
FOLLOW: Final = Stage(
    "follow",
    lambda world: _intake(world, trusted_proxies=1, **OPEN),
    _letters,
    (
        Scene("follow-empty", "/follow", "输入发信时得到的查询码"),
        Scene("follow-late", "/follow", "已超过答复期限", then=on_screen(_look_up(receipt("letter-late"))), looks=FEW),
        Scene(
            "follow-answered", "/follow", "路灯已于2月9日修复", then=on_screen(_look_up(receipt("letter-published")))
        ),
        Scene("follow-refused", "/follow", "不予受理", then=on_screen(_look_up(receipt("letter-refused"))), looks=FEW),
        Scene("follow-nowhere", "/follow", "没有找到", then=on_screen(_look_up(receipt("nobody"))), looks=FEW),
    ),
)
