"""Browsers get problems as pages in the reader's language, programs as JSON; answers over HTTPS ask for HTTPS."""

from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, Query

from shared.web.app import create_app
from shared.web.languages import switched
from shared.web.problems import Problem, ServiceUnavailable
from shared.web.templates import Pages

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def _routes() -> APIRouter:
    router = APIRouter(prefix="/public")

    @router.get("/status/{status}")
    async def failing(status: int) -> None:
        if status == 500:
            raise RuntimeError("张三 13800000000")
        if status == 503:
            raise ServiceUnavailable("the document store")
        raise Problem(
            status, "已撤下 / Withdrawn", "2026年3月2日撤下。 / Withdrawn on 2 March.", headers={"Retry-After": "3"}
        )

    @router.get("/field")
    async def field(limit: int = Query(ge=1)) -> None:
        """Takes a number."""

    @router.post("/posted")
    async def posted(body: dict[str, str]) -> None:
        """Takes a body."""

    return router


def _client(**more: bool) -> httpx.AsyncClient:
    @asynccontextmanager
    async def lifespan(_):
        yield

    async def readiness():
        return {}

    app = create_app(
        "Test",
        [_routes()],
        lifespan=lifespan,
        services=["publication"],
        readiness=readiness,
        body_limit=100,
        pages=Pages(city=lambda: "重庆市"),
        https=more.get("https", False),
        behind_proxy=more.get("behind_proxy", False),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


PROBLEMS = [
    ("GET", "/public/nothing", 404, "没有找到这个页面", "Page not found"),
    ("POST", "/public/field", 405, "不能这样访问这个地址", "cannot be opened like this"),
    ("GET", "/public/status/410", 410, "2026年3月2日撤下。", "Withdrawn on 2 March."),
    ("POST", "/public/posted", 413, "提交的内容过大", "too large"),
    ("GET", "/public/field?limit=0", 422, "不能小于 1", "It must be at least 1"),
    ("GET", "/public/status/429", 429, "操作过于频繁", "Too many requests"),
    ("GET", "/public/status/500", 500, "系统出错", "Something went wrong"),
    ("GET", "/public/status/503", 503, "暂时无法使用", "Not available at the moment"),
]


@pytest.mark.parametrize(("method", "path", "status", "chinese", "english"), PROBLEMS)
async def test_a_browser_gets_a_page_and_a_program_the_problem(method, path, status, chinese, english):
    body = b"x" * 200 if status == 413 else None
    async with _client() as client:
        page = await client.request(method, path, headers=BROWSER, content=body)
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert chinese in page.text
        assert '<html lang="zh-CN"' in page.text
        assert "content-security-policy" in page.headers
        assert "张三" not in page.text
        other = await client.request(
            method, f"{path}{'&' if '?' in path else '?'}lang=en", headers=BROWSER, content=body
        )
        assert other.status_code == status
        assert english in other.text
        assert '<html lang="en"' in other.text
        for accept in ({}, {"Accept": "application/json"}, {"Accept": "application/json, text/html"}):
            plain = await client.request(method, path, headers=accept, content=body)
            assert (plain.status_code, plain.headers["content-type"]) == (status, "application/problem+json")
            assert plain.json()["status"] == status
        if status == 503:
            assert page.headers["retry-after"] == "5"


async def test_a_problem_page_repeats_nothing_of_the_address_that_was_asked_for():
    async with _client() as client:
        page = (await client.get("/public/nothing-丙寅?q=丙寅&lang=en", headers=BROWSER)).text
        assert "丙寅" not in page
        assert "%E4%B8%99" not in page
        assert 'href="/public/" lang="zh-CN"' in page


@pytest.mark.parametrize(
    ("path", "query", "other"),
    [
        ("/public/letters", "q=%E8%B7%AF&lang=zh&page=2", "/public/letters?q=%E8%B7%AF&page=2&lang=en"),
        ("/public/letters", 'q=a">b', "/public/letters?q=a%22%3Eb&lang=en"),
        ("//evil.example/x", "", "/evil.example/x?lang=en"),
    ],
)
def test_the_language_switch_leads_to_the_same_page_and_to_no_other_site(path, query, other):
    assert switched(path, query, "en") == other


async def test_https_is_kept_where_browsers_came_by_it_and_only_there():
    async def headers(client: httpx.AsyncClient, url: str, **sent: str) -> httpx.Headers:
        return (await client.get(url, headers=BROWSER | sent)).headers

    async with _client() as client:
        plain = await headers(client, "/public/nothing", **{"X-Forwarded-Proto": "https"})
        assert "strict-transport-security" not in plain, "nobody of ours says so"
        assert "upgrade-insecure-requests" not in plain["content-security-policy"]
        assert plain["cross-origin-opener-policy"] == "same-origin"
        assert "geolocation=()" in plain["permissions-policy"]
        direct = await headers(client, "https://test/public/nothing")
        assert direct["strict-transport-security"].startswith("max-age=31536000")
    async with _client(behind_proxy=True) as client:
        proxied = await headers(client, "/public/nothing", **{"X-Forwarded-Proto": "https"})
        assert "strict-transport-security" in proxied
        assert proxied["content-security-policy"].endswith("upgrade-insecure-requests")
        assert "strict-transport-security" not in await headers(client, "/public/nothing")
    async with _client(https=True) as client:
        assert "strict-transport-security" in await headers(client, "/public/nothing")
        assert "strict-transport-security" in (await client.get("/health/live")).headers
