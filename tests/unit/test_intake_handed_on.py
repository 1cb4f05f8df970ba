"""What intake makes of hand-offs: whom it tells how to reach the citizen, and what the citizen may see."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.intake.citizen import Standing, standing
from services.intake.domain import ON, Letter
from services.intake.handlers import Disclosure
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterRegistered,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
)
from shared.contracts.mailbox import ContactDisclosed
from shared.contracts.types import Actor, AnswerBy, Channel, Contact, Medium, Way
from shared.directory import load_directory
from shared.messaging.work import Step
from tests.routing_story import DUE, ID, NOW, NUMBER, received

DIRECTORY = load_directory(Path(__file__).parents[1] / "data" / "directory.yaml")
HEAD = Actor(subject="mayor-head", mailbox="mayor")


class Known:
    """Contact data of every letter."""

    async def get_many(self, ids: set[str]) -> dict[str, Contact]:
        return {letter_id: Contact(name="李明", phone="+8613800138000") for letter_id in ids}


def handed_on(handoff_id: str = "s1", **changes: Any) -> HandoffSent:
    values = {
        "letter_id": ID,
        "at": NOW,
        "by": HEAD,
        "handoff_id": handoff_id,
        "sender": "mayor",
        "receiver": "education",
        "opinion": "拟办",
        "requirements": "办理",
        "answer_by": AnswerBy.ASSIGNEE,
        "written_reply": False,
        "prepared_by": HEAD,
        "number": NUMBER,
    }
    return HandoffSent(**{**values, **changes})


def after(*facts: Fact) -> Letter:
    state: Letter | None = None
    for fact in (received(), LetterRegistered(letter_id=ID, at=NOW, number=NUMBER), *facts):
        state = ON[type(fact)](state, fact)
    assert state is not None
    return state


def seen(*facts: Fact) -> Standing:
    return standing(after(*facts), DIRECTORY)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ["education"]),
        ({"way": Way.FORWARD}, ["education"]),
        ({"way": Way.DIRECT, "sender": "education", "receiver": "education-basic"}, ["education-basic"]),
        ({"way": Way.FORWARD, "answer_by": AnswerBy.ASSIGNER}, []),
        ({"way": Way.DIRECT, "receiver": "mayor"}, []),
        ({"medium": Medium.FAX}, []),
    ],
)
async def test_r8_3_whoever_must_answer_is_told_how_to_reach_the_citizen_and_nobody_else(
    changes: dict[str, Any], told: list[str]
) -> None:
    fact = handed_on(**changes)
    state = after(fact)
    tellings = await Disclosure(Known(), DIRECTORY).tell([Step(ID, state, fact, state)])  # type: ignore[arg-type]
    assert [telling.message.mailbox for telling in tellings if isinstance(telling.message, ContactDisclosed)] == told


def test_the_citizen_sees_where_the_letter_went_but_not_how_a_unit_works_inside() -> None:
    shown = seen(
        handed_on(way=Way.FORWARD, answer_by=AnswerBy.ASSIGNER),
        handed_on("s2", sender="education", receiver="water", parent="s1"),
        handed_on("s3", sender="water", receiver="water", parent="s2", way=Way.SUBMIT_UP),
        handed_on("s4", sender="water", receiver="education-basic", parent="s2"),
    )
    assert [one.text for one in shown.history][-2:] == ["已转重庆市教育委员会办理", "已交重庆水务集团办理"]


def test_r5_1_the_limit_of_a_returned_assignment_counts_no_more() -> None:
    due = ReplyDueSet(letter_id=ID, at=NOW, handoff_id="s1", receiver="education", due_at=DUE, working_days=10)
    overdue = ReplyOverdue(letter_id=ID, at=DUE, handoff_id="s1", sender="mayor", receiver="education", due_at=DUE)
    assert (seen(handed_on(), due, overdue).due_at, seen(handed_on(), due, overdue).overdue) == (DUE, True)
    ends = {"handoff_id": "s1", "sender": "mayor", "receiver": "education"}
    back = HandoffReturned(letter_id=ID, at=NOW, by=HEAD, reason="误收", count=1, flagged=False, **ends)
    assert (seen(handed_on(), due, overdue, back).due_at, seen(handed_on(), due, overdue, back).overdue) == (
        None,
        False,
    )
    later = DUE + timedelta(days=2)
    values = {"handoff_id": "s1", "receiver": "education", "before": DUE, "due_at": later, "why": "extension"}
    moved = seen(handed_on(), due, overdue, ReplyDueChanged(letter_id=ID, at=NOW, **values))
    assert (moved.due_at, moved.overdue) == (later, False)


def test_r7_3_a_letter_whose_answer_was_sent_back_is_in_hand_again() -> None:
    answer = CitizenAnswered(
        letter_id=ID, at=NOW, mailbox="education", channel=Channel.ONLINE, text="已修复", author=HEAD
    )
    ends = {"handoff_id": "s1", "sender": "mayor", "receiver": "education", "reply_id": "r1"}
    back = ReplySentBack(letter_id=ID, at=NOW, by=HEAD, reason="不完整", requirements="请补充", count=1, **ends)
    assert seen(handed_on(), answer).state == "已答复"
    assert seen(handed_on(), answer, back).state == "办理中"
    again = seen(handed_on(), answer, back, answer)
    assert (again.state, len(again.answers)) == ("已答复", 2)
