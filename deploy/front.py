"""`python -m deploy.front`: one address for the five services, as citizens see them behind a city's reverse proxy.

For demonstrations on one machine. In production the ingress does this: it sends each path to the service that `service_of` names.
Answers are passed on as they come, never kept; a service that is away is a 503 that says so.
"""

import argparse
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.demo.city import addresses
from services import NAMES
from shared.web.edge import OTHER_PREFIXES
from shared.web.problems import ServiceUnavailable, problem_response

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_OF_ONE_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)
"""Headers of one connection (RFC 9110, 7.6.1), which are not passed on."""


def service_of(path: str) -> str:
    """Return the service that answers a path: the one it begins with, the one its prefix belongs to, else publication."""
    first = path[1:].partition("/")[0]
    return first if first in NAMES else OTHER_PREFIXES.get(first, "publication")


def front(urls: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """Return the application; `urls`: service → base URL. Of services that speak HTTPS, `SSL_CERT_FILE` names who signed."""

    @asynccontextmanager
    async def opened(app: Starlette) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=200)
        trusted = ssl.create_default_context()
        async with httpx.AsyncClient(
            limits=limits, timeout=30, trust_env=False, transport=transport, verify=trusted
        ) as client:
            app.state.client = client
            yield

    async def pass_on(request: Request) -> Response:
        client: httpx.AsyncClient = request.app.state.client
        service = service_of(request.url.path)
        raw = request.scope["raw_path"].decode("latin-1")
        target = httpx.URL(urls[service] + raw + (f"?{request.url.query}" if request.url.query else ""))
        headers = [(name, value) for name, value in request.headers.raw if name not in _OF_ONE_HOP]
        came_from = request.client.host if request.client else "unknown"
        forwarded = ", ".join([*request.headers.getlist("x-forwarded-for"), came_from])
        headers = [pair for pair in headers if pair[0] not in (b"x-forwarded-for", b"x-forwarded-proto")]
        headers += [
            (b"x-forwarded-for", forwarded.encode("latin-1")),
            (b"x-forwarded-proto", request.url.scheme.encode()),
        ]
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        asked = client.build_request(
            request.method, target, headers=headers, content=request.stream() if has_body else None
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.TransportError:
            return problem_response(ServiceUnavailable(service))
        response = StreamingResponse(
            answer.aiter_raw(), status_code=answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _OF_ONE_HOP
        ]
        return response

    async def home(_: Request) -> Response:
        return RedirectResponse("/public/")

    return Starlette(
        routes=[Route("/", home), Route("/{path:path}", pass_on, methods=METHODS)],
        lifespan=opened,
    )


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m deploy.front", description=__doc__)
    parser.add_argument("--port", type=int, default=8100, help="the port to listen on")
    parser.add_argument(
        "--first-port", type=int, default=8101, help="intake's port; the other services have the next four"
    )
    parser.add_argument("--https", action="store_true", help="the services speak HTTPS; SSL_CERT_FILE: who signed")
    parser.add_argument("--cert-file", help="this address's own certificate and its chain (PEM): it speaks HTTPS")
    parser.add_argument("--key-file", help="its private key (PEM)")
    asked = parser.parse_args()
    urls = addresses(asked.first_port, scheme="https" if asked.https else "http")
    uvicorn.run(
        front(urls),
        host="127.0.0.1",
        port=asked.port,
        log_level="warning",
        ssl_certfile=asked.cert_file,
        ssl_keyfile=asked.key_file,
    )


if __name__ == "__main__":
    main()
