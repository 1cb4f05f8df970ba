"""When the State Council's schedule of a year becomes known or changes, open due dates follow (R6.1)."""

from datetime import date

import pytest

from services.deadline.state import Why
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.schedules import YearSchedule
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import LetterRead, ReplyDueChanged, ReplyOverdue, UrgingDue
from tests.deadline_stories import (
    LETTER,
    RULES,
    Story,
    approved,
    asked,
    at,
    decided,
    kinds,
    received,
    sent,
)

OFF = frozenset(date(2027, 1, day) for day in (1, 2, 3))
NEW = rules_of(WorkingCalendar([YearSchedule(2027, OFF, frozenset({date(2027, 1, 9)}))]), Settings())
"""1 to 3 January 2027 off, Saturday 9 January worked instead."""
NOW = at("2026-12-28 09:00")


def changes(story: Story) -> list[ReplyDueChanged]:
    return [fact for fact in story.recomputed(NEW, NOW) if isinstance(fact, ReplyDueChanged)]


def test_r6_1_an_announced_schedule_moves_open_due_dates_and_says_from_what_to_what_and_why() -> None:
    story = Story(sent(at("2026-12-24 09:00")))
    assert story.clock().provisional
    (fact,) = changes(story)
    assert (fact.before, fact.due_at) == (at("2027-01-08 00:00"), at("2027-01-09 00:00"))
    assert (fact.why, fact.provisional, fact.working_days) == (Why.SCHEDULE, False, 10)
    assert "国务院2027年" in fact.detail
    assert changes(story) == []


def test_r6_1_a_provisional_date_that_stays_becomes_firm() -> None:
    story = Story(sent(at("2026-12-11 09:00")))
    (fact,) = changes(story)
    assert fact.before == fact.due_at == at("2026-12-26 00:00")
    assert not fact.provisional
    assert not story.clock().provisional


def test_r6_1_a_date_that_no_schedule_touches_stays_as_it_was_declared() -> None:
    assert changes(Story(sent(at("2026-12-01 09:00")))) == []


def test_r6_1_answered_letters_keep_the_due_date_they_were_answered_under() -> None:
    assert changes(Story(sent(at("2026-12-24 09:00")), approved(at("2026-12-25 09:00")))) == []


def test_r6_4_what_was_granted_is_not_counted_again() -> None:
    wanted = at("2027-01-16 00:00")
    story = Story(
        sent(at("2026-12-24 09:00")), asked(at("2026-12-25 09:00"), wanted), decided(at("2026-12-25 10:00"), wanted)
    )
    assert changes(story) == []
    assert story.clock().due_at == wanted


def test_r6_1_overdue_is_declared_once_for_each_due_moment_however_often_schedules_change() -> None:
    first, second = at("2027-01-08 00:00"), at("2027-01-09 00:00")
    story = Story(sent(at("2026-12-24 09:00")))
    story.swept(first)
    moved = story.recomputed(NEW, at("2027-01-08 09:00"))
    assert UrgingDue not in kinds(story.swept(at("2027-01-08 10:00"))), "it is not late any more"
    story.swept(second)
    moved += story.recomputed(RULES, at("2027-01-09 11:00"))
    assert [fact.due_at for fact in moved if isinstance(fact, ReplyDueChanged)] == [second, first]
    story.swept(at("2027-01-20 00:00"))
    assert [fact.due_at for fact in story.own if isinstance(fact, ReplyOverdue)] == [first, second]


def test_r3_1_the_reading_clock_follows_the_schedule_without_a_fact() -> None:
    story = Story(received(at("2026-12-31 18:30")))
    assert story.next_at == at("2027-01-02 00:00")
    assert story.recomputed(NEW, NOW) == []
    assert story.next_at == at("2027-01-05 00:00")
    story.happens(LetterRead(letter_id=LETTER, at=at("2027-01-04 09:00")))
    assert story.next_at is None


@pytest.mark.parametrize(
    ("files", "first", "last", "years"),
    [
        ((), date(2026, 3, 2), date(2026, 3, 16), (2026,)),
        ((), date(2026, 12, 24), date(2027, 1, 7), (2026, 2027)),
        ((2027,), date(2026, 12, 24), date(2027, 1, 7), (2027,)),
        ((2027,), date(2026, 12, 1), date(2026, 12, 28), (2027,)),
        ((2026, 2027), date(2026, 3, 2), date(2026, 3, 16), (2026,)),
    ],
)
def test_the_schedules_named_are_those_that_can_have_changed(
    files: tuple[int, ...], first: date, last: date, years: tuple[int, ...]
) -> None:
    calendar = WorkingCalendar([YearSchedule(year, frozenset(), frozenset()) for year in files])
    assert calendar.schedule_years(first, last) == years


def test_a_calendar_is_known_by_its_schedules() -> None:
    plain, again = WorkingCalendar(), WorkingCalendar()
    announced = WorkingCalendar([YearSchedule(2027, OFF, frozenset())])
    corrected = WorkingCalendar([YearSchedule(2027, OFF - {date(2027, 1, 3)}, frozenset())])
    empty = WorkingCalendar([YearSchedule(2027, frozenset(), frozenset())])
    assert plain.fingerprint == again.fingerprint
    assert len({calendar.fingerprint for calendar in (plain, announced, corrected, empty)}) == 4
