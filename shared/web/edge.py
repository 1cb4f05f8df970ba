"""The one middleware: what every request passes on its way in and out.

Trace context, metrics by route template, log context, body limit, security headers and the answer to unforeseen errors,
in one pure ASGI layer: each further layer would cost every letter that comes in.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.observability import metrics, tracing
from shared.observability.logs import service_context
from shared.web.problems import BodyTooLarge, Leaving, Problem, problem_response, unexpected
from shared.web.templates import asked

logger = logging.getLogger(__name__)

SLOW_SECONDS = 1.0
_REFUSED = frozenset({401, 403})
"""Who asked could not say who they are, or may not: each such answer is a line in the log."""
_NO_STORE = (b"cache-control", b"no-store")
_ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_POLICY = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_OF_PAGES = [
    (b"content-security-policy", _POLICY),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"),
]
_OF_SECURE_PAGES = [(_OF_PAGES[0][0], _POLICY + b"; upgrade-insecure-requests"), *_OF_PAGES[1:]]
_CHARSET = re.compile(rb"charset", re.IGNORECASE)
_UTF_8 = re.compile(rb';\s*charset=("?)utf-?8\1\s*(?=;|$)', re.IGNORECASE)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_PREFIXES = {
    "public": "publication",
    "robots.txt": "publication",
    "write": "intake",
    "follow": "intake",
    "statistics": "reporting",
    "statistics.csv": "reporting",
    "statistics.json": "reporting",
    "bulletins": "reporting",
    "auth": "routing",
}
"""First part of a path that is not its service's name → the service."""


class Edge:
    """Wraps an application; see the module's text.

    ``body_limits`` maps path prefixes, or patterns with ``*``, to limits in bytes. ``https``: browsers come over HTTPS only, whatever this
    process sees of it. ``behind_proxy``: a proxy of ours stands before, whose ``X-Forwarded-Proto`` says how they came.
    """

    def __init__(
        self,
        app: ASGIApp,
        services: list[str],
        body_limit: int,
        body_limits: Mapping[str, int] | None = None,
        *,
        https: bool = False,
        behind_proxy: bool = False,
    ) -> None:
        self.app = app
        self._https = https
        self._behind_proxy = behind_proxy
        self._body_limit = body_limit
        self._body_limits = sorted((body_limits or {}).items(), key=lambda item: -len(item[0]))
        self._default = services[0] if len(services) == 1 else "all"
        self._services = {name: name for name in services} | {
            prefix: name for prefix, name in OTHER_PREFIXES.items() if name in services
        }
        self._meters: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        asked.set(scope)
        secure = self._https or scope.get("scheme") == "https"
        path: str = scope["path"]
        service = self._services.get(path[1:].partition("/")[0], self._default)
        traceparent = length = None
        kind = b""
        for name, value in scope["headers"]:
            if name == b"traceparent":
                traceparent = value.decode("latin-1")
            elif name == b"content-length":
                length = value
            elif name == b"content-type":
                kind = value
            elif name == b"x-forwarded-proto" and self._behind_proxy:
                secure = secure or value == b"https"
        status = 0
        # HEAD is GET whose answer's body stays here (RFC 9110, 9.3.2): the server does not send it.
        inner = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_safety(message.get("headers", ()), secure)
            await send(message)

        with service_context(service), tracing.span("http", traceparent, "server") as span:
            try:
                _check_charset(kind)
                await self.app(inner, self._limited(receive, scope["method"], path, length), answer)
            except ClientDisconnect:
                pass  # nobody is there to be answered; 499 in the metrics
            except asyncio.CancelledError:
                # The process leaves and waited for this request as long as it could; nobody knows whether it was done.
                if not status:
                    await problem_response(Leaving())(scope, receive, answer)
                raise
            except Exception as error:
                if status:
                    logger.error("an error broke off an answer that had begun", exc_info=error)  # noqa: TRY400
                    raise
                await problem_response(_problem_of(error))(scope, receive, answer)
            finally:
                self._measure(service, inner, scope["method"], status, perf_counter() - began, span)

    def _limited(self, receive: Receive, method: str, path: str, length: bytes | None) -> Receive:
        """Refuse a body that says it is too long; one that does not say how long it is, is counted as it comes."""
        if length is None:
            return receive if method in ("GET", "HEAD") else _counted(receive, self._limit_for(path))
        if len(length) > 18 or not length.isdigit():
            raise Problem(400, "请求无法理解 / Bad request", "Content-Length is not a number.", slug="bad-request")
        if int(length) > self._body_limit or self._body_limits:
            limit = self._limit_for(path)
            if int(length) > limit:
                raise BodyTooLarge(limit)
        return receive

    def _limit_for(self, path: str) -> int:
        for prefix, limit in self._body_limits:
            if path.startswith(prefix) or ("*" in prefix and fnmatchcase(path, prefix)):
                return limit
        return self._body_limit

    def _measure(
        self, service: str, scope: Scope, method: str, status: int, seconds: float, span: tracing.span
    ) -> None:
        if method not in _METHODS:
            method = "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        status = status or 499  # the caller hung up before there was an answer
        key = (service, method, route, status)
        meters = self._meters.get(key)
        if meters is None:
            meters = self._meters[key] = (
                metrics.http_requests_total.labels(service, method, route, str(status)),
                metrics.http_request_seconds.labels(service, method, route),
            )
            # A series that is there before its first increase: else a rate would not see the first refusals of a route.
            metrics.http_requests_total.labels(service, method, route, "503")
        meters[0].inc()
        meters[1].observe(seconds)
        span.name(f"{method} {route}", status)
        if status >= 500 or seconds >= SLOW_SECONDS or status in _REFUSED:
            level = logging.INFO
        elif logger.isEnabledFor(logging.DEBUG):
            level = logging.DEBUG
        else:
            return
        logger.log(
            level,
            "request",
            extra={"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 1)},
        )


def _check_charset(kind: bytes) -> None:
    """Refuse a form that names a character set of its own: the parser would decode its fields with any codec that Python has.

    Some of them take minutes for a megabyte (punycode), others make texts that no answer can be written with (unicode_escape).
    """
    if kind.lstrip()[:10].lower() == b"multipart/" and len(_CHARSET.findall(kind)) > len(_UTF_8.findall(kind)):
        detail = (
            "表单只能用 UTF-8 编码 / A form is read as UTF-8: leave `charset` out of its Content-Type, or say UTF-8."
        )
        raise Problem(400, "字符编码不支持 / Character set not supported", detail, slug="charset")


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, BodyTooLarge):
        return Problem(413, "请求过大 / Body too large", str(error.detail), slug="body-too-large")
    return unexpected(error)


def _with_safety(headers: Any, secure: bool) -> list[tuple[bytes, bytes]]:
    safe = [*headers, *_ALWAYS]
    if secure:
        safe.append(_STRICT_TRANSPORT)
    cached = False
    for name, value in headers:
        if name == b"cache-control":
            cached = True
        elif name == b"content-type" and value.startswith(b"text/html"):
            safe += _OF_SECURE_PAGES if secure else _OF_PAGES
    if not cached:
        safe.append(_NO_STORE)
    traceparent = tracing.current_traceparent()
    if traceparent:
        safe.append((b"traceresponse", traceparent.encode()))
    return safe


def _counted(receive: Receive, limit: int) -> Receive:
    """``receive`` that refuses a streamed body once it is longer than ``limit`` bytes."""
    seen = 0

    async def counting() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise BodyTooLarge(limit)
        return message

    return counting
