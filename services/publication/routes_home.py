"""The front page of the public site and the page that says how letters are dealt with (R9.2, R2.3)."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.publication.repository import PublicSite
from shared.directory import Directory
from shared.storage import StoreUnavailable
from shared.web.languages import Lang, language_of
from shared.web.templates import Pages

LASTS = {"Cache-Control": "no-cache"}
"""It shows letters, and one that is withdrawn is gone at once."""
RULES_LAST = {"Cache-Control": "public, max-age=300"}
NEWEST = 5


@dataclass(frozen=True, slots=True)
class Promises:
    """What the city promises, from the settings that its services run with."""

    reply_days: int
    """Working days (R6.1)."""
    disposition_days: int
    """Working days (R1.4)."""
    urge_days: int
    """Working days between two urgings (R7.1)."""
    opening: str
    closing: str
    attachment_megabytes: int
    erased_after_days: int
    """Calendar days after which the text of a letter that was not accepted is erased (R3.7)."""


def router(site: PublicSite, directory: Directory, pages: Pages, promises: Promises) -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter(prefix="/public", tags=["public"])

    @routes.get("", include_in_schema=False)
    async def bare() -> Response:
        return RedirectResponse("/public/")

    @routes.get("/", response_class=HTMLResponse, summary="The public site")
    async def home(lang: Lang = "") -> Response:
        """Say what this is and where to write; the newest answers, where the store can be reached."""
        newest: list[dict[str, Any]] | None = None
        late = None
        try:
            newest = [
                dict(head) | {"unit": unit_name(head.mailbox), "address": f"/public/letters/{head.number}"}
                for head in (await site.page(None, NEWEST)).letters
            ]
            late = await site.on_board()
        except StoreUnavailable:
            newest = None  # letters are taken all the same, and this page leads to them
        return pages.render(
            "home.html",
            language=language_of(lang),
            headers=LASTS,
            newest=newest,
            late=late,
            reply_days=promises.reply_days,
        )

    def unit_name(mailbox: str) -> str:
        return directory.get(mailbox).name if mailbox in directory else mailbox

    @routes.get("/how", response_class=HTMLResponse, summary="How letters are dealt with (R2.3)")
    async def how(lang: Lang = "") -> Response:
        """Say the rules in plain words, with the limits that the services really keep."""
        return pages.render(
            "how.html", language=language_of(lang), headers=RULES_LAST, promises=promises, mayor=directory.mayor
        )

    return routes
