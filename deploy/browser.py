"""The browser that tests look at pages with: the host's Chromium where it has one, else Debian's, fetched once into the user's cache.

`python -m deploy.browser` provides it. Only tests need it: what prevents fetching is told, and those tests say it again. Standard library
only: the host's Python runs it.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.engines import EngineError, fetch
from deploy.engines.sources import debian_source

NAMES = ("chromium", "chromium-headless-shell", "google-chrome")
"""What the host's own may be called, the first that is there is used."""


@dataclass(frozen=True)
class Browser:
    """A Chromium that can be started."""

    executable: Path
    environment: Mapping[str, str]
    """What it needs in its environment beside what is there: its libraries and fonts."""


def say(line: str) -> None:
    """Print one line of progress to standard error."""
    print(f"[browser] {line}", file=sys.stderr, flush=True)


def find(environ: Mapping[str, str] = os.environ) -> Browser | None:
    """Return the host's Chromium, else the fetched one; None where there is neither."""
    for name in NAMES:
        own = shutil.which(name, path=environ.get("PATH"))
        if own is not None:
            return Browser(Path(own), {})
    home = fetch.home("chromium", environ)
    program = home / "tree/usr/lib/chromium/chromium-headless-shell"
    loader = next(home.glob("tree/usr/lib/*-linux-gnu*/ld-linux*.so*"), None)
    if loader is None or not program.is_file():
        return None
    # Some libraries name a folder of the host's for those that they need themselves; these come first.
    libraries = f"{loader.parent}:{loader.parent / 'pulseaudio'}"
    return Browser(program, {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(home / "fonts.conf")})


def provide(tell: Callable[[str], None] = say) -> bool:
    """Make sure that there is a browser; False where there is none, which is told with what to do."""
    if find() is not None:
        return True
    if shutil.which("apt-get") is None or debian_source() is None:
        return _cannot(tell, "this host has no apt source of Debian's main archive to fetch Chromium from")
    try:
        fetch.fetch(["chromium"], os.environ, tell)
    except (EngineError, OSError) as error:
        return _cannot(tell, str(error))
    return True


def _cannot(tell: Callable[[str], None], why: str) -> bool:
    tell(f"the tests of pages cannot run, all else works: {why}\n    {MISSING}")
    return False


MISSING = "there is no browser: install Debian's chromium, or run `.venv/bin/python -m deploy.browser`"
"""Said where a test needs one."""

if __name__ == "__main__":
    sys.exit(0 if provide() else 1)
