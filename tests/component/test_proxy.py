"""The reverse proxy of compose (`deploy/proxy/nginx.conf`) in a real nginx: who is asked, who is told apart, who is put off."""

import asyncio
import os
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.engines.places import CHECKOUT
from deploy.engines.ports import free
from deploy.engines.processes import Process
from deploy.front import service_of
from deploy.tools import program
from shared.web.app import BODY_LIMIT
from tests.browser import origin
from tests.conftest import eventually

CONFIG = CHECKOUT / "deploy" / "proxy" / "nginx.conf"
AT_ONCE, BURST, UPLOADS = 64, 200, 4
"""Connections of one caller, requests that it may make without a pause, and large bodies at once, as the configuration has them."""
GREEDY, NEIGHBOUR = {"X-Forwarded-For": "203.0.113.1"}, {"X-Forwarded-For": "203.0.113.2"}


@dataclass
class Proxy:
    """A running nginx before services that say what they got."""

    client: httpx.AsyncClient
    log: Path
    held: asyncio.Event
    """Until it is set, who asks for `/public/held` waits."""


@asynccontextmanager
async def proxy_in(folder: Path, *changes: tuple[str, str]) -> AsyncIterator[Proxy]:
    """The configuration as it is shipped, but for its ports and folders, where its services are, and `changes`."""
    held = asyncio.Event()

    async def echo(request: Request) -> JSONResponse:
        await request.body()
        if request.url.path == "/public/held":
            await held.wait()
        names = ("x-service", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "host")
        return JSONResponse({name: request.headers.get(name) for name in names})

    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    (port,) = free(1)
    services = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://services.test")
    async with services, origin(services) as base:
        text = CONFIG.read_text(encoding="utf-8")
        for old, new in (
            ("listen 8080;", f"listen 127.0.0.1:{port};"),
            (" /tmp/", f" {folder}/"),
            ("proxy_pass http://$service:8080;", f"proxy_pass {base};"),
            ("proxy_http_version 1.1;", "proxy_http_version 1.1; proxy_set_header X-Service $service;"),
            *changes,
        ):
            assert old in text, old
            text = text.replace(old, new)
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        process = Process("nginx", folder)
        alone = "daemon off;" + (" user root root;" if os.geteuid() == 0 else "")
        command = f"{program('nginx')} -p {folder} -e stderr -c {folder / 'nginx.conf'} -g".split()
        process.start([*command, alone], cwd=folder, env=os.environ)
        try:
            process.wait_ready(lambda: _answers(port), 20)
            limits = httpx.Limits(max_connections=150, max_keepalive_connections=150)
            address = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60, trust_env=False) as client:
                yield Proxy(client, process.log, held)
        finally:
            held.set()
            process.stop()


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


async def begin(proxy: Proxy, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send the beginning of a request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.client.base_url.port)
    writer.write(sent)
    return reader, writer


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with proxy_in(tmp_path) as running:
        yield running


async def seen(proxy: Proxy, path: str, **headers: str) -> Any:
    answer = await proxy.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_path_goes_to_whom_the_demonstrations_front_sends_it_and_what_is_for_the_inside_to_nobody(
    proxy: Proxy,
) -> None:
    for path in (
        *("/intake/letters", "/write", "/write/check", "/follow", "/routing/letters/1", "/auth/login", "/deadline/x"),
        *("/reporting/issues", "/statistics", "/statistics.csv", "/bulletins", "/bulletins/1", "/public/letters"),
        *("/writer", "/static/x.css", "/sitemap.xml", "/publication/cases/1"),
    ):
        assert (await seen(proxy, path))["x-service"] == service_of(path), path
    for path in ("/metrics", "/health/ready", "/docs", "/openapi.json"):
        assert (await proxy.client.get(path)).status_code == 404, path
    home = await proxy.client.get("/")
    assert (home.status_code, home.headers["location"]) == (302, "/public/"), "its own port leads nowhere from outside"


async def test_a_caller_passed_on_from_the_inside_is_known_by_its_own_address_and_never_written_down(
    proxy: Proxy,
) -> None:
    told = await seen(
        proxy, "/public/letters?q=secret", X_Forwarded_For="198.51.100.9, 203.0.113.7", X_Forwarded_Proto="https"
    )
    assert told["x-forwarded-for"].split(", ")[-1] == "203.0.113.7"
    assert told["x-forwarded-proto"] == "https"
    assert (await seen(proxy, "/public/", X_Forwarded_Host="evil.example"))["x-forwarded-host"] is None
    assert (await seen(proxy, "/public/"))["x-forwarded-proto"] == "http"

    async def written() -> str:
        log = proxy.log.read_text()
        return log if log.count(" 200 GET ") == 3 else ""

    log = await eventually(written)  # after the answer
    assert "203.0.113.7" not in log
    assert "secret" not in log


async def test_what_a_caller_from_outside_says_of_itself_is_not_believed(tmp_path: Path) -> None:
    outside = (("set_real_ip_from 127.0.0.0/8;", ""), ("127.0.0.0/8 1;", ""))
    async with proxy_in(tmp_path, *outside) as proxy:
        told = await seen(proxy, "/public/", X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https")
    assert told["x-forwarded-for"].split(", ")[-1] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "http"


async def test_flood_of_one_address_is_told_when_to_come_back_and_its_neighbour_is_served(proxy: Proxy) -> None:
    asked = b"GET /public/ HTTP/1.1\r\nHost: city.test\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n"

    async def asks(times: int) -> bytes:
        last = asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        reader, writer = await begin(proxy, asked * (times - 1) + last)
        answers = await reader.read(-1)
        writer.close()
        return answers

    greedy = asyncio.gather(*(asks(100) for _ in range(20)))
    while not greedy.done():
        assert (await proxy.client.get("/public/", headers=NEIGHBOUR)).status_code == 200
        await asyncio.sleep(0.1)
    counted = Counter(re.findall(rb"HTTP/1\.1 (\d+)", b"".join(await greedy)))
    assert set(counted) == {b"200", b"429"}
    assert counted[b"200"] >= BURST
    assert counted.total() == 2_000
    refused = b"".join(greedy.result()).partition(b"HTTP/1.1 429")[2]
    assert b"\r\nRetry-After: 10\r\n" in refused
    assert b"\r\nContent-Type: application/problem+json\r\n" in refused
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in refused


@pytest.mark.parametrize(
    ("greedy", "too", "others"),
    [
        ("203.0.113.1", "::ffff:203.0.113.1", ["203.0.113.2", "::ffff:203.0.113.2", "::203.0.113.1"]),
        ("2001:db8:0:1::{:x}", "2001:DB8:0:1:8000::", ["2001:db8:0:2::1", "2001:db8::1", "2001:db8:1::1"]),
        ("2001:db8::{:x}:0:0:1", "2001:db8::a0a", ["2001:db8:0:1::1", "2001:db8:0:a::1"]),
    ],
    ids=["IPv4", "IPv6", "IPv6 with zeros"],
)
async def test_flood_of_connections_of_one_address_or_household_leaves_room_for_others(
    proxy: Proxy, greedy: str, too: str, others: list[str]
) -> None:
    asked = [
        asyncio.create_task(proxy.client.get("/public/held", headers={"X-Forwarded-For": greedy.format(n)}))
        for n in range(1, 101)
    ]
    done: set[asyncio.Task[httpx.Response]] = set()
    while len(done) < 100 - AT_ONCE:
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        await asyncio.sleep(0)
        done = {one for one in asked if one.done()}
    for other in others:
        assert (await proxy.client.get("/public/", headers={"X-Forwarded-For": other})).status_code == 200, other
    page = await proxy.client.get("/public/held", headers={"X-Forwarded-For": too, "Accept": "text/html"})
    assert (page.status_code, page.headers["retry-after"]) == (429, "10")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "请求过多" in page.text
    proxy.held.set()
    counted = Counter(answer.status_code for answer in await asyncio.gather(*asked))
    assert counted == {200: AT_ONCE, 429: 100 - AT_ONCE}


async def test_r2_2_a_letter_with_its_files_gets_through_where_letters_are_written_and_as_much_nowhere_else(
    proxy: Proxy,
) -> None:
    photos = b"a" * 14_000_000
    for path in ("/write", "/write/check"):
        assert (await proxy.client.post(path, content=photos)).status_code == 200, path
    for path in ("/intake/attachments", "/writer"):
        refused = await proxy.client.post(path, content=photos)
        assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large"), path


async def test_large_bodies_that_one_caller_does_not_finish_leave_room_for_others_and_for_letters_without_files(
    proxy: Proxy,
) -> None:
    head = "POST /write HTTP/1.1\r\nHost: city.test\r\nX-Forwarded-For: 203.0.113.1\r\nContent-Length: 2000000\r\n\r\n"
    slow = [await begin(proxy, head.encode() + b"a" * 500_000) for _ in range(UPLOADS + 1)]
    answers = [asyncio.create_task(reader.readline()) for reader, _ in slow]
    answered, _ = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    assert [one.result().split()[1] for one in answered] == [b"429"], "the others have begun"
    photo = b"a" * 1_500_000
    assert (await proxy.client.post("/write", content=photo, headers=GREEDY)).status_code == 429
    unsaid = await proxy.client.post("/write", content=_pieces(), headers=GREEDY)
    assert (unsaid.status_code, unsaid.headers["retry-after"]) == (429, "10"), "how long it is, it does not say"
    assert (await proxy.client.post("/write", content=b"a" * 100_000, headers=GREEDY)).status_code == 200
    assert (await proxy.client.get("/write", headers=GREEDY)).status_code == 200
    assert (await proxy.client.post("/write", content=photo, headers=NEIGHBOUR)).status_code == 200
    assert [one.done() for one in answers].count(False) == UPLOADS
    for _, writer in slow:
        writer.close()
    await asyncio.gather(*answers)


async def _pieces() -> AsyncIterator[bytes]:
    yield b"a"


async def test_without_room_for_a_file_its_sender_is_told_to_come_back_and_letters_without_one_are_taken(
    proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "body").rmdir()
    assert (await proxy.client.post("/write", content=b"a" * BODY_LIMIT, headers=GREEDY)).status_code == 200
    refused = await proxy.client.post("/write?q=secret", content=b"a" * 2 * BODY_LIMIT, headers=GREEDY)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")

    async def written() -> str:
        log = proxy.log.read_text()
        return log if " 503 POST " in log else ""

    log = await eventually(written)
    assert GREEDY["X-Forwarded-For"] not in log
    assert "secret" not in log


AWAY = ("location = / {", "location = /away { proxy_pass http://127.0.0.1:1; } location = / {")
SHORT = ("proxy_read_timeout 60s;", "proxy_read_timeout 300ms;")


async def test_what_the_proxy_answers_itself_says_what_is_wrong_to_programs_and_to_people(tmp_path: Path) -> None:
    async with proxy_in(tmp_path, AWAY, SHORT) as proxy:
        for path, status, title, wait in (
            ("/metrics", 404, "未找到 / Not found", None),
            ("/away", 503, "暂时无法受理，请稍后再试 / Temporarily unavailable", "10"),
            ("/public/held", 503, "暂时无法受理，请稍后再试 / Temporarily unavailable", "10"),
        ):
            problem = await proxy.client.get(path)
            page = await proxy.client.get(path, headers={"Accept": "text/html,*/*"})
            for answer in (problem, page):
                assert (answer.status_code, answer.headers.get("retry-after")) == (status, wait), path
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["cache-control"] == "no-store"
            assert problem.headers["content-type"] == "application/problem+json"
            said = problem.json()
            assert (said["status"], said["title"]) == (status, title)
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert page.headers["content-security-policy"].startswith("default-src 'none'")
            for words in (title, *said["detail"].split(" / ")):
                assert words in page.text
        assert (await proxy.client.get("/")).headers["x-content-type-options"] == "nosniff"
        reader, writer = await begin(proxy, b"GET / HTTP/1.1\r\n\r\n")
        bad = await reader.read(-1)
        writer.close()
    assert bad.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in bad
