"""What a run stands on: engines of its own, a proxy before each process' broker and store, a clock for each process, the five services."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from deploy import topics
from deploy.engines import Engines
from deploy.engines.kafka import Kafka
from deploy.engines.places import postgres_folder
from deploy.engines.ports import Ports, free, setting
from deploy.engines.store import FerretDB, Postgres
from services import NAMES
from services.settings import Settings
from shared.calendar.clock import Clock, write_clock_file
from shared.security.issue import ensure_keys
from tests.chaos.disk import Disk
from tests.chaos.plan import EVERYWHERE, REPLICAS, START, Kind
from tests.chaos.proxies import Proxies
from tests.conftest import DATA, World, without_engines
from tests.e2e.fleet import Fleet, Run

NAME = "chaos"
NAMESPACE = "chaos-"


class ProxiedKafka(Kafka):
    """A broker with further listeners."""

    listeners: Mapping[str, str] = {}

    def _write_settings(self, data: Path) -> Path:
        file = super()._write_settings(data)
        with file.open("a", encoding="utf-8") as out:  # of two lines with the same name the last one counts
            out.writelines(f"{key}={value}\n" for key, value in self.listeners.items())
        return file


class ProxiedEngines(Engines):
    """Engines whose broker has further listeners, as processes."""

    listeners: Mapping[str, str] = {}

    def _local(self, chosen: Ports, engine: str) -> Kafka | Postgres | FerretDB:
        if engine != Kafka.name:
            return super()._local(chosen, engine)
        broker = ProxiedKafka(self.folder, chosen, self._environ)
        broker.listeners = self.listeners
        return broker


@dataclass
class Clocks:
    """The clocks of all processes: one file each, so that one may be wrong; and the right one, in `folder/clock.json`."""

    folder: Path
    names: list[str]
    wrong: dict[str, float] = field(default_factory=dict)
    """Process → by how many seconds its clock is ahead."""

    @property
    def right(self) -> Path:
        """The file of the right time."""
        return self.folder / "clock.json"

    def file(self, name: str) -> Path:
        """The clock file of one process."""
        return self.folder / f"clock-{name}.json"

    def now(self) -> datetime:
        """The right time."""
        return Clock(self.right).now()

    def go_on(self, to: datetime) -> None:
        """Let it be `to` for everybody; who is wrong stays wrong."""
        write_clock_file(self.right, to, backwards=True)
        for name in self.names:
            self._set(name)

    def step(self, name: str, seconds: float) -> None:
        """Let one process' clock be so many seconds ahead."""
        self.wrong[name] = seconds
        self._set(name)

    def _set(self, name: str) -> None:
        ahead = timedelta(seconds=self.wrong.get(name, 0.0))
        write_clock_file(self.file(name), self.now() + ahead, backwards=True)


@dataclass
class Ground:
    """All that is under test."""

    folder: Path
    engines: Engines
    disk: Disk
    proxies: Proxies
    world: World
    fleet: Fleet
    clocks: Clocks

    def run(self, name: str) -> Run:
        """One process, such as `intake-0`."""
        service, _, replica = name.rpartition("-")
        return self.fleet.of(service, int(replica))

    @property
    def names(self) -> list[str]:
        """All processes, the third replicas too."""
        return self.clocks.names

    @property
    def regular(self) -> list[Run]:
        """The processes that always run."""
        return [self.fleet.of(name, replica) for replica in range(REPLICAS) for name in NAMES]


def kinds_here() -> frozenset[Kind]:
    """The faults that can be brought about on this machine."""
    disk = Disk(postgres_folder(NAME).with_name("chaos-try"))
    try:
        return EVERYWHERE | {Kind.FULL_DISK} if disk.mount() else EVERYWHERE
    finally:
        disk.unmount()
        disk.path.rmdir()


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Ground]:
    """Engines, proxies and services, all ready; logs and clocks in `folder`. Nothing of them is left at the end but what is in there."""
    names = [f"{service}-{replica}" for replica in range(REPLICAS + 1) for service in NAMES]
    kafka, controller, ferretdb, postgres, control, *ports = free(5 + 3 * len(names))
    inside, kafka_ports, store_ports = (ports[n::3] for n in range(3))
    environ = without_engines()
    chosen = {"kafka": kafka, "controller": controller, "ferretdb": ferretdb, "postgres": postgres}
    environ |= {setting(NAME, engine): str(port) for engine, port in chosen.items()} | {"XINXIANG_ENGINES": "local"}
    listeners = _listeners(kafka, controller, dict(zip(names, zip(inside, kafka_ports, strict=True), strict=True)))
    engines = ProxiedEngines(NAME, environ)
    engines.listeners = listeners
    disk = Disk(postgres_folder(NAME))
    await asyncio.to_thread(_clean, engines, disk)
    disk.mount()
    try:
        await asyncio.to_thread(engines.up)
        proxies = Proxies(engines.folder, control)
        await asyncio.to_thread(proxies.start)
        for name, within, at_kafka, at_store in zip(names, inside, kafka_ports, store_ports, strict=True):
            await proxies.add(f"{name}-kafka", at_kafka, within)
            await proxies.add(f"{name}-store", at_store, ferretdb)
        world = await _world(engines, folder)
        clocks = Clocks(folder, names)
        clocks.go_on(START)
        fleet = Fleet(world, folder, replicas=REPLICAS + 1)
        for name, run, at_kafka, at_store in zip(names, fleet.runs, kafka_ports, store_ports, strict=True):
            run.environment = run.environment | {
                "KAFKA_BOOTSTRAP": f"127.0.0.1:{at_kafka}",
                "MONGO_URL": f"mongodb://127.0.0.1:{at_store}/",
                "CLOCK_FILE": str(clocks.file(name)),
                "UPLOAD_LIMIT": "",  # all citizens have one address here
            }
        try:
            ground = Ground(folder, engines, disk, proxies, world, fleet, clocks)
            await fleet.up(ground.regular)
            yield ground
        finally:
            fleet.kill_all()
    finally:
        await asyncio.to_thread(_clean, engines, disk)


def _clean(engines: Engines, disk: Disk) -> None:
    engines.down()
    disk.unmount()
    engines.reset()


def _listeners(kafka: int, controller: int, of: dict[str, tuple[int, int]]) -> dict[str, str]:
    """A listener of the broker for each process, which tells its clients to come back through that process' proxy."""
    own = {name.replace("-", "").upper(): ports for name, ports in of.items()}
    inside = [f"{name}://127.0.0.1:{within}" for name, (within, _) in own.items()]
    outside = [f"{name}://127.0.0.1:{proxy}" for name, (_, proxy) in own.items()]
    common = [f"PLAINTEXT://127.0.0.1:{kafka}", f"CONTROLLER://127.0.0.1:{controller}"]
    return {
        "listeners": ",".join([*common, *inside]),
        "advertised.listeners": ",".join([*common, *outside]),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *own)),
        "inter.broker.listener.name": "PLAINTEXT",
        **{f"listener.name.{name.lower()}.num.network.threads": "1" for name in own},
    }


async def _world(engines: Engines, folder: Path) -> World:
    keys = folder / "keys"
    ensure_keys(keys)
    urls = engines.urls()
    settings = Settings(
        kafka_bootstrap=urls.kafka_bootstrap,
        mongo_url=urls.mongo_url,
        namespace=NAMESPACE,
        directory_file=DATA / "directory.yaml",
        clock_file=folder / "clock.json",
        bulletin_public=True,
    )
    world = World(settings, folder / "clock.json", keys)
    codes = [mailbox.code for mailbox in world.kit().directory.mailboxes()]
    await topics.apply(settings.kafka_bootstrap, settings.namespace, codes)
    return world
