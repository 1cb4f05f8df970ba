"""Which parts of a letter are printed for whom (R4.6): exactly those that it is shown, see `showing.py`."""

from typing import TypeVar

from services.routing import rights
from services.routing.access import Tree, find_handoff, parties, visible
from services.routing.desk import who_of
from services.routing.forms import Clerk, Form
from services.routing.models import KEPT_TEXTS, Handoff, State
from services.routing.showing import Mine, reply_view, sees_reply
from shared.contracts.errors import NotFound
from shared.directory import Directory
from shared.security.rights import Relation
from shared.security.tokens import Caller

Part = TypeVar("Part")


def clerk(state: State | None, caller: Caller, tree: Directory, reply_days: int) -> Clerk:
    """Return who fills in the forms of a letter, for somebody who may see it.

    Raises:
        NotFound: there is no such letter for them (R10.2).
        Problem: 403, it is another mailbox's.
    """
    known, letter = visible(state, who_of(caller), tree)
    rights.PRINT.check(caller, {Relation.PARTY: parties(known, tree)})
    return Clerk(known, letter, tree, reply_days)


def registration(by: Clerk) -> Form:
    """Return 附表1.

    Raises:
        NotFound: the letter is not registered.
    """
    if by.letter.number is None:
        raise NotFound(
            "R3.6",
            "该件尚未登记编号，没有来信登记单 / The letter has no number yet, so there is no registration to print",
        )
    return by.registration()


def slip(by: Clerk, caller: Caller, slip_id: str) -> Form:
    """Return 附表2–5: for its sender and the duty office; once it was sent, for its receiver too.

    Raises:
        NotFound: there is none for the caller.
    """
    found = next((one for one in by.state.slips if one.id == slip_id), None)
    if found is None:
        raise _none("单据", "slip", slip_id)
    handoff = next((one for one in by.state.handoffs if one.id == slip_id), None)
    sent_to = (found.receiver,) if handoff is not None and handoff.withdrawn is None else ()
    if not _mine(by, caller)(found.sender, *sent_to):
        raise _none("单据", "slip", slip_id)
    return by.slip(found)


def reply(by: Clerk, caller: Caller, handoff_id: str, reply_id: str) -> Form:
    """Return 附表6: a draft for its author's mailbox, an approved one for both ends.

    Raises:
        NotFound: there is none for the caller, or only the history has it still.
    """
    handoff = _handoff(by, caller, handoff_id, "回复", "reply", reply_id)
    found = next((one for one in handoff.replies if one.id == reply_id), None)
    if found is not None and sees_reply(_mine(by, caller), handoff, reply_view(found, handoff)):
        return by.reply(handoff, found)
    oldest = handoff.replies[0].id if len(handoff.replies) == KEPT_TEXTS else ""
    if found is None and oldest and _place(reply_id) and _place(reply_id) < _place(oldest):
        raise _older("回复", "replies")
    raise _none("回复", "reply", reply_id)


def urging(by: Clerk, caller: Caller, handoff_id: str, count: int) -> Form:
    """Return 附表7, the urging of this ordinal, for both ends.

    Raises:
        NotFound: there is none for the caller, or only the history has it still.
    """
    handoff = _handoff(by, caller, handoff_id, "催办单", "urging", str(count))
    found = next((one for one in handoff.urgings if one.count == count), None)
    if found is not None:
        return by.urging(handoff, found)
    if 0 < count <= handoff.urged and (not handoff.urgings or count < handoff.urgings[0].count):
        raise _older("催办单", "urgings")
    raise _none("催办单", "urging", str(count))


def send_back(by: Clerk, caller: Caller, handoff_id: str, count: int) -> Form:
    """Return 附表8, the sending back of this ordinal, for both ends.

    Raises:
        NotFound: there is none for the caller, or only the history has it still.
    """
    handoff = _handoff(by, caller, handoff_id, "退办单", "sending back", str(count))
    found = next((one for one in handoff.sent_back if one.count == count), None)
    if found is not None:
        return by.send_back(handoff, found)
    if handoff.sent_back and 0 < count < handoff.sent_back[0].count:
        raise _older("退办单", "sendings back")
    raise _none("退办单", "sending back", str(count))


def _mine(by: Clerk, caller: Caller) -> Mine:
    return Mine.of(by.state, caller, by.tree)


def _handoff(by: Clerk, caller: Caller, handoff_id: str, chinese: str, english: str, part: str) -> Handoff:
    handoff = find_handoff(by.state, handoff_id)
    receiver = () if handoff.withdrawn is not None else (handoff.receiver,)
    if not _mine(by, caller)(handoff.sender, *receiver):
        raise _none(chinese, english, part)
    return handoff


def _place(reply_id: str) -> int:
    """Return the place of a reply among all of the letter: 7 of `r7`; 0 for what is no reply's id."""
    digits = reply_id[1:]
    return int(digits) if reply_id[:1] == "r" and digits.isascii() and digits.isdigit() and len(digits) < 9 else 0


def _none(chinese: str, english: str, part: str) -> NotFound:
    return NotFound(
        "R10.2",
        f"该件没有{chinese} {part[:20]}，或您无权查看 / The letter has no {english} {part[:20]!r}, or it is not for you to see",
    )


def _older(chinese: str, english: str) -> NotFound:
    return NotFound(
        "R4.6",
        f"只能打印最近 {KEPT_TEXTS} 份{chinese}，更早的请在来信的办理历史中查看 / "
        f"Only the latest {KEPT_TEXTS} {english} can be printed; earlier ones are in the letter's history",
    )


__all__ = ["Tree", "clerk", "registration", "reply", "send_back", "slip", "urging"]
