"""The ways of disposition: who may hand a letter to whom, and where it is then (R4.1–R4.4)."""

import pytest

from services.routing import domain
from services.routing.models import Stage
from services.routing.telling import Teller
from shared.contracts.errors import BadInput, Forbidden, RuleBroken
from shared.contracts.facts import CitizenAnswered, DispositionOverdue, HandoffSent, SlipPrepared, SlipWithdrawn
from shared.contracts.mailbox import DispositionDue
from shared.contracts.types import AnswerBy, Channel, Medium, Way
from shared.messaging.work import Step
from tests.routing_story import (
    BASIC_CLERK,
    CLERK,
    DUE,
    DUTY,
    HEAD,
    ID,
    TEXT,
    TREE,
    UNIT_CLERK,
    UNIT_HEAD,
    WATER_CLERK,
    Story,
    pending,
    sent,
)

LIGHTS = "路灯已修复。"


def handed_on(story: Story) -> HandoffSent:
    fact = story.facts[-1]
    assert isinstance(fact, HandoffSent)
    return fact


# ── R4.1 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r4_1_a_mailbox_answers_itself_on_a_slip_that_its_head_approved() -> None:
    story = pending("education").sends("education", "education", Way.DIRECT)
    assert (story.stage, story.holder) == (Stage.DIRECT, "education")
    assert handed_on(story).answer_by is AnswerBy.ASSIGNEE
    story.does(domain.answer_citizen, UNIT_CLERK, Channel.PHONE, "已电话告知来信人。")
    answer = story.facts[-1]
    assert story.stage is Stage.FINISHED
    assert isinstance(answer, CitizenAnswered)
    assert (answer.mailbox, answer.author.subject) == ("education", "education-clerk")


def test_r4_1_and_r8_2_a_department_that_handles_a_letter_directly_replies_itself() -> None:
    story = pending("education").sends("education", "education-basic", Way.DIRECT).collects("education-basic")
    story.replies("education-basic", LIGHTS)
    answer = story.facts[-1]
    assert story.stage is Stage.FINISHED
    assert isinstance(answer, CitizenAnswered)
    assert (answer.mailbox, answer.author.subject) == ("education-basic", "education-basic-clerk")
    with pytest.raises(BadInput) as refused:
        pending("education").slips("education", "education-basic", Way.DIRECT, answer_by=AnswerBy.ASSIGNER)
    assert (refused.value.rule, refused.value.field) == ("R8.2", "/answer_by")


@pytest.mark.parametrize(
    ("mailbox", "receiver"), [("education", "water"), ("education", "mayor"), ("mayor", "education")]
)
def test_r4_1_directly_means_inside_the_same_unit(mailbox: str, receiver: str) -> None:
    with pytest.raises(BadInput) as refused:
        pending(mailbox).slips(mailbox, receiver, Way.DIRECT)
    assert (refused.value.rule, refused.value.field) == ("R4.1", "/receiver")


def test_r4_1_a_direct_slip_made_in_error_is_withdrawn_before_another_way_is_chosen() -> None:
    story = pending().sends("mayor", "mayor", Way.DIRECT)
    with pytest.raises(RuleBroken, match="withdraw the slip"):
        story.slips("mayor", "education")
    story.does(domain.withdraw_slip, CLERK, "s1", "应交市教委")
    assert story.sends("mayor", "education").stage is Stage.SENT


# ── R4.2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r4_2_an_assignment_says_its_limit_and_who_answers_the_citizen() -> None:
    fact = handed_on(pending().sends("mayor", "education", working_days=5, written_reply=True))
    assert (fact.way, fact.medium, fact.working_days, fact.written_reply, fact.parent) == (
        Way.ASSIGN,
        Medium.SYSTEM,
        5,
        True,
        None,
    )
    with pytest.raises(BadInput) as refused:
        pending().slips("mayor", "education", answer_by=None)
    assert (refused.value.rule, refused.value.field) == ("R8.3", "/answer_by")


def test_r4_2_for_an_office_reached_by_fax_the_assigner_records_receipt_and_reply() -> None:
    story = pending().sends("mayor", "education", medium=Medium.FAX, answer_by=AnswerBy.ASSIGNER)
    with pytest.raises(Forbidden, match="for the mailbox mayor to do"):
        story.does(domain.collect, UNIT_CLERK, "s1")
    story.collects("mayor")
    assert getattr(story.facts[-1], "by_hand", False)
    with pytest.raises(RuleBroken, match="record the reply"):
        story.drafts("mayor")
    paper = domain.PaperReply(text=LIGHTS, person="李某", approver="王某")
    story.does(domain.record_reply, CLERK, "s1", paper)
    reply = story.handoff.replies[-1]
    assert (reply.author.name, reply.author.mailbox, story.stage) == ("李某", "education", Stage.REPLIED)
    assert story.does(domain.answer_citizen, CLERK, Channel.EMAIL, LIGHTS).stage is Stage.FINISHED


def test_r4_2_a_reply_by_post_that_answered_the_citizen_says_how() -> None:
    story = pending().sends("mayor", "water", medium=Medium.POST).collects("mayor")
    paper = domain.PaperReply(text=LIGHTS, person="李某", approver="王某", channel=Channel.PHONE)
    answer = story.does(domain.record_reply, CLERK, "s1", paper).facts[-1]
    assert isinstance(answer, CitizenAnswered)
    assert (answer.mailbox, answer.channel, answer.author.name) == ("water", "phone", "李某")


def test_r4_2_only_an_assignment_travels_by_fax_and_only_its_reply_is_recorded_by_hand() -> None:
    with pytest.raises(BadInput) as refused:
        pending("education").slips("education", "water", Way.FORWARD, medium=Medium.FAX)
    assert (refused.value.rule, refused.value.field) == ("R4.2", "/medium")
    with pytest.raises(Forbidden):
        sent().does(domain.collect, CLERK, "s1")
    paper = domain.PaperReply(text=LIGHTS, person="李某", approver="王某")
    with pytest.raises(RuleBroken, match="through the system"):
        sent().collects("education").does(domain.record_reply, UNIT_CLERK, "s1", paper)


def test_r4_2_a_slip_sent_in_error_is_withdrawn_until_it_is_collected() -> None:
    with pytest.raises(BadInput, match="required"):
        sent().does(domain.withdraw_slip, CLERK, "s1", " ")
    with pytest.raises(Forbidden):
        sent().does(domain.withdraw_slip, UNIT_CLERK, "s1", "误发")
    story = sent().does(domain.withdraw_slip, CLERK, "s1", "误发")
    assert isinstance(story.facts[-1], SlipWithdrawn)
    assert (story.stage, story.holder) == (Stage.PENDING, "mayor")
    assert "education" not in domain.parties(story.known, TREE)
    assert story.sends("mayor", "water").handoff.id == "s2"
    with pytest.raises(RuleBroken, match="in hand"):
        sent().collects("education").does(domain.withdraw_slip, CLERK, "s1", "误发")


# ── R4.2b ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def inside() -> Story:
    """Education has assigned to its department what the mayor's mailbox assigned to it."""
    return sent().collects("education").sends("education", "education-basic")


def test_r4_2b_the_inner_reply_goes_to_the_assignee_who_answers_upwards() -> None:
    story = inside()
    assert (handed_on(story).parent, handed_on(story).answer_by) == ("s1", AnswerBy.ASSIGNER)
    assert story.holder == "education-basic"
    story.collects("education-basic").replies("education-basic", "处里已修复。")
    assert (story.stage, story.holder, story.known.answer) == (Stage.COLLECTED, "education", None)
    story.replies("education", LIGHTS)
    assert (story.stage, story.known.answer and story.known.answer.mailbox) == (Stage.FINISHED, "education")


def test_r4_2b_while_a_department_has_the_letter_the_assignee_stays_responsible() -> None:
    story = inside().collects("education-basic").is_due()
    story.does(domain.record_progress, UNIT_CLERK, "s1", "已交基础教育处办理")
    assert story.known.handoffs[0].progress
    with pytest.raises(RuleBroken, match="education-basic has the letter now"):
        story.does(domain.submit_reply, UNIT_CLERK, "s1", domain.ReplyText(text=LIGHTS))


def test_r4_2b_a_second_assignment_stays_inside_the_unit_and_is_answered_to_the_assignee() -> None:
    story = sent().collects("education")
    with pytest.raises(BadInput) as refused:
        story.slips("education", "water")
    assert refused.value.rule == "R4.2"
    with pytest.raises(BadInput) as refused:
        story.slips("education", "education-basic", answer_by=AnswerBy.ASSIGNEE)
    assert (refused.value.rule, refused.value.field) == ("R4.2b", "/answer_by")
    with pytest.raises(RuleBroken) as broken:
        story.slips("education", "education", Way.DIRECT)
    assert broken.value.rule == "R4.1"


def test_r4_2b_a_refused_or_withdrawn_second_assignment_leaves_the_letter_in_the_assignees_hand() -> None:
    story = sent().collects("education").slips("education", "education-basic")
    story.does(domain.refuse_slip, UNIT_HEAD, "s2", "本处办理")
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education")
    story.sends("education", "education-basic").does(domain.withdraw_slip, UNIT_CLERK, "s3", "误发")
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education")


# ── R4.3 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r4_3_a_forward_goes_sideways_or_down_and_is_then_pending_at_the_receiver_under_the_same_number() -> None:
    story = pending("education").sends("education", "water", Way.FORWARD).collects("water")
    assert (story.stage, story.holder) == (Stage.PENDING, "water")
    fact = story.sends("water", "water", Way.DIRECT).facts[-1]
    assert isinstance(fact, HandoffSent)
    assert (fact.number.text, fact.parent) == ("渝府信〔2026〕17号", "s1")
    assert story.does(domain.answer_citizen, WATER_CLERK, Channel.PHONE, LIGHTS).stage is Stage.FINISHED
    assert pending().sends("mayor", "water", Way.FORWARD).stage is Stage.SENT


@pytest.mark.parametrize("receiver", ["education-basic", "education", "mayor"])
def test_r4_3_a_forward_goes_neither_to_ones_own_department_nor_up(receiver: str) -> None:
    with pytest.raises(BadInput) as refused:
        pending("education").slips("education", receiver, Way.FORWARD)
    assert (refused.value.rule, refused.value.field) == ("R4.3", "/receiver")


def test_r4_3_a_forward_goes_to_a_unit_not_into_another_unit() -> None:
    with pytest.raises(BadInput, match="to another unit"):
        pending("water").slips("water", "education-basic", Way.FORWARD)


def test_r4_3_a_forward_has_no_limit_and_no_reply() -> None:
    for changes in ({"working_days": 10}, {"written_reply": True}):
        with pytest.raises(BadInput):
            pending("education").slips("education", "water", Way.FORWARD, **changes)
    story = pending("education").sends("education", "water", Way.FORWARD).collects("water")
    with pytest.raises(RuleBroken, match="no reply is due"):
        story.does(domain.record_progress, WATER_CLERK, "s1", "正在办理")


def test_r4_3_the_sender_records_once_how_the_citizen_was_told_even_when_the_letter_is_finished() -> None:
    story = pending("education").sends("education", "water", Way.FORWARD, answer_by=AnswerBy.ASSIGNEE)
    assert story.known.handoffs[0].to_tell
    with pytest.raises(Forbidden):
        story.does(domain.tell_citizen, WATER_CLERK, "s1", Channel.PHONE, "已告知")
    story.collects("water").sends("water", "water", Way.DIRECT)
    story.does(domain.answer_citizen, WATER_CLERK, Channel.PHONE, LIGHTS)
    story.does(domain.tell_citizen, UNIT_CLERK, "s1", Channel.PHONE, "已告知来信人转水务集团办理。")
    assert story.stage is Stage.FINISHED
    assert not story.known.handoffs[0].to_tell
    with pytest.raises(RuleBroken) as refused:
        story.does(domain.tell_citizen, UNIT_CLERK, "s1", Channel.PHONE, "再次告知")
    assert refused.value.rule == "R4.3"
    with pytest.raises(RuleBroken, match="Only of a forward"):
        sent().does(domain.tell_citizen, CLERK, "s1", Channel.PHONE, "已告知")


def test_r4_3_of_a_forward_that_was_returned_the_citizen_is_not_told_even_once_the_letter_is_finished() -> None:
    story = pending("education").sends("education", "water", Way.FORWARD)
    story.does(domain.return_letter, WATER_CLERK, "s1", "不属供水职责").sends("education", "education", Way.DIRECT)
    story.does(domain.answer_citizen, UNIT_CLERK, Channel.PHONE, LIGHTS)
    with pytest.raises(RuleBroken, match="did not go there") as refused:
        story.does(domain.tell_citizen, UNIT_CLERK, "s1", Channel.PHONE, "已告知")
    assert refused.value.rule == "R4.3"


def test_r4_3_what_came_by_forward_is_not_forwarded_back_and_what_was_assigned_is_not_forwarded() -> None:
    story = pending("education").sends("education", "water", Way.FORWARD).collects("water")
    with pytest.raises(BadInput, match="return it with the reason") as refused:
        story.slips("water", "education", Way.FORWARD)
    assert refused.value.rule == "R5.1"
    with pytest.raises(RuleBroken, match="return it"):
        sent().collects("education").slips("education", "water", Way.FORWARD)


# ── R4.4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r4_4_a_submission_goes_up_only() -> None:
    for receiver in ("water", "education-basic"):
        with pytest.raises(BadInput) as refused:
            pending("education").slips("education", receiver, Way.SUBMIT_UP)
        assert (refused.value.rule, refused.value.field) == ("R4.4", "/receiver")
    with pytest.raises(BadInput, match="own leader only"):
        sent().collects("education").slips("education", "mayor", Way.SUBMIT_UP)


def test_r4_4_a_unit_submits_to_the_mayors_mailbox_which_then_disposes_of_it() -> None:
    story = pending("education").sends("education", "mayor", Way.SUBMIT_UP)
    assert handed_on(story).answer_by is AnswerBy.ASSIGNEE
    story.collects("mayor")
    assert (story.stage, story.holder) == (Stage.PENDING, "mayor")


def test_r4_4b_a_submission_is_turned_into_an_assignment_of_the_same_letter_with_both_slips_in_the_history() -> None:
    story = pending("education").sends("education", "mayor", Way.SUBMIT_UP).collects("mayor")
    fact = handed_on(story.sends("mayor", "water", answer_by=AnswerBy.ASSIGNEE))
    assert (fact.way, fact.parent, fact.number.text) == (Way.ASSIGN, "s1", "渝府信〔2026〕17号")
    prepared = [one.way for one in story.facts if isinstance(one, SlipPrepared)]
    assert prepared == [Way.SUBMIT_UP, Way.ASSIGN]
    assert story.collects("water").replies("water").stage is Stage.FINISHED


def test_r4_4_each_slip_is_approved_by_a_head_who_did_not_prepare_it() -> None:
    for way, receiver in ((Way.DIRECT, "mayor"), (Way.FORWARD, "water"), (Way.SUBMIT_UP, "mayor")):
        story = pending().slips("mayor", receiver, way)
        with pytest.raises(Forbidden):
            story.does(domain.approve_slip, DUTY, "s1")
        story.does(domain.refuse_slip, HEAD, "s1", "另行处理")
        assert (story.stage, story.known.slips[0].decision and story.known.slips[0].decision.reason) == (
            Stage.PENDING,
            "另行处理",
        )


def test_a_letter_has_one_holder_and_others_make_no_slip() -> None:
    story = inside().collects("education-basic")
    for clerk in (CLERK, UNIT_CLERK, WATER_CLERK):
        with pytest.raises(Forbidden):
            story.does(domain.prepare_slip, clerk, TEXT)
    assert story.holder == BASIC_CLERK.actor.mailbox


async def test_r1_4_a_mailbox_is_told_that_a_letter_waits_too_long_unless_it_was_disposed_of_meanwhile() -> None:
    for story, told in ((pending(), [DispositionDue]), (sent(), [])):
        late = DispositionOverdue(letter_id=ID, at=DUE, mailbox="mayor", due_at=DUE)
        step = Step(ID, story.known, late, story.happens(late).known)
        assert [type(telling.message) for telling in await Teller(TREE)([step])] == told
