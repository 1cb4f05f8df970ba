"""CloudEvents 1.0, Kafka protocol binding, binary content mode: attributes in headers, the message itself as JSON in the value.

Two extension attributes: `seq`, the count of facts that this source has published on this letter (on `letters` only), and W3C
`traceparent`.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from shared.contracts.catalogue import TYPE_OF
from shared.contracts.facts import LETTERS, Fact
from shared.contracts.types import Value

_NAMESPACE = UUID("5f0f6f0e-9d3c-5b0e-8a55-7a1f5d0f2c11")

CONTENT_TYPE = "application/json"
MAX_SEQ = 1_000_000
LONGEST = 200
"""Characters of an id, a type or a source."""
LETTER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""What a letter's id can be; in practice it is a UUID."""


class BadEnvelope(Exception):
    """A message whose headers do not make a CloudEvent of ours."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message ready to be sent: what an outbox stores."""

    id: str
    """CloudEvents id (UUID)."""
    topic: str
    """Topic name without the deployment's namespace."""
    key: str
    """Letter id."""
    headers: dict[str, str]
    value: bytes


@dataclass(frozen=True, slots=True)
class Attributes:
    """The CloudEvents attributes of a message that arrived."""

    id: str
    type: str
    source: str
    """Service name; other senders' sources are kept as they are."""
    subject: str
    """Letter id."""
    seq: int
    """0 on topics that do not count."""
    traceparent: str


def event_id(letter_id: str, source: str, seq: int, part: str = "") -> str:
    """Return the id of a service's `seq`-th fact on a letter; the same input gives the same UUID (version 5)."""
    return str(uuid5(_NAMESPACE, f"{letter_id}/{source}/{seq}/{part}"))


def pack(
    message: Value, *, topic: str, letter_id: str, source: str, id: str, time: datetime, traceparent: str, seq: int = 0
) -> Outgoing:
    """Put a message into its envelope."""
    headers = {
        "content-type": CONTENT_TYPE,
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": TYPE_OF[type(message)],
        "ce_source": f"/services/{source}",
        "ce_time": time.isoformat(timespec="milliseconds"),
        "ce_subject": letter_id,
    }
    if seq:
        headers["ce_seq"] = str(seq)
    if traceparent:
        headers["traceparent"] = traceparent
    return Outgoing(id, topic, letter_id, headers, message.model_dump_json().encode())


def pack_fact(fact: Fact, seq: int, traceparent: str = "") -> Outgoing:
    """Put a fact into its envelope: the `seq`-th of its service on its letter, for the topic `letters`."""
    return pack(
        fact,
        topic=LETTERS,
        letter_id=fact.letter_id,
        source=fact.source,
        id=event_id(fact.letter_id, fact.source, seq),
        time=fact.at,
        traceparent=traceparent,
        seq=seq,
    )


def attributes(headers: Mapping[str, str] | Collection[tuple[str, bytes | None]]) -> Attributes:
    """Read the envelope.

    Raises:
        BadEnvelope: a header is missing, comes twice, is not UTF-8 or has a value that it cannot have.
    """
    try:
        if isinstance(headers, Mapping):
            found = dict(headers)
        else:
            found = {name: (value or b"").decode() for name, value in headers}
            if len(found) != len(headers):
                raise BadEnvelope(f"the header {_twice(name for name, _ in headers)} comes twice: which one is meant?")
        if found.get("ce_specversion") != "1.0":
            raise BadEnvelope(f"ce_specversion is {found.get('ce_specversion')!r}, must be '1.0'")
        source = found["ce_source"]
        seq = int(found.get("ce_seq", "0"))
        if not 0 <= seq <= MAX_SEQ:
            raise BadEnvelope(f"ce_seq is {seq}, must be 0 to {MAX_SEQ}")
        if max(map(len, (found["ce_id"], found["ce_type"], source))) > LONGEST:
            raise BadEnvelope(f"ce_id, ce_type or ce_source has more than {LONGEST} characters")
        return Attributes(
            id=found["ce_id"],
            type=found["ce_type"],
            source=source.removeprefix("/services/"),
            subject=found.get("ce_subject", ""),
            seq=seq,
            traceparent=found.get("traceparent", ""),
        )
    except KeyError as missing:
        raise BadEnvelope(f"the header {missing.args[0]} is missing (CloudEvents 1.0, Kafka binding)") from missing
    except (UnicodeDecodeError, ValueError) as wrong:
        raise BadEnvelope(f"a header cannot be read: {wrong}") from wrong


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), "")[:LONGEST]  # type: ignore[func-returns-value]
