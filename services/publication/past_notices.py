"""What stood on the notice board, when and how long (R7.2: it goes when the reply arrives, and stays in the record)."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel

from services.publication.domain import Case
from services.publication.repository import between, noticed_place
from shared.contracts.types import Moment
from shared.storage import Aggregates


class PastNotice(BaseModel):
    """One posting on the board; it may stand there still."""

    letter_id: str
    number: str
    number_text: str
    mailbox: str
    """The mailbox that owed the reply."""
    for_what: str
    """`urged` (催办) or `sent_back` (退办)."""
    due_at: Moment
    posted_at: Moment
    removed_at: Moment | None
    """None: it stands there now."""


@dataclass(frozen=True, slots=True)
class NoticesPage:
    """A page of postings and where the next one begins."""

    items: list[PastNotice]
    next: str | None


@dataclass(frozen=True, slots=True)
class PastNotices:
    """Postings of all letters, by one index; the letters posted last come first."""

    cases: Aggregates[Case]

    async def page(
        self, mailbox: str | None, after: str | None, limit: int, *, hidden: Callable[[Case], bool]
    ) -> NoticesPage:
        """Return the postings of at most `limit` letters beyond the place `after`, of one mailbox or of all, without what is `hidden`."""
        query = {"noticed": True, "noticed_place": between(after, newest_first=True)}
        if mailbox is not None:
            query["noticed_mailboxes"] = mailbox
        found = await self.cases.find(query, sort=[("noticed_place", -1)], limit=limit + 1)
        cases = [one.state for one in found[:limit] if one.state is not None]
        items = [notice for case in cases if not hidden(case) for notice in _of(case, mailbox)]
        return NoticesPage(items, noticed_place(cases[-1]) if len(found) > limit else None)


def _of(case: Case, mailbox: str | None) -> list[PastNotice]:
    assert case.number is not None
    postings = [
        PastNotice(
            letter_id=case.letter_id,
            number=case.number.ascii,
            number_text=case.number.text,
            mailbox=handoff.receiver,
            **dict(posting),
        )
        for handoff in case.handoffs
        if mailbox is None or handoff.receiver == mailbox
        for posting in handoff.postings
    ]
    return sorted(postings, key=lambda notice: notice.posted_at, reverse=True)
