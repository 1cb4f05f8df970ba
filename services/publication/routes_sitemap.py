"""What search engines follow: the sitemap, and what robots may read (R9.2)."""

import re
from asyncio import gather
from collections.abc import AsyncIterator, Mapping
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from services.publication.addresses import Addresses, kept
from services.publication.feed import SITEMAP_BEGIN, SITEMAP_END, URLS, sitemap_index, sitemap_urls
from services.publication.open_data import bounds
from services.publication.questions import MONTH
from services.publication.site import Letters
from shared.storage import place
from shared.web.documented import file_of
from shared.web.problems import Problem

BATCH = 2_000
"""Addresses read at a time."""
_PART: Final = re.compile(r"[1-9][0-9]?|100")
XML: Final = file_of("application/xml; charset=utf-8")


def router(letters: Letters, addresses: Addresses, lasts: Mapping[str, str]) -> APIRouter:
    """Return the endpoints; `lasts` says how long an answer may be kept."""
    routes = APIRouter(tags=["public"])

    @routes.get("/public/sitemap.xml", response_class=Response, responses=XML, summary="The sitemap's index (R9.2)")
    async def sitemap(request: Request) -> Response:
        """List the sitemap's parts: one for each month of publication, two and more where a month has over 50,000 letters."""
        base = addresses.of(request)
        months = sorted((await letters.search.counts()).get("published", {}).items())
        newest = await gather(*(letters.site.marks(*_places(month), 1) for month, _ in months))
        parts = [
            (base.whole(f"/public/sitemap-{month}-{part + 1}.xml"), mark[0][1] if mark else None)
            for (month, count), mark in zip(months, newest, strict=True)
            for part in range(-(-count // URLS))
        ]
        return Response(sitemap_index(parts), 200, {**kept(base, lasts)}, "application/xml; charset=utf-8")

    @routes.get(
        "/public/sitemap-{month}-{part}.xml",  # in a folder of its own it could not list letters (sitemaps.org)
        response_class=Response,
        responses=XML,
        summary="A part of the sitemap (R9.2)",
    )
    async def sitemap_part(request: Request, month: str, part: str) -> Response:
        """Send the addresses of the letters published in a month, newest first."""
        if not MONTH.fullmatch(month) or not _PART.fullmatch(part):
            raise Problem(
                404,
                "站点地图没有这一部分 / No such part of the sitemap",
                "各部分的地址见 /public/sitemap.xml。 / The parts are listed at /public/sitemap.xml.",
                slug="no-such-part",
                rule="R9.2",
            )
        base = addresses.of(request)
        since, before = _places(month)
        passed = (int(part) - 1) * URLS
        first = await letters.site.marks(since, before, min(BATCH, URLS))

        async def lines() -> AsyncIterator[str]:
            yield SITEMAP_BEGIN
            found, seen = first, 0
            while found and seen < passed + URLS:
                wanted = found[max(0, passed - seen) : passed + URLS - seen]
                yield "".join(sitemap_urls(((mark[0], mark[1]) for mark in wanted), base))
                seen += len(found)
                if len(found) < BATCH:
                    break
                found = await letters.site.marks(since, found[-1][2], BATCH)
            yield SITEMAP_END

        return StreamingResponse(lines(), headers=dict(kept(base, lasts)), media_type="application/xml; charset=utf-8")

    @routes.get("/public/robots.txt", response_class=PlainTextResponse, summary="What robots may read (R9.2)")
    @routes.get("/robots.txt", response_class=PlainTextResponse, summary="What robots may read (R9.2)")
    async def robots(request: Request) -> Response:
        """Let search engines read published letters, but not every question that can be asked of them."""
        base = addresses.of(request)
        # The longest rule counts, or the first: the older pages of the list and it in English are read, with filters it is not.
        lines = ["User-agent: *", "Allow: /public/letters?cursor=", "Allow: /public/letters?lang="]
        lines += ["Disallow: /public/letters?", "Disallow: /public/letters.json", "Allow: /public/"]
        lines += [f"Disallow: /{name}/" for name in ("intake", "routing", "deadline", "publication", "reporting")]
        lines += ["", f"Sitemap: {base.whole('/public/sitemap.xml')}"] if base.url else []
        return PlainTextResponse("\n".join(lines) + "\n", headers=dict(kept(base, lasts)))

    return routes


def _places(month: str) -> tuple[str, str]:
    since, before = bounds(month)
    return place(since, ""), place(before, "")
