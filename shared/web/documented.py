"""What the OpenAPI document says besides what FastAPI finds out by itself: every problem that an operation may answer with.

Most follow from what an operation is: whoever takes a body may refuse it, whoever asks for a token may miss it. Only what does not
follow is declared at the endpoint, by ``responses=also(410)``. Nothing is documented that is not meant: an answer with another status is
a bug, and the fuzzed requests of `tests/fuzz` take it for one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI

from shared.web.problems import MEDIA_TYPE

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "description": "The kind of problem, `/problems/<slug>`."},
        "title": {"type": "string", "description": "The kind of problem in Chinese and English."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What was wrong and what to do."},
        "rule": {"type": "string", "description": "The rule of the regulation, such as R4.2."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {
                    "field": {"type": "string", "description": "JSON pointer into the body, or `query:<name>`."},
                    "message": {"type": "string"},
                    "message_en": {"type": "string"},
                    "rule": {"type": "string"},
                },
            },
        },
    },
}
_MEANINGS: Final[Mapping[int, str]] = {
    304: "未变更 / What the caller has is still current",
    400: "请求无法理解 / The request cannot be read",
    401: "需要登录 / A token is needed, or it is not valid",
    403: "没有权限 / Not allowed",
    404: "未找到 / There is no such thing, or not for the caller",
    409: "不符合规定，或已被他人更新 / The state or a rule does not allow it, or it was changed meanwhile",
    410: "已撤下 / It was withdrawn",
    413: "请求过大 / The body is too large",
    415: "请求格式不支持 / Another media type is needed",
    422: "填写内容有误 / Some fields are wrong",
    428: "请先读取再修改 / If-Match is needed",
    429: "操作过于频繁 / Too many requests; see Retry-After",
    503: "暂时无法受理 / Something that is needed is away; see Retry-After",
}
_SAFE: Final = frozenset({"get", "head", "options"})
_RETRY: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}, "required": True}
}


def file_of(*media_types: str) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of an endpoint with ``response_class=Response``: the media types that its answer may have."""
    schema = {"type": "string", "format": "binary"}
    return {200: {"description": "文件 The file", "content": {kind: {"schema": schema} for kind in media_types}}}


def or_page() -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of an endpoint whose ``response_model`` is a page for whoever does not ask for JSON."""
    return {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}


def also(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For ``responses=`` of an endpoint: answers without content, and problems, that do not follow from what it takes, such as 410."""
    return {status: {"description": _MEANINGS[status]} for status in statuses}


def document_problems(app: FastAPI) -> None:
    """Make ``app.openapi()`` name each operation's problems, and give inlined body definitions their place among the components."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" in schemas:
            return document
        schemas["Problem"] = PROBLEM_SCHEMA
        for path in document.get("paths", {}).values():
            for method, operation in path.items():
                _complete(method, operation)
                # Declared where no token is needed: one is read where it is sent.
                if "401" in operation["responses"]:
                    schemes = document["components"].get("securitySchemes", ())
                    operation.setdefault("security", [{}, *({scheme: []} for scheme in schemes)])
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    schemas.update(content.get("schema", {}).pop("$defs", {}))
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for status in _following(method, operation):
        responses.setdefault(str(status), {"description": _MEANINGS[status]})
    for status, response in responses.items():
        if status >= "400" and "content" not in response:
            response["content"] = {
                MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
                "text/html": {"schema": {"type": "string"}},
            }
            if status in {"429", "503"}:
                response["headers"] = _RETRY


def _following(method: str, operation: Mapping[str, Any]) -> Iterator[int]:
    """The problems that follow from what an operation takes."""
    yield from (400, 404, 413, 503)
    if operation.get("security"):
        yield from (401, 403)
    if operation.get("parameters") or "requestBody" in operation:
        yield 422
    if "requestBody" in operation:
        yield 415
    names = {(one["in"], one["name"].lower()) for one in operation.get("parameters", ())}
    if method not in _SAFE or any(place == "path" for place, _ in names):
        yield 409
    if ("header", "if-none-match") in names:
        yield 304
