"""A letter's handling: what is known of it, in three parts that three services write.

`letter` comes from intake's facts, `clocks` from deadline's, the rest from routing's own. No fact writes into another service's part, so
the state does not depend on how facts of different services interleave. Where the letter stands is computed, never stored.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ProgressRecorded,
    ReplyApproved,
    ReplyDueSet,
    ReplyOverdue,
    ReplyRefused,
    ReplyReminded,
    ReplySubmitted,
    SlipPrepared,
    SlipRefused,
    UrgingDue,
    UrgingSent,
)
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Channel,
    Classification,
    Labelled,
    Moment,
    Number,
    Value,
)

KEPT_TEXTS: Final = 20
"""Notes of progress and drafts per hand-off that the state keeps; all of them are in the history."""
KEPT_ACTIONS: Final = 1_000
"""Actions that took effect on one letter and are recognised when they come again."""


class Stage(Labelled):
    """Where a letter stands."""

    ARRIVED = "arrived", "待登记"
    PENDING = "pending", "拟办"
    SLIP = "slip", "交办单待审批"
    SENT = "sent", "已交办待签收"
    COLLECTED = "collected", "承办中"
    DRAFTED = "drafted", "承办回复待审核"
    REPLIED = "replied", "待答复来信人"
    FINISHED = "finished", "办结"
    DISCARDED = "discarded", "不予受理"
    NOTED = "noted", "掌握"


class Letter(Value):
    """The letter as intake tells of it."""

    mailbox: str
    """The first-receiving mailbox, which disposes of it (R3.8)."""
    subject: str
    body: str
    classification: Classification
    attachments: tuple[Attachment, ...] = ()
    received_at: Moment
    number: Number | None = None
    registered_at: Moment | None = None
    discarded: bool = False
    noted: bool = False


class Decision(Value):
    """What a head or leader decided on a slip or a draft."""

    by: Actor
    at: Moment
    reason: str | None = None
    """Why it was refused; none: it was approved."""


class Slip(Value):
    """An assignment slip (交办单, R4.2)."""

    id: str
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    prepared_by: Actor
    prepared_at: Moment
    decision: Decision | None = None


class Progress(Value):
    """An explanation of progress (R7.1)."""

    text: str
    by: Actor
    at: Moment


class Reply(Value):
    """A draft of the assignee's reply (承办回复, R6.2), and what its head decided."""

    id: str
    text: str
    author: Actor
    at: Moment
    decision: Decision | None = None


class Handoff(Value):
    """A letter that was handed out (R4.2)."""

    id: str
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    prepared_by: Actor
    approved_by: Actor
    sent_at: Moment
    collected_by: Actor | None = None
    collected_at: Moment | None = None
    progress: tuple[Progress, ...] = ()
    replies: tuple[Reply, ...] = ()
    replied_at: Moment | None = None
    urged: int = 0
    """The ordinal of the last urging slip that went out (R7.1)."""

    @property
    def draft(self) -> Reply | None:
        """The draft that waits for the head: only the newest can."""
        last = self.replies[-1] if self.replies else None
        return last if last is not None and last.decision is None else None


class Clock(Value):
    """What deadline told of one hand-off (R6.1, R7.1)."""

    due_at: Moment | None = None
    provisional: bool = False
    reminded_at: Moment | None = None
    overdue_at: Moment | None = None
    urging: int = 0
    """The ordinal of the last urging that fell due."""
    urging_due_at: Moment | None = None


class Answer(Value):
    """The citizen's answer (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    author: Actor
    at: Moment


class State(Value):
    """The handling of one letter."""

    letter_id: str
    letter: Letter | None = None
    slips: tuple[Slip, ...] = ()
    handoffs: tuple[Handoff, ...] = ()
    drafted: int = 0
    """How many replies were drafted: the next is `r<drafted + 1>`."""
    answer: Answer | None = None
    actions: tuple[str, ...] = ()
    """The `action_key` of each unit's action that took effect, so that the same one again has none."""
    clocks: Mapping[str, Clock] = {}
    """Hand-off id → its clock."""

    @property
    def slip(self) -> Slip | None:
        """The slip that waits for the head."""
        last = self.slips[-1] if self.slips else None
        return last if last is not None and last.decision is None else None

    @property
    def handoff(self) -> Handoff | None:
        """The hand-off under which the letter is, or was last, handled."""
        return self.handoffs[-1] if self.handoffs else None

    @property
    def stage(self) -> Stage:  # noqa: PLR0911 - one line for each stage
        """Where the letter stands. A number counts more than a discard or note made at the same moment (R3.6)."""
        if self.answer is not None:
            return Stage.FINISHED
        if self.slip is not None:
            return Stage.SLIP
        if self.handoff is not None:
            return _stage_of(self.handoff)
        if self.letter is not None and self.letter.number is not None:
            return Stage.PENDING
        if self.letter is not None and self.letter.discarded:
            return Stage.DISCARDED
        if self.letter is not None and self.letter.noted:
            return Stage.NOTED
        return Stage.ARRIVED

    @property
    def since(self) -> Moment | None:
        """Since when it stands there; none before it is registered."""
        handoff, draft = self.handoff, self.handoff.draft if self.handoff else None
        found = {
            Stage.PENDING: self.letter.registered_at if self.letter else None,
            Stage.SLIP: self.slip.prepared_at if self.slip else None,
            Stage.SENT: handoff.sent_at if handoff else None,
            Stage.COLLECTED: handoff.collected_at if handoff else None,
            Stage.DRAFTED: draft.at if draft else None,
            Stage.REPLIED: handoff.replied_at if handoff else None,
            Stage.FINISHED: self.answer.at if self.answer else None,
        }
        return found.get(self.stage)


def _stage_of(handoff: Handoff) -> Stage:
    if handoff.replied_at is not None:
        return Stage.REPLIED
    if handoff.draft is not None:
        return Stage.DRAFTED
    return Stage.SENT if handoff.collected_at is None else Stage.COLLECTED


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


def action_key(mailbox: str, action_id: str) -> str:
    """Return how an action is remembered: ids are each unit's own."""
    return f"{mailbox}/{action_id}"


class NotThere(Exception):
    """A fact is about a letter, slip, hand-off or draft that no earlier fact tells of; it is parked."""


def _state(state: State | None, fact: Fact) -> State:
    return state or State(letter_id=fact.letter_id)


def _received(state: State | None, fact: LetterReceived) -> State:
    letter = Letter(
        mailbox=fact.mailbox,
        subject=fact.subject,
        body=fact.body,
        classification=fact.classification,
        attachments=fact.attachments,
        received_at=fact.at,
    )
    return _state(state, fact).model_copy(update={"letter": letter})


def _letter(change: Callable[[Any], dict[str, Any]]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of intake."""

    def evolve(state: State | None, fact: Fact) -> State:
        if state is None or state.letter is None:
            raise NotThere(f"{type(fact).__name__} came, but no LetterReceived before it")
        return state.model_copy(update={"letter": state.letter.model_copy(update=change(fact))})

    return evolve


def _own(change: Callable[[State, Any], dict[str, Any]]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of routing; it also remembers the action that asked for it."""

    def evolve(state: State | None, fact: Fact) -> State:
        known = _state(state, fact)
        update = change(known, fact)
        if fact.caused_by is not None:
            key = action_key(_who(fact).mailbox, fact.caused_by)
            if key not in known.actions:
                update["actions"] = (*known.actions, key)[-KEPT_ACTIONS:]
        return known.model_copy(update=update)

    return evolve


def _clock(change: Callable[[Clock, Any], dict[str, Any]]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of deadline on one hand-off."""

    def evolve(state: State | None, fact: Any) -> State:
        known = _state(state, fact)
        clock = known.clocks.get(fact.handoff_id, Clock())
        moved = clock.model_copy(update=change(clock, fact))
        return known.model_copy(update={"clocks": {**known.clocks, fact.handoff_id: moved}})

    return evolve


def _prepared(state: State, fact: SlipPrepared) -> dict[str, Any]:
    slip = Slip(
        id=fact.slip_id,
        sender=fact.sender,
        receiver=fact.receiver,
        opinion=fact.opinion,
        requirements=fact.requirements,
        answer_by=fact.answer_by,
        written_reply=fact.written_reply,
        prepared_by=_who(fact),
        prepared_at=fact.at,
    )
    return {"slips": (*state.slips, slip)}


def _who(fact: Fact) -> Actor:
    if fact.by is None:
        raise NotThere(f"{type(fact).__name__} does not say by whom")
    return fact.by


def _decided(state: State, slip_id: str, fact: Fact, reason: str | None) -> tuple[Slip, ...]:
    decision = Decision(by=_who(fact), at=fact.at, reason=reason)
    if not any(slip.id == slip_id for slip in state.slips):
        raise NotThere(f"{type(fact).__name__} came, but no SlipPrepared {slip_id}")
    return tuple(s.model_copy(update={"decision": decision}) if s.id == slip_id else s for s in state.slips)


def _sent(state: State, fact: HandoffSent) -> dict[str, Any]:
    handoff = Handoff(
        id=fact.handoff_id,
        sender=fact.sender,
        receiver=fact.receiver,
        opinion=fact.opinion,
        requirements=fact.requirements,
        answer_by=fact.answer_by,
        written_reply=fact.written_reply,
        prepared_by=fact.prepared_by,
        approved_by=_who(fact),
        sent_at=fact.at,
    )
    return {"slips": _decided(state, fact.handoff_id, fact, None), "handoffs": (*state.handoffs, handoff)}


def _with_handoff(state: State, fact: Any, change: Callable[[Handoff], dict[str, Any]]) -> dict[str, Any]:
    if not any(handoff.id == fact.handoff_id for handoff in state.handoffs):
        raise NotThere(f"{type(fact).__name__} came, but no HandoffSent {fact.handoff_id}")
    moved = (h.model_copy(update=change(h)) if h.id == fact.handoff_id else h for h in state.handoffs)
    return {"handoffs": tuple(moved)}


def _progress(handoff: Handoff, fact: ProgressRecorded) -> dict[str, Any]:
    return {"progress": (*handoff.progress, Progress(text=fact.text, by=_who(fact), at=fact.at))[-KEPT_TEXTS:]}


def _drafted(state: State, fact: ReplySubmitted) -> dict[str, Any]:
    draft = Reply(id=fact.reply_id, text=fact.text, author=_who(fact), at=fact.at)
    update = _with_handoff(state, fact, lambda h: {"replies": (*h.replies, draft)[-KEPT_TEXTS:]})
    return {**update, "drafted": state.drafted + 1}


def _judged(handoff: Handoff, fact: ReplyApproved | ReplyRefused) -> dict[str, Any]:
    """Note the head's decision on a draft."""
    reason = fact.reason if isinstance(fact, ReplyRefused) else None
    decision = Decision(by=_who(fact), at=fact.at, reason=reason)
    judged = tuple(r.model_copy(update={"decision": decision}) if r.id == fact.reply_id else r for r in handoff.replies)
    return {"replies": judged} if reason is not None else {"replies": judged, "replied_at": fact.at}


ON: Final[Mapping[type[Fact], Callable[[State | None, Any], State | None]]] = {
    LetterReceived: _received,
    LetterReclassified: _letter(lambda f: {"classification": f.after}),
    LetterRegistered: _letter(lambda f: {"number": f.number, "registered_at": f.at}),
    LetterDiscarded: _letter(lambda _: {"discarded": True}),
    LetterNoted: _letter(lambda _: {"noted": True}),
    SlipPrepared: _own(_prepared),
    SlipRefused: _own(lambda s, f: {"slips": _decided(s, f.slip_id, f, f.reason)}),
    HandoffSent: _own(_sent),
    HandoffCollected: _own(lambda s, f: _with_handoff(s, f, lambda _: {"collected_by": _who(f), "collected_at": f.at})),
    ProgressRecorded: _own(lambda s, f: _with_handoff(s, f, lambda h: _progress(h, f))),
    ReplySubmitted: _own(_drafted),
    ReplyRefused: _own(lambda s, f: _with_handoff(s, f, lambda h: _judged(h, f))),
    ReplyApproved: _own(lambda s, f: _with_handoff(s, f, lambda h: _judged(h, f))),
    CitizenAnswered: _own(lambda _, f: {"answer": Answer.model_validate(f, from_attributes=True)}),
    UrgingSent: _own(lambda s, f: _with_handoff(s, f, lambda h: {"urged": max(h.urged, f.count)})),
    ReplyDueSet: _clock(lambda _, f: {"due_at": f.due_at, "provisional": f.provisional}),
    ReplyReminded: _clock(lambda _, f: {"reminded_at": f.at}),
    ReplyOverdue: _clock(lambda _, f: {"overdue_at": f.at}),
    UrgingDue: _clock(lambda c, f: {"urging": max(c.urging, f.count), "urging_due_at": f.due_at}),
}
"""Every fact that changes what routing knows of a letter."""
