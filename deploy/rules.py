"""`python -m deploy.rules [--check]`: make `docs/rules.md`: each rule, what it says, where it is in the code, and which tests show it.

The rules stand in `docs/rules.yaml`. Code and tests are read, not run: a function, class or table belongs to a rule whose id stands in it
or in its docstring, a test to those in its name (`test_r4_2b_…`). With `--check` nothing is written: the command fails where the committed
page is not what would be written, where a rule has no code or no test on running services, and where an id is cited that is no rule's.
"""

import argparse
import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.engines.places import CHECKOUT
from shared.yaml_files import load_yaml

BOOK = CHECKOUT / "docs" / "rules.yaml"
PAGE = CHECKOUT / "docs" / "rules.md"
CODE = ("services", "shared")
TESTS = ("tests",)
RUNNING = ("tests/component/", "tests/e2e/")
"""Where tests run services on real engines."""
CITED = re.compile(r"\bR(\d+\.\d+b?)(?:\s?[–-]\s?R(\d+\.\d+b?))?(?!\w)")
NAMED = re.compile(r"_r(\d+)_(\d+b?)(?=_|$)")

HEAD = """# The rules, where they are and what shows them

Made from `docs/rules.yaml`, the code and the tests by `python -m deploy.rules`; do not edit.

Each rule of the regulation has an id, which code, errors, messages and tests cite. Below each: what it says, the functions, classes and
tables that cite it, and the tests that carry its id (`test_r4_2b_…`). Tests in `tests/component` and `tests/e2e` run the services on real
engines; every rule that is built has one of those at least. `make mutants` breaks the code of each rule in turn and sees its test fail.
"""


@dataclass(slots=True)
class Rule:
    """One rule: its words, and what was found of it. Places are (file, qualified name) in the order of the files."""

    id: str
    section: str
    says: str
    chinese: str
    missing: str | None
    code: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    tests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def shown(self) -> bool:
        """Whether a test on running services carries its id."""
        return any(file.startswith(RUNNING) for file in self.tests)

    def wrong(self) -> str | None:
        """Return what is wrong with it, and what to do."""
        lacks = [*(["code"] if not self.code else []), *(["test on running services"] if not self.shown else [])]
        if lacks and self.missing is None:
            return (
                f"{self.id} has no {' and no '.join(lacks)}: cite its id in a docstring of the code that follows it, and name a "
                f"component test test_{self.id.lower().replace('.', '_')}_…; or say in docs/rules.yaml what is `missing`"
            )
        return None


def read_book(path: Path = BOOK) -> dict[str, Rule]:
    """Return the rules by id, in the order of the rule book."""
    sections = load_yaml(path)
    return {
        name: Rule(name, section["section"], entry["says"], entry["zh"], entry.get("missing"))
        for section in sections
        for name, entry in section["rules"].items()
    }


# ── what cites a rule ────────────────────────────────────────────────────────────────────────────────────────────────


def cited(text: str, order: Sequence[str]) -> Iterator[str]:
    """Yield the ids in a text; `R4.1–R4.4` means all of those in the rule book's order."""
    for first, last in CITED.findall(text):
        start = f"R{first}"
        end = f"R{last}" if last else start
        if start in order and end in order:
            yield from order[order.index(start) : order.index(end) + 1]
        else:
            yield from {start, end}


def named(name: str) -> list[str]:
    """Return the ids that a test's name carries."""
    return [f"R{section}.{number}" for section, number in NAMED.findall(name)]


def places(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, text) for every text in a module: the function, method, class or table it stands in; "": the module."""
    for node in tree.body:
        yield from _texts(node, "")


def _texts(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
    match node:
        case ast.ClassDef(name=name):
            inside = f"{within}.{name}" if within else name
            for child in ast.iter_child_nodes(node):
                yield from _texts(child, inside)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            inside = f"{within}.{name}" if within else name
            yield from ((inside, text) for text in _strings(node))
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if not within:
            yield from ((name, text) for text in _strings(node))
        case _:
            yield from ((within, text) for text in _strings(node))


def _strings(node: ast.AST) -> Iterator[str]:
    for child in ast.walk(node):
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value


def _files(folders: Sequence[str]) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            yield path.relative_to(CHECKOUT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def collect() -> tuple[dict[str, Rule], list[str]]:
    """Return the rules with their code and tests, and where ids are cited that the rule book does not have."""
    book = read_book()
    order = list(book)
    unknown = []
    for file, tree in _files(CODE):
        for place, text in places(tree):
            for name in cited(text, order):
                if name not in book:
                    unknown.append(f"{file} cites {name}, which is not in docs/rules.yaml")
                elif place not in book[name].code[file]:
                    book[name].code[file].append(place)
    for file, tree in _files(TESTS):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for name in named(node.name):
                    if name not in book:
                        unknown.append(f"{file} has {node.name}, but {name} is not in docs/rules.yaml")
                    else:
                        book[name].tests[file].append(node.name)
    return book, unknown


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(book: Mapping[str, Rule]) -> str:
    """Return the page."""
    lines = [HEAD]
    section = ""
    for rule in book.values():
        if rule.section != section:
            section = rule.section
            lines.append(f"## {section}\n")
        lines += [f"### {rule.id}\n", f"{rule.says}<br>{rule.chinese}\n"]
        if rule.missing is not None:
            lines.append(f"**Not yet, or not wholly**: {rule.missing}.\n")
        lines += [_list("code", rule.code), _list("tests", rule.tests)]
    return "\n".join(lines).rstrip() + "\n"


def _list(title: str, found: Mapping[str, Sequence[str]]) -> str:
    if not found:
        return f"- {title}: none\n"
    rows = [f"  - [{file}](../{file}){_names(names)}" for file, names in found.items()]
    return "\n".join([f"- {title}:", *rows, ""])


def _names(names: Sequence[str]) -> str:
    inside = ", ".join(f"`{name}`" for name in names if name)
    return f": {inside}" if inside else ""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or check it; return 0 if it holds."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rules", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail where a rule lacks something or the page differs"
    )
    check = parser.parse_args(arguments).check
    book, wrong = collect()
    wrong += [found for rule in book.values() if (found := rule.wrong())]
    wanted = page(book)
    if not check:
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        wrong.append(f"{PAGE.relative_to(CHECKOUT)} is not what code and tests say; write it: python -m deploy.rules")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
