"""The letter as intake sees it: received, read, classified, registered or not accepted; and what the citizen may know of it.

    received ──▶ unread ──read──▶ read ──register──▶ registered     (R3.6)
                    └───────────────┴──discard───▶ discarded        (R3.0)
                                    └──note──────▶ noted            (R3.7)

Registering or discarding an unread letter reads it first. Registration wins over a discard or note that another clerk makes at the same
moment: the number is already in the register, and numbers are never lost (R3.6).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts.errors import BadInput, NotFound, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterErased,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
)
from shared.contracts.reports import is_about_somebody
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import (
    Actor,
    Attachment,
    Channel,
    Classification,
    InvalidReason,
    Moment,
    Nature,
    Number,
    Value,
    Way,
)


class Stage(StrEnum):
    """Where a letter stands in screening."""

    UNREAD = "unread"
    READ = "read"
    REGISTERED = "registered"
    DISCARDED = "discarded"
    NOTED = "noted"


class Handoff(Value):
    """Who has the letter to answer it, as the citizen may know."""

    sender: str = ""
    receiver: str
    way: Way = Way.ASSIGN
    parent: str | None = None
    """The hand-off under which this one was made: inside the unit that has the letter, or further on from it."""
    sent_at: Moment
    collected_at: Moment | None = None
    due_at: Moment | None = None
    overdue: bool = False
    ended: bool = False
    """It was returned or withdrawn; the letter is with the sender again (R5.1)."""


class Answer(Value):
    """The answer to the citizen (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    at: Moment


class Letter(Value):
    """The state of one letter."""

    letter_id: str
    mailbox: str
    chosen_mailbox: str
    subject: str
    body: str
    classification: Classification
    may_publish: bool
    attachments: tuple[Attachment, ...] = ()
    received_at: Moment
    read_at: Moment | None = None
    read_by: Actor | None = None
    corrections: tuple[LetterReclassified, ...] = ()
    """Every change of the classification, with who and when (R3.2)."""
    number: Number | None = None
    registered_at: Moment | None = None
    discarded: LetterDiscarded | None = None
    noted_at: Moment | None = None
    handoffs: Mapping[str, Handoff] = {}
    answers: tuple[Answer, ...] = ()
    reopened: bool = False
    """The last answer was sent back to be done again (R7.3), so another will come."""
    published_at: Moment | None = None

    @property
    def stage(self) -> Stage:
        """Where it stands in screening; registration wins (see above)."""
        if self.number is not None:
            return Stage.REGISTERED
        if self.discarded is not None:
            return Stage.DISCARDED
        if self.noted_at is not None:
            return Stage.NOTED
        return Stage.READ if self.read_at is not None else Stage.UNREAD

    @property
    def is_open(self) -> bool:
        """Whether it still waits for screening."""
        return self.stage in {Stage.UNREAD, Stage.READ}


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def receive(state: Letter | None, submission: SubmissionAccepted, mailbox: str, now: datetime) -> Sequence[Fact]:
    """Take a submission; the same one again changes nothing (R2.2).

    Args:
        state: the letter, if it is already known.
        submission: what the front door accepted.
        mailbox: the mailbox that receives it; not the chosen one where a report must be kept from the unit it is about.
        now: unused but for its kind; the letter counts from the moment it was accepted.
    """
    del now
    if state is not None:
        return ()
    return [
        LetterReceived(
            letter_id=submission.letter_id,
            at=submission.at,
            mailbox=mailbox,
            chosen_mailbox=submission.mailbox,
            subject=submission.subject,
            body=submission.body,
            classification=submission.classification,
            may_publish=submission.may_publish,
            attachments=submission.attachments,
        )
    ]


def known(state: Letter | None) -> Letter:
    """Return the letter.

    Raises:
        NotFound: there is none.
    """
    if state is None:
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state


def read(state: Letter | None, by: Actor, now: datetime) -> list[Fact]:
    """Open the letter; only the first time is recorded (R3.1)."""
    letter = known(state)
    return [] if letter.read_at is not None else [LetterRead(letter_id=letter.letter_id, at=now, by=by)]


def reclassify(state: Letter | None, after: Classification, by: Actor, now: datetime) -> list[Fact]:
    """Correct the classification (R3.2); no change, no fact."""
    letter = known(state)
    if letter.stage in {Stage.DISCARDED, Stage.NOTED}:
        raise RuleBroken(
            "R3.2", "来信已办结，不能再改分类 / The letter was discarded or noted; its classification stays"
        )
    if is_about_somebody(after) and after.nature is not Nature.REPORT:
        field = "/reported_mailbox" if after.reported_mailbox is not None else "/reported_people"
        raise BadInput(
            "R3.3", "只有举报才有被举报单位或个人 / Only a report (举报) is about a mailbox or people", field
        )
    if after == letter.classification:
        return []
    change = LetterReclassified(letter_id=letter.letter_id, at=now, by=by, before=letter.classification, after=after)
    return [*read(letter, by, now), change]


def may_register(state: Letter | None) -> None:
    """Check before a line of the register is written.

    Raises:
        RuleBroken: the letter was discarded or noted (R3.6).
    """
    letter = known(state)
    if letter.stage in {Stage.DISCARDED, Stage.NOTED}:
        raise RuleBroken(
            "R3.6",
            "已作无效或掌握处理的来信不能登记 / A discarded or noted letter gets no number",
        )


def register(state: Letter | None, number: Number, by: Actor, at: datetime) -> list[Fact]:
    """Register the letter under the number whose line was written at `at`; again: nothing (R3.6, R3.8)."""
    letter = known(state)
    if letter.number is not None:
        return []
    return [*read(letter, by, at), LetterRegistered(letter_id=letter.letter_id, at=at, by=by, number=number)]


def discard(
    state: Letter | None,
    reason: InvalidReason,
    by: Actor,
    now: datetime,
    *,
    remark: str = "",
    earlier_letter: str | None = None,
) -> list[Fact]:
    """Do not accept the letter, for one of the five reasons (R3.0)."""
    letter = _open(state, "R3.0")
    if earlier_letter is not None and reason is not InvalidReason.REPEATED_OR_EMPTY:
        raise BadInput(
            "R3.0", "只有重复来信才指明前一封 / Only a repeated letter names an earlier one", "/earlier_letter"
        )
    if earlier_letter == letter.letter_id:
        raise BadInput("R3.0", "来信不能重复自己 / A letter cannot repeat itself", "/earlier_letter")
    fact = LetterDiscarded(
        letter_id=letter.letter_id, at=now, by=by, reason=reason, remark=remark, earlier_letter=earlier_letter
    )
    return [*read(letter, by, now), fact]


def note(state: Letter | None, by: Actor, now: datetime, remark: str = "") -> list[Fact]:
    """Archive the letter for reference, without a number (R3.7)."""
    letter = _open(state, "R3.7")
    return [*read(letter, by, now), LetterNoted(letter_id=letter.letter_id, at=now, by=by, remark=remark)]


def _open(state: Letter | None, rule: str) -> Letter:
    letter = known(state)
    if not letter.is_open:
        reached = {
            Stage.REGISTERED: "登记 / registered",
            Stage.DISCARDED: "作无效处理 / discarded",
            Stage.NOTED: "作掌握处理 / noted",
        }[letter.stage]
        raise RuleBroken(
            rule, f"来信已{reached}; 只有未登记的来信可以这样处理 / only letters still in screening can be"
        )
    return letter


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def _received(_: Letter | None, fact: LetterReceived) -> Letter:
    return Letter(
        letter_id=fact.letter_id,
        mailbox=fact.mailbox,
        chosen_mailbox=fact.chosen_mailbox,
        subject=fact.subject,
        body=fact.body,
        classification=fact.classification,
        may_publish=fact.may_publish,
        attachments=fact.attachments,
        received_at=fact.at,
    )


def _moved(**changes: Callable[[Letter, Any], Any]) -> Callable[[Letter | None, Any], Letter]:
    """Make an `evolve` function that sets fields from the state and the fact."""

    def evolve(state: Letter | None, fact: Fact) -> Letter:
        letter = known(state)
        return letter.model_copy(update={name: value(letter, fact) for name, value in changes.items()})

    return evolve


def _handed_on(letter: Letter, fact: HandoffSent) -> dict[str, Handoff]:
    handoff = Handoff(sender=fact.sender, receiver=fact.receiver, way=fact.way, parent=fact.parent, sent_at=fact.at)
    return {**letter.handoffs, fact.handoff_id: handoff}


def _with_handoff(letter: Letter, handoff_id: str, **changes: Any) -> dict[str, Handoff]:
    handoffs = dict(letter.handoffs)
    handoffs[handoff_id] = handoffs[handoff_id].model_copy(update=changes)
    return handoffs


ON: Mapping[type[Fact], Callable[[Letter | None, Any], Letter | None]] = {
    LetterReceived: _received,
    LetterRead: _moved(read_at=lambda _, f: f.at, read_by=lambda _, f: f.by),
    LetterReclassified: _moved(classification=lambda _, f: f.after, corrections=lambda s, f: (*s.corrections, f)),
    LetterRegistered: _moved(number=lambda _, f: f.number, registered_at=lambda _, f: f.at),
    LetterDiscarded: _moved(discarded=lambda _, f: f),
    LetterErased: _moved(subject=lambda _s, _f: "", body=lambda _s, _f: "", attachments=lambda _s, _f: ()),
    LetterNoted: _moved(noted_at=lambda _, f: f.at),
    HandoffSent: _moved(handoffs=_handed_on),
    HandoffCollected: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, collected_at=f.at)),
    HandoffReturned: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, ended=True)),
    SlipWithdrawn: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, ended=True)),
    ReplyDueSet: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, due_at=f.due_at)),
    ReplyDueChanged: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, due_at=f.due_at, overdue=False)),
    ReplyOverdue: _moved(handoffs=lambda s, f: _with_handoff(s, f.handoff_id, overdue=True)),
    ReplySentBack: _moved(reopened=lambda s, _: bool(s.answers)),
    CitizenAnswered: _moved(
        answers=lambda s, f: (*s.answers, Answer(mailbox=f.mailbox, channel=f.channel, text=f.text, at=f.at)),
        reopened=lambda _s, _f: False,
    ),
    LetterPublished: _moved(published_at=lambda _, f: f.at),
}
"""Every fact that changes what intake knows of a letter."""
