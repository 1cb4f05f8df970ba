"""Whole numbers that come from outside are such as every reader has exactly, and the store at all."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from deploy.access import document
from shared.contracts.catalogue import type_name
from shared.contracts.types import MOST, Value
from tests.contract.test_messages import MODELS


def integers(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], where: str, seen: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Go through a JSON schema: where a whole number may stand, and what is said of it."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name and name not in seen:
        yield from integers(definitions[name], definitions, where, (*seen, name))
    if schema.get("type") == "integer":
        yield where, schema
    parts = [("", part) for kind in ("anyOf", "oneOf", "allOf", "prefixItems") for part in schema.get(kind, ())]
    parts += [(f"/{field}", part) for field, part in schema.get("properties", {}).items()]
    parts += [("/*", schema[kind]) for kind in ("items", "additionalProperties") if isinstance(schema.get(kind), dict)]
    for step, part in parts:
        yield from integers(part, definitions, where + step, seen)


def unbounded(found: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Return where a number may be too large or too small."""
    return [
        where
        for where, schema in found
        if "enum" not in schema
        and "const" not in schema
        and not (schema.get("minimum", -MOST - 1) >= -MOST and schema.get("maximum", MOST + 1) <= MOST)
    ]


@pytest.mark.parametrize("model", MODELS, ids=type_name)
def test_every_whole_number_of_a_message_has_bounds(model: type[Value]) -> None:
    schema = model.model_json_schema()
    assert unbounded(integers(schema, schema.get("$defs", {}), "")) == []


def test_every_whole_number_of_a_request_has_bounds() -> None:
    found = list(_of_requests())
    assert len(found) > 20
    assert unbounded(found) == []


def _of_requests() -> Iterator[tuple[str, Mapping[str, Any]]]:
    api = document()
    definitions = api["components"]["schemas"]
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            for parameter in operation.get("parameters", ()):
                yield from integers(parameter["schema"], definitions, f"{name} {parameter['name']}")
            for content in operation.get("requestBody", {}).get("content", {}).values():
                yield from integers(content["schema"], definitions, name)
