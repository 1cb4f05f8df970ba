"""Everything that the public can reach of a city, read and searched for what must not be there (R9.1).

Starts from every route of the application and from what search engines look for, fills in the parts of paths that it knows, follows
each link, asks for each address in the ways that browsers, programs and mistakes do, and looks into pictures and PDFs. Pages that are
added later are found by themselves.
"""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any, Final
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpx

from tests.unit.test_publication_cleaning import all_of

SEEDS: Final = ("/", "/robots.txt", "/sitemap.xml", "/favicon.ico", "/public", "/.well-known/security.txt", "/nowhere")
MOST_CHOICES: Final = 4
MOST_OF_A_SHAPE: Final = 6
"""Addresses that are followed of those that differ in digits only: a week leads to the week before, and so on for ever."""
MOST: Final = 6_000
"""Requests; more would mean that the crawl goes in circles."""
AT_ONCE: Final = 12
_LINKS: Final = (
    re.compile(r"""\b(?:href|src|action)\s*=\s*["']([^"']+)["']""", re.IGNORECASE),
    re.compile(r"<loc>\s*([^<]+?)\s*</loc>"),
    re.compile(r"^\s*(?:Sitemap|Allow|Disallow):\s*(\S+)", re.MULTILINE),
    re.compile(r"""url\(["']?([^"')]+)["']?\)"""),
    re.compile(r'"(/[a-z][^"\s{}<>\\]*)"'),
    re.compile(r"<([^>]+)>;\s*rel="),
)


@dataclass
class Crawl:
    """What is known of a city, and what was found."""

    client: httpx.AsyncClient
    known: Mapping[str, Sequence[str]]
    """Name of a path's part → what is tried for it; others are tried with `1`."""
    markers: Mapping[str, str]
    """What is private → the text that stands for it."""
    queries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Name of a query's part → what is tried for it, besides the choices that the document names."""
    visited: dict[str, int] = field(default_factory=dict)
    """What was asked → the status of the answer."""
    found: dict[str, set[str]] = field(default_factory=dict)
    """What was asked → what is private in its answer."""
    holding: dict[str, set[str]] = field(default_factory=dict)
    """Word of `watched` → the addresses whose answer has it."""
    watched: Sequence[str] = ()
    """Words that may be there, to see that the crawl finds what is there."""

    def __post_init__(self) -> None:
        self._forms = {name: _forms(text) for name, text in self.markers.items()}
        self._watched = {word: _forms(word) for word in self.watched}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._searched: dict[bytes, tuple[set[str], set[str]]] = {}

    async def everything(self) -> None:
        """Ask for everything that can be reached."""
        routes = self._routes()
        todo, done = {*SEEDS, *routes}, set[str]()
        shapes: Counter[str] = Counter()
        while todo:
            pages = dict(zip(sorted(todo), await asyncio.gather(*map(self._page, sorted(todo))), strict=True))
            done |= todo
            # What needs a token says so before it looks at what is asked.
            further = {query for path, (links, is_open) in pages.items() if is_open for query in routes.get(path, ())}
            links = {link for links, _ in pages.values() for link in links} - done
            todo = further - done
            for link in sorted(links):
                shapes[re.sub(r"\d+", "0", link)] += 1
                if shapes[re.sub(r"\d+", "0", link)] <= MOST_OF_A_SHAPE:
                    todo.add(link)
        shapes.clear()
        wrong = []
        for path in sorted(done):
            shapes[re.sub(r"\d+", "0", path)] += 1
            if shapes[re.sub(r"\d+", "0", path)] <= 2:
                wrong.append(path)
        await asyncio.gather(*map(self._mistakes, wrong))

    @property
    def paths(self) -> set[str]:
        """The addresses that answered."""
        return {asked.partition(" ")[2].partition(" ")[0] for asked, status in self.visited.items() if status < 400}

    def _routes(self) -> dict[str, list[str]]:
        """Every address of the application's routes → the same with each choice of each part of its query."""
        app = self.client._transport.app  # type: ignore[attr-defined]
        document = app.openapi()
        operations = {path: item["get"] for path, item in document["paths"].items() if "get" in item}
        schemas = document["components"]["schemas"]
        plain: dict[str, Any] = {
            route.path: {} for route in app.routes if "GET" in (getattr(route, "methods", None) or ())
        }
        found = {}
        for path, operation in {**plain, **operations}.items():
            names = re.findall(r"\{(\w+)(?::\w+)?\}", path)
            queries = [one for one in operation.get("parameters", ()) if one["in"] == "query"]
            needed = [
                f"{one['name']}={quote(self._choices(one, schemas)[0])}" for one in queries if one.get("required")
            ]
            chosen = [
                "&".join(
                    [
                        *(part for part in needed if not part.startswith(f"{one['name']}=")),
                        f"{one['name']}={quote(value)}",
                    ]
                )
                for one in queries
                for value in self._choices(one, schemas)
            ]
            for values in itertools.product(*(self.known.get(name, ["1"]) for name in names)):
                filled = re.sub(r"\{\w+(?::\w+)?\}", "{}", path).format(*(quote(value, safe="") for value in values))
                found[filled] = [f"{filled}?{query}" for query in chosen]
        return found

    def _choices(self, parameter: Any, schemas: Any) -> list[str]:
        """What is tried for a part of a query."""
        name, schema = parameter["name"], parameter["schema"]
        options = [schema, *schema.get("anyOf", ())]
        references = [schemas.get(one.get("$ref", "").rpartition("/")[2], {}) for one in options]
        enums = [str(value) for one in (*options, *references) for value in one.get("enum", ())]
        return [*self.queries.get(name, ()), *enums][:MOST_CHOICES] or ["1"]

    async def _page(self, path: str) -> tuple[set[str], bool]:
        """Ask for an address as a browser and as a program; return where it leads, and whether it is open to everybody."""
        links: set[str] = set()
        for accept in ("text/html", "application/json"):
            answer = await self._asked("GET", path, {"Accept": accept})
            if answer.status_code == 401:
                return set(), False
            links |= set(self._links(path, answer))
        return links, True

    async def _mistakes(self, path: str) -> None:
        """Ask wrongly, or for what is not there: the answers are public too."""
        if "?" in path or self.visited.get(f"GET {path} Accept:text/html") == 401:
            return
        for method, asked, headers in (
            ("GET", path + "x", {"Accept": "text/html"}),
            ("GET", path, {"Accept": "image/png"}),
            ("GET", f"{path}?cursor=x&limit=0&month=x&page=-1", {"Accept": "text/html"}),
            ("GET", f"{path}?format=json", {}),
            ("GET", f"{path}?lang=en", {"Accept-Language": "en"}),
            ("GET", path, {"If-None-Match": "*"}),
            ("GET", path, {"Range": "bytes=0-1000000"}),
            ("HEAD", path, {}),
            ("OPTIONS", path, {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}),
            ("DELETE", path, {}),
        ):
            await self._asked(method, asked, headers)

    async def _asked(self, method: str, path: str, headers: Mapping[str, str]) -> httpx.Response:
        assert len(self.visited) < MOST, "the crawl goes in circles"
        said = " ".join((method, path, *(f"{name}:{value}" for name, value in headers.items())))
        async with self._gate:
            answer = await self.client.request(method, path, headers=dict(headers))
        self.visited[said] = answer.status_code
        assert answer.status_code < 500 or answer.status_code == 503, (said, answer.text[:300])
        if answer.content not in self._searched:  # many addresses give the same
            self._searched[answer.content] = self._search(_unpacked(answer))
        private, watched = map(set.union, self._search([str(answer.headers).encode()]), self._searched[answer.content])
        if private:
            self.found[said] = private
        for word in watched:
            self.holding.setdefault(word, set()).add(path.partition("?")[0])
        return answer

    def _search(self, shown: Iterable[bytes]) -> tuple[set[str], set[str]]:
        """What is private in these, and which words of `watched`."""
        shown = list(shown)
        private, watched = (
            {name for name, of_it in forms.items() if any(form in part for form in of_it for part in shown)}
            for forms in (self._forms, self._watched)
        )
        return private, watched

    def _links(self, path: str, answer: httpx.Response) -> Iterator[str]:
        """The addresses of this city that an answer names."""
        named = [answer.headers.get("location", ""), answer.headers.get("link", "")]
        kind = answer.headers.get("content-type", "")
        is_text = not any(part in kind for part in ("image/", "pdf", "octet-stream", "spreadsheet")) or "svg" in kind
        if is_text and "/docs" not in path and "openapi.json" not in path:
            named.append(answer.text)
        for text in named:
            for pattern in _LINKS:
                for link in pattern.findall(text):
                    whole = urlsplit(urljoin(f"http://city.test{path}", unescape(link)))
                    if whole.scheme in {"http", "https"} and whole.netloc in {"city.test", "127.0.0.1:8104", ""}:
                        query = f"?{whole.query}" if whole.query else ""
                        yield quote(unquote(whole.path), safe="/%") + query


def _forms(text: str) -> set[bytes]:
    """How a text may stand in an answer: as it is, in an address, in JSON, in a page, in other encodings."""
    written = {text, quote(text), quote(text).lower(), json.dumps(text)[1:-1]}
    written.add("".join(f"&#{ord(character)};" for character in text))
    return {form.encode() for form in written} | {text.encode("utf-16-be"), text.encode("gb18030")}


def _unpacked(answer: httpx.Response) -> Iterable[bytes]:
    """An answer's content, and what is packed inside it."""
    content = answer.content
    if content.startswith(b"%PDF") and answer.status_code == 200:
        return all_of(content)
    return [content]
