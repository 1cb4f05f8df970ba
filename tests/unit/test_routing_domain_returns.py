"""What is received in error goes back with the reason, and letters that go to and fro are flagged (R5.1)."""

import pytest

from services.routing import domain
from services.routing.models import Stage
from shared.contracts.errors import BadInput, Forbidden, RuleBroken
from shared.contracts.facts import HandoffReturned
from shared.contracts.types import AnswerBy, Way
from tests.routing_story import (
    BASIC_CLERK,
    CLERK,
    LEADER,
    UNIT_CLERK,
    UNIT_LEADER,
    WATER_CLERK,
    Story,
    collected,
    drafted,
    pending,
    sent,
)


def returned(story: Story) -> HandoffReturned:
    fact = story.facts[-1]
    assert isinstance(fact, HandoffReturned)
    return fact


@pytest.mark.parametrize("collect_first", [True, False])
def test_r5_1_a_returned_assignment_is_pending_at_the_sender_again(*, collect_first: bool) -> None:
    story = (collected if collect_first else sent)().does(domain.return_letter, UNIT_CLERK, "s1", "不属教育职责")
    assert (story.stage, story.holder) == (Stage.PENDING, "mayor")
    assert (returned(story).reason, returned(story).count, returned(story).flagged) == ("不属教育职责", 1, False)
    assert story.known.returned is not None
    assert story.sends("mayor", "water").stage is Stage.SENT


def test_r5_1_a_return_needs_its_reason_and_is_the_receivers_alone() -> None:
    with pytest.raises(BadInput) as refused:
        collected().does(domain.return_letter, UNIT_CLERK, "s1", "  ")
    assert (refused.value.rule, refused.value.field) == ("R5.1", "/reason")
    for outsider in (CLERK, WATER_CLERK):
        with pytest.raises(Forbidden):
            collected().does(domain.return_letter, outsider, "s1", "误收")


def test_r5_1_nothing_is_returned_after_a_reply() -> None:
    with pytest.raises(RuleBroken, match="draft reply waits"):
        drafted().does(domain.return_letter, UNIT_CLERK, "s1", "误收")
    replied = drafted(answer_by=AnswerBy.ASSIGNER).replies("education")
    with pytest.raises(RuleBroken):
        replied.does(domain.return_letter, UNIT_CLERK, "s1", "误收")
    replied.does(domain.send_back, CLERK, "s1", None, "未说明完成日期", "请写明", None)
    with pytest.raises(RuleBroken, match="not returned"):
        replied.does(domain.return_letter, UNIT_CLERK, "s1", "误收")


@pytest.mark.parametrize("collect_first", [True, False])
def test_r5_1_forwards_and_submissions_are_returned_too(*, collect_first: bool) -> None:
    for way, receiver, clerk in ((Way.FORWARD, "water", WATER_CLERK), (Way.SUBMIT_UP, "mayor", CLERK)):
        story = pending("education").sends("education", receiver, way)
        if collect_first:
            story.collects(receiver)
        story.does(domain.return_letter, clerk, "s1", "误收")
        assert (story.stage, story.holder) == (Stage.PENDING, "education")
        assert not story.known.handoffs[0].to_tell


def test_r5_1_a_return_inside_a_unit_leaves_the_letter_in_the_assignees_hand() -> None:
    story = collected().sends("education", "education-basic")
    story.does(domain.return_letter, BASIC_CLERK, "s2", "应由后勤处办理")
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education")
    assert story.replies("education").stage is Stage.FINISHED


def test_r5_1_only_the_innermost_hand_off_is_returned() -> None:
    story = collected().sends("education", "education-basic").collects("education-basic")
    with pytest.raises(RuleBroken, match="education-basic has the letter now"):
        story.does(domain.return_letter, UNIT_CLERK, "s1", "误收")


def test_r5_1_a_second_return_is_flagged() -> None:
    story = sent().does(domain.return_letter, UNIT_CLERK, "s1", "不属教育职责")
    assert not story.known.flagged
    story.sends("mayor", "water").does(domain.return_letter, WATER_CLERK, "s2", "不属供水职责")
    assert (returned(story).count, returned(story).flagged, story.known.flagged) == (2, True, True)


def test_r5_1_handing_a_letter_back_to_a_mailbox_that_returned_it_is_flagged() -> None:
    story = sent().does(domain.return_letter, UNIT_CLERK, "s1", "不属教育职责").sends("mayor", "education")
    assert story.known.flagged
    other = sent().does(domain.return_letter, UNIT_CLERK, "s1", "不属教育职责").sends("mayor", "water")
    assert not other.known.flagged


def test_r5_1_a_leader_gives_back_what_was_submitted_without_its_counting_as_to_and_fro() -> None:
    story = pending("education")
    for number in (1, 2):
        story.sends("education", "education", Way.SUBMIT_UP)
        with pytest.raises(Forbidden, match="waits for the leader"):
            story.does(domain.return_letter, UNIT_CLERK, f"s{number}", "撤回")
        with pytest.raises(Forbidden):
            story.does(domain.return_letter, LEADER, f"s{number}", "退回")
        story.does(domain.return_letter, UNIT_LEADER, f"s{number}", "请先提出拟办意见")
        assert (story.stage, story.holder) == (Stage.PENDING, "education")
    assert not story.known.flagged
