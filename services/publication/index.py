"""The index of published letters for search and filters: one file of SQLite's FTS5 on this machine, made of approved text alone.

A text is indexed as the pairs of neighbouring characters of each of its words, in order: 供水管网 is `供水 水管 管网`. A word of a query is
looked for as a phrase of pairs, so what is found has it literally. Nature, domain, region, mailbox and months are tokens of a column of
their own: filters are intersections of the same lists.

Rank needs no figure of the whole collection, so that no publication changes the order of others: see `_SCORE`.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from zlib import crc32

from shared.search import IndexFile, Moved
from shared.text import SHORTEST_QUERY, normalized

VERSION: Final = 1
"""Raised when what is indexed changes: an older file is thrown away."""
WINDOW: Final = 1_000
"""So many matches are ranked among each other, the newest first; then the next so many. More would cost more than they are worth."""
_SLOTS: Final = 1_024
_SCHEMA: Final = """
create table letters (
    id integer primary key, letter text not null unique, moved text not null, number text not null, ascii text not null, kinds text not null
);
create index letters_number on letters (number);
create index letters_ascii on letters (ascii);
create table texts (id integer primary key, subject text not null, text not null);
create virtual table words using fts5 (
    subject, text, kinds, content='', columnsize=0, tokenize="unicode61 remove_diacritics 0 tokenchars '-._~%:'"
);
create table counts (kind text primary key, number integer not null) without rowid;
"""
_SCORE: Final = "min(4, (length(t.text) - length(replace(t.text, ?, ''))) / length(?)) + 8 * (instr(t.subject, ?) > 0)"
_NO_END: Final = 2**62


@dataclass(frozen=True, slots=True)
class Entry:
    """What is indexed of a published letter."""

    number: str
    """ASCII form."""
    number_text: str
    subject: str
    texts: tuple[str, ...]
    kinds: tuple[str, ...]
    """What filters ask for, each as `<filter>:<value>`, in ASCII without spaces."""
    published_seconds: int
    """When it was published, in seconds since 1970: the order of the index."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A letter that fits, and where it stands among the others."""

    letter: str
    order: int
    """The greater the later it was published."""
    score: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """Ranked matches, from `low` to below `high` in the order of publication."""

    hits: list[Hit]
    low: int
    high: int
    more: bool
    """Whether older ones fit too."""


def number_key(number: str) -> str:
    """Return a letter number as it is compared, whichever brackets and spaces it was typed with."""
    return re.sub(r"\s", "", normalized(number))


def words_of(query: str) -> list[str]:
    """Return the different words of a query, each of which a letter must have; characters that stand alone are left out."""
    return [word for word in dict.fromkeys(normalized(query).split()) if len(word) >= SHORTEST_QUERY]


def _tokens(text: str) -> str:
    """Return a normalized text as the index takes it."""
    return " ".join(token for word in text.split() for token in map("".join, pairwise(word)))


def _match(words: Sequence[str], kinds: Sequence[Sequence[str]]) -> str:
    """Return the question to FTS5: all words, and of each list of kinds one."""
    asked = [f'{{subject text}} : "{_tokens(word)}"' for word in words]
    asked += ["kinds : (" + " OR ".join(f'"{kind}"' for kind in one) + ")" for one in kinds]
    return " AND ".join(f"({one})" for one in asked)


class Index(IndexFile[Entry]):
    """The index; see `IndexFile` for its arguments.

    Args:
        folder: where it is kept.
        stamp: what it depends on besides the letters.
    """

    schema = _SCHEMA
    cache_kb = 24_000

    def __init__(self, folder: Path | None, stamp: str = "") -> None:
        super().__init__(folder, "publication", f"{VERSION} {stamp}")

    # ── taking up what changed ───────────────────────────────────────────────────────────────────────────────────────

    def take(self, changes: Sequence[Moved[Entry]], position: str) -> None:
        """Take up changes and note the position, both or neither."""
        # In the order of ids, or FTS5 writes out what it holds in memory after each.
        super().take(sorted(changes, key=lambda one: one.entry.published_seconds if one.entry else 0), position)

    def _forget(self, database: sqlite3.Connection, letter: str) -> None:
        found = database.execute("select id, kinds from letters where letter = ?", (letter,)).fetchone()
        if found is None:
            return
        order, kinds = found
        subject, text = database.execute("select subject, text from texts where id = ?", (order,)).fetchone()
        gone = (order, _tokens(subject), _tokens(text), kinds)
        database.execute("insert into words (words, rowid, subject, text, kinds) values ('delete', ?, ?, ?, ?)", gone)
        database.execute("delete from texts where id = ?", (order,))
        database.execute("delete from letters where id = ?", (order,))
        database.executemany(
            "update counts set number = number - 1 where kind = ?", [(kind,) for kind in kinds.split()]
        )

    def _add(self, database: sqlite3.Connection, change: Moved[Entry], entry: Entry) -> None:
        # Of two letters that were published in one second, the same stands first in every process, but for rare clashes.
        order = entry.published_seconds * _SLOTS + crc32(entry.number.encode()) % _SLOTS
        while database.execute("select 1 from letters where id = ?", (order,)).fetchone():
            order += 1
        subject, text = normalized(entry.subject), "\n".join(normalized(one) for one in entry.texts)
        kinds = " ".join(entry.kinds)
        numbers = (number_key(entry.number_text), number_key(entry.number))
        letter = (order, change.letter, change.moved, *numbers, kinds)
        database.execute("insert into letters values (?, ?, ?, ?, ?, ?)", letter)
        database.execute("insert into texts values (?, ?, ?)", (order, subject, text))
        tokens = (order, _tokens(subject), _tokens(text), kinds)
        database.execute("insert into words (rowid, subject, text, kinds) values (?, ?, ?, ?)", tokens)
        database.executemany(
            "insert into counts values (?, 1) on conflict (kind) do update set number = number + 1",
            [(kind,) for kind in entry.kinds],
        )

    # ── questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    def newest(self, kinds: Sequence[Sequence[str]], before: int | None, limit: int) -> list[Hit]:
        """Return letters of these kinds (of each list one) that stand before an id, newest first."""
        query = "select l.letter, l.id from words w join letters l on l.id = w.rowid where words match ?"
        query += " and w.rowid < ? order by w.rowid desc limit ?"
        with self._open() as database:
            return [
                Hit(*row)
                for row in database.execute(query, (_match((), kinds), _NO_END if before is None else before, limit))
            ]

    def ranked(
        self, words: Sequence[str], kinds: Sequence[Sequence[str]], high: int | None = None, low: int | None = None
    ) -> Window:
        """Return the newest letters with all words below an id (not below another), the best first.

        A word in the subject counts 8, each of its occurrences in the text 1, up to 4; of equal letters the newer comes first. Never more
        than two windows: `low` may be made up, and one that we gave has little more than a window above it.
        """
        top, bottom = _NO_END if high is None else high, low or 0
        asked = (_match(words, kinds), top, bottom, WINDOW + 1 if low is None else 2 * WINDOW)
        query = f"""
            select l.letter, l.id, {" + ".join([_SCORE] * len(words))} as score
            from (
                select rowid as id from words where words match ? and rowid < ? and rowid >= ? order by rowid desc limit ?
            ) w
            cross join texts t on t.id = w.id
            cross join letters l on l.id = w.id
        """  # noqa: S608 - of our own texts alone
        occurring = [part for word in words for part in (word, word, word)]
        with self._open() as database:
            hits = [Hit(*row) for row in database.execute(query, (*occurring, *asked))]
        hits.sort(key=lambda hit: -hit.order)
        more = low is None and len(hits) > WINDOW
        if more:
            hits = hits[:WINDOW]
        if low is None:
            bottom = hits[-1].order if more else 0
        top = min(top, hits[0].order + 1) if hits else top
        return Window(sorted(hits, key=lambda hit: (-hit.score, -hit.order)), bottom, top, more or bottom > 0)

    def numbered(self, query: str) -> str | None:
        """Return the letter whose number this is, printed or ASCII, or none."""
        key = number_key(query)
        with self._open() as database:
            which = "select letter from letters where number = ? union select letter from letters where ascii = ?"
            found = database.execute(which, (key, key)).fetchone()
        return found[0] if found else None

    def count(self, words: Sequence[str], kinds: Sequence[Sequence[str]], most: int) -> int:
        """Count what fits, up to a number."""
        query = "select count(*) from (select 1 from words where words match ? limit ?)"
        with self._open() as database:
            counted: int = database.execute(query, (_match(words, kinds), most)).fetchone()[0]
        return counted

    def counts(self) -> dict[str, int]:
        """Return kind → how many letters are of it."""
        with self._open() as database:
            return dict(database.execute("select kind, number from counts where number > 0 order by kind"))
