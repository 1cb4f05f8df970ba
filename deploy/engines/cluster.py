"""Several Apache Kafka nodes on one machine, each broker and controller: what a city runs on three machines, to break one by one.

    cluster = Cluster("mine")
    bootstrap = cluster.up()      # 127.0.0.1:…,127.0.0.1:…,127.0.0.1:…
    cluster.kill(1)               # SIGKILL
    cluster.start(1)
    cluster.reset()               # stop and forget everything

Replication is as in production: three replicas, two of which must have a message before it is acknowledged.
"""

import base64
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.engines import fetch, ports, prerequisites
from deploy.engines.kafka import Kafka
from deploy.engines.places import instance_folder
from deploy.engines.ports import Ports
from deploy.engines.progress import Say, say, step

NODES = (1, 2, 3)
REPLICAS = 3
LEAST = 2
"""How many replicas must have a message before it is acknowledged (`min.insync.replicas`)."""


@dataclass(frozen=True)
class Member:
    """One node among others."""

    node: int
    cluster: str
    """The cluster's id; nodes with another one are refused."""
    controllers: Mapping[int, int]
    """Node → the port where its controller listens."""

    def settings(self) -> dict[str, str]:
        """What its settings have beside, or instead of, those of a node that is alone."""
        voters = (f"{node}@127.0.0.1:{port}" for node, port in self.controllers.items())
        return {
            "node.id": str(self.node),
            "controller.quorum.voters": ",".join(voters),
            "default.replication.factor": str(REPLICAS),
            "min.insync.replicas": str(LEAST),
            "offsets.topic.replication.factor": str(REPLICAS),
            "transaction.state.log.replication.factor": str(REPLICAS),
            "transaction.state.log.min.isr": str(LEAST),
            "share.coordinator.state.topic.replication.factor": str(REPLICAS),
            "share.coordinator.state.topic.min.isr": str(LEAST),
            # Kafka's own default: after so long others lead what a broker that is gone led.
            "broker.session.timeout.ms": "9000",
        }


class Cluster:
    """Three nodes under one name; the store is not theirs. Every method raises EngineError with what to do."""

    def __init__(self, name: str, environ: Mapping[str, str] | None = None, tell: Say = say) -> None:
        self.name = name
        self.folder = instance_folder(name)
        self._environ = dict(os.environ if environ is None else environ)
        self._tell = tell
        self._nodes: dict[int, Kafka] = {}

    @property
    def bootstrap(self) -> str:
        """host:port of every node, as KAFKA_BOOTSTRAP has it."""
        return ",".join(f"127.0.0.1:{port}" for port in self._ports()["kafka"])

    def up(self) -> str:
        """Start the nodes that do not run, fetching Kafka first where needed; return the bootstrap list."""
        lacking = fetch.missing(["kafka"], self._environ)
        prerequisites.refuse(prerequisites.lacks(["kafka"], lacking, self._environ))
        fetch.fetch(["kafka"], self._environ, self._tell)
        with step(f"{self.name}: starting {len(NODES)} Kafka nodes", self._tell):
            self.start(*NODES)
        return self.bootstrap

    def start(self, *nodes: int) -> None:
        """Start nodes, all at once: alone none of them is a majority that could agree on anything."""
        self._prepare()
        absent = [self._node(node) for node in nodes if not self._node(node).running()]
        self._all(absent, "start")

    def kill(self, *nodes: int) -> None:
        """End nodes with SIGKILL."""
        for node in nodes:
            self._node(node).process.kill()

    def running(self) -> list[int]:
        """The nodes that run."""
        return [node for node in NODES if self._node(node).running()]

    def down(self) -> None:
        """Stop all nodes."""
        self._all([self._node(node) for node in NODES], "stop")

    def reset(self) -> None:
        """Stop all nodes at once, without waiting for them to hand over, and forget all their data."""
        self.kill(*self.running())
        shutil.rmtree(self.folder, ignore_errors=True)
        self._nodes.clear()

    def _prepare(self) -> None:
        """Prepare the nodes' empty log folders: one by Kafka's own tool, the others as copies of it with names of their own."""
        first = self._node(NODES[0]).prepare()
        for node in NODES[1:]:
            data = self._node(node).data
            if data.is_dir():
                continue
            new = data.with_name("data.new")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(first, new)
            properties = new / "meta.properties"
            own = {"node.id": str(node), "directory.id": _id()}
            lines = (line.partition("=") for line in properties.read_text().splitlines())
            properties.write_text("".join(f"{key}{sign}{own.get(key, value)}\n" for key, sign, value in lines))
            new.rename(data)

    @staticmethod
    def _all(nodes: Iterable[Kafka], deed: str) -> None:
        with ThreadPoolExecutor(len(NODES)) as pool:
            for done in [pool.submit(getattr(node, deed)) for node in nodes]:
                done.result()

    def _node(self, node: int) -> Kafka:
        if node not in self._nodes:
            chosen = self._ports()
            place = NODES.index(node)
            own = Ports(kafka=chosen["kafka"][place], controller=chosen["controller"][place], ferretdb=0, postgres=0)
            controllers = dict(zip(NODES, chosen["controller"], strict=True))
            member = Member(node, self._id(), controllers)
            self._nodes[node] = Kafka(self.folder / f"node-{node}", own, self._environ, member=member)
        return self._nodes[node]

    def _id(self) -> str:
        return str(self._memory()["cluster"])

    def _ports(self) -> dict[str, list[int]]:
        found = self._memory()["ports"]
        assert isinstance(found, dict)
        return found

    def _memory(self) -> dict[str, object]:
        """What is remembered of the cluster: chosen at its first start."""
        file: Path = self.folder / "cluster.json"
        if not file.exists():
            free = ports.free(2 * len(NODES))
            chosen = {"kafka": free[: len(NODES)], "controller": free[len(NODES) :]}
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"cluster": _id(), "ports": chosen}))
        kept: dict[str, object] = json.loads(file.read_text())
        return kept


def _id() -> str:
    """An id as Kafka writes them; none that begins with a dash."""
    return base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
