"""What the code wants in its log is on the list of fields that are written: else it is dropped, and whoever reads it misses why."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared.observability.logs import ALLOWED_FIELDS

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def unwritten(source: str) -> Iterator[tuple[int, str]]:
    """Line and field of each `extra` of a line of the log that would be dropped, or cannot be read here as it is no plain dict."""
    for call in ast.walk(ast.parse(source)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS):
            continue
        for extra in (keyword.value for keyword in call.keywords if keyword.arg == "extra"):
            for key in extra.keys if isinstance(extra, ast.Dict) else [None]:
                name = key.value if isinstance(key, ast.Constant) else "?"
                if name not in ALLOWED_FIELDS | {"letter_id"}:
                    yield call.lineno, str(name)


def test_every_field_of_every_line_of_the_log_is_on_the_list() -> None:
    files = [file for package in ("services", "shared") for file in sorted((ROOT / package).rglob("*.py"))]
    dropped = [
        f"{file.relative_to(ROOT)}:{line} {name}" for file in files for line, name in unwritten(file.read_text())
    ]
    assert not dropped, (
        "add what cannot be personal to ALLOWED_FIELDS of shared/observability/logs.py, or use a field that is there"
    )


def test_a_field_that_would_be_dropped_is_found() -> None:
    planted = """
log.warning("it does not answer", extra={"reason": "away", "kind": "scanner"})
logger.log(level, "request", extra=fields)
log.info("all is well", extra={"count": 3, "letter_id": letter})
"""
    assert list(unwritten(planted)) == [(2, "reason"), (3, "?")]
