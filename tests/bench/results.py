"""What a measurement says: a number, its aim, what stands beside it; as a table and as JSON."""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

FILE = Path("build/bench.json")


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table."""

    name: str
    value: float | None
    """None: it could not be measured; the note says why."""
    unit: str
    aim: float | None
    better: Literal["higher", "lower"]
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Figures that help to read the value."""
    note: str = ""

    @property
    def reached(self) -> str:
        """Whether the aim was reached: `yes`, `no`, or empty where there is none."""
        if self.value is None or self.aim is None:
            return "" if self.aim is None else "no"
        return "yes" if (self.value >= self.aim if self.better == "higher" else self.value <= self.aim) else "no"


class Wrong(Exception):
    """What was measured did not really happen: the counts do not agree."""


def check(what: str, found: Any, expected: Any) -> None:
    """Raise Wrong unless a count is as it must be."""
    if found != expected:
        raise Wrong(f"{what}: {found}, but it must be {expected}")


def check_between(what: str, found: int, least: int, most: int) -> None:
    """Raise Wrong unless a count is from `least` to `most`."""
    if not least <= found <= most:
        raise Wrong(f"{what}: {found}, but it must be from {least} to {most}")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of all lie (nearest rank); 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def plain(number: float | None) -> str:
    """Return a number with three significant digits or all of its whole part."""
    if number is None:
        return "—"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def table(results: Sequence[Result]) -> str:
    """Return the results as text: one line each, what stands beside below it."""
    head = ("measured", "value", "unit", "aim", "reached")
    rows = [(r.name, plain(r.value), r.unit, plain(r.aim) if r.aim is not None else "", r.reached) for r in results]
    widths = [max(_width(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [_line(head, widths), "  ".join("-" * width for width in widths)]
    for row, result in zip(rows, results, strict=True):
        lines.append(_line(row, widths))
        lines += [f"    {name}: {_shown(value)}" for name, value in result.beside.items()]
        if result.note:
            lines.append(f"    {result.note}")
    return "\n".join(lines)


def write(results: Sequence[Result], file: Path = FILE) -> None:
    """Write the results as a JSON list."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = []
    for position, (text, width) in enumerate(zip(row, widths, strict=True)):
        space = " " * (width - _width(text))
        cells.append(space + text if position in {1, 3} else text + space)
    return "  ".join(cells).rstrip()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    return plain(value) if isinstance(value, int | float) else str(value)
