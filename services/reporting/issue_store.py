"""Where issued bulletins are kept: a record of their own, never altered and not derived, so a rebuild of rows and cells leaves it.

One document is one number: inserting it is what gives it the number, as in the register of letters (architecture rule 8). Its `_id` names
series, mailbox and period, so a period has one number however many replicas make it; its serial within the year and its total serial are
unique in the series, so two periods never share one. Nothing runs ahead of what is written, so no crash leaves a gap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from secrets import token_hex
from typing import Annotated, Any

from pydantic import Field

from services.reporting.issue_view import Correction, IssueView, Series
from services.reporting.issues import Run, frozen, parse_id
from services.reporting.repository import NAME
from services.reporting.views import View
from shared.contracts.types import Moment
from shared.storage import DeleteOne, DuplicateKey, Index, Store, UpdateOne, translated


@dataclass(frozen=True, slots=True)
class Issue:
    """An issued number as it is kept."""

    content: str
    """Canonical JSON of all its fields but the hash."""
    hash: str
    """SHA-256 of it, hex, as it was when it was issued."""

    @property
    def view(self) -> IssueView:
        """The number as data."""
        return IssueView.model_validate_json(self.content).model_copy(update={"hash": self.hash})


class IssueLine(View):
    """An issued number in a list."""

    id: str
    series: Series
    title: str
    mailbox: str
    name: str
    period: str
    first_day: date
    last_day: date
    year: int
    serial: int
    total_serial: int
    number_text: Annotated[str, Field(examples=["〔2026〕第7期（总第59期）"])]
    issued_at: Moment
    hash: str
    corrections: Annotated[int, Field(description="How many figures of earlier numbers it corrects.")]


@dataclass(frozen=True, slots=True)
class Last:
    """What the next number of a series follows."""

    first_day: date
    """First day of its period."""
    year: int
    serial: int
    total: int


@dataclass(frozen=True, slots=True)
class Issues:
    """All issued numbers."""

    store: Store

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(NAME, "issues")

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.store.ensure(
            self.collection,
            [
                Index([("year_serial", 1)], unique=True),
                Index([("total_serial", 1)], unique=True),
                Index([("order", 1)]),
                Index([("mailbox", 1), ("order", 1)]),
                Index([("corrects", 1)]),
            ],
        )

    async def last(self, run: Run) -> Last | None:
        """Return the last number of a series; none: it has none yet."""
        prefix = f"{run.series.value}|{run.mailbox}|"
        with translated():
            query = {"total_serial": {"$gte": prefix, "$lt": prefix + "~"}}
            cursor = (
                self.collection.find(query, {"first_day": 1, "year": 1, "serial": 1, "total": 1, "total_serial": 1})
                .sort([("total_serial", -1)])
                .limit(1)
            )
            found = await cursor.to_list(1)
        if not found:
            return None
        (document,) = found
        return Last(date.fromisoformat(document["first_day"]), document["year"], document["serial"], document["total"])

    async def issue(self, view: IssueView) -> Issue | None:
        """Write a number with its content; none: another replica was faster with it, or with another one of its series."""
        assert view.serial is not None
        assert view.total_serial is not None
        assert view.issued_at is not None
        content, hash_ = frozen(view)
        run = f"{view.series.value}|{view.mailbox}|"
        document = {
            "_id": view.id,
            "series": view.series.value,
            "mailbox": view.mailbox,
            "year": view.year,
            "serial": view.serial,
            "total": view.total_serial,
            "first_day": view.first_day.isoformat(),
            "year_serial": f"{run}{view.year}|{view.serial:06}",
            "total_serial": f"{run}{view.total_serial:06}",
            "order": f"{view.issued_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}|{view.id}",
            "listed": {
                **view.model_dump(mode="json", include=IssueLine.model_fields.keys() - {"corrections", "hash"}),
                "number_text": view.number_text,
                "corrections": len(view.corrections),
                "hash": hash_,
            },
            "corrects": sorted({correction.issue for correction in view.corrections}),
            "hash": hash_,
            "content": content,
        }
        try:
            with translated():
                await self.collection.insert_one(document)
        except DuplicateKey:
            return None
        return Issue(content, hash_)

    async def get(self, id: str) -> Issue | None:
        """Return a number."""
        with translated():
            document = await self.collection.find_one({"_id": id}, {"content": 1, "hash": 1})
        return None if document is None else Issue(document["content"], document["hash"])

    async def exists(self, id: str) -> bool:
        """Whether a number is issued."""
        with translated():
            return await self.collection.find_one({"_id": id}, {"_id": 1}) is not None

    async def page(self, query: Mapping[str, Any], after: str | None, limit: int) -> list[tuple[str, IssueLine]]:
        """Return at most `limit` numbers, the last issued first, with their place in that order, behind the place `after`."""
        asked = {**query, "order": {"$gt": "", "$lt": after or "~"}}
        with translated():
            cursor = self.collection.find(asked, {"listed": 1, "order": 1}).sort([("order", -1)]).limit(limit)
            return [(d["order"], IssueLine.model_validate(d["listed"])) for d in await cursor.to_list(limit)]

    async def corrections_to(self, id: str) -> list[Correction]:
        """Return what later numbers corrected in one, in their order."""
        with translated():
            found = [d async for d in self.collection.find({"corrects": id}, {"content": 1, "total": 1})]
        found.sort(key=lambda document: document["total"])
        views = [IssueView.model_validate_json(document["content"]) for document in found]
        return [correction for view in views for correction in view.corrections if correction.issue == id]

    async def since(self, run: Run, first_day: date) -> list[str]:
        """Return the ids of a series' numbers about a period from one that begins on a day on."""
        prefix = f"{run.series.value}|{run.mailbox}|"
        query = {"total_serial": {"$gte": prefix, "$lt": prefix + "~"}, "first_day": {"$gte": first_day.isoformat()}}
        with translated():
            found = self.collection.find(query, {"_id": 1, "total_serial": 1}).sort([("total_serial", 1)])
            return [document["_id"] async for document in found]


@dataclass(frozen=True, slots=True)
class Mark:
    """That figures of a period may have changed since a number about it was issued."""

    id: str
    """The number's, whether or not there is one."""
    first_day: date
    stamp: str


@dataclass(frozen=True, slots=True)
class Revisions:
    """Which periods that are over have had a cell recounted with another result: where late facts are looked for, and nowhere else.

    A mark is set before the cell is written and taken off after a later number was issued; too many do no harm, since figures are compared.
    """

    store: Store

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection(NAME, "revised")

    async def ensure(self) -> None:
        """Create the indexes where they are missing."""
        await self.store.ensure(self.collection, [Index([("run", 1)])])

    async def mark(self, ids: Iterable[str]) -> None:
        """Mark periods by the ids of their numbers."""
        stamp = token_hex(8)
        writes = []
        for one in sorted(set(ids)):
            run, period = parse_id(one)
            change = {"stamp": stamp, "run": _run(run), "first_day": period.first_day.isoformat()}
            writes.append(UpdateOne({"_id": one}, {"$set": change}, upsert=True))
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)

    async def of(self, run: Run) -> list[Mark]:
        """Return the marks of a series."""
        with translated():
            found = [d async for d in self.collection.find({"run": _run(run)})]
        return sorted(
            (Mark(d["_id"], date.fromisoformat(d["first_day"]), d["stamp"]) for d in found), key=lambda m: m.first_day
        )

    async def clear(self, marks: Sequence[Mark]) -> None:
        """Take marks off, unless they were set anew since they were read."""
        writes = [DeleteOne({"_id": mark.id, "stamp": mark.stamp}) for mark in sorted(marks, key=lambda mark: mark.id)]
        if writes:
            with translated():
                await self.collection.bulk_write(writes, ordered=False)


def _run(run: Run) -> str:
    return f"{run.series.value}|{run.mailbox}"
