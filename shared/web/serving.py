"""HTTP as the processes speak it: uvicorn's, with an end to what clients may do slowly and to how many connections there may be.

Uvicorn waits for ever for the rest of a request once it has begun, and for the first one on a new connection: whoever sends a byte now and
then keeps a connection, and a few thousand of them all there are (slow-loris). Here

- a request's head must be whole `HEAD_SECONDS` after the connection was made or the head begun;
- a head, and what may follow a body in its place, is at most `MOST_HEAD_BYTES` long (to `_PIECE_BYTES`): longer ones are answered 431;
- a body has `BODY_SECONDS`, and a second more for each `BYTES_A_SECOND` that came: a slow line is served, a stalled one is not;
- an answer that is not read for `UNREAD_SECONDS` is broken off;
- a request that asks for another protocol (Upgrade) and has a body is answered 400: the parser takes its body for the next request, which
  a proxy before us does not. Without a body it is answered as if it had not asked, and the connection is closed;
- who sends many requests at once is read on only as they are answered: uvicorn keeps what it has read in a hundred times the memory;
- beyond `MOST_CONNECTIONS` each new one takes the place of the one that has kept us waiting longest; where all are served, it is refused.

Who sends too slowly is told 408, and the connection is closed. A reverse proxy before the services reads requests whole before it passes
them on and keeps bounds of its own (`docs/security.md`); these hold without one too.
"""

import asyncio
import resource
from typing import Any, Final

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.observability.metrics import connections_cut_total

HEAD_SECONDS: Final = 15.0
BODY_SECONDS: Final = 20.0
BYTES_A_SECOND: Final = 2_000
UNREAD_SECONDS: Final = 60.0
MOST_CONNECTIONS: Final = 2_000
MOST_HEAD_BYTES: Final = 65_536
_PIECE_BYTES: Final = 4_096
"""What is looked at in one go, of all that came: heads are measured in such pieces, and no more requests than begin in one are kept."""
KEEP_ALIVE_SECONDS: Final = 75
"""How long a connection may wait for its next request: longer than proxies keep one (nginx: 60 s), so that they close it and not we. One
that we close just as a proxy sends a letter over it makes a 502. Where there are too many, those that wait give way first."""
_TOO_SLOW: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LONG: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_BODY: Final = (b"content-length", b"transfer-encoding")
_NO_UPGRADE: Final = "This server offers no upgrade: send the request without one (java.net.http: HTTP_1_1)."
_IDLE, _IN_HEAD, _IN_BODY, _SERVED = range(4)
"""Where a connection stands; the lower, the sooner it gives way."""


class _Flow(FlowControl):
    """Reads on only where nothing that came still waits to be looked at, whoever asks for more."""

    waits = False

    def resume_reading(self) -> None:
        if not self.waits:
            super().resume_reading()


class BoundedHttp(HttpToolsProtocol):
    """One connection; see the module's text. Times are seconds of the event loop."""

    service = ""
    head_seconds = HEAD_SECONDS
    body_seconds = BODY_SECONDS
    bytes_a_second = BYTES_A_SECOND
    unread_seconds = UNREAD_SECONDS
    most_head_bytes = MOST_HEAD_BYTES
    most_connections = MOST_CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._begun = False
        self._stands = _IDLE
        self._since = 0.0
        self._bytes = self._head_bytes = 0
        self._came = b""
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, in the place of another one where there are too many."""
        super().connection_made(transport)
        self.flow: _Flow = _Flow(transport)
        self._now(_IN_HEAD)
        self._watch()
        if len(self.connections) > self.most_connections:
            (self._slowest_other() or self).cut("too_many")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._now(_SERVED)
        self._came = b""
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._came += data
        self._read_on()

    def on_message_begin(self) -> None:
        """Begin to wait for a head; the first one's time runs since the connection was made."""
        self._begun = True
        super().on_message_begin()
        if self._stands != _IN_HEAD:
            self._now(_IN_HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a line of the head, or one behind a body in pieces, of which there may be no more."""
        super().on_header(name, value)
        if self._stands == _IN_BODY:
            self._lengthen(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Begin to wait for a body."""
        self._now(_IN_BODY)
        upgrade = self.parser.should_upgrade()
        if upgrade and any(name in _BODY and value.strip() != b"0" for name, value in self.headers):
            raise ValueError("an upgrade with a body")  # answered 400 by `data_received`
        super().on_headers_complete()
        if upgrade:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and say what would be."""
        super().send_400_response(_NO_UPGRADE if self.parser.should_upgrade() else msg)

    def on_body(self, body: bytes) -> None:
        """Count what came."""
        self._bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait no more: the rest is our part."""
        self._now(_SERVED)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, at uvicorn's own time limit; one that began before this answer has its time from now on.

        We may not have read it while we answered.
        """
        super().on_response_complete()
        if self.timeout_keep_alive_task is not None and self._stands == _SERVED:
            self._now(_IDLE)
        elif self._late is not None and (self._stands == _IN_HEAD or not self.cycle.response_complete):
            self._late.cancel()
            self._since = self.loop.time()
            self._watch()
        if self._came and not self.transport.is_closing():
            self._read_on()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not read."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.unread_seconds, self._answer_is_unread)

    def resume_writing(self) -> None:
        """It reads."""
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def cut(self, reason: str, said: bytes = b"") -> None:
        """Close the connection."""
        connections_cut_total.labels(self.service, reason).inc()
        self._now(_SERVED)
        if said:
            self.transport.write(said)
        self.transport.close()

    def _read_on(self) -> None:
        """Look at what came, piece by piece, until it ends or a request has to wait for an answer; no head without end.

        What came at once may hold the ends of many requests before the head that it ends in, so heads are measured by the piece, too.
        A request that came whole, as most do, needs no watching.
        """
        came, at = self._came, 0
        if self.flow.waits:
            self.flow.waits = False
            self.flow.resume_reading()
        while at < len(came) and not self.pipeline and not self.transport.is_closing():
            piece = came[at : at + _PIECE_BYTES]
            at += len(piece)
            super().data_received(piece)
            if self._stands == _IN_HEAD:
                self._lengthen(len(piece))
        if self.transport.is_closing():
            self._came = b""
            return
        self._came = came[at:]
        if self._came:
            self.flow.pause_reading()
            self.flow.waits = True
        if self._late is None:
            self._watch()

    def _now(self, stands: int) -> None:
        """Note where the connection stands, and since when."""
        self._stands, self._since = stands, self.loop.time()
        self._bytes = self._head_bytes = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _watch(self) -> None:
        """Look again once the rest of a request is late."""
        if self.transport.is_closing():
            return
        if self._stands == _IN_HEAD:
            self._late = self.loop.call_later(self.head_seconds, self._head_is_late)
        elif self._stands == _IN_BODY:
            self._late = self.loop.call_later(self.body_seconds, self._body_is_late)

    def _slowest_other(self) -> "BoundedHttp | None":
        """Return who has kept us waiting longest: between requests, else with a head, else with a body; none: all are being served."""
        others = (one for one in self.connections if isinstance(one, BoundedHttp) and one is not self)
        waiting = [one for one in others if one._stands != _SERVED and not one.transport.is_closing()]  # noqa: SLF001 - of our kind
        return min(waiting, key=lambda one: (one._stands, one._since), default=None)  # noqa: SLF001

    def _lengthen(self, more: int) -> None:
        """Count what a head, or its like behind a body, has more."""
        self._head_bytes += more
        if self._head_bytes > self.most_head_bytes and not self.transport.is_closing():
            self.cut("long_head", _TOO_LONG)

    def _head_is_late(self) -> None:
        """Break off, unless we do not read at present: its time begins anew with our next answer."""
        if self.flow.read_paused:
            return
        # Who said nothing is told nothing: browsers open connections ahead of need.
        self.cut("slow_head", _TOO_SLOW if self._begun else b"")

    def _body_is_late(self) -> None:
        """Break off, unless what came earned more time. What we do not read at present is not held against the client."""
        left = self._since + self.body_seconds + self._bytes / self.bytes_a_second - self.loop.time()
        if self.flow.read_paused:
            left = max(left, self.body_seconds)
        if left > 0:
            self._late = self.loop.call_later(left, self._body_is_late)
        else:
            answered = self.cycle is not None and self.cycle.response_started
            self.cut("slow_body", b"" if answered else _TOO_SLOW)

    def _answer_is_unread(self) -> None:
        connections_cut_total.labels(self.service, "unread_answer").inc()
        self.transport.abort()


def server_options(service: str) -> dict[str, Any]:
    """Return how uvicorn serves a process of `service`: with our bounds, logs and headers, believing nobody who speaks of proxies.

    Makes room for the connections among the process's open files.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS
    if 0 <= soft < wanted:  # below 0: as many as one likes
        soft = wanted if hard < 0 else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = MOST_CONNECTIONS if soft < 0 else min(MOST_CONNECTIONS, soft // 2)
    return {
        "http": type("Bounded", (BoundedHttp,), {"service": service, "most_connections": most}),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
    }
