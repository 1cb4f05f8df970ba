"""The public site on a real store: list, search, filters, pages (R9.2)."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partialmethod
from pathlib import Path

import pytest

from services.publication.index import Entry, Index
from shared.contracts.facts import LetterReclassified
from shared.contracts.types import Classification, Nature, PublishedFile
from shared.search import Moved, follower
from tests.conftest import World, eventually
from tests.public_letters import START, Public, reading

LAMPS = Public(
    1,
    subject="路灯不亮",
    body="小区门口的路灯坏了半个月。",
    reply="路灯已修复。",
    domain="utilities-power",
    mailbox="water",
)
WATER = Public(
    2,
    subject="供水管网漏水",
    body="路灯下的水管一直漏水，望修理。",
    reply="供水管网已抢修。",
    domain="utilities-water",
    mailbox="water",
)
SCHOOL = Public(3, nature=Nature.SUGGESTION, region="500105", received=START - timedelta(days=40))
BUS = Public(
    4,
    subject="建议增加5G基站与B12路公交",
    body="ＰＭ２．５超标，公交太少。",
    reply="已协调公交集团。",
    domain="transport-bus",
    mailbox="education-basic",
)
ALL = (LAMPS, WATER, SCHOOL, BUS)


async def test_r9_2_words_and_filters_find_letters_alone_and_together(world: World) -> None:
    async with reading(world) as readers:
        await readers.publish(*ALL)
        assert await readers.found() == [4, 3, 2, 1]
        # In the subject first, then by how often; equal ones newest first.
        assert await readers.found(q="路灯") == [1, 2]
        assert await readers.found(q="漏水") == [2]
        assert await readers.found(q="公交") == [4]
        assert await readers.found(q="路灯 水管") == [2]
        assert await readers.found(q="水灯") == []
        # Each word as a whole, full or half width, upper or lower case.
        assert await readers.found(q="5g基站") == [4]
        assert await readers.found(q="ｂ12 PM2.5") == [4]
        for number in ("渝府信〔2026〕2号", "渝府信[2026] 2号", "yfx-2026-2", " YFX-2026-2 "):
            assert await readers.found(q=number) == [2], number
        assert await readers.found(nature="suggestion") == [3]
        assert await readers.found(domain="utilities") == [2, 1]
        assert await readers.found(domain="utilities-water") == [2]
        assert await readers.found(region="500105") == [3]
        assert await readers.found(unit="education") == [4, 3]
        assert await readers.found(unit="education-basic") == [4]
        assert await readers.found(month="2026-01") == [3]
        assert await readers.found(published="2026-03", nature="help") == [4, 2, 1]
        assert await readers.found(q="路灯", unit="water", domain="utilities-water", month="2026-03") == [2]
        assert await readers.found(q="路灯", unit="education") == []

        page = (await readers.get("letters.json", params={"q": "路灯 水管"})).json()
        assert page["total"] == 1
        assert page["more"] is False
        item = page["items"][0]
        assert [text for text, hit in item["extract"] if hit] == ["路灯", "水管"]
        assert "".join(text for text, _ in item["extract"]) == WATER.body
        assert (item["nature"], item["domain"], item["region"], item["month"]) == (
            "help",
            "utilities-water",
            "500103",
            "2026-03",
        )
        assert (item["nature_name"], item["domain_name"], item["unit"]) == ("求助", "水电气讯 / 供水", "重庆水务集团")
        assert not any("id" in name or "received" in name for name in item)


async def test_r9_2_withdrawn_corrected_and_reclassified_letters_are_found_as_they_are_now(world: World) -> None:
    async with reading(world) as readers, reading(world) as others:
        await readers.publish(*ALL)
        assert await others.found(q="路灯") == [1, 2]
        before = (await readers.get("letters/YFX-2026-1")).headers["etag"]
        await readers.tell(LAMPS.withdrawn_fact())
        for each in (readers, others):
            assert await each.found(q="路灯") == [2]
            assert await each.found(domain="utilities") == [2]
            assert await each.found(q="YFX-2026-1") == []
            assert await each.found() == [4, 3, 2]
        corrected = replace(WATER, subject="水管已换", body="水管已经更换。", at=WATER.published_at + timedelta(days=3))
        about = Classification(nature=Nature.HELP, domain="utilities-water", region="500103")
        moved = about.model_copy(update={"domain": "transport-metro"})
        await readers.tell(corrected.published_fact())
        await readers.tell(LetterReclassified(letter_id=BUS.id, at=START, before=about, after=moved))
        for each in (readers, others):
            assert await each.found(q="路灯") == []
            assert await each.found(q="水管") == [2]
            assert await each.found(domain="transport-metro") == [4]
            assert await each.found(domain="transport-bus") == []
        # It becomes a report about a unit: gone from everywhere at once, also for who kept the page.
        report = moved.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
        await readers.tell(LetterReclassified(letter_id=BUS.id, at=START, before=moved, after=report))
        for each in (readers, others):
            assert await each.found(q="公交") == []
            assert (await each.get("letters/YFX-2026-4.json")).status_code == 404

        page = await readers.get("letters/YFX-2026-1", headers={"If-None-Match": before})
        assert page.status_code == 410
        assert "已撤回公开" in page.text
        assert "涉及个人隐私" in page.text
        gone = await readers.get("letters/yfx-2026-1.json")
        assert gone.status_code == 410
        assert (gone.json()["rule"], gone.json()["withdrawn"]["ground"]) == ("R9.1", "privacy")
        for text in (page.text, gone.text):
            assert "路灯" not in text
            assert "秘而不宣" not in text
        english = (await readers.get("letters/YFX-2026-1?lang=en")).text
        assert "This letter was withdrawn" in english
        assert "personal privacy" in english


async def test_r9_2_an_index_that_lags_behind_shows_nothing_that_was_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reading(world) as readers:
        await readers.publish(*ALL)
        assert await readers.found(q="路灯") == [1, 2]

        async def nothing(*_: object, **__: object) -> None:
            """Take up no change."""

        monkeypatch.setattr(follower.Follower, "_take_up", nothing)
        await readers.tell(
            LAMPS.withdrawn_fact(), replace(WATER, subject="换了", body="换了文字", reply="好").published_fact()
        )
        assert await readers.found(q="路灯") == []
        assert await readers.found(domain="utilities") == [2]
        assert "路灯" not in (await readers.get("letters", params={"q": "路灯"})).text.replace("路灯 ·", "").replace(
            'value="路灯"', ""
        )


async def test_r9_2_pages_neither_repeat_nor_skip_while_letters_are_published(world: World) -> None:
    many = [Public(n, subject="路灯不亮" if n % 3 else "小区", body="路灯" * (1 + n % 5)) for n in range(1, 32)]
    async with reading(world) as readers:
        await readers.publish(*many[:30])
        expected = await readers.found(q="路灯")
        assert sorted(expected) == list(range(1, 31))
        assert expected[0] % 3 != 0
        assert expected[0] % 5 == 4
        for asked in ({"q": "路灯"}, {"nature": "help"}):
            first = (await readers.get("letters.json", params={**asked, "limit": 7})).json()
            whole = await readers.found(**asked)
            seen = [item["number"] for item in first["items"]]
            cursor = first["next"]
            serial = 1000 * len(asked.get("q", "nature"))
            while cursor:
                serial += 1
                await readers.publish(
                    Public(serial, subject="路灯路灯", body="路灯" * 9, at=START + timedelta(days=300, hours=serial))
                )
                page = (await readers.get("letters.json", params={**asked, "limit": 7, "cursor": cursor})).json()
                seen += [item["number"] for item in page["items"]]
                cursor = page["next"]
            assert seen == [f"YFX-2026-{n}" for n in whole]


async def test_r9_2_ranked_matches_beyond_a_window_come_in_the_next_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.publication.index.WINDOW", 4)
    monkeypatch.setattr("services.publication.search.WINDOW", 4)
    many = [Public(n, subject="路灯不亮" if n == 2 else "小区", body="路灯坏了") for n in range(1, 12)]
    async with reading(world) as readers:
        await readers.publish(*many)
        answer = (await readers.get("letters.json", params={"q": "路灯"})).json()
        assert (answer["total"], answer["more"]) == (4, True)
        for limit in (1, 3, 4, 20):
            found = await readers.found(q="路灯", limit=limit)
            assert found == [11, 10, 9, 8, 7, 6, 5, 4, 2, 3, 1]


async def test_r9_2_what_cannot_be_searched_for_is_explained(world: World) -> None:
    async with reading(world) as readers:
        await readers.publish(LAMPS)
        for asked, field, word in (
            ({"q": "？！"}, "query:q", "没有文字"),
            ({"q": "灯"}, "query:q", "至少输入相连的2个字"),
            ({"q": "路灯" * 40}, "query:q", "最多60个字"),
            ({"q": "路灯 不亮 小区 门口 坏了 半个 个月 修复 已经"}, "query:q", "最多8个词"),
            ({"nature": "bad"}, "query:nature", "建议"),
            ({"domain": "no"}, "query:domain", "/intake/domains"),
            ({"region": "1"}, "query:region", "/intake/regions"),
            ({"unit": "no"}, "query:unit", "/intake/mailboxes"),
            ({"month": "2026-13"}, "query:month", "2026-03"),
            ({"published": "03/2026"}, "query:published", "2026-03"),
        ):
            refused = await readers.get("letters.json", params=asked)
            assert refused.status_code == 422, asked
            error = refused.json()["errors"][0]
            assert error["field"] == field
            assert word in error["message"]
            assert error["message_en"]
            page = await readers.get("letters", params=asked)
            assert page.status_code == 422
            name = field.partition(":")[2]
            assert f'aria-describedby="e-{name}"' in page.text
            assert word in page.text
        for hostile in (
            '" OR "路灯',
            "路灯*",
            "subject : 路灯",
            "路灯') --",
            "NEAR(路灯",
            "𠮷野家",
            "\x00路灯",
            "%路灯_",
        ):
            assert (await readers.get("letters.json", params={"q": hostile})).status_code == 200, hostile
        assert (await readers.get("letters.json", params={"q": "路灯", "cursor": "WzFd"})).status_code == 400
        assert (await readers.get("letters", params={"nature": "help", "cursor": "x"})).status_code == 400
        nothing = (await readers.get("letters", params={"q": "没有这个词"})).text
        assert "没有找到相符的公开信件" in nothing
        marked = (await readers.get("letters", params={"q": "路灯"})).text
        assert "<mark>路灯</mark>不亮" in marked
        assert "找到1封" in marked
        assert 'content="noindex, follow"' in marked


async def test_r9_2_text_that_looks_like_markup_stays_text_wherever_it_is_shown(world: World) -> None:
    evil = '</script><script>alert(1)</script><img src=x onerror=alert(2)>路灯&"\u2028'
    async with reading(world, site_url="https://mail.city.example") as readers:
        await readers.publish(replace(LAMPS, subject=f"路灯{evil}", body=evil, reply=evil))
        for path in (
            "letters",
            "letters?q=路灯",
            "letters?q=script",
            "letters/YFX-2026-1",
            "letters?q=%3Cscript%3Ealert(1)",
        ):
            text = (await readers.get(path)).text
            assert "<script>alert" not in text
            assert "<img src=x" not in text
        page = await readers.get("letters/YFX-2026-1")
        data = re.search(r'<script type="application/ld\+json">(.*?)</script>', page.text, re.DOTALL)
        assert data
        assert not set(data[1]) & set("<>&\u2028")
        assert '<link rel="canonical" href="https://mail.city.example/public/letters/YFX-2026-1">' in page.text
        assert 'hreflang="en" href="https://mail.city.example/public/letters/YFX-2026-1?lang=en"' in page.text
        assert '<meta name="description" content="&lt;/script' in page.text
        assert "nonce" not in page.headers["content-security-policy"]


async def test_r9_2_a_page_says_everything_public_of_a_letter_and_is_not_sent_twice(world: World) -> None:
    file = PublishedFile(id="0" * 32, name="附件1.pdf", media_type="application/pdf", size=2048, sha256="1" * 64)
    async with reading(world) as readers:
        await readers.publish(replace(LAMPS, attachments=(file,)))
        page = await readers.get("letters/YFX-2026-1")
        for text in (
            "渝府信〔2026〕1号",
            "路灯不亮",
            LAMPS.body,
            LAMPS.reply,
            "重庆水务集团",
            "水电气讯 / 供电",
            "渝中区",
            "求助",
            "2026-03",
        ):
            assert text in page.text, text
        assert 'href="/public/letters/YFX-2026-1/attachments/%E9%99%84%E4%BB%B61.pdf"' in page.text
        assert "张三" not in page.text
        assert file.id not in page.text
        assert LAMPS.id not in page.text
        data = (await readers.get("letters/YFX-2026-1.json")).json()
        assert data["attachments"][0]["name"] == "附件1.pdf"
        assert file.id not in str(data)
        english = await readers.get("letters/YFX-2026-1?lang=en")
        assert '<html lang="en"' in english.text
        assert "The letter" in english.text
        assert english.headers["etag"] != page.headers["etag"]
        for path in ("letters/YFX-2026-1", "letters/YFX-2026-1.json", "letters", "letters.json", "letters.json?q=路灯"):
            first = await readers.get(path)
            again = await readers.get(path, headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b""), path
        kept = (await readers.get("letters")).headers["etag"]
        await readers.publish(WATER)
        assert (await readers.get("letters", headers={"If-None-Match": kept})).status_code == 200


async def test_r9_2_the_index_outlives_a_restart_and_a_lost_one_is_made_anew(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "search"
    indexed: list[int] = []

    take = Index.take

    def counted(index: Index, changes: Sequence[Moved[Entry]], position: str) -> None:
        indexed.append(len(changes))
        take(index, changes, position)

    async with reading(world, search_folder=folder) as readers:
        await readers.publish(*ALL)
        assert await readers.found(q="路灯") == [1, 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Index, "take", counted)
        async with reading(world, search_folder=folder) as readers:
            assert await readers.found(q="路灯") == [1, 2]
            assert sum(indexed) == 0
            await readers.publish(Public(9, subject="路灯路灯"))
            assert await readers.found(q="路灯") == [1, 9, 2]
            assert sum(indexed) == 1
        (file,) = folder.glob("*.sqlite")
        for rest in folder.glob("*.sqlite-*"):
            rest.unlink()
        file.write_bytes(b"no database" * 1000)
        indexed.clear()
        async with reading(world, search_folder=folder) as readers:
            assert await readers.found(q="路灯") == [1, 9, 2]
            assert sum(indexed) == 5
            # Another process takes a file of its own.
            async with reading(world, search_folder=folder) as others:
                assert await others.found(q="路灯") == [1, 9, 2]


async def test_r9_2_what_was_written_earlier_and_appears_later_is_found_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    thorough = partialmethod(follower.Follower.__init__, thorough_seconds=0.1)
    monkeypatch.setattr(follower.Follower, "__init__", thorough)
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.1)
    async with reading(world) as readers:
        await readers.publish(*ALL)
        assert await readers.found(q="路灯") == [1, 2]
        late = Public(9, subject="路灯路灯")
        await readers.publish(late)
        collection = readers.service.letters.aggregates.collection
        newest = await collection.find_one({"_id": late.id}, {"public_moved": 1})
        milliseconds = int(newest["public_moved"].partition("/")[0]) - 20_000
        # Thrown out of the index and put where everybody has looked already.
        await readers.tell(late.withdrawn_fact())
        assert await readers.found(q="路灯") == [1, 2]
        await readers.tell(late.published_fact())
        await collection.update_one({"_id": late.id}, {"$set": {"public_moved": f"{milliseconds:015d}/{late.id}"}})

        async def there() -> bool:
            return await readers.found(q="路灯") == [1, 9, 2]

        await eventually(there)
