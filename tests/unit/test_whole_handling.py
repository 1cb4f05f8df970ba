"""Whoever tries whatever, whenever: routing and deadline together against the model of the regulation in `tests/letter_model.py`.

`WALKS=5000` walks other and longer ways each time, for some minutes.
"""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from services.deadline import domain as deadline
from services.deadline.repository import letters as clocks_of
from services.deadline.state import ON as DEADLINE_ON
from services.deadline.state import Clocks, Kind
from services.deadline.working_time import rules_of
from services.routing import domain as routing
from services.routing.domain import Who
from services.routing.models import Stage, State
from services.routing.moves import MOVES
from services.routing.repository import HOLDER, letters
from services.routing.state import ON as ROUTING_ON
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffReturned,
    HandoffSent,
    LetterRead,
    LetterReceived,
    LetterRegistered,
    ReplyOverdue,
    ReplySentBack,
    UrgingDue,
    UrgingSent,
)
from shared.contracts.types import (
    Actor,
    Classification,
    Nature,
    Number,
    Way,
)
from shared.directory import Directory, Mailbox, MailboxKind
from shared.storage import Store
from tests.letter_checks import check_lists, dump, interleaved, remembers
from tests.letter_model import Letter
from tests.letter_parts import CLERK, DUTY, HEAD, LEADER, SYSTEM, Try
from tests.letter_tries import CALLS, ONWARD, tries
from tests.working_days import day_of, works

ID = "letter-1"
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
RULES = rules_of(WorkingCalendar(), Settings(remind_working_days=(3, 1)))
WALKS = int(os.environ.get("WALKS", "0"))
QUICK = settings(max_examples=100, stateful_step_count=90, deadline=None, derandomize=True, database=None)
THOROUGH = settings(
    max_examples=WALKS or 1,
    stateful_step_count=120,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)
STAGES = {
    "screening": Stage.ARRIVED,
    "desk": Stage.PENDING,
    "slip": Stage.SLIP,
    "sent": Stage.SENT,
    "leader": Stage.SUBMITTED,
    "own": Stage.DIRECT,
    "hand": Stage.COLLECTED,
    "draft": Stage.DRAFTED,
    "replied": Stage.REPLIED,
    "finished": Stage.FINISHED,
}
"""The model's places and routing's names for them."""


def directory_of(departments: list[int]) -> Directory:
    """The mayor's mailbox, and units with so many departments; the mayor's own departments come first."""
    own, *units = departments
    kinds: list[tuple[str, str | None, MailboxKind]] = [("mayor", None, MailboxKind.MAYOR)]
    kinds += [(f"office-{n}", "mayor", MailboxKind.DEPARTMENT) for n in range(own)]
    for unit, parts in enumerate(units):
        kinds.append((f"unit{unit}", "mayor", MailboxKind.GOVERNMENT_DEPARTMENT))
        kinds += [(f"unit{unit}-part{n}", f"unit{unit}", MailboxKind.DEPARTMENT) for n in range(parts)]
    found = [Mailbox(code=code, name=code, short_name=code, kind=kind, parent=above) for code, above, kind in kinds]
    return Directory(found, [], [])


class Handling(RuleBasedStateMachine):
    """One letter on its way, in the services' state and in the model's."""

    reached: Counter[str]
    """Every fact and place that any walk came to."""

    @initialize(
        departments=st.lists(st.integers(0, 2), min_size=3, max_size=6),
        first=st.integers(0, 5),
        accused=st.sampled_from([None, None, None, 1]),
        start=st.integers(0, 290 * 24),
        registered=st.sampled_from([True, True, True, False]),
    )
    def a_city_gets_its_first_letter(
        self, departments: list[int], first: int, accused: int | None, start: int, registered: bool
    ) -> None:
        self.tree = directory_of(departments)
        self.codes = [mailbox.code for mailbox in self.tree.mailboxes()]
        self.units = [code for code in self.codes if self.tree.unit_of(code).code == code]
        self.fields = letters(Store("mongodb://unused"), self.tree).fields
        self.stored = clocks_of(Store("mongodb://unused"), RULES, self.tree)
        self.now = datetime(2026, 1, 5, 1, tzinfo=UTC) + timedelta(hours=start)
        first %= len(self.units)
        self.a_letter_arrives(self.units[first], None if accused in {None, first} else self.units[accused or 0])
        if registered:
            self.a_clerk_registers_it()

    def a_letter_arrives(self, first: str, about: str | None) -> None:
        self.model = Letter(
            above={mailbox.code: mailbox.parent for mailbox in self.tree.mailboxes()},
            part_of={code: self.tree.unit_of(code).code for code in self.codes},
            first=first,
            accused=about,
        )
        self.state: State | None = None
        self.clocks: Clocks | None = None
        self.facts: list[Fact] = []
        nature = Nature.REPORT if about else Nature.COMPLAINT
        kind = Classification(nature=nature, domain="water", region="500103", reported_mailbox=about)
        self.happens(
            LetterReceived(
                letter_id=ID,
                at=self.now,
                mailbox=self.model.first,
                chosen_mailbox=self.model.first,
                subject="停水",
                body="停水三天了。",
                classification=kind,
                may_publish=True,
            )
        )

    def another_letter_arrives(self) -> None:
        """Go on with a letter to another mailbox, once nothing more can be done with this one."""
        self.teardown()
        place = self.units.index(self.model.first) + 1
        self.a_letter_arrives(self.units[place % len(self.units)], None)
        self.a_clerk_registers_it()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def happens(self, *facts: Fact) -> None:
        """Let both services see facts, and decide what follows from them by themselves."""
        for fact in facts:
            self.facts.append(fact)
            self.reached[type(fact).__name__] += 1
            if type(fact) in ROUTING_ON:
                self.state = ROUTING_ON[type(fact)](self.state, fact)
            if type(fact) in DEADLINE_ON:
                self.clocks = DEADLINE_ON[type(fact)](self.clocks, fact)
            if self.clocks is not None:
                self.happens(*deadline.follow(self.clocks, self.now, RULES)[:1])
            if self.state is not None:
                self.happens(*list(routing.follow(self.state, self.now))[:1])

    def time_passes(self, by: timedelta) -> None:
        self.now += by
        self.happens(*deadline.declare(self.clocks, self.now, self.now, RULES))
        assert deadline.declare(self.clocks, self.now, self.now, RULES) == [], "nothing is declared twice"
        look = deadline.next_at(self.clocks, RULES) if self.clocks else None
        assert look is None or look > self.now, "it is looked at again when something falls due"
        self.model.time_is(self.now)

    @rule(hours=st.sampled_from([1, 7, 24, 60, 200, 400]))
    def time_goes_by(self, hours: int) -> None:
        self.time_passes(timedelta(hours=hours))

    @precondition(lambda self: not self.model.registered)
    @rule()
    def a_clerk_registers_it(self) -> None:
        self.time_passes(timedelta(minutes=1))
        by = Actor(subject="clerk", mailbox=self.model.first)
        number = NUMBER.model_copy(update={"mailbox": self.model.first})
        self.model.registered = True
        self.happens(
            LetterRead(letter_id=ID, at=self.now, by=by),
            LetterRegistered(letter_id=ID, at=self.now, by=by, number=number),
        )

    @rule(data=st.data())
    def the_letter_goes_on(self, data: st.DataObject) -> None:
        self.does_right(data, ONWARD)

    @rule(data=st.data())
    def the_letter_goes_further(self, data: st.DataObject) -> None:
        self.does_right(data, ONWARD)

    @rule(data=st.data())
    def somebody_does_what_is_right(self, data: st.DataObject) -> None:
        self.does_right(data, CALLS)

    def does_right(self, data: st.DataObject, kinds: Iterable[str]) -> None:
        self.time_passes(timedelta(minutes=1))
        hopeless = {"prepare"} if self.model.place not in {"desk", "hand"} else set()
        hopeless |= {"ask", "decide"} if not self.model.owed else set()
        right = [t for t in tries(self.model, self.now, set(kinds) - hopeless) if self.model.allows(t, self.now)]
        if right:
            kind = data.draw(st.sampled_from(sorted({one.what for one in right})))
            self.tried(data.draw(st.sampled_from([one for one in right if one.what == kind])))
        elif self.model.finished:
            self.another_letter_arrives()

    @rule(data=st.data())
    def it_takes_another_turn(self, data: st.DataObject) -> None:
        self.does_right(data, ("withdraw", "return", "refuse", "explain", "tell", "ask"))

    @rule(data=st.data())
    def somebody_tries_anything(self, data: st.DataObject) -> None:
        """Somebody tries one kind of thing in every way; what is wrong is refused, and one of the right ways is gone, if there are any."""
        self.time_passes(timedelta(minutes=1))
        kind = data.draw(st.sampled_from(sorted(CALLS)))
        changes: dict[str, Any] = {}
        if mailbox := data.draw(st.sampled_from(["", *self.codes])):
            changes |= {"mailbox": mailbox, "person": f"{mailbox}-{data.draw(st.sampled_from([1, 2]))}"}
        if role := data.draw(st.sampled_from(["", "", CLERK, HEAD, LEADER, SYSTEM])):
            changes["role"] = role
        changes["text"] = data.draw(st.sampled_from([*["如上"] * 9, " "]))
        ways = [replace(one, **changes) for one in tries(self.model, self.now, {kind})]
        ways = [one for one in ways if one.role != DUTY or one.mailbox == "mayor"]
        for one in ways:
            if not self.model.allows(one, self.now):
                self.tried(one)
        if right := [one for one in ways if self.model.allows(one, self.now)]:
            self.tried(data.draw(st.sampled_from(right)))

    def tried(self, one: Try) -> None:
        """Let somebody try, and see whether both agree on it."""
        right = self.model.allows(one, self.now)
        before = self.state
        decide, *arguments = CALLS[one.what](one)
        who = Who(actor=Actor(subject=one.person, mailbox=one.mailbox), roles=frozenset({one.role}))
        refusal = ""
        try:
            facts = decide(self.state, who, self.tree, *arguments, self.now)
        except RuleBroken as refused:
            refusal, facts = f"{refused.rule}: {refused}", []
        note(f"{self.now:%m-%d %H:%M} {one} {refusal or 'done'}")
        if right:
            assert not refusal, "the regulation allows it"
            assert facts, "whatever is done is on record (R1.6)"
            assert all(fact.by and fact.by.subject == one.person and fact.at == self.now for fact in facts)
            self.model.does(one, self.now)
            self.reached[f"at {self.model.place}"] += 1
            shown = dump(before)
            self.happens(*facts)
            assert dump(before) == shown, "a state that was passed on is never changed"
            remembers(before, self.state)
            self.check_lists(facts)
        else:
            assert refusal, "the regulation forbids it"
            assert self.state is before, "what is refused changes nothing"

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_number_never_changes(self) -> None:
        known = self.now_known()
        numbers = {fact.number for fact in self.facts if isinstance(fact, HandoffSent | LetterRegistered)}
        told = {
            number for number in (known.letter and known.letter.number, self.clocks and self.clocks.number) if number
        }
        assert len(numbers) == self.model.registered
        assert numbers == told

    @invariant()
    def one_mailbox_has_the_letter(self) -> None:
        known = self.now_known()
        assert known.stage is STAGES[self.model.place]
        assert known.holder == self.model.holder
        assert [handoff.id for handoff in known.open_handoffs] == [part.id for part in self.model.stack]

    @invariant()
    def every_open_assignment_has_one_clock_that_says_when_it_is_due(self) -> None:
        assert self.clocks is not None
        running = Counter(clock.id for clock in self.clocks.running() if clock.kind is Kind.REPLY)
        assert running == Counter(part.id for part in self.model.owed)
        due = {clock.id: clock.due_at for clock in self.clocks.running() if clock.kind is Kind.REPLY}
        assert due == {part.id: part.due for part in self.model.owed}
        known = self.now_known()
        assert {part.id: known.clocks[part.id].due_at for part in self.model.owed} == due, "routing knows it too"
        followed = {clock.id for clock in self.clocks.running() if clock.kind is Kind.INSTRUCTION}
        assert followed == set(self.model.instructions)
        screened = [clock for clock in self.clocks.running() if clock.kind is Kind.READING]
        assert bool(screened) == (not self.model.registered)

    @invariant()
    def it_is_late_once_for_each_limit_and_urged_by_number(self) -> None:
        for part in self.model.parts:
            own = [fact for fact in self.facts if getattr(fact, "handoff_id", None) == part.id]
            late = [fact.due_at for fact in own if isinstance(fact, ReplyOverdue)]
            assert sorted(late) == sorted(part.late)
            for kind in (UrgingDue, UrgingSent):
                assert [fact.count for fact in own if isinstance(fact, kind)] == list(range(1, part.urged + 1)), kind

    @invariant()
    def a_finished_letter_has_an_answer_to_the_citizen(self) -> None:
        answers = [fact for fact in self.facts if isinstance(fact, CitizenAnswered | ReplySentBack)]
        answered = bool(answers) and isinstance(answers[-1], CitizenAnswered)
        assert answered == self.model.finished == (self.now_known().answer is not None)
        if answered:
            answer = self.now_known().answer
            assert answer is not None
            assert (answer.text, answer.channel, answer.at) == ("如上", answers[-1].channel, answers[-1].at)  # type: ignore[union-attr]

    @invariant()
    def an_assignment_goes_down_and_a_report_never_to_whom_it_is_about(self) -> None:
        for handoff in self.now_known().handoffs:
            if handoff.way is Way.ASSIGN:
                assert self.model.is_below(handoff.receiver, handoff.sender)
            assert self.model.part_of[handoff.receiver] != self.model.accused

    @invariant()
    def it_is_in_the_right_lists(self) -> None:
        if self.model.registered:
            check_lists(self.fields(self.now_known()), self.now_known())

    def now_known(self) -> State:
        assert self.state is not None
        return self.state

    def check_lists(self, facts: list[Fact]) -> None:
        """What was returned is in a list from which its sender goes on with it (R5.1)."""
        for fact in facts:
            if isinstance(fact, HandoffReturned):
                place = "pending" if self.model.place == "desk" else "collected"
                assert self.fields(self.now_known())[HOLDER] == f"{place}|{fact.sender}"
                assert self.now_known().returned is not None

    def teardown(self) -> None:
        """The states do not depend on how the services' facts came between each other."""
        if not hasattr(self, "facts"):
            return
        for turn in range(2):
            state: State | None = None
            clocks: Clocks | None = None
            for fact in interleaved(self.facts, turn):
                if type(fact) in ROUTING_ON:
                    state = ROUTING_ON[type(fact)](state, fact)
                if type(fact) in DEADLINE_ON:
                    clocks = DEADLINE_ON[type(fact)](clocks, fact)
            assert state == self.state
            assert clocks == self.clocks
        assert State.model_validate(dump(self.state)) == self.state
        assert self.clocks is None or self.stored.load(self.stored.dump(self.clocks)) == self.clocks


def test_whatever_is_tried_routing_and_deadline_do_what_the_regulation_says() -> None:
    Handling.reached = Counter()
    run_state_machine_as_test(Handling, settings=THOROUGH if WALKS else QUICK)
    assert {kind.__name__ for kind in MOVES} <= set(Handling.reached), "the walks get everywhere"
    assert {f"at {place}" for place in STAGES} - {"at screening"} <= set(Handling.reached)
    assert {"ReplyOverdue", "UrgingSent", "ReplyReminded", "ReplyDueChanged"} <= set(Handling.reached)


def test_the_model_counts_working_days_as_the_state_council_says() -> None:
    assert [
        f"{day:%m-%d}"
        for day in (day_of(datetime(2026, 2, 13, 3, tzinfo=UTC) + timedelta(days=n)) for n in range(20))
        if works(day)
    ] == ["02-13", "02-14", "02-24", "02-25", "02-26", "02-27", "02-28", "03-02", "03-03", "03-04"]
