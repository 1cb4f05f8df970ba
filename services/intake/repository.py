"""Intake's letters and the register of numbers; contact data is in `contacts.py`, files are in `attachments.py`."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.intake.domain import Letter, Stage
from shared.contracts.reports import NAMED, keeper, named
from shared.contracts.types import Actor, Number
from shared.directory import Directory
from shared.security.receipts import receipt_code, receipt_key
from shared.storage import (
    Aggregates,
    Index,
    Store,
    Stored,
    UpdateOne,
    insert_missing,
    translated,
)

SERVICE = "intake"
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def ranges(code: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the index ranges in which the letters of a mailbox stand: (equal fields, sort key)."""
    return (({"mailbox": code, "stage": stage.value}, "position") for stage in Stage)


def letters(store: Store, secret: bytes, directory: Directory) -> Aggregates[Letter]:
    """Return the collection of letters. Those of a closed mailbox are listed with its successor's."""

    def fields(letter: Letter) -> dict[str, Any]:
        return {
            "mailbox": keeper(letter.classification, letter.mailbox, directory),
            "stage": letter.stage.value,
            "position": position(letter),
            "invalid_since": letter.invalid_since,
            "receipt": receipt_key(secret, receipt_code(secret, letter.letter_id)),
            NAMED: named(letter.classification),
        }

    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=lambda letter: letter.model_dump(mode="json"),
        load=Letter.model_validate,
        fields=fields,
        indexes=[
            Index([("stage", 1), ("mailbox", 1), ("position", 1)]),
            # Not unique by the receipt alone: letters of which only other services' facts have come have none yet, and must not
            # shut each other out.
            Index([("receipt", 1), ("_id", 1)]),
            Index([("invalid_since", 1)], only_where={"invalid_since": {"$exists": True}}),
            Index([(NAMED, 1)], only_where={NAMED: {"$exists": True}}),
        ],
    )


async def find_by_receipt(letters: Aggregates[Letter], key: str) -> Stored[Letter] | None:
    """Return the letter that a receipt code belongs to."""
    found = await letters.find({"receipt": key}, sort=[("receipt", 1)], limit=1)
    return found[0] if found else None


async def page(
    letters: Aggregates[Letter], mailbox: str, stage: Stage, after: str, limit: int, *, newest_first: bool
) -> list[Stored[Letter]]:
    """Return letters of a mailbox in one stage, from the position `after` on ("": from the first).

    The index is scanned in order only with both ends of a range on its last field, which are therefore always given.
    """
    beyond = {"$gt": "", "$lt": after or "~"} if newest_first else {"$gt": after, "$lt": "~"}
    query = {"mailbox": mailbox, "stage": stage.value, "position": beyond}
    return await letters.find(query, sort=[("position", -1 if newest_first else 1)], limit=limit)


async def invalid_before(letters: Aggregates[Letter], moment: datetime, limit: int) -> list[Stored[Letter]]:
    """Return invalid letters that were discarded before a moment and still have their text, the longest kept first (R3.7)."""
    return await letters.find(
        {"invalid_since": {"$gt": BEGINNING, "$lt": moment}}, sort=[("invalid_since", 1)], limit=limit
    )


def position(letter: Letter) -> str:
    """Return where a letter stands in lists: by the time of arrival, unique by its id."""
    return f"{letter.received_at:%Y-%m-%dT%H:%M:%S.%f}|{letter.letter_id}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the register: this number belongs to this letter, for ever (R3.6)."""

    letter_id: str
    number: Number
    by: Actor
    at: datetime


@dataclass
class Register:
    """The register of numbers (附表1): one document per number, written line by line; writing the next line *is* the allocation.

    `_id` is mailbox/year/serial with the serial in nine digits, so the last line is the end of an index range; `letter_id` is
    unique. Lines are inserted in order and the insert stops at the first that is taken, so there is never a gap, whoever crashes.
    """

    store: Store
    directory: Directory
    _waiting: dict[tuple[str, int], list[tuple[str, Actor, datetime, "asyncio.Future[Line]"]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    """The last serial known; only a hint."""
    _writers: dict[tuple[str, int], "asyncio.Task[None]"] = field(default_factory=dict)

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(SERVICE, "register")

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.store.ensure(
            self.collection,
            [Index([("letter_id", 1)], unique=True), Index([("open", 1)], only_where={"open": {"$exists": True}})],
        )

    async def line(self, mailbox: str, year: int, letter_id: str, by: Actor, at: datetime) -> Line:
        """Return the letter's line, writing the next free one if it has none.

        Requests that arrive while a write is under way share the next write and get consecutive lines.
        """
        key = (mailbox, year)
        future: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        self._waiting[key].append((letter_id, by, at, future))
        if key not in self._writers:
            self._writers[key] = asyncio.create_task(self._write(key))
        return await future

    async def _write(self, key: tuple[str, int]) -> None:
        try:
            while requests := self._waiting.pop(key, []):
                try:
                    await self._write_lines(key, requests)
                except Exception as error:  # noqa: BLE001 - each waiting request gets it
                    for *_, future in requests:
                        if not future.done():
                            future.set_exception(error)
        finally:
            del self._writers[key]

    async def _write_lines(
        self, key: tuple[str, int], requests: Sequence[tuple[str, Actor, datetime, "asyncio.Future[Line]"]]
    ) -> None:
        by_letter: dict[str, list[tuple[str, Actor, datetime, asyncio.Future[Line]]]] = defaultdict(list)
        for request in requests:
            by_letter[request[0]].append(request)
        lines = await self._insert(key, [waiting[0] for waiting in by_letter.values()])
        while True:
            for letter_id, line in lines.items():
                for *_, future in by_letter.pop(letter_id):
                    if not future.done():
                        future.set_result(line)
            if not by_letter:
                return
            # A letter had its line already, or somebody else took a serial: look, then try with what is left.
            lines = await self.lines_of(by_letter)
            if not lines:
                lines = await self._insert(key, [waiting[0] for waiting in by_letter.values()])

    async def _insert(
        self, key: tuple[str, int], requests: Sequence[tuple[str, Actor, datetime, Any]]
    ) -> dict[str, Line]:
        """Try to write consecutive lines; return them if all could be written, else none: then some may be there."""
        mailbox, year = key
        first = (self._last[key] if key in self._last else await self._last_serial(key)) + 1
        documents: list[dict[str, Any]] = [
            {
                "_id": f"{mailbox}/{year}/{serial:09d}",
                "letter_id": letter_id,
                "by": by.model_dump(),
                "at": at,
                "open": datetime.now(UTC),
            }
            for serial, (letter_id, by, at, _) in enumerate(requests, start=first)
        ]
        if await insert_missing(self.collection, documents, ordered=True):
            self._last.pop(key, None)
            return {}
        self._last[key] = first + len(documents) - 1
        return {line.letter_id: line for line in map(self._line, documents)}

    async def _last_serial(self, key: tuple[str, int]) -> int:
        prefix = f"{key[0]}/{key[1]}/"
        with translated():
            last = await self.collection.find_one(
                {"_id": {"$gte": prefix, "$lt": prefix + "~"}}, {"_id": 1}, sort=[("_id", -1)]
            )
        return int(last["_id"].rpartition("/")[2]) if last else 0

    async def lines_of(self, letter_ids: Iterable[str]) -> dict[str, Line]:
        """Return the lines of those letters that have one."""
        with translated():
            cursor = self.collection.find({"letter_id": {"$in": list(letter_ids)}})
            return {d["letter_id"]: self._line(d) async for d in cursor}

    async def unconfirmed(self, age: timedelta, limit: int) -> list[Line]:
        """Return lines older than `age` whose letter's registration was never confirmed: a crash came between."""
        with translated():
            # Closed below, or the store reads the whole register instead of the partial index.
            left = {"$gt": BEGINNING, "$lt": datetime.now(UTC) - age}
            cursor = self.collection.find({"open": left}).sort([("open", 1)]).limit(limit)
            return [self._line(document) async for document in cursor]

    async def confirm(self, letter_ids: Iterable[str]) -> None:
        """Note that these letters are registered under their lines."""
        writes = [UpdateOne({"letter_id": i}, {"$unset": {"open": ""}}) for i in sorted(letter_ids)]
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def rebuild(self, numbers: Mapping[str, tuple[Number, Actor | None, datetime]]) -> None:
        """Write lines as facts tell them (letter id → number, who, when); lines that are there stay."""
        documents = [
            {
                "_id": f"{number.mailbox}/{number.year}/{number.serial:09d}",
                "letter_id": letter_id,
                "by": None if by is None else by.model_dump(),
                "at": at,
            }
            for letter_id, (number, by, at) in numbers.items()
        ]
        await insert_missing(self.collection, documents)

    def _line(self, document: Mapping[str, Any]) -> Line:
        mailbox, year, serial = document["_id"].split("/")
        prefix = self.directory.prefix_of(mailbox)
        number = Number(
            mailbox=mailbox, prefix=prefix.chinese, ascii_prefix=prefix.ascii, year=int(year), serial=int(serial)
        )
        by = Actor.model_validate(document["by"]) if document["by"] else Actor(subject="system", mailbox=mailbox)
        return Line(document["letter_id"], number, by, document["at"])


__all__ = ["Line", "Register", "find_by_receipt", "invalid_before", "letters", "page", "position"]
