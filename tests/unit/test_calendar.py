"""Working days (R6.1), the reading clock (R3.1) and business days in Asia/Shanghai."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.calendar.schedules import ScheduleError, YearSchedule, load_schedules
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import SHANGHAI, business_date, end_of_day, start_of_day, week_start

CALENDAR = WorkingCalendar()


def shanghai(text):
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def reply_day(received, working_days=10):
    due = CALENDAR.reply_due(shanghai(received), working_days)
    assert due.at == end_of_day(due.last_day)
    return due.last_day.isoformat()


def reading_day(arrived, calendar=CALENDAR):
    return calendar.reading_due(shanghai(arrived)).last_day.isoformat()


def test_r6_1_the_day_of_receipt_is_not_counted_and_the_tenth_working_day_ends_at_24_00_shanghai():
    due = CALENDAR.reply_due(shanghai("2026-03-02T10:00"))
    assert due.at == datetime(2026, 3, 16, 16, 0, tzinfo=UTC)
    assert due.at.astimezone(SHANGHAI) == shanghai("2026-03-17T00:00")
    assert due.last_day == date(2026, 3, 16)
    assert due.at.tzinfo is UTC
    assert not due.provisional


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2024-02-01T09:00", "2024-02-20"),  # off 10–17 February; Sundays 4 and 18 February worked
        ("2025-01-20T09:00", "2025-02-08"),  # off 28 January–4 February; 26 January and 8 February worked
        ("2026-02-06T09:00", "2026-02-27"),  # off 15–23 February; Saturday 14 February worked
        ("2026-02-13T17:59", "2026-03-05"),  # Saturdays 14 and 28 February worked
    ],
)
def test_r6_1_spring_festival_and_its_make_up_weekends_are_counted(received, due):
    assert reply_day(received) == due


@pytest.mark.parametrize(
    "day", ["2024-02-04", "2024-02-18", "2025-01-26", "2025-02-08", "2026-02-14", "2026-02-28", "2026-10-10"]
)
def test_r6_1_a_make_up_weekend_is_a_working_day(day):
    assert CALENDAR.is_working_day(date.fromisoformat(day))


@pytest.mark.parametrize("day", ["2024-02-09", "2025-10-08", "2026-01-02", "2026-02-23", "2026-06-19", "2026-03-01"])
def test_r6_1_holidays_and_plain_weekends_are_not(day):
    expected = day == "2024-02-09"  # New Year's Eve 2024 was not a public holiday
    assert CALENDAR.is_working_day(date.fromisoformat(day)) is expected


def test_r6_1_what_arrives_a_second_before_midnight_in_shanghai_belongs_to_that_day():
    assert reply_day("2026-03-02T23:59:59") == "2026-03-16"
    assert reply_day("2026-03-03T00:00:00") == "2026-03-17"
    assert business_date(datetime(2026, 3, 2, 16, 0, tzinfo=UTC)) == date(2026, 3, 3)


def test_r6_1_what_arrives_at_a_weekend_counts_from_the_next_working_day():
    assert reply_day("2026-03-07T12:00") == reply_day("2026-03-06T12:00") == "2026-03-20"


def test_r6_1_the_count_goes_on_over_the_end_of_a_year():
    assert reply_day("2025-12-22T09:00") == "2026-01-06"  # off 1–3 January, Sunday 4 January worked


def test_r6_1_another_number_of_working_days_can_be_asked_for():
    assert reply_day("2026-03-02T10:00", 1) == "2026-03-03"
    for wrong in (0, -1, 1001):
        with pytest.raises(ValueError, match=r"R6\.1"):
            CALENDAR.reply_due(shanghai("2026-03-02T10:00"), wrong)


def test_r6_1_a_year_without_a_schedule_counts_monday_to_friday_and_is_provisional():
    due = CALENDAR.reply_due(shanghai("2027-03-01T10:00"))
    assert due.last_day == date(2027, 3, 15)
    assert due.provisional
    assert CALENDAR.is_working_day(date(2027, 1, 1))
    crossing = CALENDAR.reply_due(shanghai("2026-12-24T10:00"))
    assert crossing.last_day == date(2027, 1, 7)
    assert crossing.provisional


def test_r6_1_the_last_week_of_december_waits_for_the_next_years_schedule():
    assert not CALENDAR.reply_due(shanghai("2026-12-10T10:00")).provisional
    assert CALENDAR.reply_due(shanghai("2026-12-11T10:00"), 11).provisional
    assert not CALENDAR.is_provisional(date(2025, 12, 31))
    assert CALENDAR.is_provisional(date(2026, 12, 25))


def test_r6_1_a_schedule_that_arrives_moves_the_due_date_and_makes_it_final():
    holidays = frozenset(date(2027, 2, 5) + timedelta(days=offset) for offset in range(8))
    schedule = YearSchedule(2027, holidays, frozenset({date(2027, 1, 31), date(2027, 2, 13)}))
    received = shanghai("2027-01-29T10:00")
    assert CALENDAR.reply_due(received).last_day == date(2027, 2, 12)
    due = WorkingCalendar([schedule]).reply_due(received)
    assert due.last_day == date(2027, 2, 18)
    assert not due.provisional


def test_r6_1_a_schedule_file_replaces_what_the_library_says_for_its_year_and_may_reach_into_december():
    calendar = WorkingCalendar([YearSchedule(2026, frozenset(), frozenset())])
    assert calendar.is_working_day(date(2026, 10, 1))
    reaching = WorkingCalendar([YearSchedule(2027, frozenset({date(2026, 12, 31)}), frozenset({date(2026, 12, 27)}))])
    assert not reaching.is_working_day(date(2026, 12, 31))
    assert reaching.is_working_day(date(2026, 12, 27))
    assert not reaching.is_working_day(date(2026, 10, 1))


def test_r3_1_a_letter_in_working_hours_must_be_read_by_the_end_of_that_working_day():
    due = CALENDAR.reading_due(shanghai("2026-03-02T09:00"))
    assert due.at == shanghai("2026-03-03T00:00")
    assert reading_day("2026-03-02T17:59:59") == "2026-03-02"
    assert reading_day("2026-02-14T11:00") == "2026-02-14"  # a make-up Saturday


@pytest.mark.parametrize(
    ("arrived", "read_by"),
    [
        ("2026-03-02T07:00", "2026-03-02"),  # the next working day to begin is this one
        ("2026-03-02T18:00", "2026-03-03"),
        ("2026-03-02T23:59", "2026-03-03"),
        ("2026-03-06T20:00", "2026-03-09"),
        ("2026-03-07T10:00", "2026-03-09"),
        ("2026-02-14T19:00", "2026-02-24"),  # over Spring Festival
        ("2026-12-31T19:00", "2027-01-01"),
    ],
)
def test_r3_1_any_other_letter_must_be_read_by_the_end_of_the_next_working_day(arrived, read_by):
    assert reading_day(arrived) == read_by


def test_r3_1_working_hours_can_be_set():
    calendar = WorkingCalendar(opening=time(8, 30), closing=time(17, 0))
    assert reading_day("2026-03-02T17:30", calendar) == "2026-03-03"
    assert calendar.in_working_hours(shanghai("2026-03-02T08:30"))
    assert not CALENDAR.in_working_hours(shanghai("2026-03-02T08:30"))
    assert not CALENDAR.in_working_hours(shanghai("2026-03-01T10:00"))
    with pytest.raises(ValueError, match="end before they begin"):
        WorkingCalendar(opening=time(18), closing=time(9))


def test_working_days_between_two_days_count_the_last_but_not_the_first():
    assert CALENDAR.working_days_between(date(2026, 3, 2), date(2026, 3, 2)) == 0
    assert CALENDAR.working_days_between(date(2026, 3, 2), date(2026, 3, 16)) == 10
    assert CALENDAR.working_days_between(date(2026, 3, 6), date(2026, 3, 8)) == 0
    assert CALENDAR.working_days_between(date(2026, 3, 16), date(2026, 3, 2)) == -10


@given(st.dates(date(2004, 1, 1), date(2028, 12, 31)), st.integers(1, 60))
def test_adding_working_days_and_counting_them_agree(start, days):
    end, _ = CALENDAR.add_working_days(start, days)
    assert CALENDAR.is_working_day(end)
    assert CALENDAR.working_days_between(start, end) == days


def test_business_days_and_weeks_are_those_of_shanghai():
    assert start_of_day(date(2026, 3, 2)) == datetime(2026, 3, 1, 16, 0, tzinfo=UTC)
    assert week_start(date(2026, 3, 8)) == week_start(date(2026, 3, 2)) == date(2026, 3, 2)
    with pytest.raises(ValueError, match="no time zone"):
        business_date(datetime(2026, 3, 2))  # noqa: DTZ001


def test_schedules_are_loaded_from_a_folder_in_the_order_of_years(tmp_path):
    (tmp_path / "b.yaml").write_text("year: 2028\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        "year: 2027\nholidays: [2027-01-01, 2026-12-31]\nworking: [2027-01-03]\n", encoding="utf-8"
    )
    later, latest = load_schedules(tmp_path)
    assert later == YearSchedule(2027, frozenset({date(2027, 1, 1), date(2026, 12, 31)}), frozenset({date(2027, 1, 3)}))
    assert latest.year == 2028


def test_malformed_schedules_are_refused_with_every_mistake(tmp_path):
    (tmp_path / "a.yaml").write_text("holidays: []\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(
        "year: 2027\nholiday: []\nholidays: [2027-01-02, soon, 2028-01-01]\nworking: [2027-01-02, 2027-01-04]\n",
        encoding="utf-8",
    )
    (tmp_path / "c.yaml").write_text("year: [", encoding="utf-8")
    (tmp_path / "d.yaml").write_text("year: 2030\n", encoding="utf-8")
    (tmp_path / "e.yaml").write_text("year: 2030\nholidays: 5\n", encoding="utf-8")
    (tmp_path / "f.yaml").write_text("year: 2030\n", encoding="utf-8")
    with pytest.raises(ScheduleError) as refused:
        load_schedules(tmp_path)
    for text in (
        "a.yaml: year is missing",
        "b.yaml: holiday is not a field",
        "'soon' is not a date",
        "2028-01-01 lies outside 2027",
        "2027-01-04 is no Saturday or Sunday",
        "2027-01-02 is listed both",
        "c.yaml: cannot be read",
        "e.yaml: holidays must be a list",
        "year 2030 has two files",
    ):
        assert text in str(refused.value)
    with pytest.raises(ScheduleError, match="does not exist"):
        load_schedules(tmp_path / "none")
