"""Written replies, and replies that are sent back to be done again (R6.2, R7.3)."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.routing import domain
from services.routing.domain import Application, ReplyText, Verdict
from services.routing.models import Stage
from shared.contracts.errors import BadInput, Forbidden, NotFound, RuleBroken
from shared.contracts.facts import CitizenAnswered, ReplyApproved, ReplySentBack, UrgingDue, UrgingSent
from shared.contracts.types import AnswerBy, Attachment, Channel, ExtensionOutcome, FormalDocument, Medium
from tests.routing_story import (
    BASIC_CLERK,
    CLERK,
    DUE,
    HEAD,
    ID,
    UNIT_CLERK,
    UNIT_HEAD,
    Story,
    collected,
    pending,
)

FILE = Attachment(id="0" * 32, name="函.pdf", media_type="application/pdf", size=10, sha256="0" * 64)
PAPER = FormalDocument(number="渝教函〔2026〕3号", dated=date(2026, 3, 2), scan=FILE)


def submits(story: Story, **reply: Any) -> Story:
    return story.does(domain.submit_reply, UNIT_CLERK, "s1", ReplyText(**reply))


def to_assigner(**changes: Any) -> Story:
    return collected(answer_by=AnswerBy.ASSIGNER, **changes)


def test_r6_2_a_written_reply_has_text_author_approver_and_attachments() -> None:
    story = submits(to_assigner(written_reply=True), text="路灯已修复。", attachments=(FILE,))
    approved = story.does(domain.approve_reply, UNIT_HEAD, "s1", "r1").facts[-1]
    assert isinstance(approved, ReplyApproved)
    assert (approved.receiver, approved.author.subject, approved.by and approved.by.subject, approved.attachments) == (
        "education",
        "education-clerk",
        "education-head",
        (FILE,),
    )
    with pytest.raises(BadInput) as refused:
        submits(to_assigner(written_reply=True), text=" ")
    assert (refused.value.rule, refused.value.field) == ("R6.2", "/text")


def test_r6_2_a_formal_document_stands_for_the_text_with_number_date_and_scan() -> None:
    story = submits(to_assigner(written_reply=True), document=PAPER)
    approved = story.does(domain.approve_reply, UNIT_HEAD, "s1", "r1").facts[-1]
    assert isinstance(approved, ReplyApproved)
    assert approved.document == PAPER
    for changes, field in (
        ({"number": " "}, "/document/number"),
        ({"dated": date(2026, 3, 3)}, "/document/dated"),
        ({"scan": None}, "/document/scan"),
    ):
        with pytest.raises(BadInput) as refused:
            submits(to_assigner(written_reply=True), document=PAPER.model_copy(update=changes))
        assert (refused.value.rule, refused.value.field) == ("R6.2", field)


def test_r6_2_what_answers_the_citizen_has_a_text_even_beside_a_formal_document() -> None:
    with pytest.raises(BadInput) as refused:
        submits(collected(), document=PAPER)
    assert refused.value.field == "/text"


def test_r6_2_a_reply_on_paper_names_who_handled_and_who_approved_it() -> None:
    story = pending().sends("mayor", "education", medium=Medium.POST, answer_by=AnswerBy.ASSIGNER).collects("mayor")
    for changes in ({"person": " "}, {"approver": " "}):
        paper = domain.PaperReply(**{"text": "已修复。", "person": "李某", "approver": "王某", **changes})
        with pytest.raises(BadInput) as refused:
            story.does(domain.record_reply, CLERK, "s1", paper)
        assert refused.value.rule == "R6.2"


def sent_back(story: Story, working_days: int | None = None) -> Story:
    return story.does(domain.send_back, CLERK, "s1", None, "未说明完成日期", "请写明完成日期", working_days)


def test_r7_3_a_reply_is_sent_back_any_number_of_times_each_counted() -> None:
    story = to_assigner()
    for count in range(1, 26):
        story.replies("education")
        fact = sent_back(story, count).facts[-1]
        assert isinstance(fact, ReplySentBack)
        assert (fact.count, fact.reply_id, fact.working_days) == (count, f"r{count}", count)
        assert (story.stage, story.holder) == (Stage.COLLECTED, "education")
    story.replies("education")
    assert story.does(domain.answer_citizen, CLERK, Channel.PHONE, "已答复").stage is Stage.FINISHED


def test_r7_3_sending_back_needs_reason_and_requirements_and_is_the_assigners() -> None:
    story = to_assigner().replies("education")
    for arguments in ((" ", "请写明"), ("未说明", " ")):
        with pytest.raises(BadInput) as refused:
            story.does(domain.send_back, CLERK, "s1", "r1", *arguments, None)
        assert refused.value.rule == "R7.3"
    with pytest.raises(Forbidden):
        story.does(domain.send_back, UNIT_CLERK, "s1", "r1", "未说明", "请写明", None)
    with pytest.raises(NotFound):
        story.does(domain.send_back, CLERK, "s1", "r9", "未说明", "请写明", None)
    with pytest.raises(RuleBroken):
        sent_back(to_assigner())


def test_r7_3_the_mayors_mailbox_reopens_what_the_assignee_answered_and_the_new_reply_answers_anew() -> None:
    story = collected().replies("education", "已处理。")
    assert story.stage is Stage.FINISHED
    sent_back(story)
    assert (story.stage, story.known.answer) == (Stage.COLLECTED, None)
    story.replies("education", "路灯已于三月一日修复。")
    assert story.stage is Stage.FINISHED
    assert [answer.text for answer in story.known.answers] == ["已处理。", "路灯已于三月一日修复。"]


def test_r7_3_a_finished_letter_is_reopened_neither_by_others_nor_where_the_assigner_answered_itself() -> None:
    story = to_assigner().replies("education").does(domain.answer_citizen, CLERK, Channel.PHONE, "已答复")
    with pytest.raises(RuleBroken, match="answered the citizen with this reply"):
        sent_back(story)
    inner = pending("education").sends("education", "education-basic", answer_by=AnswerBy.ASSIGNEE)
    inner.collects("education-basic").replies("education-basic")
    with pytest.raises(Forbidden, match="only the mayor's mailbox"):
        inner.does(domain.send_back, UNIT_CLERK, "s1", None, "未说明", "请写明", None)


def test_r7_3_an_assignee_sends_back_what_its_department_replied() -> None:
    story = collected().sends("education", "education-basic").collects("education-basic").replies("education-basic")
    story.does(domain.send_back, UNIT_CLERK, "s2", None, "不完整", "请补充", None)
    assert (story.stage, story.holder) == (Stage.COLLECTED, "education-basic")
    with pytest.raises(RuleBroken):
        story.does(domain.submit_reply, UNIT_CLERK, "s1", ReplyText(text="已修复"))
    story.replies("education-basic").replies("education")
    assert story.stage is Stage.FINISHED
    with pytest.raises(RuleBroken):
        story.does(domain.submit_reply, BASIC_CLERK, "s2", ReplyText(text="补充"))


def test_r7_1_an_urging_for_the_limit_before_a_send_back_is_not_sent_after_it() -> None:
    story = to_assigner().is_due().replies("education")
    sent_back(story)
    values = {"handoff_id": "s1", "sender": "mayor", "receiver": "education"}
    story.happens(UrgingDue(letter_id=ID, at=story.now, count=1, due_at=story.now.replace(day=1), **values))
    assert not domain.follow(story.known, story.now)
    story.happens(UrgingDue(letter_id=ID, at=DUE, count=2, due_at=DUE, **values))
    assert [type(fact) for fact in domain.follow(story.known, DUE)] == [UrgingSent]


def test_r7_1_what_is_done_again_is_urged_by_its_own_limit_however_long_the_reply_before_was_extended() -> None:
    story, long = to_assigner().is_due(), DUE + timedelta(days=60)
    story.does(domain.request_extension, UNIT_CLERK, "s1", Application(reason="待协调", wanted_due_at=long))
    story.does(domain.decide_extension, HEAD, "s1", "e1", Verdict(outcome=ExtensionOutcome.GRANTED))
    sent_back(story.replies("education"))
    due = UrgingDue(letter_id=ID, at=DUE, count=1, due_at=DUE, handoff_id="s1", sender="mayor", receiver="education")
    assert [type(fact) for fact in domain.follow(story.happens(due).known, DUE)] == [UrgingSent]


def test_r8_3_a_letter_is_finished_only_when_the_citizen_has_an_answer() -> None:
    story = to_assigner().replies("education")
    assert not any(isinstance(fact, CitizenAnswered) for fact in story.facts)
    assert story.stage is Stage.REPLIED
