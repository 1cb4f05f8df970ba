"""Making the web application of one service, or of several behind one origin."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from shared.observability.metrics import metrics_page
from shared.web.documented import document_problems
from shared.web.edge import Edge
from shared.web.problems import install_problem_handlers
from shared.web.reference import VIEWER, reference_page
from shared.web.templates import STATIC, Pages, static_url

BODY_LIMIT = 128 * 1024
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Readiness = Callable[[], Awaitable[Mapping[str, str | None]]]


class FastJSON(Response):
    """A JSON answer written by orjson, for data that needs no response model; times are written as UTC with ``Z``."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of ``content``."""
        return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def create_app(
    title: str,
    routers: Sequence[APIRouter],
    *,
    lifespan: Lifespan,
    services: list[str],
    readiness: Readiness,
    body_limit: int = BODY_LIMIT,
    body_limits: Mapping[str, int] | None = None,
    cors_origins: Sequence[str] = (),
    pages: Pages | None = None,
    https: bool = False,
    behind_proxy: bool = False,
) -> FastAPI:
    """An application with the services' routes, ``/health/live``, ``/health/ready``, ``/metrics``, ``/static`` and ``/docs``.

    ``readiness`` says for each thing that is needed None or what is wrong with it. ``body_limit`` is in bytes; ``body_limits`` gives
    path prefixes their own, for example for attachments. Pages of ``cors_origins`` may use what needs no
    account. ``pages`` makes pages of problems, for browsers. ``https`` and ``behind_proxy`` are those of `Edge`. Routers carry their
    prefix themselves and include no others; one that does raises ValueError.
    """
    app = FastAPI(
        title=title,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        middleware=[
            Middleware(
                Edge,
                services=services,
                body_limit=body_limit,
                body_limits=body_limits,
                https=https,
                behind_proxy=behind_proxy,
            ),
            *_from_other_sites(cors_origins),
        ],
        # Spans, metrics and logs are ours; FastAPI's own would record the messages of exceptions.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.pages = pages
    install_problem_handlers(app)
    for router in routers:
        # Included routers are matched twice per request and hide the route's full path from metrics; plain routes are not.
        if not all(isinstance(route, BaseRoute) and hasattr(route, "path") for route in router.routes):
            raise ValueError(
                f"the router of {router.prefix or title} includes another one: give both to create_app instead"
            )
        app.router.routes.extend(router.routes)
    app.include_router(_own_routes(readiness))
    app.mount("/static", _Static(directory=STATIC), name="static")
    app.add_route("/docs", reference_page(title), include_in_schema=False)
    app.mount("/docs/viewer", _Static(directory=VIEWER), name="viewer")
    document_problems(app)
    return app


def _from_other_sites(origins: Sequence[str]) -> list[Middleware]:
    """Let pages of other sites use what needs no account (R1.5): browsers may not send them tokens or cookies along."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Content-Type", "Idempotency-Key"],
            expose_headers=["Location", "Retry-After"],
            max_age=3600,
        )
    ]


def _own_routes(readiness: Readiness) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health/live")
    async def live() -> Response:
        return FastJSON({"live": True})

    @router.get("/health/ready")
    async def ready() -> Response:
        missing = {name: reason for name, reason in (await readiness()).items() if reason is not None}
        if missing:
            return FastJSON({"ready": False, "missing": missing}, 503, {"Retry-After": "2"})
        return FastJSON({"ready": True})

    @router.get("/metrics")
    async def metrics(_: Request) -> Response:
        page, media_type = metrics_page()
        return Response(page, media_type=media_type)

    return router


class _Static(StaticFiles):
    """Style sheets and scripts; pages ask for them by content hash, so browsers may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with a year of caching when it was asked for by its hash.

        Asked for by another hash, as pages of another release do while that one is rolled out or back, it is not kept at all.
        """
        response = await super().get_response(path, scope)
        if response.status_code < 400:
            response.headers["cache-control"] = self._kept(path, scope.get("query_string", b"").decode("latin-1"))
        return response

    def _kept(self, path: str, asked: str) -> str:
        if "v=" not in asked:
            return "public, max-age=60"
        is_ours = self.directory == STATIC and asked == static_url(path).partition("?")[2]
        return "public, max-age=31536000, immutable" if is_ours else "no-cache"
