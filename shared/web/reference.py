"""`/docs`: the HTTP interface to read and to try. Everything the page needs comes from here, so it works in closed networks."""

from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path

import fastapi_offline
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

VIEWER = Path(fastapi_offline.__file__).parent / "static"
"""The folder of Swagger UI, which is served as `/docs/viewer`."""
_PAGE = """<!DOCTYPE html>
<html lang="zh-Hans">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/docs/viewer/swagger-ui.css">
<script defer src="/docs/viewer/swagger-ui-bundle.js"></script>
<script defer src="/static/reference.js"></script>
</head>
<body>
<div id="swagger-ui"></div>
</body>
</html>
"""


def reference_page(title: str) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers `/docs`; the files of the viewer are in `VIEWER`, `/openapi.json` is the application's own."""
    page = _PAGE.format(title=escape(f"{title} · 接口 API"))

    async def docs(_: Request) -> Response:
        return HTMLResponse(page)

    return docs
