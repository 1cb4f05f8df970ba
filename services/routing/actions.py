"""What each action of a unit's system is: the use case that it asks for, the same as over HTTP, and the fact that shows it was done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

from services.routing import domain
from services.routing.domain import Application, PaperReply, ReplyText, SlipText, Tree, Verdict, Who
from services.routing.models import State
from shared.calendar.zone import end_of_day
from shared.contracts import actions, facts
from shared.contracts.actions import Action
from shared.contracts.facts import Fact

Decide: TypeAlias = Callable[[State | None, Who, Tree, Any, datetime], list[Fact]]


class UseCase(NamedTuple):
    """What an action asks for."""

    decide: Decide
    fact: type[Fact]
    """The last fact that always comes of it."""


def _slip(action: actions.PrepareSlip) -> SlipText:
    return SlipText(
        way=action.way,
        receiver=action.to,
        opinion=action.opinion,
        requirements=action.requirements,
        answer_by=action.answer_by,
        written_reply=action.written_reply,
        medium=action.medium,
        working_days=action.working_days,
    )


def _reply(action: actions.SubmitReply) -> ReplyText:
    return ReplyText(text=action.text, document=action.document, attachments=action.attachments, channel=action.channel)


def _paper(action: actions.RecordReply) -> PaperReply:
    return PaperReply(
        text=action.text,
        document=action.document,
        attachments=action.attachments,
        person=action.handled_by,
        approver=action.approved_by,
        channel=action.channel,
    )


def _application(action: actions.RequestExtension) -> Application:
    return Application(reason=action.reason, wanted_due_at=end_of_day(action.wanted_day))


def _verdict(action: actions.DecideExtension) -> Verdict:
    due_at = end_of_day(action.last_day) if action.last_day else None
    return Verdict(outcome=action.outcome, due_at=due_at, reason=action.reason)


USE_CASES: Final[Mapping[type[Action], UseCase]] = {
    actions.PrepareSlip: UseCase(
        lambda s, w, t, a, now: domain.prepare_slip(s, w, t, _slip(a), now), facts.SlipPrepared
    ),
    actions.ApproveSlip: UseCase(
        lambda s, w, t, a, now: domain.approve_slip(s, w, t, a.slip_id, now), facts.HandoffSent
    ),
    actions.RefuseSlip: UseCase(
        lambda s, w, t, a, now: domain.refuse_slip(s, w, t, a.slip_id, a.reason, now), facts.SlipRefused
    ),
    actions.WithdrawSlip: UseCase(
        lambda s, w, t, a, now: domain.withdraw_slip(s, w, t, a.handoff_id, a.reason, now), facts.SlipWithdrawn
    ),
    actions.TellCitizen: UseCase(
        lambda s, w, t, a, now: domain.tell_citizen(s, w, t, a.handoff_id, a.channel, a.text, now), facts.CitizenTold
    ),
    actions.CollectLetter: UseCase(
        lambda s, w, t, a, now: domain.collect(s, w, t, a.handoff_id, now), facts.HandoffCollected
    ),
    actions.ReturnLetter: UseCase(
        lambda s, w, t, a, now: domain.return_letter(s, w, t, a.handoff_id, a.reason, now), facts.HandoffReturned
    ),
    actions.RecordProgress: UseCase(
        lambda s, w, t, a, now: domain.record_progress(s, w, t, a.handoff_id, a.text, now), facts.ProgressRecorded
    ),
    actions.SubmitReply: UseCase(
        lambda s, w, t, a, now: domain.submit_reply(s, w, t, a.handoff_id, _reply(a), now), facts.ReplySubmitted
    ),
    actions.ApproveReply: UseCase(
        lambda s, w, t, a, now: domain.approve_reply(s, w, t, a.handoff_id, None, now), facts.ReplyApproved
    ),
    actions.RefuseReply: UseCase(
        lambda s, w, t, a, now: domain.refuse_reply(s, w, t, a.handoff_id, None, a.reason, now), facts.ReplyRefused
    ),
    actions.RequestExtension: UseCase(
        lambda s, w, t, a, now: domain.request_extension(s, w, t, a.handoff_id, _application(a), now),
        facts.ExtensionRequested,
    ),
    actions.DecideExtension: UseCase(
        lambda s, w, t, a, now: domain.decide_extension(s, w, t, a.handoff_id, a.extension_id, _verdict(a), now),
        facts.ExtensionDecided,
    ),
    actions.RecordReply: UseCase(
        lambda s, w, t, a, now: domain.record_reply(s, w, t, a.handoff_id, _paper(a), now), facts.ReplyApproved
    ),
    actions.SendBackReply: UseCase(
        lambda s, w, t, a, now: domain.send_back(
            s, w, t, a.handoff_id, None, a.reason, a.requirements, a.working_days, now
        ),
        facts.ReplySentBack,
    ),
    actions.AnswerCitizen: UseCase(
        lambda s, w, t, a, now: domain.answer_citizen(s, w, t, a.channel, a.text, now), facts.CitizenAnswered
    ),
    actions.GiveInstruction: UseCase(
        lambda s, w, t, a, now: domain.give_instruction(s, w, t, a.text, end_of_day(a.report_by), now),
        facts.InstructionGiven,
    ),
    actions.FollowUpInstruction: UseCase(
        lambda s, w, t, a, now: domain.follow_up(s, w, t, a.instruction_id, a.text, now), facts.InstructionFollowedUp
    ),
    actions.EndInstruction: UseCase(
        lambda s, w, t, a, now: domain.end_instruction(s, w, t, a.instruction_id, a.text, now), facts.InstructionEnded
    ),
}
"""Every action that a unit's system can ask for."""


def asked_for(made: Sequence[Fact]) -> type[Action]:
    """Return the action of which these facts came."""
    kinds = [type(fact) for fact in made]
    if kinds[:2] == [facts.ReplySubmitted, facts.ReplyApproved]:
        return actions.RecordReply
    return next(
        action
        for action, use_case in USE_CASES.items()
        if use_case.fact is kinds[0] and action is not actions.RecordReply
    )
