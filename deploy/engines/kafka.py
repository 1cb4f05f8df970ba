"""One Apache Kafka node, broker and controller in one process, as near to production's settings as one node can be."""

import base64
import hashlib
import os
import shutil
import socket
import ssl
import struct
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.engines.errors import EngineError
from deploy.engines.fetch import home
from deploy.engines.guard import Guard
from deploy.engines.ports import Ports
from deploy.engines.prerequisites import java
from deploy.engines.processes import Process

if TYPE_CHECKING:
    from deploy.engines.cluster import Member

START_SECONDS = 60
FRUGAL = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""For a node that lives minutes or hours and shares few cores: half the CPU of Java's defaults in its first minutes, 100 MB less."""
LOGGING = Path(__file__).with_name("kafka-log4j2.xml")


class Kafka:
    """The broker of one instance."""

    name = "kafka"

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        environ: Mapping[str, str],
        guard: Guard | None = None,
        member: "Member | None" = None,
    ) -> None:
        self.process = Process(self.name, folder)
        self._guard = guard
        self._member = member
        self._folder = folder / "kafka"
        self._ports = ports
        self._environ = environ

    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self.process.pid() is not None

    def start(self) -> None:
        """Start the broker and return when it answers; raises EngineError with the end of its log."""
        settings = self._write_settings(self.prepare())
        if not self._member:
            self._provide_classes(settings)
        self._run(settings)

    def _run(self, settings: Path, *options: str) -> None:
        command = [*self._java(), *FRUGAL, *options, "-XX:+ExitOnOutOfMemoryError", "kafka.Kafka"]
        self.process.start([*command, str(settings)], cwd=self._folder, env=self._environ)
        # Members start side by side, and wait for one another.
        seconds = START_SECONDS * (3 if self._member else 1)
        self.process.wait_ready(self._serves, seconds)

    def _serves(self) -> bool:
        """Whether clients can work. Consumer groups are asked about where that takes neither credentials nor several brokers."""
        if not answers(self._ports.kafka, self._guard.tls() if self._guard else None):
            return False
        return bool(self._guard or self._member) or coordinates(self._ports.kafka)

    @property
    def data(self) -> Path:
        """Where its logs are."""
        return self._folder / "data"

    def prepare(self) -> Path:
        """Make its log folder where it is missing; return it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self.data.is_dir():
            self._format(self.data)
        return self.data

    def stop(self) -> None:
        """Let the broker close its logs and end."""
        self.process.stop()

    @property
    def _classes(self) -> Path:
        """Where Java keeps Kafka's classes as it has them in memory; of no use to another Java, which does without."""
        program = os.path.realpath(shutil.which(java(self._environ), path=self._environ.get("PATH")) or "java")
        return home("kafka", self._environ) / f"classes-{hashlib.sha256(program.encode()).hexdigest()[:12]}.jsa"

    def _provide_classes(self, settings: Path) -> None:
        """Have a first broker on this machine write down its classes as it ends: each later one starts with half the CPU."""
        classes = self._classes
        if classes.exists() or not os.access(classes.parent, os.W_OK):
            return
        new = classes.with_suffix(f".{os.getpid()}")
        self._run(settings, f"-XX:ArchiveClassesAtExit={new}")
        self.stop()
        new.touch()  # a Java that writes none is not asked again
        new.replace(classes)

    def _java(self) -> list[str]:
        classes = self._classes
        kept = [f"-XX:SharedArchiveFile={classes}"] if classes.exists() and classes.stat().st_size else []
        return [
            *(java(self._environ), "-cp", f"{home('kafka', self._environ) / 'lib'}/*", *kept),
            *(f"-Dlog4j2.configurationFile={LOGGING}", "-Djava.awt.headless=true"),
        ]

    def _format(self, data: Path) -> None:
        """Prepare an empty log folder; made beside and renamed, so that a half-made one is never used."""
        new = data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        settings = self._write_settings(new)
        if self._member:
            arguments = ["-t", self._member.cluster, "-c", str(settings)]
        else:
            cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
            arguments = ["--standalone", "-t", cluster, "-c", str(settings)]
        if self._guard:
            arguments += self._guard.format_arguments()
        done = subprocess.run(
            [*self._java(), "kafka.tools.StorageTool", "format", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=dict(self._environ),
        )
        if done.returncode:
            raise EngineError(f"Kafka could not prepare {data}:\n{(done.stdout + done.stderr)[-2000:]}")
        new.rename(data)

    def _write_settings(self, data: Path) -> Path:
        ports = self._ports
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports.controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka},CONTROLLER://127.0.0.1:{ports.controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka},CONTROLLER://127.0.0.1:{ports.controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "8",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # On a very busy machine a shorter session makes the controller shut its only broker out; a killed broker comes back
            # once its old session has ended.
            "broker.session.timeout.ms": "12000",
            "broker.heartbeat.interval.ms": "1000",
            # The default takes 128 MB of the heap; this compacts topics of some hundred thousand keys in one pass.
            "log.cleaner.dedupe.buffer.size": "33554432",
        }
        if self._guard:
            settings |= self._guard.kafka_settings(ports.kafka, ports.controller)
        if self._member:
            settings |= self._member.settings()
        file = self._folder / "server.properties"
        file.touch(mode=0o600)
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return file


def answers(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a broker answers an ApiVersions request, which it does only once it serves clients, whoever they are."""
    return _does(port, 18, b"", tls)  # 18: ApiVersions


def coordinates(port: int) -> bool:
    """Whether a broker that lets everybody in finds the coordinator of a consumer group; the first who asks lets it make its topic."""
    group = b"deploy.engines"
    return _does(port, 10, struct.pack(">h", len(group)) + group)  # 10: FindCoordinator


def _does(port: int, api: int, body: bytes, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a broker answers a request of version 0 whose answer begins with an error code, and that is none."""
    request = struct.pack(">hhih", api, 0, 1, -1) + body  # correlation 1, no client id
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=1) as plain,
            tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as connection,
        ):
            connection.sendall(struct.pack(">i", len(request)) + request)
            head = connection.makefile("rb").read(10)
    except OSError:
        return False
    return len(head) == 10 and struct.unpack(">iih", head)[1:] == (1, 0)
