"""Who has a letter and what may happen next: assignment (交办) from the slip to the citizen's answer (R4.2, R6, R8.3).

`moves.py` is the table of legal moves. Each decision is a function `(state, who, …, now) -> facts` that checks it; `follow` decides what
happens by itself; how facts are remembered stands in `state.py`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from services.routing.moves import HINTS, MOVES
from services.routing.state import Handoff, Letter, Reply, Slip, Stage, State
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffSent,
    ProgressRecorded,
    ReplyApproved,
    ReplyRefused,
    ReplySubmitted,
    SlipPrepared,
    SlipRefused,
    UrgingSent,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Value


class Tree(Protocol):
    """The directory of mailboxes (R1.1), as far as routing asks it."""

    def __contains__(self, code: object, /) -> bool: ...
    def is_below(self, code: str, ancestor: str) -> bool: ...  # noqa: D102
    def same_unit(self, code: str) -> frozenset[str]: ...  # noqa: D102


class Who(Value):
    """Who asks for something, and by which message."""

    actor: Actor
    roles: frozenset[str]
    caused_by: str | None = None
    """Id of a unit's action."""


class SlipText(Value):
    """What a clerk writes on an assignment slip (附表3)."""

    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool = False


# ── who may see, who may act ─────────────────────────────────────────────────────────────────────────────────────────


def hidden_from(classification: Classification, code: str, tree: Tree) -> bool:
    """Whether a report (举报) is about the unit that this mailbox is, or is part of: then it must never see the letter."""
    reported = classification.reported_mailbox
    return reported is not None and reported in tree.same_unit(code)


def visible(state: State | None, code: str, tree: Tree) -> tuple[State, Letter]:
    """Return the state and its letter for somebody of the mailbox `code`.

    Raises:
        NotFound: there is no such letter, it was discarded, or it is a report about that mailbox.
    """
    if (
        state is None
        or state.letter is None
        or state.stage is Stage.DISCARDED
        or hidden_from(state.letter.classification, code, tree)
    ):
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state, state.letter


def parties(state: State) -> frozenset[str]:
    """Return the mailboxes that the letter belongs to or was handed to (R10.2)."""
    own = {state.letter.mailbox} if state.letter else set()
    return frozenset(own.union(*((handoff.sender, handoff.receiver) for handoff in state.handoffs)))


def _handoff(state: State, handoff_id: str) -> Handoff:
    for handoff in state.handoffs:
        if handoff.id == handoff_id:
            return handoff
    raise NotFound("R4.2", f"该件没有编号为 {handoff_id[:20]} 的交办 / This letter has no hand-off {handoff_id[:20]!r}")


def _check(state: State, kind: type[Fact], who: Who, owner: str) -> None:
    """Check a move against the table.

    Raises:
        Forbidden: another mailbox's move, or the caller lacks the role.
        RuleBroken: the letter does not stand where the move starts.
    """
    move, stage = MOVES[kind], state.stage
    chinese, english = move.name.split(" / ")
    if who.actor.mailbox != owner:
        raise Forbidden(
            "R10.2",
            f"不能{chinese}：应由信箱 {owner} 办理 / Cannot {english}: it is for the mailbox {owner} to do, not {who.actor.mailbox}",
        )
    if who.roles.isdisjoint(move.roles):
        needed = " / ".join(sorted(move.roles))
        raise Forbidden(move.rule, f"不能{chinese}：需要角色 {needed} / Cannot {english}: this needs the role {needed}")
    if stage not in move.at:
        rule = {Stage.ARRIVED: "R3.6", Stage.SENT: "R6.3"}.get(stage, move.rule)
        hint = HINTS[stage]
        raise RuleBroken(rule, f"不能{chinese}：{hint[0]} / Cannot {english}: {hint[1]}")


def _required(text: str, rule: str, field: str) -> str:
    if not text.strip():
        raise BadInput(rule, "此项必填，不能只有空白 / This is required and may not be blank", field)
    return text


def _same_person(one: Actor, other: Actor) -> bool:
    return one.subject.strip().casefold() == other.subject.strip().casefold()


def _base(state: State, who: Who, now: datetime) -> dict[str, Any]:
    return {"letter_id": state.letter_id, "at": now, "by": who.actor, "caused_by": who.caused_by}


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def prepare_slip(state: State | None, who: Who, tree: Tree, text: SlipText, now: datetime) -> list[Fact]:
    """Draft an assignment slip; it goes down the tree only, and never to whom a report is about (R4.2)."""
    state, letter = visible(state, who.actor.mailbox, tree)
    _check(state, SlipPrepared, who, letter.mailbox)
    if text.receiver not in tree:
        raise BadInput(
            "R2.1", "名录中没有这个信箱 / The directory has no such mailbox; choose one from it", "/receiver"
        )
    _check_receiver(letter, text.receiver, tree)
    return [
        SlipPrepared(
            **_base(state, who, now),
            slip_id=f"s{len(state.slips) + 1}",
            sender=letter.mailbox,
            receiver=text.receiver,
            opinion=_required(text.opinion, "R4.2", "/opinion"),
            requirements=_required(text.requirements, "R4.2", "/requirements"),
            answer_by=text.answer_by,
            written_reply=text.written_reply,
        )
    ]


def _check_receiver(letter: Letter, receiver: str, tree: Tree) -> None:
    if receiver not in tree or not tree.is_below(receiver, letter.mailbox):
        raise BadInput(
            "R4.2",
            "交办只能向下：市长信箱交单位，单位交其内设部门 / "
            "An assignment goes down only: from the mayor's mailbox to a unit, from a unit to its own departments",
            "/receiver",
        )
    if hidden_from(letter.classification, receiver, tree):
        raise BadInput(
            "R4.2",
            "举报件不得交被举报单位或其内设部门办理 / A report is never handed to the unit it is about, nor to a part of it",
            "/receiver",
        )


def _open_slip(state: State, slip_id: str) -> Slip:
    slip = next((slip for slip in state.slips if slip.id == slip_id), None)
    if slip is None:
        raise NotFound("R4.2", f"该件没有编号为 {slip_id[:20]} 的交办单 / This letter has no slip {slip_id[:20]!r}")
    return slip


def _check_slip(slip: Slip) -> None:
    if slip.decision is not None:
        raise RuleBroken("R4.2", f"交办单 {slip.id} 已审批 / The slip {slip.id} was decided on already")


def refuse_slip(state: State | None, who: Who, tree: Tree, slip_id: str, reason: str, now: datetime) -> list[Fact]:
    """Give the slip back to the clerk, with the reason; the letter is pending again (R4.2)."""
    state, _ = visible(state, who.actor.mailbox, tree)
    slip = _open_slip(state, slip_id)
    _check(state, SlipRefused, who, slip.sender)
    _check_slip(slip)
    return [SlipRefused(**_base(state, who, now), slip_id=slip.id, reason=_required(reason, "R4.2", "/reason"))]


def approve_slip(state: State | None, who: Who, tree: Tree, slip_id: str, now: datetime) -> list[Fact]:
    """Approve the slip and hand the letter out; the head approves what somebody else prepared (R4.2)."""
    state, letter = visible(state, who.actor.mailbox, tree)
    slip = _open_slip(state, slip_id)
    _check(state, HandoffSent, who, slip.sender)
    _check_slip(slip)
    if _same_person(who.actor, slip.prepared_by):
        raise RuleBroken(
            "R4.2",
            "交办单须由拟稿人以外的负责人审批 / The slip must be approved by somebody else than who prepared it",
        )
    if hidden_from(letter.classification, slip.receiver, tree):
        raise RuleBroken(
            "R4.2",
            "分类更正后，该件举报的正是受交办单位，请退回交办单 / "
            "By its corrected classification the report is about the receiver; refuse the slip",
        )
    if letter.number is None:
        raise RuleBroken("R3.6", "来信尚未登记编号 / The letter has no number yet; register it first")
    return [
        HandoffSent(
            **_base(state, who, now),
            handoff_id=slip.id,
            sender=slip.sender,
            receiver=slip.receiver,
            opinion=slip.opinion,
            requirements=slip.requirements,
            answer_by=slip.answer_by,
            written_reply=slip.written_reply,
            prepared_by=slip.prepared_by,
            number=letter.number,
        )
    ]


def _assigned(state: State | None, kind: type[Fact], who: Who, tree: Tree, handoff_id: str) -> tuple[State, Handoff]:
    """Return the hand-off on which its assignee wants to make a move."""
    state, _ = visible(state, who.actor.mailbox, tree)
    handoff = _handoff(state, handoff_id)
    _check(state, kind, who, handoff.receiver)
    return state, handoff


def collect(state: State | None, who: Who, tree: Tree, handoff_id: str, now: datetime) -> list[Fact]:
    """Sign for the letter (签收), once (R6.3)."""
    state, handoff = _assigned(state, HandoffCollected, who, tree, handoff_id)
    return [HandoffCollected(**_base(state, who, now), handoff_id=handoff.id, receiver=handoff.receiver)]


def record_progress(state: State | None, who: Who, tree: Tree, handoff_id: str, text: str, now: datetime) -> list[Fact]:
    """Explain progress (R7.1)."""
    state, handoff = _assigned(state, ProgressRecorded, who, tree, handoff_id)
    return [ProgressRecorded(**_base(state, who, now), handoff_id=handoff.id, text=_required(text, "R7.1", "/text"))]


def submit_reply(state: State | None, who: Who, tree: Tree, handoff_id: str, text: str, now: datetime) -> list[Fact]:
    """Draft the reply; a new draft takes the place of one that still waits (R6.2)."""
    state, handoff = _assigned(state, ReplySubmitted, who, tree, handoff_id)
    return [
        ReplySubmitted(
            **_base(state, who, now),
            handoff_id=handoff.id,
            reply_id=f"r{state.drafted + 1}",
            text=_required(text, "R6.2", "/text"),
        )
    ]


def _waiting_draft(handoff: Handoff, reply_id: str | None) -> Reply:
    """Return the draft that waits for the head; `reply_id` none: whichever it is."""
    draft = handoff.draft
    assert draft is not None
    if reply_id is None or reply_id == draft.id:
        return draft
    if not any(reply.id == reply_id for reply in handoff.replies):
        raise NotFound("R6.2", f"没有编号为 {reply_id[:20]} 的回复 / This hand-off has no reply {reply_id[:20]!r}")
    raise RuleBroken(
        "R6.2",
        f"该稿已被 {draft.id} 取代，请审核新稿 / The draft {draft.id} took its place; read and decide on that one",
    )


def refuse_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, reply_id: str | None, reason: str, now: datetime
) -> list[Fact]:
    """Give the draft back to its author, with the reason (R6.2)."""
    state, handoff = _assigned(state, ReplyRefused, who, tree, handoff_id)
    draft = _waiting_draft(handoff, reply_id)
    return [
        ReplyRefused(
            **_base(state, who, now),
            handoff_id=handoff.id,
            reply_id=draft.id,
            reason=_required(reason, "R6.2", "/reason"),
        )
    ]


def approve_reply(
    state: State | None, who: Who, tree: Tree, handoff_id: str, reply_id: str | None, now: datetime
) -> list[Fact]:
    """Approve what somebody else drafted (R6.2); where the assignee answers the citizen, that is done with it (R8.3)."""
    state, handoff = _assigned(state, ReplyApproved, who, tree, handoff_id)
    draft = _waiting_draft(handoff, reply_id)
    if _same_person(who.actor, draft.author):
        raise RuleBroken(
            "R6.2", "承办回复须由拟稿人以外的负责人审批 / The reply must be approved by somebody else than its author"
        )
    base = _base(state, who, now)
    facts: list[Fact] = [
        ReplyApproved(
            **base,
            handoff_id=handoff.id,
            reply_id=draft.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            text=draft.text,
            author=draft.author,
            answer_by=handoff.answer_by,
        )
    ]
    if handoff.answer_by is AnswerBy.ASSIGNEE:
        answer = CitizenAnswered(
            **base, mailbox=handoff.receiver, channel=Channel.ONLINE, text=draft.text, author=draft.author
        )
        facts.append(answer)
    return facts


def answer_citizen(state: State | None, who: Who, tree: Tree, channel: Channel, text: str, now: datetime) -> list[Fact]:
    """Answer the citizen with the assignee's reply in hand, or record the call (R8.3)."""
    state, letter = visible(state, who.actor.mailbox, tree)
    owner = state.handoff.sender if state.handoff else letter.mailbox
    _check(state, CitizenAnswered, who, owner)
    return [
        CitizenAnswered(
            **_base(state, who, now),
            mailbox=owner,
            channel=channel,
            text=_required(text, "R8.3", "/text"),
            author=who.actor,
        )
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
            count=count,
            due_at=clock.urging_due_at,
        )
        for handoff in state.handoffs
        if handoff.replied_at is None
        and (clock := state.clocks.get(handoff.id)) is not None
        and clock.urging_due_at is not None
        for count in range(handoff.urged + 1, clock.urging + 1)
    ]
