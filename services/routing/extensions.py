"""More time for a reply: applied for before the due moment, decided by the assigner (R6.4)."""

from datetime import datetime

from services.routing.access import (
    Tree,
    Who,
    acting_receiver,
    base,
    check,
    find_handoff,
    required,
    visible,
)
from services.routing.handling import check_owes_reply
from services.routing.models import Extension, Handoff, State
from shared.contracts.errors import BadInput, NotFound, RuleBroken
from shared.contracts.facts import ExtensionDecided, ExtensionRequested, Fact
from shared.contracts.types import ExtensionOutcome, Value

DUTY_OFFICER = "duty_officer"


class Application(Value):
    """What somebody writes to apply for more time."""

    reason: str
    wanted_due_at: datetime
    """The wanted limit: the end (24:00, Asia/Shanghai) of the wanted last day."""
    oral: bool = False
    """Applied for by word of mouth; the duty office records it."""


class Verdict(Value):
    """What the assigner decides on an application."""

    outcome: ExtensionOutcome
    due_at: datetime | None = None
    """Required where it is granted in part: between the limit in force and the wanted one."""
    reason: str = ""
    """Required where it is not granted as applied for."""


def request_extension(
    state: State | None, who: Who, tree: Tree, handoff_id: str, application: Application, now: datetime
) -> list[Fact]:
    """Apply for more time, before the due moment; there is one undecided application at most (R6.4)."""
    state, _ = visible(state, who.actor.mailbox, tree)
    handoff = find_handoff(state, handoff_id)
    by_duty_office = DUTY_OFFICER in who.roles
    owner = who.actor.mailbox if by_duty_office and application.oral else acting_receiver(handoff)
    check(state, ExtensionRequested, who, owner, tree, handoff)
    if application.oral and not by_duty_office:
        raise BadInput(
            "R6.4", "口头申请由值班室登记 / Applications by word of mouth are recorded by the duty office", "/oral"
        )
    check_owes_reply(handoff, "R6.4")
    due_at = _due_at(state, handoff)
    if now >= due_at:
        raise RuleBroken(
            "R6.4",
            "期限已过，不能再申请延期，请说明进展并尽快回复（R7.1） / "
            "The limit has passed: an extension is applied for within it. Explain the progress and reply (R7.1)",
        )
    if handoff.undecided is not None:
        raise RuleBroken(
            "R6.4",
            f"申请 {handoff.undecided.id} 尚未审批 / The application {handoff.undecided.id} is undecided; wait for it",
        )
    if application.wanted_due_at <= due_at:
        raise BadInput(
            "R6.4", "申请的期限须晚于现期限 / The wanted day must be after the limit in force", "/wanted_day"
        )
    return [
        ExtensionRequested(
            **base(state, who, now),
            handoff_id=handoff.id,
            extension_id=f"e{state.applied + 1}",
            sender=handoff.sender,
            receiver=handoff.receiver,
            reason=required(application.reason, "R6.4", "/reason"),
            wanted_due_at=application.wanted_due_at,
            oral=application.oral,
        )
    ]


def _due_at(state: State, handoff: Handoff) -> datetime:
    """Return the limit in force."""
    clock = state.clocks.get(handoff.id)
    set_at = clock.due_at if clock else None
    last_sent_back = handoff.sent_back[-1].at if handoff.sent_back else None
    if set_at is None or (last_sent_back is not None and set_at <= last_sent_back):
        raise RuleBroken("R6.4", "期限尚未确定，请稍后再申请 / The limit is not set yet; apply again in a moment")
    return set_at


def _undecided(handoff: Handoff, extension_id: str) -> Extension:
    found = next((one for one in handoff.extensions if one.id == extension_id), None)
    if found is None:
        raise NotFound(
            "R6.4",
            f"没有编号为 {extension_id[:20]} 的延期申请 / This hand-off has no application {extension_id[:20]!r}",
        )
    if found.outcome is not None:
        raise RuleBroken("R6.4", f"申请 {found.id} 已审批 / The application {found.id} was decided on already")
    if handoff.undecided is None:
        raise RuleBroken(
            "R6.4", f"承办单位已回复，申请 {found.id} 不再审批 / A reply came; {found.id} is not decided on any more"
        )
    return found


def decide_extension(
    state: State | None, who: Who, tree: Tree, handoff_id: str, extension_id: str, verdict: Verdict, now: datetime
) -> list[Fact]:
    """Grant an application in whole or in part, or refuse it with the reason (R6.4)."""
    state, _ = visible(state, who.actor.mailbox, tree)
    handoff = find_handoff(state, handoff_id)
    check(state, ExtensionDecided, who, handoff.sender, tree, handoff)
    asked = _undecided(handoff, extension_id)
    granted = _granted(verdict, asked, _due_at(state, handoff))
    if verdict.outcome is not ExtensionOutcome.GRANTED:
        required(verdict.reason, "R6.4", "/reason")
    return [
        ExtensionDecided(
            **base(state, who, now),
            handoff_id=handoff.id,
            extension_id=asked.id,
            sender=handoff.sender,
            receiver=handoff.receiver,
            outcome=verdict.outcome,
            due_at=granted,
            reason=verdict.reason,
        )
    ]


def _granted(verdict: Verdict, asked: Extension, due_at: datetime) -> datetime | None:
    """Return the new limit."""
    if verdict.outcome is ExtensionOutcome.PARTLY:
        if verdict.due_at is None or not due_at < verdict.due_at < asked.wanted_due_at:
            raise BadInput(
                "R6.4",
                "部分延期的期限须在现期限与申请期限之间 / Granted in part, the last day is between the limit in force and the wanted one",
                "/last_day",
            )
        return verdict.due_at
    if verdict.due_at not in {None, asked.wanted_due_at}:
        raise BadInput("R6.4", "只有部分延期才另定期限 / Only a part is granted with a day of its own", "/last_day")
    if verdict.outcome is ExtensionOutcome.REFUSED:
        if verdict.due_at is not None:
            raise BadInput("R6.4", "不同意延期则期限不变 / Refused, the limit stays", "/last_day")
        return None
    if asked.wanted_due_at <= due_at:
        raise RuleBroken(
            "R6.4",
            "现期限已不早于申请期限，请不同意并说明 / The limit in force is not before the wanted one any more; refuse it and say so",
        )
    return asked.wanted_due_at
