"""Publication cases and the notice board: what the public sees, and who decided it.

    finished ──▶ to-prepare ──prepare──▶ to-approve ──approve──▶ published ──withdraw──▶ withdrawn     (R9.1)
                     │                    ▲  ▲  │ └──withhold──▶ withheld                    │
                     │        prepare again  │  └───prepare── published (a correction)       │
                     │                       └──────────────prepare──────────────────────────┘
                     └────────────the citizen did not agree────▶ withheld                              (R2.2)

A letter is finished when the citizen has an answer (R8.3); the case belongs to the mailbox that answered. A published letter may be
prepared again: the approved text stays public until another text is approved or the letter is withheld on a ground. A letter whose reply
is sent back is not finished any more (R7.3): nothing is approved until the citizen is answered again, and what was prepared before is void.
What is public can be withdrawn at any time, with what waits to correct it; whatever leaves the site leaves a `PublicationWithdrawn`.

Approval is of one text with its files, by their hash. Where something in it looks like personal data, the approver says that it was seen.

The board shows each hand-off that the mayor's mailbox urged, from the first urging until the reply (R7.2), and each whose reply it sent
back, until the next reply (R7.4).
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from services.publication.board import notice
from services.publication.state import ON, Case, PublicText, Status, known
from shared.contracts.errors import Forbidden, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    LetterPublished,
    PublicationPrepared,
    PublicationWithdrawn,
    PublicationWithheld,
)
from shared.contracts.reports import is_about_somebody
from shared.contracts.types import Actor, MarkCount, WithdrawalGround, WithholdingGround, same_person

__all__ = [
    "ON",
    "Case",
    "PublicText",
    "Status",
    "approve",
    "follow",
    "known",
    "opened",
    "prepare",
    "withdraw",
    "withhold",
]

MOVES: Mapping[str, frozenset[Status]] = {
    "prepare": frozenset({Status.TO_PREPARE, Status.TO_APPROVE, Status.PUBLISHED, Status.WITHDRAWN}),
    "approve": frozenset({Status.TO_APPROVE}),
    "withhold": frozenset({Status.TO_APPROVE}),
}
"""Move → the statuses in which it is allowed."""


def opened(state: Case | None, move: str = "") -> tuple[Case, CitizenAnswered]:
    """Return the case and the answer that opened it.

    Raises:
        NotFound: there is no such letter.
        RuleBroken: it is not finished, or its status does not allow `move` (R9.1).
    """
    case = known(state)
    if case.answer is None:
        raise RuleBroken(
            "R9.1",
            "来信尚未办结；答复来信人之后才进入公示 / The letter is not finished; publication begins once the citizen is answered",
        )
    if move and case.status not in MOVES[move]:
        allowed = "、".join(status.label for status in Status if status in MOVES[move])
        names = ", ".join(status.value for status in Status if status in MOVES[move])
        raise RuleBroken(
            "R9.1",
            f"此件现为“{case.status.label}”，只有“{allowed}”的才能这样处理 / "
            f"The case is {case.status.value}; to {move} it, it must be: {names}",
        )
    return case, case.answer


def _check_consent(case: Case) -> None:
    """What the citizen does not want to be public never is (R2.2)."""
    if case.received is not None and not case.received.may_publish:
        raise RuleBroken(
            "R2.2", "来信人不同意公开此信 / The citizen did not agree to publication; the letter is never published"
        )
    if case.withdrawn is not None and case.withdrawn.ground is WithdrawalGround.CONSENT_WITHDRAWN:
        raise RuleBroken(
            "R2.2",
            "来信人已撤回公开同意，不能再公开 / The citizen took back their consent to publication; the letter cannot be published again",
        )


def prepare(
    state: Case | None,
    text: PublicText,
    grounds: Collection[WithholdingGround],
    by: Actor,
    now: datetime,
    marks: Sequence[MarkCount] = (),
) -> list[Fact]:
    """Propose the public text with the four questions answered; replaces what was proposed before (R9.1).

    `marks` says how the preparer decided on what was marked as personal data.
    """
    case, answer = opened(state, "prepare")
    _check_consent(case)
    fact = PublicationPrepared(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=answer.mailbox,
        subject=text.subject,
        body=text.body,
        reply=text.reply,
        attachments=text.attachments,
        marks=tuple(marks),
        grounds=tuple(ground for ground in WithholdingGround if ground in grounds),
        text_hash=text.hash,
    )
    return [fact]


def approve(
    state: Case | None, text_hash: str, by: Actor, now: datetime, *, marks_left: int = 0, confirmed: bool = False
) -> list[Fact]:
    """Make exactly the prepared text public (R9.1).

    Args:
        state: the letter.
        text_hash: of the text that the approver read.
        by: the approver.
        now: the moment.
        marks_left: pieces of the prepared text and its files that still look like personal data.
        confirmed: whether the approver saw these, and found that they may be public.

    Raises:
        Forbidden: the approver is the preparer.
        RuleBroken: another text is prepared by now, there is a ground against publication, or marks are not confirmed.
    """
    case, answer = opened(state, "approve")
    _check_consent(case)
    prepared = case.waiting
    assert prepared is not None
    assert prepared.by is not None
    if same_person(by, prepared.by):
        raise Forbidden(
            "R9.1",
            "拟稿人不能审批自己拟的公开稿，请由另一人审批 / Who prepared the text cannot approve it; another person must",
        )
    if is_about_somebody(case):
        raise RuleBroken(
            "R9.1",
            "此件举报了具体单位或个人，公开即会为被举报者所知，只能不予公开 / "
            "It is a report about a unit or a person, who would read it on the public site: it can only be withheld",
        )
    if prepared.grounds:
        reasons = "、".join(ground.label for ground in prepared.grounds)
        raise RuleBroken(
            "R9.1",
            f"拟稿人认为此件{reasons}，只能不予公开或重新拟稿 / The preparer found a ground against publication "
            f"({', '.join(prepared.grounds)}): withhold it or have it prepared again",
        )
    if text_hash != prepared.text_hash:
        raise RuleBroken(
            "R9.1",
            "公开稿已更换，请重新阅读后再审批 / This is not the text that is prepared now; read it again and approve its text_hash",
        )
    if marks_left and not confirmed:
        raise RuleBroken(
            "R9.1",
            f"公开稿中仍有 {marks_left} 处疑似个人信息（见 prepared.marks）：请重新拟稿，或逐处核对后以 confirm_marks: true 确认 / "
            f"{marks_left} pieces of the text still look like personal data (see prepared.marks): have it prepared again, or "
            "look at each and confirm with confirm_marks: true",
        )
    if case.number is None:
        raise RuleBroken("R3.6", "来信没有编号，不能公开 / The letter has no number, so it cannot be published")
    fact = LetterPublished(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=answer.mailbox,
        number=case.number,
        subject=prepared.subject,
        body=prepared.body,
        reply=prepared.reply,
        attachments=prepared.attachments,
        text_hash=prepared.text_hash,
        prepared_by=prepared.by,
        marks_left=marks_left,
    )
    return [fact]


def withhold(state: Case | None, grounds: Collection[WithholdingGround], by: Actor, now: datetime) -> list[Fact]:
    """Decide not to publish, on the grounds prepared and those that the approver adds (R9.1)."""
    case, answer = opened(state, "withhold")
    assert case.waiting is not None
    found = {*case.waiting.grounds, *grounds}
    if not found:
        raise RuleBroken(
            "R9.1",
            "不予公开须有四项理由之一，请注明 / Withholding needs one of the four grounds; name it in `grounds`",
        )
    against = tuple(ground for ground in WithholdingGround if ground in found)
    gone = [] if case.approved is None else [_withdrawal(case, _SAME[against[0]], "", by, now)]
    fact = PublicationWithheld(letter_id=case.letter_id, at=now, by=by, mailbox=answer.mailbox, grounds=against)
    return [*gone, fact]


_SAME: Mapping[WithholdingGround, WithdrawalGround] = {one: WithdrawalGround[one.name] for one in WithholdingGround}


def withdraw(state: Case | None, ground: WithdrawalGround, remark: str, by: Actor, now: datetime) -> list[Fact]:
    """Take a public letter off the public site, and with it what waits to correct it (R9.1).

    Raises:
        RuleBroken: nothing of the letter is public.
    """
    case = known(state)
    if case.approved is None:
        raise RuleBroken(
            "R9.1",
            f"此件现为“{case.status.label}”，没有公开，无需撤回 / The letter is not public; there is nothing to withdraw",
        )
    return [_withdrawal(case, ground, remark, by, now)]


def _withdrawal(case: Case, ground: WithdrawalGround, remark: str, by: Actor, now: datetime) -> Fact:
    assert case.approved is not None
    public = case.approved
    return PublicationWithdrawn(
        letter_id=case.letter_id,
        at=now,
        by=by,
        mailbox=public.mailbox,
        number=public.number,
        ground=ground,
        remark=remark,
    )


def follow(state: Case, now: datetime, *, mayor: str) -> Sequence[Fact]:
    """Return what the system decides by itself: refused consent (R2.2) and entries of the board (R7.2).

    Args:
        state: the letter.
        now: the moment.
        mayor: code of the mayor's mailbox, whose urgings are shown to the public.
    """
    facts: list[Fact] = []
    if state.status is Status.TO_PREPARE and state.received is not None and not state.received.may_publish:
        assert state.answer is not None
        facts.append(
            PublicationWithheld(letter_id=state.letter_id, at=now, mailbox=state.answer.mailbox, consent_refused=True)
        )
    for handoff in state.handoffs:
        facts += notice(
            state.letter_id, handoff, state.number, answered=state.is_answered(handoff), mayor=mayor, now=now
        )
    return facts
