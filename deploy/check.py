"""`python -m deploy.check [fast]`: everything that a person or CI would check, by one command.

First the quick checks, all of them, so that one run shows all that is wrong: format, lint, types, tests that cannot be collected, import
rules, generated documents. Then, if they hold, the tests on real engines: unit, architecture, contract and component by several workers,
since they mostly wait; then, unless `fast`, e2e, three files at a time. The last line is pytest's.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

from deploy.engines import EngineError, Engines
from deploy.engines.places import CHECKOUT, checkout_hash, locked

PACKAGES = ("shared", "services", "deploy", "tests")
TESTS = ("tests/unit", "tests/architecture", "tests/contract", "tests/component")
SLOW_TESTS = ("tests/e2e",)
QUICK: Mapping[str, Sequence[str]] = {
    "format": ("ruff", "format", "--check", "."),
    "lint": ("ruff", "check", "."),
    "types": ("mypy", *(word for package in PACKAGES for word in ("-p", package))),
    "collection": ("pytest", *TESTS, *SLOW_TESTS, "--collect-only", "-qqq"),
    "import rules": ("importlinter", "--no-logo"),
    "message documents": ("deploy.asyncapi", "--check"),
    "state machine": ("deploy.state_machine", "--check"),
    "access": ("deploy.access", "--check"),
    "rules": ("deploy.rules", "--check"),
    "dashboards": ("deploy.dashboards", "--check"),
}
"""Name → module and arguments. Each says by itself what is wrong. Collecting compiles the tests once for all processes that run them."""
REPAIR: Mapping[str, str] = {
    "format": ".venv/bin/ruff format .",
    "lint": ".venv/bin/ruff check --fix .",
    "message documents": ".venv/bin/python -m deploy.asyncapi",
    "state machine": ".venv/bin/python -m deploy.state_machine",
    "access": ".venv/bin/python -m deploy.access",
    "rules": ".venv/bin/python -m deploy.rules",
    "dashboards": ".venv/bin/python -m deploy.dashboards",
}
"""Name → the command that repairs it, where there is one."""
MEMORY = Path("/dev/shm") / f"xinxiang-{checkout_hash()}"  # noqa: S108 - used only where it is our own
"""Where engines under test keep what they store, where there is room."""
MEMORY_LOCK = CHECKOUT / ".local" / "memory.lock"
"""Held by the one run of a checkout whose engines are there."""
ROOM_BYTES = 8 * 2**30
"""Far more than the engines under test store at once, which is some hundred MB; the rest is for their processes."""
STOP_SECONDS = 60
"""How long an interrupted check may take to stop engines and services."""
WORKERS = (os.cpu_count() or 1) + 2
"""Each file of `TESTS` runs in one of so many processes; every test has topics and databases of its own, and often waits."""
SLOW_WORKERS = 3
"""The same for `SLOW_TESTS`, whose services are processes of their own."""
BY_FILE = ("--dist=loadfile", "--no-loadscope-reorder")
"""A file stays in one process; which begin first says `LONGEST` in `tests/conftest.py`."""


def tell(line: str) -> None:
    """Print one line of progress."""
    print(f"[check] {line}", flush=True)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the checks: no colours and no progress bars where CI is set, never a question."""
    plain = {"NO_COLOR": "1", "TERM": "dumb", "FORCE_COLOR": ""} if environ.get("CI") else {}
    # Hundreds of processes are started: what they import is compiled once, whatever the caller says.
    return {**environ, **plain, "PYTHONDONTWRITEBYTECODE": ""}


def start(module: str, arguments: Sequence[str], output: IO[str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a module of this Python in a session of its own; what it says goes to `output`, or to where ours goes."""
    command = [sys.executable, "-m", module, *arguments]
    if module == "importlinter":
        command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", *arguments]
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def run(module: str, arguments: Sequence[str]) -> int:
    """Run a module of this Python; return its exit status. Interrupted, it gets the time to stop what it started."""
    with start(module, arguments) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            raise


def quick_checks() -> list[str]:
    """Run all quick checks side by side; return the names of those that failed. They start nothing: interrupted, they are ended."""
    failed = []
    tell(f"{', '.join(QUICK)} …")
    with ExitStack() as stack:
        outputs = {name: stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for name in QUICK}
        running = {name: start(module, more, outputs[name]) for name, (module, *more) in QUICK.items()}
        try:
            for name, child in running.items():
                status = child.wait()
                if status:
                    outputs[name].seek(0)
                    print(outputs[name].read(), end="", flush=True)
                tell(f"{name}: {'ok' if status == 0 else 'FAILED'}")
                if status:
                    failed.append(name)
        except KeyboardInterrupt:
            for child in running.values():
                child.kill()
            raise
    return failed


@contextmanager
def data_in_memory() -> Iterator[None]:
    """Where there is plenty of memory, keep what engines store in it, and nothing afterwards; not if we are told where it belongs.

    Every test has topics of its own, and on a disk making and removing their files is most of what the broker does.
    """
    told = {"ENGINES_FOLDER", "TEST_ENGINES"} & os.environ.keys()
    if told or Engines("test").running():
        yield
        return
    with locked(MEMORY_LOCK, "another run of the tests keeps its engines in memory", tell):
        if not _room_in_memory():
            yield
            return
        os.environ["ENGINES_FOLDER"] = str(MEMORY)
        _stop_all()  # a run that was killed leaves its engines
        try:
            yield
        finally:
            _stop_all()
            del os.environ["ENGINES_FOLDER"]
            shutil.rmtree(MEMORY, ignore_errors=True)


def _room_in_memory() -> bool:
    """Whether there is a folder of our own in memory, with room."""
    try:
        if min(shutil.disk_usage(MEMORY.parent).free, psutil.virtual_memory().available) < ROOM_BYTES:
            return False
        MEMORY.mkdir(mode=0o755, exist_ok=True)
        return MEMORY.lstat().st_uid == os.geteuid() and not MEMORY.is_symlink()
    except OSError:
        return False


def _stop_all() -> None:
    for folder in MEMORY.glob("*/"):
        Engines(folder.name, tell=lambda _: None).down()


def tests(*, everything: bool) -> int:
    """Run the tests on one set of engines; return the first exit status that is not 0."""
    engines = Engines(os.environ.get("TEST_ENGINES", "test"), tell=lambda line: tell(f"engines: {line}"))
    started = not engines.running()
    engines.up()
    plain = ["--color=no"] if os.environ.get("CI") else []
    try:
        tell(f"tests: {', '.join(TESTS)} …")
        together = run("pytest", [*TESTS, f"--numprocesses={WORKERS}", *BY_FILE, *plain])
        if not everything:
            return together
        tell(f"tests: {', '.join(SLOW_TESTS)} …")
        slow = run("pytest", [*SLOW_TESTS, f"--numprocesses={SLOW_WORKERS}", *BY_FILE, *plain])
        return slow or together
    finally:
        if started:
            Engines(engines.name, tell=lambda _: None).down()


def main(arguments: list[str] | None = None) -> int:
    """Check; return 0 only if everything holds."""
    parser = argparse.ArgumentParser(prog="python -m deploy.check", description=__doc__)
    parser.add_argument("extent", nargs="?", choices=["all", "fast"], default="all", help="fast: without the e2e tests")
    extent = parser.parse_args(arguments).extent
    # Whom a shell put into the background ignores it, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return check(everything=extent == "all")
    except EngineError as error:
        tell(f"the engines for the tests could not be started:\n{error}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 130


def check(*, everything: bool) -> int:
    """Run the quick checks, then the tests; return the exit status."""
    began = time.monotonic()
    failed = quick_checks()
    if failed:
        tell(f"{len(failed)} of {len(QUICK)} quick checks failed: {', '.join(failed)}; the tests were not run")
        for name in failed:
            if name in REPAIR:
                tell(f"  {name}: repair with {REPAIR[name]}")
        return 1
    tell(f"all {len(QUICK)} quick checks hold, {time.monotonic() - began:.0f} s")
    with data_in_memory():
        return tests(everything=everything)


if __name__ == "__main__":
    sys.exit(main())
