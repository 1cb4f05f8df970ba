"""What could be tried with a letter, by whom, and how routing is asked for it."""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from services.routing import domain as routing
from services.routing.domain import Application, PaperReply, ReplyText, SlipText, Verdict
from shared.contracts.types import AnswerBy, Channel, ExtensionOutcome, Medium, Way
from tests.letter_model import Letter
from tests.letter_parts import ALWAYS, CLERK, DUTY, HEAD, LEADER, Try

ONWARD = (
    "prepare",
    "approve",
    "collect",
    "draft",
    "approve draft",
    "refuse draft",
    "record reply",
    "answer",
    "send back",
    "decide",
)
"""What a letter's way is made of; done more often than the rest, so that walks get far."""


WAYS = {way.value: way for way in Way}
ANSWERERS = {one.value: one for one in AnswerBy}
OUTCOMES = {outcome.value: outcome for outcome in ExtensionOutcome}


def tries(model: Letter, now: datetime, kinds: Collection[str]) -> list[Try]:
    """Every thing of some kinds that could be done with what there is, by those whose business it could be."""
    holder, later = model.holder or "mayor", now + timedelta(days=9)
    found = list(_slips(model, holder)) if "prepare" in kinds else []
    for number in range(max(1, model.slips - 3), model.slips + 2):
        found += _on_slip(f"s{number}", model, holder)
        if {"ask", "decide"} & set(kinds):
            found += _more_time(f"s{number}", model, holder, later)
    found.append(Try("answer", holder, CLERK, f"{holder}-1"))
    for mailbox in sorted({holder, model.first, "mayor", model.part_of[holder]}):
        found.append(Try("instruct", mailbox, LEADER, f"{mailbox}-2", wanted=later))
    for number in range(1, model.instructed + 2):
        follower = model.instructions.get(f"i{number}", holder)
        found += [
            Try(what, follower, CLERK, f"{follower}-1", f"i{number}") for what in ("follow up", "end instruction")
        ]
    return [one for one in found if one.what in kinds]


def _slips(model: Letter, holder: str) -> Iterator[Try]:
    for way, receiver, answer_by in product(Way, model.above, (None, *AnswerBy)):
        owes = way in {Way.ASSIGN, Way.DIRECT}
        yield Try(
            "prepare",
            holder,
            CLERK,
            f"{holder}-1",
            way=way.value,
            receiver=receiver,
            answer_by=answer_by and answer_by.value,
            by_fax=way is Way.ASSIGN and receiver.endswith("1"),
            days=3 if owes and receiver.endswith("0") else None,
        )


def _on_slip(slip: str, model: Letter, holder: str) -> Iterator[Try]:
    part = model.part(slip)
    sender, receiver, hand = (part.sender, part.receiver, part.hand) if part else (holder, holder, holder)
    yield Try("withdraw", sender, CLERK, f"{sender}-1", slip)
    yield Try("tell", sender, CLERK, f"{sender}-1", slip)
    yield Try("return", receiver, LEADER, f"{receiver}-2", slip)
    yield Try("send back", sender, HEAD, f"{sender}-2", slip, days=2 if part and part.redone else None)
    for what in ("approve", "refuse"):
        yield Try(what, sender, HEAD, f"{sender}-2", slip)
    for what in ("approve draft", "refuse draft"):
        yield Try(what, hand, HEAD, f"{hand}-2", slip)
    for what in ("collect", "return", "explain", "draft", "record reply"):
        yield Try(what, hand, CLERK, f"{hand}-1", slip)


def _more_time(slip: str, model: Letter, holder: str, later: datetime) -> Iterator[Try]:
    part = model.part(slip)
    sender, hand, limit = (part.sender, part.hand, part.due) if part else (holder, holder, later)
    for wanted in (limit, limit + timedelta(days=1), limit + timedelta(days=20)):
        yield Try("ask", hand, CLERK, f"{hand}-1", slip, wanted=wanted)
        yield Try("ask", "mayor", DUTY, "mayor-2", slip, oral=True, wanted=wanted)
    for outcome, ask in product(ExtensionOutcome, range(max(1, model.asks - 1), model.asks + 2)):
        given = limit + timedelta(days=8) if outcome is ExtensionOutcome.PARTLY else None
        yield Try("decide", sender, HEAD, f"{sender}-2", slip, ask=f"e{ask}", outcome=outcome.value, wanted=given)


def slip_of(one: Try) -> SlipText:
    return SlipText(
        way=WAYS[one.way],
        receiver=one.receiver,
        opinion=one.text,
        requirements=one.text,
        answer_by=ANSWERERS.get(one.answer_by or ""),
        medium=Medium.FAX if one.by_fax else Medium.SYSTEM,
        working_days=one.days,
    )


def verdict_of(one: Try) -> Verdict:
    return Verdict(outcome=OUTCOMES[one.outcome], due_at=one.wanted, reason=one.text)


def application_of(one: Try) -> Application:
    return Application(reason=one.text, wanted_due_at=one.wanted or ALWAYS, oral=one.oral)


CALLS: dict[str, Callable[[Try], tuple[Any, ...]]] = {
    "prepare": lambda t: (routing.prepare_slip, slip_of(t)),
    "approve": lambda t: (routing.approve_slip, t.on),
    "refuse": lambda t: (routing.refuse_slip, t.on, t.text),
    "withdraw": lambda t: (routing.withdraw_slip, t.on, t.text),
    "collect": lambda t: (routing.collect, t.on),
    "return": lambda t: (routing.return_letter, t.on, t.text),
    "tell": lambda t: (routing.tell_citizen, t.on, Channel.PHONE, t.text),
    "explain": lambda t: (routing.record_progress, t.on, t.text),
    "draft": lambda t: (routing.submit_reply, t.on, ReplyText(text=t.text)),
    "refuse draft": lambda t: (routing.refuse_reply, t.on, None, t.text),
    "approve draft": lambda t: (routing.approve_reply, t.on, None),
    "record reply": lambda t: (routing.record_reply, t.on, PaperReply(text=t.text, person="李某", approver="王某")),
    "send back": lambda t: (routing.send_back, t.on, None, t.text, t.text, t.days),
    "ask": lambda t: (routing.request_extension, t.on, application_of(t)),
    "decide": lambda t: (routing.decide_extension, t.on, t.ask, verdict_of(t)),
    "answer": lambda t: (routing.answer_citizen, Channel.PHONE, t.text),
    "instruct": lambda t: (routing.give_instruction, t.text, t.wanted or ALWAYS),
    "follow up": lambda t: (routing.follow_up, t.on, t.text),
    "end instruction": lambda t: (routing.end_instruction, t.on, t.text),
}
"""What is tried → how routing is asked for it."""
