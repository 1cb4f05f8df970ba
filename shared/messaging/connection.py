"""How a process reaches Kafka: the one place for brokers, encryption and credentials of every client.

`client_options` gives them as aiokafka's consumers, producers and admin clients take them, `broker_options` as FastStream's broker does;
`why_refused` says in words why no connection comes about, which the clients keep to themselves.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    CorrelationIdError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

LOOK_MS = 5_000


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are, and as whom they are spoken to."""

    bootstrap: str
    """host:port of one or more brokers, separated by commas."""
    protocol: str = "PLAINTEXT"
    """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    mechanism: str = "SCRAM-SHA-512"
    """SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN."""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    """Certificates (PEM) of who may have signed the brokers'; none: those that the system trusts."""
    certificate_file: Path | None = None
    """This client's certificate (PEM), where brokers ask for one, and its chain."""
    key_file: Path | None = None
    """Its private key (PEM, without a passphrase)."""

    @property
    def brokers(self) -> list[str]:
        """Each broker's host:port."""
        return self.bootstrap.split(",")

    @property
    def encrypted(self) -> bool:
        """Whether it is TLS."""
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def authenticated(self) -> bool:
        """Whether it is with user and password."""
        return self.protocol.startswith("SASL_")

    def tls(self) -> ssl.SSLContext | None:
        """Return how to encrypt; None where nothing is encrypted.

        Raises:
            OSError, ssl.SSLError: a file cannot be read, or is no certificate or key.
        """
        if not self.encrypted:
            return None
        context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


Kafka: TypeAlias = Connection | str
"""A connection; brokers alone mean one that is neither encrypted nor authenticated."""


def connection_of(kafka: Kafka) -> Connection:
    """Return the connection."""
    return Connection(kafka) if isinstance(kafka, str) else kafka


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Return what every client of aiokafka needs to be told."""
    connection = connection_of(kafka)
    options: dict[str, Any] = {"bootstrap_servers": connection.brokers, "security_protocol": connection.protocol}
    if connection.encrypted:
        options["ssl_context"] = connection.tls()
    if connection.authenticated:
        options |= {
            "sasl_mechanism": connection.mechanism,
            "sasl_plain_username": connection.username,
            "sasl_plain_password": connection.password,
        }
    return options


_SECURITY: dict[str, Callable[..., BaseSecurity]] = {
    "PLAIN": SASLPlaintext,
    "SCRAM-SHA-256": SASLScram256,
    "SCRAM-SHA-512": SASLScram512,
}


def broker_options(kafka: Kafka) -> dict[str, Any]:
    """Return what FastStream's broker needs to be told."""
    connection = connection_of(kafka)
    options: dict[str, Any] = {"bootstrap_servers": connection.brokers}
    if connection.authenticated:
        make = _SECURITY[connection.mechanism]
        options["security"] = make(
            connection.username, connection.password, ssl_context=connection.tls(), use_ssl=connection.encrypted
        )
    elif connection.encrypted:
        options["security"] = BaseSecurity(ssl_context=connection.tls(), use_ssl=True)
    return options


async def why_refused(kafka: Kafka) -> str:
    """Try each broker once and say why there is no connection; "" where there is one, or no broker listens at all."""
    connection = connection_of(kafka)
    options = client_options(connection)
    brokers = options.pop("bootstrap_servers")
    closed = (
        "the broker closes the connection before it answers: does its port speak "
        f"KAFKA_SECURITY_PROTOCOL {connection.protocol}?"
    )
    found = ""
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        try:
            made = await create_conn(host, int(port), request_timeout_ms=LOOK_MS, **options)
        except (KafkaError, OSError) as error:
            found = found or said_of(error, connection) or (closed if isinstance(error, _CLOSED) else "")
        else:
            try:
                # Versions are told to anybody: a broker that wants a password closes the connection at the next question.
                await made.send(MetadataRequest([]))
            except (KafkaError, OSError) as error:
                found = found or said_of(error, connection) or closed
            else:
                return ""
            finally:
                made.close()
    return found


_CLOSED = (KafkaConnectionError, CorrelationIdError, ConnectionResetError)


def said_of(error: BaseException, connection: Connection) -> str:
    """Return in words what an error says of credentials, rights or encryption, without the password; "" where it is about none."""
    for kinds, say in _SAID:
        if isinstance(error, kinds):
            return say(error, connection)
    return ""


def _no_right(error: BaseException, connection: Connection) -> str:
    what = type(error).__name__.removesuffix("AuthorizationFailedError").lower()
    return (
        f"the broker does not let {connection.username or 'a nameless client'} use a {what} ({error}): "
        "`python -m deploy.acls check` says which rights are missing"
    )


def _no_mechanism(_: BaseException, connection: Connection) -> str:
    return (
        f"the broker does not take KAFKA_SASL_MECHANISM {connection.mechanism} "
        f"with KAFKA_SECURITY_PROTOCOL {connection.protocol}"
    )


def _wrong_password(_: BaseException, connection: Connection) -> str:
    return (
        f"the broker refuses the user {connection.username!r} with {connection.mechanism}: "
        "look at KAFKA_USERNAME, KAFKA_PASSWORD and KAFKA_SASL_MECHANISM"
    )


def _not_trusted(error: BaseException, _: Connection) -> str:
    why = getattr(error, "verify_message", "")
    return f"the broker's certificate is not trusted ({why}): look at KAFKA_CA_FILE and the host in KAFKA_BOOTSTRAP"


def _no_tls(error: BaseException, connection: Connection) -> str:
    return (
        f"no TLS with the broker ({getattr(error, 'reason', None) or 'closed'}): it wants a client's certificate (KAFKA_CERT_FILE), "
        f"or does not speak TLS on this port (KAFKA_SECURITY_PROTOCOL is {connection.protocol})"
    )


_SAID: tuple[tuple[tuple[type[BaseException], ...], Callable[[BaseException, Connection], str]], ...] = (
    ((TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError), _no_right),
    ((UnsupportedSaslMechanismError, IllegalSaslStateError), _no_mechanism),
    ((AuthenticationFailedError, SaslAuthenticationFailed), _wrong_password),
    ((ssl.SSLCertVerificationError,), _not_trusted),
    ((ssl.SSLError,), _no_tls),
)
"""The first that fits says it."""
