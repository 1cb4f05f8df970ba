"""One address for five services: each path goes to whom it belongs, and nothing is lost on the way."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.demo.city import addresses
from deploy.front import front, service_of
from services import NAMES

URLS = addresses(8101)


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "port": int(request.headers["x-port"]),
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "body": (await request.body()).decode(),
            "forwarded": request.headers.get("x-forwarded-for"),
            "connection": request.headers.get("te"),
        },
        headers={"Set-Cookie": "a=1; Path=/", "ETag": '"3"'},
    )


class Echoes(httpx.AsyncBaseTransport):
    """Every service answers with what it got; deadline is away."""

    def __init__(self) -> None:
        app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
        self._inner = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.port == 8103:
            raise httpx.ConnectError("nobody there")
        request.headers["x-port"] = str(request.url.port)
        return await self._inner.handle_async_request(request)


@pytest.fixture
async def client():
    app = front(URLS, Echoes())
    async with app.router.lifespan_context(app):
        yield httpx.AsyncClient(
            transport=httpx.ASGITransport(app, client=("203.0.113.7", 4321)), base_url="http://city.test"
        )


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/intake/letters", "intake"),
        ("/write", "intake"),
        ("/follow/x", "intake"),
        ("/auth/login", "routing"),
        ("/routing/mailboxes/mayor/letters", "routing"),
        ("/public/letters", "publication"),
        ("/robots.txt", "publication"),
        ("/static/xinxiang.css", "publication"),
        ("/nothing/here", "publication"),
        ("/statistics", "reporting"),
        ("/reporting/weeks", "reporting"),
    ],
)
async def test_each_path_goes_to_its_service(client, path, service):
    assert service_of(path) == service
    answer = (await client.get(path)).json()
    assert answer["port"] == 8101 + NAMES.index(service)
    assert answer["path"] == path


async def test_query_body_and_headers_arrive_as_they_were_sent_and_the_senders_address_with_them(client):
    answer = await client.post(
        "/intake/letters/%E6%B8%9D?a=1&a=%2F",
        content="来信",
        headers={"X-Forwarded-For": "198.51.100.1", "TE": "trailers"},
    )
    got = answer.json()
    assert (got["path"], got["query"], got["body"]) == ("/intake/letters/%E6%B8%9D", "a=1&a=%2F", "来信")
    assert got["forwarded"] == "198.51.100.1, 203.0.113.7"
    assert got["connection"] is None, "headers of one connection stay on it"
    assert answer.headers["etag"] == '"3"'
    assert answer.headers["set-cookie"] == "a=1; Path=/"


async def test_the_bare_address_leads_to_the_home_page_and_a_service_that_is_away_is_named(client):
    assert (await client.get("/")).headers["location"] == "/public/"
    away = await client.get("/deadline/mailboxes")
    assert away.status_code == 503
    assert away.headers["content-type"].startswith("application/problem+json")
    assert "deadline" in away.json()["detail"]
    assert int(away.headers["retry-after"]) > 0
