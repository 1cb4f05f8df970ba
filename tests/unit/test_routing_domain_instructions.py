"""Leaders' instructions: asked for, given, followed up and ended (R4.4, R8.1)."""

from datetime import timedelta

import pytest

from services.routing import domain
from services.routing.models import Stage
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import InstructionEnded, InstructionGiven
from shared.contracts.types import Channel, Way
from tests.routing_story import (
    BASIC_CLERK,
    CLERK,
    HEAD,
    LEADER,
    NOW,
    OUTSIDER,
    UNIT_CLERK,
    UNIT_LEADER,
    Story,
    collected,
    pending,
    sent,
)

REPORT_BY = NOW + timedelta(days=5)
TEXT = "请尽快解决并回访。"


def test_r4_4_what_staff_submit_to_their_own_leader_comes_back_with_the_instruction() -> None:
    story = pending("education").sends("education", "education", Way.SUBMIT_UP)
    assert (story.stage, story.holder) == (Stage.SUBMITTED, "education")
    story.does(domain.give_instruction, UNIT_LEADER, TEXT, REPORT_BY)
    given = story.facts[-1]
    assert isinstance(given, InstructionGiven)
    assert (given.mailbox, given.leader.subject, given.report_by) == ("education", "education-leader", REPORT_BY)
    assert (story.stage, story.holder) == (Stage.PENDING, "education")
    assert story.sends("education", "education", Way.DIRECT).stage is Stage.DIRECT


def test_r4_4_an_assignee_asks_its_own_leader_and_has_the_letter_in_hand_again() -> None:
    story = collected().sends("education", "education", Way.SUBMIT_UP)
    story.does(domain.give_instruction, UNIT_LEADER, TEXT, REPORT_BY)
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education")
    assert story.replies("education").stage is Stage.FINISHED


def test_r4_4_a_departments_submission_goes_to_its_units_leader_and_its_own_staff_follow() -> None:
    story = collected().sends("education", "education-basic").collects("education-basic")
    story.sends("education-basic", "education-basic", Way.SUBMIT_UP)
    story.does(domain.give_instruction, UNIT_LEADER, TEXT, REPORT_BY)
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education-basic")
    story.does(domain.follow_up, BASIC_CLERK, "i1", "已联系来信人")


def test_r4_4_a_submission_to_the_own_leader_can_be_withdrawn() -> None:
    story = pending().sends("mayor", "mayor", Way.SUBMIT_UP).does(domain.withdraw_slip, CLERK, "s1", "误呈")
    assert story.stage is Stage.PENDING


def test_r8_1_a_leader_instructs_on_a_letter_in_the_hands_of_the_mailbox_without_moving_it() -> None:
    for leader, mailbox in ((LEADER, "mayor"), (UNIT_LEADER, "education")):
        story = collected().does(domain.give_instruction, leader, TEXT, REPORT_BY)
        assert (story.stage, story.holder) == (Stage.COLLECTED, "education")
        assert story.known.instructions[0].mailbox == mailbox


def test_r8_1_an_instruction_is_a_leaders_on_their_own_letters_with_a_day_that_lies_ahead() -> None:
    with pytest.raises(Forbidden, match="role leader"):
        sent().does(domain.give_instruction, HEAD, TEXT, REPORT_BY)
    with pytest.raises(Forbidden, match="not in the hands of water"):
        sent().does(domain.give_instruction, OUTSIDER, TEXT, REPORT_BY)
    with pytest.raises(BadInput) as refused:
        sent().does(domain.give_instruction, LEADER, TEXT, NOW)
    assert (refused.value.rule, refused.value.field) == ("R8.1", "/report_by")
    with pytest.raises(BadInput):
        sent().does(domain.give_instruction, LEADER, " ", REPORT_BY)


def test_r8_1_staff_follow_an_instruction_up_and_end_it_also_after_the_answer() -> None:
    story = pending().does(domain.give_instruction, LEADER, TEXT, REPORT_BY).sends("mayor", "mayor", Way.DIRECT)
    story.does(domain.follow_up, CLERK, "i1", "已派人查看")
    story.does(domain.answer_citizen, CLERK, Channel.PHONE, "已修复")
    story.does(domain.end_instruction, CLERK, "i1", "已修复并回访，报告领导。")
    assert isinstance(story.facts[-1], InstructionEnded)
    assert story.stage is Stage.FINISHED
    instruction = story.known.instructions[0]
    assert ([note.text for note in instruction.follow_ups], instruction.ended is not None) == (["已派人查看"], True)
    with pytest.raises(RuleBroken, match="ended already") as refused:
        story.does(domain.follow_up, CLERK, "i1", "补充")
    assert refused.value.rule == "R8.1"


def test_r8_1_an_instruction_is_followed_by_the_staff_of_its_mailbox_only() -> None:
    story: Story = collected().does(domain.give_instruction, LEADER, TEXT, REPORT_BY)
    for decide in (domain.follow_up, domain.end_instruction):
        with pytest.raises(Forbidden):
            story.does(decide, UNIT_CLERK, "i1", "已办")
        with pytest.raises(NotFound):
            story.does(decide, CLERK, "i9", "已办")


def test_r8_1_a_finished_letter_gets_no_new_instruction() -> None:
    story = pending().sends("mayor", "mayor", Way.DIRECT).does(domain.answer_citizen, CLERK, Channel.PHONE, "已修复")
    with pytest.raises(RuleBroken, match="finished"):
        story.does(domain.give_instruction, LEADER, TEXT, REPORT_BY)
