"""Errors as RFC 9457 ``application/problem+json``: what was wrong, where, by which rule, and what to do.

Raise :class:`Problem` (or one of its shapes) anywhere below a request. Every other error becomes one too; no input leads to a 5xx.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared.web.languages import language_of
from shared.web.templates import Pages, asked, in_others
from shared.web.validation import FieldError, field_errors, request_models

MEDIA_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)

__all__ = [
    "BodyTooLarge",
    "FieldError",
    "Problem",
    "ServiceUnavailable",
    "install_problem_handlers",
    "problem_response",
]


class Problem(Exception):
    """Something that is wrong with a request or with us, told to the caller.

    ``slug`` names the kind of problem; its ``type`` is ``/problems/<slug>``. ``rule`` is an id of the regulation such as "R2.2".
    ``more`` are further members of the answer, for example ``current_version``.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str = "",
        *,
        slug: str = "",
        rule: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(f"{status} {title}")
        self.status = status
        self.title = title
        self.detail = detail
        self.slug = slug
        self.rule = rule
        self.errors = tuple(errors)
        self.headers = headers
        self.more = more

    def body(self) -> dict[str, Any]:
        """The members of the answer."""
        body: dict[str, Any] = {
            "type": f"/problems/{self.slug}" if self.slug else "about:blank",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            body["detail"] = self.detail
        if self.rule:
            body["rule"] = self.rule
        if self.errors:
            body["errors"] = [error.body() for error in self.errors]
        body.update(self.more)
        return body


class ServiceUnavailable(Problem):
    """``what`` we need is away ("the document store", "Kafka"); the caller may try again after ``retry_after`` seconds."""

    def __init__(self, what: str, retry_after: int = 5) -> None:
        super().__init__(
            503,
            "暂时无法受理，请稍后再试 / Temporarily unavailable",
            f"{what} cannot be reached at the moment. Nothing was stored. Send the same request again, with the same "
            f"Idempotency-Key if it has one, in {retry_after} seconds or later.",
            slug="unavailable",
            headers={"Retry-After": str(retry_after)},
        )


class Busy(Problem):
    """More comes than can be worked off; the caller may try again after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            503,
            "来信过多，请稍后再提交 / Too many letters at the moment",
            "此刻来信过多，本次未收下 / More letters come than can be worked off at the moment. Nothing was stored. Send the same request "
            f"again, with the same Idempotency-Key if it has one, in {retry_after} seconds or later.",
            slug="busy",
            headers={"Retry-After": str(retry_after)},
        )


class Leaving(Problem):
    """The process ends and could wait no longer for this request; whether it was done is not known."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "服务正在重启，请稍后再试 / The service is restarting",
            "处理被中断，结果不明，请先查看再重试 / The request was broken off, and may or may not have been done. Look first; then "
            "send the same request again, with the same Idempotency-Key if it has one.",
            slug="leaving",
            headers={"Retry-After": "2"},
        )


class BodyTooLarge(HTTPException):
    """The request's body is longer than this path takes (a Starlette exception: FastAPI turns others into 400 while reading)."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The request body may have at most {limit} bytes.")
        self.limit = limit


@dataclass(frozen=True, slots=True)
class _Kind:
    title: str
    slug: str


_KINDS = {
    400: _Kind("请求无法理解 / Bad request", "bad-request"),
    401: _Kind("需要登录 / Authentication required", "unauthenticated"),
    403: _Kind("没有权限 / Not allowed", "forbidden"),
    404: _Kind("未找到 / Not found", "not-found"),
    405: _Kind("不支持的方法 / Method not allowed", "method-not-allowed"),
    413: _Kind("请求过大 / Body too large", "body-too-large"),
    415: _Kind("请求格式不支持 / Unsupported media type", "unsupported-media-type"),
}


def problem_response(problem: Problem) -> Response:
    """The HTTP answer for ``problem``: a page for whoever asked for one, which browsers do and programs do not, else JSON."""
    page = problem_page(problem)
    if page is not None:
        return page
    headers = dict(problem.headers) if problem.headers else None
    return Response(orjson.dumps(problem.body(), default=str), problem.status, headers, MEDIA_TYPE)


def problem_page(problem: Problem) -> Response | None:
    """``problem`` as a page in the reader's language, if the request that is being answered asked for pages and there are any."""
    scope = asked.get()
    if scope is None or not _wants_page(scope):
        return None
    pages: Pages | None = getattr(getattr(scope.get("app"), "state", None), "pages", None)
    if pages is None:
        return None
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    language = language_of(query.get("lang", [""])[0])
    return pages.render(
        "problem.html",
        language=language,
        status=problem.status,
        headers={"Vary": "Accept", **(problem.headers or {})},
        problem=problem,
        both_languages=" / " in problem.detail,
        other_languages=in_others("/public/", language),
    )


def _wants_page(scope: Mapping[str, Any]) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept":
            return b"text/html" in value and b"application/json" not in value
    return False


def from_validation(errors: Sequence[Mapping[str, Any]], models: Mapping[str, Any], content_type: str = "") -> Problem:
    """The problem for pydantic's ``errors`` about a request.

    400 for a body that is not JSON, 415 for another media type, else 422 with every wrong field. ``models`` maps the first part of
    ``loc`` ("body", "query", …) to the model or the parameters whose fields declare rules.
    """
    first = errors[0] if errors else {}
    if first.get("type") == "json_invalid":
        reason = str(first.get("ctx", {}).get("error", ""))
        return Problem(
            400,
            "不是有效的 JSON / Not valid JSON",
            f"The body could not be read as JSON: {reason}.",
            slug="invalid-json",
        )
    if first.get("type") != "missing" and tuple(first.get("loc", ())) == ("body",) and not _is_readable(content_type):
        return Problem(
            415,
            _KINDS[415].title,
            "Send the body as JSON with the header 'Content-Type: application/json'.",
            slug=_KINDS[415].slug,
            headers={"Accept": "application/json"},
        )
    return Problem(
        422,
        "填写内容有误 / Some fields are wrong",
        "Correct the fields listed under 'errors' and send the request again.",
        slug="invalid-fields",
        errors=field_errors(errors, models),
    )


def _is_readable(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return (
        kind == "application/json"
        or (kind.startswith("application/") and kind.endswith("+json"))
        or kind.startswith("multipart/")
    )


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    content_type = request.headers.get("content-type", "")
    return problem_response(from_validation(error.errors(), request_models(request.scope.get("route")), content_type))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, _Kind("请求失败 / Request failed", "request-failed"))
    detail = str(error.detail)
    headers = error.headers
    if error.status_code == 404 and detail == "Not Found":
        detail = "There is nothing at this address. The addresses there are: /docs."
    elif error.status_code == 405:
        detail = (
            f"This address does not take {request.method}; it takes {(headers or {}).get('Allow', 'another method')}."
        )
    if error.status_code in (204, 304):
        return Response(status_code=error.status_code, headers=headers)
    return problem_response(Problem(error.status_code, kind.title, detail, slug=kind.slug, headers=headers))


def unexpected(error: Exception) -> Problem:
    """The answer for an error nobody foresaw; it is logged, and the caller learns nothing of our insides."""
    if isinstance(error, ValidationError):
        logger.error("a model was built from wrong data inside a request", exc_info=error)
    else:
        logger.error("an unexpected error ended a request", exc_info=error)
    return Problem(
        500,
        "系统内部错误 / Internal error",
        "Something went wrong on our side. It has been recorded; trying again later may help.",
        slug="internal",
    )


def install_problem_handlers(app: FastAPI) -> None:
    """Make ``app`` answer every error as a problem; the unforeseen ones are caught by the middleware."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
