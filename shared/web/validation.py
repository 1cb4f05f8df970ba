"""What pydantic found wrong, said in Chinese and English, with the field and the rule id.

A model's field names its rule by ``Field(json_schema_extra={"rule": "R2.2"})``. A validator that has its own words raises
``PydanticCustomError(kind, "English text", {"zh": "中文", "rule": "R2.2"})``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer into the body ("/sender/phone") or a parameter's name ("query:limit")."""

    field: str
    message: str
    """What is wrong and what to do, in Chinese."""
    message_en: str = ""
    """The same in English."""
    rule: str | None = None
    """The rule of the regulation that asks for it, e.g. "R2.2"."""

    def __post_init__(self) -> None:
        """Replace what no UTF-8 has by a question mark: the name of a field that somebody invented may hold half a surrogate pair."""
        for name in ("field", "message", "message_en"):
            object.__setattr__(self, name, getattr(self, name).encode(errors="replace").decode())

    def body(self) -> dict[str, str]:
        """The member of a problem's ``errors``."""
        body = {"field": self.field, "message": self.message}
        if self.message_en:
            body["message_en"] = self.message_en
        if self.rule:
            body["rule"] = self.rule
        return body


# Texts by pydantic's error type; {…} are members of its context. They never quote what was typed.
_TEXTS: dict[str, tuple[str, str]] = {
    "missing": ("此项必填", "This field is required"),
    "extra_forbidden": ("没有这一项，请删去", "There is no such field; remove it"),
    "string_type": ("应为文字", "This must be text"),
    "string_too_short": ("至少 {min_length} 个字", "At least {min_length} characters are needed"),
    "string_too_long": ("最多 {max_length} 个字", "At most {max_length} characters are allowed"),
    "string_pattern_mismatch": ("格式不对，应符合 {pattern}", "The format must match {pattern}"),
    "string_unicode": ("含有无法识别的字符", "The text has characters that are not valid Unicode"),
    "enum": ("只能是 {expected}", "It may be {expected}"),
    "literal_error": ("只能是 {expected}", "It may be {expected}"),
    "int_type": ("应为整数", "This must be a whole number"),
    "int_parsing": ("应为整数", "This must be a whole number"),
    "int_from_float": ("应为整数", "This must be a whole number"),
    "int_parsing_size": ("数字过大", "The number is too large"),
    "float_type": ("应为数字", "This must be a number"),
    "float_parsing": ("应为数字", "This must be a number"),
    "finite_number": ("应为有限的数字", "This must be a finite number"),
    "bool_type": ("应为 true 或 false", "This must be true or false"),
    "bool_parsing": ("应为 true 或 false", "This must be true or false"),
    "greater_than": ("应大于 {gt}", "It must be greater than {gt}"),
    "greater_than_equal": ("不能小于 {ge}", "It must be at least {ge}"),
    "less_than": ("应小于 {lt}", "It must be less than {lt}"),
    "less_than_equal": ("不能大于 {le}", "It must be at most {le}"),
    "too_short": ("至少 {min_length} 项", "At least {min_length} items are needed"),
    "too_long": ("最多 {max_length} 项", "At most {max_length} items are allowed"),
    "list_type": ("应为列表", "This must be a list"),
    "dict_type": ("应为对象", "This must be an object"),
    "model_type": ("应为对象", "This must be an object"),
    "model_attributes_type": ("应为对象", "This must be an object"),
    "uuid_type": ("应为 UUID", "This must be a UUID"),
    "uuid_parsing": ("应为 UUID", "This must be a UUID"),
    "date_type": ("应为日期，如 2026-11-23", "This must be a date such as 2026-11-23"),
    "date_parsing": ("应为日期，如 2026-11-23", "This must be a date such as 2026-11-23"),
    "date_from_datetime_parsing": ("应为日期，如 2026-11-23", "This must be a date such as 2026-11-23"),
    "datetime_type": (
        "应为时间，如 2026-11-23T09:00:00+08:00",
        "This must be a time such as 2026-11-23T09:00:00+08:00",
    ),
    "datetime_parsing": (
        "应为时间，如 2026-11-23T09:00:00+08:00",
        "This must be a time such as 2026-11-23T09:00:00+08:00",
    ),
    "datetime_from_date_parsing": (
        "应为时间，如 2026-11-23T09:00:00+08:00",
        "This must be a time such as 2026-11-23T09:00:00+08:00",
    ),
    "timezone_aware": ("时间须带时区，如 +08:00", "The time needs a zone such as +08:00"),
}
_OTHER = ("内容不符合要求", "The value is not acceptable")


def field_errors(errors: Sequence[Mapping[str, Any]], models: Mapping[str, Any]) -> list[FieldError]:
    """One :class:`FieldError` per error of pydantic, at most 50; see ``from_validation`` for ``models``."""
    return [_field_error(error, models) for error in errors[:50]]


def _field_error(error: Mapping[str, Any], models: Mapping[str, Any]) -> FieldError:
    loc = tuple(error.get("loc", ()))
    source, path = (str(loc[0]), loc[1:]) if loc else ("body", ())
    context: Mapping[str, Any] = error.get("ctx") or {}
    kind = str(error.get("type", ""))
    if kind in _TEXTS:
        try:
            chinese, english = (text.format_map(context) for text in _TEXTS[kind])
        except KeyError:
            chinese, english = _OTHER
    elif kind in ("value_error", "assertion_error"):
        chinese = english = str(context.get("error", "")) or _OTHER[1]
    elif "zh" in context or "rule" in context:
        english = str(error.get("msg", "")) or _OTHER[1]
        chinese = str(context.get("zh", english))
    else:
        chinese, english = _OTHER[0], f"{_OTHER[1]} ({kind})" if kind else _OTHER[1]
    rule = context.get("rule") or _rule_of(models.get(source), path)
    field = "".join(f"/{_escaped(part)}" for part in path) if source == "body" else ":".join(map(str, loc))
    return FieldError(field or "/", chinese, english, str(rule) if rule else None)


def _escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _rule_of(model: Any, path: tuple[Any, ...]) -> str | None:
    """The innermost rule declared along ``path``, starting at a model or at a mapping of parameter names to FieldInfo."""
    rule: str | None = None
    for part in path:
        if isinstance(part, int):
            continue
        info = _field_of(model, str(part))
        if info is None:
            continue
        extra = info.json_schema_extra
        if isinstance(extra, dict) and isinstance(extra.get("rule"), str):
            rule = str(extra["rule"])
        model = info.annotation
    return rule


def _field_of(model: Any, name: str) -> FieldInfo | None:
    if isinstance(model, Mapping):
        return model.get(name)
    for candidate in _models_in(model):
        for field_name, info in candidate.model_fields.items():
            if name in (field_name, info.alias, info.validation_alias):
                return info
    return None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, list, tuple, dict) or hasattr(annotation, "__metadata__"):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


def request_models(route: Any) -> dict[str, Any]:
    """What a FastAPI route takes: "body" → its model, "query"/"path"/"header"/"cookie" → its parameters by alias."""
    models: dict[str, Any] = {}
    dependant = getattr(route, "dependant", None)
    if dependant is None:
        return models
    for source in ("query", "path", "header", "cookie"):
        models[source] = {
            field.alias: field.field_info
            for found in _dependants(dependant)
            for field in getattr(found, f"{source}_params")
        }
    body = [field for found in _dependants(dependant) for field in found.body_params]
    if len(body) == 1 and not getattr(body[0].field_info, "embed", False) and _models_in(body[0].field_info.annotation):
        models["body"] = body[0].field_info.annotation
    elif body:
        models["body"] = {field.alias: field.field_info for field in body}
    return models


def _dependants(dependant: Any) -> list[Any]:
    return [dependant, *(inner for child in dependant.dependencies for inner in _dependants(child))]
