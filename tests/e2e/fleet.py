"""The five services as real processes on one test's own engines, topics and databases: started, killed, asked to leave."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx

from deploy.demo.city import City
from deploy.engines.ports import free
from services import NAMES
from tests.conftest import World, eventually
from tests.e2e.nursery import Forked

ROOT = Path(__file__).parents[2]
START_SECONDS = 120
THIS_RELEASE = ("services",)
SWEEP_SECONDS = {"deadline": "0.3"}
"""Tests wait for its clocks; the others look as often as they do by default."""


async def ended(process: "Forked | subprocess.Popen[bytes]", seconds: float) -> int:
    """Wait until a process has ended; return its exit status. It is asked by one thread alone: a status is told once."""

    async def gone() -> bool:
        return process.poll() is not None

    await eventually(gone, seconds)
    assert process.returncode is not None
    return process.returncode


@dataclass
class Run:
    """One process of one service: the same port and the same log whenever it is started again."""

    service: str
    port: int
    log: Path
    environment: dict[str, str]
    process: "Forked | subprocess.Popen[bytes] | None" = None
    scheme: str = "http"
    module: tuple[str, ...] = THIS_RELEASE
    """What is run: this release, or one that a test makes of it."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process; returns at once."""
        environment = os.environ | self.environment | {"PORT": str(self.port)}
        if self.module == THIS_RELEASE:
            self.process = Forked([*self.module, self.service], environment, self.log)
            return
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.module, self.service],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def leave(self, seconds: float = 30) -> tuple[int, float]:
        """Ask it to leave (SIGTERM); return its exit status and how many seconds it took."""
        assert self.process is not None
        began = monotonic()
        self.process.send_signal(signal.SIGTERM)
        return await ended(self.process, seconds), monotonic() - began

    async def get(self, path: str) -> httpx.Response:
        """Ask this very process."""
        # Where nothing is encrypted no certificates are read, which would cost more than the question.
        async with httpx.AsyncClient(base_url=self.url, timeout=20, verify=self.scheme == "https") as client:
            return await client.get(path)

    async def is_ready(self) -> bool:
        """Whether it says that it can work."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.service} ended: {self.last_words()}")
        try:
            return (await self.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def is_alive(self) -> bool:
        """Whether it answers at all; raises RuntimeError if it ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.service} ended: {self.last_words()}")
        try:
            return (await self.get("/health/live")).status_code == 200
        except httpx.TransportError:
            return False

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all its labels but those given."""
        found = 0.0
        for line in (await self.get("/metrics")).text.splitlines():
            if line.startswith(f"{name}{{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                found += float(line.rpartition(" ")[2])
        return found

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass
class Fleet:
    """All processes of one world."""

    world: World
    folder: Path
    replicas: int = 1
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        environment = self.world.environment() | {"MEASURE_SECONDS": "2"}
        ports = free(len(NAMES) * self.replicas)
        for replica in range(self.replicas):
            for name in NAMES:
                log = self.folder / f"{name}-{replica}.log"
                sweep = {"SWEEP_SECONDS": SWEEP_SECONDS.get(name, "1")}
                self.runs.append(Run(name, ports.pop(), log, environment | sweep))

    def of(self, service: str, replica: int = 0) -> Run:
        """One process."""
        return [run for run in self.runs if run.service == service][replica]

    async def up(self, runs: Iterable[Run] | None = None) -> None:
        """Start processes (all by default) and wait until they are ready."""
        runs = list(self.runs if runs is None else runs)
        for run in runs:
            run.start()
        for run in runs:
            await eventually(run.is_ready, START_SECONDS)

    async def restart(self, service: str) -> None:
        """Kill a service's first process and start it again; returns once it is ready."""
        self.of(service).kill()
        await self.up([self.of(service)])

    async def leave(self) -> dict[str, tuple[int, float]]:
        """Ask all that run to leave at once; return exit status and seconds of each."""
        runs = [run for run in self.runs if run.process is not None and run.process.poll() is None]
        ends = await asyncio.gather(*(run.leave() for run in runs))
        return {f"{run.service} {run.port}": end for run, end in zip(runs, ends, strict=True)}

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for run in self.runs:
            run.kill()

    def city(self, replica: int = 0) -> City:
        """The city's people, speaking to one process of each service."""
        urls = {name: self.of(name, replica).url for name in NAMES}
        return City(urls, self.world.keys, self.world.kit().directory, timeout=20)
