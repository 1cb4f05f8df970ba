"""Settings of connections: what fits together is taken, what does not is refused at start, all at once, with no secret in it."""

import ssl
from pathlib import Path

import pytest

from deploy.engines.guard import Certificate
from services.settings import Settings, WrongSettings, load_settings
from services.wires import server_tls
from shared.messaging.connection import Connection, broker_options, client_options
from tests.e2e.guarded import new_certificate

NAMES = [name.upper() for name in Settings.model_fields if name.startswith(("kafka_", "tls_", "mongo_"))]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate, its key and its authority."""
    return new_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def given(monkeypatch: pytest.MonkeyPatch, **values: object) -> Settings:
    """The settings of a process with this environment."""
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    return load_settings()


def refusal(monkeypatch: pytest.MonkeyPatch, **values: object) -> str:
    """What a start with this environment says."""
    with pytest.raises(WrongSettings) as refused:
        given(monkeypatch, **values)
    return str(refused.value)


def test_without_settings_nothing_is_encrypted_and_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch)
    assert client_options(settings.kafka) == {
        "bootstrap_servers": ["127.0.0.1:19092"],
        "security_protocol": "PLAINTEXT",
    }
    assert broker_options(settings.kafka) == {"bootstrap_servers": ["127.0.0.1:19092"]}
    assert server_tls(settings) is None


def test_credentials_come_from_files_as_secrets_are_mounted(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("very secret\n")
    settings = given(
        monkeypatch,
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_USERNAME="xinxiang.intake",
        KAFKA_PASSWORD_FILE=secret,
        KAFKA_CA_FILE=certificate.ca_file,
        KAFKA_CERT_FILE=certificate.file,
        KAFKA_KEY_FILE=certificate.key_file,
    )
    options = client_options(settings.kafka)
    context = options.pop("ssl_context")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert options == {
        "bootstrap_servers": ["127.0.0.1:19092"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "xinxiang.intake",
        "sasl_plain_password": "very secret",
    }
    assert "very secret" not in repr(settings) + repr(settings.kafka)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_the_services_broker_is_told_the_same_as_every_other_client(protocol: str, mechanism: str) -> None:
    from faststream.kafka.security import parse_security  # noqa: PLC0415

    connection = Connection("a:1,b:2", protocol, mechanism, "user", "secret")
    plain, fast = client_options(connection), broker_options(connection)
    told = {name: value for name, value in parse_security(fast["security"]).items() if value is not None}
    assert fast["bootstrap_servers"] == plain["bootstrap_servers"] == ["a:1", "b:2"]
    assert told.pop("ssl_context", None).__class__ is plain.pop("ssl_context", None).__class__
    assert told == {name: value for name, value in plain.items() if name != "bootstrap_servers"}


def test_everything_that_does_not_fit_together_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate, tmp_path: Path
) -> None:
    said = refusal(
        monkeypatch,
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_PASSWORD="one secret",
        KAFKA_PASSWORD_FILE=tmp_path / "other",
        KAFKA_CA_FILE=tmp_path / "missing.pem",
        KAFKA_CERT_FILE=certificate.file,
        TLS_CERT_FILE=certificate.file,
        TLS_KEY_FILE=certificate.ca_file,
        MONGO_URL=f"mongodb://store/?tls=true&tlsCAFile={tmp_path / 'none.pem'}",
    )
    for expected in (
        "KAFKA_USERNAME is missing",
        "one of KAFKA_PASSWORD and KAFKA_PASSWORD_FILE",
        f"KAFKA_CA_FILE {tmp_path / 'missing.pem'}",
        "both KAFKA_CERT_FILE and KAFKA_KEY_FILE",
        f"TLS_CERT_FILE {certificate.file} and TLS_KEY_FILE {certificate.ca_file}",
        "MONGO_URL names tlsCAFile",
    ):
        assert expected in said
    assert "one secret" not in said


@pytest.mark.parametrize(
    "address", ["u:one/secret@store/", "u:one@secret@store:1:2/", "store:99999/", "store/?nonsense=1", "[::1/"]
)
def test_an_address_of_the_store_that_its_driver_cannot_read_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    said = refusal(monkeypatch, MONGO_URL=f"mongodb://{address}")
    assert "MONGO_URL" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"KAFKA_USERNAME": "x"}, "did you mean SASL_SSL"),
        ({"KAFKA_PASSWORD": "x", "KAFKA_SECURITY_PROTOCOL": "SSL"}, "did you mean SASL_SSL"),
        ({"KAFKA_CA_FILE": "ca.pem"}, "encrypts nothing"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_USERNAME": "x"}, "one of KAFKA_PASSWORD"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "SCRAM-SHA-512"),
        ({"TLS_CERT_FILE": "cert.pem"}, "both TLS_CERT_FILE and TLS_KEY_FILE"),
    ],
)
def test_what_would_silently_not_be_used_is_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], expected: str
) -> None:
    assert expected in refusal(monkeypatch, **values)


@pytest.mark.parametrize("content", ["", "two\nlines\n"])
def test_a_password_s_file_holds_the_password_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    said = refusal(monkeypatch, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT", KAFKA_USERNAME="x", KAFKA_PASSWORD_FILE=file)
    assert "nothing else" in said


def test_the_services_port_speaks_no_old_version_of_tls(
    monkeypatch: pytest.MonkeyPatch, certificate: Certificate
) -> None:
    settings = given(monkeypatch, TLS_CERT_FILE=certificate.file, TLS_KEY_FILE=certificate.key_file)
    context = server_tls(settings)
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
