"""What people outside the system saw and keep: the only memory that the checker may use beside the system's own public answers.

One JSON line a record in `<folder>/ledger.jsonl`, written and flushed at once, so that a run that is killed leaves what was seen. The load
writes it; the checker reads it when the run is over. Times are ISO 8601 with offset, of the simulated clock; hashes are SHA-256 in hex.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

FILE = "ledger.jsonl"


@dataclass(frozen=True)
class Posted:
    """A letter that is about to be posted: whatever becomes of the answer, intake may have it from here on."""

    kind: ClassVar[str] = "posted"
    at: str
    key: str
    """The Idempotency-Key; all attempts have the same one."""
    letter: dict[str, Any]


@dataclass(frozen=True)
class Acknowledged:
    """A letter that intake answered with 202: from here on it may never be lost, doubled or changed."""

    kind: ClassVar[str] = "acknowledged"
    at: str
    key: str
    """The Idempotency-Key that it was posted under."""
    receipt: str
    letter: dict[str, Any]
    """The request body as it was posted."""
    files: tuple[dict[str, Any], ...] = ()
    """Of each attachment: name, size in bytes, sha256; further keys are allowed."""


@dataclass(frozen=True)
class Numbered:
    """A number that somebody saw on a letter; it may be seen many times and must always be the same."""

    kind: ClassVar[str] = "numbered"
    at: str
    letter_id: str
    number: str


@dataclass(frozen=True)
class Approved:
    """A publication that was approved: `text_hash` is what the approver saw and approved, `public` the texts that go out."""

    kind: ClassVar[str] = "approved"
    at: str
    letter_id: str
    text_hash: str
    public: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault that struck; for the report, and for whoever looks for its cause."""

    kind: ClassVar[str] = "fault"
    at: str
    name: str
    target: str
    seconds: float


RECORDS = {record.kind: record for record in (Posted, Acknowledged, Numbered, Approved, Fault)}
Record = Posted | Acknowledged | Numbered | Approved | Fault


class Ledger:
    """The ledger of one run. One process appends; reading is for when it has ended."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE

    def add(self, record: Record) -> None:
        """Append one record and flush it."""
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"kind": record.kind} | asdict(record), ensure_ascii=False) + "\n")

    def read(self) -> Iterator[Record]:
        """Every record in the order of writing; a last line that a crash cut off is left out. Raises ValueError for any other bad line."""
        with self.file.open(encoding="utf-8") as lines:
            yield from self._read(lines)

    def _read(self, lines: Iterable[str]) -> Iterator[Record]:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            fields = json.loads(line)
            try:
                yield RECORDS[fields.pop("kind")](**fields)
            except (KeyError, TypeError) as error:
                raise ValueError(f"{self.file}, line {number} is no record of a ledger: {error}") from None


def sha256(content: bytes) -> str:
    """The hash that records carry."""
    return hashlib.sha256(content).hexdigest()
