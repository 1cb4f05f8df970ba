"""The clocks across the whole handling: ways of disposition, returns, second assignment, extensions, send-backs, instructions."""

from datetime import timedelta
from typing import Any

import pytest

from services.deadline.api import parties
from services.deadline.domain import Condition
from services.deadline.repository import SLOTS, letters
from services.deadline.state import Kind, Why
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import (
    Fact,
    InstructionReminded,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)
from shared.contracts.types import Way
from shared.directory import LiveDirectory
from shared.directory.changes import Change, close
from shared.storage import Store
from tests.deadline_stories import (
    CLERK,
    DIRECTORY,
    DUE,
    RULES,
    SENT,
    Story,
    answered,
    approved,
    asked,
    at,
    carried_out,
    decided,
    explained,
    instructed,
    kinds,
    registered,
    returned,
    sent,
    sent_back,
    withdrawn,
)

LONG_AFTER = at("2026-08-03 00:00")
LATE: list[type[Fact]] = [ReplyReminded, ReplyOverdue]
"""What is declared of a limit that passed, but for the urging."""


def due_moves(story: Story) -> list[tuple[Any, Any, str]]:
    return [(f.before, f.due_at, f.why) for f in story.own if isinstance(f, ReplyDueChanged)]


# ── ways of disposition ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", [Way.ASSIGN, Way.DIRECT])
def test_r4_1_r4_2_what_is_assigned_or_given_to_a_department_has_a_reply_clock(way: Way) -> None:
    (fact,) = Story(sent(way=way)).own
    assert isinstance(fact, ReplyDueSet)
    assert fact.due_at == DUE


@pytest.mark.parametrize("way", [Way.FORWARD, Way.SUBMIT_UP])
def test_r8_4_a_letter_forwarded_or_submitted_up_has_no_due_date(way: Way) -> None:
    story = Story(sent(way=way))
    assert story.own == []
    assert story.running == []
    assert story.next_at is None
    assert story.swept(LONG_AFTER) == []
    assert story.state is not None
    assert story.state.parties == {"mayor", "yuzhong"}


def test_r4_3_what_the_receiver_of_a_forward_assigns_further_has_a_clock_of_its_own() -> None:
    story = Story(sent(way=Way.FORWARD), sent(name="s2", sender="yuzhong", receiver="yuzhong-roads"))
    assert story.running == [(Kind.REPLY, "s2")]


def test_r4_1_nobody_urges_a_unit_that_answers_by_itself() -> None:
    story = Story(sent(way=Way.DIRECT, sender="mayor", receiver="mayor"))
    assert kinds(story.swept(LONG_AFTER)) == LATE
    assert story.next_at is None


def test_r4_2_the_assigner_may_set_another_limit() -> None:
    story = Story(sent(days=5))
    (fact,) = story.own
    assert isinstance(fact, ReplyDueSet)
    assert (fact.due_at, fact.working_days) == (at("2026-03-10 00:00"), 5)


def test_r4_2b_a_second_assignment_has_its_own_clock_and_leaves_the_first_as_it_is() -> None:
    inner = sent(at("2026-03-04 09:00"), "s2", sender="yuzhong", receiver="yuzhong-roads", parent="s1", days=3)
    story = Story(sent(), inner)
    assert (story.clock("s1").due_at, story.clock("s2").due_at) == (DUE, at("2026-03-10 00:00"))
    story.happens(approved(at("2026-03-09 09:00"), "s2"))
    assert story.running == [(Kind.REPLY, "s1")]
    facts = story.swept(DUE)
    assert {(f.sender, f.receiver) for f in facts if isinstance(f, ReplyOverdue)} == {("mayor", "yuzhong")}


def test_r4_2b_what_was_assigned_inside_ends_with_the_whole() -> None:
    inner = sent(at("2026-03-04 09:00"), "s2", sender="yuzhong", receiver="yuzhong-roads", parent="s1")
    deeper = sent(at("2026-03-05 09:00"), "s3", sender="yuzhong-roads", receiver="yuzhong-lamps", parent="s2")
    story = Story(sent(), inner, deeper)
    assert len(story.running) == 3
    story.happens(approved(at("2026-03-09 09:00"), "s1"))
    assert story.running == []


# ── return and withdrawal ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("back", [returned, withdrawn])
def test_r5_1_a_returned_or_withdrawn_hand_off_has_no_running_clock(back: Any) -> None:
    story = Story(registered(), sent(), back(SENT + timedelta(hours=2)))
    assert story.stands(LONG_AFTER) is Condition.STOPPED
    assert story.swept(LONG_AFTER) == []
    story.happens(sent(SENT + timedelta(days=1), "s2"))
    assert story.clock("s2").due_at == at("2026-03-18 00:00")


def test_r10_2_the_successor_of_a_closed_mailbox_sees_the_clocks_of_its_letters_and_it_no_more() -> None:
    state = Story(registered(), sent(receiver="education")).state
    assert state is not None
    assert parties(state, DIRECTORY) == {"mayor", "education"}
    live = LiveDirectory(DIRECTORY, "directory.yaml")
    live.take(close(live.directory, "education", "water", Change(by=CLERK, at=SENT, reason="机构合并")))
    assert parties(state, live.directory) == {"mayor", "water"}


# ── extension ────────────────────────────────────────────────────────────────────────────────────────────────────────

WANTED = at("2026-03-31 00:00")


def test_r6_4_a_granted_extension_moves_the_limit_and_says_from_what_to_what() -> None:
    story = Story(sent(), asked(at("2026-03-12 10:00"), WANTED), decided(at("2026-03-12 15:00"), WANTED))
    assert due_moves(story) == [(DUE, WANTED, "extension")]
    assert story.swept(WANTED - timedelta(days=5)) == []
    assert kinds(story.swept(WANTED)) == [ReplyReminded, ReplyOverdue, UrgingDue]


def test_r6_4_an_extension_granted_in_part_gives_what_was_granted() -> None:
    part = at("2026-03-24 00:00")
    story = Story(sent(), asked(at("2026-03-12 10:00"), WANTED), decided(at("2026-03-12 15:00"), part))
    assert due_moves(story) == [(DUE, part, "extension")]


def test_r6_4_urging_waits_while_an_application_is_undecided_but_lateness_does_not() -> None:
    story = Story(sent(), asked(at("2026-03-16 17:00"), WANTED))
    assert kinds(story.swept(at("2026-03-30 00:00"))) == LATE
    assert story.next_at is None
    story.happens(decided(at("2026-03-30 09:00"), None))
    assert due_moves(story) == []
    assert kinds(story.swept(at("2026-03-30 09:00"))) == [UrgingDue]


def test_r6_4_what_was_granted_after_the_old_limit_is_late_again_only_after_the_new_one() -> None:
    story = Story(sent(), asked(at("2026-03-16 17:00"), WANTED))
    story.swept(at("2026-03-18 00:00"))
    story.happens(decided(at("2026-03-18 09:00"), WANTED))
    assert story.stands(at("2026-03-18 10:00")) is Condition.RUNNING
    overdue = [f for f in story.swept(LONG_AFTER) if isinstance(f, ReplyOverdue)]
    assert [f.due_at for f in overdue] == [WANTED]


def test_r6_4_an_application_left_open_ends_with_the_reply() -> None:
    story = Story(sent(), asked(at("2026-03-12 10:00"), WANTED), approved(at("2026-03-13 10:00")))
    story.happens(decided(at("2026-03-13 11:00"), WANTED))
    assert due_moves(story) == []
    story.happens(sent_back(at("2026-03-16 09:00")))
    assert UrgingDue in kinds(story.swept(LONG_AFTER))


# ── sending back ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r7_3_a_reply_sent_back_starts_ten_working_days_anew() -> None:
    story = Story(sent(), approved(at("2026-03-13 10:00")), sent_back(at("2026-03-16 15:00")))
    redone = at("2026-03-31 00:00")
    assert due_moves(story) == [(DUE, redone, "sent_back")]
    (fact,) = [f for f in story.own if isinstance(f, ReplyDueChanged)]
    assert (fact.working_days, fact.detail) == (10, "第1次退办")
    assert story.running == [(Kind.REDO, "s1")]
    assert kinds(story.swept(DUE)) == []
    assert kinds(story.swept(at("2026-03-27 00:00"))) == [ReplyReminded]
    assert kinds(story.swept(redone)) == [ReplyOverdue, UrgingDue]


def test_r7_3_the_assigner_may_set_another_limit_for_the_redo() -> None:
    story = Story(sent(), approved(at("2026-03-13 10:00")), sent_back(at("2026-03-13 15:00"), days=3))
    assert story.clock().due_at == at("2026-03-19 00:00")


def test_r7_3_any_number_of_times_and_each_round_can_be_late_once() -> None:
    story = Story(sent())
    story.swept(DUE)
    story.happens(approved(at("2026-03-17 10:00")), sent_back(at("2026-03-17 11:00"), 1, days=2))
    story.swept(at("2026-03-20 00:00"))
    story.happens(approved(at("2026-03-20 10:00")), sent_back(at("2026-03-20 11:00"), 2, days=2))
    story.swept(at("2026-03-25 00:00"))
    overdue = [f.due_at for f in story.own if isinstance(f, ReplyOverdue)]
    assert overdue == [DUE, at("2026-03-20 00:00"), at("2026-03-25 00:00")]
    assert [f.count for f in story.own if isinstance(f, UrgingDue)] == [1, 2, 3]
    assert story.clock().redo == 2


def test_r7_3_a_letter_whose_citizen_was_answered_is_reopened_by_a_send_back() -> None:
    story = Story(sent(), approved(at("2026-03-13 10:00")), answered(at("2026-03-13 10:00")))
    assert story.running == []
    story.happens(sent_back(at("2026-03-16 15:00")))
    assert story.running == [(Kind.REDO, "s1")]
    story.happens(approved(at("2026-03-18 10:00")), answered(at("2026-03-18 10:00")))
    assert story.running == []


def test_r6_4_r7_3_a_redo_can_be_extended_too() -> None:
    story = Story(sent(), approved(at("2026-03-13 10:00")), sent_back(at("2026-03-16 15:00")))
    granted = at("2026-04-15 00:00")
    story.happens(asked(at("2026-03-25 09:00"), granted), decided(at("2026-03-25 10:00"), granted))
    assert [why for _, _, why in due_moves(story)] == [Why.SENT_BACK, Why.EXTENSION]
    assert story.clock().due_at == granted


# ── urging ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r7_1_progress_explained_before_a_redo_does_not_cover_its_limit() -> None:
    story = Story(sent(), explained(at("2026-03-12 10:00")), approved(at("2026-03-13 10:00")))
    story.happens(sent_back(at("2026-03-13 15:00"), days=3))
    assert kinds(story.swept(at("2026-03-19 00:00"))) == [ReplyReminded, ReplyOverdue, UrgingDue]


# ── instructions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_r8_1_staff_are_reminded_of_an_open_instruction_until_it_ends() -> None:
    story = Story(instructed(SENT, at("2026-03-05 15:00")))
    assert story.next_at == at("2026-03-04 00:00")  # two working days ahead, as for a reply
    assert kinds(story.swept(at("2026-03-04 00:00"))) == [InstructionReminded]
    assert story.next_at == at("2026-03-05 15:00")
    assert kinds(story.swept(at("2026-03-05 15:00"))) == [InstructionReminded]
    assert story.next_at == at("2026-03-10 00:00")
    (fact,) = story.swept(at("2026-04-20 10:00"))
    assert isinstance(fact, InstructionReminded)
    assert (fact.instruction_id, fact.mailbox, fact.report_by) == ("i1", "mayor", at("2026-03-05 15:00"))
    story.happens(carried_out(at("2026-04-20 11:00")))
    assert story.next_at is None


def test_r8_1_an_instruction_stays_open_when_the_citizen_is_answered() -> None:
    story = Story(sent(), instructed(SENT, at("2026-03-05 15:00")), approved(SENT), answered(SENT))
    assert story.running == [(Kind.INSTRUCTION, "i1")]


# ── the lists ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_running_clock_of_a_letter_stands_in_the_list_of_its_mailbox_soonest_first() -> None:
    inner = sent(at("2026-03-04 09:00"), "s2", sender="yuzhong", receiver="yuzhong-roads", parent="s1", days=3)
    story = Story(sent(), inner, instructed(SENT, at("2026-03-20 12:00")))
    assert story.state is not None
    fields = letters(Store("mongodb://unused"), RULES, DIRECTORY).fields(story.state)
    listed = [(fields[f"holder{n}"], fields[f"kind{n}"], fields[f"place{n}"]) for n in range(SLOTS)]
    assert [(holder, kind) for holder, kind, _ in listed[:4]] == [
        ("yuzhong-roads", "reply"),
        ("yuzhong", "reply"),
        ("mayor", "instruction"),
        (None, None),
    ]
    places = [place for _, _, place in listed if place]
    assert places == sorted(places)


def test_more_clocks_than_slots_leave_those_due_last_out_and_all_are_still_swept() -> None:
    story = Story(*(instructed(SENT, at(f"2026-03-{10 + n} 12:00"), f"i{n}") for n in range(SLOTS + 2)))
    assert story.state is not None
    fields = letters(Store("mongodb://unused"), RULES, DIRECTORY).fields(story.state)
    assert [fields[f"place{n}"].rpartition("/")[2] for n in range(SLOTS)] == [f"i{n}" for n in range(SLOTS)]
    assert len(story.swept(LONG_AFTER)) == SLOTS + 2


def test_r6_1_the_limit_of_a_hand_off_is_the_setting_in_force_when_it_was_sent() -> None:
    story = Story(sent(), rules=rules_of(WorkingCalendar(), Settings(reply_working_days=5)))
    assert story.clock().due_at == at("2026-03-10 00:00")
    assert story.recomputed(RULES, at("2026-03-04 00:00")) == []
