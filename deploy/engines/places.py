"""Where engines live: fetched software in a user cache, each instance's data in the checkout."""

import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.engines.errors import EngineError
from deploy.engines.progress import Say

CHECKOUT = Path(__file__).resolve().parents[2]


def checkout_hash() -> str:
    """Eight characters that tell this checkout from another one on the same machine."""
    return hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]


def reachable_by_others(path: Path) -> bool:
    """Whether every existing folder down to `path` may be entered by any user of the machine."""
    path = path.absolute()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents) if folder.exists())


def store_user() -> pwd.struct_passwd | None:
    """The user that PostgreSQL runs as where we are root, which it refuses to be; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise EngineError(
            "PostgreSQL refuses to run as root and there is no user 'nobody' to run it as: start as another user"
        ) from None


def cache_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME` or `~/.cache`, then `xinxiang/engines`; root with a closed home uses `/var/cache`."""
    base = Path(environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    if os.geteuid() == 0 and not reachable_by_others(base):
        base = Path("/var/cache")
    return base / "xinxiang" / "engines"


def instances_folder() -> Path:
    """The folder that holds those of all instances: `$ENGINES_FOLDER`, or `.local` in the checkout."""
    return Path(os.environ.get("ENGINES_FOLDER") or CHECKOUT / ".local")


def instance_folder(name: str) -> Path:
    """The folder of one instance's settings, records, logs and data."""
    return instances_folder() / name


def postgres_folder(name: str) -> Path:
    """PostgreSQL's part of it; in `/var/lib/xinxiang` where root's folder is closed to the user it runs as."""
    if os.geteuid() == 0 and not reachable_by_others(instances_folder()):
        return Path("/var/lib/xinxiang") / f"{name}-{checkout_hash()}"
    return instance_folder(name) / "postgres"


def make_open_folder(path: Path) -> None:
    """Create `path` and what is missing above it, enterable by everybody whatever the umask is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        folder.chmod(0o755)


@contextmanager
def locked(file: Path, waiting_for: str, tell: Say) -> Iterator[None]:
    """Hold an exclusive lock on `file`; it ends with the process, so a crash never leaves it behind."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting: {waiting_for}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
