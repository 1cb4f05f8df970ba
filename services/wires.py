"""What the settings say of connections, put together: to Kafka, to the store, and of the service's own port; and what of it cannot be."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from shared.messaging.connection import Connection
from shared.storage import is_address

if TYPE_CHECKING:
    from services.settings import Settings

LONGEST_PASSWORD = 1_000
_STORE_FILES = frozenset({"tlscafile", "tlscertificatekeyfile"})


def kafka_of(settings: "Settings") -> Connection:
    """Return how Kafka is reached.

    Raises:
        OSError: the password's file cannot be read.
    """
    return Connection(
        bootstrap=settings.kafka_bootstrap,
        protocol=settings.kafka_security_protocol,
        mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=_password(settings),
        ca_file=settings.kafka_ca_file,
        certificate_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )


def server_tls(settings: "Settings") -> ssl.SSLContext | None:
    """Return how the service's own port is encrypted; None: it is not.

    Raises:
        OSError, ssl.SSLError: a file cannot be read, or is no certificate or key.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    return context


def refuse_wrong_wires(settings: "Settings") -> None:
    """Look at everything that the settings say of connections.

    Raises:
        ValueError: some of it cannot be; all of that, each with what to do.
    """
    wrong = [*_kafka(settings), *_pair(settings, "TLS_CERT_FILE", "TLS_KEY_FILE"), *_store(settings)]
    if wrong:
        raise ValueError("\n  ".join(wrong))


def _kafka(settings: "Settings") -> Iterator[str]:
    protocol = settings.kafka_security_protocol
    given = {
        "KAFKA_USERNAME": bool(settings.kafka_username),
        "KAFKA_PASSWORD": bool(settings.kafka_password.get_secret_value()),
        "KAFKA_PASSWORD_FILE": settings.kafka_password_file is not None,
    }
    if protocol.startswith("SASL_"):
        if not given["KAFKA_USERNAME"]:
            yield f"KAFKA_USERNAME is missing: KAFKA_SECURITY_PROTOCOL {protocol} asks for a user and a password"
        if given["KAFKA_PASSWORD"] == given["KAFKA_PASSWORD_FILE"]:
            yield f"give one of KAFKA_PASSWORD and KAFKA_PASSWORD_FILE with KAFKA_SECURITY_PROTOCOL {protocol}"
        elif given["KAFKA_PASSWORD_FILE"]:
            yield from _password_file(settings)
    else:
        for name in (name for name, is_there in given.items() if is_there):
            yield f"{name} is given, but KAFKA_SECURITY_PROTOCOL {protocol} would not use it: did you mean SASL_SSL?"
    files = {
        "KAFKA_CA_FILE": settings.kafka_ca_file,
        "KAFKA_CERT_FILE": settings.kafka_cert_file,
        "KAFKA_KEY_FILE": settings.kafka_key_file,
    }
    if not protocol.endswith("SSL"):
        for name in (name for name, file in files.items() if file is not None):
            yield f"{name} is given, but KAFKA_SECURITY_PROTOCOL {protocol} encrypts nothing: did you mean SASL_SSL?"
        return
    if settings.kafka_ca_file is not None:
        try:
            ssl.create_default_context(cafile=str(settings.kafka_ca_file))
        except (OSError, ssl.SSLError) as error:
            yield f"KAFKA_CA_FILE {settings.kafka_ca_file} holds no certificates that can be read: {_brief(error)}"
    yield from _pair(settings, "KAFKA_CERT_FILE", "KAFKA_KEY_FILE")


def _password(settings: "Settings") -> str:
    if settings.kafka_password_file is not None:
        return settings.kafka_password_file.read_text(encoding="utf-8").strip()
    return settings.kafka_password.get_secret_value()


def _password_file(settings: "Settings") -> Iterator[str]:
    file = settings.kafka_password_file
    try:
        password = _password(settings)
    except (OSError, UnicodeDecodeError) as error:
        yield f"KAFKA_PASSWORD_FILE {file} cannot be read: {_brief(error)}"
        return
    if not password or len(password) > LONGEST_PASSWORD or "\n" in password:
        yield f"KAFKA_PASSWORD_FILE {file} must hold the password and nothing else, in one line"


def _pair(settings: "Settings", certificate: str, key: str) -> Iterator[str]:
    """Check a certificate and its key."""
    files: list[Path | None] = [getattr(settings, name.lower()) for name in (certificate, key)]
    if (files[0] is None) != (files[1] is None):
        yield f"give both {certificate} and {key}, or neither"
    elif files[0] is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files[0], files[1], password=_no_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            yield f"{certificate} {files[0]} and {key} {files[1]} are no certificate with its key (PEM): {_brief(error)}"


def _store(settings: "Settings") -> Iterator[str]:
    """Check the store's address, and its files, which its driver would look for later only."""
    try:
        named = parse_qs(urlsplit(settings.mongo_url).query)
    except ValueError:
        named = {}
    files = [(name, values[-1]) for name, values in named.items() if name.lower() in _STORE_FILES]
    missing = [(name, file) for name, file in files if not Path(file).is_file()]
    yield from (f"MONGO_URL names {name} {file}, and there is no such file" for name, file in missing)
    if not missing and not is_address(settings.mongo_url):
        encoded = "write / : @ % in user and password as %2F %3A %40 %25"
        yield f"MONGO_URL cannot be read: {encoded}, and look at host, port, options and files"


def _no_passphrase() -> str:
    # Otherwise OpenSSL would ask on the terminal.
    raise ValueError("it has a passphrase; give a key without")


def _brief(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
