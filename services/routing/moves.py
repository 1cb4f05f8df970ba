"""The table of legal moves: what may be done with a letter at which stage, by whom, and under which rule.

    pending ──slip──▶ slip ──approve──▶ sent ──collect──▶ collected ──draft──▶ drafted ──approve──▶ replied ──answer──▶ finished
       ▲                │                                     ▲                  │
       └────refuse──────┘                                     └─────refuse───────┘

Each move is named by the fact that it makes. Another way of disposition (R4.1, R4.3, R4.4) is some more stages and lines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.routing.state import Stage
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
)


class Side(StrEnum):
    """Whose move it is."""

    HOLDER = "holder"
    """The mailbox that has the letter in its pending list."""
    ASSIGNER = "assigner"
    ASSIGNEE = "assignee"


@dataclass(frozen=True, slots=True)
class Move:
    """When, by whom and under which rule something may be done."""

    rule: str
    name: str
    """What is done, in Chinese and English."""
    side: Side
    roles: frozenset[str]
    at: frozenset[Stage]
    to: Stage


CLERK: Final = frozenset({"clerk"})
HEAD: Final = frozenset({"head", "leader"})
HANDLER: Final = frozenset({"clerk", "head", "unit_system"})
IN_HAND: Final = frozenset({Stage.COLLECTED, Stage.DRAFTED})

MOVES: Final[Mapping[type[Fact], Move]] = {
    SlipPrepared: Move("R4.2", "拟办 / prepare a slip", Side.HOLDER, CLERK, frozenset({Stage.PENDING}), Stage.SLIP),
    SlipRefused: Move(
        "R4.2", "退回交办单 / refuse the slip", Side.ASSIGNER, HEAD, frozenset({Stage.SLIP}), Stage.PENDING
    ),
    HandoffSent: Move(
        "R4.2", "审批交办单 / approve the slip", Side.ASSIGNER, HEAD, frozenset({Stage.SLIP}), Stage.SENT
    ),
    HandoffCollected: Move("R6.3", "签收 / collect", Side.ASSIGNEE, HANDLER, frozenset({Stage.SENT}), Stage.COLLECTED),
    ProgressRecorded: Move("R7.1", "说明进展 / record progress", Side.ASSIGNEE, HANDLER, IN_HAND, Stage.COLLECTED),
    ReplySubmitted: Move("R6.2", "拟写承办回复 / draft the reply", Side.ASSIGNEE, HANDLER, IN_HAND, Stage.DRAFTED),
    ReplyRefused: Move(
        "R6.2", "退回承办回复 / refuse the draft", Side.ASSIGNEE, HEAD, frozenset({Stage.DRAFTED}), Stage.COLLECTED
    ),
    ReplyApproved: Move(
        "R6.2", "审批承办回复 / approve the reply", Side.ASSIGNEE, HEAD, frozenset({Stage.DRAFTED}), Stage.REPLIED
    ),
    CitizenAnswered: Move(
        "R8.3", "答复来信人 / answer the citizen", Side.ASSIGNER, CLERK, frozenset({Stage.REPLIED}), Stage.FINISHED
    ),
}
"""All legal moves. Recording progress leaves a draft that waits where it is."""

HINTS: Final[Mapping[Stage, tuple[str, str]]] = {
    Stage.ARRIVED: ("来信尚未登记编号，请先登记（R3.6）", "it is not registered yet; register it first (R3.6)"),
    Stage.PENDING: ("来信在拟办列表中，请先拟写交办单", "it is on the pending list; prepare a slip first"),
    Stage.SLIP: ("已有交办单待负责人审批", "a slip waits for the head; it must be approved or refused first"),
    Stage.SENT: ("来信已交办，承办单位尚未签收（R6.3）", "it was handed out and not collected yet (R6.3)"),
    Stage.COLLECTED: ("来信已签收，承办中，没有待审核的回复", "it is collected and in hand, and no draft waits"),
    Stage.DRAFTED: ("承办回复待审核", "a draft reply waits for the assignee's head"),
    Stage.REPLIED: (
        "承办单位已回复，待交办单位答复来信人",
        "the reply is approved; the assigner has to answer the citizen",
    ),
    Stage.FINISHED: ("来信已办结", "it is finished"),
    Stage.DISCARDED: ("来信已作无效处理", "it was not accepted"),
    Stage.NOTED: ("来信已作掌握处理", "it was archived for reference"),
}
