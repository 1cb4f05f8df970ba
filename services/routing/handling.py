"""What a receiver does with a letter: sign for it, return it, explain progress; and how the citizen is told and answered."""

from datetime import datetime

from services.routing.access import (
    Tree,
    Who,
    acting,
    acting_receiver,
    base,
    check,
    find_handoff,
    required,
    unit_of,
    visible,
)
from services.routing.models import Handoff, Stage, State
from services.routing.moves import LEADER
from shared.contracts.errors import Forbidden, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    CitizenTold,
    Fact,
    HandoffCollected,
    HandoffReturned,
    ProgressRecorded,
)
from shared.contracts.types import Channel, Way


def received(state: State | None, kind: type[Fact], who: Who, tree: Tree, handoff_id: str) -> tuple[State, Handoff]:
    """Return the hand-off on which its receiver wants to make a move, or its sender records one by hand (R4.2)."""
    state, _ = visible(state, who, tree)
    handoff = find_handoff(state, handoff_id)
    check(state, kind, who, acting_receiver(handoff), tree, handoff)
    return state, handoff


def check_owes_reply(handoff: Handoff, rule: str) -> None:
    """Check that a reply is due on this hand-off.

    Raises:
        RuleBroken: it is a forward or a submission, on which none is (R8.4).
    """
    if not handoff.owes_reply:
        raise RuleBroken(
            rule,
            f"{handoff.way.label}件不要求回复，没有期限（R8.4） / On a forward or submission no reply is due, and there is no limit (R8.4)",
        )


def collect(state: State | None, who: Who, tree: Tree, handoff_id: str, now: datetime) -> list[Fact]:
    """Sign for the letter (签收), once (R6.3); forwarded or submitted, it is then pending on the receiver's desk."""
    state, handoff = received(state, HandoffCollected, who, tree, handoff_id)
    return [
        HandoffCollected(
            **base(state, who, now), handoff_id=handoff.id, receiver=handoff.receiver, by_hand=handoff.by_hand
        )
    ]


def return_letter(state: State | None, who: Who, tree: Tree, handoff_id: str, reason: str, now: datetime) -> list[Fact]:
    """Give back what was received in error, with the reason, before any reply; to and fro is flagged (R5.1)."""
    state, _ = visible(state, who, tree)
    handoff = find_handoff(state, handoff_id)
    if handoff.stage is Stage.SUBMITTED:
        _check_own_leader(state, handoff, who, tree)
    else:
        check(state, HandoffReturned, who, acting_receiver(handoff), tree, handoff)
    if handoff.sent_back and acting(state, handoff.receiver, tree) == tree.current(handoff.receiver):
        raise RuleBroken(
            "R5.1",
            "已经回复过的来信不能退件，请重新办理并回复（R7.3） / "
            "It was replied to before; what was sent back is done again, not returned (R7.3)",
        )
    returned = HandoffReturned(
        **base(state, who, now),
        handoff_id=handoff.id,
        sender=handoff.sender,
        receiver=handoff.receiver,
        reason=required(reason, "R5.1", "/reason"),
        count=1 + sum(one.returned is not None for one in state.handoffs),
        flagged=False,
    )
    back_and_forth = not handoff.is_kept and any(one.returned is not None and not one.is_kept for one in state.handoffs)
    return [returned.model_copy(update={"flagged": back_and_forth})]


def _check_own_leader(state: State, handoff: Handoff, who: Who, tree: Tree) -> None:
    """Check that the leader whom the staff asked gives it back."""
    asked = acting(state, handoff.receiver, tree)
    if who.actor.mailbox not in {asked, unit_of(asked, tree)}:
        check(state, HandoffReturned, who, handoff.receiver, tree, handoff)
    if who.roles.isdisjoint(LEADER):
        raise Forbidden(
            "R4.4",
            "来信已呈领导，由领导批示或退回；如系误呈请撤回 / "
            "It waits for the leader, who instructs or gives it back; staff withdraw it if that was an error",
        )


def record_progress(state: State | None, who: Who, tree: Tree, handoff_id: str, text: str, now: datetime) -> list[Fact]:
    """Explain progress; holds off urging, not lateness (R7.1)."""
    state, handoff = received(state, ProgressRecorded, who, tree, handoff_id)
    check_owes_reply(handoff, "R7.1")
    return [ProgressRecorded(**base(state, who, now), handoff_id=handoff.id, text=required(text, "R7.1", "/text"))]


def tell_citizen(
    state: State | None, who: Who, tree: Tree, handoff_id: str, channel: Channel, text: str, now: datetime
) -> list[Fact]:
    """Record how the citizen was told where the letter went, once for each forward (R4.3)."""
    state, _ = visible(state, who, tree)
    handoff = find_handoff(state, handoff_id)
    if handoff.way is not Way.FORWARD:
        raise RuleBroken(
            "R4.3", "只有转阅须告知来信人去向 / Only of a forward the citizen is told where the letter went"
        )
    check(state, CitizenTold, who, handoff.sender, tree, handoff)
    if handoff.withdrawn is not None or handoff.returned is not None:
        raise RuleBroken(
            "R4.3",
            "转阅件已撤回或被退回，来信未转出，无须告知 / The forward was withdrawn or returned: the letter did not go there",
        )
    if handoff.told is not None:
        raise RuleBroken("R4.3", "已记录告知来信人 / It is on record already how the citizen was told")
    return [
        CitizenTold(
            **base(state, who, now),
            handoff_id=handoff.id,
            mailbox=handoff.sender,
            channel=channel,
            text=required(text, "R4.3", "/text"),
        )
    ]


def answer_citizen(state: State | None, who: Who, tree: Tree, channel: Channel, text: str, now: datetime) -> list[Fact]:
    """Answer the citizen, or record the call: with the assignee's reply in hand (R8.3), or directly (R4.1, R8.2)."""
    state, letter = visible(state, who, tree)
    owner = acting(state, state.answer.mailbox if state.answer else state.holder or letter.mailbox, tree)
    check(state, CitizenAnswered, who, owner, tree)
    return [
        CitizenAnswered(
            **base(state, who, now),
            mailbox=owner,
            channel=channel,
            text=required(text, "R8.3", "/text"),
            author=who.actor,
        )
    ]
