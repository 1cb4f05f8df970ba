"""The letter as intake sees it: received, read, classified, registered or not accepted; and what the citizen may know of it.

    received ──▶ unread ──read──▶ read ──register──▶ registered     (R3.6)
                    └───────────────┴──discard───▶ discarded        (R3.0)
                                    └──note──────▶ noted            (R3.7)

Registering or discarding an unread letter reads it first. Registration wins over a discard or note that another clerk makes at the same
moment: the number is already in the register, and numbers are never lost (R3.6).
"""

from collections.abc import Sequence
from datetime import datetime

from services.intake.state import ON, Handoff, Letter, Stage, known
from shared.contracts.errors import BadInput, RuleBroken
from shared.contracts.facts import (
    Fact,
    LetterDiscarded,
    LetterErased,
    LetterNoted,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
)
from shared.contracts.reports import is_about_somebody
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Actor, Classification, InvalidReason, Moment, Nature, Number, TurnTo, Value

__all__ = [
    "ON",
    "Earlier",
    "Handoff",
    "Letter",
    "Stage",
    "discard",
    "erase",
    "erase_on_request",
    "known",
    "may_register",
    "note",
    "read",
    "receive",
    "reclassify",
    "register",
]


def receive(state: Letter | None, submission: SubmissionAccepted, mailbox: str, now: datetime) -> Sequence[Fact]:
    """Take a submission; the same one again changes nothing (R2.2).

    Args:
        state: the letter, if it is already known.
        submission: what the front door accepted.
        mailbox: the mailbox that receives it; not the chosen one where a report must be kept from the unit it is about.
        now: unused but for its kind; the letter counts from the moment it was accepted.
    """
    del now
    if state is not None:
        return ()
    return [
        LetterReceived(
            letter_id=submission.letter_id,
            at=submission.at,
            mailbox=mailbox,
            chosen_mailbox=submission.mailbox,
            subject=submission.subject,
            body=submission.body,
            classification=submission.classification,
            may_publish=submission.may_publish,
            attachments=submission.attachments,
        )
    ]


def read(state: Letter | None, by: Actor, now: datetime) -> list[Fact]:
    """Open the letter; only the first time is recorded (R3.1)."""
    letter = known(state)
    return [] if letter.read_at is not None else [LetterRead(letter_id=letter.letter_id, at=now, by=by)]


def reclassify(state: Letter | None, after: Classification, by: Actor, now: datetime) -> list[Fact]:
    """Correct the classification (R3.2); no change, no fact."""
    letter = known(state)
    if letter.stage in {Stage.DISCARDED, Stage.NOTED}:
        raise RuleBroken(
            "R3.2", "来信已办结，不能再改分类 / The letter was discarded or noted; its classification stays"
        )
    if is_about_somebody(after) and after.nature is not Nature.REPORT:
        field = "/reported_mailbox" if after.reported_mailbox is not None else "/reported_people"
        raise BadInput(
            "R3.3", "只有举报才有被举报单位或个人 / Only a report (举报) is about a mailbox or people", field
        )
    if after == letter.classification:
        return []
    change = LetterReclassified(letter_id=letter.letter_id, at=now, by=by, before=letter.classification, after=after)
    return [*read(letter, by, now), change]


def may_register(state: Letter | None) -> None:
    """Check before a line of the register is written.

    Raises:
        RuleBroken: the letter was discarded or noted (R3.6).
    """
    letter = known(state)
    if letter.stage in {Stage.DISCARDED, Stage.NOTED}:
        raise RuleBroken(
            "R3.6",
            "已作无效或掌握处理的来信不能登记 / A discarded or noted letter gets no number",
        )


def register(state: Letter | None, number: Number, by: Actor, at: datetime) -> list[Fact]:
    """Register the letter under the number whose line was written at `at`; again: nothing (R3.6, R3.8)."""
    letter = known(state)
    if letter.number is not None:
        return []
    return [*read(letter, by, at), LetterRegistered(letter_id=letter.letter_id, at=at, by=by, number=number)]


class Earlier(Value):
    """The letter that a clerk says is repeated (R3.0 (4))."""

    letter_id: str
    received_at: Moment | None
    """None: there is no such letter, or the clerk may not know of it."""
    same_sender: bool = False
    """Whether it came from the same phone or e-mail."""


def discard(
    state: Letter | None,
    reason: InvalidReason,
    by: Actor,
    now: datetime,
    *,
    remark: str = "",
    turn_to: TurnTo | None = None,
    earlier: Earlier | None = None,
) -> list[Fact]:
    """Do not accept the letter, for one of the five reasons (R3.0).

    Raises:
        RuleBroken: the letter is no longer in screening.
        BadInput: `turn_to` or `earlier` does not fit the reason, or `earlier` is no letter that came before this one.
    """
    letter = _open(state, "R3.0")
    if turn_to is not None and reason is not InvalidReason.OUTSIDE_GOVERNMENT:
        raise BadInput(
            "R3.0",
            "只有不属于政府职权范围的来信才指明应向谁反映 / Only a letter outside government says whom to turn to",
            "/turn_to",
        )
    if earlier is not None:
        _check_earlier(letter, reason, earlier)
    fact = LetterDiscarded(
        letter_id=letter.letter_id,
        at=now,
        by=by,
        reason=reason,
        remark=remark,
        earlier_letter=earlier.letter_id if earlier else None,
        same_sender=earlier is not None and earlier.same_sender,
        turn_to=turn_to,
    )
    return [*read(letter, by, now), fact]


def _check_earlier(letter: Letter, reason: InvalidReason, earlier: Earlier) -> None:
    wrong = ""
    if reason is not InvalidReason.REPEATED_OR_EMPTY:
        wrong = "只有重复来信才指明前一封 / Only a repeated letter names an earlier one"
    elif earlier.letter_id == letter.letter_id:
        wrong = "来信不能重复自己 / A letter cannot repeat itself"
    elif earlier.received_at is None:
        wrong = "没有这封更早的来信；可选的见 earlier / There is no such earlier letter; GET …/earlier lists those that may be"
    elif (earlier.received_at, earlier.letter_id) > (letter.received_at, letter.letter_id):
        wrong = "所指的来信比这一封收到得晚 / The letter that is named came after this one"
    if wrong:
        raise BadInput("R3.0", wrong, "/earlier_letter")


def erase(state: Letter | None, before: datetime, now: datetime) -> list[Fact]:
    """Erase the text of an invalid letter that was discarded before the moment `before`; any other letter stays (R3.7)."""
    if state is None or state.discarded is None or state.invalid_since is None or state.invalid_since >= before:
        return []
    return [LetterErased(letter_id=state.letter_id, at=now, reason=state.discarded.reason)]


def erase_on_request(state: Letter | None, by: Actor, now: datetime, *, ground: str, text: bool) -> list[Fact]:
    """Erase the contact data, and the text and files where `text`, because the law asks for it; what is erased already stays so.

    Raises:
        RuleBroken: there is no such letter; or its text is asked for while it is not answered, so that nobody could handle it.
    """
    letter = known(state)
    if letter.erased_at is not None or (letter.contact_erased_at is not None and not text):
        return []
    if text and letter.is_open:
        raise RuleBroken(
            "R3.0",
            "来信还在核对，不能删除内容 / The letter is still being screened: register, discard or note it first",
        )
    if text and letter.stage is Stage.REGISTERED and not letter.is_answered:
        raise RuleBroken(
            "R8.3",
            "来信尚未答复，不能删除内容；先答复，或只删除联系方式 / The letter is not answered yet, so its text is still needed: "
            "answer it first, or erase the contact data alone",
        )
    return [LetterErased(letter_id=letter.letter_id, at=now, by=by, ground=ground, text=text)]


def note(state: Letter | None, by: Actor, now: datetime, remark: str = "") -> list[Fact]:
    """Archive the letter for reference, without a number (R3.7, R4.5)."""
    letter = _open(state, "R3.7")
    return [*read(letter, by, now), LetterNoted(letter_id=letter.letter_id, at=now, by=by, remark=remark)]


def _open(state: Letter | None, rule: str) -> Letter:
    letter = known(state)
    if not letter.is_open:
        reached = {
            Stage.REGISTERED: "登记 / registered",
            Stage.DISCARDED: "作无效处理 / discarded",
            Stage.NOTED: "作掌握处理 / noted",
        }[letter.stage]
        raise RuleBroken(
            rule, f"来信已{reached}; 只有未登记的来信可以这样处理 / only letters still in screening can be"
        )
    return letter
