"""A folder of backups, one made after the other by `backup into`: which one the next goes on from, and which are old enough to go.

What `into` made bears the moment it was begun as its name; a folder of any other name is somebody else's and never removed.
"""

import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from deploy.ops.console import Refused
from deploy.ops.vault import MANIFEST, Manifest, opened

NAME = "%Y%m%dT%H%M%S.%fZ"
BROKEN_OFF = timedelta(days=1)
"""A folder without manifest that is older belongs to no backup that still runs."""


def chosen(shelf: Path, full_days: float) -> tuple[Path, Path | None]:
    """Return a new folder on the shelf, and the backup to go on from; None: the next one is whole.

    One that cannot be read is told of and passed over, and nothing goes on from what came before it.
    """
    shelf.mkdir(parents=True, exist_ok=True, mode=0o700)
    chain: list[tuple[Path, Manifest]] = []  # the last whole one and what went on from it
    for folder in _folders(shelf):
        found = _read(folder)
        if isinstance(found, Manifest):
            if not found.since:
                chain = []
            if chain or not found.since:
                chain.append((folder, found))
        elif found:
            chain = []
            print(
                f"{found}；已跳过，下一次备份将是完整的 / passed over: the next backup is a whole one", file=sys.stderr
            )
    now = datetime.now(UTC)
    if chain and now - datetime.fromisoformat(chain[0][1].began_at) < timedelta(days=full_days):
        return shelf / now.strftime(NAME), chain[-1][0]
    return shelf / now.strftime(NAME), None


def pruned(newest: Path, keep_days: float) -> list[Path]:
    """Remove what is older than so many days beside the newest backup, and what was broken off; return what is gone.

    What a backup that stays goes on from stays, too; the newest always stays.

    Raises:
        OSError: something cannot be removed.
    """
    now = datetime.now(UTC)
    old: list[Path] = []
    needed = {newest.name}
    for folder in _folders(newest.parent):
        found, begun = _read(folder), _begun(folder)
        age = now - begun if begun else timedelta(0)
        if folder != newest and age > (BROKEN_OFF if found is None else timedelta(days=keep_days)):
            old.append(folder)
        elif isinstance(found, Manifest):
            needed |= {part for one in found.segments for part in PurePosixPath(one.path).parts}
    gone = [folder for folder in old if folder.name not in needed]
    for folder in gone:
        (folder / MANIFEST).unlink(missing_ok=True)  # first: half a backup is none
        shutil.rmtree(folder)
    return gone


def _folders(shelf: Path) -> list[Path]:
    return sorted(folder for folder in shelf.iterdir() if folder.is_dir())


def _read(folder: Path) -> Manifest | str | None:
    """Return a folder's manifest; what is wrong with it; or None: it has none."""
    try:
        return opened(folder) if (folder / MANIFEST).exists() else None
    except (Refused, OSError) as error:
        return str(error)


def _begun(folder: Path) -> datetime | None:
    """Return when `into` began it; None: it is not of `into`."""
    with suppress(ValueError):
        return datetime.strptime(folder.name, NAME).replace(tzinfo=UTC)
    return None
