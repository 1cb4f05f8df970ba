"""The web application of one service, or of several behind one origin, and what errors become in an answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request
from starlette.responses import Response

from services.identity import verifier_of
from services.kit import Kit
from services.runtime import STOP_SECONDS, Service
from shared.contracts.errors import BadInput, RuleBroken, Stale
from shared.directory import UnknownEntry
from shared.messaging.patience import Conflict
from shared.security.routes_sign_in import on_sign_in_first, unset
from shared.security.routes_sign_in import router as sign_in_router
from shared.security.sign_in import SignInFirst
from shared.security.tokens import TokenSettings
from shared.storage import NewerDocument, StoreUnavailable
from shared.web.app import create_app
from shared.web.etag import StaleVersion
from shared.web.problems import FieldError, Problem, ServiceUnavailable, problem_response


def application(services: Sequence[Service], kit: Kit) -> FastAPI:
    """Make the web application of one service, or of several behind one origin."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        for service in services:
            service.start()
        try:
            yield
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(*(service.stop() for service in services))
            for changes in {id(service.kit): service.kit.changes for service in services}.values():
                await changes.stop()
            kit.store.close()

    async def readiness() -> Mapping[str, str | None]:
        return {
            f"{service.name}: {part}" if len(services) > 1 else part: reason
            for service in services
            for part, reason in service.waits_for.items()
        }

    pages, sign_in = kit.pages(), kit.sign_in
    ways_in = unset() if sign_in is None else sign_in_router(sign_in, pages, kit.settings.site_url)
    app = create_app(
        "信箱 " + (services[0].name if len(services) == 1 else "Xinxiang"),
        [*(router for service in services for router in service.routers), ways_in],
        lifespan=lifespan,
        services=[service.name for service in services],
        readiness=readiness,
        body_limits={path: limit for service in services for path, limit in service.body_limits.items()},
        cors_origins=kit.settings.cors_origins,
        pages=pages,
        https=kit.settings.hsts,
        behind_proxy=kit.settings.trusted_proxies > 0,
    )
    app.state.verifier = verifier_of(TokenSettings(), kit.settings, sign_in)
    app.state.sign_in = sign_in
    app.add_exception_handler(SignInFirst, on_sign_in_first)
    app.add_exception_handler(RuleBroken, on_rule_broken)
    app.add_exception_handler(UnknownEntry, _on_unknown_entry)
    app.add_exception_handler(Stale, _on_stale)
    app.add_exception_handler(StoreUnavailable, _on_store_away)
    app.add_exception_handler(NewerDocument, _on_newer)
    app.add_exception_handler(Conflict, _on_conflict)
    return app


async def on_rule_broken(_: Request, error: Exception) -> Response:
    """Answer with the rule that a request breaks, and its status (403, 404, 409 or 422)."""
    assert isinstance(error, RuleBroken)
    title = {403: "没有权限 / Not allowed", 404: "未找到 / Not found", 422: "填写内容有误 / Some fields are wrong"}
    errors = [FieldError(error.field, str(error), str(error), error.rule)] if isinstance(error, BadInput) else []
    return problem_response(
        Problem(
            error.status,
            title.get(error.status, "不符合规定 / Not allowed by the regulation"),
            str(error),
            slug="rule-broken",
            rule=error.rule,
            errors=errors,
        )
    )


async def _on_unknown_entry(_: Request, error: Exception) -> Response:
    assert isinstance(error, UnknownEntry)
    return problem_response(
        Problem(404, "未找到 / Not found", error.message, slug="unknown-entry", rule=error.rule or None)
    )


async def _on_stale(_: Request, error: Exception) -> Response:
    assert isinstance(error, Stale)
    return problem_response(StaleVersion(error.current))


async def _on_store_away(_request: Request, _error: Exception) -> Response:
    return problem_response(ServiceUnavailable("the document store"))


async def _on_newer(_request: Request, _error: Exception) -> Response:
    return problem_response(
        ServiceUnavailable("a process of the newer release, which this service is being upgraded to,", 1)
    )


async def _on_conflict(_request: Request, _error: Exception) -> Response:
    return problem_response(ServiceUnavailable("the letter (too many changes at once)", 1))
