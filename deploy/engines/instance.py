"""One named set of engines: started, stopped, killed and forgotten together or one by one."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.engines import compose, fetch, ports, prerequisites
from deploy.engines.errors import EngineError
from deploy.engines.guard import Guard
from deploy.engines.kafka import Kafka
from deploy.engines.places import instance_folder, locked, postgres_folder
from deploy.engines.ports import Ports
from deploy.engines.processes import recorded
from deploy.engines.progress import Say, say, step
from deploy.engines.store import FerretDB, Postgres

ENGINES = ("kafka", "postgres", "ferretdb")
GROUPS = {"store": ("postgres", "ferretdb"), "all": ENGINES} | {engine: (engine,) for engine in ENGINES}
PORTS_OF = {"kafka": ("kafka", "controller"), "postgres": ("postgres",), "ferretdb": ("ferretdb",)}


@dataclass(frozen=True)
class Urls:
    """Where services find the engines."""

    kafka_bootstrap: str
    mongo_url: str

    def environment(self) -> dict[str, str]:
        """The two settings as services read them."""
        return {"KAFKA_BOOTSTRAP": self.kafka_bootstrap, "MONGO_URL": self.mongo_url}


class Engines:
    """The engines of one instance (`dev`, `test`, …) of this checkout.

    Engines named by `KAFKA_BOOTSTRAP` or `MONGO_URL` in the environment are somebody else's: they are used as they are and
    never started, stopped or reset here. Every method raises EngineError with what to do.
    """

    def __init__(
        self,
        name: str = "dev",
        environ: Mapping[str, str] | None = None,
        tell: Say = say,
        guard: Guard | None = None,
    ) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name):
            raise EngineError(f"{name!r} cannot name an instance: use lower-case letters, digits and dashes")
        self.name = name
        self.guard = guard
        self.folder = instance_folder(name)
        self._environ = dict(os.environ if environ is None else environ)
        self._tell = tell
        self._given_kafka = self._environ.get("KAFKA_BOOTSTRAP", "")
        self._given_mongo = self._environ.get("MONGO_URL", "")
        mode = self._environ.get("XINXIANG_ENGINES", "")
        if mode not in {"", "local"}:
            raise EngineError(f"XINXIANG_ENGINES={mode!r}: it may be 'local' (never use Docker) or unset")

    @property
    def ours(self) -> tuple[str, ...]:
        """The engines that this instance brings itself."""
        kafka = () if self._given_kafka else GROUPS["kafka"]
        store = () if self._given_mongo else GROUPS["store"]
        return (*kafka, *store)

    def urls(self) -> Urls:
        """Where the engines of the last start are; raises EngineError if they were never started."""
        remembered = self._remembered_ports()
        if self.ours and not remembered:
            raise EngineError(f"the engines of {self.name!r} were never started: python -m deploy.engines up")
        return Urls(
            self._given_kafka or f"127.0.0.1:{remembered['kafka']}",
            self._given_mongo or self._mongo_url(remembered["ferretdb"]),
        )

    def _mongo_url(self, port: int) -> str:
        return self.guard.mongo_url(port) if self.guard else f"mongodb://127.0.0.1:{port}/"

    def up(self) -> Urls:
        """Start what does not run yet, fetching it first where needed; what was started is stopped again on failure."""
        with self._locked():
            running = self.running()
            absent = [engine for engine in self.ours if engine not in running]
            if absent:
                self._start(absent, running)
            else:
                self._tell(f"{self.name}: already running" if self.ours else "KAFKA_BOOTSTRAP and MONGO_URL are given")
            return self.urls()

    def start(self, what: str = "all") -> Urls:
        """Start some engines (`kafka`, `postgres`, `ferretdb`, `store` for the last two) where they do not run."""
        engines = self._own(what)
        with self._locked():
            running = self.running()
            absent = [engine for engine in engines if engine not in running]
            if absent:
                self._start(absent, running)
            return self.urls()

    def stop(self, what: str = "all") -> None:
        """Stop some engines in order (SIGTERM, for PostgreSQL a fast shutdown); no error where they do not run."""
        engines = self._own(what)
        with self._locked():
            if containers := self._containers():
                containers.stop(engines)
            else:
                for engine in reversed(engines):
                    self._local(self._ports(), engine).stop()

    def kill(self, what: str) -> None:
        """End some engines with SIGKILL, as a crash would."""
        engines = self._own(what)
        with self._locked():
            if containers := self._containers():
                for engine in engines:
                    containers.kill(engine)
            else:
                for engine in reversed(engines):
                    self._local(self._ports(), engine).process.kill()

    def down(self) -> None:
        """Stop everything recorded for this instance: first what others started in its folder, then its engines."""
        with self._locked():
            self._down()

    def reset(self) -> None:
        """Stop everything and forget all data, logs and ports of this instance; fetched software stays in the cache."""
        with self._locked():
            self._down(with_data=True)
            for folder in (self.folder, postgres_folder(self.name)):
                if folder.exists():
                    shutil.rmtree(folder)

    def lacks(self) -> list[prerequisites.Lack]:
        """What the host lacks for the next `up`, as far as it can be told before any work."""
        running = self.running()
        absent = [engine for engine in self.ours if engine not in running]
        if not absent or compose.available(self._environ):
            return []
        return prerequisites.lacks(absent, fetch.missing(absent, self._environ), self._environ)

    def running(self) -> set[str]:
        """Our engines that run at this moment."""
        if containers := self._containers():
            return containers.running()
        return {process.name for process in recorded(self.folder) if process.name in ENGINES and process.pid()}

    def status(self) -> dict[str, object]:
        """The state of each engine, where it is, and where data and logs are."""
        running = self.running()
        remembered = self._remembered_ports()
        state: dict[str, object] = {
            "name": self.name,
            "mode": self._memory().get("mode", "none"),
            "folder": str(self.folder),
            "engines": {
                engine: ("running" if engine in running else "stopped") if engine in self.ours else "given"
                for engine in ENGINES
            },
            "pids": {process.name: process.pid() for process in recorded(self.folder) if process.pid()},
            "ports": dict(remembered),
        }
        if remembered or not self.ours:
            state |= self.urls().environment()
        return state

    def _start(self, absent: Sequence[str], running: set[str]) -> None:
        others = {process.name for process in recorded(self.folder) if process.name in ENGINES and process.pid()}
        if self._containers() or (not others and not self.guard and compose.available(self._environ)):
            chosen = self._ports() if running else self._choose()
            self._remember("compose", chosen)
            with step(f"{self.name}: starting {', '.join(absent)} with Docker", self._tell):
                self._containers_at(chosen).start(absent)
            return
        to_fetch = fetch.missing(absent, self._environ)
        prerequisites.refuse(prerequisites.lacks(absent, to_fetch, self._environ))
        chosen = self._ports() if running else self._choose()
        ports.refuse_taken(self.name, chosen, [port for engine in absent for port in PORTS_OF[engine]])
        fetch.fetch(absent, self._environ, self._tell)
        self._remember("local", chosen)
        with step(f"{self.name}: starting {', '.join(absent)}", self._tell):
            self._start_local(absent, chosen)

    def _start_local(self, absent: Sequence[str], chosen: Ports) -> None:
        """Start Kafka beside the store, and FerretDB after PostgreSQL; all or nothing."""
        chains = [[engine for engine in absent if engine in group] for group in (GROUPS["kafka"], GROUPS["store"])]
        engines = {engine: self._local(chosen, engine) for engine in absent}

        def run(chain: Sequence[str]) -> None:
            for engine in chain:
                engines[engine].start()

        failures: list[str] = []
        started = False
        try:
            with ThreadPoolExecutor(len(chains)) as pool:
                runs = [pool.submit(run, chain) for chain in chains]
            failures = [str(error) for error in (each.exception() for each in runs) if error]
            started = not failures
        finally:
            if not started:
                for engine in reversed(absent):
                    engines[engine].stop()
        if failures:
            raise EngineError("\n".join(failures))

    def _down(self, *, with_data: bool = False) -> None:
        containers = self._containers()
        services = [process for process in recorded(self.folder) if process.name not in ENGINES]
        for process in services:
            process.send(signal.SIGTERM)
        for process in services:
            process.stop(seconds=15)
        if containers:
            containers.remove(with_data=with_data)
        for engine in ("ferretdb", "kafka", "postgres"):
            if self._remembered_ports():
                self._local(self._ports(), engine).stop()

    def _local(self, chosen: Ports, engine: str) -> Kafka | Postgres | FerretDB:
        makers: dict[str, Callable[[], Kafka | Postgres | FerretDB]] = {
            "kafka": lambda: Kafka(self.folder, chosen, self._environ, self.guard),
            "postgres": lambda: Postgres(self.folder, postgres_folder(self.name), chosen, self._environ, self.guard),
            "ferretdb": lambda: FerretDB(self.folder, chosen, self._environ, self.guard),
        }
        return makers[engine]()

    def _own(self, what: str) -> tuple[str, ...]:
        if what not in GROUPS:
            raise EngineError(f"there is no engine {what!r}: name one of {', '.join(GROUPS)}")
        engines = tuple(engine for engine in GROUPS[what] if engine in self.ours)
        if not engines:
            raise EngineError(
                f"{what} is given by the environment (KAFKA_BOOTSTRAP, MONGO_URL): it is not ours to touch"
            )
        return engines

    def _containers(self) -> compose.Containers | None:
        if self._memory().get("mode") != "compose" or self._environ.get("XINXIANG_ENGINES") == "local":
            return None
        return self._containers_at(self._ports())

    def _containers_at(self, chosen: Ports) -> compose.Containers:
        return compose.Containers(self.name, chosen, self._environ, self.folder / "logs" / "compose.log")

    def _choose(self) -> Ports:
        return ports.choose(self.name, self._remembered_ports(), self._environ)

    def _ports(self) -> Ports:
        remembered = self._remembered_ports()
        return Ports(**remembered) if remembered else self._choose()

    def _remembered_ports(self) -> dict[str, int]:
        found = self._memory().get("ports")
        return dict(found) if isinstance(found, dict) else {}

    def _memory(self) -> dict[str, object]:
        try:
            found = json.loads((self.folder / "instance.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _remember(self, mode: str, chosen: Ports) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / "instance.json.new"
        new.write_text(json.dumps({"mode": mode, "ports": chosen.as_dict()}))
        new.replace(self.folder / "instance.json")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self.folder.with_name(f"{self.name}.lock")
        with locked(lock, f"another run is working on the engines of {self.name!r}", self._tell):
            yield
