"""Whatever happens to a letter, in whatever order services tell of it: one state, one clock for each open assignment, overdue once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.deadline.domain import limit, next_at
from services.deadline.repository import letters
from services.deadline.state import LIMITED, ON, Clocks, Kind
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import Fact, LetterRead, ReplyDueSet, ReplyOverdue, UrgingDue
from shared.contracts.types import Way
from shared.storage import Store
from tests.deadline_stories import (
    DIRECTORY,
    LETTER,
    RULES,
    SENT,
    Story,
    answered,
    approved,
    asked,
    carried_out,
    decided,
    explained,
    instructed,
    received,
    registered,
    returned,
    sent,
    sent_back,
    withdrawn,
)

STORED = letters(Store("mongodb://unused"), RULES, DIRECTORY)


@dataclass
class Part:
    """A hand-off in the model: independent of the code under test."""

    way: Way
    parent: str | None
    open: bool = True
    replied: bool = False
    redone: int = 0
    asked: int = 0
    undecided: bool = False


@dataclass
class Model:
    """What routing would allow, in the plainest form."""

    parts: dict[str, Part] = field(default_factory=dict)
    instructions: dict[str, bool] = field(default_factory=dict)

    @property
    def owed(self) -> set[str]:
        """The open assignments."""
        return {name for name, part in self.parts.items() if part.open and part.way in LIMITED}

    def close(self, name: str, *, replied: bool) -> None:
        part = self.parts[name]
        if part.open:
            part.open, part.replied, part.undecided = False, replied, False
        for other, below in self.parts.items():
            if below.parent == name:
                self.close(other, replied=False)


MOVES = (
    "send",
    "send",
    "second",
    "explain",
    "reply",
    "reply",
    "send back",
    "send back",
    "return",
    "withdraw",
    "ask",
    "decide",
    "answer",
    "instruct",
    "end instruction",
    "wait",
    "wait",
    "wait",
)


def happen(data: st.DataObject, model: Model, now: datetime) -> list[Fact]:
    """Choose something that can happen now; return routing's facts of it."""
    move = data.draw(st.sampled_from(MOVES), label="move")
    open_parts = sorted(name for name, part in model.parts.items() if part.open)
    name = f"s{len(model.parts) + 1}"
    days = data.draw(st.sampled_from([None, 1, 3, 20]))
    if move == "send" and not open_parts:
        way = data.draw(st.sampled_from(list(Way)))
        model.parts[name] = Part(way, None)
        return [sent(now, name, way, days=days)]
    if move == "second" and open_parts:
        parent = data.draw(st.sampled_from(open_parts))
        model.parts[name] = Part(Way.ASSIGN, parent)
        return [sent(now, name, sender="yuzhong", receiver="yuzhong-roads", parent=parent, days=days)]
    if move == "instruct":
        instruction = f"i{len(model.instructions) + 1}"
        model.instructions[instruction] = True
        return [instructed(now, now + timedelta(days=days or 5), instruction)]
    if move == "end instruction" and (running := [i for i, runs in model.instructions.items() if runs]):
        model.instructions[running[0]] = False
        return [carried_out(now, running[0])]
    if move == "answer" and model.parts:
        for every in model.parts:
            model.close(every, replied=model.parts[every].replied)
        return [answered(now)]
    if move == "send back" and (done := sorted(n for n, part in model.parts.items() if part.replied)):
        again = model.parts[done[-1]]
        again.open, again.replied, again.redone = True, False, again.redone + 1
        return [sent_back(now, again.redone, done[-1], days)]
    if not open_parts:
        return []
    name = data.draw(st.sampled_from(open_parts))
    part = model.parts[name]
    if move == "explain":
        return [explained(now, name)]
    if move == "reply":
        model.close(name, replied=True)
        return [approved(now, name)]
    if move in {"return", "withdraw"}:
        model.close(name, replied=False)
        return [returned(now, name) if move == "return" else withdrawn(now, name)]
    if move == "ask" and not part.undecided:
        part.undecided, part.asked = True, part.asked + 1
        return [asked(now, now + timedelta(days=30), part.asked, name)]
    if move == "decide" and part.undecided:
        part.undecided = False
        due = data.draw(st.sampled_from([None, now + timedelta(days=9), now + timedelta(days=30)]))
        return [decided(now, due, part.asked, name)]
    return []


def check(story: Story, model: Model) -> None:
    """Compare with the model."""
    assert story.state is not None
    running = Counter((clock.kind, clock.id) for clock in story.state.running())
    assert {name: running[Kind.REPLY, name] for name in model.parts if running[Kind.REPLY, name]} == dict.fromkeys(
        model.owed, 1
    )
    assert {name for kind, name in running if kind is Kind.INSTRUCTION} == {
        name for name, runs in model.instructions.items() if runs
    }
    for clock in story.state.running():
        assert limit(clock, story.rules) is not None
        assert clock.kind is not Kind.REPLY or clock.redo == model.parts[clock.id].redone
    overdue = Counter((fact.handoff_id, fact.due_at) for fact in story.own if isinstance(fact, ReplyOverdue))
    assert set(overdue.values()) <= {1}, "overdue once for each due moment"
    for name in model.parts:
        counts = [fact.count for fact in story.own if isinstance(fact, UrgingDue) and fact.handoff_id == name]
        assert counts == list(range(1, len(counts) + 1)), "urgings are numbered without gap"
        assert sum(isinstance(fact, ReplyDueSet) and fact.handoff_id == name for fact in story.own) <= 1
    assert STORED.load(STORED.dump(story.state)) == story.state


def mixed(data: st.DataObject, by_source: Mapping[str, list[Fact]]) -> Clocks | None:
    """Apply the facts in some order between services, each service's own order kept."""
    waiting = {source: list(facts) for source, facts in by_source.items() if facts}
    state: Clocks | None = None
    while waiting:
        source = data.draw(st.sampled_from(sorted(waiting)), label="next")
        fact = waiting[source].pop(0)
        state = ON[type(fact)](state, fact)
        waiting = {name: facts for name, facts in waiting.items() if facts}
    return state


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_whatever_happens_each_open_assignment_has_one_clock_and_the_order_between_services_does_not_matter(
    data: st.DataObject,
) -> None:
    rules = rules_of(WorkingCalendar(), Settings(remind_working_days=data.draw(st.sampled_from([(), (2,), (3, 1)]))))
    intake: list[Fact] = [received(), LetterRead(letter_id=LETTER, at=SENT), registered()]
    story, model, now = Story(*intake, rules=rules), Model(), SENT
    routing: list[Fact] = []
    for _ in range(data.draw(st.integers(3, 18), label="steps")):
        now += timedelta(hours=data.draw(st.integers(1, 200), label="hours"))
        story.swept(now)
        facts = happen(data, model, now)
        routing += facts
        story.happens(*facts)
        check(story, model)
    for _ in range(2):  # a second replica, or a restart, finds nothing to say again
        story.swept(now)
    assert story.swept(now) == []
    assert story.state is not None
    after = next_at(story.state, rules)
    assert after is None or after > now
    assert mixed(data, {"intake": intake, "routing": routing, "deadline": story.own}) == story.state


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
