"""Ports of an instance: fixed and known ones for `dev`, free ones, remembered, for every other name."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from deploy.engines.errors import EngineError

# Below the range that Linux gives to outgoing connections, so that a remembered port stays free.
FREE_RANGE = range(20000, 32000)
_TAKEN: set[int] = set()
"""Ports that this process took."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of one instance, all on 127.0.0.1."""

    kafka: int
    controller: int
    ferretdb: int
    postgres: int

    def as_dict(self) -> dict[str, int]:
        """The ports by engine, as they are remembered."""
        return asdict(self)


DEV = Ports(kafka=19092, controller=19093, ferretdb=17017, postgres=15432)


def setting(name: str, engine: str) -> str:
    """The environment variable that sets one port of one instance."""
    return f"XINXIANG_{name.upper().replace('-', '_')}_{engine.upper()}_PORT"


def _given(name: str, engine: str, environ: Mapping[str, str]) -> int | None:
    variable = setting(name, engine)
    text = environ.get(variable)
    if not text:
        return None
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise EngineError(f"{variable}={text!r} is not a port: give a number from 1 to 65535, or unset it")
    return int(text)


def choose(name: str, remembered: Mapping[str, int], environ: Mapping[str, str]) -> Ports:
    """The ports for a start: from the environment, then the fixed ones (`dev`), the remembered ones, or free ones."""
    chosen: dict[str, int] = {}
    for engine in (field.name for field in fields(Ports)):
        port = _given(name, engine, environ)
        if port is None and name == "dev":
            port = DEV.as_dict()[engine]
        if port is None:
            port = remembered.get(engine)
            if port is None or port in chosen.values() or not take(port):
                port = _free(avoid=chosen.values())
        if port in chosen.values():
            raise EngineError(f"port {port} is given twice: change {setting(name, engine)}")
        chosen[engine] = port
    return Ports(**chosen)


def is_taken(port: int) -> bool:
    """Whether somebody listens on this port of the loopback address (or of all addresses)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return True
        except OSError:
            return True
    return False


def take(port: int) -> bool:
    """Whether nobody has a port; then it is this process's for as long as it lives.

    Processes that look at the same moment find the same ports free, and listen on them only seconds later. So they keep a book: a file in
    which each locks the byte of that number.
    """
    if is_taken(port):
        return False
    if port not in _TAKEN:
        try:
            fcntl.lockf(_book(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        _TAKEN.add(port)
    return True


@cache
def _book() -> int:
    path = Path(tempfile.gettempdir()) / f"xinxiang-ports-{os.geteuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def refuse_taken(name: str, ports: Ports, engines: Iterable[str]) -> None:
    """Raise one error that names every wanted port that is taken, by whom, and the setting that changes it."""
    wanted = {engine: getattr(ports, engine) for engine in engines}
    problems = [
        f"port {port} for {engine} is taken by {holder(port)}: end that, or set {setting(name, engine)} to a free port"
        for engine, port in wanted.items()
        if is_taken(port)
    ]
    if problems:
        raise EngineError("\n".join(problems))


def free(count: int) -> list[int]:
    """So many ports that nobody has, and that nobody else who asks here gets while this process lives."""
    return [_free() for _ in range(count)]


def _free(avoid: Iterable[int] = ()) -> int:
    avoid = _TAKEN | set(avoid) | set(DEV.as_dict().values())
    for port in random.sample(FREE_RANGE, k=200):
        if port not in avoid and take(port):
            return port
    raise EngineError(f"no free port found between {FREE_RANGE.start} and {FREE_RANGE.stop}")


def holder(port: int) -> str:
    """Who listens on `port`, as far as this user may see it."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            columns = line.split()
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in inodes for link in (folder / "fd").iterdir()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"process {folder.name} ({command[:120]})"
        except OSError:  # ended meanwhile, or another user's
            continue
    return "another user's process" if inodes else "somebody"
