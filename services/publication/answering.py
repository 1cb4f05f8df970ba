"""How the public site answers: the same content as JSON or as a page. Problems become pages by themselves for whoever asked for one."""

from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

from fastapi import Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from shared.web.languages import Language
from shared.web.templates import Pages

BY_ACCEPT = {"Vary": "Accept"}

Accept = Annotated[str, Header(include_in_schema=False)]
Format = Annotated[str, Query(alias="format", description="`json`: answer with JSON instead of a page.")]


async def answer(
    pages: Pages,
    content: Awaitable[BaseModel],
    template: str,
    lasts: Mapping[str, str],
    *,
    as_json: bool,
    language: Language = "zh",
    **values: Any,
) -> Response:
    """Answer with JSON or with a page; `lasts` says how long it may be kept."""
    if as_json:
        return Response((await content).model_dump_json(), 200, {**lasts}, "application/json")
    return pages.render(template, language=language, headers=lasts, content=await content, **values)


def wants_json(accept: str, wanted: str) -> bool:
    """Whether JSON was asked for: by `?format=json`, or by a header that takes JSON and no page."""
    return wanted == "json" or ("application/json" in accept and "text/html" not in accept)
