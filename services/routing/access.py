"""Who may see a letter and who may make a move: the checks that all decisions share."""

from datetime import datetime
from typing import Any, Protocol

from services.routing.models import Handoff, Letter, Stage, State
from services.routing.moves import HINTS, MOVES, On
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import Fact, ReplySentBack
from shared.contracts.reports import Units, keeper, kept_from, untold
from shared.contracts.types import Actor, Value, Way


class Tree(Units, Protocol):
    """The directory of mailboxes (R1.1), as far as routing asks it."""

    def __contains__(self, code: object, /) -> bool: ...
    def is_below(self, code: str, ancestor: str) -> bool: ...  # noqa: D102
    def unit_code(self, code: str) -> str: ...  # noqa: D102


class Who(Value):
    """Who asks for something, and by which message."""

    actor: Actor
    roles: frozenset[str]
    caused_by: str | None = None
    """Id of a unit's action."""

    @property
    def is_system(self) -> bool:
        """Whether a unit's system asks, whoever it names: what it hears, everybody of the unit may hear."""
        return self.caused_by is not None or "unit_system" in self.roles


# ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def unit_of(code: str, tree: Tree) -> str:
    """Return the unit that a department belongs to; any other mailbox is its own unit."""
    return tree.unit_code(code)


def acting(state: State, code: str, tree: Tree) -> str:
    """Return whose staff act for a mailbox on this letter: its own, or after it was closed its successor's (R1.1).

    Where the letter is a report about the unit to which that leads, it is the mailbox above (R1.2).
    """
    return keeper(state.letter.classification, code, tree) if state.letter else tree.current(code)


# ── who may see ──────────────────────────────────────────────────────────────────────────────────────────────────────


def is_kept_from(letter: Letter, who: Who, tree: Tree) -> bool:
    """Whether the letter is a report (举报) that this caller must never see."""
    about, code = letter.classification, who.actor.mailbox
    return kept_from(about, code, who.actor.subject, tree) or (who.is_system and untold(about, code, tree))


def visible(state: State | None, who: Who, tree: Tree) -> tuple[State, Letter]:
    """Return the state and its letter.

    Raises:
        NotFound: there is no such letter, it was discarded, or it is a report about the caller's unit or the caller.
    """
    if state is None or state.letter is None or state.stage is Stage.DISCARDED or is_kept_from(state.letter, who, tree):
        raise NotFound("R10.2", "没有这封来信，或您无权查看 / There is no such letter, or it is not for you to see")
    return state, state.letter


def parties(state: State, tree: Tree) -> frozenset[str]:
    """Return the mailboxes that the letter belongs to or was handed to (R10.2).

    A slip that was withdrawn gives its receiver no right to see the letter; what a department submits to its leader, its unit sees. For a
    closed mailbox its successor sees it.
    """
    own = {state.letter.mailbox} if state.letter else set()
    for handoff in state.handoffs:
        own.add(handoff.sender)
        if handoff.withdrawn is None:
            own.add(handoff.receiver)
        if handoff.is_kept and handoff.way is Way.SUBMIT_UP:
            own.add(unit_of(handoff.receiver, tree))
    return frozenset(acting(state, code, tree) for code in own)


def chain(state: State, tree: Tree) -> frozenset[str]:
    """Return the mailboxes through whose hands the letter is going now."""
    own = {state.letter.mailbox} if state.letter else set()
    own = own.union(*({handoff.sender, handoff.receiver} for handoff in state.open_handoffs))
    return frozenset(acting(state, code, tree) for code in own)


# ── who may act ──────────────────────────────────────────────────────────────────────────────────────────────────────


def find_handoff(state: State, handoff_id: str) -> Handoff:
    """Return a hand-off by its id.

    Raises:
        NotFound: the letter has none.
    """
    for handoff in state.handoffs:
        if handoff.id == handoff_id:
            return handoff
    raise NotFound("R4.2", f"该件没有编号为 {handoff_id[:20]} 的交办 / This letter has no hand-off {handoff_id[:20]!r}")


def acting_receiver(handoff: Handoff) -> str:
    """Return who makes the receiver's moves: the sender records them by hand for an office that is not connected (R4.2)."""
    return handoff.sender if handoff.by_hand else handoff.receiver


def check(state: State, kind: type[Fact], who: Who, owner: str, tree: Tree, handoff: Handoff | None = None) -> None:
    """Check a move against the table. For a closed mailbox its successor's staff make it.

    Raises:
        Forbidden: another mailbox's move, or the caller lacks the role.
        RuleBroken: the letter, or the hand-off, does not stand where the move starts.
    """
    move = MOVES[kind]
    chinese, english = move.name.split(" / ")
    owner = acting(state, owner, tree)
    if who.actor.mailbox != owner:
        raise Forbidden(
            "R10.2",
            f"不能{chinese}：应由信箱 {owner} 办理 / Cannot {english}: it is for the mailbox {owner} to do, not {who.actor.mailbox}",
        )
    check_role(kind, who)
    whole = state.stage
    stage = handoff.stage if handoff is not None and move.on is On.HANDOFF and whole is not Stage.FINISHED else whole
    if stage not in move.at:
        rule = {Stage.ARRIVED: "R3.6", Stage.SENT: "R6.3"}.get(stage, move.rule)
        hint = HINTS[stage]
        raise RuleBroken(rule, f"不能{chinese}：{hint[0]} / Cannot {english}: {hint[1]}")
    if handoff is not None and move.on is On.LETTER:
        _check_innermost(state, kind, handoff, chinese, english)


def check_role(kind: type[Fact], who: Who) -> None:
    """Check that the caller has one of the roles that a move needs.

    Raises:
        Forbidden: they have none.
    """
    move = MOVES[kind]
    chinese, english = move.name.split(" / ")
    if who.roles.isdisjoint(move.roles):
        needed = " / ".join(sorted(move.roles))
        raise Forbidden(move.rule, f"不能{chinese}：需要角色 {needed} / Cannot {english}: this needs the role {needed}")


def _check_innermost(state: State, kind: type[Fact], handoff: Handoff, chinese: str, english: str) -> None:
    """Check that the letter is under this hand-off; a reply is sent back while it is the last thing that came back."""
    rule, current = MOVES[kind].rule, state.current
    meant = state.replied if kind is ReplySentBack else current
    if meant is not None and meant.id == handoff.id:
        return
    if handoff.ended or current is None:
        raise RuleBroken(
            rule,
            f"不能{chinese}：{handoff.id} 已退回、撤回或已回复 / "
            f"Cannot {english}: the hand-off {handoff.id} was returned, withdrawn or replied to",
        )
    raise RuleBroken(
        rule,
        f"不能{chinese}：来信现由 {current.receiver} 办理（{current.id}） / "
        f"Cannot {english}: {current.receiver} has the letter now ({current.id}); it must reply, return it or have it withdrawn first",
    )


def required(text: str, rule: str, field: str) -> str:
    """Return a text that may not be blank.

    Raises:
        BadInput: it is blank.
    """
    if not text.strip():
        raise BadInput(rule, "此项必填，不能只有空白 / This is required and may not be blank", field)
    return text


def base(state: State, who: Who, now: datetime) -> dict[str, Any]:
    """Return the fields that every fact of routing has."""
    return {"letter_id": state.letter_id, "at": now, "by": who.actor, "caused_by": who.caused_by}
