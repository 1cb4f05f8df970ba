"""Routing's rules, without engines: each story is told by decisions, and every decision is remembered by `ON`."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.routing import domain
from services.routing.domain import ReplyText, Who
from services.routing.models import KEPT_TEXTS, Stage, State
from services.routing.moves import HINTS, MOVES, On
from services.routing.state import action_key
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffSent,
    LetterDiscarded,
    LetterReclassified,
    ReplyApproved,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
    UrgingSent,
)
from shared.contracts.types import AnswerBy, Channel, InvalidReason, Nature
from tests.routing_story import (
    ABOUT_WATER,
    CLERK,
    HEAD,
    ID,
    NOW,
    NUMBER,
    OUTSIDER,
    TEXT,
    TREE,
    UNIT_CLERK,
    UNIT_HEAD,
    Story,
    collected,
    drafted,
    pending,
    received,
    sent,
    slip,
    staff,
    who,
)


def urging(count: int) -> UrgingDue:
    values = {"handoff_id": "s1", "sender": "mayor", "receiver": "education", "due_at": NOW + timedelta(days=14)}
    return UrgingDue(letter_id=ID, at=NOW + timedelta(days=14 + count), count=count, **values)


def test_r4_2_a_slip_goes_down_the_tree_to_a_unit_or_its_department() -> None:
    assert slip().stage is Stage.SLIP
    assert slip(receiver="education-basic").stage is Stage.SLIP


@pytest.mark.parametrize("receiver", ["mayor", "water", "education"])
def test_r4_2_a_unit_assigns_to_its_own_departments_only(receiver: str) -> None:
    story = pending("education")
    with pytest.raises(BadInput, match="goes down only") as refused:
        story.does(domain.prepare_slip, UNIT_CLERK, TEXT.model_copy(update={"receiver": receiver}))
    assert (refused.value.rule, refused.value.field) == ("R4.2", "/receiver")


def test_r2_1_an_unknown_receiver_is_named_as_such() -> None:
    with pytest.raises(BadInput) as refused:
        slip(receiver="nowhere")
    assert (refused.value.rule, refused.value.field) == ("R2.1", "/receiver")


@pytest.mark.parametrize("receiver", ["education", "education-basic"])
def test_a_report_is_never_handed_to_the_unit_it_is_about_nor_to_a_part_of_it(receiver: str) -> None:
    report = ABOUT_WATER.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    with pytest.raises(BadInput, match="never handed to the unit it is about"):
        pending(classification=report).does(domain.prepare_slip, CLERK, TEXT.model_copy(update={"receiver": receiver}))


def test_a_slip_is_not_approved_once_the_letter_turns_out_to_be_a_report_about_its_receiver() -> None:
    report = ABOUT_WATER.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    change = LetterReclassified(letter_id=ID, at=NOW, before=ABOUT_WATER, after=report)
    story = slip().happens(change)
    with pytest.raises(RuleBroken, match="refuse the slip"):
        story.does(domain.approve_slip, HEAD, "s1")
    assert story.does(domain.refuse_slip, HEAD, "s1", "受交办单位即被举报单位").stage is Stage.PENDING


def test_a_report_does_not_exist_for_the_mailbox_it_is_about() -> None:
    report = ABOUT_WATER.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    story = sent().happens(LetterReclassified(letter_id=ID, at=NOW, before=ABOUT_WATER, after=report))
    for mailbox in ("education", "education-basic"):
        with pytest.raises(NotFound):
            domain.visible(story.state, staff(mailbox, "clerk"), TREE)
    with pytest.raises(NotFound):
        story.does(domain.collect, UNIT_CLERK, "s1")
    assert domain.visible(story.state, CLERK, TREE)


def test_r3_6_only_a_registered_letter_can_be_disposed_of() -> None:
    with pytest.raises(RuleBroken, match="not registered yet") as refused:
        Story().happens(received()).does(domain.prepare_slip, CLERK, TEXT)
    assert refused.value.rule == "R3.6"


def test_r3_0_a_discarded_letter_is_hidden_at_once() -> None:
    gone = LetterDiscarded(letter_id=ID, at=NOW, reason=InvalidReason.ADVERTISING)
    with pytest.raises(NotFound):
        Story().happens(received(), gone).does(domain.prepare_slip, CLERK, TEXT)


def test_r4_2_there_is_one_open_slip_at_most() -> None:
    with pytest.raises(RuleBroken) as refused:
        slip().does(domain.prepare_slip, CLERK, TEXT)
    assert refused.value.rule == "R4.2"


def test_r4_2_a_slip_is_approved_by_a_head_who_did_not_prepare_it() -> None:
    both = who("Mayor-Clerk ", "mayor", "clerk", "head")
    with pytest.raises(RuleBroken, match="somebody else") as refused:
        slip().does(domain.approve_slip, both, "s1")
    assert refused.value.rule == "R4.2"
    with pytest.raises(Forbidden, match="needs the role"):
        slip().does(domain.approve_slip, who("other", "mayor", "clerk"), "s1")
    assert slip().does(domain.approve_slip, who("mayor-leader", "mayor", "leader"), "s1").stage is Stage.SENT


def test_r4_2_a_refused_slip_needs_a_reason_and_leaves_the_letter_pending() -> None:
    with pytest.raises(BadInput, match="required"):
        slip().does(domain.refuse_slip, HEAD, "s1", " \n")
    story = slip().does(domain.refuse_slip, HEAD, "s1", "应交水务集团")
    assert story.stage is Stage.PENDING
    again = story.does(domain.prepare_slip, CLERK, TEXT.model_copy(update={"receiver": "water"}))
    assert again.state is not None
    assert [slip.id for slip in again.state.slips] == ["s1", "s2"]
    with pytest.raises(RuleBroken, match="decided on already"):
        again.does(domain.approve_slip, HEAD, "s1")


def test_r3_8_the_hand_off_carries_the_letters_number_and_the_slips_id() -> None:
    fact = sent().facts[-1]
    assert isinstance(fact, HandoffSent)
    assert (fact.handoff_id, fact.number, fact.prepared_by.subject) == ("s1", NUMBER, "mayor-clerk")


def test_r6_3_the_assignee_signs_for_the_letter_once() -> None:
    story = collected()
    assert story.stage is Stage.COLLECTED
    with pytest.raises(RuleBroken) as refused:
        story.does(domain.collect, UNIT_CLERK, "s1")
    assert refused.value.rule == "R6.3"


def test_r6_3_nobody_replies_or_explains_before_collecting() -> None:
    for decide, text in ((domain.submit_reply, ReplyText(text="正在办理")), (domain.record_progress, "正在办理")):
        with pytest.raises(RuleBroken, match="not collected yet") as refused:
            sent().does(decide, UNIT_CLERK, "s1", text)
        assert refused.value.rule == "R6.3"


def test_r10_2_only_the_assignee_makes_the_assignees_moves() -> None:
    with pytest.raises(Forbidden, match="education to do") as refused:
        sent().does(domain.collect, OUTSIDER, "s1")
    assert refused.value.rule == "R10.2"
    with pytest.raises(Forbidden):
        sent().does(domain.collect, CLERK, "s1")
    with pytest.raises(NotFound):
        sent().does(domain.collect, UNIT_CLERK, "s9")


def test_r6_2_the_reply_is_approved_by_somebody_else_than_its_author() -> None:
    with pytest.raises(RuleBroken, match="somebody else") as refused:
        drafted().does(domain.approve_reply, who("education-clerk", "education", "head"), "s1", "r1")
    assert refused.value.rule == "R6.2"


def test_r6_2_a_new_draft_takes_the_place_of_the_one_that_waits() -> None:
    story = drafted().drafts("education", "路灯已修复，并加装两盏。")
    with pytest.raises(RuleBroken, match="r2 took its place"):
        story.does(domain.approve_reply, UNIT_HEAD, "s1", "r1")
    with pytest.raises(NotFound):
        story.does(domain.approve_reply, UNIT_HEAD, "s1", "r7")
    approved = story.does(domain.approve_reply, UNIT_HEAD, "s1", "r2").facts[-2]
    assert isinstance(approved, ReplyApproved)
    assert approved.text == "路灯已修复，并加装两盏。"


def test_r6_2_a_refused_draft_goes_back_to_its_author() -> None:
    story = drafted().does(domain.refuse_reply, UNIT_HEAD, "s1", "r1", "请写明完成日期")
    assert story.stage is Stage.COLLECTED
    with pytest.raises(RuleBroken, match="no draft waits"):
        story.does(domain.approve_reply, UNIT_HEAD, "s1", "r1")
    assert story.drafts("education", "已于三月一日修复。").handoff.replies[-1].id == "r2"


def test_r8_3_where_the_assignee_answers_its_approved_reply_finishes_the_letter() -> None:
    story = drafted().does(domain.approve_reply, UNIT_HEAD, "s1", "r1")
    assert story.stage is Stage.FINISHED
    answer = story.facts[-1]
    assert isinstance(answer, CitizenAnswered)
    assert (answer.mailbox, answer.channel, answer.author.subject) == ("education", "online", "education-clerk")


def test_r8_3_where_the_assigner_answers_the_letter_waits_on_its_desk() -> None:
    story = drafted(answer_by=AnswerBy.ASSIGNER).does(domain.approve_reply, UNIT_HEAD, "s1", "r1")
    assert story.stage is Stage.REPLIED
    with pytest.raises(Forbidden):
        story.does(domain.answer_citizen, UNIT_CLERK, Channel.PHONE, "已电话告知")
    story.does(domain.answer_citizen, CLERK, Channel.PHONE, "已电话告知来信人路灯修复情况。")
    assert story.stage is Stage.FINISHED
    with pytest.raises(RuleBroken, match="finished") as refused:
        story.does(domain.answer_citizen, CLERK, Channel.PHONE, "再次告知")
    assert refused.value.rule == "R8.3"


def test_r7_1_each_urging_that_falls_due_goes_out_once() -> None:
    story = collected().happens(urging(1))
    assert story.state is not None
    first = domain.follow(story.state, NOW)
    assert [(fact.count, fact.receiver) for fact in first if isinstance(fact, UrgingSent)] == [(1, "education")]
    story.happens(*first)
    assert domain.follow(story.state, NOW) == []
    story.happens(urging(2))
    assert [fact.count for fact in domain.follow(story.state, NOW) if isinstance(fact, UrgingSent)] == [2]


@pytest.mark.parametrize("answer_by", list(AnswerBy))
def test_r7_1_nobody_is_urged_who_has_replied(answer_by: AnswerBy) -> None:
    story = drafted(answer_by=answer_by).does(domain.approve_reply, UNIT_HEAD, "s1", "r1").happens(urging(1))
    assert story.state is not None
    assert not domain.follow(story.state, NOW)


def test_an_action_is_remembered_with_its_unit_so_that_it_can_be_recognised() -> None:
    story = sent().does(domain.collect, who("x", "education", "clerk", action="a-1"), "s1")
    assert story.state is not None
    assert story.state.actions == (action_key("education", "a-1"),)
    story.does(domain.submit_reply, who("x", "education", "clerk", action="a-2"), "s1", ReplyText(text="稿"))
    story.does(domain.approve_reply, who("y", "education", "head", action="a-3"), "s1", None)
    assert story.state.actions == tuple(action_key("education", f"a-{n}") for n in (1, 2, 3))


def test_a_unit_that_never_stops_drafting_does_not_make_the_letter_grow_without_end() -> None:
    story = collected()
    for number in range(KEPT_TEXTS + 5):
        story.drafts("education", f"稿 {number}")
        story.does(domain.record_progress, UNIT_CLERK, "s1", f"进展 {number}")
    assert len(story.handoff.replies) == len(story.handoff.progress) == KEPT_TEXTS
    assert story.handoff.draft is not None
    assert story.handoff.draft.id == f"r{KEPT_TEXTS + 5}"


MADE: Sequence[tuple[Callable[..., list[Fact]], Who, tuple[Any, ...]]] = (
    (domain.prepare_slip, CLERK, (TEXT,)),
    (domain.prepare_slip, CLERK, (TEXT.model_copy(update={"answer_by": AnswerBy.ASSIGNER}),)),
    (domain.refuse_slip, HEAD, ("s1", "理由")),
    (domain.refuse_slip, HEAD, ("s2", "理由")),
    (domain.approve_slip, HEAD, ("s1",)),
    (domain.approve_slip, HEAD, ("s2",)),
    (domain.collect, UNIT_CLERK, ("s1",)),
    (domain.collect, UNIT_CLERK, ("s2",)),
    (domain.record_progress, UNIT_CLERK, ("s1", "进展")),
    (domain.submit_reply, UNIT_CLERK, ("s1", ReplyText(text="稿"))),
    (domain.submit_reply, UNIT_CLERK, ("s2", ReplyText(text="稿"))),
    (domain.refuse_reply, UNIT_HEAD, ("s1", None, "理由")),
    (domain.refuse_reply, UNIT_HEAD, ("s2", None, "理由")),
    (domain.approve_reply, UNIT_HEAD, ("s1", None)),
    (domain.approve_reply, UNIT_HEAD, ("s2", None)),
    (domain.answer_citizen, CLERK, (Channel.EMAIL, "答复")),
)


@given(st.lists(st.sampled_from(MADE), max_size=40))
@settings(deadline=None, max_examples=200)
def test_every_move_starts_and_ends_where_the_table_says_and_others_are_refused(
    tries: Sequence[tuple[Callable[..., list[Fact]], Who, tuple[Any, ...]]],
) -> None:
    story = pending()
    for decide, by, arguments in tries:
        before = story.stage
        try:
            facts = decide(story.state, by, TREE, *arguments, NOW)
        except RuleBroken:
            assert story.stage is before
            continue
        for fact in facts:
            move = MOVES[type(fact)]
            assert story.stage in move.at or move.on is On.HANDOFF
            waiting = story.stage
            story.happens(fact)
            assert story.stage in (move.to or (waiting,))
        assert story.state is not None
        assert State.model_validate(story.state.model_dump(mode="json")) == story.state


def test_every_stage_has_a_hint_that_teaches_what_to_do() -> None:
    assert set(HINTS) == set(Stage)


def history() -> list[Fact]:
    """One letter's facts from three services."""
    story = collected().happens(LetterReclassified(letter_id=ID, at=NOW, before=ABOUT_WATER, after=ABOUT_WATER))
    handoff = {"handoff_id": "s1", "receiver": "education", "due_at": NOW + timedelta(days=14)}
    story.happens(
        ReplyDueSet(letter_id=ID, at=NOW, working_days=10, **handoff),
        ReplyReminded(letter_id=ID, at=NOW, working_days_left=2, **handoff),
        ReplyOverdue(letter_id=ID, at=NOW, sender="mayor", **handoff),
        urging(1),
    )
    assert story.state is not None
    story.happens(*domain.follow(story.state, NOW))
    story.does(domain.record_progress, UNIT_CLERK, "s1", "正在维修").happens(urging(2))
    story.happens(*domain.follow(story.state, NOW))
    story.replies("education")
    return story.facts


@given(st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_the_state_does_not_depend_on_how_facts_of_different_services_interleave(random: Any) -> None:
    told = history()
    queues = {source: [fact for fact in told if fact.source == source] for source in ("intake", "routing", "deadline")}
    mixed = Story()
    while any(queues.values()):
        mixed.happens(queues[random.choice([source for source, queue in queues.items() if queue])].pop(0))
    assert mixed.state == Story().happens(*told).state
    assert mixed.state is not None
    assert not domain.follow(mixed.state, NOW)
