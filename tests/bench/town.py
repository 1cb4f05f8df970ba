"""Where one measurement takes place: topics and databases of its own on the engines, services as processes, and what they use.

CPU is counted from /proc, user and system, a process with its children: on a shared machine it says more than the clock on the wall.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
import psutil

from deploy import topics
from deploy.engines import Engines
from deploy.engines.ports import free
from services import NAMES
from services.settings import SAMPLE, Settings
from shared.directory import Directory, load_directory
from shared.security.issue import ensure_keys, issue_token
from shared.storage import Store, translated
from tests.bench.client import Pool, request

FOLDER = Path("build/bench")
READY_SECONDS = 60
LOOK_SECONDS, SETTLED_LOOKS, IDLE_SHARE = 4.0, 3, 0.5
"""Settled: so many looks in a row in which less than this share of a core was used."""
LONGEST_SETTLING_SECONDS = 1_800
Figures = dict[str, float]


def tell(line: str) -> None:
    """Show progress on standard error."""
    sys.stderr.write(f"[bench] {line}\n")
    sys.stderr.flush()


@dataclass
class Server:
    """A process that serves HTTP."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    started: float = field(default_factory=time.perf_counter)

    async def ready(self) -> float:
        """Return the seconds from its start until it said that it is ready."""
        ask = request("GET", "/health/ready")
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended while starting; the end of {self.log}:\n{self._last_lines()}")
            try:
                async with asyncio.timeout(2):
                    status, _ = await Pool(self.port, 1).send(ask)
            except (OSError, TimeoutError):
                status = 0
            seconds = time.perf_counter() - self.started
            if status == 200:
                return seconds
            if seconds > READY_SECONDS:
                raise RuntimeError(f"{self.name} was not ready after {READY_SECONDS} s; see {self.log}")
            await asyncio.sleep(0.01)

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])


@dataclass
class Town:
    """One measurement's namespace and processes."""

    engines: Engines
    name: str
    servers: dict[str, Server] = field(default_factory=dict)
    also: dict[str, str] = field(default_factory=dict)
    """Settings of this measurement alone: environment variables of its services."""

    @property
    def namespace(self) -> str:
        """Prefix of its topics, groups and databases."""
        return f"bench-{self.name}-"

    @property
    def folder(self) -> Path:
        """Where its logs and keys are."""
        return FOLDER / self.name

    async def __aenter__(self) -> Self:
        urls = self.engines.urls()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(
            kafka_bootstrap=urls.kafka_bootstrap,
            mongo_url=urls.mongo_url,
            namespace=self.namespace,
            directory_file=SAMPLE,
        )
        self.directory: Directory = load_directory(SAMPLE)
        self.store = Store(urls.mongo_url, self.namespace)
        ensure_keys(self.folder / "keys")
        await self._forget()
        codes = [mailbox.code for mailbox in self.directory.mailboxes()]
        await topics.apply(urls.kafka_bootstrap, self.namespace, codes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        await self._forget()
        self.store.close()

    async def _forget(self) -> None:
        await topics.remove(self.settings.kafka_bootstrap, self.namespace)
        for name in NAMES:
            await self.store.drop(name)

    def environment(self) -> dict[str, str]:
        """The settings as a service reads them."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
            "KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
            "MONGO_URL": self.settings.mongo_url,
            "NAMESPACE": self.namespace,
            "DIRECTORY_FILE": str(self.settings.directory_file),
            "JWKS_FILE": str(self.folder / "keys" / "jwks.json"),
            "LOG_LEVEL": "WARNING",
            **self.also,
        }

    def launch(self, name: str, module: str, *arguments: str) -> Server:
        """Start a Python module as a server; its port is in `PORT` and, where it says `{port}`, among the arguments."""
        (port,) = free(1)
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *(argument.replace("{port}", str(port)) for argument in arguments)],
                env={**self.environment(), "PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.servers[name] = Server(name, port, process, log)
        return self.servers[name]

    async def start(self, *names: str) -> dict[str, float]:
        """Start services at once; return the seconds each took to be ready."""
        servers = [self.launch(name, "services", name) for name in names or NAMES]
        seconds = await asyncio.gather(*(server.ready() for server in servers))
        return {server.name: taken for server, taken in zip(servers, seconds, strict=True)}

    async def stop(self, *names: str) -> None:
        """Stop services (all), as a deployment would."""
        stopping = [self.servers.pop(name) for name in names or list(self.servers)]
        for server in stopping:
            server.process.send_signal(signal.SIGTERM)
        for server in stopping:
            try:
                await asyncio.to_thread(server.process.wait, 20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()

    def port(self, name: str) -> int:
        """Return where a service listens."""
        return self.servers[name].port

    async def page(self, name: str, path: str) -> bytes:
        """Return what a service answers to a GET."""
        status, body = await Pool(self.port(name), 1).send(request("GET", path))
        if status != 200:
            raise RuntimeError(f"{name} answered {path} with {status}")
        return body

    def token(self, subject: str, mailbox: str, *roles: str) -> str:
        """Return a token that the services take."""
        return issue_token(subject, mailbox, roles, keys_dir=self.folder / "keys")

    async def child(self, module: str, order: Mapping[str, Any]) -> dict[str, Any]:
        """Run a load generator with an order; return its report."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self.environment(),
        )
        try:
            report, _ = await process.communicate(orjson.dumps(order))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise RuntimeError(f"{module} failed with status {process.returncode}")
        found: dict[str, Any] = orjson.loads(report)
        return found

    async def count(self, service: str, collection: str = "letters", query: Mapping[str, Any] | None = None) -> int:
        """Count a service's documents."""
        with translated():
            counted: int = await self.store.database(service)[collection].count_documents(dict(query or {}))
            return counted

    def keep_search(self) -> None:
        """Let services keep their search indexes from one start to the next, as a city does; they begin without."""
        folder = (self.folder / "search").absolute()
        shutil.rmtree(folder, ignore_errors=True)
        self.also["SEARCH_FOLDER"] = str(folder)

    async def settle(self) -> float:
        """Wait until nothing is done any more beside what is always done; return for how many seconds.

        After a start over letters that are there, publication and routing make their search indexes, and the store tidies up.
        """
        began, quiet = time.perf_counter(), 0
        while quiet < SETTLED_LOOKS:
            used = sum(self.cpu().values())
            await asyncio.sleep(LOOK_SECONDS)
            quiet = quiet + 1 if sum(self.cpu().values()) - used < IDLE_SHARE * LOOK_SECONDS else 0
            if time.perf_counter() - began > LONGEST_SETTLING_SECONDS:
                raise RuntimeError(
                    f"{self.name} is still at work after {LONGEST_SETTLING_SECONDS} s in which nobody asked for anything"
                )
        return time.perf_counter() - began

    # ── what processes use ───────────────────────────────────────────────────────────────────────────────────────────

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return our servers and the engines with their children, as far as they are processes of this machine."""
        pids = {name: server.process.pid for name, server in self.servers.items()}
        found = self.engines.status()["pids"]
        assert isinstance(found, dict)
        return {name: _family(pid) for name, pid in (pids | found).items() if name in pids or name in self.engines.ours}

    def cpu(self) -> Figures:
        """Return the CPU seconds that each has used so far."""
        return {name: sum(_cpu(process) for process in family) for name, family in self.processes().items()}

    def memory(self) -> Figures:
        """Return the memory of each in MB: resident, with memory that processes of one family share counted once."""
        return {name: sum(_memory(process, family) for process in family) for name, family in self.processes().items()}


async def until(probe: Callable[[], Awaitable[bool]], seconds: float = 300, pause: float = 0.1) -> float:
    """Wait until `probe` is true; return when it was (performance counter)."""
    async with asyncio.timeout(seconds):
        while not await probe():  # noqa: ASYNC110 - other processes bring it about
            await asyncio.sleep(pause)
    return time.perf_counter()


def per(before: Figures, after: Figures, number: int, also: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return CPU milliseconds per item for each process, the sum last."""
    spent = {name: (after[name] - before.get(name, 0)) * 1000 / max(1, number) for name in after}
    spent |= {name: seconds * 1000 / max(1, number) for name, seconds in (also or {}).items()}
    return {name: round(value, 3) for name, value in spent.items()} | {"all": round(sum(spent.values()), 3)}


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory(process: psutil.Process, family: Sequence[psutil.Process]) -> float:
    try:
        single = len(family) == 1
        return float(process.memory_info().rss if single else process.memory_full_info().pss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def names_of(figures: Iterable[str]) -> list[str]:
    """Return those of the names that are services."""
    return [name for name in figures if name in NAMES]
