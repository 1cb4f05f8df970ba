"""`docs/security.md`: every requirement of ASVS 4.0.3 to level 2 has its row, and what a row names is there."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
STATES: Final = {"met", "not applicable", "left"}
_ROW: Final = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_NAMED: Final = re.compile(r"`((?:shared|services|deploy|tests|docs|\.ci)/[\w/.-]+|\w+\.(?:md|toml))(?:::(\w+))?`")
_SECTION: Final = re.compile(r"\]\((?:[\w.-]+\.md)?#[\w-]+\)")
"""That it exists is held by `test_docs.py`, for all pages."""
_AS: Final = re.compile(r"\bas (\d+\.\d+\.\d+)")


def required() -> Iterator[tuple[str, str]]:
    """Yield each requirement with its level."""
    for line in (ROOT / "tests" / "data" / "asvs-4.0.3.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("level "):
            continue
        level, _, parts = line.removeprefix("level ").partition(": ")
        for part in parts.split():
            section, _, numbers = part.rpartition(".")
            first, _, last = numbers.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield f"{section}.{number}", level


def test_every_requirement_of_asvs_to_level_two_has_one_row_with_a_state_and_a_reason() -> None:
    rows = _ROW.findall(PAGE)
    wanted = sorted(required(), key=lambda one: [int(part) for part in one[0].split(".")])
    assert len(wanted) == 259
    assert [(name, level) for name, level, *_ in rows] == wanted
    for name, _, asked, state, where in rows:
        assert state in STATES, name
        assert asked.strip(), name
        assert where.strip(), name
    counted = {state: sum(row[3] == state for row in rows) for state in STATES}
    told = f"Of {len(rows)} requirements {counted['met']} are met, {counted['not applicable']} not applicable, {counted['left']} left."
    assert told in PAGE, told


def test_every_requirement_that_is_met_says_where_that_is_seen() -> None:
    rows = {name: (state, where) for name, _, _, state, where in _ROW.findall(PAGE)}
    assert [name for name, (state, _) in rows.items() if state == "met" and not is_shown(name, rows)] == []


def is_shown(name: str, rows: Mapping[str, tuple[str, str]], steps: int = 3) -> bool:
    """Whether a row that is met names a file, a test or a section, or a row that does, over at most so many rows."""
    state, where = rows.get(name, ("", ""))
    if state != "met" or steps == 0:
        return False
    if _NAMED.search(where) or _SECTION.search(where):
        return True
    return any(is_shown(other, rows, steps - 1) for other in _AS.findall(where))


def test_every_file_and_test_that_the_security_page_names_exists() -> None:
    named = _NAMED.findall(PAGE)
    assert len(named) > 150
    missing = [
        f"{file}::{test}" if test else file
        for file, test in named
        if not (ROOT / file).exists() or (test and test not in names_in(ROOT / file))
    ]
    assert missing == []


def test_every_test_of_an_abuse_stands_on_the_security_page() -> None:
    named = {file for file, _ in _NAMED.findall(PAGE)}
    written = {str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_abuse_*.py")}
    assert written <= named


@cache
def names_in(file: Path) -> frozenset[str]:
    """Return the names of a file's tests."""
    found = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
