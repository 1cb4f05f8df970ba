"""Leaders' instructions: asked for, given, followed up and ended (R4.4, R8.1)."""

from datetime import timedelta

import pytest

from services.routing import domain
from services.routing.models import Stage
from services.routing.repository import HOLDER, TASKS, letters
from services.routing.telling import Teller
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import InstructionEnded, InstructionGiven, LetterReclassified
from shared.contracts.types import Channel, Nature, Way
from shared.messaging.work import Step
from shared.storage import Store
from tests.routing_story import (
    ABOUT_WATER,
    BASIC_CLERK,
    CLERK,
    HEAD,
    ID,
    LEADER,
    NOW,
    OUTSIDER,
    TREE,
    UNIT_CLERK,
    UNIT_LEADER,
    WATER_CLERK,
    Story,
    Tree,
    collected,
    pending,
    sent,
    staff,
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


class Merged(Tree):
    """The same city after education was merged into water."""

    def current(self, code: str) -> str:
        return "water" if self.unit_code(code) == "education" else code


async def instructed(story: Story, leader: domain.Who, tree: Tree) -> tuple[dict[str, object], list[str]]:
    """Let a leader instruct; return the letter's places in lists, and the topics on which mailboxes are told."""
    before = story.known
    (given,) = domain.give_instruction(before, leader, tree, TEXT, REPORT_BY, story.now)
    story.happens(given)
    told = await Teller(tree)([Step(ID, before, given, story.known)])
    return letters(Store("mongodb://unused"), tree).fields(story.known), [telling.topic for telling in told]


@pytest.mark.parametrize("asking", ["education", "education-basic"])
async def test_r4_4_after_a_merger_the_successors_leader_gives_the_letter_back_to_its_staff(asking: str) -> None:
    merged = Merged()
    story = collected() if asking == "education" else collected().sends("education", asking).collects(asking)
    story.sends(asking, asking, Way.SUBMIT_UP)
    fields, told = await instructed(story, staff("water", "leader"), merged)
    assert story.stage is Stage.COLLECTED
    assert (fields[HOLDER], fields[TASKS[0]], told) == (
        "collected|water",
        "instructions|water",
        ["mailbox.water"],
    )
    for follow in (domain.follow_up, domain.end_instruction):
        with pytest.raises(Forbidden):
            follow(story.known, staff(asking, "clerk"), merged, "i1", "已办", story.now)
        story.happens(*follow(story.known, WATER_CLERK, merged, "i1", "已办", story.now))


async def test_r1_2_of_a_report_that_its_own_unit_submitted_up_the_leader_above_gives_it_back_to_the_staff_above() -> (
    None
):
    story = pending("education").sends("education", "education", Way.SUBMIT_UP)
    about = ABOUT_WATER.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    story.happens(LetterReclassified(letter_id=ID, at=story.now, before=ABOUT_WATER, after=about))
    fields, told = await instructed(story, LEADER, TREE)
    assert story.stage is Stage.PENDING
    assert (fields[HOLDER], fields[TASKS[0]], told) == ("pending|mayor", "instructions|mayor", ["mailbox.mayor"])
    story.does(domain.follow_up, CLERK, "i1", "已办")
    for unit in (UNIT_CLERK, UNIT_LEADER):
        with pytest.raises(NotFound):
            story.does(domain.follow_up, unit, "i1", "已办")


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
