"""The file of a search index: SQLite on this machine, used by one process alone.

It is derived: it follows from what is in the store, may be thrown away at any time, and only ever names letters. What is shown of a letter
is read from the store, so an index that lags behind shows nothing that was taken away.
"""

import fcntl
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import errorcode
from pathlib import Path
from typing import IO, ClassVar, Final, Generic, TypeVar

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")

_NOTES: Final = "create table notes (name text primary key, value text not null) without rowid;"
_MOST_FILES: Final = 64


class NotReady(Exception):
    """The index cannot answer now."""


class Damaged(NotReady):
    """The file could not be read and is made anew: every letter must be taken up again."""


class Unusable(NotReady):
    """The file cannot be opened or written: its disk is full, or its folder may not be written. What it has stays as it is."""

    def __init__(self, folder: Path | None, error: sqlite3.OperationalError | OSError) -> None:
        super().__init__(f"the search index in {folder or 'the folder for temporary files'}: {error}")
        self.reason = errorcode.get(error.errno or 0, "") if isinstance(error, OSError) else error.sqlite_errorname
        """Name of SQLite's or the system's error, such as `SQLITE_FULL` or `EACCES`."""


@dataclass(frozen=True, slots=True)
class Moved(Generic[Entry]):
    """A letter of which what is indexed changed."""

    letter: str
    """Its id in the store."""
    moved: str
    """Position of the change: a place (`shared.storage.place`) at which it was written."""
    entry: Entry | None
    """None: it is not to be found any more."""


class IndexFile(ABC, Generic[Entry]):
    """The file. All methods block: call them from one thread at a time, not from the event loop.

    Args:
        folder: where the file is kept from one start to the next; none: a temporary file that goes with the process.
        name: of the files in the folder; each process takes one that no other has.
        stamp: what the index depends on besides the letters; a file with another stamp is thrown away.
    """

    schema: ClassVar[str]
    """Makes its tables; one is `letters`, with the columns `letter` (unique) and `moved`."""
    cache_kb: ClassVar[int]
    """What SQLite keeps of the file in memory, whatever its size."""

    def __init__(self, folder: Path | None, name: str, stamp: str) -> None:
        self._folder = folder
        self.name = name
        self._stamp = stamp
        self._lock: IO[bytes] | None = None
        self._file: Path | None = None
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file and let another process have it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # ── taking up what changed ───────────────────────────────────────────────────────────────────────────────────────

    def position(self) -> str:
        """Return up to where changes were taken up; empty: none yet."""
        with self._open() as database:
            found = database.execute("select value from notes where name = 'position'").fetchone()
        return found[0] if found else ""

    def known(self, moved: Iterable[tuple[str, str]]) -> set[str]:
        """Return those of the letters whose change, (letter, position), is taken up already."""
        with self._open() as database:
            have = "select 1 from letters where letter = ? and moved = ?"
            return {letter for letter, at in moved if database.execute(have, (letter, at)).fetchone()}

    def take(self, changes: Sequence[Moved[Entry]], position: str) -> None:
        """Take up changes and note the position, both or neither."""
        position = max(position, self.position())
        with self._open() as database:
            for change in changes:
                self._forget(database, change.letter)
            for change in changes:
                if change.entry is not None:
                    self._add(database, change, change.entry)
            database.execute("insert or replace into notes values ('position', ?)", (position,))

    @abstractmethod
    def _forget(self, database: sqlite3.Connection, letter: str) -> None:
        """Take a letter out; one that is not there changes nothing."""

    @abstractmethod
    def _add(self, database: sqlite3.Connection, change: Moved[Entry], entry: Entry) -> None:
        """Put a letter in, which is not there."""

    # ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one transaction; a file that is damaged is thrown away, and the next call begins a new one."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection:
                yield self._connection
        except (sqlite3.OperationalError, OSError) as error:
            raise Unusable(self._folder, error) from error
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            log.warning("a search index is damaged and made anew", extra={"index": self.name}, exc_info=error)
            self._throw_away()
            raise Damaged from error

    def _connect(self) -> sqlite3.Connection:
        self._file = self._file or self._reserve()
        connection = self._prepared(self._file)
        try:
            found = connection.execute("select value from notes where name = 'stamp'").fetchone()
        except sqlite3.DatabaseError:
            found = None
        if found == (self._stamp,):
            return connection
        connection.close()
        if self._file is not None:
            _delete(self._file)
        connection = self._prepared(self._file)
        with connection:
            connection.executescript(_NOTES + self.schema)
            connection.execute("insert into notes values ('stamp', ?)", (self._stamp,))
        return connection

    def _prepared(self, file: Path | None) -> sqlite3.Connection:
        connection = sqlite3.connect("" if file is None else file, check_same_thread=False)
        with suppress(sqlite3.DatabaseError):  # of a file that is no index, which is thrown away
            connection.execute(f"pragma cache_size = -{self.cache_kb}")
            # A crash of the machine may lose the last changes, which are then taken up again, but damages nothing.
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            # What is deleted is not left in a free page; FTS5 keeps a text's tokens until it merges the segments that they stand in.
            connection.execute("pragma secure_delete = on")
        return connection

    def _reserve(self) -> Path | None:
        """Return the first file of the folder that no other process has."""
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(_MOST_FILES):
            lock = (self._folder / f"{self.name}-{number}.lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            self._lock = lock
            return self._folder / f"{self.name}-{number}.sqlite"
        raise OSError(f"{_MOST_FILES} processes have an index {self.name} in {self._folder} already")

    def _throw_away(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._file is not None:
            _delete(self._file)


def _delete(file: Path) -> None:
    for end in ("", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)
