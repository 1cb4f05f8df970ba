"""Reading a JSON body straight into a pydantic model, for endpoints where every microsecond counts.

FastAPI parses JSON into Python objects and validates those; pydantic can do both in one pass over the bytes, in a third of the time.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from shared.web.problems import from_validation

M = TypeVar("M", bound=BaseModel)


async def read_model(request: Request, model: type[M]) -> M:
    """The request's JSON body as ``model``; raises the same 400, 415 and 422 problems as a declared body would."""
    content_type = ""
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            content_type = value.decode("latin-1")
            break
    if content_type != "application/json" and not _is_json(content_type):
        raise from_validation([{"type": "model_attributes_type", "loc": ("body",)}], {}, content_type="text/plain")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        found: list[Any] = error.errors(include_url=False, include_input=False)
        for item in found:
            item["loc"] = ("body", *item["loc"])
        raise from_validation(found, {"body": model}, content_type) from None


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """For ``openapi_extra=`` of an endpoint that uses :func:`read_model`: documents the body as if it were declared."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
