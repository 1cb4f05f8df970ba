"""However often somebody looks at a clock, lateness is declared once and for the same moment (`test_whole_handling.py` walks the rest)."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.facts import ReplyOverdue
from tests.deadline_stories import SENT, Story, sent


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
