"""Who may ask routing for what. The moves are those of the table `moves.py`; `docs/access.md` is made of both."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.routing.actions import USE_CASES
from services.routing.moves import MOVES, Side
from shared.contracts import actions
from shared.contracts import facts as f
from shared.contracts.actions import Action
from shared.security.rights import Grant, Relation, Right, right
from shared.security.tokens import Role

READERS: Final = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER, Role.UNIT_SYSTEM)
WHOSE: Final[Mapping[Side, Relation]] = {
    Side.HOLDER: Relation.HOLDER,
    Side.SENDER: Relation.SENDER,
    Side.RECEIVER: Relation.RECEIVER,
    Side.LEADER: Relation.HANDS,
    Side.FOLLOWER: Relation.FOLLOWER,
}
"""Whose move it is, in the words of all tables."""


def _move(fact: type[f.Fact]) -> Right:
    move = MOVES[fact]
    return right(move.rule, move.name, ({Role(role) for role in move.roles}, WHOSE[move.side]))


def _oral() -> Right:
    """Applying for more time: the receiver, or by word of mouth the duty office, which records it (R6.4)."""
    move = _move(f.ExtensionRequested)
    by_mouth = Grant(frozenset({Role.DUTY_OFFICER}), frozenset({Relation.DUTY}))
    return replace(move, grants=(*move.grants, by_mouth), note="The duty office only with `oral`.")


def _by_hand() -> Right:
    """Recording a reply on paper: the sender makes the receiver's move (R4.2)."""
    (grant,) = _move(f.ReplySubmitted).grants
    name = "登记书面回复 / record a reply on paper"
    return Right(
        "R4.2", name, (Grant(grant.roles, frozenset({Relation.SENDER})),), "Only for an office reached by fax or post."
    )


LIST: Final = right("R10.2", "办理列表 / a list of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
FLAGGED: Final = right("R5.1", "往返件 / letters that go to and fro", ((Role.DUTY_OFFICER,), Relation.DUTY))
SHOW: Final = right("R10.2", "查看来信 / a letter and its handling", (READERS, (Relation.PARTY, Relation.DUTY)))
CITY: Final = right("R1.2", "全市来信 / every letter of the city", ((Role.DUTY_OFFICER,), Relation.DUTY))
REGISTER: Final = right("R10.3", "登记表 / the register of a mailbox", (READERS, (Relation.NAMED, Relation.DUTY)))
CITY_REGISTER: Final = right("R10.3", "全市登记表 / the register of the city", ((Role.DUTY_OFFICER,), Relation.DUTY))
PRINT: Final = right("R4.6", "打印来信登记单 / print the registration", (READERS, (Relation.PARTY, Relation.DUTY)))
ENDS: Final = (READERS, (Relation.SENDER, Relation.RECEIVER, Relation.DUTY))
"""What only both ends of a hand-off see (R4.2b)."""
STAFF: Final = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER)
DIRECTORY: Final = right(
    "R1.1", "信箱名录 / the directory", (READERS, Relation.EVERYBODY), note="People are shown to staff alone."
)
DIRECTORY_HISTORY: Final = right("R10.1", "名录变更记录 / the changes of a mailbox", (STAFF, Relation.EVERYBODY))
ADD_MAILBOX: Final = right("R1.1", "增设信箱 / add a mailbox", ((Role.DUTY_OFFICER,), Relation.DUTY))
CHANGE_MAILBOX: Final = right("R1.3", "变更信箱 / change a mailbox", ((Role.DUTY_OFFICER,), Relation.DUTY))
CLOSE_MAILBOX: Final = right("R1.1", "撤并信箱 / close or merge a mailbox", ((Role.DUTY_OFFICER,), Relation.DUTY))
HISTORY: Final = right(
    "R10.1",
    "办理过程 / a letter's history",
    (READERS, (Relation.PARTY, Relation.DUTY)),
    note="Of another unit's inside the hashes alone (R4.2b).",
)

_LETTER = "POST /routing/letters/{letter_id}"
_PAPER = "GET /routing/letters/{letter_id}/handoffs/{handoff_id}"
_SLIP = _LETTER + "/slips/{slip_id}"
_HANDOFF = _LETTER + "/handoffs/{handoff_id}"
_REPLY = _HANDOFF + "/replies/{reply_id}"
_INSTRUCTION = _LETTER + "/instructions/{instruction_id}"

RIGHTS: Final[Mapping[str, Right]] = {
    "GET /routing/mailboxes/{code}/letters": replace(LIST, note="`list=flagged`: the duty office alone."),
    "GET /routing/letters/{letter_id}": SHOW,
    "GET /routing/letters/{letter_id}/history": HISTORY,
    "GET /routing/directory": DIRECTORY,
    "GET /routing/directory/mailboxes/{code}": DIRECTORY,
    "GET /routing/directory/mailboxes/{code}/history": DIRECTORY_HISTORY,
    "POST /routing/directory/mailboxes": ADD_MAILBOX,
    "PATCH /routing/directory/mailboxes/{code}": CHANGE_MAILBOX,
    "POST /routing/directory/mailboxes/{code}/close": CLOSE_MAILBOX,
    "GET /routing/letters": CITY,
    "GET /routing/mailboxes/{code}/register.{kind}": REGISTER,
    "GET /routing/register.{kind}": CITY_REGISTER,
    "GET /routing/letters/{letter_id}/registration.pdf": PRINT,
    "GET /routing/letters/{letter_id}/slips/{slip_id}.pdf": right(
        "R4.6", "打印单据 / print a slip", ENDS, note="The receiver once it was sent."
    ),
    _PAPER + "/replies/{reply_id}.pdf": right(
        "R4.6", "打印承办回复 / print a reply", ENDS, note="A draft for the mailbox that wrote it alone."
    ),
    _PAPER + "/urgings/{count}.pdf": right("R4.6", "打印催办单 / print an urging", ENDS),
    _PAPER + "/send-backs/{count}.pdf": right("R4.6", "打印退办单 / print a sending back", ENDS),
    _LETTER + "/slips": _move(f.SlipPrepared),
    _SLIP + "/approve": _move(f.HandoffSent),
    _SLIP + "/refuse": _move(f.SlipRefused),
    _SLIP + "/withdraw": _move(f.SlipWithdrawn),
    _HANDOFF + "/collect": _move(f.HandoffCollected),
    _HANDOFF + "/return": _move(f.HandoffReturned),
    _HANDOFF + "/progress": _move(f.ProgressRecorded),
    _HANDOFF + "/told": _move(f.CitizenTold),
    _HANDOFF + "/replies": _move(f.ReplySubmitted),
    _HANDOFF + "/paper-reply": _by_hand(),
    _REPLY + "/approve": _move(f.ReplyApproved),
    _REPLY + "/refuse": _move(f.ReplyRefused),
    _REPLY + "/send-back": _move(f.ReplySentBack),
    _HANDOFF + "/extensions": _oral(),
    _HANDOFF + "/extensions/{extension_id}/decide": _move(f.ExtensionDecided),
    _LETTER + "/answer": _move(f.CitizenAnswered),
    _LETTER + "/instructions": _move(f.InstructionGiven),
    _INSTRUCTION + "/follow-ups": _move(f.InstructionFollowedUp),
    _INSTRUCTION + "/end": _move(f.InstructionEnded),
}
"""Method and path → who may. A new endpoint gets its row here; what the domain decides, from its move."""

ACTIONS: Final[Mapping[type[Action], Right]] = {
    **{action: _move(use_case.fact) for action, use_case in USE_CASES.items()},
    actions.RecordReply: _by_hand(),
}
"""Action of a unit's system → the right that its unit must have. The system vouches for the role of the person it names."""
