"""Slips: who may hand a letter to whom, in which way (R4.1–R4.4), and how a slip sent in error is taken back."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from services.routing.access import (
    Tree,
    Who,
    acting,
    base,
    check,
    find_handoff,
    required,
    visible,
)
from services.routing.models import Handoff, Letter, Slip, State
from services.routing.moves import SLIP_RULES
from shared.contracts.errors import BadInput, NotFound, RuleBroken
from shared.contracts.facts import Fact, HandoffSent, SlipPrepared, SlipRefused, SlipWithdrawn
from shared.contracts.reports import hidden_from
from shared.contracts.types import AnswerBy, Medium, Value, Way, same_person


class SlipText(Value):
    """What a clerk writes on a slip (附表2–5)."""

    way: Way = Way.ASSIGN
    receiver: str
    """For a letter that the mailbox answers itself, or submits to its own leader: its own code."""
    opinion: str
    requirements: str
    answer_by: AnswerBy | None = None
    """Who answers the citizen. Required on an assignment (R8.3); on a forward, `assignee` asks the receiver to (R4.3)."""
    written_reply: bool = False
    medium: Medium = Medium.SYSTEM
    working_days: Annotated[int, Field(ge=1, le=60)] | None = None


def prepare_slip(state: State | None, who: Who, tree: Tree, text: SlipText, now: datetime) -> list[Fact]:
    """Draft a slip; it waits for the head (R4.1–R4.4)."""
    state, letter = visible(state, who, tree)
    sender = acting(state, state.holder or letter.mailbox, tree)
    check(state, SlipPrepared, who, sender, tree)
    if text.receiver not in tree:
        raise BadInput(
            "R2.1", "名录中没有这个信箱 / The directory has no such mailbox; choose one from it", "/receiver"
        )
    successor = tree.current(text.receiver)
    if successor != text.receiver:
        raise BadInput(
            "R2.1",
            f"该信箱已撤并，现由 {successor} 承接 / That mailbox is closed; {successor} goes on in its place",
            "/receiver",
        )
    frame = state.current
    _DIRECTIONS[text.way](text, sender, frame, tree)
    if hidden_from(letter.classification, text.receiver, tree):
        raise BadInput(
            SLIP_RULES[text.way],
            "举报件不得交被举报单位或其内设部门办理 / A report is never handed to the unit it is about, nor to a part of it",
            "/receiver",
        )
    _check_assignment_only(text)
    return [
        SlipPrepared(
            **base(state, who, now),
            slip_id=f"s{len(state.slips) + 1}",
            sender=sender,
            receiver=text.receiver,
            opinion=required(text.opinion, SLIP_RULES[text.way], "/opinion"),
            requirements=required(text.requirements, SLIP_RULES[text.way], "/requirements"),
            answer_by=_answer_by(text, sender, frame),
            written_reply=text.written_reply,
            way=text.way,
            medium=text.medium,
            working_days=text.working_days,
            parent=frame.id if frame else None,
        )
    ]


# ── directions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_direct(text: SlipText, sender: str, frame: Handoff | None, tree: Tree) -> None:
    """Directly: by the mailbox itself or a department of the same unit (R4.1)."""
    if frame is not None and frame.owes_reply:
        raise RuleBroken(
            "R4.1",
            "上级交办的来信由承办单位直接回复，交内设部门请用交办单（R4.2） / "
            "An assigned letter is answered by a reply; give it to your own department by an assignment (R4.2)",
        )
    if text.receiver != sender and not (
        text.receiver in tree.same_unit(sender) and tree.is_below(text.receiver, sender)
    ):
        raise BadInput(
            "R4.1",
            "直办只能由本单位自行办理或交本单位内设部门 / "
            "A letter is handled directly by the mailbox itself or by a department of the same unit",
            "/receiver",
        )


def _check_assign(text: SlipText, sender: str, frame: Handoff | None, tree: Tree) -> None:
    """Assigned: down the tree (R4.2); an assignee assigns further inside its unit only (R4.2b)."""
    if not tree.is_below(text.receiver, sender):
        raise BadInput(
            "R4.2",
            "交办只能向下：市长信箱交单位，单位交其内设部门 / "
            "An assignment goes down only: from the mayor's mailbox to a unit, from a unit to its own departments",
            "/receiver",
        )
    if frame is not None and frame.owes_reply and text.receiver not in tree.same_unit(sender):
        raise BadInput(
            "R4.2b",
            "再次交办只能在本单位内部 / A second assignment stays inside the assignee's own unit",
            "/receiver",
        )


def _check_forward(text: SlipText, sender: str, frame: Handoff | None, tree: Tree) -> None:
    """Forwarded: sideways or down to another unit, never to one's own department (R4.3)."""
    if frame is not None and frame.owes_reply:
        raise RuleBroken(
            "R4.3",
            "交办件不得转阅；不属本单位职责的，请退件并说明理由（R5.1） / "
            "An assigned letter is not forwarded; if it is not yours, return it with the reason (R5.1)",
        )
    inside = text.receiver in tree.same_unit(sender)
    if inside or tree.is_below(sender, text.receiver) or not _is_unit(text.receiver, tree):
        raise BadInput(
            "R4.3",
            "转阅只能平级或向下转其他单位，不得转本单位内设部门；向上请用呈办单（R4.4） / "
            "A forward goes sideways or down to another unit, never to one's own department; upwards, submit it (R4.4)",
            "/receiver",
        )
    if frame is not None and tree.current(frame.sender) == text.receiver:
        raise BadInput(
            "R5.1",
            "来信是该信箱转来的，请退件并说明理由 / It came from that mailbox: return it with the reason",
            "/receiver",
        )


def _is_unit(code: str, tree: Tree) -> bool:
    """Whether a mailbox heads its unit: it is no department."""
    return tree.unit_code(code) == code


def _check_submit_up(text: SlipText, sender: str, frame: Handoff | None, tree: Tree) -> None:
    """Submitted: to the own leader, or from a unit to the mayor's mailbox (R4.4)."""
    if text.receiver == sender:
        return
    if frame is not None and frame.owes_reply:
        raise BadInput(
            "R4.4",
            "交办件只能呈本单位领导批示；需上级处理的请退件（R5.1） / "
            "An assigned letter is submitted to the own leader only; if it is not yours, return it (R5.1)",
            "/receiver",
        )
    if not _is_unit(sender, tree) or not tree.is_below(sender, text.receiver):
        raise BadInput(
            "R4.4",
            "呈办只能向上：呈本单位领导（收件信箱填本信箱），或由单位呈市长信箱 / "
            "A submission goes up only: to the own leader (name your own mailbox), or from a unit to the mayor's mailbox",
            "/receiver",
        )


_DIRECTIONS: Final[Mapping[Way, Callable[[SlipText, str, Handoff | None, Tree], None]]] = {
    Way.DIRECT: _check_direct,
    Way.ASSIGN: _check_assign,
    Way.FORWARD: _check_forward,
    Way.SUBMIT_UP: _check_submit_up,
}
"""Way → the check of who may receive it."""


def _check_assignment_only(text: SlipText) -> None:
    """Check what only some slips can say."""
    owes = text.way in {Way.ASSIGN, Way.DIRECT}
    if text.working_days is not None and not owes:
        raise BadInput(
            SLIP_RULES[text.way],
            "转阅、呈办不限回复期限 / A forward or submission has no limit; leave it out",
            "/working_days",
        )
    if text.written_reply and text.way is not Way.ASSIGN:
        raise BadInput(
            "R6.2", "只有交办可以要求书面回复 / Only an assignment can ask for a written reply", "/written_reply"
        )
    if text.medium is not Medium.SYSTEM and text.way is not Way.ASSIGN:
        raise BadInput(
            "R4.2",
            "只有交办可以传真或邮寄给未联网单位 / Only an assignment travels by fax or post, to an office that is not connected",
            "/medium",
        )


def _answer_by(text: SlipText, sender: str, frame: Handoff | None) -> AnswerBy:
    """Return who answers the citizen; where the way leaves no choice, that is not asked for (R8.2–R8.4)."""
    if text.way is Way.ASSIGN and frame is not None and frame.owes_reply:
        only, rule = AnswerBy.ASSIGNER, "R4.2b"
    elif text.way is Way.DIRECT:
        only, rule = AnswerBy.ASSIGNEE, "R8.2"
    elif text.way is Way.SUBMIT_UP:
        only, rule = (AnswerBy.ASSIGNER if text.receiver == sender else AnswerBy.ASSIGNEE), "R4.4"
    elif text.answer_by is not None or text.way is Way.FORWARD:
        return text.answer_by or AnswerBy.ASSIGNER
    else:
        raise BadInput(
            "R8.3", "交办单须写明由谁答复来信人 / An assignment must say who answers the citizen", "/answer_by"
        )
    if text.answer_by not in {None, only}:
        raise BadInput(
            rule,
            f"此种方式只能是“{only.label}”，可不填 / Here it can only be {only.value}; leave it out",
            "/answer_by",
        )
    return only


# ── the head's decision ──────────────────────────────────────────────────────────────────────────────────────────────


def _find_slip(state: State, slip_id: str) -> Slip:
    slip = next((slip for slip in state.slips if slip.id == slip_id), None)
    if slip is None:
        raise NotFound("R4.2", f"该件没有编号为 {slip_id[:20]} 的单据 / This letter has no slip {slip_id[:20]!r}")
    return slip


def _check_open(slip: Slip) -> None:
    if slip.decision is not None:
        raise RuleBroken(SLIP_RULES[slip.way], f"单据 {slip.id} 已审批 / The slip {slip.id} was decided on already")


def refuse_slip(state: State | None, who: Who, tree: Tree, slip_id: str, reason: str, now: datetime) -> list[Fact]:
    """Give the slip back to the clerk, with the reason; the letter is where it was before (R4.2)."""
    state, _ = visible(state, who, tree)
    slip = _find_slip(state, slip_id)
    check(state, SlipRefused, who, slip.sender, tree)
    _check_open(slip)
    reason = required(reason, SLIP_RULES[slip.way], "/reason")
    return [SlipRefused(**base(state, who, now), slip_id=slip.id, reason=reason)]


def approve_slip(state: State | None, who: Who, tree: Tree, slip_id: str, now: datetime) -> list[Fact]:
    """Approve the slip and hand the letter on; the head approves what somebody else prepared (R4.2)."""
    state, letter = visible(state, who, tree)
    slip = _find_slip(state, slip_id)
    check(state, HandoffSent, who, slip.sender, tree)
    _check_open(slip)
    _check_still_right(slip, letter, who, tree)
    if letter.number is None:
        raise RuleBroken("R3.6", "来信尚未登记编号 / The letter has no number yet; register it first")
    return [
        HandoffSent(
            **base(state, who, now),
            handoff_id=slip.id,
            sender=slip.sender,
            receiver=slip.receiver,
            opinion=slip.opinion,
            requirements=slip.requirements,
            answer_by=slip.answer_by,
            written_reply=slip.written_reply,
            prepared_by=slip.prepared_by,
            number=letter.number,
            way=slip.way,
            medium=slip.medium,
            working_days=slip.working_days,
            parent=slip.parent,
        )
    ]


def _check_still_right(slip: Slip, letter: Letter, who: Who, tree: Tree) -> None:
    rule = SLIP_RULES[slip.way]
    if same_person(who.actor, slip.prepared_by):
        raise RuleBroken(
            rule, "单据须由拟稿人以外的负责人审批 / The slip must be approved by somebody else than who prepared it"
        )
    if slip.receiver not in tree or tree.current(slip.receiver) != slip.receiver:
        raise RuleBroken(
            rule, "收件信箱已撤销，请退回单据 / The receiver is no longer in the directory; refuse the slip"
        )
    if hidden_from(letter.classification, slip.receiver, tree):
        raise RuleBroken(
            rule,
            "分类更正后，该件举报的正是收件单位，请退回单据 / "
            "By its corrected classification the report is about the receiver; refuse the slip",
        )


def withdraw_slip(state: State | None, who: Who, tree: Tree, handoff_id: str, reason: str, now: datetime) -> list[Fact]:
    """Take back what was sent in error, until it is collected, answered or instructed (R4.2)."""
    state, _ = visible(state, who, tree)
    handoff = find_handoff(state, handoff_id)
    check(state, SlipWithdrawn, who, handoff.sender, tree, handoff)
    return [
        SlipWithdrawn(
            **base(state, who, now),
            handoff_id=handoff.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            reason=required(reason, SLIP_RULES[handoff.way], "/reason"),
        )
    ]
