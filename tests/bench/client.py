"""A lean HTTP/1.1 client, so that the load generator costs little of the machine that it shares with what it measures.

One connection, kept alive, one request at a time; requests are ready bytes. It understands what uvicorn answers and nothing more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import orjson

MOST_IDLE_SECONDS = 20.0
"""A connection that was idle for longer is not used again: the server closes it one day, perhaps at that very moment."""


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.head = b""
        """Status line and headers of the last answer, in lower case."""
        self._transport: asyncio.Transport
        self._used_at = time.monotonic()

    @classmethod
    async def open(cls, port: int, host: str = "127.0.0.1") -> "Connection":
        """Connect."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect an answer until it is whole."""
        self._buffer = buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = buffer[: end + 2].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            self._fail(ValueError("the answer does not say how long it is"))
            return
        whole = end + 4 + int(head[at + 17 : head.find(b"\r\n", at + 2)])
        if len(buffer) >= whole and self._answer is not None:
            self._buffer = buffer[whole:]
            self.head = head
            answer, self._answer = self._answer, None
            if not answer.done():
                answer.set_result((int(buffer[9:12]), buffer[end + 4 : whole]))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the request that waits."""
        self._fail(error or ConnectionResetError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request; return status and body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._used_at = time.monotonic()

    @property
    def stale(self) -> bool:
        """Whether the server has closed it, or may be about to."""
        return self._transport.is_closing() or time.monotonic() - self._used_at > MOST_IDLE_SECONDS

    def close(self) -> None:
        """Close."""
        self._transport.close()


class Pool:
    """At most so many connections to one service; opened when first needed, the last used first."""

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(None)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; one on which something went wrong is not used again."""
        found = await self._free.get()
        try:
            if found is not None and found.stale:
                found.close()
                found = None
            if found is None:
                found = await Connection.open(self._port)
            yield found
        except BaseException:
            if found is not None:
                found.close()
            found = None
            raise
        finally:
            self._free.put_nowait(found)

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Send a whole request on a free connection."""
        async with self.connection() as connection:
            return await connection.send(request)


def request(method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole request; `body` is sent as JSON."""
    content = b"" if body is None else orjson.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "host: bench", f"content-length: {len(content)}"]
    if body is not None:
        lines.append("content-type: application/json")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content
