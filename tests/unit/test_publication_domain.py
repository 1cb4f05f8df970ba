"""Publication decides by the regulation alone: R9.1 (publication), R2.2 (consent), R7.2 (notice board)."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.publication.domain import ON, Case, PublicText, Status, approve, follow, prepare, withdraw, withhold
from shared.contracts.errors import Forbidden, NotFound, RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    NoticePosted,
    NoticeRemoved,
    PublicationWithheld,
    ReplyApproved,
    ReplyDueChanged,
    ReplyOverdue,
    ReplySentBack,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Channel,
    Classification,
    Nature,
    Number,
    WithdrawalGround,
    WithholdingGround,
)

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DUE = datetime(2026, 3, 16, 16, 0, tzinfo=UTC)
CLERK = Actor(subject="education-clerk", mailbox="education")
HEAD = Actor(subject="education-head", mailbox="education")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
KIND = Classification(nature=Nature.HELP, domain="education", region="500103")
TEXT = PublicText(subject="校门口没有斑马线", body="孩子上学过马路很危险。", reply="已施划斑马线。")
OTHER = TEXT.model_copy(update={"reply": "斑马线将于本月施划。"})


def received(**changes) -> LetterReceived:
    fields = {
        "letter_id": "l1",
        "at": NOW,
        "mailbox": "mayor",
        "subject": "校门口没有斑马线，我叫张三",
        "body": "原文",
        "classification": KIND,
        "may_publish": True,
        "chosen_mailbox": "mayor",
    }
    return LetterReceived(**(fields | changes))


def sent(sender="mayor") -> HandoffSent:
    return HandoffSent(
        letter_id="l1",
        at=NOW,
        handoff_id="s1",
        sender=sender,
        receiver="education",
        opinion="请办理",
        requirements="",
        answer_by=AnswerBy.ASSIGNEE,
        written_reply=False,
        prepared_by=CLERK,
        number=NUMBER,
    )


REGISTERED = LetterRegistered(letter_id="l1", at=NOW, number=NUMBER)
OVERDUE = ReplyOverdue(letter_id="l1", at=DUE, handoff_id="s1", sender="mayor", receiver="education", due_at=DUE)
ANSWERED = CitizenAnswered(
    letter_id="l1", at=NOW, mailbox="education", channel=Channel.ONLINE, text="答复原文", author=CLERK
)
REPLIED = ReplyApproved(
    letter_id="l1",
    at=NOW,
    handoff_id="s1",
    reply_id="r1",
    sender="mayor",
    receiver="education",
    text="答复原文",
    author=CLERK,
    answer_by=AnswerBy.ASSIGNEE,
)


def urged(count=1, sender="mayor") -> UrgingSent:
    return UrgingSent(
        letter_id="l1", at=DUE, handoff_id="s1", sender=sender, receiver="education", count=count, due_at=DUE
    )


def told(*facts: Fact, state: Case | None = None) -> Case:
    for fact in facts:
        state = ON[type(fact)](state, fact)
    assert state is not None
    return state


def followed(state: Case) -> list[Fact]:
    return list(follow(state, NOW, mayor="mayor"))


FINISHED = told(received(), REGISTERED, ANSWERED)


def prepared(text=TEXT, grounds=(), state=FINISHED) -> Case:
    return told(*prepare(state, text, grounds, CLERK, NOW), state=state)


def test_r9_1_a_case_opens_when_the_citizen_is_answered_and_not_before():
    unfinished = told(received(), REGISTERED)
    assert unfinished.status is Status.OPEN
    with pytest.raises(RuleBroken, match="not finished") as refused:
        prepare(unfinished, TEXT, (), CLERK, NOW)
    assert refused.value.rule == "R9.1"
    assert FINISHED.status is Status.TO_PREPARE
    with pytest.raises(NotFound):
        prepare(None, TEXT, (), CLERK, NOW)


def test_r9_1_a_prepared_text_is_not_public_until_another_person_approves_exactly_it():
    case = prepared()
    assert (case.status, case.approved) == (Status.TO_APPROVE, None)
    with pytest.raises(Forbidden, match="cannot approve"):
        approve(case, TEXT.hash, CLERK, NOW)
    with pytest.raises(RuleBroken, match="not the text"):
        approve(case, OTHER.hash, HEAD, NOW)
    case = told(*approve(case, TEXT.hash, HEAD, NOW), state=case)
    assert case.status is Status.PUBLISHED
    assert case.approved is not None
    assert (case.approved.body, case.approved.by, case.approved.prepared_by) == (TEXT.body, HEAD, CLERK)


def test_r9_1_another_spelling_of_who_prepared_it_is_no_other_person():
    with pytest.raises(Forbidden, match="cannot approve"):
        approve(prepared(), TEXT.hash, CLERK.model_copy(update={"subject": "Education-Clerk"}), NOW)


def test_r9_1_preparing_again_replaces_the_text_and_needs_a_new_approval():
    case = prepared(OTHER, state=prepared())
    with pytest.raises(RuleBroken, match="not the text"):
        approve(case, TEXT.hash, HEAD, NOW)
    case = told(*approve(case, OTHER.hash, HEAD, NOW), state=case)
    assert case.approved is not None
    assert case.approved.reply == OTHER.reply


def test_r9_1_any_ground_leaves_only_withholding_and_the_ground_is_kept():
    case = prepared(grounds=[WithholdingGround.PRIVACY])
    with pytest.raises(RuleBroken, match="ground against publication"):
        approve(case, TEXT.hash, HEAD, NOW)
    case = told(*withhold(case, [WithholdingGround.HIGHLY_SENSITIVE], HEAD, NOW), state=case)
    assert case.status is Status.WITHHELD
    assert case.withheld is not None
    assert case.withheld.grounds == (WithholdingGround.PRIVACY, WithholdingGround.HIGHLY_SENSITIVE)
    with pytest.raises(RuleBroken):
        prepare(case, TEXT, (), CLERK, NOW)


def test_r9_1_withholding_needs_one_of_the_four_grounds():
    with pytest.raises(RuleBroken, match="four grounds"):
        withhold(prepared(), (), HEAD, NOW)
    with pytest.raises(RuleBroken, match="to-prepare"):
        withhold(FINISHED, [WithholdingGround.PRIVACY], HEAD, NOW)


def test_r9_1_a_correction_leaves_the_approved_text_public_until_it_is_decided():
    case = prepared()
    case = told(*approve(case, TEXT.hash, HEAD, NOW), state=case)
    case = prepared(OTHER, state=case)
    assert case.status is Status.TO_APPROVE
    assert case.approved is not None
    assert case.approved.reply == TEXT.reply
    gone = told(*withhold(case, [WithholdingGround.PRIVACY], HEAD, NOW), state=case)
    assert (gone.status, gone.approved) == (Status.WITHHELD, None)


def test_r3_6_a_letter_without_a_number_cannot_be_published():
    case = prepared(state=told(received(), ANSWERED))
    with pytest.raises(RuleBroken) as refused:
        approve(case, TEXT.hash, HEAD, NOW)
    assert refused.value.rule == "R3.6"


def test_r2_2_a_letter_whose_citizen_refused_is_withheld_by_itself_once():
    state = told(received(may_publish=False), REGISTERED)
    assert followed(state) == []
    state = told(ANSWERED, state=state)
    (fact,) = followed(state)
    assert isinstance(fact, PublicationWithheld)
    assert (fact.consent_refused, fact.grounds, fact.mailbox) == (True, (), "education")
    state = told(fact, state=state)
    assert followed(state) == []
    with pytest.raises(RuleBroken):
        prepare(state, TEXT, (), CLERK, NOW)


def test_r7_2_the_first_urging_by_the_mayors_mailbox_posts_one_notice_and_the_reply_removes_it():
    state = told(received(), REGISTERED, sent(), OVERDUE)
    assert followed(state) == []
    state = told(urged(), state=state)
    (posted,) = followed(state)
    assert isinstance(posted, NoticePosted)
    assert (posted.receiver, posted.number, posted.due_at) == ("education", NUMBER, DUE)
    state = told(posted, urged(2), state=state)
    assert followed(state) == []
    assert [notice.urged for notice in state.notices] == [2]
    state = told(REPLIED, state=state)
    (removed,) = followed(state)
    assert isinstance(removed, NoticeRemoved)
    state = told(removed, ANSWERED, state=state)
    assert followed(state) == []
    assert state.notices == ()
    assert state.handoffs[0].posted_at is not None, "it stays in the record"


def test_r7_2_an_answer_to_the_citizen_removes_the_notice_too():
    state = told(received(), REGISTERED, sent(), urged())
    state = told(*followed(state), ANSWERED, state=state)
    assert [type(fact) for fact in followed(state)] == [NoticeRemoved]


def test_r7_2_urging_by_a_unit_or_after_the_reply_is_not_shown():
    assert followed(told(received(), REGISTERED, sent("education"), urged(sender="education"))) == []
    assert followed(told(received(), REGISTERED, sent(), REPLIED, urged())) == []


REDO_DUE = datetime(2026, 3, 30, 16, 0, tzinfo=UTC)


def sent_back(count=1) -> ReplySentBack:
    return ReplySentBack(
        letter_id="l1",
        at=NOW,
        handoff_id="s1",
        reply_id="r1",
        sender="mayor",
        receiver="education",
        reason="未答复所问",
        requirements="逐项答复",
        count=count,
    )


def redo_due(due=REDO_DUE, why="sent_back") -> ReplyDueChanged:
    return ReplyDueChanged(
        letter_id="l1", at=NOW, handoff_id="s1", receiver="education", before=DUE, due_at=due, why=why
    )


def test_r7_4_a_reply_sent_back_by_the_mayors_mailbox_is_on_the_board_until_the_next_reply():
    state = told(received(), REGISTERED, sent(), REPLIED, sent_back())
    assert followed(state) == [], "the new limit is not known yet"
    state = told(redo_due(), state=state)
    (posted,) = followed(state)
    assert isinstance(posted, NoticePosted)
    assert (posted.for_what, posted.due_at, posted.receiver) == ("sent_back", REDO_DUE, "education")
    state = told(posted, state=state)
    assert followed(state) == []
    (removed,) = followed(told(REPLIED, state=state))
    assert isinstance(removed, NoticeRemoved)


def test_r7_4_what_was_urged_and_answered_comes_back_to_the_board_each_time_it_is_sent_back():
    state = told(received(), REGISTERED, sent(), OVERDUE, urged())
    shown = []
    for count in (1, 2):
        for fact in followed(state):
            shown.append(fact)
            state = told(fact, state=state)
        state = told(REPLIED, state=state)
        state = told(*followed(state), state=state)
        assert state.notices == ()
        state = told(sent_back(count), state=state)
        assert followed(state) == []
        state = told(redo_due(), state=state)
    shown += followed(state)
    assert [fact.for_what for fact in shown] == ["urged", "sent_back", "sent_back"]


def test_r7_4_a_unit_s_own_send_back_and_other_moves_of_a_limit_are_not_shown():
    assert followed(told(received(), REGISTERED, sent("education"), sent_back(), redo_due())) == []
    assert followed(told(received(), REGISTERED, sent(), redo_due(why="extension"))) == []


@pytest.mark.parametrize("fact", [HandoffReturned, SlipWithdrawn])
def test_r5_1_a_letter_that_is_returned_or_taken_back_leaves_the_board(fact):
    state = told(received(), REGISTERED, sent(), urged())
    fields = {"count": 1, "flagged": False} if fact is HandoffReturned else {}
    gone = fact(letter_id="l1", at=NOW, handoff_id="s1", sender="mayor", receiver="education", reason="误", **fields)
    state = told(*followed(state), gone, state=state)
    assert [type(f) for f in followed(state)] == [NoticeRemoved]


def test_r7_3_a_letter_reopened_by_a_send_back_needs_a_new_answer_and_a_new_text():
    case = told(sent_back(), state=prepared())
    assert case.status is Status.OPEN
    with pytest.raises(RuleBroken, match="not finished"):
        approve(case, TEXT.hash, HEAD, NOW)
    again = ANSWERED.model_copy(update={"at": NOW + timedelta(days=1)})
    case = told(again, state=case)
    assert case.status is Status.TO_PREPARE
    with pytest.raises(RuleBroken, match="to-prepare"):
        approve(case, TEXT.hash, HEAD, NOW + timedelta(days=1))
    case = told(*prepare(case, OTHER, (), CLERK, NOW + timedelta(days=1)), state=case)
    case = told(*approve(case, OTHER.hash, HEAD, NOW + timedelta(days=1)), state=case)
    assert case.status is Status.PUBLISHED


def test_two_texts_never_share_a_hash_by_moving_words_between_their_parts():
    assert PublicText(subject="a", body="bc", reply="d").hash != PublicText(subject="a", body="b", reply="cd").hash
    assert (
        PublicText(subject='a","b', body="c", reply="d").hash != PublicText(subject="a", body='b","c', reply="d").hash
    )


def a_whole_life() -> tuple[list[Fact], Case]:
    """Publication's own facts on a letter that was urged, published, withdrawn, published again, and the state they led to live."""
    own: list[Fact] = []

    def keep(facts: list[Fact], state: Case) -> Case:
        own.extend(facts)
        return told(*facts, state=state)

    state = told(received(), REGISTERED, sent(), OVERDUE, urged())
    state = keep(followed(state), state)
    state = told(REPLIED, state=state)
    state = keep(followed(state), state)
    state = keep(followed(told(sent_back(), redo_due(), state=state)), told(sent_back(), redo_due(), state=state))
    state = told(REPLIED, ANSWERED, state=state)
    state = keep(followed(state), state)
    state = keep(prepare(state, TEXT, (), CLERK, NOW), state)
    state = keep(approve(state, TEXT.hash, HEAD, NOW), state)
    state = keep(withdraw(state, WithdrawalGround.INACCURATE, "", HEAD, NOW), state)
    state = keep(prepare(state, TEXT, (), CLERK, NOW), state)
    state = keep(approve(state, TEXT.hash, HEAD, NOW), state)
    return own, keep(prepare(state, OTHER, (), CLERK, NOW + timedelta(hours=1)), state)


@settings(deadline=None)  # a slow machine is no failure
@given(st.randoms(use_true_random=False))
def test_the_order_between_services_does_not_matter(order: random.Random):
    own, live = a_whole_life()
    reclassified = LetterReclassified(letter_id="l1", at=NOW, before=KIND, after=KIND)
    left: list[list[Fact]] = [
        [received(), reclassified, REGISTERED],
        [sent(), urged(), REPLIED, sent_back(), REPLIED, ANSWERED],
        [OVERDUE, redo_due()],
        own,
    ]
    state: Case | None = None
    while left := [facts for facts in left if facts]:
        fact = order.choice(left).pop(0)
        state = ON[type(fact)](state, fact)
    assert state == live
    assert Case.model_validate(state.model_dump(mode="json")) == state
