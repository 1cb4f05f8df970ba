"""What the demonstration starts: the five services and a unit's system, each a process of its own."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

from deploy.demo.city import addresses
from deploy.engines import EngineError, Process
from deploy.engines.places import CHECKOUT
from deploy.engines.ports import holder, is_taken
from services import NAMES

START_SECONDS = 90
STOP_SECONDS = 9.0
"""Before SIGKILL; with the engines' own stopping, all is gone within 15 seconds."""


class Services:
    """The five services of one instance, on consecutive ports, and one address for all of them on the port before (`deploy.front`)."""

    def __init__(self, folder: Path, first_port: int) -> None:
        self.urls = addresses(first_port)
        self.site = f"http://127.0.0.1:{first_port - 1}"
        """The address that citizens use."""
        self._ports = {name: first_port + position for position, name in enumerate(NAMES)} | {"front": first_port - 1}
        self._processes = {name: Process(name, folder) for name in self._ports}

    def make_room(self) -> None:
        """Stop what a run that was killed left behind; then all ports must be free.

        Raises:
            EngineError: a port is taken.
        """
        self.stop()
        taken = [
            f"port {port} for {name} is taken by {holder(port)}: end that, or set DEMO_PORT to the second of six free ports"
            for name, port in self._ports.items()
            if is_taken(port)
        ]
        if taken:
            raise EngineError("\n".join(taken))

    def start(self, environment: Mapping[str, str]) -> None:
        """Start all at once and return when all are ready.

        Raises:
            EngineError: a service ends or does not get ready, with the end of its log.
        """
        shown = {
            "SITE_URL": self.site,
            "TRUSTED_PROXIES": "1",
            "BULLETIN_PUBLIC": "true",
        }  # a browser here has no token
        for name in NAMES:
            of_its_own = {**environment, **shown, "PORT": str(self._ports[name])}
            self._processes[name].start([sys.executable, "-m", "services", name], cwd=CHECKOUT, env=of_its_own)
        ports = [f"--port={self._ports['front']}", f"--first-port={self._ports[NAMES[0]]}"]
        self._processes["front"].start(
            [sys.executable, "-m", "deploy.front", *ports], cwd=CHECKOUT, env=dict(environment)
        )
        with ThreadPoolExecutor(len(NAMES)) as pool, httpx.Client(timeout=2) as client:
            list(pool.map(lambda name: self._wait(name, client), NAMES))

    def _wait(self, name: str, client: httpx.Client) -> None:
        def ready() -> bool:
            try:
                return client.get(f"{self.urls[name]}/health/ready").status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        self._processes[name].wait_ready(ready, START_SECONDS)

    def ended(self) -> str:
        """Return which services ended by themselves, with the ends of their logs; empty: none."""
        return "\n".join(
            f"{name} has ended. The end of {process.log}:\n{process.log_tail()}"
            for name, process in self._processes.items()
            if process.pid() is None
        )

    def stop(self) -> None:
        """Let all finish what is in hand; end those that take too long."""
        stop_all(list(self._processes.values()))


def stop_all(processes: Sequence[Process]) -> None:
    """Ask all to end at once, then wait for all."""
    end = time.monotonic() + STOP_SECONDS
    for process in processes:
        process.send(signal.SIGTERM)
    for process in processes:
        process.stop(seconds=max(0.1, end - time.monotonic()))


@contextmanager
def unit_system(code: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a unit's own system."""
    process = Process(f"unit-{code}", folder)
    stop_all([process])
    process.start([sys.executable, "-m", "deploy.demo.unit_system", code], cwd=CHECKOUT, env=environment)
    try:
        yield
    finally:
        stop_all([process])


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse to run twice at once on the same instance; the lock ends with the process.

    Raises:
        EngineError: another demonstration runs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder.with_name(f"{folder.name}.demo.lock")
    with file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise EngineError(
                f"a demonstration is running already (process {handle.read().strip()}): look at it, or end it with Ctrl-C there"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
