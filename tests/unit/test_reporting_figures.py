"""Each figure that a bulletin lists, by the rule that it comes from: what counts, by which moment, for whom."""

from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import mean as plain_mean
from statistics import median as plain_median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.reporting.figures import cells_of, changed_cells
from services.reporting.periods import Period, month, quarter, week_of, year
from services.reporting.repository import open_key
from services.reporting.summing import Handling, mean, median
from services.reporting.totals import split
from shared.calendar.zone import SHANGHAI
from shared.contracts.facts import (
    CitizenAnswered,
    ExtensionDecided,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterReceived,
    LetterRegistered,
    ReplySentBack,
    SlipWithdrawn,
)
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Channel,
    Classification,
    ExtensionOutcome,
    InvalidReason,
    Nature,
    Number,
    Way,
)
from tests.unit.test_reporting_domain import ENDS, SENT, assigned, evolved, figures, reply

ACTOR = Actor(subject="a", mailbox="mayor")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
WEEK = week_of(date(2026, 3, 2))
SUNDAY_LAST = datetime(2026, 3, 8, 23, 59, 59, 999000, tzinfo=SHANGHAI)
MONDAY_FIRST = datetime(2026, 3, 9, tzinfo=SHANGHAI)


def received(at: datetime = SENT, **about: Any) -> Fact:
    classification = Classification(nature=Nature.HELP, domain="a", region="500103", **about)
    return LetterReceived(
        letter_id="l",
        at=at,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="",
        body="",
        classification=classification,
        may_publish=True,
    )


def registered(at: datetime = SENT) -> Fact:
    return LetterRegistered(letter_id="l", at=at, number=NUMBER)


def answered(at: datetime) -> Fact:
    return CitizenAnswered(letter_id="l", at=at, mailbox="mayor", channel=Channel.ONLINE, text="", author=ACTOR)


def extension(outcome: ExtensionOutcome, at: datetime) -> Fact:
    return ExtensionDecided(at=at, extension_id="e1", outcome=outcome, **ENDS)


def of(*facts: Fact, mailbox: str = "mayor", period: Period = WEEK) -> Any:
    return figures([evolved(list(facts))], (mailbox,), period)


def towards_education(*facts: Fact, period: Period = WEEK) -> Handling:
    found = of(*facts, period=period).assigned["education"]
    assert found == of(*facts, mailbox="education", period=period).undertaken["mayor"], "both ends count the same"
    return found  # type: ignore[no-any-return]


# ── what R11.2 lists ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", list(ExtensionOutcome))
def test_r11_2_extended_counts_what_was_granted_in_whole_or_in_part_on_the_day_of_the_decision(
    outcome: ExtensionOutcome,
) -> None:
    granted = outcome is not ExtensionOutcome.REFUSED
    assert towards_education(*assigned(), extension(outcome, SUNDAY_LAST)).extended == granted
    assert towards_education(*assigned(), extension(outcome, MONDAY_FIRST)).extended == 0


def test_r11_2_sent_back_counts_each_time_in_the_week_in_which_it_happened() -> None:
    back = ReplySentBack(at=SUNDAY_LAST, reply_id="r1", reason="", requirements="", count=1, **ENDS)
    again = back.model_copy(update={"at": MONDAY_FIRST + timedelta(days=1), "count": 2})
    facts = (*assigned(), reply(SENT), back, reply(MONDAY_FIRST), again)
    assert towards_education(*facts).sent_back == 1
    assert towards_education(*facts, period=week_of(date(2026, 3, 9))).sent_back == 1


def test_r11_2_returned_and_withdrawn_count_on_their_day_and_are_open_no_longer() -> None:
    returned = HandoffReturned(at=SUNDAY_LAST, reason="", count=1, flagged=False, **ENDS)
    withdrawn = SlipWithdrawn(at=SUNDAY_LAST, reason="", **ENDS)
    for fact, numbers in ((returned, (1, 0, 0)), (withdrawn, (0, 1, 0))):
        found = towards_education(*assigned(), fact)
        assert (found.returned, found.withdrawn, found.open) == numbers
        later = fact.model_copy(update={"at": MONDAY_FIRST})
        found = towards_education(*assigned(), later)
        assert (found.returned, found.withdrawn, found.open) == (0, 0, 1)
        before, after = evolved(assigned()), evolved([*assigned(), fact])
        assert changed_cells(before, after) <= set(cells_of(after))


@pytest.mark.parametrize("way", list(Way))
def test_r11_2_dispositions_count_each_slip_sent_by_its_way_for_the_mailbox_that_sent_it(way: Way) -> None:
    sent = HandoffSent(
        at=SENT,
        opinion="",
        requirements="",
        answer_by=AnswerBy.ASSIGNEE,
        written_reply=False,
        prepared_by=ACTOR,
        number=NUMBER,
        way=way,
        **ENDS,
    )
    assert of(received(), sent).ways == {way: 1}
    assert of(received(), sent, mailbox="education").ways == {}


def test_r11_2_open_at_the_end_is_what_was_sent_or_sent_back_and_has_no_reply_then() -> None:
    back = ReplySentBack(at=MONDAY_FIRST, reply_id="r1", reason="", requirements="", count=1, **ENDS)
    assert towards_education(*assigned()).open == 1
    assert towards_education(*assigned(), reply(SUNDAY_LAST)).open == 0
    assert towards_education(*assigned(), reply(MONDAY_FIRST)).open == 1, "answered after the end"
    following = week_of(date(2026, 3, 9))
    assert towards_education(*assigned(), reply(SUNDAY_LAST), back, period=following).open == 1
    assert towards_education(*assigned(), period=week_of(date(2026, 6, 1))).open == 1, "however long ago it was sent"


def test_r11_2_a_letter_is_open_until_it_is_answered_not_accepted_or_noted() -> None:
    assert of(received()).open_letters == 1
    assert of(received(), registered(), answered(MONDAY_FIRST)).open_letters == 1
    done = of(received(), registered(), answered(SUNDAY_LAST))
    assert (done.open_letters, done.finished) == (0, 1)
    discarded = LetterDiscarded(letter_id="l", at=SUNDAY_LAST, reason=InvalidReason.ADVERTISING)
    gone = of(received(), discarded)
    assert (gone.open_letters, gone.finished, gone.discarded) == (0, 1, 1)
    assert of(received(SENT - timedelta(days=90)), period=WEEK).open_letters == 1


def test_r11_2_a_time_to_answer_is_in_working_days_without_the_day_on_which_it_began() -> None:
    # Received on Monday 2 March; Wednesday of the week after is the seventh working day.
    wednesday = datetime(2026, 3, 11, 9, tzinfo=SHANGHAI)
    following = week_of(date(2026, 3, 9))
    assert of(received(), registered(), answered(wednesday), period=following).answer_days == {7: 1}
    assert of(received(), registered(), answered(SENT)).answer_days == {0: 1}
    both = of(received(), *assigned(), reply(SENT + timedelta(days=1)), answered(wednesday), period=WEEK)
    assert (both.reply_days, both.answer_days) == ({1: 1}, {})


def test_r11_2_a_redo_does_not_count_as_a_time_to_reply_again() -> None:
    back = ReplySentBack(at=SENT, reply_id="r1", reason="", requirements="", count=1, **ENDS)
    facts = (*assigned(), reply(SENT), back, reply(SENT + timedelta(days=3)))
    assert of(*facts).reply_days == {0: 1}


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=30))
def test_r11_2_mean_and_median_of_counted_days_are_those_of_the_days(days: list[int]) -> None:
    counted = Counter(days)
    assert mean(counted) == (round(plain_mean(days), 1) if days else None)
    assert median(counted) == (plain_median(days) if days else None)


def test_r11_2_what_a_unit_answered_in_time_is_a_share_of_what_fell_due() -> None:
    assert Handling(answered_in_time=2, became_overdue=1, answered_late=1).timeliness == pytest.approx(2 / 3)
    assert Handling(answered_late=1).timeliness is None
    assert Handling(became_overdue=1).timeliness == 0


def test_r3_3_a_report_s_wait_is_in_no_list_of_open_letters() -> None:
    waiting = evolved([received(), registered()])
    assert open_key(waiting) == "mayor|2026-03-02T02:00:00.000000|YFX-2026-17"
    assert open_key(evolved([received(), registered(), answered(SUNDAY_LAST)])) is None
    about = evolved([received(reported_mailbox="education"), registered()])
    assert open_key(about.model_copy(update={"nature": Nature.REPORT})) is None


def test_r10_2_who_has_a_letter_is_the_last_one_to_whom_it_was_sent_and_who_still_owes_a_reply() -> None:
    row = evolved([received(), registered(), *assigned(), reply(MONDAY_FIRST)])
    assert row.held_by(SENT)[0] == "mayor"
    assert row.held_by(SENT + timedelta(seconds=1))[0] == "education"
    assert row.held_by(MONDAY_FIRST + timedelta(seconds=1))[0] == "mayor"


# ── periods ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(deadline=None)
@given(st.dates(date(2001, 1, 1), date(2040, 12, 31)), st.integers(1, 1_500))
def test_r10_4_a_period_is_cut_into_whole_years_months_and_days_that_follow_each_other(first: date, days: int) -> None:
    period = Period(first, first + timedelta(days=days))
    pieces, whole = split(period)
    ordered = sorted([*pieces, *whole], key=lambda piece: piece.first_day)
    assert ordered[0].first_day == period.first_day
    assert ordered[-1].end_day == period.end_day
    assert all(one.end_day == other.first_day for one, other in pairwise(ordered))
    assert all(piece in (month(piece.first_day), year(piece.first_day.year)) for piece in whole)
    assert len(pieces) <= 2


@pytest.mark.parametrize("number", range(1, 13))
def test_r11_3_months_and_quarters_hold_each_day_once(number: int) -> None:
    day = date(2026, number, 15)
    assert month(day).first_day == date(2026, number, 1)
    assert (month(day).last_day + timedelta(days=1)).day == 1
    assert quarter(day).first_day.month in (1, 4, 7, 10)
    assert quarter(day).first_day <= day < quarter(day).end_day
    assert quarter(day).end_day == quarter(month(day).first_day).end_day
