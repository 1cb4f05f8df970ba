"""The notice board at one moment (R7.2, R7.4)."""

from datetime import datetime, timedelta

import pytest

from services.publication.board import CHANGES, Handoff
from services.publication.board_view import board_at
from services.publication.domain import Case
from services.publication.repository import Notice, _fields
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import LetterPublished, NoticePosted, NoticeRemoved
from shared.contracts.types import Actor
from shared.directory import load_directory
from tests.component.test_publication import number
from tests.conftest import DATA

CALENDAR = WorkingCalendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+08:00")


def notice(mailbox: str, due_at: datetime, serial: int = 1, for_what: str = "urged") -> Notice:
    return Notice(
        number=f"YFX-2026-{serial}",
        number_text=f"渝府信〔2026〕{serial}号",
        mailbox=mailbox,
        due_at=due_at,
        urged=1,
        sent_back=for_what == "sent_back",
        for_what=for_what,
    )


def board(now: datetime, *notices: Notice):
    return board_at(now, sorted(notices, key=lambda one: one.due_at), CALENDAR, str.upper)


@pytest.mark.parametrize(
    ("now", "days"),
    [
        ("2026-09-30T00:00:00", 1),  # Wednesday, the first day after the limit
        ("2026-09-30T23:59:59", 1),
        ("2026-10-04T12:00:00", 1),  # National Day
        ("2026-10-08T00:00:00", 2),
        ("2026-10-10T09:00:00", 4),  # a Saturday that is worked
        ("2026-10-11T09:00:00", 4),
    ],
)
def test_r7_2_working_days_overdue_follow_the_holiday_schedule(now, days):
    shown = board(at(now), notice("water", at("2026-09-30T00:00:00")))
    assert shown.entries[0].overdue_working_days == days


def test_r7_2_the_board_says_when_the_next_working_days_begin_across_a_holiday():
    now = at("2026-09-30T10:00:00")
    begun = board(now, notice("water", at("2026-09-30T00:00:00"))).working_days_begin
    assert begun[:4] == [at(f"2026-10-{day}T00:00:00") for day in ("08", "09", "10", "12")]
    for moment in begun:
        just_before = board(moment - timedelta(seconds=1), notice("water", now)).entries[0].overdue_working_days
        assert board(moment, notice("water", now)).entries[0].overdue_working_days == just_before + 1


def test_r7_4_a_redo_that_is_not_due_yet_counts_nothing():
    shown = board(at("2026-09-28T10:00:00"), notice("water", at("2026-09-30T00:00:00"), for_what="sent_back"))
    assert (shown.entries[0].overdue_seconds, shown.entries[0].overdue_working_days) == (0, 0)
    assert (shown.urged, shown.sent_back) == (0, 1)


def test_r7_2_units_are_summed_the_most_letters_first_then_the_longest_late():
    due = at("2026-09-01T00:00:00")
    shown = board(
        due + timedelta(days=10),
        notice("water", due, 1),
        notice("gas", due + timedelta(days=1), 2, "sent_back"),
        notice("gas", due + timedelta(days=2), 3),
        notice("heat", due - timedelta(days=1), 4),
    )
    assert [entry.number for entry in shown.entries] == ["YFX-2026-4", "YFX-2026-1", "YFX-2026-2", "YFX-2026-3"]
    assert [(unit.unit, unit.count, unit.urged, unit.sent_back) for unit in shown.units] == [
        ("GAS", 2, 1, 1),
        ("HEAT", 1, 1, 0),
        ("WATER", 1, 1, 0),
    ]
    assert shown.units[0].longest_seconds == 9 * 86400


def test_r7_2_the_board_lists_five_hundred_and_counts_all():
    due = at("2026-09-01T00:00:00")
    shown = board(due, *(notice("water", due, serial) for serial in range(1, 503)))
    assert (len(shown.entries), shown.total, shown.units[0].count) == (500, 502, 502)


def test_r7_2_the_board_names_a_subject_only_once_it_was_approved_and_never_a_reported_unit():
    due = at("2026-03-17T00:00:00")
    directory = load_directory(DATA / "directory.yaml")
    handoff = Handoff(id="s1", sender="mayor", receiver="education", due_at=due, urged=2, posted_at=due)
    case = Case(letter_id="l", number=number(1), handoffs=(handoff,))
    (plain,) = _fields(case, directory)["notices"]
    assert plain["subject"] is None
    assert plain["posted_at"] is not None
    approved = LetterPublished(
        letter_id="l",
        at=due,
        mailbox="education",
        number=number(1),
        subject="校门口缺少斑马线",
        body="请设置。",
        reply="已设置。",
        text_hash="0" * 64,
        prepared_by=Actor(subject="a", mailbox="education"),
    )
    public = case.model_copy(update={"approved": approved})
    (named,) = _fields(public, directory)["notices"]
    assert named["subject"] == "校门口缺少斑马线"
    entry = board(due, Notice.model_validate(named)).entries[0]
    assert (entry.subject, entry.address) == ("校门口缺少斑马线", "/public/letters/YFX-2026-1")
    assert _fields(public.model_copy(update={"reported_mailbox": "education"}), directory)["notices"] is None
    about_another = public.model_copy(update={"reported_mailbox": "water"})
    (unnamed,) = _fields(about_another, directory)["notices"]
    assert unnamed["subject"] is None


def test_r7_2_every_posting_stays_in_the_record():
    handoff = Handoff(id="s1", sender="mayor", receiver="education")
    due = at("2026-03-17T00:00:00")
    for day, for_what in ((1, "urged"), (9, "sent_back")):
        common = {"letter_id": "l", "handoff_id": "s1", "receiver": "education"}
        posted = NoticePosted(**common, at=due + timedelta(days=day), number=number(1), due_at=due, for_what=for_what)
        removed = NoticeRemoved(**common, at=due + timedelta(days=day + 2))
        for fact in (posted, removed):
            handoff = handoff.model_copy(update=dict(CHANGES[type(fact)](handoff, fact)))
    stood = [(one.for_what, (one.removed_at or one.posted_at) - one.posted_at) for one in handoff.postings]
    assert stood == [("urged", timedelta(days=2)), ("sent_back", timedelta(days=2))]
