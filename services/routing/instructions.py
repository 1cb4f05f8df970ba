"""Leaders' instructions (批示): given, followed up by staff, reported and ended (R4.4, R8.1)."""

from datetime import datetime

from services.routing.access import Tree, Who, acting, base, chain, check, check_role, required, unit_of, visible
from services.routing.models import Instruction, Stage, State
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import Fact, InstructionEnded, InstructionFollowedUp, InstructionGiven


def give_instruction(
    state: State | None, who: Who, tree: Tree, text: str, report_by: datetime, now: datetime
) -> list[Fact]:
    """Instruct, as the leader of a mailbox through whose hands the letter is going (R8.1).

    What the staff submitted to their own leader comes back to them with it (R4.4).
    """
    state, _ = visible(state, who, tree)
    code = who.actor.mailbox
    check_role(InstructionGiven, who)
    if (
        state.stage is Stage.SUBMITTED
        and state.holder is not None
        and code == unit_of(acting(state, state.holder, tree), tree)
    ):
        code = state.holder
    elif code not in chain(state, tree):
        raise Forbidden(
            "R10.2",
            f"来信不在信箱 {code} 办理 / Cannot give an instruction: the letter is not in the hands of {code}",
        )
    check(state, InstructionGiven, who, who.actor.mailbox, tree)
    if report_by <= now:
        raise BadInput("R8.1", "报告期限须在今后 / The day to report by must lie ahead", "/report_by")
    return [
        InstructionGiven(
            **base(state, who, now),
            instruction_id=f"i{len(state.instructions) + 1}",
            mailbox=code,
            leader=who.actor,
            text=required(text, "R8.1", "/text"),
            report_by=report_by,
        )
    ]


def _followed(
    state: State | None, kind: type[Fact], who: Who, tree: Tree, instruction_id: str
) -> tuple[State, Instruction]:
    """Return the open instruction that staff want to report on."""
    state, _ = visible(state, who, tree)
    found = next((one for one in state.instructions if one.id == instruction_id), None)
    if found is None:
        raise NotFound(
            "R8.1", f"没有编号为 {instruction_id[:20]} 的批示 / This letter has no instruction {instruction_id[:20]!r}"
        )
    check(state, kind, who, found.mailbox, tree)
    if found.ended is not None:
        raise RuleBroken("R8.1", f"批示 {found.id} 已办结 / The instruction {found.id} was ended already")
    return state, found


def follow_up(state: State | None, who: Who, tree: Tree, instruction_id: str, text: str, now: datetime) -> list[Fact]:
    """Record how an instruction is carried out (R8.1)."""
    state, instruction = _followed(state, InstructionFollowedUp, who, tree, instruction_id)
    return [
        InstructionFollowedUp(
            **base(state, who, now),
            instruction_id=instruction.id,
            mailbox=instruction.mailbox,
            text=required(text, "R8.1", "/text"),
        )
    ]


def end_instruction(
    state: State | None, who: Who, tree: Tree, instruction_id: str, text: str, now: datetime
) -> list[Fact]:
    """End an instruction that is carried out, with the report to the leader (R8.1)."""
    state, instruction = _followed(state, InstructionEnded, who, tree, instruction_id)
    return [
        InstructionEnded(
            **base(state, who, now),
            instruction_id=instruction.id,
            mailbox=instruction.mailbox,
            text=required(text, "R8.1", "/text"),
        )
    ]
