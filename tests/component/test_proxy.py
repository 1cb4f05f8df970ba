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
from tests.browser import origin
from tests.conftest import eventually

CONFIG = CHECKOUT / "deploy" / "proxy" / "nginx.conf"
AT_ONCE, BURST = 64, 200
"""Connections of one address, and requests that it may make without a pause, as the configuration has them."""
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
        if request.url.path == "/public/held":
            await held.wait()
        names = ("x-service", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "host")
        return JSONResponse({name: request.headers.get(name) for name in names})

    app = Starlette(routes=[Route("/{path:path}", echo)])
    (port,) = free(1)
    services = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://services.test")
    async with services, origin(services) as base:
        text = CONFIG.read_text(encoding="utf-8")
        for old, new in (
            ("listen 8080;", f"listen 127.0.0.1:{port};"),
            (" /tmp/", f" {folder}/"),
            ("proxy_pass http://$service:8080;", f"proxy_pass {base}; proxy_set_header X-Service $service;"),
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
    assert (home.status_code, home.headers["location"].removeprefix(str(proxy.client.base_url))) == (302, "/public/")


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
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.client.base_url.port)
        writer.write(asked * (times - 1) + asked.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
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


async def test_flood_of_connections_of_one_address_leaves_room_for_others(proxy: Proxy) -> None:
    asked = [asyncio.create_task(proxy.client.get("/public/held", headers=GREEDY)) for _ in range(100)]
    done: set[asyncio.Task[httpx.Response]] = set()
    while len(done) < 100 - AT_ONCE:
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        await asyncio.sleep(0)
        done = {one for one in asked if one.done()}
    assert (await proxy.client.get("/public/", headers=NEIGHBOUR)).status_code == 200
    page = await proxy.client.get("/public/held", headers=GREEDY | {"Accept": "text/html"})
    assert (page.status_code, page.headers["retry-after"]) == (429, "10")
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "请求过多" in page.text
    proxy.held.set()
    counted = Counter(answer.status_code for answer in await asyncio.gather(*asked))
    assert counted == {200: AT_ONCE, 429: 100 - AT_ONCE}
