"""Structured logs: one JSON object a line, joined by letter id and trace id, without personal data.

The guard is an allow-list, not a search for bad words: only the extra fields of ``ALLOWED_FIELDS`` are written; a text that is put
into a message or a field is written only if it looks like an identifier (printable ASCII, no e-mail address, no long run of
digits); of an exception only types and places are written, because messages quote values.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from enum import Enum
from errno import errorcode
from pathlib import Path
from ssl import SSLError
from typing import Any, TextIO

import orjson
from pydantic import ValidationError

from shared.observability.tracing import current_trace_id

ALLOWED_FIELDS = frozenset(
    """
    action age_s attempt batch bytes code collection count database delay_s depth due_at duration_ms error_type event_id
    expected_seq fact from_state group index kind lag limit mailbox malware method name_of_setting number offset outcome partition
    pid port reason_code refusal retry_after_s role route rows rule seconds seq service_started sent_at serial signal size state
    status task to_state topic total version waiting
    """.split()  # noqa: SIM905 - a list of this length reads best as words
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}
_PERSONAL = re.compile(r"[^\s@]{1,64}@[^\s@]+|(?<![0-9A-Za-z-])\+?\d[\d ]{9,}[\dXx](?![0-9A-Za-z-])")
_HIDDEN = "[text]"
_LONGEST_VALUE = 300
_LONGEST_MESSAGE = 2_000
_FRAMES = 12
# These quote documents or message bodies at their chattier levels.
_QUIET = ("aiokafka", "faststream", "pymongo", "motor", "httpx", "httpcore", "opentelemetry", "asyncio", "urllib3")

_service: ContextVar[str] = ContextVar("service", default="")
_letter_id: ContextVar[str] = ContextVar("letter_id", default="")


@contextmanager
def service_context(service: str) -> Iterator[None]:
    """Log records of this context belong to ``service`` (where one process serves several)."""
    token = _service.set(service)
    try:
        yield
    finally:
        _service.reset(token)


@contextmanager
def letter_context(letter_id: str) -> Iterator[None]:
    """Log records of this context carry ``letter_id``."""
    token = _letter_id.set(letter_id)
    try:
        yield
    finally:
        _letter_id.reset(token)


def current_service() -> str:
    """The service set by :func:`service_context`, or ""."""
    return _service.get()


def configure_logging(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log record of the process to ``stream`` (standard output by default) as JSON lines.

    ``level`` is a level name in any case. Access logs of uvicorn are turned off: the web middleware has its own line.
    Raises ValueError for an unknown level.
    """
    name = level.upper()
    if name not in logging.getLevelNamesMapping():
        raise ValueError(f"LOG_LEVEL is {level!r}; it may be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(name)
    logging.captureWarnings(True)
    for quiet in _QUIET:
        logging.getLogger(quiet).setLevel(max(logging.WARNING, root.level))
    for server in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(server)
        logger.handlers.clear()
        logger.propagate = server != "uvicorn.access"
    logging.getLogger("uvicorn.access").disabled = True


class JsonFormatter(logging.Formatter):
    """Turns a record into one JSON line; times are UTC with milliseconds."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The JSON text of ``record``, without line breaks inside."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "service": _service.get() or self._service,
            "logger": record.name,
            "message": _message(record),
        }
        given = vars(record)
        letter_id = given.get("letter_id") or _letter_id.get()
        if letter_id:
            line["letter_id"] = _guarded(letter_id)
        trace_id = current_trace_id()
        if trace_id:
            line["trace_id"] = trace_id
        dropped = []
        for key in given.keys() - _STANDARD - {"letter_id"}:
            if key in ALLOWED_FIELDS:
                line[key] = _guarded(given[key])
            else:
                dropped.append(key)
        if dropped:
            line["dropped_fields"] = sorted(dropped)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe_error(record.exc_info[1])
        return orjson.dumps(line).decode()


def _message(record: logging.LogRecord) -> str:
    args = record.args
    if not args:
        text = str(record.msg) if not isinstance(record.msg, BaseException) else _guarded(record.msg)
    else:
        safe: Any
        if isinstance(args, Mapping):
            safe = {key: _guarded(value) for key, value in args.items()}
        else:
            safe = tuple(_guarded(value) for value in args)
        try:
            text = str(record.msg) % safe
        except (TypeError, ValueError):
            text = str(record.msg)
    return _PERSONAL.sub(_HIDDEN, text[:_LONGEST_MESSAGE])


def _guarded(value: Any) -> Any:
    """``value`` if it cannot be personal data by its kind or look, else a stand-in that says what kind of thing it was."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return _guarded(value.value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, BaseException):
        return _kind(value)
    text = str(value)
    long, text = len(text) > _LONGEST_VALUE, text[:_LONGEST_VALUE]
    if not text.isascii() or not text.isprintable() or _PERSONAL.search(text):
        return _HIDDEN
    return text + "…" if long else text


def _kind(error: BaseException) -> str:
    """The type of an error, and the system's own words for its number, where it has one."""
    name = type(error).__qualname__
    number = error.errno if isinstance(error, OSError) and not isinstance(error, SSLError) else None
    return name if number is None or number not in errorcode else f"{name}: {os.strerror(number)}"


def describe_error(error: BaseException, depth: int = 4) -> dict[str, Any]:
    """What may be kept of an exception: type, places in the code, causes, and for validation errors field and kind.

    Never the message: validation errors quote what was typed, duplicate-key errors quote the key. ``depth`` bounds the causes.
    """
    described: dict[str, Any] = {"type": f"{type(error).__module__}.{type(error).__qualname__}"}
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    described["at"] = [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
    if isinstance(error, ValidationError):
        described["model"] = error.title
        described["errors"] = [
            {"loc": ".".join(str(_guarded(part)) for part in item["loc"]), "type": item["type"]}
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]
    elif isinstance(error, OSError) and error.errno is not None:
        described["errno"] = error.errno
    rule = getattr(error, "rule", None)
    if isinstance(rule, str):
        described["rule"] = _guarded(rule)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth > 1:
        described["cause"] = describe_error(cause, depth - 1)
    return described


def _short(filename: str) -> str:
    parts = Path(filename).parts
    if "site-packages" in parts:
        return "/".join(parts[parts.index("site-packages") + 1 :])
    return "/".join(parts[-3:])
