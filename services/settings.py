"""Settings, all from the environment; a wrong one is refused at start with its name and what it may be."""

from datetime import time, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.wires import kafka_of, refuse_wrong_wires
from shared.messaging.connection import Connection
from shared.messaging.topics import Copies
from shared.security.sign_in_settings import SignInSettings
from shared.security.tokens import TokenSettings

RATE = r"^([1-9]\d{0,5}/[1-9]\d{0,5})?$"
SAMPLE = Path("deploy/sample/directory.yaml")
TOPICS = Path("deploy/topics.yaml")
REDACTION = Path("deploy/redaction.yaml")
CHECKLIST = Path("deploy/sample/checklist.yaml")
ASSESSMENT = Path("deploy/sample/assessment.yaml")
SHORTEST_SECRET = 16
DEMONSTRATION_SECRET = "for demonstrations only: set RECEIPT_SECRET"  # noqa: S105 - which production refuses


def _numbers(value: Any) -> Any:
    """Read `3,1` as (3, 1), and 0 or nothing as ()."""
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, int):
        value = (value,)
    return () if value in (("0",), (0,)) else value


def _words(value: Any) -> Any:
    """Read `a, b` as ("a", "b")."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _network(value: str) -> str:
    """Read an address as the network of that address alone."""
    return str(ip_network(value, strict=False))


Model = TypeVar("Model", bound=BaseSettings)


class Settings(BaseSettings):
    """What a service needs to know. Each name in capitals is the environment variable."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    profile: Literal["demonstration", "production"] = "demonstration"
    """PROFILE: `production` refuses at start all that is for demonstrations, and makes the built-in token command refuse to work."""
    kafka_bootstrap: Annotated[str, Field(pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$")] = "127.0.0.1:19092"
    """KAFKA_BOOTSTRAP: host:port of one or more brokers, separated by commas."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """KAFKA_SECURITY_PROTOCOL: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL; SSL means encrypted, SASL with user and password."""
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """KAFKA_SASL_MECHANISM: SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN."""
    kafka_username: str = ""
    """KAFKA_USERNAME: the Kafka user, where SASL asks for one."""
    kafka_password: SecretStr = SecretStr("")
    """KAFKA_PASSWORD: its password."""
    kafka_password_file: Path | None = None
    """KAFKA_PASSWORD_FILE: or a file that holds nothing but the password, as secrets are mounted."""
    kafka_ca_file: Path | None = None
    """KAFKA_CA_FILE: certificates (PEM) of who may have signed the brokers'; none: those that the system trusts."""
    kafka_cert_file: Path | None = None
    """KAFKA_CERT_FILE: this client's certificate (PEM), where brokers ask for one; with KAFKA_KEY_FILE."""
    kafka_key_file: Path | None = None
    """KAFKA_KEY_FILE: the private key (PEM, no passphrase) of KAFKA_CERT_FILE."""
    tls_cert_file: Path | None = None
    """TLS_CERT_FILE: the service's certificate and its chain (PEM): it then speaks HTTPS only, TLS 1.2 or later; with TLS_KEY_FILE."""
    tls_key_file: Path | None = None
    """TLS_KEY_FILE: the private key (PEM, no passphrase) of TLS_CERT_FILE."""
    mongo_url: Annotated[str, Field(pattern=r"^mongodb(\+srv)?://.+")] = "mongodb://127.0.0.1:17017/"
    """MONGO_URL: address of the document store, with user, password and `tls=true&tlsCAFile=…` where it asks for them."""
    namespace: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,30}-)?$")] = ""
    """NAMESPACE: prefix, ending in `-`, of topics, consumer groups and databases, where engines are shared. Empty: none."""
    directory_file: Path = SAMPLE
    """DIRECTORY_FILE: the directory of mailboxes (YAML), with its domains and regions beside it."""
    topics_file: Path = TOPICS
    """TOPICS_FILE: the declaration of topics; routing makes those of a mailbox that is added while it runs."""
    topic_replicas: Annotated[int, Field(ge=0, le=9)] = 0
    """TOPIC_REPLICAS: how many brokers keep each topic; 0: what TOPICS_FILE says, at most as many as there are brokers."""
    topic_min_insync: Annotated[int, Field(ge=0, le=9)] = 0
    """TOPIC_MIN_INSYNC: how many of them must have a message before it is acknowledged; 0: one less than keep it, at least one."""
    redaction_file: Path = REDACTION
    """REDACTION_FILE: the words by which publication proposes redactions (YAML, R9.1)."""
    schedules_folder: Path | None = None
    """SCHEDULES_FOLDER: State Council schedules of years that the calendar library does not know (one YAML file a year)."""
    checklist_file: Path = CHECKLIST
    """CHECKLIST_FILE: the list against which spot-checked letters are checked (YAML, R11.1)."""
    assessment_file: Path = ASSESSMENT
    """ASSESSMENT_FILE: indicators, weights and bounds of the assessment (YAML, R11.4)."""
    clock_file: Path | None = None
    """CLOCK_FILE: lets the clock start elsewhere and run fast, for demonstrations and tests only."""
    receipt_secret: SecretStr = SecretStr(DEMONSTRATION_SECRET)
    """RECEIPT_SECRET: at least 16 characters; letter ids and receipt codes are derived from it. Never change it."""
    host: str = "127.0.0.1"
    """HOST: the address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """PORT: the port to listen on; by default 8101 to 8105 in the order of the letter's way, 8100 for `all`."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """LOG_LEVEL: DEBUG, INFO, WARNING or ERROR."""
    release: Annotated[str, Field(pattern=r"^[\w.+-]{1,64}$")] = "checkout"
    """RELEASE: what metrics and `deploy.ops health` call the release: at most 64 letters, digits and `_.+-`; an image knows its own."""
    sweep_seconds: Annotated[float, Field(ge=0.02, le=60)] = 1.0
    """SWEEP_SECONDS: real seconds between two looks at what is due."""
    measure_seconds: Annotated[float, Field(ge=0.1, le=60)] = 10.0
    """MEASURE_SECONDS: real seconds between two counts of what metrics show (letters, lag, what is parked or unsent)."""
    most_waiting: Annotated[int, Field(ge=100, le=1_000_000)] = 5_000
    """MOST_WAITING: of one intake process's share of accepted letters, how many may wait to be stored until it asks others to come back."""
    working_hours: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] = "09:00-18:00"
    """WORKING_HOURS: from when to when letters are read on a working day, Asia/Shanghai (R3.1)."""
    reply_working_days: Annotated[int, Field(ge=1, le=60)] = 10
    """REPLY_WORKING_DAYS: the limit of R6.1."""
    remind_working_days: Annotated[
        tuple[Annotated[int, Field(ge=1, le=30)], ...], NoDecode, BeforeValidator(_numbers), Field(max_length=5)
    ] = (2,)
    """REMIND_WORKING_DAYS: how many working days before the limit the assignee is reminded, e.g. `2` or `3,1`; `0`: never."""
    disposition_working_days: Annotated[int, Field(ge=1, le=60)] = 3
    """DISPOSITION_WORKING_DAYS: within how many working days of its registration a letter must be disposed of (R1.4)."""
    urge_every_working_days: Annotated[int, Field(ge=1, le=60)] = 3
    """URGE_EVERY_WORKING_DAYS: interval between urgings while nothing happens (R7.1)."""
    attachment_max_bytes: Annotated[int, Field(ge=1, le=100_000_000)] = 10_000_000
    """ATTACHMENT_MAX_BYTES: the largest file a citizen may attach, and staff may upload to be published."""
    scanner: Annotated[str, Field(pattern=r"^(clamav://([^\s/:\[\]]+|\[[0-9a-fA-F:]+\]):[1-9]\d{0,4})?$")] = ""
    """SCANNER: address of a ClamAV daemon that looks into every attachment, such as `clamav://127.0.0.1:3310`; empty: none (R2.2)."""
    unscanned: Literal["hold", "accept"] | None = None
    """UNSCANNED: what becomes of attachments that no scanner has looked into yet: `hold` or `accept`; none: hold where SCANNER is set."""
    invalid_retention_days: Annotated[int, Field(ge=1, le=3650)] = 180
    """INVALID_RETENTION_DAYS: calendar days after which the text of a letter that was not accepted is erased (R3.7)."""
    portal_url: Annotated[str, Field(pattern=r"^(https?://[^\s{}]+\{mailbox\}[^\s{}]*)?$")] = ""
    """PORTAL_URL: address of the portal's form for letters, with `{mailbox}` where a mailbox's code goes (R1.5). Empty: /write."""
    cors_origins: Annotated[
        tuple[Annotated[str, Field(pattern=r"^https?://[^\s/,*]+$")], ...], NoDecode, BeforeValidator(_words)
    ] = ()
    """CORS_ORIGINS: sites whose pages may post letters from the browser (R1.5), separated by commas, such as `https://www.example.gov.cn`."""
    bulletin_public: bool = False
    """BULLETIN_PUBLIC: whether anybody may read the weekly bulletin, small figures and all; it is for leaders and units (R11.2)."""
    bulletin_after: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "01:00"
    """BULLETIN_AFTER: at what time of the first day after its period a bulletin is issued, Asia/Shanghai (R11.2), e.g. `01:00`."""
    bulletin_list_file: Path = Path("deploy/sample/bulletins.yaml")
    """BULLETIN_LIST_FILE: to whom bulletins go (主送, 抄送), by series (YAML; R11.2, R11.3)."""
    fonts_folder: Path = Path(".local/fonts")
    """FONTS_FOLDER: a folder with NotoSerifCJK-Regular.ttc and -Bold.ttc, and further fonts for what these lack; else the system's."""
    letter_url: Annotated[str, Field(pattern=r"^https?://\S*\{letter_id\}\S*$", max_length=500)] = (
        "http://127.0.0.1:8102/routing/letters/{letter_id}"
    )
    """LETTER_URL: where the code on a printed slip leads; `{letter_id}` stands for the letter's id (R4.6)."""
    site_url: Annotated[str, Field(pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*[^\s?#/])?)?$", max_length=200)] = ""
    """SITE_URL: public address of the site, such as `https://mail.example.gov.cn`, for links that must be whole (R9.2)."""
    search_folder: Path | None = None
    """SEARCH_FOLDER: where search indexes are kept from one start to the next; none: they are made anew at each start."""
    open_data_licence: Annotated[str, Field(min_length=1, max_length=300)] = (
        "CC BY 4.0 https://creativecommons.org/licenses/by/4.0/deed.zh-hans"
    )
    """OPEN_DATA_LICENCE: under what licence published letters may be used again: its name, then its address (R9.2)."""
    challenge: Literal["always", "when_busy", "off"] = "when_busy"
    """CHALLENGE: when a letter from the page costs some work of the browser, or waiting: always, when_busy or off."""
    challenge_numbers: Annotated[int, Field(ge=1, le=100_000_000)] = 200_000
    """CHALLENGE_NUMBERS: how many numbers a browser tries at the most, half of them on the average."""
    challenge_free: Annotated[str, Field(pattern=RATE)] = "3/600"
    """CHALLENGE_FREE: letters of one address in so many seconds that cost nothing when_busy; empty: any number."""
    challenge_busy: Annotated[str, Field(pattern=RATE)] = "120/60"
    """CHALLENGE_BUSY: letters of all addresses together in so many seconds, beyond which each costs something; empty: never."""
    write_limit: Annotated[str, Field(pattern=RATE)] = "30/3600"
    """WRITE_LIMIT: letters that one address may send from the page in so many seconds; empty: any number."""
    form_limit: Annotated[str, Field(pattern=RATE)] = "240/600"
    """FORM_LIMIT: how often one address may send the page's form in so many seconds, for whatever; empty: any number."""
    upload_limit: Annotated[str, Field(pattern=RATE)] = "60/3600"
    """UPLOAD_LIMIT: files that one address may upload in so many seconds; empty: any number."""
    follow_limit: Annotated[str, Field(pattern=RATE)] = "60/600"
    """FOLLOW_LIMIT: how often one address may look letters up on the page in so many seconds; empty: any number."""
    portal_limit: Annotated[str, Field(pattern=RATE)] = ""
    """PORTAL_LIMIT: letters and files that one address may post as JSON in so many seconds; empty: any number."""
    portal_addresses: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_words)
    ] = ()
    """PORTAL_ADDRESSES: addresses or networks of the city's own portals, separated by commas, which PORTAL_LIMIT and UPLOAD_LIMIT spare."""
    trusted_proxies: Annotated[int, Field(ge=0, le=5)] = 0
    """TRUSTED_PROXIES: how many proxies of ours stand before the service and add to X-Forwarded-For."""
    hsts: bool = False
    """HSTS: whether browsers come over HTTPS only and may be told so for a year, also where no trusted proxy says it."""

    @property
    def kafka(self) -> Connection:
        """How Kafka is reached."""
        return kafka_of(self)

    @property
    def copies(self) -> Copies:
        """How many brokers keep a topic, and how many must have a message."""
        return Copies(self.topic_replicas, self.topic_min_insync)

    def hours(self) -> tuple[time, time]:
        """Return when working hours begin and end, Asia/Shanghai.

        Raises:
            ValueError: they end before they begin.
        """
        opening, closing = (time.fromisoformat(part) for part in self.working_hours.split("-"))
        if not opening < closing:
            raise ValueError(f"WORKING_HOURS {self.working_hours} end before they begin")
        return opening, closing

    def bulletin_delay(self) -> timedelta:
        """Return how long after the end of its period a bulletin is issued."""
        hours, minutes = self.bulletin_after.split(":")
        return timedelta(hours=int(hours), minutes=int(minutes))

    def secret(self) -> bytes:
        """Return the receipt secret.

        Raises:
            ValueError: it is too short.
        """
        value = self.receipt_secret.get_secret_value().encode()
        if len(value) < SHORTEST_SECRET:
            raise ValueError(f"RECEIPT_SECRET has fewer than {SHORTEST_SECRET} characters")
        return value


class WrongSettings(Exception):
    """A setting has a value that it cannot have."""


def load_settings(*, serving: bool = False) -> Settings:
    """Read the settings from the environment; `serving`: for a service, which also checks who is let in.

    Raises:
        WrongSettings: naming each wrong setting and what it may be; for a service in production also each that is for demonstrations.
    """
    lines: list[str] = []
    settings = _read(Settings, lines)
    for check in (settings.secret, settings.hours, partial(refuse_wrong_wires, settings)) if settings else ():
        try:
            check()
        except ValueError as error:
            lines.append(str(error))
    if serving:
        lines += _of_serving(settings, lines)
    if lines or settings is None:
        raise WrongSettings("These settings cannot be used:\n" + "\n".join(f"  {line}" for line in lines))
    return settings


def _of_serving(settings: Settings | None, lines: list[str]) -> list[str]:
    from services.production import refusals  # noqa: PLC0415 - which reads these settings

    tokens, sign_in = _read(TokenSettings, lines), _read(SignInSettings, lines)
    more = sign_in.problems() if sign_in else []
    return more + refusals(settings, tokens, sign_in) if settings and tokens and sign_in else more


def _read(model: type[Model], lines: list[str]) -> Model | None:
    """Read some settings from the environment; None: they are wrong, which is added to the lines."""
    try:
        return model()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            name = str(problem["loc"][0])
            field = model.model_fields.get(name)
            lines.append(f"{name.upper()}: {problem['msg']}. {(field and field.description) or _meaning(name)}")
    return None


def _meaning(name: str) -> str:
    """Return the sentence that documents a setting in this file."""
    source = Path(__file__).read_text(encoding="utf-8")
    start = source.find(f'"""{name.upper()}: ')
    return source[start + 3 : source.find('"""', start + 3)] if start >= 0 else ""
