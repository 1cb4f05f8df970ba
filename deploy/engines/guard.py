"""Engines that ask who is there: Kafka (SASL/SCRAM, ACLs that deny by default) and the store; with a certificate, all by TLS.

For tests of credentials and of encryption; a first example of a broker's settings for operators, too.
"""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd

ADMIN = "admin"
"""The one user who may everything: it makes the others and their rights."""
STORE_USER = "xinxiang"
"""Who the services are at the store. FerretDB knows no rights: whoever is let in may everything."""
_BROKER = "broker"
_MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True)
class Certificate:
    """The engines' certificate for 127.0.0.1."""

    file: Path
    """The certificate and its chain (PEM)."""
    key_file: Path
    """Its private key (PEM, PKCS #8, no passphrase)."""
    ca_file: Path
    """Who signed it."""


@dataclass(frozen=True)
class Guard:
    """What one instance asks of its clients."""

    password: str = field(repr=False)
    """Of `ADMIN`, and of the engines' own connections (URL-safe)."""
    store_password: str = field(repr=False)
    """Of `STORE_USER` (URL-safe)."""
    certificate: Certificate | None = None

    @property
    def protocol(self) -> str:
        """What clients of Kafka speak."""
        return "SASL_SSL" if self.certificate else "SASL_PLAINTEXT"

    def tls(self) -> ssl.SSLContext | None:
        """How a client trusts the engines; None where nothing is encrypted."""
        return ssl.create_default_context(cafile=str(self.certificate.ca_file)) if self.certificate else None

    def format_arguments(self) -> list[str]:
        """What formatting Kafka's folder needs besides: the first user."""
        return ["--add-scram", f"{_MECHANISM}=[name={ADMIN},password={self.password}]"]

    def kafka_settings(self, port: int, controller: int) -> dict[str, str]:
        """Settings of a Kafka node, over those of one that asks nobody."""
        listeners = f"CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}"
        settings = {
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": f"CLIENTS:{self.protocol},CONTROLLER:{self.protocol}",
            "inter.broker.listener.name": "CLIENTS",
            "sasl.enabled.mechanisms": _MECHANISM,
            "sasl.mechanism.inter.broker.protocol": _MECHANISM,
            # Controllers cannot look SCRAM users up: these are in what they keep.
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required "
                f'username="{ADMIN}" password="{self.password}";'
            ),
            "listener.name.controller.plain.sasl.jaas.config": (
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'username="{_BROKER}" password="{self.password}" user_{_BROKER}="{self.password}";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{ADMIN};User:{_BROKER}",
        }
        if self.certificate:
            settings |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": _one_line(self.certificate.file),
                "ssl.keystore.key": _one_line(self.certificate.key_file),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.certificates": _one_line(self.certificate.ca_file),
                "ssl.enabled.protocols": "TLSv1.2,TLSv1.3",
            }
        return settings

    def postgres_settings(self, folder: Path, user: struct_passwd | None) -> dict[str, str]:
        """Settings of PostgreSQL, over those of one that asks nobody; its certificate is put where its user can read it."""
        if not self.certificate:
            return {}
        for name, file in (("server.crt", self.certificate.file), ("server.key", self.certificate.key_file)):
            _write_for(user, folder / name, file.read_bytes())
        return {
            "ssl": "on",
            "ssl_cert_file": str(folder / "server.crt"),
            "ssl_key_file": str(folder / "server.key"),
            "ssl_min_protocol_version": "TLSv1.2",
        }

    def password_file(self, folder: Path, user: struct_passwd | None) -> Path:
        """A file with PostgreSQL's password, for `initdb` and its user only; delete it afterwards."""
        file = folder / "password"
        _write_for(user, file, self.password.encode())
        return file

    def postgres_login(self) -> dict[str, str]:
        """The environment of whoever connects to PostgreSQL."""
        return {"PGPASSWORD": self.password}

    def store_user(self) -> str:
        """The SQL that makes `STORE_USER`, or gives it its password."""
        return (
            f"do $$ begin create role {STORE_USER} login; exception when duplicate_object then null; end $$; "
            f"alter role {STORE_USER} password '{self.store_password}'"
        )

    def postgres_query(self) -> str:
        """What FerretDB's address of PostgreSQL ends with, so that it speaks TLS and trusts nobody else."""
        return f"&sslmode=verify-full&sslrootcert={self.certificate.ca_file}" if self.certificate else ""

    def ferretdb_arguments(self, port: int) -> list[str]:
        """How FerretDB listens: with TLS only."""
        if not self.certificate:
            return [f"--listen-addr=127.0.0.1:{port}"]
        return [
            "--listen-addr=-",
            f"--listen-tls=127.0.0.1:{port}",
            f"--listen-tls-cert-file={self.certificate.file}",
            f"--listen-tls-key-file={self.certificate.key_file}",
        ]

    def mongo_url(self, port: int) -> str:
        """Where services find the store, and as whom."""
        query = f"?tls=true&tlsCAFile={self.certificate.ca_file}" if self.certificate else ""
        return f"mongodb://{STORE_USER}:{self.store_password}@127.0.0.1:{port}/{query}"


def _write_for(user: struct_passwd | None, file: Path, content: bytes) -> None:
    """Write a file anew that only this user, else only we, can read."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)
    if user:
        os.chown(file, user.pw_uid, user.pw_gid)


def _one_line(file: Path) -> str:
    """A PEM file as a value in a Java properties file."""
    return file.read_text(encoding="ascii").strip().replace("\n", "\\n")
