"""How routing shows letters over HTTP: each mailbox sees what concerns it."""

from dataclasses import dataclass
from typing import Any, TypeVar

from services.routing.access import Tree, acting
from services.routing.models import Clock, Extension, Handoff, Reply, Slip, State
from services.routing.placing import CITY, Place
from services.routing.repository import ListName
from services.routing.views import (
    AnswerView,
    EndView,
    ExtensionView,
    HandoffView,
    InstructionView,
    LetterRow,
    LetterView,
    NoteView,
    ReplyState,
    ReplyView,
    SentBackView,
    SlipState,
    SlipView,
    ToldView,
    View,
)
from shared.security.tokens import Caller

Made = TypeVar("Made", bound=View)


def _view(kind: type[Made], part: Any, **more: Any) -> Made:
    """Make a view of a part of the state: fields of the same name are taken over."""
    taken = {name: getattr(part, name) for name in kind.model_fields if hasattr(part, name)}
    return kind(**{**taken, **more})


def letter_view(state: State, version: int, caller: Caller, tree: Tree) -> LetterView:
    """Show a letter to somebody who may see it; it must have been received."""
    letter = state.letter
    assert letter is not None
    mine = Mine.of(state, caller, tree)
    return _view(
        LetterView,
        letter,
        letter_id=state.letter_id,
        version=version,
        stage=state.stage.value,
        stage_label=state.stage.label,
        since=state.since,
        holder=state.holder,
        flagged=state.flagged,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        attachments=list(letter.attachments),
        slips=[_slip(slip) for slip in state.slips if mine(slip.sender)],
        handoffs=[_handoff(handoff, state.clocks.get(handoff.id, Clock()), mine) for handoff in state.handoffs],
        instructions=[
            _view(
                InstructionView,
                one,
                instruction_id=one.id,
                follow_ups=[_view(NoteView, note) for note in one.follow_ups],
                ended=_view(NoteView, one.ended) if one.ended else None,
            )
            for one in state.instructions
            if mine(one.mailbox, one.leader.mailbox)
        ],
        answer=_view(AnswerView, state.answer) if state.answer else None,
        answers=[_view(AnswerView, answer) for answer in state.answers],
    )


@dataclass(frozen=True, slots=True)
class Mine:
    """Tells whether a part of a letter concerns a mailbox: as its own, or as that of a closed one for which it acts (R1.1, R10.2)."""

    state: State
    mailbox: str
    tree: Tree
    everything: bool = False

    @classmethod
    def of(cls, state: State, caller: Caller, tree: Tree) -> "Mine":
        """Tell it for a caller; the duty office sees all."""
        return cls(state, caller.mailbox, tree, everything=caller.is_duty_officer)

    def __call__(self, *codes: str) -> bool:
        """Return whether one of these mailboxes is meant."""
        return self.everything or any(acting(self.state, code, self.tree) == self.mailbox for code in codes)


def _meant(state: State, mine: Mine, name: ListName) -> Handoff | None:
    """Return the hand-off for which a letter stands in a mailbox's list."""
    sent = [handoff for handoff in state.handoffs if mine(handoff.sender)]
    if name is ListName.TO_TELL:
        return next((handoff for handoff in sent if handoff.to_tell), None)
    if name is ListName.EXTENSIONS:
        return next((handoff for handoff in sent if handoff.undecided is not None), None)
    if name is ListName.RETURNED:
        return state.returned
    ends = [handoff for handoff in state.open_handoffs if mine(handoff.sender, handoff.receiver)]
    return ends[-1] if ends else state.handoff


def letter_row(
    state: State, version: int, mailbox: str, tree: Tree, name: ListName = ListName.ALL, place: Place | None = None
) -> LetterRow:
    """Show a letter in a list of a mailbox ("": of the city); it must have been received."""
    letter = state.letter
    assert letter is not None
    mine = Mine(state, mailbox, tree)
    handoff = _meant(state, mine, name)
    slip = state.slip if state.slip and (mailbox == CITY or mine(state.slip.sender)) else None
    clock = state.clocks.get(handoff.id, Clock()) if handoff else Clock()
    draft = handoff.draft if handoff else None
    asked = handoff.undecided if handoff else None
    instruction = next((one for one in state.instructions if mine(one.mailbox) and one.ended is None), None)
    return LetterRow(
        letter_id=state.letter_id,
        version=version,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        subject=letter.subject,
        nature=letter.classification.nature,
        domain=letter.classification.domain,
        region=letter.classification.region,
        mailbox=letter.mailbox,
        received_at=letter.received_at,
        place=place.value if place else None,
        place_label=place.label if place else None,
        stage=state.stage.value,
        stage_label=state.stage.label,
        since=state.since or letter.received_at,
        holder=state.holder,
        flagged=state.flagged,
        slip_id=slip.id if slip else None,
        handoff_id=handoff.id if handoff else None,
        reply_id=draft.id if draft else None,
        extension_id=asked.id if asked else None,
        instruction_id=instruction.id if instruction else None,
        report_by=instruction.report_by if instruction else None,
        reason=handoff.returned.reason if handoff and handoff.returned else None,
        due_at=clock.due_at,
        overdue=clock.overdue_at is not None and handoff is not None and not handoff.ended,
        urgings=handoff.urged if handoff else 0,
        **_ends(slip or handoff),
    )


def _ends(way: Slip | Handoff | None) -> dict[str, Any]:
    return {name: getattr(way, name, None) for name in ("way", "sender", "receiver")}


def _decided(part: Slip | Reply | Extension) -> dict[str, Any]:
    decision = part.decision
    return {"decided_by": decision.by if decision else None, "decided_at": decision.at if decision else None}


def _slip(slip: Slip) -> SlipView:
    decision = slip.decision
    state = SlipState.OPEN
    if decision is not None:
        state = SlipState.SENT if decision.reason is None else SlipState.REFUSED
    return _view(
        SlipView, slip, slip_id=slip.id, state=state, reason=decision.reason if decision else None, **_decided(slip)
    )


def _handoff(handoff: Handoff, clock: Clock, mine: Mine) -> HandoffView:
    """Show a hand-off; how a unit works inside is its own business (R4.2b), and a draft that of the assignee."""
    ends = mine(handoff.sender, handoff.receiver)
    replies = [reply_view(reply, handoff) for reply in handoff.replies if ends]
    return _view(
        HandoffView,
        handoff,
        handoff_id=handoff.id,
        state=handoff.stage.value,
        withdrawn=_view(EndView, handoff.withdrawn) if handoff.withdrawn else None,
        returned=_view(EndView, handoff.returned) if handoff.returned else None,
        told=_view(ToldView, handoff.told) if handoff.told else None,
        due_at=clock.due_at,
        provisional=clock.provisional,
        reminded_at=clock.reminded_at,
        overdue_at=clock.overdue_at,
        urgings=handoff.urged,
        progress=[_view(NoteView, one) for one in handoff.progress if ends],
        replies=[reply for reply in replies if sees_reply(mine, handoff, reply)],
        sent_back=[_view(SentBackView, one) for one in handoff.sent_back if ends],
        extensions=[
            _view(
                ExtensionView,
                one,
                extension_id=one.id,
                answer=one.decision.reason if one.decision else None,
                **_decided(one),
            )
            for one in handoff.extensions
            if ends
        ],
    )


def sees_reply(mine: Mine, handoff: Handoff, reply: ReplyView) -> bool:
    """Whether a reply is shown to one of the two ends: a draft only to whose it is."""
    whose = handoff.sender if handoff.by_hand else handoff.receiver
    return reply.state in {ReplyState.APPROVED, ReplyState.SENT_BACK} or mine(whose)


def reply_view(reply: Reply, handoff: Handoff) -> ReplyView:
    """Show a reply and what became of it."""
    decision = reply.decision
    if decision is None:
        state = ReplyState.OPEN if reply == handoff.draft else ReplyState.REPLACED
    elif decision.reason is not None:
        state = ReplyState.REFUSED
    else:
        back = any(one.reply_id == reply.id for one in handoff.sent_back)
        state = ReplyState.SENT_BACK if back else ReplyState.APPROVED
    return _view(
        ReplyView,
        reply,
        reply_id=reply.id,
        state=state,
        attachments=list(reply.attachments),
        reason=decision.reason if decision else None,
        **_decided(reply),
    )
