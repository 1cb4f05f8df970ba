"""Publication's collection of letters, and the two narrow windows through which the public looks at it.

What the public may see lies apart in each document, in the fields `public` (the approved text) and `notices` (entries of the
board). The public queries fetch only those fields, so no path of theirs can show anything else of a letter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from services.publication.domain import Case, Status
from shared.calendar.zone import business_date
from shared.contracts.facts import LetterPublished, PublicationWithdrawn
from shared.contracts.reports import NAMED, hidden_from, is_about_somebody, keeper, named
from shared.contracts.types import Moment, Nature, PublishedFile, Value, WithdrawalGround
from shared.directory import Directory
from shared.storage import Aggregates, Index, Store, Stored, find_many, place, places_after, translated

SERVICE = "publication"
REPORTED = "state.reported_mailbox"
"""The field of a document that names the mailbox a report (举报) is about."""
NEWEST_FIRST = frozenset({Status.PUBLISHED, Status.WITHHELD, Status.WITHDRAWN})


class PublicHead(Value):
    """A line of the public list.

    Of when the citizen wrote it tells the month alone: that helps to find a letter and hardly points to a person.
    """

    number: str
    """ASCII form, for the address: `YFX-2026-17`."""
    number_text: str
    """Printed form: `渝府信〔2026〕17号`."""
    mailbox: str
    """Code of the mailbox that answered."""
    subject: str
    nature: Nature | None = None
    domain: str | None = None
    region: str | None = None
    """Codes of what it is about, as staff have checked them (R3.2)."""
    month: str | None = None
    """The month in which it was received, Asia/Shanghai: `2026-03`."""
    published_at: Moment


class PublicLetter(PublicHead):
    """A published letter, whole: the approved text and files, and nothing else."""

    body: str
    reply: str
    attachments: tuple[PublishedFile, ...] = ()
    text_hash: str = ""
    """SHA-256 (hex) of what was approved."""


class Withdrawn(Value):
    """What the public is told of a letter that it could once read (R9.1)."""

    number: str
    number_text: str
    mailbox: str
    """Code of the mailbox that answered."""
    at: Moment
    ground: WithdrawalGround


class Notice(Value):
    """An entry of the notice board: a letter that was urged, or whose reply was sent back, and still has no reply (R7.2, R7.4)."""

    number: str
    number_text: str
    mailbox: str
    """Code of the mailbox that owes the reply."""
    due_at: Moment
    urged: int
    sent_back: int = 0
    for_what: str = "urged"
    """Why it stands there: `urged` (催办) or `sent_back` (退办)."""
    posted_at: Moment | None = None
    """Since when it stands there."""
    subject: str | None = None
    """Only where it was approved for publication (R9.1); else the board says nothing of what the letter is about."""


_HEAD = {f"public.{name}": 1 for name in PublicHead.model_fields}
_WHOLE = {"public": 1}


@dataclass(frozen=True, slots=True)
class PublicPage:
    """A page of the public list and where the next one begins."""

    letters: list[PublicHead]
    next: str | None


def ranges(code: str) -> Iterator[tuple[dict[str, str], str]]:
    """Return the index ranges in which the cases of a mailbox stand: (equal fields, sort key)."""
    return (({"status": status.value, "mailbox": code}, "place") for status in Status)


def cases(store: Store, directory: Directory) -> Aggregates[Case]:
    """Return the collection of letters as staff and messages move them. Those of a closed mailbox are listed with its successor's."""
    return Aggregates(
        store,
        SERVICE,
        "letters",
        dump=partial(Case.model_dump, mode="json"),
        load=Case.model_validate,
        fields=partial(_fields, directory=directory),
        indexes=[
            Index([("status", 1), ("mailbox", 1), ("place", 1)], only_where={"status": {"$exists": True}}),
            Index([("shown", 1), ("public_place", -1)], only_where={"shown": True}),
            Index([("public_number", 1)], only_where={"public_number": {"$exists": True}}),
            Index([("public_moved", 1)], only_where={"public_moved": {"$exists": True}}),
            Index([("withdrawn.number", 1)], only_where={"withdrawn": {"$exists": True}}),
            Index([("noticed", 1), ("noticed_place", -1)], only_where={"noticed": True}),
            Index([("notice_due", 1)], only_where={"notice_due": {"$exists": True}}),
            Index([(NAMED, 1)], only_where={NAMED: {"$exists": True}}),
        ],
    )


def _fields(case: Case, directory: Directory) -> dict[str, Any]:
    """Return what lists and the public see of a case.

    A report about a unit or a person is listed for the mailbox above that unit. The public, and so who it is about, sees neither its text,
    if it was public before that was known, nor that the unit owes a reply.
    """
    since = case.since
    approved = None if is_about_somebody(case) else case.approved
    notices = [
        Notice(
            number=case.number.ascii,
            number_text=case.number.text,
            mailbox=handoff.receiver,
            due_at=handoff.due_at,
            urged=handoff.urged,
            sent_back=handoff.sent_back,
            for_what=handoff.for_what,
            posted_at=handoff.posted_at,
            subject=None if approved is None else approved.subject,
        )
        for handoff in case.notices
        if handoff.due_at is not None and case.number is not None and not hidden_from(case, handoff.receiver, directory)
    ]
    withdrawn = None if is_about_somebody(case) else case.withdrawn
    # Whatever was public, or may have been: indexes of the public site follow these changes.
    was_public = case.approved or case.withdrawn or case.withheld
    return {
        "status": None if since is None else case.status.value,
        "mailbox": None if case.mailbox is None else keeper(case, case.mailbox, directory),
        "place": None if since is None else place(since, case.letter_id),
        "public": None if approved is None else _public(case, approved).model_dump(mode="json"),
        "shown": None if approved is None else True,
        "public_number": None if approved is None else approved.number.ascii,
        "public_place": None if approved is None else place(approved.at, approved.number.ascii),
        "public_moved": None if was_public is None else place(datetime.now(UTC), case.letter_id),
        "withdrawn": None if withdrawn is None else _withdrawn(withdrawn).model_dump(mode="json"),
        "notices": [notice.model_dump(mode="json") for notice in notices] or None,
        "noticed": True if noticed_place(case) else None,
        "noticed_place": noticed_place(case),
        "noticed_mailboxes": [handoff.receiver for handoff in case.handoffs if handoff.postings] or None,
        NAMED: named(case),
        "notice_due": min((notice.due_at for notice in notices), default=None),
    }


def _public(case: Case, approved: LetterPublished) -> PublicLetter:
    received = case.received.at if case.received else None
    return PublicLetter(
        number=approved.number.ascii,
        number_text=approved.number.text,
        mailbox=approved.mailbox,
        subject=approved.subject,
        nature=case.nature,
        domain=case.domain,
        region=case.region,
        month=None if received is None else month_of(received),
        published_at=approved.at,
        body=approved.body,
        reply=approved.reply,
        attachments=approved.attachments,
        text_hash=approved.text_hash,
    )


def _withdrawn(fact: PublicationWithdrawn) -> Withdrawn:
    return Withdrawn(
        number=fact.number.ascii,
        number_text=fact.number.text,
        mailbox=fact.mailbox,
        at=fact.at,
        ground=fact.ground,
    )


def month_of(moment: datetime) -> str:
    """Return the month of a moment in Asia/Shanghai: `2026-03`."""
    return f"{business_date(moment):%Y-%m}"


def noticed_place(case: Case) -> str | None:
    """Return the place of a letter among those that ever stood on the board: when it was last posted."""
    posted = max((posting.posted_at for handoff in case.handoffs for posting in handoff.postings), default=None)
    return None if posted is None or case.number is None else place(posted, case.letter_id)


def between(after: str | None, *, newest_first: bool) -> dict[str, str]:
    """Return the range of places that a page is taken from.

    It has both ends even where one would do: with fewer conditions DocumentDB takes the range to be large and sorts all of it.
    """
    first, last = "", "~"
    if after is not None and newest_first:
        last = min(after, last)
    elif after is not None:
        first = after
    return {"$gt": first, "$lt": last}


async def staff_page(
    cases: Aggregates[Case], mailbox: str, status: str, after: str | None, limit: int
) -> list[Stored[Case]]:
    """Return the cases of a mailbox in one status beyond the place `after`: what waits oldest first, what is decided newest first."""
    newest_first = status in NEWEST_FIRST
    query = {"status": status, "mailbox": mailbox, "place": between(after, newest_first=newest_first)}
    return await cases.find(query, sort=[("place", -1 if newest_first else 1)], limit=limit)


@dataclass(frozen=True, slots=True)
class PublicSite:
    """What the public site asks of the store: each question is one find by an index."""

    cases: Aggregates[Case]

    async def page(self, after: str | None, limit: int) -> PublicPage:
        """Return published letters beyond the place `after`, newest first."""
        documents = await self._newest(between(after, newest_first=True), limit + 1, _HEAD)
        shown = documents[:limit]
        return PublicPage(
            [PublicHead.model_validate(document["public"]) for document in shown],
            shown[-1]["public_place"] if len(documents) > limit else None,
        )

    async def between(self, since: str, before: str, limit: int) -> tuple[list[PublicLetter], str | None]:
        """Return whole letters in the places from `since` to below `before`, newest first, and where the next ones begin."""
        found = await self._newest({"$gte": since, "$lt": before}, limit, _WHOLE)
        letters = [PublicLetter.model_validate(document["public"]) for document in found]
        return letters, found[-1]["public_place"] if len(found) == limit else None

    async def marks(self, since: str, before: str, limit: int) -> list[tuple[str, datetime, str]]:
        """Return number, time of publication and place of the letters in these places, newest first."""
        wanted = {"public.number": 1, "public.published_at": 1}
        found = await self._newest({"$gte": since, "$lt": before}, limit, wanted)
        return [
            (d["public"]["number"], datetime.fromisoformat(d["public"]["published_at"]), d["public_place"])
            for d in found
        ]

    async def last_change(self) -> datetime | None:
        """Return when anything public last changed, by the clock on the wall; none: never."""
        query = {"public_moved": {"$gt": "", "$lt": "~"}}
        with translated():
            cursor = self.cases.collection.find(query, {"public_moved": 1, "_id": 0})
            found = await cursor.sort([("public_moved", -1)]).limit(1).to_list(1)
        if not found:
            return None
        milliseconds = int(found[0]["public_moved"].partition("/")[0])
        return datetime.fromtimestamp(milliseconds / 1000, UTC)

    async def _newest(self, places: Mapping[str, str], limit: int, wanted: Mapping[str, int]) -> list[dict[str, Any]]:
        query = {"shown": True, "public_place": dict(places)}
        with translated():
            cursor = self.cases.collection.find(query, {**wanted, "public_place": 1, "_id": 0})
            cursor = cursor.sort([("public_place", -1)]).limit(limit).batch_size(limit + 1)
            found: list[dict[str, Any]] = await cursor.to_list(limit)
        return found

    async def letter(self, number: str) -> PublicLetter | None:
        """Return the published letter with this number (ASCII form)."""
        with translated():
            found = await self.cases.collection.find_one({"public_number": number}, {"public": 1, "_id": 0})
        return None if found is None else PublicLetter.model_validate(found["public"])

    async def withdrawn(self, number: str) -> Withdrawn | None:
        """Return what the public is told of a letter that was withdrawn, by its number (ASCII form)."""
        with translated():
            found = await self.cases.collection.find_one({"withdrawn.number": number}, {"withdrawn": 1, "_id": 0})
        return None if found is None else Withdrawn.model_validate(found["withdrawn"])

    async def attachment(self, number: str, name: str) -> tuple[str, PublishedFile] | None:
        """Return a file of the letter that is public under this number: the letter's id, and what was approved under this name."""
        with translated():
            found = await self.cases.collection.find_one({"public_number": number}, {"public.attachments": 1})
        if found is None:
            return None
        files = (PublishedFile.model_validate(file) for file in found["public"].get("attachments", ()))
        return next(((found["_id"], file) for file in files if file.name == name), None)

    async def letters(self, letter_ids: Sequence[str]) -> dict[str, PublicLetter]:
        """Return those of the letters that are public now, by their ids in the store."""
        found = await find_many(self.cases.collection, letter_ids, _WHOLE, {"shown": True})
        return {key: PublicLetter.model_validate(document["public"]) for key, document in found.items()}

    async def changes(self, after: str, limit: int) -> Sequence[tuple[str, str]]:
        """Return the changes of public parts beyond a place, (letter id, place), the oldest first; of a letter only its last one."""
        return await places_after(self.cases.collection, "public_moved", after, limit)

    async def on_board(self) -> int:
        """Return how many letters stand on the notice board."""
        with translated():
            count: int = await self.cases.collection.count_documents({"notice_due": {"$exists": True}})
        return count

    async def board(self) -> Sequence[Notice]:
        """Return all entries of the notice board, the longest overdue first (R7.2)."""
        with translated():
            cursor = self.cases.collection.find({"notice_due": {"$exists": True}}, {"notices": 1, "_id": 0})
            found = [document async for document in cursor]
        notices = [Notice.model_validate(notice) for document in found for notice in document["notices"]]
        return sorted(notices, key=lambda notice: (notice.due_at, notice.number))
