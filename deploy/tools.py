"""The programs beside the engines that tests use: Prometheus and promtool, ClamAV, nginx, a proxy that makes a connection slow …

`python -m deploy.tools` provides them all, each fetched once into the user's cache as the engines are; with names, those. Only tests need
them: what prevents fetching one is told, and the tests that need it fail with the same words. Standard library only: the host's Python
runs it.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.engines import EngineError, fetch
from deploy.engines.go_programs import GO_MODULES, GO_TOOLS

BUILT = frozenset({*GO_TOOLS, *GO_MODULES})
PROGRAMS: Mapping[str, tuple[str, str]] = {
    "prometheus": ("prometheus", "tree/usr/bin/prometheus"),
    "promtool": ("prometheus", "tree/usr/bin/promtool"),
    "clamd": ("clamav", "tree/usr/sbin/clamd"),
    "nginx": ("nginx", "tree/usr/sbin/nginx"),
    **{name: (name, f"bin/{name}") for name in BUILT},
}
"""Program → what is fetched for it, and where in that folder it is."""
ARTIFACTS = tuple(sorted({artifact for artifact, _ in PROGRAMS.values()}))
"""All that is fetched for them."""


def say(line: str) -> None:
    """Print one line of progress to standard error."""
    print(f"[tools] {line}", file=sys.stderr, flush=True)


def program(name: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the fetched program `name`; raises EngineError with the command that fetches it where it is not there."""
    artifact, path = PROGRAMS[name]
    found = fetch.home(artifact, environ) / path
    if not found.is_file():
        raise EngineError(f"there is no {name}: run `.venv/bin/python -m deploy.tools {artifact}`")
    return found


def provide(wanted: Sequence[str] = (), tell: Callable[[str], None] = say) -> bool:
    """Fetch `wanted`, all without names; False where one could not be fetched, which is told."""
    artifacts = sorted(set(wanted) or ARTIFACTS)
    needed = {"go" if name in BUILT else "apt-get" for name in fetch.missing(artifacts, os.environ)}
    absent = [command for command in sorted(needed) if shutil.which(command) is None]
    if absent:
        return _cannot(tell, artifacts, f"this host has no {' and no '.join(absent)}")
    try:
        fetch.fetch(artifacts, os.environ, tell)
    except (EngineError, OSError) as error:
        return _cannot(tell, artifacts, str(error))
    return True


def _cannot(tell: Callable[[str], None], artifacts: Sequence[str], why: str) -> bool:
    tell(f"the tests that use {', '.join(artifacts)} cannot run, all else works: {why}")
    return False


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - set(fetch.ARTIFACTS)
    if unknown:
        say(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ARTIFACTS)}")
        sys.exit(2)
    sys.exit(0 if provide(sys.argv[1:]) else 1)
