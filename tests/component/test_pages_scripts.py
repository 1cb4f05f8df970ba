"""Citizens write and follow letters in a real browser that runs the page's scripts (R2.2, R8.3)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from deploy.engines import Engines
from services.intake.app import build
from shared.security.receipts import parse_receipt
from tests.browser import Look, opened, origin
from tests.citizen_letters import receipt
from tests.citizen_pages import FILLED
from tests.conftest import World, eventually, new_world
from tests.intake_desk import unread
from tests.pages_intake import press, type_in

PHONE = Look(360)
DESK = Look(1280)


@dataclass
class City:
    """Intake behind an address of its own."""

    world: World
    client: httpx.AsyncClient
    base: str
    known: set[str] = field(default_factory=set)

    async def new_letter(self) -> dict[str, Any]:
        """The one letter that came since this was asked last."""

        async def came() -> list[dict[str, Any]]:
            return [row for row in await unread(self.client, self.world) if row["letter_id"] not in self.known]

        (letter,) = await eventually(came)
        self.known.add(letter["letter_id"])
        return letter  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
async def city(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    """One city for the whole file, which trusts whoever is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        async with (
            new_world(engines.urls(), keys, tmp_path_factory.mktemp("city")) as world,
            world.running(build(world.kit(challenge="off"))) as client,
            origin(client) as base,
        ):
            yield City(world, client, base)


async def focused(page: Page) -> str:
    """Id of what has the focus."""
    return str(await page.evaluate("() => document.activeElement.id"))


async def tab_to(page: Page, wanted: str) -> None:
    """Press Tab until something has the focus, as somebody without a mouse does."""
    for _ in range(70):
        if await page.evaluate("(css) => document.activeElement.matches(css)", wanted):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {wanted}")


async def test_r2_2_a_letter_is_written_checked_and_sent_by_keyboard_alone(city: City, browser: Browser) -> None:
    async with opened(browser, DESK) as page:
        await page.goto(f"{city.base}/write")
        await tab_to(page, "main form button[value=check]")
        await page.keyboard.press("Enter")
        assert await focused(page) == "errors", "what is wrong takes the focus, and nothing was sent"
        assert page.url == f"{city.base}/write"
        assert await page.locator("[aria-invalid=true]").count() == 9
        await tab_to(page, "#errors a[href='#subject']")
        await page.keyboard.press("Enter")
        assert await focused(page) == "subject", "the summary leads to the field"
        await page.keyboard.insert_text("小区门口路灯不亮")
        await tab_to(page, "#body")
        assert await page.locator("#subject").get_attribute("aria-invalid") is None, "right now, and it says so"
        await page.keyboard.insert_text(FILLED["body"])
        await tab_to(page, "#name")
        await page.keyboard.insert_text("李明")
        await tab_to(page, "#phone")
        await page.keyboard.insert_text("13800138000")
        await tab_to(page, "#may_publish")
        await page.keyboard.press("Space")
        await page.evaluate("() => document.querySelector('#to').focus()")
        await page.keyboard.type("重庆市市长信箱")
        await page.select_option("#to", "mayor")
        await tab_to(page, "#nature")
        await page.keyboard.press("ArrowDown")
        await tab_to(page, "#domain")
        await page.select_option("#domain", FILLED["domain"])
        await page.select_option("#region", FILLED["region"])
        await tab_to(page, "main form button[value=check]")
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("核对来信")
        await tab_to(page, "#send")
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        code = await page.locator("#code").inner_text()
        assert parse_receipt(code) == code
        letter = await city.new_letter()
        assert letter["classification"] == letter["classification"] | {"nature": "help", "region": FILLED["region"]}


async def test_r2_2_the_browser_solves_the_challenge_and_the_letter_goes_out_by_itself(
    world: World, browser: Browser
) -> None:
    busy = build(world.kit(challenge="always"))
    async with world.running(busy) as client, origin(client) as base, opened(browser, PHONE) as page:
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{base}/write")
        await type_in(page)
        await press(page, "check")
        await page.click("#send")
        await page.wait_for_selector(".receipt", timeout=60_000)
        assert not complaints
        assert len(await eventually(lambda: unread(client, world))) == 1


async def test_r2_2_going_back_loses_nothing_and_makes_no_second_letter(city: City, browser: Browser) -> None:
    async with opened(browser, DESK) as page:
        await page.goto(f"{city.base}/write")
        await type_in(page)
        await press(page, "check")
        await page.go_back()
        assert await page.input_value("#body") == FILLED["body"], "the browser kept what was typed on the first page"
        assert await page.input_value("#domain") == FILLED["domain"]
        await press(page, "check")
        await page.locator("button[formaction$='#subject']").click()
        await page.wait_for_url("**/write#subject")
        assert await page.input_value("#body") == FILLED["body"]
        await press(page, "check")
        await page.dblclick("#send", no_wait_after=True)
        await page.wait_for_selector(".receipt")
        first = await page.locator("#code").inner_text()
        page.on("dialog", lambda dialog: dialog.accept())
        await page.reload()
        assert await page.locator("#code").inner_text() == first
        await city.new_letter()


async def test_r2_2_the_receipt_is_copied_and_its_qr_code_s_address_fills_in_the_code(
    city: City, browser: Browser
) -> None:
    async with opened(browser, PHONE) as page:
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.goto(f"{city.base}/write")
        await type_in(page)
        await press(page, "check")
        await press(page, "send")
        code = await page.locator("#code").inner_text()
        await page.click("[data-copy]")
        await expect(page.locator(".copy [role=status]")).to_have_text("已复制")
        assert await page.evaluate("() => navigator.clipboard.readText()") == code
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url + str(request.headers)))
        await page.goto(f"{city.base}/follow#{code}")
        assert await page.input_value("#code") == code
        assert page.url == f"{city.base}/follow", "it does not stay in the address"

        async def found() -> bool:
            async with page.expect_navigation():
                await page.locator("main form button").first.click()
            return "已收到，待阅" in await page.inner_text("main")

        await eventually(found)
        assert not [line for line in asked if code in line], "no request carried it but the form's body"


async def test_r8_3_typing_errors_are_told_before_anything_is_sent(city: City, browser: Browser) -> None:
    async with opened(browser, PHONE) as page:
        await page.goto(f"{city.base}/follow")
        for typed, said in (("7K3M-9QXT-2HVD-6", "逐位核对"), ("7K3M", "13 位"), ("", "请输入查询码")):
            await page.fill("#code", typed)
            await page.locator("main form button").first.click()
            assert said in await page.locator("#code-error").inner_text()
            assert await focused(page) == "errors"
        await page.fill("#code", receipt("letter-1").lower().replace("-", " "))
        await page.locator("#code").blur()
        assert await page.locator("#code-error").count() == 0
