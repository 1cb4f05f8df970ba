"""The Atom feed of published letters (R9.2)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from services.publication.addresses import Addresses, kept
from services.publication.feed import (
    NEWEST,
    atom,
)
from services.publication.questions import Asking, Question
from services.publication.repository import PublicLetter
from services.publication.site import Letters, Tag
from shared.search import LATE
from shared.web.documented import file_of
from shared.web.etag import is_current
from shared.web.problems import Problem

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

Since = Annotated[str, Header(alias="If-Modified-Since")]


def router(letters: Letters, addresses: Addresses, lasts: Mapping[str, str]) -> APIRouter:
    """Return the endpoints; `lasts` says how long an answer may be kept."""
    routes = APIRouter(tags=["public"])

    async def newest(asking: Question) -> list[PublicLetter]:
        asked = asking.asked(letters.directory)
        if asked.words:
            raise Problem(
                422,
                "订阅不能带检索词 / A feed has no words",
                "订阅可以按性质、领域、地区、单位和月份筛选，不能带检索词 q。 / A feed may be filtered by nature, domain, region, "
                "unit and month, not by words: leave out q.",
                slug="bad-search",
                rule="R9.2",
            )
        if asked.is_all:
            return (await letters.site.between("", "~", NEWEST))[0]
        return (await letters.search.find(asked, None, NEWEST)).letters

    @routes.get(
        "/public/feed.atom",
        response_class=Response,
        responses=file_of("application/atom+xml; charset=utf-8"),
        summary="The newest published letters as Atom feed (R9.2)",
    )
    async def feed(request: Request, asking: Asking, tag: Tag = "", since: Since = "") -> Response:
        """Send the newest 50, of all or of what the filters name; what was withdrawn is in it no more."""
        base = addresses.of(request)
        changed = await letters.site.last_change()
        found = await newest(asking)
        query = urlencode(asking.given)
        here = f"/public/feed.atom{'?' + query if query else ''}"
        title = "公开信件" if not query else "公开信件（" + "、".join(_shown(letters, asking)) + "）"
        shown = [letters.names.page(letter) for letter in found]
        updated = max((letter.published_at for letter in found), default=_BEGINNING)
        text = atom(shown, base, here, title, "/public/letters" + ("?" + query if query else ""), updated)
        made = f'"{sha256(text.encode()).hexdigest()[:24]}"'
        headers = {**kept(base, lasts), "ETag": made}
        # A change may appear a little after later ones: only a time that is long enough ago proves that nothing came since.
        changed = changed if changed is not None and datetime.now(UTC) - changed > LATE else None
        if changed is not None:
            headers["Last-Modified"] = format_datetime(changed.replace(microsecond=0), usegmt=True)
        if is_current(tag, made) or (not tag and _unmodified(since, changed)):
            return Response(status_code=304, headers=headers)
        return Response(text, 200, headers, "application/atom+xml; charset=utf-8")

    return routes


def _shown(letters: Letters, asking: Question) -> list[str]:
    asked, names = asking.asked(letters.directory), letters.names
    shown = [asked.published, asked.month, asked.nature and asked.nature.label]
    shown += [
        names.domain(asked.domain) if asked.domain else None,
        names.region(asked.region) if asked.region else None,
    ]
    shown.append(names.unit(asked.unit) if asked.unit else None)
    return [one for one in shown if one]


def _unmodified(since: str, changed: datetime | None) -> bool:
    """Whether nothing public changed since a time that a client saw in `Last-Modified`."""
    if not since or changed is None:
        return False
    try:
        seen = parsedate_to_datetime(since)
    except (ValueError, OverflowError):
        return False
    if seen.tzinfo is None:
        return False
    return seen >= changed.replace(microsecond=0)
