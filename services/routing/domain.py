"""Who has a letter and what may happen next: from the first slip to the citizen's answer (R4–R8).

`moves.py` is the table of legal moves, `models.py` says where a letter stands, `state.py` how facts are remembered. Each decision is a
function `(state, who, tree, …, now) -> facts` that checks the table and the rule. This is the table of contents of all decisions; staff
(HTTP) and units' systems (`actions.<code>`) make them through the same functions.
"""

from collections.abc import Sequence
from datetime import datetime

from services.routing.access import Tree, Who, acting, is_kept_from, parties, visible
from services.routing.extensions import Application, Verdict, decide_extension, request_extension
from services.routing.handling import answer_citizen, collect, record_progress, return_letter, tell_citizen
from services.routing.instructions import end_instruction, follow_up, give_instruction
from services.routing.models import Handoff, State
from services.routing.replies import (
    PaperReply,
    ReplyText,
    approve_reply,
    record_reply,
    refuse_reply,
    send_back,
    submit_reply,
)
from services.routing.slips import SlipText, approve_slip, prepare_slip, refuse_slip, withdraw_slip
from shared.contracts.facts import Fact, UrgingSent

__all__ = [
    "Application",
    "PaperReply",
    "ReplyText",
    "SlipText",
    "Tree",
    "Verdict",
    "Who",
    "acting",
    "answer_citizen",
    "approve_reply",
    "approve_slip",
    "collect",
    "decide_extension",
    "end_instruction",
    "follow",
    "follow_up",
    "give_instruction",
    "is_kept_from",
    "parties",
    "prepare_slip",
    "record_progress",
    "record_reply",
    "refuse_reply",
    "refuse_slip",
    "request_extension",
    "return_letter",
    "send_back",
    "submit_reply",
    "tell_citizen",
    "visible",
    "withdraw_slip",
]


def follow(state: State, now: datetime) -> Sequence[Fact]:
    """Send each urging slip (催办单) that fell due, once, while the reply is not there (R7.1)."""
    if state.answer is not None:
        return ()
    return [
        UrgingSent(
            letter_id=state.letter_id,
            at=now,
            handoff_id=handoff.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            count=clock.urging,
            due_at=clock.urging_due_at,
        )
        for handoff in state.open_handoffs
        if (clock := state.clocks.get(handoff.id)) is not None
        and clock.urging_due_at is not None
        and clock.urging > handoff.urged
        and _is_urged(handoff, clock.urging_due_at)
    ]


def _is_urged(handoff: Handoff, due_at: datetime) -> bool:
    """Whether an urging for this due moment still stands: not while more time is asked for, nor once it was given (R6.4, R7.3).

    A reply that is sent back has a new limit, however much time was given for the one before.
    """
    if handoff.undecided is not None:
        return False
    redone_at = handoff.sent_back[-1].at if handoff.sent_back else None
    given = [
        one.due_at for one in handoff.extensions if one.due_at is not None and (redone_at is None or one.at > redone_at)
    ]
    return all(due_at >= moment for moment in (*given, *([redone_at] if redone_at else [])))
