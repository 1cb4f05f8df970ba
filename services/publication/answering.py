"""How the public site answers: the same content as JSON or as a page, and a problem as a page to those who asked for one."""

from collections.abc import Awaitable, Mapping
from typing import Annotated, Any

from fastapi import Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from shared.storage import StoreUnavailable
from shared.web.problems import Problem, ServiceUnavailable
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
    **values: Any,
) -> Response:
    """Answer with JSON or with a page; those who asked for a page get their problem as a page too."""
    if as_json:
        return Response((await content).model_dump_json(), 200, {**lasts}, "application/json")
    problem: Problem
    try:
        return pages.render(template, headers=lasts, content=await content, **values)
    except StoreUnavailable:
        problem = ServiceUnavailable("the document store")
    except Problem as error:
        problem = error
    return pages.render("problem.html", status=problem.status, headers=problem.headers, problem=problem)


def wants_json(accept: str, wanted: str) -> bool:
    """Whether JSON was asked for: by `?format=json`, or by a header that takes JSON and no page."""
    return wanted == "json" or ("application/json" in accept and "text/html" not in accept)
