"""Due dates counted by hand on the State Council's published schedules, case by case (R1.4, R3.1, R6.1, R6.4, R7.3).

Off, and worked instead (调休):

    2024  Spring Festival 10–17 Feb, worked Sun 4 and Sun 18 Feb · Labour Day 1–5 May, worked Sun 28 Apr and Sat 11 May ·
          Mid-Autumn 15–17 Sep, worked Sat 14 Sep · National Day 1–7 Oct, worked Sun 29 Sep and Sat 12 Oct
    2025  New Year 1 Jan · Spring Festival 28 Jan–4 Feb, worked Sun 26 Jan and Sat 8 Feb ·
          National Day and Mid-Autumn 1–8 Oct, worked Sun 28 Sep and Sat 11 Oct
    2026  New Year 1–3 Jan, worked Sun 4 Jan · Spring Festival 15–23 Feb, worked Sat 14 and Sat 28 Feb · Qingming 4–6 Apr ·
          Labour Day 1–5 May, worked Sat 9 May · Dragon Boat 19–21 Jun · Mid-Autumn 25–27 Sep ·
          National Day 1–7 Oct, worked Sun 20 Sep and Sat 10 Oct
    2027  not announced: Monday to Friday, provisional

Only what the cases meet is listed. A day stands for its end, 24:00 in Chongqing; one with a question mark is provisional. In the reasons
`*` marks a make-up day and `|` days off in between.
"""

from datetime import date, timedelta
from typing import Any

import pytest

from services.deadline.domain import limit
from services.deadline.state import Kind
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.schedules import YearSchedule
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import business_date, end_of_day
from tests.deadline_stories import Story, approved, asked, at, decided, received, registered, sent, sent_back

# case, start moment, what happens, due, why
CASES = [
    # Spring Festival 2024
    ("Thursday before", "2024-02-01 09:00", "assigned", "2024-02-20", "2 4* 5 6 7 8 9 | 18* 19 20 Feb"),
    ("its last working day", "2024-02-09 09:00", "assigned", "2024-02-29", "18* 19 20 21 22 23 26 27 28 29 Feb"),
    ("its first day off", "2024-02-10 09:00", "assigned", "2024-02-29", "a day off counts like the evening before"),
    ("its last day off", "2024-02-17 23:59", "assigned", "2024-02-29", "the make-up Sunday after it is the first day"),
    ("its make-up Sunday", "2024-02-18 00:01", "assigned", "2024-03-01", "19–23, 26–29 Feb, 1 Mar"),
    ("before, a make-up Sunday", "2024-02-04 11:00", "assigned", "2024-02-22", "5 6 7 8 9 | 18* 19 20 21 22 Feb"),
    # Spring Festival 2025
    ("a week before", "2025-01-20 09:00", "assigned", "2025-02-08", "21–24 26* 27 Jan | 5 6 7 8* Feb"),
    ("its make-up Sunday", "2025-01-26 09:00", "assigned", "2025-02-14", "27 Jan | 5 6 7 8* 10–14 Feb"),
    ("the day before", "2025-01-27 17:59", "assigned", "2025-02-17", "5 6 7 8* 10–14 17 Feb"),
    ("in the middle", "2025-01-31 12:00", "assigned", "2025-02-17", "as the day before it"),
    ("its make-up Saturday", "2025-02-08 09:00", "assigned", "2025-02-21", "10–14, 17–21 Feb"),
    # Spring Festival 2026
    ("Friday a week before", "2026-02-06 09:00", "assigned", "2026-02-27", "9–13 14* | 24–27 Feb"),
    ("Friday before", "2026-02-13 17:59", "assigned", "2026-03-05", "14* | 24–27 28* Feb, 2–5 Mar"),
    ("its make-up Saturday", "2026-02-14 17:59", "assigned", "2026-03-06", "24–27 28* Feb, 2–6 Mar"),
    ("New Year's Day", "2026-02-17 00:01", "assigned", "2026-03-06", "as before it"),
    ("the second make-up Saturday", "2026-02-28 09:00", "assigned", "2026-03-13", "2–6, 9–13 Mar"),
    # National Day and other weeks
    ("National Day 2024", "2024-09-26 09:00", "assigned", "2024-10-15", "27 29* 30 Sep | 8–11 12* 14 15 Oct"),
    ("Mid-Autumn 2024", "2024-09-13 09:00", "assigned", "2024-09-29", "14* | 18 19 20 23–27 29* Sep"),
    ("National Day 2025", "2025-09-24 09:00", "assigned", "2025-10-14", "25 26 28* 29 30 Sep | 9 10 11* 13 14 Oct"),
    ("eve of National Day 2025", "2025-09-30 23:59", "assigned", "2025-10-21", "9 10 11* 13–17 20 21 Oct"),
    ("both festivals of 2026", "2026-09-18 09:00", "assigned", "2026-10-09", "20* 21–24 | 28 29 30 Sep | 8 9 Oct"),
    ("eve of National Day 2026", "2026-09-30 09:00", "assigned", "2026-10-20", "8 9 10* 12–16 19 20 Oct"),
    ("Labour Day 2024", "2024-04-26 09:00", "assigned", "2024-05-13", "28* 29 30 Apr | 6–10 11* 13 May"),
    ("Labour Day 2026", "2026-04-30 09:00", "assigned", "2026-05-18", "6 7 8 9* 11–15 18 May"),
    ("Qingming 2026", "2026-04-03 09:00", "assigned", "2026-04-20", "7–10 13–17 20 Apr; Monday 6 is off"),
    ("Dragon Boat 2026", "2026-06-12 09:00", "assigned", "2026-06-29", "15–18 | 22–26 29 Jun; Friday 19 is off"),
    # the edges of a day and a week
    ("a minute before midnight", "2026-03-02 23:59", "assigned", "2026-03-16", "received on Monday 2"),
    ("a minute after midnight", "2026-03-03 00:01", "assigned", "2026-03-17", "received on Tuesday 3"),
    ("Friday evening", "2026-03-06 23:59", "assigned", "2026-03-20", "9–13, 16–20 Mar"),
    ("Sunday", "2026-03-08 12:00", "assigned", "2026-03-20", "no working day between Friday and Monday"),
    ("a limit of its own", "2026-02-13 09:00", "assigned for 5 days", "2026-02-27", "14* | 24 25 26 27 Feb"),
    ("given to a department", "2026-02-13 09:00", "given to a department", "2026-03-05", "R4.1: the same ten days"),
    # year ends
    ("2024 → 2025", "2024-12-20 09:00", "assigned", "2025-01-06", "23–27 30 31 Dec | 2 3 6 Jan"),
    ("2025 → 2026", "2025-12-22 09:00", "assigned", "2026-01-06", "23–26 29–31 Dec | 4* 5 6 Jan"),
    ("just before the end of 2026", "2026-12-10 09:00", "assigned", "2026-12-24", "11 14–18 21–24 Dec: nothing open"),
    ("the last week of 2026", "2026-12-11 09:00", "assigned", "2026-12-25?", "the schedule of 2027 may reach into it"),
    ("2026 → 2027", "2026-12-24 09:00", "assigned", "2027-01-07?", "25 28–31 Dec, 1 4–7 Jan as plain weekdays"),
    ("2027 announced", "2026-12-24 09:00", "assigned; 2027 announced", "2027-01-08", "1 Jan is off, so one day later"),
    ("2027 announced, unmoved", "2026-12-11 09:00", "assigned; 2027 announced", "2026-12-25", "the same day, now firm"),
    # reading (R3.1)
    ("a minute before closing", "2026-03-02 17:59", "received", "2026-03-02", "that working day"),
    ("closing time", "2026-03-02 18:00", "received", "2026-03-03", "the next working day"),
    ("a minute after closing", "2026-03-02 18:01", "received", "2026-03-03", "the next working day"),
    ("a minute before midnight", "2026-03-02 23:59", "received", "2026-03-03", "the next working day"),
    ("a minute after midnight", "2026-03-03 00:01", "received", "2026-03-03", "the working day that has yet to begin"),
    ("Friday after closing", "2026-03-06 18:01", "received", "2026-03-09", "Monday"),
    ("make-up Saturday in hours", "2026-02-14 17:59", "received", "2026-02-14", "a working day like another"),
    ("make-up Saturday after hours", "2026-02-14 18:01", "received", "2026-02-24", "after the festival"),
    ("New Year's Eve 2024, in hours", "2024-02-09 17:59", "received", "2024-02-09", "not a day off in 2024"),
    ("New Year's Eve 2024, after hours", "2024-02-09 18:01", "received", "2024-02-18", "the make-up Sunday"),
    ("the last evening of 2026", "2026-12-31 18:01", "received", "2027-01-01?", "not known yet to be a day off"),
    # disposition (R1.4)
    ("three working days", "2026-03-02 09:30", "registered", "2026-03-05", "3 4 5 Mar"),
    ("over the festival", "2026-02-13 09:30", "registered", "2026-02-25", "14* | 24 25 Feb"),
    # extension (R6.4)
    ("granted", "2026-02-06 09:00", "assigned; 2026-02-26 10:00 extended to 2026-03-13", "2026-03-13", "as wanted"),
    ("refused", "2026-02-06 09:00", "assigned; 2026-02-26 10:00 extension refused", "2026-02-27", "as before"),
    (
        "granted over a festival",
        "2026-09-18 09:00",
        "assigned; 2026-09-28 10:00 extended to 2026-10-23",
        "2026-10-23",
        "a date",
    ),
    (
        "granted and 2027 announced",
        "2026-12-24 09:00",
        "assigned; 2026-12-30 10:00 extended to 2027-01-15; 2027 announced",
        "2027-01-15",
        "what was granted is not counted again",
    ),
    # sending back (R7.3)
    (
        "before Spring Festival",
        "2026-02-06 09:00",
        "assigned; 2026-02-11 10:00 replied; 2026-02-13 16:00 sent back",
        "2026-03-05",
        "the day of the send-back is not counted: 14* | 24–27 28* Feb, 2–5 Mar",
    ),
    (
        "a minute before midnight",
        "2026-03-02 09:00",
        "assigned; 2026-03-16 10:00 replied; 2026-03-16 23:59 sent back",
        "2026-03-30",
        "17–20 23–27 30 Mar",
    ),
    (
        "a minute after midnight",
        "2026-03-02 09:00",
        "assigned; 2026-03-16 10:00 replied; 2026-03-17 00:01 sent back",
        "2026-03-31",
        "18–20 23–27 30 31 Mar",
    ),
    (
        "a limit of its own over National Day",
        "2026-09-18 09:00",
        "assigned; 2026-09-29 10:00 replied; 2026-09-30 10:00 sent back for 3 days",
        "2026-10-10",
        "8 9 10* Oct",
    ),
    (
        "after an extension",
        "2026-03-02 09:00",
        "assigned; 2026-03-12 10:00 extended to 2026-03-20; 2026-03-18 10:00 replied; 2026-03-19 10:00 sent back",
        "2026-04-02",
        "20 23–27 30 31 Mar, 1 2 Apr: what was granted is used up",
    ),
    (
        "and then extended",
        "2026-03-02 09:00",
        "assigned; 2026-03-13 10:00 replied; 2026-03-16 10:00 sent back; 2026-03-25 10:00 extended to 2026-04-10",
        "2026-04-10",
        "as granted",
    ),
    (
        "into 2027, then announced",
        "2026-12-01 09:00",
        "assigned; 2026-12-14 10:00 replied; 2026-12-24 10:00 sent back; 2027 announced",
        "2027-01-08",
        "25 28–31 Dec | 4–8 Jan",
    ),
]

NEW_YEAR_2027 = YearSchedule(2027, frozenset(date(2027, 1, day) for day in (1, 2, 3)), frozenset())
"""Invented, for these cases."""


def story_of(start: str, events: str) -> Story:
    """Let happen what the table says."""
    first, *later = events.split("; ")
    story = Story(*_first(first, at(start)))
    for event in later:
        if event == "2027 announced":
            announced = rules_of(WorkingCalendar([NEW_YEAR_2027]), Settings())
            story.recomputed(announced, at("2026-12-31 09:00"))
        else:
            story.happens(*_later(event[17:], at(event[:16]), story))
    return story


def _first(event: str, start: Any) -> list[Any]:
    match event:
        case "received":
            return [received(start)]
        case "registered":
            return [received(start), registered(start)]
        case "assigned for 5 days":
            return [sent(start, days=5)]
        case "given to a department":
            return [sent(start, receiver="mayor-office")]
        case "assigned":
            return [sent(start)]
    raise AssertionError(event)


def _later(event: str, moment: Any, story: Story) -> list[Any]:
    match event.rpartition(" "):
        case ("", _, "replied"):
            return [approved(moment)]
        case ("sent", _, "back"):
            return [sent_back(moment)]
        case ("sent back for 3", _, "days"):
            return [sent_back(moment, days=3)]
        case ("extension", _, "refused"):
            return [asked(moment, moment + timedelta(days=30)), decided(moment + timedelta(hours=1), None)]
        case ("extended to", _, day):
            granted = end_of_day(date.fromisoformat(day))
            return [asked(moment, granted), decided(moment + timedelta(hours=1), granted)]
    raise AssertionError(event)


KINDS = {"received": Kind.READING, "registered": Kind.DISPOSITION}


@pytest.mark.parametrize(
    ("start", "events", "day"), [pytest.param(*c[1:4], id=f"{c[2].split('; ')[-1]}: {c[0]} ({c[1]})") for c in CASES]
)
def test_r6_1_due_dates_are_those_counted_by_hand(start: str, events: str, day: str) -> None:
    story = story_of(start, events)
    kind = KINDS.get(events, Kind.REPLY)
    assert story.state is not None
    (clock,) = (clock for clock in story.state.running() if clock.kind is kind)
    due = limit(clock, story.rules)
    assert due is not None
    assert due.at == end_of_day(date.fromisoformat(day.rstrip("?"))), business_date(due.at - timedelta(milliseconds=1))
    assert due.provisional is day.endswith("?")


def test_the_table_has_every_case_once_and_says_why() -> None:
    assert len(CASES) >= 40
    assert len({case[1:3] for case in CASES}) == len(CASES)
