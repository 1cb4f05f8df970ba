"""The fonts that slips are printed with (R4.6): the system's where it has them, else fetched once into the user's cache.

`python -m deploy.fonts` links them to `.local/fonts`, where services look first (FONTS_FOLDER). Without fonts all but printing works,
so what prevents fetching is told and nothing else fails. Standard library only: the host's Python runs it.
"""

import os
import shutil
import sys
from collections.abc import Callable

from deploy.engines import EngineError, fetch
from deploy.engines.places import CHECKOUT
from deploy.engines.sources import debian_source
from shared.printing.fonts import FontsMissing, find_folder

FOLDER = CHECKOUT / ".local" / "fonts"


def say(line: str) -> None:
    """Print one line of progress to standard error."""
    print(f"[fonts] {line}", file=sys.stderr, flush=True)


def provide(tell: Callable[[str], None] = say) -> bool:
    """Make sure that there are fonts; False where there are none, which is told with what to do."""
    if find_folder(FOLDER) is not None:
        return True
    if shutil.which("apt-get") is None or debian_source() is None:
        return _cannot(tell, "this host has no apt source of Debian's main archive to fetch fonts from")
    try:
        fetch.fetch(["fonts"], os.environ, tell)
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        FOLDER.unlink(missing_ok=True)
        FOLDER.symlink_to(fetch.home("fonts", os.environ))
    except (EngineError, OSError) as error:
        return _cannot(tell, str(error))
    return True


def _cannot(tell: Callable[[str], None], why: str) -> bool:
    tell(f"slips cannot be printed, all else works: {why}\n    {FontsMissing(FOLDER)}")
    return False


if __name__ == "__main__":
    sys.exit(0 if provide() else 1)
