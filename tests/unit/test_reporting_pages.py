"""Pages of bulletins and of the public's statistics over HTTP, without engines (R11.2, R11.3, R10.4)."""

import asyncio
import csv
import io
import re
import threading
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from services.reporting import routes_bulletins
from services.reporting.bulletin import sections
from services.reporting.routes_bulletins import PREVIEW_KEPT_FOR, Files
from services.reporting.small_cells import FEWEST
from services.reporting.statistics import Month
from shared.calendar.clock import FixedClock
from tests import bulletins
from tests.paper import needs_fonts, press, text_of
from tests.paper_desk import NOW, desk, months

WEEK = "weekly-mayor-2026-W07"
NEXT = "weekly-mayor-2026-W08"


async def _client(app: object) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://paper") as client:
        yield client


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    preview = bulletins.preview().model_copy(update={"id": NEXT})
    async for one in _client(desk([bulletins.full(), preview])):
        yield one


@pytest.fixture
async def empty() -> AsyncIterator[httpx.AsyncClient]:
    async for one in _client(desk([], {})):
        yield one


async def test_r11_2_the_page_of_a_bulletin_says_number_date_hash_and_where_the_files_are(
    client: httpx.AsyncClient,
) -> None:
    for language, check in (("zh", "下载与核对"), ("en", "Download and check")):
        page = await client.get(f"/bulletins/{WEEK}", params={"lang": language})
        assert page.status_code == 200
        for text in (
            "〔2026〕第7期（总第59期）",
            "2026年2月16日印发",
            bulletins.full().hash or "",
            check,
            "共收到来信128件",
        ):
            assert text in page.text, text
        for kind in (".pdf", ".xlsx", ""):
            assert f'href="/reporting/issues/{WEEK}{kind}"' in page.text
        assert len(re.findall(r"<svg ", page.text)) == 5
        assert "style=" not in page.text
        assert "<style" not in page.text
    assert '<article class="issue" lang="zh-CN">' in page.text, "the document stays Chinese inside an English page"


async def test_r11_2_a_preview_is_marked_as_not_issued_and_offers_no_files(client: httpx.AsyncClient) -> None:
    page = (await client.get("/bulletins/weekly-mayor-2026-W08")).text
    assert "尚未印发" in page
    assert ".pdf" not in page


@pytest.mark.parametrize("id", [WEEK, NEXT])
async def test_r11_2_a_page_is_drawn_off_the_event_loop_and_once_for_all_who_ask(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, id: str
) -> None:
    draw = sections
    threads: list[threading.Thread] = []

    def drawn(*issue: Any) -> Any:
        threads.append(threading.current_thread())
        return draw(*issue)

    monkeypatch.setattr(routes_bulletins, "sections", drawn)
    pages = await asyncio.gather(*(client.get(f"/bulletins/{id}") for _ in range(2)))
    pages.append(await client.get(f"/bulletins/{id}"))
    assert {(page.status_code, page.text) for page in pages} == {(200, pages[0].text)}
    (thread,) = threads
    assert thread is not threading.main_thread()


async def test_r11_2_what_was_made_of_a_preview_is_kept_for_a_minute_unless_its_figures_move() -> None:
    clock = FixedClock(NOW)
    made: list[str] = []
    files = Files(press(), clock)

    async def page(title: str) -> bytes:
        def make() -> bytes:
            made.append(title)
            return title.encode()

        return await files.made(bulletins.preview().model_copy(update={"title": title}), "zh", make, files.drawing)

    assert [await page("a"), await page("a"), await page("b")] == [b"a", b"a", b"b"]
    assert made == ["a", "b"]
    clock.advance(PREVIEW_KEPT_FOR - timedelta(seconds=1))
    await page("b")
    assert made == ["a", "b"]
    clock.advance(timedelta(seconds=1))
    await page("b")
    assert made == ["a", "b", "b"]


async def test_r11_2_who_goes_away_or_fails_takes_no_page_from_the_others_who_wait_for_it() -> None:
    files, may_end = Files(press(), FixedClock(NOW)), threading.Event()

    def make() -> bytes:
        may_end.wait(10)
        return b"page"

    def broken() -> bytes:
        raise ZeroDivisionError

    first, second = (asyncio.create_task(files.made(bulletins.full(), "zh", make, files.drawing)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    may_end.set()
    assert await second == b"page"
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await files.made(bulletins.preview(), "zh", broken, files.drawing)
    assert await files.made(bulletins.preview(), "zh", make, files.drawing) == b"page"


@pytest.mark.parametrize("path", ["/statistics", "/statistics?year=2025", f"/bulletins/{WEEK}", f"/bulletins/{NEXT}"])
@pytest.mark.parametrize("language", ["", "en"])
async def test_cache_poisoning_a_kept_page_shows_nobody_what_another_one_added_to_its_address(
    client: httpx.AsyncClient, path: str, language: str
) -> None:
    asked = {"lang": language} if language else {}
    for more in ({"x": "EVIL"}, {}):
        page = await client.get(path, params={**httpx.URL(path).params, **asked, **more})
        assert page.status_code == 200
        assert "EVIL" not in page.text
        other = path if language else f"{path}{'&' if '?' in path else '?'}lang=en"
        assert f'href="{other.replace("&", "&amp;")}"' in page.text, "the same page in the other language"


async def test_r11_2_bulletins_are_listed_with_their_files(client: httpx.AsyncClient, empty: httpx.AsyncClient) -> None:
    page = (await client.get("/bulletins")).text
    assert f'href="/bulletins/{WEEK}"' in page
    assert f'href="/bulletins/{WEEK}?lang=en"' in (await client.get("/bulletins?lang=en")).text
    assert "还没有印发的通报" in (await empty.get("/bulletins")).text


async def test_r11_2_the_list_goes_on_on_a_second_page() -> None:
    many = [bulletins.full(id=f"weekly-mayor-20{place:02}-W01") for place in range(31)]
    async for client in _client(desk(many)):
        first = (await client.get("/bulletins")).text
        assert first.count('class="card"') == 30
        (rest,) = re.findall(r'href="(/bulletins\?after=[^"]+)"', first)
        second = (await client.get(rest)).text
        assert second.count('class="card"') == 1
        assert "更早" not in second


async def test_r11_2_what_is_no_bulletin_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/bulletins/none", "/reporting/issues/none.pdf", "/reporting/issues/none.xlsx"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.json()["rule"] == "R11.2"


@needs_fonts
async def test_r11_2_files_of_a_bulletin_are_made_once_and_kept_by_those_who_have_them(
    client: httpx.AsyncClient,
) -> None:
    made = await client.get(f"/reporting/issues/{WEEK}.pdf")
    assert made.headers["content-type"] == "application/pdf"
    assert f'filename="{WEEK}.pdf"' in made.headers["content-disposition"]
    assert f"https://mail.city.test/bulletins/{WEEK}" in text_of(made.content)
    assert made.headers["cache-control"] == "public, max-age=3600"
    again = await client.get(f"/reporting/issues/{WEEK}.pdf", headers={"If-None-Match": made.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    book = await client.get(f"/reporting/issues/{WEEK}.xlsx")
    assert book.content[:2] == b"PK"
    assert book.headers["etag"] != made.headers["etag"]
    mine = await client.get(f"/reporting/issues/{WEEK}.xlsx", headers={"Authorization": "Bearer x"})
    assert mine.headers["cache-control"] == "private, no-cache", "what needed a token is kept by nobody else"
    preview = await client.get("/reporting/issues/weekly-mayor-2026-W08.pdf")
    assert "etag" not in preview.headers
    assert preview.headers["cache-control"] == "no-store"


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r10_4_statistics_show_months_and_breakdowns_in_both_languages(client: httpx.AsyncClient) -> None:
    for language, texts in (
        ("zh", ("来信统计", "按领域", "水电气讯", "各单位办理时效", "以下分列数字统计至2026年2月28日。", "未结束")),
        (
            "en",
            ("Statistics of letters", "By domain", "水电气讯", "The breakdowns below count letters up to 28 Feb 2026."),
        ),
    ):
        page = await client.get("/statistics", params={"lang": language})
        assert page.status_code == 200
        for text in (*texts, "4140", "3726"):
            assert text in page.text, text
        assert len(re.findall(r"<svg ", page.text)) == 5
        assert "style=" not in page.text


async def test_r10_4_page_json_and_csv_tell_the_same(client: httpx.AsyncClient) -> None:
    data = (await client.get("/statistics.json?year=2025")).json()
    answer = await client.get("/statistics.csv?year=2025")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    page = (await client.get("/statistics?year=2025")).text
    assert [line["code"] for line in lines if line["by"] == "month"] == [month["month"] for month in data["months"]]
    for by, part in (("domain", "domains"), ("region", "regions"), ("unit", "units")):
        shown = {line["code"]: int(line["received"]) for line in lines if line["by"] == by}
        assert shown == {**{one["code"]: one["received"] for one in data[part]["lines"]}, "": data[part]["others"]}
        assert sum(shown.values()) == data["received"], "all months of last year are over"
        assert all(f'<td class="n">{number}</td>' in page for number in shown.values())
    assert data["received"] == sum(month["received"] for month in data["months"])


async def test_r10_4_no_class_under_three_is_shown_on_any_path(client: httpx.AsyncClient) -> None:
    known = months()
    assert any(0 < number < FEWEST for month in known.values() for number in month.regions.values())
    for query in ("", "?year=2026", "?year=2025"):
        data = (await client.get(f"/statistics.json{query}")).json()
        for part in ("domains", "regions", "units"):
            assert all(line["received"] >= FEWEST for line in data[part]["lines"])
            assert data[part]["others"] >= FEWEST
        for text in (
            (await client.get(f"/statistics{query}")).text,
            (await client.get(f"/statistics.csv{query}")).text,
        ):
            for small in ("江北区", "万州区", "公安", "渝中区人民政府"):
                assert small not in text, "which classes are small is not told either"


async def test_r10_4_the_running_month_is_in_the_totals_and_in_no_breakdown(client: httpx.AsyncClient) -> None:
    data = (await client.get("/statistics.json?year=2026")).json()
    january, february, march = data["months"]
    assert (march["ended"], march["received"]) == (False, 400)
    assert data["received"] == january["received"] + february["received"] + 400
    assert data["broken_down_until"] == "2026-02-28"
    for part in ("domains", "regions", "units"):
        total = sum(line["received"] for line in data[part]["lines"]) + data[part]["others"]
        assert total == january["received"] + february["received"]


async def test_r10_4_nothing_is_broken_down_by_nature(client: httpx.AsyncClient) -> None:
    for path in ("/statistics.csv", "/statistics.json"):
        text = (await client.get(path)).text
        assert "举报" not in text
        assert "nature" not in text


async def test_r10_4_a_city_without_letters_has_a_page_that_says_so(empty: httpx.AsyncClient) -> None:
    page = await empty.get("/statistics")
    assert page.status_code == 200
    assert "这一期间还没有来信" in page.text
    assert "<svg" not in page.text
    data = (await empty.get("/statistics.json")).json()
    assert (data["received"], data["timeliness"], data["years"]) == (0, None, [2026])
    assert data["broken_down_until"] is None


async def test_r10_4_a_year_without_figures_is_not_found_and_says_which_there_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/statistics.json?year=2031")
    assert answer.status_code == 404
    assert "2025, 2026" in answer.json()["detail"]
    assert (await client.get("/statistics?year=first")).status_code == 422


async def test_r10_4_a_month_of_few_letters_shows_totals_alone() -> None:
    few = {
        date(2026, 2, 1): Month(
            received=2, answered=1, domains={"education": 2}, regions={"500103": 2}, units={"water": 2}
        )
    }
    async for client in _client(desk([], few)):
        data = (await client.get("/statistics.json")).json()
        assert data["domains"] == {"lines": [], "others": 2}
        page = (await client.get("/statistics")).text
        assert "各类均不足3件，共2件，不分列。" in page
        assert "教育" not in page
