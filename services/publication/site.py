"""Published letters: the list, which is also the search, and the page of each (R9.2).

No login, no original text, no citizen's data.

Each page is HTML, and JSON at the same address with `.json` (or with `?format=json`, or asked for with the header `Accept`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from cachetools import LRUCache, TTLCache
from fastapi import APIRouter, Header, Query, Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from services.publication.addresses import Addresses
from services.publication.answering import BY_ACCEPT, Accept, Format, wants_json
from services.publication.index import words_of
from services.publication.public_views import (
    FoundLine,
    LetterLine,
    LetterList,
    LetterPage,
    Names,
    WithdrawnPage,
)
from services.publication.questions import WRONG, Asking, Question
from services.publication.repository import PublicSite
from services.publication.search import Search
from services.publication.structured import in_script, question
from shared.directory import Directory
from shared.storage import StoreUnavailable
from shared.web.documented import also, or_page
from shared.web.etag import is_current
from shared.web.languages import LANGUAGES, Lang, Language, language_of
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem, ServiceUnavailable
from shared.web.templates import Pages

PAGE_SIZE = 20
KEPT_PAGES, KEPT_SECONDS = 256, 60.0
"""Pages that are kept as they were made: by what is in them, so never instead of asking whether a letter is public."""
_NUMBER = re.compile(r"[A-Z]{2,12}-[1-9][0-9]{3}-[1-9][0-9]{0,8}")
_LETTERS_LAST = {"Cache-Control": "no-cache"}
LASTS = _LETTERS_LAST

Cursor = Annotated[str | None, Query(description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=100)]
Tag = Annotated[str, Header(alias="If-None-Match")]


def _look() -> str:
    """Return a hash of the templates: a page changes with them too."""
    here = Path(__file__).parent / "pages"
    shared = Path(__file__).parents[2] / "shared" / "web"
    files = sorted([*here.iterdir(), *(shared / "templates").iterdir(), *(shared / "static").iterdir()])
    return sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()


@dataclass(frozen=True, slots=True)
class Options:
    """What the lists of filters offer."""

    texts: Mapping[str, str]
    """Filter → its options."""
    hash: str
    """Of all of them."""

    def chosen(self, asked: Mapping[str, str]) -> dict[str, Markup]:
        """Return filter → its options, with what is asked chosen."""
        return {name: _chosen(text, asked[name]) for name, text in self.texts.items()}


@dataclass
class Letters:
    """What the endpoints answer with."""

    site: PublicSite
    search: Search
    directory: Directory
    pages: Pages
    addresses: Addresses
    names: Names = field(init=False)
    look: str = field(default_factory=_look)
    _options: "LRUCache[tuple[int, int, str], Options]" = field(default_factory=lambda: LRUCache(2 * len(LANGUAGES)))
    _made: "TTLCache[tuple[str, ...], str]" = field(default_factory=lambda: TTLCache(KEPT_PAGES, KEPT_SECONDS))

    def __post_init__(self) -> None:
        """Prepare names."""
        self.names = Names(self.directory)

    async def found(self, asking: Question, cursor: str | None, limit: int) -> LetterList:
        """Return a page of the list, or of what is searched for."""
        asked = asking.asked(self.directory)
        if asked.is_all:
            after = decode_cursor(cursor, str)
            page = await self.site.page(after[0] if after else None, limit)
            following = encode_cursor(page.next) if page.next else None
            lines: list[FoundLine | LetterLine] = [self.names.line(head) for head in page.letters]
            return LetterList.model_construct(items=lines, next=following)
        found = await self.search.find(asked, cursor, limit)
        words = words_of(asked.words)
        items: list[FoundLine | LetterLine] = [self.names.found(letter, words) for letter in found.letters]
        return LetterList.model_construct(items=items, next=found.next, total=found.total, more=found.more)

    async def letter(self, number: str) -> LetterPage:
        """Return a letter's page.

        Raises:
            Problem: 410 if it was withdrawn, 404 if there is none.
        """
        asked = number.upper()
        is_number = _NUMBER.fullmatch(asked) is not None
        found = await self.site.letter(asked) if is_number else None
        if found is not None:
            return self.names.page(found)
        gone = await self.site.withdrawn(asked) if is_number else None
        if gone is not None:
            page = self.names.withdrawn(gone)
            raise Problem(
                410,
                "这封来信已撤回公开 / This letter was withdrawn",
                f"{page.number_text}曾经公开，已撤回，理由：{page.ground_name}。 / "
                f"{page.number} was public and has been withdrawn; ground: {gone.ground.value}.",
                slug="withdrawn",
                rule="R9.1",
                headers=_LETTERS_LAST,
                withdrawn=page.model_dump(mode="json"),
            )
        raise Problem(
            404,
            "没有这封公开信件 / No such published letter",
            "这个编号没有公开的信件：可能编号有误，或来信尚未办结、尚未批准公开、不予公开。 / No letter is published under this "
            "number. Numbers look like YFX-2026-17; the list of all published letters is at /public/letters.",
            slug="not-published",
            rule="R9.1",
        )

    async def options(self, language: Language) -> Options:
        """Return what the lists of filters offer now; nothing while the index is made."""
        counts = await self.search.known_counts()
        key = (self.search.version if counts else -1, self.directory.version, language)
        made = self._options.get(key)
        if made is None:
            texts = {
                name: self.pages.text("options.html", language=language, choices=choices)
                for name, choices in self.names.choices(counts).items()
            }
            made = self._options[key] = Options(texts, sha256(chr(0).join(texts.values()).encode()).hexdigest())
        return made

    def tagged(self, language: Language, *parts: str) -> str:
        """Return the entity tag of a page made of these parts."""
        return f'W/"{sha256(chr(0).join((self.look, language, *parts)).encode()).hexdigest()[:24]}"'

    def render(self, request: Request, template: str, tag: str, language: Language, **values: Any) -> Response:
        """Answer with a page; one with the same tag, which stands for all that is in it, is not made twice within a minute."""
        headers = {**_LETTERS_LAST, **BY_ACCEPT, "ETag": tag}
        if is_current(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        key = (tag, request.url.path, request.url.query)  # a page may name its own address
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self.pages.text(template, language=language, **values)
        return HTMLResponse(made, 200, headers)

    def problem(self, problem: Problem, language: Language) -> Response:
        """Answer somebody who asked for a page."""
        gone = problem.more.get("withdrawn")
        template = "withdrawn.html" if gone else "problem.html"
        values: dict[str, Any] = (
            {"withdrawn": WithdrawnPage.model_validate(gone)}
            if gone
            else {"problem": problem, "both_languages": " / " in problem.detail}
        )
        return self.pages.render(template, language=language, status=problem.status, headers=problem.headers, **values)


def router(letters: Letters) -> APIRouter:
    """Return the public endpoints."""
    routes = APIRouter(prefix="/public", tags=["public"])

    async def list_page(request: Request, asking: Question, cursor: str | None, language: Language) -> Response:
        content, problem = LetterList(items=[], next=None), None
        try:
            content = await letters.found(asking, cursor, PAGE_SIZE)
        except StoreUnavailable:
            return letters.problem(ServiceUnavailable("the document store"), language)
        except Problem as error:
            if error.slug != WRONG:
                return letters.problem(error, language)
            problem = error
        options = await letters.options(language)
        values: dict[str, Any] = {
            "content": content,
            "asked": asking.values,
            "given": urlencode(asking.given),
            "options": options.chosen(asking.values),
            "errors": {error.field.removeprefix("query:"): error for error in problem.errors} if problem else {},
            "is_first": cursor is None,
            "whole": letters.addresses.canonical,
        }
        if problem is not None:
            return letters.pages.render("letters.html", language=language, status=problem.status, **values)
        parts = (urlencode(asking.given), content.model_dump_json(), str(cursor is None), options.hash)
        made = letters.tagged(language, *parts)
        return letters.render(request, "letters.html", made, language, **values)

    @routes.get(
        "/letters.json", response_model=LetterList, summary="Published letters: all, or what is searched for (R9.2)"
    )
    async def letters_json(asking: Asking, cursor: Cursor = None, limit: Limit = PAGE_SIZE, tag: Tag = "") -> Response:
        """List published letters, newest first; with words, the best first."""
        content = await letters.found(asking, cursor, limit)
        return _json(content.model_dump_json(), tag)

    @routes.get(
        "/letters",
        response_model=LetterList,
        responses=or_page(),
        summary="Published letters as a page, with search (R9.2)",
    )
    async def letters_page(
        request: Request,
        asking: Asking,
        accept: Accept = "",
        wanted: Format = "",
        cursor: Cursor = None,
        lang: Lang = "",
        tag: Tag = "",
    ) -> Response:
        """List published letters, newest first; with words, the best first."""
        if wants_json(accept, wanted):
            content = await letters.found(asking, cursor, PAGE_SIZE)
            return _json(content.model_dump_json(), tag, BY_ACCEPT)
        return await list_page(request, asking, cursor, language_of(lang))

    @routes.get(
        "/letters/{number}.json", response_model=LetterPage, responses=also(410), summary="One published letter (R9.2)"
    )
    async def letter_json(number: str, tag: Tag = "") -> Response:
        """Show the approved text; 410 if it was withdrawn."""
        return _json((await letters.letter(number)).model_dump_json(), tag)

    @routes.get(
        "/letters/{number}",
        response_model=LetterPage,
        responses=or_page() | also(410),
        summary="One published letter as a page (R9.2)",
    )
    async def letter(
        request: Request, number: str, accept: Accept = "", wanted: Format = "", lang: Lang = "", tag: Tag = ""
    ) -> Response:
        """Show the approved text; 410 if it was withdrawn."""
        language = language_of(lang)
        if wants_json(accept, wanted):
            return _json((await letters.letter(number)).model_dump_json(), tag, BY_ACCEPT)
        try:
            content = await letters.letter(number)
        except StoreUnavailable:
            return letters.problem(ServiceUnavailable("the document store"), language)
        except Problem as error:
            return letters.problem(error, language)
        made = letters.tagged(language, content.model_dump_json())
        whole = letters.addresses.canonical
        structured = in_script(question(content, whole))
        return letters.render(
            request, "letter.html", made, language, content=content, whole=whole, structured=structured
        )

    return routes


def _chosen(options: str, value: str) -> Markup:
    """Return options with the one of this value chosen."""
    mark = f'value="{escape(value)}"'
    return Markup(options.replace(mark, f"{mark} selected", 1) if value else options)  # noqa: S704 - a template's text


def _json(text: str, tag: str, more: Mapping[str, str] | None = None) -> Response:
    made = f'"{sha256(text.encode()).hexdigest()[:24]}"'
    headers = {**_LETTERS_LAST, **(more or {}), "ETag": made}
    if is_current(tag, made):
        return Response(status_code=304, headers=headers)
    return Response(text, 200, headers, "application/json")
