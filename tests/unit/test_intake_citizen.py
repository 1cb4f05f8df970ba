"""What citizens read under their receipt code: each state says what it means, and nobody's secrets (R8.3)."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intake.citizen import TURN_TO, Standing, standing
from services.intake.domain import ON, Letter, Stage
from shared.contracts.facts import (
    CitizenAnswered,
    CitizenTold,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterErased,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterRegistered,
    PublicationWithdrawn,
    ReplyDueSet,
    ReplyOverdue,
)
from shared.contracts.types import Actor, AnswerBy, Channel, InvalidReason, TurnTo, Way, WithdrawalGround
from shared.directory import load_directory
from tests.routing_story import DUE, ID, NOW, NUMBER, received

DIRECTORY = load_directory(Path(__file__).parents[1] / "data" / "directory.yaml")
CLERK = Actor(subject="mayor-clerk", name="甲经办", mailbox="mayor")
READ = LetterRead(letter_id=ID, at=NOW, by=CLERK)
REGISTERED = LetterRegistered(letter_id=ID, at=NOW, by=CLERK, number=NUMBER)
SECRET = "此人多次来信，不要理他"


def letter(*facts: Fact) -> Letter:
    state: Letter | None = None
    for fact in (received(), *facts):
        state = ON[type(fact)](state, fact)
    assert state is not None
    return state


def seen(*facts: Fact, earlier: Letter | None = None) -> Standing:
    return standing(letter(*facts), DIRECTORY, earlier)


def discarded(reason: InvalidReason, **more: Any) -> LetterDiscarded:
    return LetterDiscarded(letter_id=ID, at=NOW, by=CLERK, reason=reason, remark=SECRET, **more)


def sent(**changes: Any) -> HandoffSent:
    values = {
        "letter_id": ID,
        "at": NOW,
        "by": CLERK,
        "handoff_id": "s1",
        "sender": "mayor",
        "receiver": "education",
        "opinion": "拟办",
        "requirements": "办理",
        "answer_by": AnswerBy.ASSIGNEE,
        "written_reply": False,
        "prepared_by": CLERK,
        "number": NUMBER,
    }
    return HandoffSent(**{**values, **changes})


@pytest.mark.parametrize("whose", TurnTo)
def test_r3_0_a_citizen_whose_letter_is_outside_government_is_told_whom_to_turn_to(whose: TurnTo) -> None:
    shown = seen(READ, discarded(InvalidReason.OUTSIDE_GOVERNMENT, turn_to=whose))
    assert TURN_TO[whose] in shown.explanation
    assert TURN_TO[whose] in shown.history[-1].text
    assert not any(text in shown.explanation for other, text in TURN_TO.items() if other is not whose)


@pytest.mark.parametrize("reason", InvalidReason)
def test_r3_0_every_reason_is_told_in_its_own_words_and_never_with_the_clerk_s_remark(reason: InvalidReason) -> None:
    shown = seen(READ, discarded(reason))
    others = [seen(READ, discarded(other)).explanation for other in InvalidReason if other is not reason]
    assert shown.state == "不予受理"
    assert shown.explanation not in others
    assert SECRET not in shown.model_dump_json()


def test_r3_0_4_a_repeated_letter_points_its_own_sender_at_the_earlier_one() -> None:
    why = discarded(InvalidReason.REPEATED_OR_EMPTY, earlier_letter="another", same_sender=True)
    first = letter(READ, REGISTERED)
    assert NUMBER.text in seen(READ, why, earlier=first).explanation
    unnumbered = seen(READ, why, earlier=letter(READ)).explanation
    assert "查询码" in unnumbered
    assert "编号" not in unnumbered


def test_r3_0_4_of_another_citizen_s_letter_a_repeated_one_says_only_that_there_is_one() -> None:
    why = discarded(InvalidReason.REPEATED_OR_EMPTY, earlier_letter="another", same_sender=False)
    shown = seen(READ, why).model_dump_json()
    assert "已有来信反映" in shown
    assert "another" not in shown


def test_r3_7_a_noted_letter_is_said_to_be_kept_and_its_remark_is_not_shown() -> None:
    shown = seen(READ, LetterNoted(letter_id=ID, at=NOW, by=CLERK, remark=SECRET))
    assert (shown.state, shown.number, shown.due_at) == ("已存档", None, None)
    assert "存档" in shown.explanation
    assert SECRET not in shown.model_dump_json()


def test_r3_7_of_an_erased_letter_the_reason_stays_and_no_word_of_the_text() -> None:
    why = discarded(InvalidReason.ADVERTISING)
    erased = LetterErased(letter_id=ID, at=NOW + timedelta(days=181), reason=InvalidReason.ADVERTISING)
    state = letter(READ, why, erased)
    assert (state.stage, state.subject, state.body, state.attachments) == (Stage.DISCARDED, "", "", ())
    assert SECRET not in state.model_dump_json()
    assert state.discarded is not None
    assert state.discarded.reason is InvalidReason.ADVERTISING
    shown = standing(state, DIRECTORY)
    assert shown.history[-1].text == "来信内容已按保存期限的规定删除"
    assert "广告" in shown.explanation


def test_r4_3_whoever_wrote_a_forwarded_letter_reads_where_it_went_and_what_was_said_online() -> None:
    told = {"letter_id": ID, "at": NOW, "by": CLERK, "handoff_id": "s1", "mailbox": "mayor"}
    online = CitizenTold(channel=Channel.ONLINE, text="已转市教委，请向其了解。", **told)
    by_phone = CitizenTold(channel=Channel.PHONE, text="家人接听", **told)
    shown = seen(READ, REGISTERED, sent(way=Way.FORWARD), online, by_phone)
    texts = [one.text for one in shown.history]
    assert "已转重庆市教育委员会办理" in texts
    assert "重庆市市长信箱已告知您来信的去向：已转市教委，请向其了解。" in texts
    assert "重庆市市长信箱已告知您来信的去向（电话告知）" in texts
    assert "重庆市教育委员会" in shown.explanation


def test_r5_1_a_returned_letter_is_being_arranged_anew() -> None:
    ends = {"handoff_id": "s1", "sender": "mayor", "receiver": "education"}
    back = HandoffReturned(letter_id=ID, at=NOW, by=CLERK, reason=SECRET, count=1, flagged=False, **ends)
    shown = seen(READ, REGISTERED, sent(), back)
    assert (shown.state, shown.due_at) == ("已登记，拟办中", None)
    assert shown.history[-1].text == "已由重庆市市长信箱收回，另行安排办理"
    assert SECRET not in shown.model_dump_json()


def test_r9_1_a_citizen_reads_that_their_letter_was_published_and_that_it_was_withdrawn() -> None:
    text = {"mailbox": "education", "subject": "公开", "body": "公开", "reply": "公开", "text_hash": "0" * 64}
    published = LetterPublished(letter_id=ID, at=NOW, number=NUMBER, prepared_by=CLERK, **text)
    withdrawn = PublicationWithdrawn(
        letter_id=ID,
        at=NOW + timedelta(days=1),
        mailbox="education",
        number=NUMBER,
        ground=WithdrawalGround.PRIVACY,
        remark=SECRET,
    )
    shown = seen(READ, REGISTERED, published, withdrawn)
    assert [one.text for one in shown.history][-2:] == ["来信和答复已公开", "公开的来信和答复已撤下"]
    assert SECRET not in shown.model_dump_json()


def test_r8_3_every_state_of_a_letter_is_explained_to_the_citizen() -> None:
    due = ReplyDueSet(letter_id=ID, at=NOW, handoff_id="s1", receiver="education", due_at=DUE, working_days=10)
    late = ReplyOverdue(letter_id=ID, at=DUE, handoff_id="s1", sender="mayor", receiver="education", due_at=DUE)
    answer = CitizenAnswered(letter_id=ID, at=NOW, mailbox="education", channel=Channel.PHONE, text="好", author=CLERK)
    ways: list[tuple[Fact, ...]] = [
        (),
        (READ,),
        (READ, REGISTERED),
        (READ, REGISTERED, sent()),
        (READ, REGISTERED, sent(way=Way.FORWARD)),
        (READ, REGISTERED, sent(), due, late),
        (READ, REGISTERED, sent(), answer),
        (READ, LetterNoted(letter_id=ID, at=NOW, by=CLERK)),
        (READ, discarded(InvalidReason.MALICIOUS)),
    ]
    explanations = [seen(*facts).explanation for facts in ways]
    assert len(set(explanations)) == len(ways)
    assert all(text.endswith("。") for text in explanations)


def test_r8_3_the_citizen_reads_times_of_the_city() -> None:
    shown = seen(READ).model_dump(mode="json")
    times = [shown["received_at"], shown["history"][0]["at"]]
    assert {datetime.fromisoformat(one).utcoffset() for one in times} == {timedelta(hours=8)}
