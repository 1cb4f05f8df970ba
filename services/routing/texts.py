"""Letters found by the words of their text (R10.2): what is looked for, where it stands, and the index of this process.

`texts` holds one document a letter with the bigrams of its text as numbers; one that nobody may find, or that was erased (R3.7), has none.
Each process keeps a file of these, from which it tells which letters have all bigrams of some words, where these are few. Bigrams only say
that a word may be there, so whoever shows a letter looks for the word in its text.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from services.routing.repository import SERVICE
from shared.search import Follower, IndexFile, Moved, NotReady
from shared.storage import Index, Store, UpdateOne, find_many, insert_missing, place, places_after, translated
from shared.text import grams

TEXTS: Final = "texts"
VERSION: Final = "1"
"""Raised when what is indexed changes: older files are thrown away."""
THOROUGH_SECONDS: Final = 30.0
"""How often the index reads once more what was written in the last minute."""
REST: Final = 1.0
"""While it is made anew the index rests as long as it works: letters have to be followed meanwhile."""

Text = tuple[str, str]
"""Subject and body."""


def hashed(words: Iterable[str]) -> list[int]:
    """Return what stands for the bigrams of texts, sorted: 32 bits each, so that a letter's document stays in one row of the store."""
    return sorted({crc32(gram.encode()) - (1 << 31) for gram in grams(*words)})


@dataclass(frozen=True, slots=True)
class Texts:
    """The bigrams in the store."""

    store: Store

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(SERVICE, TEXTS)

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(self.collection, [Index([("moved", 1)])])

    async def write(self, texts: Mapping[str, Text | None], versions: Mapping[str, int]) -> None:
        """Write the bigrams of letters as these are at their versions; none: nobody may find it. A later version's are not replaced.

        Raises:
            StoreUnavailable: do it again.
        """
        known = await find_many(self.collection, texts, {"readable": 1})
        # A letter's text never changes; it can only be shown or not.
        changed = {
            key: text
            for key, text in texts.items()
            if key not in known or known[key].get("readable") is not (text is not None)
        }
        fields = {key: {"as_of": versions[key], **_fields(key, text)} for key, text in changed.items()}
        new = [{"_id": key, **values} for key, values in fields.items() if key not in known]
        taken = {new[position]["_id"] for position in await insert_missing(self.collection, new)}
        writes = []
        for key in sorted(fields):
            if key in known or key in taken:
                gone = {} if "grams" in fields[key] else {"$unset": {"grams": ""}}
                writes.append(UpdateOne({"_id": key, "as_of": {"$lte": versions[key]}}, {"$set": fields[key], **gone}))
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def changes(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """Return what was written behind a place: (letter id, place), the oldest first."""
        return await places_after(self.collection, "moved", after, limit)

    async def of(self, letter_ids: Sequence[str]) -> dict[str, Sequence[int]]:
        """Return the bigrams of letters; one that nobody may find is left out."""
        found = await find_many(self.collection, letter_ids, {"grams": 1}, {"readable": True})
        return {key: document["grams"] for key, document in found.items()}

    async def having(self, words: Sequence[int], letter_ids: Iterable[str]) -> set[str]:
        """Return those of the letters that have all bigrams."""
        return set(await find_many(self.collection, letter_ids, {"_id": 1}, {"grams": {"$all": list(words)}}))


def _fields(letter_id: str, text: Text | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"moved": place(datetime.now(UTC), letter_id), "readable": text is not None}
    return fields if text is None else {**fields, "grams": hashed(text)}


class TextIndex(IndexFile[Sequence[int]]):
    """The file: each bigram's letters, by SQLite's FTS5, which wants to be told a letter's bigrams again when it is taken out."""

    schema = """
        create table letters (id integer primary key, letter text not null unique, moved text not null, grams blob not null);
        create virtual table words using fts5 (grams, content='', columnsize=0, detail=none, tokenize='ascii');
    """
    cache_kb = 8_000

    def __init__(self, folder: Path | None) -> None:
        super().__init__(folder, SERVICE, VERSION)

    def _forget(self, database: sqlite3.Connection, letter: str) -> None:
        found = database.execute("select id, grams from letters where letter = ?", (letter,)).fetchone()
        if found is not None:
            gone = (found[0], _tokens(array("i", found[1])))
            database.execute("insert into words (words, rowid, grams) values ('delete', ?, ?)", gone)
            database.execute("delete from letters where id = ?", (found[0],))

    def _add(self, database: sqlite3.Connection, change: Moved[Sequence[int]], entry: Sequence[int]) -> None:
        row = (change.letter, change.moved, array("i", entry).tobytes())
        order = database.execute("insert into letters (letter, moved, grams) values (?, ?, ?)", row).lastrowid
        database.execute("insert into words (rowid, grams) values (?, ?)", (order, _tokens(entry)))

    def having(self, words: Sequence[int], limit: int) -> list[str]:
        """Return letters that have all bigrams, at most so many."""
        which = " AND ".join(f'"{token}"' for token in _tokens(words).split())
        query = "select l.letter from words w join letters l on l.id = w.rowid where words match ? limit ?"
        with self._open() as database:
            return [letter for (letter,) in database.execute(query, (which, limit))]


def _tokens(words: Iterable[int]) -> str:
    return " ".join(f"{word & 0xFFFFFFFF:08x}" for word in words)


class Search:
    """This process's search. It begins when `look` is first called.

    Args:
        texts: the bigrams in the store.
        folder: where the index is kept from one start to the next; none: it is made anew at each start.
    """

    def __init__(self, texts: Texts, folder: Path | None) -> None:
        self._index = TextIndex(folder)
        self._follower: Follower[Sequence[int]] = Follower(
            self._index, texts.changes, texts.of, thorough_seconds=THOROUGH_SECONDS, rest=REST
        )
        self.look = self._follower.look
        self.close = self._follower.close

    async def few(self, words: Sequence[int], most: int) -> list[str] | None:
        """Return the letters that have all bigrams; none where they are more than `most`, or while the index is made.

        Raises:
            StoreUnavailable: the store is away.
        """
        try:
            await self._follower.fresh()
            found = await self._follower.do(self._index.having, words, most + 1)
        except NotReady:
            return None
        return None if len(found) > most else found
