"""The topic `letters` and the ledger laid out by letter in a temporary file, so that memory stays the same however many letters there are.

Facts are kept as they came, as JSON, but for long texts, of which only the hash is kept: whatever is compared with them is shortened in
the same way (`brief`).
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared.messaging.kafka import read_from_start
from tests.chaos.ledger import Acknowledged, Approved, Ledger, Numbered, Posted
from tests.checker.town import Town

LONG = 80
"""Texts of more characters are kept as their hash."""
BATCH = 2_000
_TABLES = """
create table facts (letter text, place integer, source text, seq integer, type text, sha text, id text, at text,
    decided integer, partition integer, offset integer, body text);
create table letters (letter text primary key, digest text, mailbox text, seen text, entries integer, erased integer, public text);
create table numbers (letter text, mailbox text, year integer, serial integer, ascii text, text text, at text);
create table acknowledged (receipt text primary key, digest text, post text, letter text);
create table posted (key text primary key, digest text);
create table sightings (letter text, number text);
create table approvals (letter text, hash text);
create table shown (number text primary key);
"""
_INDEXES = """
create index by_letter on facts (letter, place);
create index by_digest on letters (digest);
create index by_number on numbers (ascii);
create index by_text on numbers (text);
create index of_letter on numbers (letter);
create index by_post on acknowledged (digest);
create index by_attempt on posted (digest);
create index by_pair on acknowledged (letter);
create index by_sight on sightings (letter);
create index by_approval on approvals (letter);
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of `letters`."""

    letter: str
    source: str
    seq: int
    type: str
    """Such as `LetterReceived`, without prefix and version."""
    sha: str
    """Of its bytes."""
    id: str
    at: str
    decided: bool
    """Whether a person replayed or dropped a parked message with it."""
    partition: int
    offset: int
    body: Mapping[str, Any]

    @property
    def where(self) -> str:
        """Where it stands."""
        return f"letters {self.partition}/{self.offset}"


def brief(value: Any) -> Any:
    """Return a value with each long text as its hash."""
    if isinstance(value, str):
        return value if len(value) <= LONG else "sha256:" + hashlib.sha256(value.encode()).hexdigest()
    if isinstance(value, Mapping):
        return {name: brief(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [brief(part) for part in value]
    return value


def digest_of(posted: Mapping[str, Any]) -> str:
    """Return a hash of what a citizen chose and wrote; a submission and the fact of it have the same one."""
    about = posted.get("classification", posted)
    parts = [posted.get("chosen_mailbox", posted.get("mailbox")), brief(posted["subject"]), brief(posted["body"])]
    parts += [about.get("nature"), about.get("domain"), about.get("region"), bool(posted.get("may_publish"))]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Layout:
    """What one check has read. Use as a context manager; its file goes with it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.records = 0
        self.newest = ""
        """The latest moment of any fact."""
        self.strays: list[str] = []
        """Where records stand that are no facts on a letter."""
        self.ends: dict[int, int] = {}
        """Partition → the offset behind the last record that was read."""

    def __enter__(self) -> Self:
        self._file.unlink(missing_ok=True)
        self.db = sqlite3.connect(self._file)
        self.db.executescript("pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-32000;" + _TABLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.db.close()
        self._file.unlink(missing_ok=True)

    async def read(self, folder: Path, town: Town) -> None:
        """Read the ledger of a folder and the town's topic."""
        self._read_ledger(Ledger(folder))
        settings = town.settings
        async for records, _ in read_from_start(settings.kafka_bootstrap, settings.namespace + "letters", BATCH):
            rows = []
            for record in records:
                self.ends[record.partition] = record.offset + 1
                rows.append(self._row(record))
            self.records += len(rows)
            self.db.executemany(
                "insert into facts values (?,?,?,?,?,?,?,?,?,?,?,?)", [row for row in rows if row is not None]
            )
        self.db.executescript(_INDEXES)

    def _row(self, record: Any) -> tuple[Any, ...] | None:
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        letter, where = headers.get("ce_subject", ""), f"letters {record.partition}/{record.offset}"
        try:
            body = json.loads(record.value)
            seq = int(headers["ce_seq"])
            kind = headers["ce_type"].split(".")[1]
            well = body["letter_id"] == letter == (record.key or b"").decode()
        except (ValueError, KeyError, IndexError, TypeError):
            well = False
        if not well and "replayof" not in headers:
            self.strays.append(where)
            return None
        if not well:
            body, seq, kind = {}, int(headers.get("ce_seq", "0")), headers.get("ce_type", "")
        at = str(body.get("at", ""))
        self.newest = max(self.newest, at)
        return (
            *(
                letter,
                record.partition << 40 | record.offset,
                headers.get("ce_source", "").rpartition("/")[2],
                seq,
                kind,
            ),
            *(hashlib.sha256(record.value).hexdigest(), headers.get("ce_id", ""), at, "replayof" in headers),
            *(record.partition, record.offset, json.dumps(brief(body), ensure_ascii=False)),
        )

    def _read_ledger(self, ledger: Ledger) -> None:
        for record in ledger.read():
            if isinstance(record, Acknowledged):
                post = {"letter": record.letter, "files": list(record.files)}
                row = (record.receipt, digest_of(record.letter), json.dumps(post, ensure_ascii=False), "")
                self.db.execute("insert or ignore into acknowledged values (?,?,?,?)", row)
            elif isinstance(record, Posted):
                self.db.execute("insert or ignore into posted values (?,?)", (record.key, digest_of(record.letter)))
            elif isinstance(record, Numbered):
                self.db.execute("insert into sightings values (?,?)", (record.letter_id, record.number))
            elif isinstance(record, Approved):
                self.db.execute("insert into approvals values (?,?)", (record.letter_id, record.text_hash))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, with a cursor of its own."""
        yield from self.db.cursor().execute(query, values)

    def one(self, query: str, *values: Any) -> Any:
        """Return the first value of a query; none: nothing fits."""
        row = self.db.execute(query, values).fetchone()
        return None if row is None else row[0]

    def write(self, query: str, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows."""
        self.db.executemany(query, rows)

    def by_letter(self) -> Iterator[tuple[str, list[Record]]]:
        """Yield each letter with its records in the order of the topic."""
        records = map(_record, self.rows(f"select {_FIELDS} from facts order by letter, place"))
        for letter, found in groupby(records, key=attrgetter("letter")):
            yield letter, list(found)

    def records_of(self, letter: str) -> list[Record]:
        """Return a letter's records in the order of the topic."""
        return list(map(_record, self.rows(f"select {_FIELDS} from facts where letter = ? order by place", letter)))


_FIELDS = "letter, source, seq, type, sha, id, at, decided, partition, offset, body"


def _record(row: tuple[Any, ...]) -> Record:
    *plain, decided, partition, offset, body = row
    letter, source, seq, kind, sha, event, at = plain
    return Record(letter, source, seq, kind, sha, event, at, bool(decided), partition, offset, json.loads(body))
