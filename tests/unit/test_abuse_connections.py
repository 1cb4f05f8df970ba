"""Connections that are held open, requests that never end, and requests that two readers would read differently, over real sockets."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from fastapi import APIRouter, Request
from prometheus_client import REGISTRY
from starlette.responses import Response, StreamingResponse

from shared.web.app import create_app
from shared.web.serving import BoundedHttp, server_options
from tests.conftest import eventually

HEAD = b"POST /intake/take HTTP/1.1\r\nHost: city.test\r\n"
ASK = b"GET /health/live HTTP/1.1\r\nHost: city.test\r\n\r\n"


class Hasty(BoundedHttp):
    """The same with little patience, so that tests need none."""

    service = "hasty"
    head_seconds = 0.3
    body_seconds = 0.3
    bytes_a_second = 1_000
    unread_seconds = 0.3
    most_head_bytes = 20_000
    most_connections = 20


@dataclass
class Site:
    """A server on a port, and what reached its application."""

    port: int
    server: uvicorn.Server
    taken: list[bytes] = field(default_factory=list)

    async def call(self) -> "Line":
        return Line(*await asyncio.open_connection("127.0.0.1", self.port))

    async def answers(self, sent: bytes) -> bytes:
        """All that is answered to these bytes until the connection is closed."""
        line = await self.call()
        line.writer.write(sent)
        answered = await line.rest()
        line.writer.close()
        return answered


@dataclass
class Line:
    """One connection as its client has it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        """What comes until the other side closes."""
        found = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while piece := await self.reader.read(65536):
                    found += piece
        return found

    async def one(self) -> bytes:
        """One answer with its length given."""
        async with asyncio.timeout(20):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self.reader.readexactly(length)


def cut(reason: str) -> float:
    return REGISTRY.get_sample_value("xinxiang_connections_cut_total", {"service": "hasty", "reason": reason}) or 0.0


async def _is(true: bool) -> bool:
    return true


@asynccontextmanager
async def _no_life(_: Any) -> AsyncIterator[None]:
    yield


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    router = APIRouter(prefix="/intake")

    @router.post("/take")
    async def take(request: Request) -> Response:
        made.taken.append(await request.body())
        return Response(b"taken")

    @router.get("/later")
    async def later() -> Response:
        await asyncio.sleep(0.6)
        return Response(b"later")

    @router.get("/long")
    async def long() -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(2_000):
                yield b"x" * 65536

        return StreamingResponse(pieces())

    async def ready() -> dict[str, str | None]:
        return {}

    app = create_app("t", [router], lifespan=_no_life, services=["intake"], readiness=ready)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, lifespan="off", timeout_graceful_shutdown=1, **(server_options("hasty") | {"http": Hasty})
        )
        made = Site(listening.getsockname()[1], uvicorn.Server(config))
        made.server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
        task = asyncio.create_task(made.server.serve([listening]))
        await eventually(lambda: _is(made.server.started))
        yield made
        made.server.should_exit = True
        await task


async def drip(line: Line, piece: bytes) -> None:
    """Send a piece now and then until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        while not line.reader.at_eof():
            line.writer.write(piece)
            await line.writer.drain()
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("begun", "piece", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", b"X-a: b\r\n", "slow_head"),
        (HEAD + b"Content-Length: 1000\r\n\r\n", b"x", "slow_body"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"y" * 40 + b"\r\nx\r\n", "slow_body"),
    ],
)
async def test_slow_loris_a_request_that_never_ends_is_given_up(
    site: Site, begun: bytes, piece: bytes, reason: str
) -> None:
    before = cut(reason)
    line = await site.call()
    line.writer.write(begun)
    dripping = asyncio.create_task(drip(line, piece))
    assert (await line.rest()).startswith(b"HTTP/1.1 408 ")
    await dripping
    assert cut(reason) == before + 1
    assert site.taken == []


async def test_slow_loris_a_connection_without_a_request_is_closed_with_nothing_said(site: Site) -> None:
    line = await site.call()
    assert await line.rest() == b""
    again = await site.call()
    again.writer.write(ASK)
    assert b"200 OK" in await again.one()
    again.writer.write(b"GET /health")
    assert (await again.rest()).startswith(b"HTTP/1.1 408 "), "nor may the second request of a connection take for ever"


async def test_slow_loris_a_slow_line_that_keeps_sending_is_served(site: Site) -> None:
    line = await site.call()
    line.writer.write(HEAD + b"Content-Length: 3000\r\n\r\n")
    for _ in range(20):
        line.writer.write(b"x" * 150)
        await asyncio.sleep(0.05)
    assert b"200 OK" in await line.one()
    assert site.taken == [b"x" * 3000], "in three times the time that a stalled one has"


async def test_who_sends_many_requests_at_once_is_not_held_late_while_we_answer_the_first(site: Site) -> None:
    line = await site.call()
    later = b"GET /intake/later HTTP/1.1\r\nHost: city.test\r\n\r\n"
    line.writer.write(later + later + later[:20])
    assert b"200 OK" in await line.one()
    line.writer.write(later[20:])
    assert [b"200 OK" in await line.one() for _ in range(2)] == [True, True]
    line.writer.close()


@pytest.mark.parametrize("begun", [b"GET /intake/la", HEAD + b"Content-Length: 3\r\n\r\n1"], ids=["head", "body"])
async def test_who_sends_many_requests_at_once_has_all_the_time_for_the_last_one_from_our_last_answer_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Three answers take longer than the rest of the fourth request may; its time runs from the last of them."""
    monkeypatch.setattr(Hasty, "head_seconds", 1.0)
    monkeypatch.setattr(Hasty, "body_seconds", 1.0)
    line = await site.call()
    later = b"GET /intake/later HTTP/1.1\r\nHost: city.test\r\n\r\n"
    line.writer.write(later * 3 + begun)
    assert [b"200 OK" in await line.one() for _ in range(3)] == [True, True, True]
    line.writer.write((later if begun in later else HEAD + b"Content-Length: 3\r\n\r\n123")[len(begun) :])
    assert b"200 OK" in await line.one()
    line.writer.close()


async def test_requests_without_end_on_one_connection_are_read_only_as_they_are_answered(site: Site) -> None:
    """Each that is kept costs some hundred times its bytes: a few megabytes sent were a gigabyte of memory."""
    line = await site.call()
    line.writer.write(b"GET /intake/later HTTP/1.1\r\nHost: city.test\r\n\r\n" * 50_000)
    for _ in range(3):
        assert b"200 OK" in await line.one()
        (served,) = site.server.server_state.connections
        assert isinstance(served, Hasty)
        assert len(served.pipeline) < 100
    line.writer.close()


async def test_many_requests_at_once_are_all_answered_in_their_order(site: Site) -> None:
    line = await site.call()
    bodies = [b"%d " % number + b"x" * (number % 7_000) for number in range(3_000)]
    sent = b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies)
    line.writer.write(sent)
    assert all([b"200 OK" in await line.one() for _ in bodies])
    assert site.taken == bodies
    line.writer.write(ASK)
    assert b"200 OK" in await line.one(), "and the next one, later"
    line.writer.close()


async def test_slow_loris_an_answer_that_nobody_reads_is_broken_off(site: Site) -> None:
    before = cut("unread_answer")
    line = await site.call()
    line.writer.write(b"GET /intake/long HTTP/1.1\r\nHost: city.test\r\n\r\n")
    await eventually(lambda: _is(cut("unread_answer") > before))
    assert len(await line.rest()) < 2_000 * 65536
    line.writer.close()


async def test_slow_loris_more_connections_than_there_may_be_keep_nobody_out(site: Site) -> None:
    held = [await site.call() for _ in range(Hasty.most_connections + 10)]
    for line in held:
        with contextlib.suppress(ConnectionError):
            line.writer.write(HEAD + b"Content-Length: 90\r\n\r\n")
    honest = await site.call()
    honest.writer.write(ASK)
    assert b"200 OK" in await honest.one()
    assert len(site.server.server_state.connections) <= Hasty.most_connections + 1
    for line in held:
        line.writer.close()


@pytest.mark.parametrize("piece", [b"X-a: " + b"b" * 4000 + b"\r\n", b"y" * 4000])
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(site: Site, piece: bytes) -> None:
    line = await site.call()
    line.writer.write(b"GET /" + (b"" if piece[0] == 121 else b" HTTP/1.1\r\n"))
    for _ in range(Hasty.most_head_bytes // len(piece) + 2):
        line.writer.write(piece)
    assert (await line.rest()).startswith(b"HTTP/1.1 431 ")


async def test_a_head_behind_a_long_body_is_as_short_as_it_is(site: Site) -> None:
    """What is read at once may hold much before the head that it ends in."""
    line = await site.call()
    body = b"x" * 2 * Hasty.most_head_bytes
    line.writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body + ASK[:20])
    assert b"200 OK" in await line.one()
    line.writer.write(ASK[20:])
    assert b"200 OK" in await line.one()
    line.writer.close()


async def test_a_head_that_is_too_long_is_refused_though_it_comes_whole(site: Site) -> None:
    assert (await site.answers(HEAD + b"X-a: " + b"b" * 2 * Hasty.most_head_bytes + b"\r\n\r\n")).startswith(
        b"HTTP/1.1 431 "
    )


async def test_lines_without_end_behind_a_body_are_refused_too(site: Site) -> None:
    trailer = b"X-a: " + b"b" * 4000 + b"\r\n"
    sent = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + trailer * 30
    assert (await site.answers(sent)).startswith(b"HTTP/1.1 431 ")


SMUGGLED = b"POST /intake/take HTTP/1.1\r\nHost: city.test\r\nContent-Length: 8\r\n\r\nsmuggled"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "head",
    [
        CHUNKED + b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\n" + CHUNKED,
        b"Content-Length: 5\r\nContent-Length: 50\r\n",
        b"Content-Length: 5, 50\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\r\n Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
        b"Content-Length: 5\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_request_smuggling_what_two_readers_could_read_differently_is_refused(site: Site, head: bytes) -> None:
    answered = await site.answers(HEAD + head + b"\r\n0\r\n\r\n" + SMUGGLED)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in b"".join(site.taken)


@pytest.mark.parametrize("announced", [b"Content-Length: %d", b"Transfer-Encoding: chunked\r\nX-Length: %d"])
async def test_request_smuggling_no_request_hides_behind_an_upgrade(site: Site, announced: bytes) -> None:
    """The parser takes what follows such a head for the next request; a proxy takes it for the body that the head announces."""
    hidden = b"\r\n" * 2_500 + SMUGGLED
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + announced % len(hidden) + b"\r\n\r\n"
    answered = await site.answers(HEAD + upgrade + hidden)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert b"HTTP_1_1" in answered, "who meant no harm is told what to change"
    assert answered.count(b"HTTP/1.1 400") == answered.count(b"HTTP/1.1 ") == 1
    assert site.taken == []


async def test_an_upgrade_without_a_body_is_not_heard_and_nothing_is_read_behind_it(site: Site) -> None:
    ask = (
        b"GET /intake/later HTTP/1.1\r\nHost: city.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
    )
    answered = await site.answers(ask + b"\r\n" * 2_500 + SMUGGLED)
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.endswith(b"later")
    assert b"connection: close" in answered
    assert answered.count(b"HTTP/1.1 ") == 1
    assert site.taken == []


async def test_a_caller_who_hangs_up_is_no_error_of_ours(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    gone = {"service": "intake", "method": "POST", "route": "/intake/take", "status": "499"}

    def hung_up() -> float:
        return REGISTRY.get_sample_value("xinxiang_http_requests_total", gone) or 0.0

    before = hung_up()
    with caplog.at_level(logging.WARNING):
        line = await site.call()
        line.writer.write(HEAD + b"Content-Length: 1000\r\n\r\nx")
        await line.writer.drain()
        line.writer.close()
        await eventually(lambda: _is(hung_up() > before))
    assert caplog.messages == []


def test_a_process_has_files_enough_for_its_connections_and_its_metric_names_it() -> None:
    made = server_options("intake")["http"]
    assert made.service == "intake"
    assert 100 <= made.most_connections <= BoundedHttp.most_connections
