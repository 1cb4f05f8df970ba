"""Lists in pages: an opaque cursor says where the next page begins, so that new letters never shift one."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.web.problems import FieldError, Problem

T = TypeVar("T")
_EXACT: dict[type, Any] = {datetime: AwareDatetime, int: Annotated[int, Field(ge=-(2**63), lt=2**63)]}
"""Kind of a key → what it must be; more than 63 bits fit into no store."""


class Page(BaseModel, Generic[T]):
    """Some items of a list and the cursor of what follows."""

    model_config = ConfigDict(frozen=True)

    items: list[T]
    next: str | None = Field(default=None, description="Send as `cursor` to get the next page; null on the last one.")


def encode_cursor(*keys: str | int | bool | datetime) -> str:
    """A cursor that holds the sort keys of a page's last item."""
    return urlsafe_b64encode(orjson.dumps(keys, option=orjson.OPT_UTC_Z)).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """The sort keys in ``cursor``, of exactly these ``kinds`` (str, int, bool, datetime → aware UTC); None for no cursor.

    Raises a 400 problem for a cursor that is not ours: it never reaches a query as anything but plain values.
    """
    if not cursor:
        return None
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        keys = _reader(kinds).validate_json(raw)
        return tuple(key.astimezone(UTC) if isinstance(key, datetime) else key for key in keys)
    except (ValueError, OverflowError, ValidationError):
        raise Problem(
            400,
            "翻页标记无效 / Not a valid cursor",
            "Use the value of 'next' from the page before as it is, or leave the cursor out to begin at the first page.",
            slug="bad-cursor",
            errors=[FieldError("query:cursor", "翻页标记无效", "This is not a cursor of this list")],
        ) from None


def page_of(items: Sequence[T], limit: int, *keys: str) -> tuple[list[T], str | None]:
    """Cut ``limit`` + 1 fetched ``items`` to a page and its next cursor, made from the attributes ``keys`` of the last item."""
    shown = list(items[:limit])
    if len(items) <= limit or not shown:
        return shown, None
    return shown, encode_cursor(*(getattr(shown[-1], key) for key in keys))


@lru_cache(maxsize=64)
def _reader(kinds: tuple[type, ...]) -> TypeAdapter[tuple[Any, ...]]:
    exact = tuple(_EXACT.get(kind, kind) for kind in kinds)
    return TypeAdapter(tuple[exact], config=ConfigDict(strict=True))  # type: ignore[valid-type]
