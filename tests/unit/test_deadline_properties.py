"""However often somebody looks at a clock, lateness is declared once and for the same moment (`test_whole_handling.py` walks the rest)."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.deadline.handlers import domain
from services.deadline.state import Clocks
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.envelope import attributes, pack_fact
from shared.contracts.facts import (
    DispositionOverdue,
    Fact,
    LetterDiscarded,
    LetterNoted,
    LetterRead,
    ReadingOverdue,
    ReplyDueSet,
    ReplyOverdue,
)
from shared.contracts.types import InvalidReason
from shared.messaging.arrivals import Arrivals
from shared.messaging.parking import Message, Queue
from shared.storage import Stored
from tests.deadline_stories import (
    DUE,
    LETTER,
    RULES,
    SENT,
    Story,
    answered,
    approved,
    at,
    kinds,
    received,
    registered,
    sent,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.sampled_from([None, 1, 7, 15]), st.integers(1, 40))
def test_a_clock_looked_at_every_few_hours_and_one_looked_at_once_agree_on_lateness(
    start: int, days: int | None, hours: int
) -> None:
    begun = SENT + timedelta(hours=start)
    often, once = Story(sent(begun, days=days)), Story(sent(begun, days=days))
    end = begun + timedelta(days=45)
    now = begun
    while now < end:
        often.swept(now)
        now += timedelta(hours=hours)
    often.swept(end)
    once.swept(end)
    late = [[fact.due_at for fact in story.own if isinstance(fact, ReplyOverdue)] for story in (often, once)]
    assert late[0] == late[1]
    assert len(late[0]) == 1


# ── a clock that stopped before anybody looked ───────────────────────────────────────────────────────────────────────

MIDNIGHT = at("2026-03-03 00:00")
"""The end of the reading day of a letter of Monday morning."""


def read(moment: datetime) -> Fact:
    return LetterRead(letter_id=LETTER, at=moment)


@pytest.mark.parametrize(
    "end",
    [
        read,
        registered,
        lambda moment: LetterDiscarded(letter_id=LETTER, at=moment, reason=InvalidReason.ADVERTISING),
        lambda moment: LetterNoted(letter_id=LETTER, at=moment),
    ],
    ids=["read", "registered", "discarded", "noted"],
)
def test_r3_1_a_letter_dealt_with_too_late_before_anybody_looked_is_declared_overdue_once(end: Any) -> None:
    story = Story(received(), end(MIDNIGHT))
    (fact,) = story.own
    assert isinstance(fact, ReadingOverdue)
    assert (fact.mailbox, fact.due_at, fact.at) == ("mayor", MIDNIGHT, MIDNIGHT)
    story.happens(registered(MIDNIGHT + timedelta(hours=9)), sent(MIDNIGHT + timedelta(hours=10)))
    story.swept(at("2026-06-01 00:00"))
    assert kinds(story.own).count(ReadingOverdue) == 1
    assert Story(received(), end(MIDNIGHT - timedelta(milliseconds=1))).own == []


@pytest.mark.parametrize("end", [sent, answered, lambda moment: LetterNoted(letter_id=LETTER, at=moment)])
def test_r1_4_a_letter_disposed_of_too_late_before_anybody_looked_is_declared_overdue_once(end: Any) -> None:
    limit = at("2026-03-06 00:00")
    story = Story(received(), registered(), end(limit))
    assert isinstance(story.own[0], DispositionOverdue)
    assert (story.own[0].mailbox, story.own[0].due_at) == ("mayor", limit)
    story.swept(at("2026-06-01 00:00"))
    assert kinds(story.own).count(DispositionOverdue) == 1
    assert DispositionOverdue not in kinds(Story(received(), registered(), end(limit - timedelta(seconds=1))).own)


def test_r3_1_what_was_read_in_time_stays_so_however_the_working_hours_are_set_later() -> None:
    """By the hours that come later, Monday 19:00 is in working hours, and Tuesday is too late."""
    story = Story(received(at("2026-03-02 19:00")), read(at("2026-03-03 10:00")))
    story.rules = rules_of(WorkingCalendar(closing=time(20)), Settings())
    story.happens(registered(at("2026-03-03 10:05")), sent(at("2026-03-03 10:10")))
    assert kinds(story.own) == [ReplyDueSet]
    assert ReadingOverdue not in kinds(story.swept(at("2026-06-01 00:00")))


def test_r6_1_of_a_late_reply_that_came_before_anybody_looked_nothing_is_declared() -> None:
    """Whoever counts it compares its moment with its limit; there is nobody to remind or urge any more."""
    story = Story(sent(), approved(DUE + timedelta(hours=1)))
    assert kinds(story.own) == [ReplyDueSet]
    assert story.swept(at("2026-06-01 00:00")) == []


def test_r3_1_what_a_fact_shows_to_be_late_is_declared_with_it_and_neither_again_nor_in_a_rebuild() -> None:
    now = MIDNIGHT + timedelta(days=3)

    class Later:
        def now(self) -> datetime:
            return now

    clock: Any = Later()
    arrivals: Arrivals[Clocks] = Arrivals(domain(RULES), clock)
    came = [message(received(), 1, 0), message(read(MIDNIGHT + timedelta(hours=9)), 2, 1)]
    live = arrivals.arrive(Stored(LETTER), came, Queue(), live=True)
    fact = live.steps[-1].fact
    assert isinstance(fact, ReadingOverdue)
    assert (fact.due_at, fact.at, live.seen) == (MIDNIGHT, now, {"intake": 2, "deadline": 1})
    assert len(live.send) == 1

    again = arrivals.arrive(Stored(LETTER, live.version, live.seen, live.state), came, Queue(), live=True)
    assert (again.steps, again.send) == ([], [])
    rebuilt = arrivals.arrive(Stored(LETTER), [*came, message(fact, 1, 2)], Queue(), live=False)
    assert (rebuilt.state, rebuilt.seen, rebuilt.send) == (live.state, live.seen, [])


def message(fact: Fact, seq: int, offset: int) -> Message:
    """A fact as it comes from the topic."""
    sent_as = pack_fact(fact, seq)
    headers = tuple((name, value.encode()) for name, value in sent_as.headers.items())
    return Message("letters", 0, offset, sent_as.key, headers, sent_as.value, attributes(headers))
