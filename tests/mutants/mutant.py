"""One mutant, and the list of them."""

from dataclasses import dataclass
from pathlib import Path

import yaml

LIST = Path(__file__).with_name("listed.yaml")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A line of code, the line that would break a rule, and the tests that must notice."""

    rule: str
    file: str
    line: str
    broken: str
    tests: tuple[str, ...]

    def stands(self, source: str) -> bool:
        """Whether the line stands in the file, once."""
        return [line.strip() for line in source.splitlines()].count(self.line) == 1

    def applied(self, source: str) -> str:
        """Return the source with the line broken, its indent kept."""
        lines = source.splitlines(keepends=True)
        return "".join(one.replace(self.line, self.broken) if one.strip() == self.line else one for one in lines)


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """Return the list, in its order."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Mutant(
            entry["rule"],
            entry["file"],
            entry["line"],
            entry["broken"],
            tuple(test if test.startswith("tests/") else f"tests/component/{test}" for test in entry["tests"]),
        )
        for entry in entries
    ]
