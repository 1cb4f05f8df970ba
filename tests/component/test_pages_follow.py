"""Citizens follow their letters on the page, with a browser that runs no scripts (R8.3)."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.engines import Engines
from shared.storage import StoreUnavailable
from tests.citizen_letters import SECRET, STANDINGS, receipt, story
from tests.citizen_pages import Visitor
from tests.citizen_town import Town, opened
from tests.conftest import eventually

SHOWN = {
    "unread": ["已收到，待阅", "工作人员将在工作时间阅信"],
    "in_hand": ["办理中", "渝府信〔2026〕2号", "答复期限", "2026年2月16日 24:00", "重庆市教育委员会已签收"],
    "late": ["已超过答复期限", "答复期限已过，正在督促尽快答复", "2026年2月16日 24:00"],
    "extended": ["经批准延期，答复期限延至2026年3月6日 24:00", "办理中"],
    "answered": ["已答复", "路灯已于2月9日修复", "网上回复", "重庆市教育委员会"],
    "published": ["公开的来信和答复", "来信和答复已公开"],
    "withdrawn": ["公开的来信和答复已撤下"],
    "refused": ["不予受理", "12368", "人民法院"],
    "noted": ["已存档", "供工作参考"],
}
ENGLISH = {
    "late": ["Overdue", "The time limit for the reply has passed", "16 Feb 2026, 24:00", "重庆市教育委员会"],
    "refused": ["Not accepted", "12368", "people's court"],
    "answered": ["Answered", "Reply", "路灯已于2月9日修复"],
}


@pytest.fixture(scope="module")
async def town(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """One town for the whole file, with a letter at each standing."""
    async with opened(engines, keys, tmp_path_factory.mktemp("town")) as town:
        stories = [story(one, f"letter-{one}", serial + 1) for serial, one in enumerate(STANDINGS)]
        await town.world.publish(*(fact for facts in stories for fact in facts))

        async def all_there() -> bool:
            found = await town.service.letters.aggregates.get_many([facts[0].letter_id for facts in stories])
            seen = {key: sum(stored.seen.values()) for key, stored in found.items()}
            return seen == {facts[0].letter_id: len(facts) for facts in stories}

        await eventually(all_there)
        yield town


@pytest.mark.parametrize("standing", STANDINGS)
async def test_r8_3_a_citizen_reads_where_the_letter_stands_and_nothing_that_is_for_staff(
    town: Town, standing: str
) -> None:
    page = await town.visitor().follow(receipt(f"letter-{standing}"))
    assert page.status == 200
    for text in SHOWN[standing]:
        assert text in page.text
    for private in (SECRET, "甲经办", "mayor-clerk", "拟交市教委办理"):
        assert private not in page.answer.text
    assert page.answer.headers["cache-control"] == "no-store"
    links = [link for link in page.root.xpath("//main//a/@href") if link.startswith("/public")]
    assert links == (["/public/letters/YFX-2026-6"] if standing == "published" else [])


@pytest.mark.parametrize("standing", ENGLISH)
async def test_r8_3_a_citizen_may_read_it_in_english(town: Town, standing: str) -> None:
    visitor = town.visitor()
    page = await visitor.press(await visitor.open("/follow?lang=en"), typed={"code": receipt(f"letter-{standing}")})
    assert page.root.get("lang") == "en"
    for text in ENGLISH[standing]:
        assert text in page.text


async def test_r8_3_a_code_may_be_typed_in_any_way_and_its_typing_errors_are_told_at_the_field(town: Town) -> None:
    code, visitor = receipt("letter-answered"), town.visitor()
    wide = "".join(chr(ord(sign) + 0xFEE0) if sign != "-" else "－" for sign in code)
    for typed in (code.lower(), code.replace("-", " "), code.replace("-", ""), f"  {wide} "):
        assert "已答复" in (await visitor.follow(typed)).text
    other = "8" if code[0] != "8" else "9"
    for typed, said in (
        (other + code[1:], "逐位核对"),
        (code[:-2], "13 位"),
        ("", "请输入查询码"),
        ("u" * 13, "没有字母 U"),
    ):
        wrong = await visitor.follow(typed)
        assert (wrong.status, wrong.values()["code"]) == (422, typed)
        assert said in wrong.errors()["code"]
        assert wrong.errors() == wrong.summary()


async def test_r2_2_wrong_codes_make_the_next_try_wait_and_the_page_says_how_long(town: Town) -> None:
    visitor = town.visitor()
    strangers = [receipt(f"nobody-{n}") for n in range(8)]
    pages = [await visitor.follow(code) for code in strangers]
    assert [page.status for page in pages[:6]] == [404] * 6
    assert pages[-1].status == 429
    assert int(pages[-1].answer.headers["retry-after"]) >= 1
    assert f"{pages[-1].answer.headers['retry-after']} 秒" in pages[-1].errors()["code"]
    assert (await visitor.follow(receipt("letter-answered"))).status == 429, "the right code has to wait as well"
    assert (await town.visitor().follow(receipt("letter-answered"))).status == 200


async def test_r8_3_the_code_is_in_no_address_and_in_no_log(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    code, visitor = receipt("letter-late"), town.visitor()
    with caplog.at_level(logging.DEBUG):
        page = await visitor.follow(code)
    assert code not in str(page.answer.url)
    assert "location" not in page.answer.headers
    assert not [link for link in page.root.xpath("//@href | //@action | //@src") if code in link]
    assert code not in caplog.text
    assert code.replace("-", "") not in caplog.text


async def test_r8_3_another_site_cannot_ask_in_the_citizen_s_name_nor_make_their_address_wait(town: Town) -> None:
    visitor = town.visitor()
    page = await visitor.open("/follow")
    for _ in range(10):
        refused = await visitor.press(page, typed={"code": receipt("nobody")}, headers={"Sec-Fetch-Site": "cross-site"})
        assert refused.status == 403
    stranger = Visitor(visitor.client)
    stranger.client.cookies.clear()
    lost = await stranger.press(page, typed={"code": receipt("letter-late")})
    assert (lost.status, lost.values()["code"]) == (403, receipt("letter-late"))
    assert (await stranger.press(lost)).status == 200


async def test_r8_3_while_the_store_is_away_the_page_says_so_and_keeps_the_code(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    visitor = town.visitor()
    page = await visitor.open("/follow")
    with monkeypatch.context() as broken:
        broken.setattr("services.intake.following.find_by_receipt", away)
        later = await visitor.press(page, typed={"code": receipt("letter-late")})
    assert (later.status, later.answer.headers["retry-after"]) == (503, "5")
    assert later.values()["code"] == receipt("letter-late")
    assert (await visitor.press(later)).status == 200
