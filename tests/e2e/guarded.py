"""A city whose every hop is encrypted and whose every client has credentials of its own: the engines, five processes, the unit's system."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from deploy.acl_rights import user_of
from deploy.engines import Engines
from deploy.engines.guard import Certificate
from shared.contracts.envelope import Outgoing
from shared.messaging.connection import Connection, client_options
from tests.conftest import World
from tests.e2e.fleet import Fleet


def new_certificate(folder: Path) -> Certificate:
    """A certificate for 127.0.0.1, of an authority that nobody else trusts."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    made = Certificate(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    made.file.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    made.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    authority.cert_pem.write_to_path(str(made.ca_file))
    return made


@dataclass
class GuardedWorld(World):
    """Looks as the super user, and asks on `actions.<code>` as that unit's system."""

    passwords: Path = field(default_factory=Path)
    """Folder of the users' passwords."""

    def as_user(self, who: str) -> Connection:
        """The connection of a service (`intake`), of `operator`, or of `unit.<code>`."""
        user = user_of(self.namespace, who)
        password = (self.passwords / user).read_text(encoding="utf-8").strip()
        return replace(self.settings.kafka, username=user, password=password)

    async def send(self, *messages: Outgoing) -> None:
        """Put messages on their topics, each as who may."""
        for message in messages:
            family, _, code = message.topic.partition(".")
            kafka = self.as_user(f"unit.{code}") if family == "actions" else self.settings.kafka
            async with producer(kafka) as sending:
                await sending.send_and_wait(
                    self.namespace + message.topic,
                    message.value,
                    key=message.key.encode(),
                    headers=[(name, text.encode()) for name, text in message.headers.items()],
                )

    def environment(self) -> dict[str, str]:
        """The settings of a process, without the credentials."""
        return super().environment() | {
            "KAFKA_SECURITY_PROTOCOL": self.settings.kafka.protocol,
            "KAFKA_CA_FILE": str(self.settings.kafka.ca_file),
        }

    def environment_of(self, who: str) -> dict[str, str]:
        """The settings of one user's process."""
        user = user_of(self.namespace, who)
        return self.environment() | {"KAFKA_USERNAME": user, "KAFKA_PASSWORD_FILE": str(self.passwords / user)}


@dataclass
class Guarded:
    """The city as tests meet it."""

    world: GuardedWorld
    fleet: Fleet
    engines: Engines
    certificate: Certificate


def guarded_fleet(world: GuardedWorld, folder: Path, certificate: Certificate) -> Fleet:
    """The five services, each with its own credentials, speaking HTTPS; not yet started."""
    fleet = Fleet(world, folder)
    for run in fleet.runs:
        run.scheme = "https"
        run.environment = world.environment_of(run.service) | {
            "SWEEP_SECONDS": run.environment["SWEEP_SECONDS"],
            "TLS_CERT_FILE": str(certificate.file),
            "TLS_KEY_FILE": str(certificate.key_file),
        }
    return fleet


@asynccontextmanager
async def producer(kafka: Connection) -> AsyncIterator[Any]:
    """A client that writes."""
    made = AIOKafkaProducer(**client_options(kafka), enable_idempotence=True, request_timeout_ms=5_000)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def consumer(kafka: Connection, *topics: str, group: str | None = None) -> AsyncIterator[Any]:
    """A client that reads."""
    made = AIOKafkaConsumer(
        *topics,
        **client_options(kafka),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=5_000,
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def admin(kafka: Connection) -> AsyncIterator[Any]:
    """A client that asks about topics and changes them."""
    made = AIOKafkaAdminClient(**client_options(kafka), request_timeout_ms=5_000)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
