"""More time: applied for within the limit, one at a time, decided by the assigner (R6.4)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.routing import domain
from services.routing.domain import Application, Verdict
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import ExtensionDecided, ExtensionRequested, ReplyDueChanged, UrgingDue, UrgingSent
from shared.contracts.types import AnswerBy, ExtensionOutcome
from tests.routing_story import (
    BASIC_CLERK,
    CLERK,
    DUE,
    DUTY,
    HEAD,
    ID,
    TREE,
    UNIT_CLERK,
    UNIT_HEAD,
    Story,
    collected,
    sent,
)

WANTED = DUE + timedelta(days=7)
ASKED = Application(reason="需协调电力部门", wanted_due_at=WANTED)
GRANTED = Verdict(outcome=ExtensionOutcome.GRANTED)


def due(**changes: Any) -> Story:
    return collected(**changes).is_due()


def asked() -> Story:
    return due().does(domain.request_extension, UNIT_CLERK, "s1", ASKED)


def urging(at: datetime) -> UrgingDue:
    return UrgingDue(letter_id=ID, at=at, handoff_id="s1", sender="mayor", receiver="education", count=1, due_at=DUE)


def test_r6_4_the_assignee_applies_with_reason_and_wanted_date() -> None:
    fact = asked().facts[-1]
    assert isinstance(fact, ExtensionRequested)
    assert (fact.extension_id, fact.sender, fact.receiver, fact.wanted_due_at) == ("e1", "mayor", "education", WANTED)
    for changes, field in (({"reason": " "}, "/reason"), ({"wanted_due_at": DUE}, "/wanted_day")):
        with pytest.raises(BadInput) as refused:
            due().does(domain.request_extension, UNIT_CLERK, "s1", ASKED.model_copy(update=changes))
        assert (refused.value.rule, refused.value.field) == ("R6.4", field)
    with pytest.raises(Forbidden):
        due().does(domain.request_extension, CLERK, "s1", ASKED)


def test_r6_4_from_the_due_moment_on_no_extension_is_applied_for() -> None:
    story = due()
    assert domain.request_extension(story.state, UNIT_CLERK, TREE, "s1", ASKED, DUE - timedelta(milliseconds=1))
    with pytest.raises(RuleBroken, match="within it") as refused:
        domain.request_extension(story.state, UNIT_CLERK, TREE, "s1", ASKED, DUE)
    assert refused.value.rule == "R6.4"
    with pytest.raises(RuleBroken, match="not set yet"):
        collected().does(domain.request_extension, UNIT_CLERK, "s1", ASKED)


def test_r6_4_one_application_at_most_is_undecided() -> None:
    story = asked()
    with pytest.raises(RuleBroken, match="undecided"):
        story.does(domain.request_extension, UNIT_CLERK, "s1", ASKED)
    story.does(domain.decide_extension, HEAD, "s1", "e1", Verdict(outcome=ExtensionOutcome.REFUSED, reason="可按期"))
    again = story.does(domain.request_extension, UNIT_CLERK, "s1", ASKED).facts[-1]
    assert isinstance(again, ExtensionRequested)
    assert again.extension_id == "e2"


def test_r6_4_the_assigner_grants_in_whole_or_in_part_or_refuses_with_reason() -> None:
    part = DUE + timedelta(days=3)
    for verdict, granted in (
        (GRANTED, WANTED),
        (Verdict(outcome=ExtensionOutcome.PARTLY, due_at=part, reason="三天足够"), part),
        (Verdict(outcome=ExtensionOutcome.REFUSED, reason="可按期"), None),
    ):
        fact = asked().does(domain.decide_extension, HEAD, "s1", "e1", verdict).facts[-1]
        assert isinstance(fact, ExtensionDecided)
        assert (fact.outcome, fact.due_at) == (verdict.outcome, granted)


@pytest.mark.parametrize(
    ("verdict", "field"),
    [
        (Verdict(outcome=ExtensionOutcome.REFUSED), "/reason"),
        (Verdict(outcome=ExtensionOutcome.REFUSED, reason="可按期", due_at=DUE + timedelta(days=1)), "/last_day"),
        (Verdict(outcome=ExtensionOutcome.PARTLY, due_at=DUE + timedelta(days=1)), "/reason"),
        (Verdict(outcome=ExtensionOutcome.PARTLY, reason="部分"), "/last_day"),
        (Verdict(outcome=ExtensionOutcome.PARTLY, reason="部分", due_at=DUE), "/last_day"),
        (Verdict(outcome=ExtensionOutcome.PARTLY, reason="部分", due_at=WANTED), "/last_day"),
        (Verdict(outcome=ExtensionOutcome.GRANTED, due_at=DUE + timedelta(days=1)), "/last_day"),
    ],
)
def test_r6_4_a_decision_that_says_something_else_is_refused_with_its_field(verdict: Verdict, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        asked().does(domain.decide_extension, HEAD, "s1", "e1", verdict)
    assert (refused.value.rule, refused.value.field) == ("R6.4", field)


def test_r6_4_only_the_assigner_decides_once() -> None:
    story = asked()
    for by in (CLERK, UNIT_HEAD):
        with pytest.raises(Forbidden):
            story.does(domain.decide_extension, by, "s1", "e1", GRANTED)
    with pytest.raises(NotFound):
        story.does(domain.decide_extension, HEAD, "s1", "e7", GRANTED)
    story.does(domain.decide_extension, DUTY, "s1", "e1", GRANTED)
    with pytest.raises(RuleBroken, match="decided on already"):
        story.does(domain.decide_extension, HEAD, "s1", "e1", GRANTED)


def test_r6_4_the_duty_office_records_what_was_asked_for_by_word_of_mouth() -> None:
    oral = ASKED.model_copy(update={"oral": True})
    fact = due().does(domain.request_extension, DUTY, "s1", oral).facts[-1]
    assert isinstance(fact, ExtensionRequested)
    assert (fact.oral, fact.by and fact.by.subject, fact.receiver) == (True, "mayor-duty_officer", "education")
    with pytest.raises(BadInput) as refused:
        due().does(domain.request_extension, UNIT_CLERK, "s1", oral)
    assert refused.value.field == "/oral"
    with pytest.raises(Forbidden):
        due().does(domain.request_extension, DUTY, "s1", ASKED)


def test_r6_4_while_it_is_undecided_there_is_no_urging() -> None:
    story = asked().happens(urging(DUE))
    assert not domain.follow(story.known, DUE)
    refused = Verdict(outcome=ExtensionOutcome.REFUSED, reason="可按期")
    story.does(domain.decide_extension, HEAD, "s1", "e1", refused)
    assert [type(fact) for fact in domain.follow(story.known, DUE)] == [UrgingSent]


def test_r6_4_an_urging_for_the_old_limit_is_not_sent_once_more_time_was_granted() -> None:
    story = asked().happens(urging(DUE)).does(domain.decide_extension, HEAD, "s1", "e1", GRANTED)
    assert not domain.follow(story.known, DUE)
    moved = {"handoff_id": "s1", "receiver": "education", "before": DUE, "due_at": WANTED, "why": "extension"}
    story.happens(ReplyDueChanged(letter_id=ID, at=DUE, **moved))
    assert story.known.clocks["s1"].due_at == WANTED
    late = {"handoff_id": "s1", "sender": "mayor", "receiver": "education", "count": 2, "due_at": WANTED}
    story.happens(UrgingDue(letter_id=ID, at=WANTED, **late))
    assert [type(fact) for fact in domain.follow(story.known, WANTED)] == [UrgingSent]


def test_r6_4_a_reply_makes_the_application_needless() -> None:
    story = due(answer_by=AnswerBy.ASSIGNER).does(domain.request_extension, UNIT_CLERK, "s1", ASKED)
    story.replies("education").does(domain.send_back, CLERK, "s1", None, "不完整", "请补充", None)
    assert story.handoff.undecided is None
    with pytest.raises(RuleBroken, match="not decided on any more"):
        story.is_due(WANTED).does(domain.decide_extension, HEAD, "s1", "e1", GRANTED)


def test_r6_4_the_first_assignee_applies_while_its_department_has_the_letter() -> None:
    story = due().sends("education", "education-basic").collects("education-basic").is_due(DUE - timedelta(days=4))
    story.does(domain.request_extension, UNIT_CLERK, "s1", ASKED)
    inner = Application(reason="待现场查看", wanted_due_at=DUE)
    story.does(domain.request_extension, BASIC_CLERK, "s2", inner)
    assert [fact.sender for fact in story.facts if isinstance(fact, ExtensionRequested)] == ["mayor", "education"]


def test_r6_4_what_is_not_collected_is_not_extended() -> None:
    with pytest.raises(RuleBroken) as refused:
        sent().is_due().does(domain.request_extension, UNIT_CLERK, "s1", ASKED)
    assert refused.value.rule == "R6.3"


def test_r7_3_a_redo_is_urged_though_more_time_had_been_granted_for_the_first_reply() -> None:
    story = due(answer_by=AnswerBy.ASSIGNER).does(domain.request_extension, UNIT_CLERK, "s1", ASKED)
    story.does(domain.decide_extension, HEAD, "s1", "e1", GRANTED).replies("education")
    story.does(domain.send_back, CLERK, "s1", None, "不完整", "请补充", None)
    story.happens(urging(DUE))
    assert [type(fact) for fact in domain.follow(story.known, DUE)] == [UrgingSent]
