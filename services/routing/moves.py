"""The table of legal moves: what may be done with a letter at which stage, by whom, and under which rule; one for all letters (R2.3).

Each move is named by the fact that it makes. `docs/state-machine.md` is the picture of this table. A letter stands in frames, the innermost
of which is meant by its stage (see `models.py`); a hand-off that ends gives the letter back to the frame around it: to a desk, where it
is pending, or to an assignee, where it is in hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.routing.models import Stage
from shared.contracts.facts import (
    CitizenAnswered,
    CitizenTold,
    ExtensionDecided,
    ExtensionRequested,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    InstructionEnded,
    InstructionFollowedUp,
    InstructionGiven,
    ProgressRecorded,
    ReplyApproved,
    ReplyRefused,
    ReplySentBack,
    ReplySubmitted,
    SlipPrepared,
    SlipRefused,
    SlipWithdrawn,
)
from shared.contracts.types import Way


class Side(StrEnum):
    """Whose move it is."""

    HOLDER = "holder"
    """The mailbox that has the letter, on its desk or in hand."""
    SENDER = "sender"
    """The mailbox that made the slip: the assigner of an assignment."""
    RECEIVER = "receiver"
    """The mailbox that the slip names: the assignee of an assignment. By fax or post the sender records it (R4.2)."""
    LEADER = "leader"
    """The leader of a mailbox through whose hands the letter is going."""
    FOLLOWER = "follower"
    """The mailbox whose staff follow the instruction."""


class On(StrEnum):
    """What the stage in the table is the stage of."""

    LETTER = "letter"
    HANDOFF = "handoff"
    """The hand-off by itself: its receiver may do this while its own departments have the letter (R4.2b)."""


@dataclass(frozen=True, slots=True)
class Move:
    """When, by whom and under which rule something may be done."""

    rule: str
    name: str
    """What is done, in Chinese and English."""
    side: Side
    roles: frozenset[str]
    at: frozenset[Stage]
    to: tuple[Stage, ...] = ()
    """Where the letter stands afterwards: one of these. None: where it stood."""
    on: On = On.LETTER


CLERK: Final = frozenset({"clerk"})
HEAD: Final = frozenset({"head", "leader"})
STAFF: Final = CLERK | HEAD
HANDLER: Final = frozenset({"clerk", "head", "unit_system"})
LEADER: Final = frozenset({"leader"})
GRANTER: Final = HEAD | {"duty_officer"}
APPLICANT: Final = HANDLER | {"duty_officer"}

BACK: Final = (Stage.PENDING, Stage.COLLECTED)
"""The frame around a hand-off: a desk, or an assignee."""
IN_HAND: Final = frozenset({Stage.COLLECTED, Stage.DRAFTED})
OWED: Final = IN_HAND | {Stage.DIRECT}
HANDLED: Final = frozenset(Stage) - {Stage.ARRIVED, Stage.FINISHED, Stage.DISCARDED, Stage.NOTED}
KNOWN: Final = HANDLED | {Stage.FINISHED}


def _at(*stages: Stage) -> frozenset[Stage]:
    return frozenset(stages)


MOVES: Final[Mapping[type[Fact], Move]] = {
    SlipPrepared: Move(
        "R4.2", "拟办 / prepare a slip", Side.HOLDER, CLERK, _at(Stage.PENDING, Stage.COLLECTED), (Stage.SLIP,)
    ),
    SlipRefused: Move("R4.2", "退回单据 / refuse the slip", Side.SENDER, HEAD, _at(Stage.SLIP), BACK),
    HandoffSent: Move(
        "R4.2",
        "审批单据 / approve the slip",
        Side.SENDER,
        HEAD,
        _at(Stage.SLIP),
        (Stage.SENT, Stage.DIRECT, Stage.SUBMITTED),
    ),
    SlipWithdrawn: Move(
        "R4.2",
        "撤回 / withdraw it",
        Side.SENDER,
        STAFF,
        _at(Stage.SENT, Stage.DIRECT, Stage.SUBMITTED),
        BACK,
    ),
    HandoffCollected: Move(
        "R6.3", "签收 / collect", Side.RECEIVER, HANDLER, _at(Stage.SENT), (Stage.COLLECTED, Stage.PENDING)
    ),
    HandoffReturned: Move(
        "R5.1",
        "退件 / return it",
        Side.RECEIVER,
        HANDLER | LEADER,
        _at(Stage.SENT, Stage.COLLECTED, Stage.PENDING, Stage.SUBMITTED),
        BACK,
    ),
    CitizenTold: Move(
        "R4.3",
        "记录告知来信人 / record how the citizen was told",
        Side.SENDER,
        CLERK,
        _at(Stage.SENT, Stage.COLLECTED, Stage.FINISHED),
        on=On.HANDOFF,
    ),
    ProgressRecorded: Move("R7.1", "说明进展 / record progress", Side.RECEIVER, HANDLER, OWED, on=On.HANDOFF),
    ReplySubmitted: Move("R6.2", "拟写承办回复 / draft the reply", Side.RECEIVER, HANDLER, IN_HAND, (Stage.DRAFTED,)),
    ReplyRefused: Move(
        "R6.2", "退回承办回复 / refuse the draft", Side.RECEIVER, HEAD, _at(Stage.DRAFTED), (Stage.COLLECTED,)
    ),
    ReplyApproved: Move(
        "R6.2",
        "审批承办回复 / approve the reply",
        Side.RECEIVER,
        HEAD,
        _at(Stage.DRAFTED),
        (Stage.REPLIED, Stage.COLLECTED),
    ),
    ReplySentBack: Move(
        "R7.3",
        "退办 / send the reply back",
        Side.SENDER,
        STAFF,
        _at(Stage.REPLIED, Stage.COLLECTED, Stage.FINISHED),
        (Stage.COLLECTED,),
    ),
    ExtensionRequested: Move(
        "R6.4", "申请延期 / apply for an extension", Side.RECEIVER, APPLICANT, OWED, on=On.HANDOFF
    ),
    ExtensionDecided: Move("R6.4", "审批延期 / decide on the extension", Side.SENDER, GRANTER, OWED, on=On.HANDOFF),
    CitizenAnswered: Move(
        "R8.3",
        "答复来信人 / answer the citizen",
        Side.HOLDER,
        CLERK,
        _at(Stage.REPLIED, Stage.DIRECT),
        (Stage.FINISHED,),
    ),
    InstructionGiven: Move("R8.1", "批示 / give an instruction", Side.LEADER, LEADER, HANDLED, BACK),
    InstructionFollowedUp: Move(
        "R8.1", "记录批示落实情况 / follow the instruction up", Side.FOLLOWER, STAFF | HANDLER, KNOWN
    ),
    InstructionEnded: Move("R8.1", "办结批示 / end the instruction", Side.FOLLOWER, STAFF | HANDLER, KNOWN),
}
"""All legal moves. An instruction moves the letter only where the staff had submitted it to their own leader (R4.4)."""

SLIP_RULES: Final[Mapping[Way, str]] = {
    Way.DIRECT: "R4.1",
    Way.ASSIGN: "R4.2",
    Way.FORWARD: "R4.3",
    Way.SUBMIT_UP: "R4.4",
}
"""Way of disposition → its rule."""

HINTS: Final[Mapping[Stage, tuple[str, str]]] = {
    Stage.ARRIVED: ("来信尚未登记编号，请先登记（R3.6）", "it is not registered yet; register it first (R3.6)"),
    Stage.PENDING: ("来信在拟办列表中，请先拟写单据", "it is on the pending list; prepare a slip first"),
    Stage.SLIP: ("已有单据待负责人审批", "a slip waits for the head; it must be approved or refused first"),
    Stage.SENT: ("来信已发出，对方尚未签收（R6.3）", "it was handed on and not collected yet (R6.3)"),
    Stage.SUBMITTED: (
        "来信已呈本单位领导，待批示；如系误呈请撤回",
        "it waits for the own leader's instruction; withdraw it if that was an error",
    ),
    Stage.DIRECT: (
        "来信由本单位直办，请答复来信人；改用其他方式请先撤回",
        "the mailbox answers it itself; answer the citizen, or withdraw the slip to dispose of it otherwise",
    ),
    Stage.COLLECTED: ("来信已签收，承办中，没有待审核的回复", "it is collected and in hand, and no draft waits"),
    Stage.DRAFTED: ("承办回复待审核", "a draft reply waits for the assignee's head; it must be decided on first"),
    Stage.REPLIED: (
        "承办单位已回复，待交办单位答复来信人或退办",
        "the reply is approved; the assigner has to answer the citizen, or to send it back",
    ),
    Stage.FINISHED: ("来信已办结", "it is finished"),
    Stage.DISCARDED: ("来信已作无效处理", "it was not accepted"),
    Stage.NOTED: ("来信已作掌握处理", "it was archived for reference"),
}
"""Stage → why something else cannot be done now, and what to do first."""
