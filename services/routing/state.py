"""How facts are remembered: one function per fact, and the table `ON`.

`letter` comes from intake's facts, `clocks` from deadline's, the rest from routing's own. No fact writes into another service's part, so
the state does not depend on how facts of different services interleave.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.routing.models import (
    KEPT_ACTIONS,
    KEPT_TEXTS,
    Answer,
    Clock,
    Decision,
    Extension,
    Handoff,
    Instruction,
    Letter,
    Note,
    Reply,
    SentBack,
    Slip,
    State,
    Told,
    Urging,
)
from shared.contracts.facts import (
    CitizenAnswered,
    CitizenTold,
    DispositionOverdue,
    ExtensionDecided,
    ExtensionRequested,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    InstructionEnded,
    InstructionFollowedUp,
    InstructionGiven,
    InstructionReminded,
    LetterDiscarded,
    LetterErased,
    LetterNoted,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ProgressRecorded,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplyRefused,
    ReplyReminded,
    ReplySentBack,
    ReplySubmitted,
    SlipPrepared,
    SlipRefused,
    SlipWithdrawn,
    UrgingDue,
    UrgingSent,
)
from shared.contracts.types import Actor, Way

Change = dict[str, Any]
"""Field → its new value."""
ERASED: Final = ""
"""What stands in place of the text of an invalid letter after its retention (R3.7)."""


def action_key(mailbox: str, action_id: str) -> str:
    """Return how an action is remembered: ids are each unit's own."""
    return f"{mailbox}/{action_id}"


class NotThere(Exception):
    """A fact is about a letter, slip, hand-off or draft that no earlier fact tells of; it is parked."""


# ── whose part a fact writes ─────────────────────────────────────────────────────────────────────────────────────────


def _state(state: State | None, fact: Fact) -> State:
    return state or State(letter_id=fact.letter_id)


def _letter(change: Callable[[Any], Change]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of intake."""

    def evolve(state: State | None, fact: Fact) -> State:
        if state is None or state.letter is None:
            raise NotThere(f"{type(fact).__name__} came, but no LetterReceived before it")
        return state.model_copy(update={"letter": state.letter.model_copy(update=change(fact))})

    return evolve


def _own(change: Callable[[State, Any], Change]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of routing; it also notes a change of place and the action that asked for it."""

    def evolve(state: State | None, fact: Fact) -> State:
        known = _state(state, fact)
        update = change(known, fact)
        if fact.caused_by is not None:
            key = action_key(_who(fact).mailbox, fact.caused_by)
            if key not in known.actions:
                update["actions"] = (*known.actions, key)[-KEPT_ACTIONS:]
        after = known.model_copy(update=update)
        return after if _place(after) == _place(known) else after.model_copy(update={"moved_at": fact.at})

    return evolve


def _place(state: State) -> tuple[Any, ...]:
    """Return all that a move changes; the same moment brings it about whatever intake has told by then."""
    current = state.current
    draft = current.draft if current else None
    return state.stage, state.slip and state.slip.id, current and current.id, draft and draft.id


def _clock(change: Callable[[Any], Change]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of deadline on one hand-off."""

    def evolve(state: State | None, fact: Any) -> State:
        known = _state(state, fact)
        moved = known.clocks.get(fact.handoff_id, Clock()).model_copy(update=change(fact))
        return known.model_copy(update={"clocks": {**known.clocks, fact.handoff_id: moved}})

    return evolve


def _handoff(change: Callable[[Handoff, Any], Change]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of routing that changes one hand-off."""
    return _own(lambda state, fact: _on_handoff(state, fact, lambda handoff: change(handoff, fact)))


def _on_handoff(state: State, fact: Any, change: Callable[[Handoff], Change]) -> Change:
    if not any(handoff.id == fact.handoff_id for handoff in state.handoffs):
        raise NotThere(f"{type(fact).__name__} came, but no HandoffSent {fact.handoff_id}")
    moved = (h.model_copy(update=change(h)) if h.id == fact.handoff_id else h for h in state.handoffs)
    return {"handoffs": tuple(moved)}


def _instruction(change: Callable[[Instruction, Any], Change]) -> Callable[[State | None, Any], State]:
    """Make an `evolve` function for a fact of routing that changes one instruction."""

    def evolve(state: State, fact: Any) -> Change:
        if not any(one.id == fact.instruction_id for one in state.instructions):
            raise NotThere(f"{type(fact).__name__} came, but no InstructionGiven {fact.instruction_id}")
        moved = (
            one.model_copy(update=change(one, fact)) if one.id == fact.instruction_id else one
            for one in state.instructions
        )
        return {"instructions": tuple(moved)}

    return _own(evolve)


def _who(fact: Fact) -> Actor:
    if fact.by is None:
        raise NotThere(f"{type(fact).__name__} does not say by whom")
    return fact.by


def _decision(fact: Fact, reason: str | None) -> Decision:
    return Decision(by=_who(fact), at=fact.at, reason=reason)


def _note(fact: Any) -> Note:
    return Note(text=fact.text, by=_who(fact), at=fact.at)


def _kept(texts: tuple[Any, ...], text: Any) -> tuple[Any, ...]:
    return (*texts, text)[-KEPT_TEXTS:]


# ── what happened ────────────────────────────────────────────────────────────────────────────────────────────────────


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


def _prepared(state: State, fact: SlipPrepared) -> Change:
    slip = Slip(
        id=fact.slip_id,
        sender=fact.sender,
        receiver=fact.receiver,
        opinion=fact.opinion,
        requirements=fact.requirements,
        answer_by=fact.answer_by,
        written_reply=fact.written_reply,
        way=fact.way,
        medium=fact.medium,
        working_days=fact.working_days,
        parent=fact.parent,
        prepared_by=_who(fact),
        prepared_at=fact.at,
    )
    return {"slips": (*state.slips, slip)}


def _decided(state: State, slip_id: str, fact: Fact, reason: str | None) -> tuple[Slip, ...]:
    if not any(slip.id == slip_id for slip in state.slips):
        raise NotThere(f"{type(fact).__name__} came, but no SlipPrepared {slip_id}")
    decided = {"decision": _decision(fact, reason)}
    return tuple(s.model_copy(update=decided) if s.id == slip_id else s for s in state.slips)


def _sent(state: State, fact: HandoffSent) -> Change:
    handoff = Handoff(
        id=fact.handoff_id,
        sender=fact.sender,
        receiver=fact.receiver,
        opinion=fact.opinion,
        requirements=fact.requirements,
        answer_by=fact.answer_by,
        written_reply=fact.written_reply,
        way=fact.way,
        medium=fact.medium,
        working_days=fact.working_days,
        parent=fact.parent,
        prepared_by=fact.prepared_by,
        approved_by=_who(fact),
        sent_at=fact.at,
    )
    return {"slips": _decided(state, fact.handoff_id, fact, None), "handoffs": (*state.handoffs, handoff)}


def _told(_: Handoff, fact: CitizenTold) -> Change:
    return {"told": Told(channel=fact.channel, text=fact.text, by=_who(fact), at=fact.at)}


def _drafted(state: State, fact: ReplySubmitted) -> Change:
    draft = Reply(
        id=fact.reply_id,
        text=fact.text,
        document=fact.document,
        attachments=fact.attachments,
        channel=fact.channel,
        author=_who(fact),
        at=fact.at,
    )
    update = _on_handoff(state, fact, lambda h: {"replies": _kept(h.replies, draft)})
    return {**update, "drafted": state.drafted + 1}


def _judged(handoff: Handoff, fact: ReplyApproved | ReplyRefused) -> Change:
    """Note the head's decision on a draft."""
    reason = fact.reason if isinstance(fact, ReplyRefused) else None
    decided: Change = {"decision": _decision(fact, reason)}
    if isinstance(fact, ReplyApproved):
        decided["author"] = fact.author
    judged = tuple(r.model_copy(update=decided) if r.id == fact.reply_id else r for r in handoff.replies)
    return {"replies": judged} if reason is not None else {"replies": judged, "replied_at": fact.at}


def _urged(handoff: Handoff, fact: UrgingSent) -> Change:
    urging = Urging(count=fact.count, due_at=fact.due_at, at=fact.at)
    return {"urged": max(handoff.urged, fact.count), "urgings": _kept(handoff.urgings, urging)}


def _sent_back(state: State, fact: ReplySentBack) -> Change:
    back = SentBack(
        reply_id=fact.reply_id,
        reason=fact.reason,
        requirements=fact.requirements,
        count=fact.count,
        working_days=fact.working_days,
        by=_who(fact),
        at=fact.at,
    )
    update = _on_handoff(state, fact, lambda h: {"sent_back": _kept(h.sent_back, back), "replied_at": None})
    return {**update, "reopened": bool(state.answers)}


def _answered(state: State, fact: CitizenAnswered) -> Change:
    answer = Answer.model_validate(fact, from_attributes=True)
    return {"answers": _kept(state.answers, answer), "reopened": False}


def _applied(state: State, fact: ExtensionRequested) -> Change:
    extension = Extension(
        id=fact.extension_id,
        reason=fact.reason,
        wanted_due_at=fact.wanted_due_at,
        oral=fact.oral,
        by=_who(fact),
        at=fact.at,
    )
    update = _on_handoff(state, fact, lambda h: {"extensions": _kept(h.extensions, extension)})
    return {**update, "applied": state.applied + 1}


def _extended(handoff: Handoff, fact: ExtensionDecided) -> Change:
    decided = {"outcome": fact.outcome, "due_at": fact.due_at, "decision": _decision(fact, fact.reason or None)}
    moved = (e.model_copy(update=decided) if e.id == fact.extension_id else e for e in handoff.extensions)
    return {"extensions": tuple(moved)}


def _instructed(state: State, fact: InstructionGiven) -> Change:
    """Note the instruction; one that the staff had asked their own leader for brings the letter back to them (R4.4)."""
    given = Instruction(
        id=fact.instruction_id,
        mailbox=fact.mailbox,
        leader=fact.leader,
        text=fact.text,
        report_by=fact.report_by,
        at=fact.at,
    )
    update: Change = {"instructions": (*state.instructions, given)}
    current = state.current
    if current is not None and current.way is Way.SUBMIT_UP and current.is_kept and current.sender == fact.mailbox:
        back = current.model_copy(update={"instructed_at": fact.at})
        update["handoffs"] = tuple(back if h.id == current.id else h for h in state.handoffs)
    return update


def _due_changed(fact: ReplyDueChanged) -> dict[str, Any]:
    """A limit that moved is not passed yet; a provisional one that became firm where it was may be."""
    update: dict[str, Any] = {"due_at": fact.due_at, "provisional": fact.provisional}
    return update if fact.before == fact.due_at else {**update, "overdue_at": None}


ON: Final[Mapping[type[Fact], Callable[[State | None, Any], State | None]]] = {
    LetterReceived: _received,
    LetterRead: _letter(lambda _: {"read": True}),
    LetterReclassified: _letter(lambda f: {"classification": f.after}),
    LetterRegistered: _letter(lambda f: {"number": f.number, "registered_at": f.at, "registered_by": f.by}),
    LetterDiscarded: _letter(lambda _: {"discarded": True}),
    LetterErased: _letter(lambda f: {"subject": ERASED, "body": ERASED, "attachments": ()} if f.text else {}),
    LetterNoted: _letter(lambda _: {"noted": True}),
    SlipPrepared: _own(_prepared),
    SlipRefused: _own(lambda s, f: {"slips": _decided(s, f.slip_id, f, f.reason)}),
    HandoffSent: _own(_sent),
    SlipWithdrawn: _handoff(lambda _, f: {"withdrawn": _decision(f, f.reason)}),
    HandoffCollected: _handoff(lambda _, f: {"collected_by": _who(f), "collected_at": f.at}),
    HandoffReturned: _handoff(lambda _, f: {"returned": _decision(f, f.reason)}),
    CitizenTold: _handoff(_told),
    ProgressRecorded: _handoff(lambda h, f: {"progress": _kept(h.progress, _note(f))}),
    ReplySubmitted: _own(_drafted),
    ReplyRefused: _handoff(_judged),
    ReplyApproved: _handoff(_judged),
    ReplySentBack: _own(_sent_back),
    ExtensionRequested: _own(_applied),
    ExtensionDecided: _handoff(_extended),
    InstructionGiven: _own(_instructed),
    InstructionFollowedUp: _instruction(lambda i, f: {"follow_ups": _kept(i.follow_ups, _note(f))}),
    InstructionEnded: _instruction(lambda _, f: {"ended": _note(f)}),
    CitizenAnswered: _own(_answered),
    UrgingSent: _handoff(_urged),
    ReplyDueSet: _clock(lambda f: {"due_at": f.due_at, "provisional": f.provisional}),
    ReplyDueChanged: _clock(_due_changed),
    ReplyReminded: _clock(lambda f: {"reminded_at": f.at}),
    ReplyOverdue: _clock(lambda f: {"overdue_at": f.at}),
    UrgingDue: _clock(lambda f: {"urging": f.count, "urging_due_at": f.due_at}),
    InstructionReminded: _state,
    DispositionOverdue: _state,
}
"""Every fact that changes what routing knows of a letter; the last two are passed on to a mailbox only."""
