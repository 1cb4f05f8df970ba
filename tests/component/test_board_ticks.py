"""The notice board in a browser: it ticks by itself (R7.2), and the lobby's screen goes on and recovers by itself."""

from datetime import datetime, timedelta

from playwright.async_api import Browser

from services.publication.app import build
from shared.contracts.facts import Fact
from tests.browser import Look, opened, origin
from tests.component.test_publication import DUE, Letter, Staff
from tests.conftest import World, eventually

LETTERS = 11


async def test_r7_2_the_boards_times_and_working_days_tick_and_the_lobby_keeps_going(
    world: World, browser: Browser
) -> None:
    letters = [Letter(serial) for serial in range(1, LETTERS + 1)]
    facts: list[Fact] = []
    for letter in letters:
        facts += [*letter.handed(), letter.urged(due=DUE - timedelta(hours=letter.number.serial))]
    async with world.running(build(world.kit())) as client:
        await world.publish(*facts)

        async def shown() -> bool:
            return bool((await client.get("/public/board.json")).json()["total"] == LETTERS)

        await eventually(shown)
        async with origin(client) as base:
            await _ticks_over_midnight(world, browser, base)
            await _is_right_without_scripts(world, browser, base)
            await _fills_a_screen_without_scrolling(browser, base)
            await _turns_and_recovers(browser, base)
            await _stands_still_for_who_wants_less_motion(browser, base)
        await _stays_in_the_record(world, Staff(world, client), letters[0])


async def _ticks_over_midnight(world: World, browser: Browser, base: str) -> None:
    world.move_clock(datetime.fromisoformat("2026-03-19T23:59:57+08:00"), rate=1)  # Friday is a working day
    async with opened(browser, Look()) as page:
        await page.goto(base + "/public/board")
        days = page.locator("[data-worked]").last
        before = int(await days.text_content() or 0)
        await page.wait_for_function(
            "(wanted) => Array.from(document.querySelectorAll('[data-worked]')).at(-1).textContent === String(wanted)",
            arg=before + 1,
            timeout=10_000,
        )
        data = await (await page.request.get(base + "/public/board.json")).json()
        assert data["entries"][-1]["overdue_working_days"] == before + 1, "the page counts as the server does"
        seen = await page.locator("time[data-since]").first.text_content()
        assert "8天" not in (seen or "")


async def _is_right_without_scripts(world: World, browser: Browser, base: str) -> None:
    world.move_clock(DUE + timedelta(days=3, hours=2), rate=0)
    async with opened(browser, Look(scripts=False)) as page:
        await page.goto(base + "/public/board")
        assert await page.locator("time[data-since]").first.text_content() == "3天13小时0分"
        assert await page.locator("[data-worked]").first.text_content() == "4"
        await page.goto(base + "/public/board/lobby")
        refresh = await page.locator("noscript meta, meta[http-equiv]").first.get_attribute("content")
        assert refresh == "20;url=/public/board/lobby?screen=2"


_CLIPPED = """() => {
  const page = document.documentElement, foot = document.querySelector("footer").getBoundingClientRect().top;
  const wrong = [];
  if (page.scrollWidth > innerWidth || page.scrollHeight > innerHeight || document.body.scrollHeight > innerHeight) wrong.push("scrolls");
  for (const cell of document.querySelectorAll("tbody th, tbody td")) {
    const box = cell.getBoundingClientRect();
    if (box.bottom > foot + 1) wrong.push("under the foot: " + cell.textContent);
    if (cell.scrollWidth > cell.clientWidth + 1) wrong.push("cut off: " + cell.textContent);
  }
  return wrong;
}"""


async def _fills_a_screen_without_scrolling(browser: Browser, base: str) -> None:
    for width in (1920, 1080):
        async with opened(browser, Look(width)) as page:
            await page.goto(base + "/public/board/lobby")
            assert await page.locator("tbody tr").count() == 8
            assert await page.evaluate(_CLIPPED) == [], width


async def _turns_and_recovers(browser: Browser, base: str) -> None:
    async with opened(browser, Look(1920)) as page:
        await page.clock.install()
        await page.goto(base + "/public/board/lobby")
        assert await page.locator("tbody tr").count() == 8
        await page.route("**/board/lobby**", lambda route: route.abort())
        await page.clock.run_for(21_000)
        await page.wait_for_function("() => document.getElementById('away').textContent.includes('网络中断')")
        assert await page.locator("tbody tr").count() == 8, "what was there stays"
        await page.unroute("**/board/lobby**")
        await page.clock.run_for(41_000)
        await page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 3")
        assert await page.text_content("#away") == ""
        assert "2 / 2" in (await page.text_content(".place") or "")
        await page.clock.run_for(21_000)
        await page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 8")


async def _stands_still_for_who_wants_less_motion(browser: Browser, base: str) -> None:
    async with opened(browser, Look(1920)) as page:
        await page.emulate_media(reduced_motion="reduce")
        await page.clock.install()
        await page.goto(base + "/public/board/lobby")
        fetched: list[str] = []
        page.on("request", lambda request: fetched.append(request.url))
        await page.clock.run_for(60_000)
        assert fetched == []
        await page.click("#next")
        assert await page.locator("tbody tr").count() == 3, "it turns by hand"


async def _stays_in_the_record(world: World, staff: Staff, letter: Letter) -> None:
    client = staff.client
    await world.publish(*letter.answered())

    async def gone() -> list[dict[str, object]]:
        answer = await client.get("/publication/notices?mailbox=education&limit=100", headers=staff.clerk)
        assert answer.status_code == 200, answer.text
        return [one for one in answer.json()["items"] if one["number"] == letter.number.ascii and one["removed_at"]]

    (record,) = await eventually(gone)
    assert record["posted_at"] <= record["removed_at"]
    assert (record["mailbox"], record["for_what"]) == ("education", "urged")
    assert (await client.get("/public/board.json")).json()["total"] == LETTERS - 1

    found: list[str] = []
    following = ""
    while True:
        page = (await client.get(f"/publication/notices?limit=4{following}", headers=staff.duty)).json()
        found += [one["letter_id"] for one in page["items"]]
        if page["next"] is None:
            break
        following = f"&cursor={page['next']}"
    assert len(found) == len(set(found)) == LETTERS
    assert (await client.get("/publication/notices", headers=staff.clerk)).status_code == 403
    assert (await client.get("/publication/notices?mailbox=education", headers=staff.water)).status_code == 403
    assert (await client.get("/publication/notices?mailbox=nowhere", headers=staff.duty)).status_code == 404
