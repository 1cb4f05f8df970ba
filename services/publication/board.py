"""What the notice board knows of a letter's hand-offs, and which of them it shows (公示栏, R7.2, R7.4)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from shared.contracts.facts import (
    Fact,
    HandoffReturned,
    HandoffSent,
    NoticePosted,
    NoticeRemoved,
    ReplyApproved,
    ReplyDueChanged,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.types import Moment, Number, Value


class Posting(Value):
    """One time that a hand-off stood on the board."""

    for_what: str
    due_at: Moment
    posted_at: Moment
    removed_at: Moment | None = None


class Handoff(Value):
    """What the notice board needs to know of one hand-off."""

    id: str
    sender: str = ""
    receiver: str = ""
    due_at: Moment | None = None
    """The latest due moment known: one that passed without a reply, or that of the redo."""
    urged: int = 0
    """How often it was urged (第几次催办)."""
    pressed: bool = False
    """Whether it was urged since it was sent, or since its reply was last sent back."""
    sent_back: int = 0
    """How often its reply was sent back (第几次退办)."""
    redo_due: int = 0
    """For how many send-backs the new limit is known."""
    withdrawn: bool = False
    """It was sent in error and never collected: its receiver has no part in the letter (R4.2)."""
    over: bool = False
    """Nothing is owed on it: replied, returned, or withdrawn."""
    posted_at: Moment | None = None
    removed_at: Moment | None = None
    for_what: str = "urged"
    """Why it stands, or last stood, on the board: `urged` or `sent_back`."""
    postings: tuple[Posting, ...] = ()
    """Every time that it stood there, in order (the record of R7.2)."""

    @property
    def shown_for(self) -> str | None:
        """Why it belongs on the board while nobody replies; a redo once its limit is known."""
        if self.sent_back and self.redo_due >= self.sent_back:
            return "sent_back"
        return "urged" if self.pressed else None


def notice(
    letter_id: str, handoff: Handoff, number: Number | None, *, answered: bool, mayor: str, now: datetime
) -> list[Fact]:
    """Return the fact that puts a hand-off on the board or takes it off; only what the mayor's mailbox handed out is shown."""
    if handoff.posted_at is not None and handoff.removed_at is None:
        gone = NoticeRemoved(letter_id=letter_id, at=now, handoff_id=handoff.id, receiver=handoff.receiver)
        return [gone] if answered else []
    why = handoff.shown_for
    if why is None or answered or handoff.sender != mayor or number is None or handoff.due_at is None:
        return []
    return [
        NoticePosted(
            letter_id=letter_id,
            at=now,
            handoff_id=handoff.id,
            receiver=handoff.receiver,
            number=number,
            due_at=handoff.due_at,
            for_what=why,
        )
    ]


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def _later(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else max(one, other)


def _due_changed(handoff: Handoff, fact: ReplyDueChanged) -> dict[str, Any]:
    """Note the limit of a redo; an extension or a schedule puts nothing on the board."""
    if fact.why != "sent_back":
        return {}
    return {"redo_due": handoff.redo_due + 1, "due_at": _later(handoff.due_at, fact.due_at)}


def _urged(handoff: Handoff, fact: UrgingSent) -> dict[str, Any]:
    count = max(handoff.urged, fact.count)
    return {"urged": count, "pressed": True, "due_at": _later(handoff.due_at, fact.due_at)}


def _posted(handoff: Handoff, fact: NoticePosted) -> dict[str, Any]:
    due_at = _later(handoff.due_at, fact.due_at)
    posting = Posting(for_what=fact.for_what, due_at=fact.due_at, posted_at=fact.at)
    return {
        "posted_at": fact.at,
        "removed_at": None,
        "for_what": fact.for_what,
        "due_at": due_at,
        "postings": (*handoff.postings, posting),
    }


def _removed(handoff: Handoff, fact: NoticeRemoved) -> dict[str, Any]:
    *before, last = handoff.postings
    return {"removed_at": fact.at, "postings": (*before, last.model_copy(update={"removed_at": fact.at}))}


CHANGES: Final[Mapping[type[Fact], Callable[[Handoff, Any], Mapping[str, Any]]]] = {
    HandoffSent: lambda _, f: {"sender": f.sender, "receiver": f.receiver},
    SlipWithdrawn: lambda _h, _f: {"over": True, "withdrawn": True},
    HandoffReturned: lambda _h, _f: {"over": True},
    ReplyOverdue: lambda h, f: {"due_at": _later(h.due_at, f.due_at)},
    UrgingSent: _urged,
    ReplyApproved: lambda _h, _f: {"over": True},
    ReplySentBack: lambda _, f: {"sent_back": f.count, "pressed": False, "over": False},
    ReplyDueChanged: _due_changed,
    NoticePosted: _posted,
    NoticeRemoved: _removed,
}
"""Fact on a hand-off → what the board notes of it."""
