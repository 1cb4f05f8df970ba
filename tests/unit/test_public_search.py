"""The public site over a store in memory (R9.2): what its filters offer and find, what search engines may read, and hostile addresses."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.etree import ElementTree as ET

import httpx
import pytest

from services.publication import routes_data, routes_feed, routes_sitemap, site
from services.publication.addresses import Addresses
from services.publication.domain import ON, Case
from services.publication.open_data import Licence
from services.publication.public_views import Names
from services.publication.repository import PublicHead, PublicLetter, PublicPage, _fields
from services.publication.search import Asked, Search
from shared.contracts.types import Nature
from shared.directory import Directory, LiveDirectory, load_directory
from shared.directory.changes import Change, close
from shared.web.app import create_app
from shared.web.templates import Pages
from tests.conftest import DATA
from tests.public_letters import HEAD, START, Public

PAGES = Path(site.__file__).parent / "pages"
SITE = "https://mail.city.example"
LOC = "{http://www.sitemaps.org/schemas/sitemap/0.9}loc"


class Kept:
    """Stands for the store: published letters, and what the site asks of them."""

    def __init__(self, directory: Directory, letters: Sequence[Public]) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        for letter in letters:
            case: Case | None = None
            for fact in letter.facts():
                case = ON[type(fact)](case, fact)
            assert case is not None
            self.rows[letter.id] = _fields(case, directory)

    def _between(self, since: str, before: str) -> list[Mapping[str, Any]]:
        rows = [row for row in self.rows.values() if since <= row["public_place"] < before]
        return sorted(rows, key=lambda row: row["public_place"], reverse=True)

    async def page(self, after: str | None, limit: int) -> PublicPage:
        rows = self._between("", after or "~")
        heads = [PublicHead.model_validate(row["public"], extra="ignore") for row in rows[:limit]]
        return PublicPage(heads, rows[limit - 1]["public_place"] if len(rows) > limit else None)

    async def between(self, since: str, before: str, limit: int) -> tuple[list[PublicLetter], str | None]:
        return [PublicLetter.model_validate(row["public"]) for row in self._between(since, before)[:limit]], None

    async def marks(self, since: str, before: str, limit: int) -> list[tuple[str, datetime, str]]:
        letters, _ = await self.between(since, before, limit)
        return [(letter.number, letter.published_at, "") for letter in letters]

    async def last_change(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=1)

    async def letter(self, number: str) -> PublicLetter | None:
        found = [row["public"] for row in self.rows.values() if row["public_number"] == number]
        return PublicLetter.model_validate(found[0]) if found else None

    async def withdrawn(self, _number: str) -> None:
        return None

    async def letters(self, letter_ids: Sequence[str]) -> dict[str, PublicLetter]:
        return {key: PublicLetter.model_validate(self.rows[key]["public"]) for key in letter_ids if key in self.rows}

    async def changes(self, after: str, limit: int) -> list[tuple[str, str]]:
        changed = sorted((row["public_moved"], key) for key, row in self.rows.items() if row["public_moved"] > after)
        return [(key, moved) for moved, key in changed[:limit]]


@asynccontextmanager
async def reading(
    *letters: Public,
    live: LiveDirectory | None = None,
    store: Kept | None = None,
    folder: Path | None = None,
    ready: bool = True,
) -> AsyncIterator[tuple[httpx.AsyncClient, Search]]:
    """The site and its search, over some letters."""
    directory = load_directory(DATA / "directory.yaml") if live is None else live.directory
    kept: Any = store or Kept(directory, letters)
    search = Search(kept, directory, folder)
    addresses = Addresses(SITE)
    shown = site.Letters(kept, search, directory, Pages(PAGES), addresses)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield

    async def readiness() -> dict[str, str]:
        return {}

    routers = [
        site.router(shown),
        routes_data.router(shown, Licence.read("测试许可"), site.LASTS),
        routes_feed.router(shown, addresses, site.LASTS),
        routes_sitemap.router(shown, addresses, site.LASTS),
    ]
    pages = Pages(city=lambda: "重庆市")
    about: Any = {"lifespan": lifespan, "services": ["publication"], "readiness": readiness, "pages": pages}
    app = create_app("Test", routers, body_limit=100, **about)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        if ready:
            await search.look()
        async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as client:
            yield client, search
    finally:
        await search.close()


LETTERS = tuple(Public(serial) for serial in range(1, site.PAGE_SIZE + 5))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/public/data/20٢٦-03.csv", 404),
        ("/public/data/２０２６-03.jsonl", 404),
        ("/public/letters.json?month=20٢٦-03", 422),
        ("/public/feed.atom?published=20٢٦-03", 422),
        ("/public/letters/YFX-2026-1٧", 404),
        ("/public/sitemap-20٢٦-03-1.xml", 404),
        ("/public/sitemap-2026-03-٧.xml", 404),
        (f"/public/sitemap-2026-03-{'1' * 4_400}.xml", 404),
        (f"/public/sitemap-2026-03-00010{'0' * 4_400}.xml", 404),
        ("/public/sitemap-2026-03-101.xml", 404),
        ("/public/sitemap-2026-03-100.xml", 200),
        ("/public/data/2026-03.csv", 200),
    ],
)
async def test_r9_2_digits_of_other_scripts_and_endless_ones_are_no_months_nor_numbers(path: str, status: int) -> None:
    async with reading(*LETTERS[:1]) as (client, _):
        answer = await client.get(quote(path, safe="/?=&"))
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "since",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 99999999999999999999:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999",
        "Fri, 31 Dec 9999 23:59:59",
    ],
)
async def test_r9_2_a_date_that_cannot_be_says_nothing_of_what_somebody_has(since: str) -> None:
    async with reading(*LETTERS[:1]) as (client, _):
        assert (await client.get("/public/feed.atom", headers={"If-Modified-Since": since})).status_code == 200


async def test_r9_2_the_list_with_its_filters_is_another_page_than_without_them(tmp_path: Path) -> None:
    store = Kept(load_directory(DATA / "directory.yaml"), LETTERS)
    async with reading(store=store, folder=tmp_path):
        """Leaves an index, so that the next process has nothing to take up."""
    async with reading(store=store, folder=tmp_path, ready=False) as (client, search):
        bare = await client.get("/public/letters")
        assert 'id="f-published"' not in bare.text, "which there are is not known yet"
        await search.look()
        assert search.version == 0
        whole = await client.get("/public/letters", headers={"If-None-Match": bare.headers["etag"]})
        assert whole.status_code == 200
        assert '<option value="2026-03">' in whole.text
        again = await client.get("/public/letters", headers={"If-None-Match": whole.headers["etag"]})
        assert again.status_code == 304


def closed(code: str, successor: str | None = None) -> LiveDirectory:
    live = LiveDirectory(load_directory(DATA / "directory.yaml"), "directory.yaml")
    live.take(close(live.directory, code, successor, Change(by=HEAD, at=START, reason="机构调整")))
    return live


@pytest.mark.parametrize("live", [closed("water"), closed("water", "education"), closed("education-basic")])
async def test_r1_1_each_filter_finds_as_many_letters_as_it_says_after_a_unit_was_closed_too(
    live: LiveDirectory,
) -> None:
    answered = ("mayor", "education", "education-basic", "water", "water", "yuzhong")
    letters = [
        Public(serial, mailbox=mailbox, nature=Nature.HELP if serial % 2 else Nature.SUGGESTION)
        for serial, mailbox in enumerate(answered, start=1)
    ]
    async with reading(*letters, live=live) as (_, search):
        choices = Names(live.directory).choices(await search.counts())
        assert sum(choice.count for choice in choices["unit"]) == len(letters)
        for name, offered in choices.items():
            for choice in offered:
                asked: Any = {name: choice.code}
                found = await search.find(Asked(**asked), None, 20)
                assert (name, choice.code, found.total) == (name, choice.code, choice.count)


async def test_r9_2_a_number_finds_its_letter_only_where_the_filters_fit_it() -> None:
    async with reading(Public(1, nature=Nature.HELP, mailbox="water"), Public(2)) as (_, search):
        for asked, total in (
            (Asked("YFX-2026-1"), 1),
            (Asked("渝府信〔2026〕1号", nature=Nature.HELP, unit="water"), 1),
            (Asked("YFX-2026-1", nature=Nature.COMPLAINT), 0),
            (Asked("YFX-2026-1", unit="education"), 0),
            (Asked("YFX-2026-1", nature=Nature.HELP, published="2026-09"), 0),
        ):
            found = await search.find(asked, None, 20)
            assert (found.total, len(found.letters)) == (total, total), asked


async def test_r9_2_every_sitemap_stands_at_or_above_the_folder_of_what_it_lists() -> None:
    async with reading(*LETTERS) as (client, _):

        async def listed(address: str) -> list[str]:
            answer = await client.get(address.removeprefix(SITE))
            assert answer.status_code == 200, address
            return [found.text or "" for found in ET.fromstring(answer.text).iter(LOC)]

        index = f"{SITE}/public/sitemap.xml"
        parts = await listed(index)
        letters = [(part, letter) for part in parts for letter in await listed(part)]
        assert len(letters) == len(LETTERS)
        for where, address in [*((index, part) for part in parts), *letters]:
            assert address.startswith(urljoin(where, ".")), where


def links_of(text: str) -> Iterator[str]:
    """The addresses of the list that a page leads to."""
    for part in text.split('href="')[1:]:
        address = part.partition('"')[0].replace("&amp;", "&").removeprefix(SITE)
        if urlsplit(address).path == "/public/letters":
            yield address


def may_read(robots: str, address: str) -> bool:
    """Whether search engines may, of the rules that fit: the longest counts (RFC 9309); for older ones the first, and both must agree."""
    rules = [line.split(": ", 1) for line in robots.splitlines() if line.startswith(("Allow", "Disallow"))]
    fitting = [(len(path), said == "Allow") for said, path in rules if address.startswith(path)]
    by_length, by_order = (max(fitting)[1], fitting[0][1]) if fitting else (True, True)
    assert by_length == by_order, address
    return by_length


async def test_r9_2_robots_reach_older_letters_and_the_other_language_and_no_filters() -> None:
    async with reading(*LETTERS) as (client, _):
        robots = (await client.get("/robots.txt")).text
        for page in ("/public/letters", "/public/letters?lang=en"):
            links = set(links_of((await client.get(page)).text))
            assert any("cursor=" in link for link in links)
            assert "/public/letters?lang=en" in links
            assert [link for link in links if not may_read(robots, link)] == []
        filtered = "/public/letters?nature=help"
        links = {link for link in links_of((await client.get(filtered)).text) if "nature=" in link}
        assert any("cursor=" in link for link in links)
        for address in (filtered, *links, "/public/letters?q=%E8%B7%AF%E7%81%AF&lang=en", "/public/letters.json"):
            assert not may_read(robots, address)
        assert may_read(robots, "/public/letters/YFX-2026-1")
