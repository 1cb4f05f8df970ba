"""What machines read of the public site: open data, the feed, the sitemap (R9.2)."""

import csv
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from xml.etree import ElementTree as ET

import pytest

from services.publication import routes_data, routes_feed, routes_sitemap
from services.publication.open_data import FIELDS
from shared.contracts.types import Nature, PublishedFile
from tests.conftest import World
from tests.public_letters import START, Public, Readers, reading

FILE = PublishedFile(id="0" * 32, name="附件1.pdf", media_type="application/pdf", size=2048, sha256="1" * 64)
MARCH = datetime.fromisoformat("2026-03-31T23:59:59+08:00")
LETTERS = (
    Public(1, at=MARCH),
    Public(
        2, at=MARCH + timedelta(seconds=1), subject="=HYPERLINK(1)", body='他说："好"，\n然后走了', attachments=(FILE,)
    ),
    Public(3, at=MARCH + timedelta(hours=1), nature=Nature.SUGGESTION, domain="utilities-water", mailbox="water"),
    Public(4, at=MARCH + timedelta(hours=2), reply="+86不是电话<&>\x0b", subject="第四封"),
)
SITE = "https://mail.city.example"
ATOM = "{http://www.w3.org/2005/Atom}"
MAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


async def rows_of(readers: Readers, month: str) -> list[dict[str, str]]:
    answer = await readers.get(f"data/{month}.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    text = answer.content.decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(StringIO(text[1:], newline="")))


async def test_r9_2_open_data_has_the_approved_letters_of_each_month_of_publication(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_data, "BATCH", 2)
    async with reading(world, open_data_licence="重庆市公共数据开放许可 https://data.city.example/licence") as readers:
        assert (await readers.get("data.json")).json()["months"] == []
        assert "目前还没有公开的信件" in (await readers.get("data")).text
        await readers.publish(*LETTERS)
        index = (await readers.get("data.json")).json()
        assert index["total"] == 4
        assert [(month["month"], month["count"]) for month in index["months"]] == [("2026-04", 3), ("2026-03", 1)]
        licence = {"name": "重庆市公共数据开放许可", "address": "https://data.city.example/licence"}
        assert index["licence"] == licence

        rows = await rows_of(readers, "2026-04")
        assert [row["number"] for row in rows] == ["YFX-2026-4", "YFX-2026-3", "YFX-2026-2"]
        assert list(rows[0]) == [field.name for field in FIELDS]
        assert rows[2]["subject"] == "'=HYPERLINK(1)"
        assert rows[2]["letter"] == LETTERS[1].body
        assert rows[2]["attachments"] == "/public/letters/YFX-2026-2/attachments/%E9%99%84%E4%BB%B61.pdf"
        assert rows[2]["published_at"] == "2026-04-01T00:00:00+08:00"
        assert rows[0]["reply"].startswith("'+86")
        assert (rows[1]["nature"], rows[1]["domain_name"], rows[1]["unit_name"]) == (
            "suggestion",
            "水电气讯 / 供水",
            "重庆水务集团",
        )
        assert {row["licence"] for row in rows} == {licence["name"]}
        assert (await readers.get("data/2026-04.csv")).headers["link"] == f'<{licence["address"]}>; rel="license"'

        answer = await readers.get("data/2026-04.jsonl")
        objects = [json.loads(line) for line in answer.text.splitlines()]
        assert [one["number"] for one in objects] == [row["number"] for row in rows]
        assert objects[2]["subject"] == "=HYPERLINK(1)"
        assert objects[2]["attachments"] == [rows[2]["attachments"]]
        for text in (answer.text, str(rows)):
            assert "张三" not in text
            assert LETTERS[0].id not in text
        assert [row["number"] for row in await rows_of(readers, "2026-03")] == ["YFX-2026-1"]
        assert await rows_of(readers, "2026-05") == []

        await readers.tell(LETTERS[2].withdrawn_fact())
        assert [row["number"] for row in await rows_of(readers, "2026-04")] == ["YFX-2026-4", "YFX-2026-2"]
        assert (await readers.get("data.json")).json()["total"] == 3
        dictionary = (await readers.get("data/dictionary.json")).json()
        assert [field["name"] for field in dictionary["fields"]] == list(rows[0])
        page = (await readers.get("data?lang=en")).text
        assert "Data dictionary" in page
        assert 'href="/public/data/2026-04.csv"' in page
        assert 'rel="license" href="https://data.city.example/licence"' in page
        for path in ("data/2026-13.csv", "data/x.jsonl", "data/2026.csv"):
            assert (await readers.get(path)).json()["rule"] == "R9.2", path
        assert (await readers.get("data/2026-04.xlsx")).status_code == 422


def entries(text: str) -> list[ET.Element]:
    feed = ET.fromstring(text)
    assert feed.tag == f"{ATOM}feed"
    for name in ("id", "title", "updated"):
        assert len(feed.findall(ATOM + name)) == 1
    assert feed.find(f"{ATOM}link[@rel='self']") is not None
    found = feed.findall(f"{ATOM}entry")
    for entry in found:
        for name in ("id", "title", "updated", "author", "content"):
            assert len(entry.findall(ATOM + name)) == 1, name
        assert entry.find(f"{ATOM}link[@rel='alternate']") is not None
        datetime.fromisoformat(entry.findtext(f"{ATOM}updated", ""))
    ids = [entry.findtext(f"{ATOM}id") for entry in found]
    assert len(set(ids)) == len(ids)
    return found


async def test_r9_2_the_feed_has_the_newest_and_nothing_that_was_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_feed, "NEWEST", 3)
    async with reading(world, site_url=SITE) as readers:
        empty = await readers.get("feed.atom")
        assert entries(empty.text) == []
        await readers.publish(*LETTERS)
        answer = await readers.get("feed.atom")
        assert answer.headers["content-type"].startswith("application/atom+xml")
        found = entries(answer.text)
        assert [entry.findtext(f"{ATOM}id") for entry in found] == [
            f"tag:mail.city.example,2026:/public/letters/YFX-2026-{serial}" for serial in (4, 3, 2)
        ]
        link = found[0].find(f"{ATOM}link")
        assert link is not None
        assert link.get("href") == f"{SITE}/public/letters/YFX-2026-4"
        assert "+86不是电话<&>" in found[0].findtext(f"{ATOM}content", "")
        assert "张三" not in answer.text
        for asked, serials in (
            ({"unit": "water"}, [3]),
            ({"domain": "utilities"}, [3]),
            ({"nature": "help"}, [4, 2, 1]),
        ):
            filtered = await readers.get("feed.atom", params=asked)
            links = [entry.findtext(f"{ATOM}id", "").rpartition("-")[2] for entry in entries(filtered.text)]
            assert [int(serial) for serial in links] == serials
        assert (await readers.get("feed.atom", params={"q": "路灯"})).status_code == 422
        assert (await readers.get("feed.atom", params={"unit": "no"})).status_code == 422

        kept = {"If-None-Match": answer.headers["etag"]}
        assert (await readers.get("feed.atom", headers=kept)).status_code == 304
        # Long after the last change its time may be told, and be asked for.
        assert "last-modified" not in answer.headers
        monkeypatch.setattr(routes_feed, "LATE", timedelta(0))
        since = {"If-Modified-Since": (await readers.get("feed.atom")).headers["last-modified"]}
        assert (await readers.get("feed.atom", headers=since)).status_code == 304
        earlier = {"If-Modified-Since": format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)}
        assert (await readers.get("feed.atom", headers=earlier)).status_code == 200
        assert (await readers.get("feed.atom", headers={"If-Modified-Since": "yesterday"})).status_code == 200

        await readers.tell(LETTERS[3].withdrawn_fact())
        again = await readers.get("feed.atom", headers=kept)
        assert again.status_code == 200
        assert "YFX-2026-4" not in again.text
        assert "第四封" not in again.text


async def test_r9_2_the_sitemap_lists_every_letter_in_parts_by_month(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_sitemap, "URLS", 2)
    monkeypatch.setattr(routes_sitemap, "BATCH", 2)
    async with reading(world, site_url=SITE) as readers:
        await readers.publish(*LETTERS)

        async def listed() -> list[list[str]]:
            index = ET.fromstring((await readers.get("sitemap.xml")).text)
            addresses = [part.findtext(f"{MAP}loc", "") for part in index.findall(f"{MAP}sitemap")]
            parts = [await readers.get(address.removeprefix(f"{SITE}/public/")) for address in addresses]
            found = [[url.findtext(f"{MAP}loc", "") for url in ET.fromstring(part.text)] for part in parts]
            return [[url.removeprefix(f"{SITE}/public/letters/YFX-2026-") for url in urls] for urls in found]

        assert await listed() == [["1"], ["4", "3"], ["2"]]
        part = await readers.get("sitemap-2026-03-1.xml")
        assert "<lastmod>2026-03-31T15:59:59Z</lastmod>" in part.text
        assert part.headers["cache-control"] == (await readers.get("letters")).headers["cache-control"]
        await readers.tell(LETTERS[2].withdrawn_fact())
        assert await listed() == [["1"], ["4", "2"]]
        for path in (
            "sitemap-2026-3-1.xml",
            "sitemap-2026-03-0.xml",
            "sitemap-2026-03-x.xml",
            "sitemap-2026-03-99999999.xml",
        ):
            assert (await readers.get(path)).status_code == 404
        assert ET.fromstring((await readers.get("sitemap-2026-03-9.xml")).text).findall(f"{MAP}url") == []
        for path in ("/robots.txt", "/public/robots.txt"):
            robots = (await readers.client.get(path)).text
            assert f"Sitemap: {SITE}/public/sitemap.xml" in robots
            assert "Disallow: /public/letters?" in robots


async def test_r9_2_a_forged_host_reaches_nobody_else(world: World) -> None:
    async with reading(world) as readers:
        await readers.publish(Public(1, at=START))
        for path in ("feed.atom", "sitemap.xml", "sitemap-2026-03-1.xml", "robots.txt"):
            forged = await readers.get(path, headers={"Host": "evil.example"})
            assert forged.headers["cache-control"] == "private, no-store", path
            assert "http://evil.example/public/" in forged.text
            wrong = await readers.get(path, headers={"Host": 'evil"><script>'})
            assert "evil" not in wrong.text, path
        page = await readers.get("letters/YFX-2026-1", headers={"Host": "evil.example"})
        assert '<link rel="canonical" href="/public/letters/YFX-2026-1">' in page.text
        assert "evil" not in page.text
