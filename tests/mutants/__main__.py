"""`make mutants`: break the code of each rule in turn, in a copy of the tree, and see that the rule's test notices.

`ONLY=R4.2` tries the mutants of one rule. First every named test runs on the code as it is: one that fails anyway notices nothing. Of each
mutant it is said: caught (the test failed), survived (it passed), stale (the line does not stand in the file once), broken (the code could
not even be loaded, or the test could not run). The exit status is 0 only if all are caught.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from deploy.engines import EngineError, Engines
from deploy.engines.places import CHECKOUT
from tests.mutants.mutant import Mutant, read_mutants

COPIED = ("deploy", "docs", "services", "shared", "tests", "Makefile", "README.md", "pyproject.toml")
PATIENCE_SECONDS = 300


def tell(line: str) -> None:
    print(line, flush=True)


def copied(to: Path) -> None:
    """Copy what tests need; the working tree itself is never touched."""
    for name in COPIED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", ".local", "node_modules"))
        else:
            shutil.copy2(source, to / name)


def outcome(tree: Path, tests: Sequence[str]) -> str:
    """Run tests in a tree; return `passed`, `failed`, or why they could not run."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {PATIENCE_SECONDS} s"
    if not report.exists():
        return (done.stdout + done.stderr).strip().rpartition("\n")[2][:120]
    counts = ElementTree.parse(report).getroot().find("testsuite")
    assert counts is not None
    if counts.get("errors") != "0":
        return "error: " + (done.stdout.strip().rpartition("\n")[2])[:120]
    if counts.get("tests") == "0":
        return "no test ran"
    return "failed" if counts.get("failures") != "0" else "passed"


def tried(tree: Path, mutant: Mutant) -> str:
    """Break the line in the tree, run its tests, and mend it."""
    file = tree / mutant.file
    right = file.read_text(encoding="utf-8")
    if not mutant.stands(right):
        return "stale"
    file.write_text(mutant.applied(right), encoding="utf-8")
    try:
        found = outcome(tree, mutant.tests)
    finally:
        file.write_text(right, encoding="utf-8")
    return {"failed": "caught", "passed": "SURVIVED"}.get(found, f"BROKEN ({found})")


def run(mutants: Sequence[Mutant], tree: Path) -> list[tuple[Mutant, str]]:
    """Try all of them; return what came of each."""
    copied(tree)
    named = sorted({test for mutant in mutants for test in mutant.tests})
    tell(f"{len(named)} tests on the code as it is …")
    if (found := outcome(tree, named)) != "passed":
        tell(f"They must pass before they can notice anything: {found}")
        for case in ElementTree.parse(tree / "report.xml").iter("testcase") if found == "failed" else ():
            if (failure := case.find("failure")) is not None:
                tell(f"  {case.get('classname')}::{case.get('name')}: {failure.get('message', '')[:300]}")
        raise SystemExit(1)
    tell(f"{len(mutants)} mutants …")
    results = []
    for mutant in mutants:
        began = time.monotonic()
        result = tried(tree, mutant)
        tell(f"{mutant.rule:6} {result:9} {time.monotonic() - began:5.1f} s  {mutant.file}: {mutant.line}")
        results.append((mutant, result))
    return results


def main() -> int:
    """Try the mutants on shared engines; return 0 only if all are caught."""
    only = os.environ.get("ONLY", "")
    mutants = [mutant for mutant in read_mutants() if only in {"", mutant.rule}]
    if not mutants:
        tell(f"No mutant belongs to {only}; the list is tests/mutants/listed.yaml")
        return 1
    engines = Engines(os.environ.get("TEST_ENGINES", "test"), tell=lambda line: tell(f"engines: {line}"))
    started = not engines.running()
    try:
        engines.up()
    except EngineError as error:
        tell(f"the engines for the tests could not be started:\n{error}")
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            results = run(mutants, Path(folder))
    finally:
        if started:
            Engines(engines.name, tell=lambda _: None).down()
    missed = [(mutant, result) for mutant, result in results if result != "caught"]
    tell(f"{len(results) - len(missed)} of {len(results)} caught")
    for mutant, result in missed:
        tell(f"  {mutant.rule} {result}: {mutant.file}: {mutant.broken}\n    tests: {', '.join(mutant.tests)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
