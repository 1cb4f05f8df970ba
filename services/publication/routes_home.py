"""The front page of the public site (R9.2)."""

from fastapi import APIRouter
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shared.web.templates import Pages

LASTS = {"Cache-Control": "public, max-age=15"}


def router(pages: Pages) -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter(prefix="/public", tags=["public"])

    @routes.get("", include_in_schema=False)
    async def bare() -> Response:
        return RedirectResponse("/public/")

    @routes.get("/", response_class=HTMLResponse, summary="The public site")
    async def home() -> Response:
        """Say in a few words what there is to see."""
        return pages.render("home.html", headers=LASTS)

    return routes
