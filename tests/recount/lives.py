"""Twenty thousand letters' lives: chance says who wants what and when, the services' own domain code says what comes of it.

What is tried goes through intake's, routing's and publication's decisions, which refuse what the rules do not allow; deadline declares what
falls due, at the moment it does or late, as after a breakdown. So every fact is one that the real services could have published, in an
order in which they could.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from services.deadline import domain as deadline
from services.deadline.state import ON as DEADLINE
from services.intake import domain as intake
from services.intake.handlers import receiving_mailbox
from services.publication import domain as publication
from services.routing import domain as routing
from services.routing.domain import Application, ReplyText, SlipText, Verdict
from services.routing.models import Handoff, Stage
from services.routing.state import ON as ROUTING
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import Fact
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import (
    AnswerBy,
    Channel,
    Classification,
    Contact,
    ExtensionOutcome,
    InvalidReason,
    Nature,
    Number,
    Way,
    WithholdingGround,
)
from tests.recount.city import Ground, ground, who

FIRST = datetime(2024, 11, 1, tzinfo=UTC)
"""From when letters come, so that many lie across the turn of a year or two."""
DAYS = 480
INSTANT = timedelta(milliseconds=1)
LONGEST = timedelta(days=120)
HORIZON = FIRST + timedelta(days=DAYS) + 2 * LONGEST
"""Today: every period that is counted ended before, and every limit that had passed by then is known."""
_CONTACT = Contact(name="某人", phone="13800138000")
_DOMAINS = ("utilities-water", "utilities-power", "transport-bus", "education-exams")
_REGIONS = ("500103", "500105", "500000", "500101")


class Life:
    """One letter, from its arrival until it is finished, given up or forgotten."""

    def __init__(self, random: Random, letter_id: str, city: Ground) -> None:
        self.random, self.letter_id, self.city, self.tree = random, letter_id, city, city.directory
        self.facts: list[Fact] = []
        self.intake: Any = None
        self.routing: Any = None
        self.clocks: Any = None
        self.case: Any = None
        self.slow = random.random() < 0.06
        """Whether deadline is away for hours at a time."""
        now = FIRST + random.random() * timedelta(days=DAYS)
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        if random.random() < 0.1:
            self.now = _midnight(self.now) - (INSTANT if random.random() < 0.5 else timedelta())
        self.end = self.now + LONGEST

    # ── time and facts ───────────────────────────────────────────────────────────────────────────────────────────────

    def happens(self, *facts: Fact) -> None:
        """Let every service see facts, and do what follows from them by itself."""
        todo = list(facts)
        while todo:
            fact = todo.pop(0)
            self.facts.append(fact)
            kind = type(fact)
            if kind in intake.ON:
                self.intake = intake.ON[kind](self.intake, fact)
            if kind in ROUTING:
                self.routing = ROUTING[kind](self.routing, fact)
            if kind in DEADLINE:
                self.clocks = DEADLINE[kind](self.clocks, fact)
            if kind in publication.ON:
                self.case = publication.ON[kind](self.case, fact)
            if not todo and self.clocks is not None:
                todo += deadline.follow(self.clocks, self.now, self.city.rules)
            if not todo and self.routing is not None:
                todo += routing.follow(self.routing, self.now)
            if not todo and self.case is not None:
                todo += publication.follow(self.case, self.now, mayor="mayor")

    def passes(self, until: datetime) -> None:
        """Let time pass; what falls due is declared on the spot, or all at once where deadline was away."""
        rules = self.city.rules
        while not self.slow and self.clocks is not None:
            look = deadline.next_at(self.clocks, rules)
            if look is None or look > until:
                break
            self.now = max(self.now, look)
            self.happens(*deadline.declare(self.clocks, self.now, self.now, rules))
        self.now = max(self.now, until)
        if self.slow and self.random.random() < 0.8:
            self.happens(*deadline.declare(self.clocks, self.now, self.now, rules))

    def waits(self, days: float, edge: datetime | None = None) -> None:
        """Let up to so many days pass; often just until a limit, or until the end of a day."""
        chance = self.random.random()
        until = self.now + timedelta(milliseconds=self.random.randrange(1, int(days * 86_400_000)))
        if edge is not None and self.now < edge - INSTANT and chance < 0.12:
            until = edge - INSTANT if chance < 0.06 else edge
        elif chance > 0.94:
            until = _midnight(self.now) - (INSTANT if chance > 0.97 else timedelta())
        self.passes(max(until, self.now + INSTANT))

    def does(self, decide: Callable[..., Sequence[Fact]], mailbox: str, role: str, *arguments: Any) -> bool:
        """Let somebody try something; return whether it was allowed."""
        try:
            facts = decide(self.routing, who(mailbox, role), self.tree, *arguments, self.now)
        except RuleBroken:
            return False
        self.happens(*facts)
        return True

    # ── screening ────────────────────────────────────────────────────────────────────────────────────────────────────

    def live(self) -> list[Fact]:
        """Play it."""
        random = self.random
        chosen = "mayor" if random.random() < 0.6 else random.choice(self.city.units)
        letter = SubmissionAccepted(
            letter_id=self.letter_id,
            at=self.now,
            mailbox=chosen,
            subject="路灯不亮",
            body="小区门口的路灯已经坏了三天。",
            contact=_CONTACT,
            classification=self._classification(),
            may_publish=random.random() < 0.8,
        )
        self.happens(*intake.receive(None, letter, receiving_mailbox(letter, self.tree), self.now))
        self._screened()
        while self.routing.stage not in {Stage.ARRIVED, Stage.DISCARDED, Stage.NOTED} and self.now < self.end:
            if random.random() < 0.012 or (self.routing.stage is Stage.FINISHED and not self._finished()):
                break
            if self.routing.stage is not Stage.FINISHED and not self._goes_on():
                break
        if self.routing.answer is None:  # forgotten: much later deadline says at once what passed meanwhile
            self.slow = True
            self.now = max(self.now, HORIZON)
            self.happens(*deadline.declare(self.clocks, self.now, self.now, self.city.rules))
        return self.facts

    def _classification(self, *nearby: str) -> Classification:
        """Return what a letter may be about; a report may be about a unit that has to do with it."""
        random = self.random
        units = [*self.city.units, *(code for code in nearby if code in self.city.units for _ in range(20))]
        nature = random.choice(list(Nature))
        about: dict[str, Any] = {}
        if nature is Nature.REPORT and random.random() < 0.5:
            about["reported_mailbox"] = random.choice(units)
        elif nature is Nature.REPORT and random.random() < 0.3:
            about["reported_people"] = (f"{random.choice(units)}-head",)
        return Classification(nature=nature, domain=random.choice(_DOMAINS), region=random.choice(_REGIONS), **about)

    def _screened(self) -> None:
        random = self.random
        if random.random() < 0.03:
            self.passes(self.now + timedelta(days=5))
            return
        first = self.intake.mailbox
        clerk = who(first, "clerk").actor
        self.waits(random.choice((0.2, 1, 4)), self.city.rules.reading_due(self.now).at)
        if random.random() < 0.6:
            self._race(intake.read(self.intake, clerk, self.now))
            self.waits(1)
        if random.random() < 0.25:
            self.happens(*intake.reclassify(self.intake, self._classification(first), clerk, self.now))
        fate = random.random()
        if fate < 0.08:
            self.happens(*intake.discard(self.intake, random.choice(list(InvalidReason)), clerk, self.now))
        elif fate < 0.14:
            self.happens(*intake.note(self.intake, clerk, self.now))
        elif fate < 0.98:
            serial = next(self.city.serials)
            number = Number(mailbox=first, prefix="渝府信", ascii_prefix="YFX", year=self.now.year, serial=serial)
            self._race(intake.register(self.intake, number, clerk, self.now))

    def _race(self, facts: Sequence[Fact]) -> None:
        """Let facts happen; where a limit passes in the next instant, deadline may declare it before it hears of them."""
        rules, before = self.city.rules, self.clocks
        soon = self.now + INSTANT
        self.happens(*facts)
        if self.random.random() < 0.5 and before is not None:
            late = [f for f in deadline.declare(before, soon, soon, rules) if f.__class__.__name__.endswith("yOverdue")]
            self.now = soon if late else self.now
            for fact in late:
                self.happens(fact)

    # ── handling ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _goes_on(self) -> bool:
        """Let something happen to a letter in hand; return false where nothing can."""
        random, state = self.random, self.routing
        current = state.current
        due = state.clocks[current.id].due_at if current and current.id in state.clocks else None
        self.waits(random.choice((0.1, 1, 3, 12)), due)
        state = self.routing
        steps = {
            Stage.PENDING: self._on_desk,
            Stage.SLIP: self._slip,
            Stage.SENT: self._sent,
            Stage.SUBMITTED: self._at_leader,
            Stage.DIRECT: self._answers,
            Stage.COLLECTED: self._in_hand,
            Stage.DRAFTED: self._drafted,
            Stage.REPLIED: self._replied,
        }
        if random.random() < 0.04 and self.intake is not None:  # corrected in the midst of its handling (R3.2)
            clerk = who(self.intake.mailbox, "clerk").actor
            after = self._classification(self.intake.mailbox, *(one.receiver for one in state.handoffs))
            self.happens(*intake.reclassify(self.intake, after, clerk, self.now))
        return steps[state.stage](state)

    def _holder(self) -> str:
        return str(routing.acting(self.routing, self.routing.holder, self.tree))

    def _drafts_slip(self, ways: Sequence[tuple[Way, str, AnswerBy | None]]) -> bool:
        way, receiver, answer_by = self.random.choice(ways)
        days = self.random.choice((None, None, None, 3, 5, 15)) if way is Way.ASSIGN else None
        text = SlipText(
            way=way,
            receiver=receiver,
            opinion="请核实",
            requirements="按时回复",
            answer_by=answer_by,
            working_days=days,
        )
        return self.does(routing.prepare_slip, self._holder(), "clerk", text)

    def _on_desk(self, _: Any) -> bool:
        me, random = self._holder(), self.random
        ways: list[tuple[Way, str, AnswerBy | None]]
        if me == "mayor":
            unit = random.choice(self.city.units)
            ways = [(Way.ASSIGN, unit, one) for one in (*[AnswerBy.ASSIGNEE] * 5, *[AnswerBy.ASSIGNER] * 3)]
            ways += [(Way.FORWARD, unit, AnswerBy.ASSIGNEE), (Way.DIRECT, me, None), (Way.SUBMIT_UP, me, None)]
        else:
            parts = [code for code in self.tree.same_unit(me) if code != me] or [me]
            part = random.choice(sorted(parts))
            other = random.choice([code for code in self.city.units if code != me])
            ways = [(Way.DIRECT, me, None), (Way.DIRECT, part, None), (Way.ASSIGN, part, AnswerBy.ASSIGNER)]
            ways += [(Way.ASSIGN, part, AnswerBy.ASSIGNEE), (Way.SUBMIT_UP, me, None)]
            ways += [(Way.SUBMIT_UP, "mayor", None), (Way.FORWARD, other, None), (Way.FORWARD, other, None)]
        return any(self._drafts_slip(ways) for _ in range(4))

    def _slip(self, state: Any) -> bool:
        sender = routing.acting(state, state.slip.sender, self.tree)
        if self.random.random() < 0.04:
            return self.does(routing.refuse_slip, sender, "head", state.slip.id, "请改写")
        return self.does(routing.approve_slip, sender, "head", state.slip.id)

    def _hand(self, handoff: Handoff) -> str:
        return str(routing.acting(self.routing, handoff.receiver, self.tree))

    def _sent(self, state: Any) -> bool:
        one, chance = state.current, self.random.random()
        if chance < 0.03:
            sender = routing.acting(state, one.sender, self.tree)
            return self.does(routing.withdraw_slip, sender, "clerk", one.id, "误发")
        if chance < 0.08:
            return self.does(routing.return_letter, self._hand(one), "clerk", one.id, "不属本单位职责")
        return self.does(routing.collect, self._hand(one), "clerk", one.id)

    def _at_leader(self, state: Any) -> bool:
        one = state.current
        if self.random.random() < 0.1:
            return self.does(routing.return_letter, self._hand(one), "leader", one.id, "自行处理")
        return self.does(routing.give_instruction, self._hand(one), "leader", "请抓紧", self.now + timedelta(days=5))

    def _answers(self, _: Any) -> bool:
        return self.does(routing.answer_citizen, self._holder(), "clerk", Channel.PHONE, "已电话答复。")

    def _in_hand(self, state: Any) -> bool:
        one, random = state.current, self.random
        me, chance = self._hand(one), random.random()
        if one.undecided is not None:
            return self._decides(state, one)
        if chance < 0.05 and self.does(routing.return_letter, me, "clerk", one.id, "职责不符"):
            return True
        if chance < 0.13 and self.does(routing.record_progress, me, "clerk", one.id, "正在核实"):
            return True
        if chance < 0.3 and self._asks(state, one, me):
            return True
        parts = sorted(code for code in self.tree.same_unit(me) if self.tree.is_below(code, me))
        if chance < 0.42 and parts and self._drafts_slip([(Way.ASSIGN, random.choice(parts), AnswerBy.ASSIGNER)]):
            return True
        return self.does(routing.submit_reply, me, "clerk", one.id, ReplyText(text="已修复。"))

    def _asks(self, state: Any, one: Handoff, me: str) -> bool:
        due = state.clocks[one.id].due_at if one.id in state.clocks else None
        if due is None:
            return False
        wanted = due + timedelta(days=self.random.randrange(1, 20))
        asked = Application(reason="待配合", wanted_due_at=wanted, oral=self.random.random() < 0.2)
        return self.does(
            routing.request_extension,
            "mayor" if asked.oral else me,
            "duty_officer" if asked.oral else "clerk",
            one.id,
            asked,
        )

    def _decides(self, state: Any, one: Handoff) -> bool:
        asked = one.undecided
        assert asked is not None
        due, outcome = state.clocks[one.id].due_at, self.random.choice(list(ExtensionOutcome))
        part = due + (asked.wanted_due_at - due) / 2
        verdict = Verdict(outcome=outcome, due_at=part if outcome is ExtensionOutcome.PARTLY else None, reason="如上")
        sender = routing.acting(state, one.sender, self.tree)
        return self.does(routing.decide_extension, sender, "head", one.id, asked.id, verdict)

    def _drafted(self, state: Any) -> bool:
        one = state.current
        if self.random.random() < 0.06:
            return self.does(routing.refuse_reply, self._hand(one), "head", one.id, None, "请写明日期")
        try:
            by = who(self._hand(one), "head")
            facts = routing.approve_reply(state, by, self.tree, one.id, None, self.now)
        except RuleBroken:
            return False
        self._race(facts)
        return True

    def _replied(self, state: Any) -> bool:
        one = state.replied
        if one is not None and self.random.random() < 0.2:
            sender = routing.acting(state, one.sender, self.tree)
            days = self.random.choice((None, 2, 5))
            if self.does(routing.send_back, sender, "head", one.id, None, "未答", "逐项答复", days):
                return True
        return self._answers(state)

    # ── publication ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _finished(self) -> bool:
        """Let a finished letter be sent back (true: it goes on) or published, perhaps corrected or withheld later."""
        random = self.random
        self.waits(4)
        last = next((one for one in reversed(self.routing.handoffs) if one.replied_at is not None), None)
        if last is not None and random.random() < 0.12:
            sender = routing.acting(self.routing, last.sender, self.tree)
            if self.does(routing.send_back, sender, "head", last.id, None, "未答", "逐项答复", None):
                return True
        for turn in range(1 + (random.random() < 0.15)):
            if random.random() < 0.2:
                break
            grounds = [WithholdingGround.PRIVACY] if random.random() < (0.15 if turn == 0 else 0.4) else []
            self._publishes(grounds, str(turn))
        return False

    def _publishes(self, grounds: Sequence[WithholdingGround], turn: str) -> None:
        try:
            mailbox = self.case.answer.mailbox
            clerk, head = who(mailbox, "clerk").actor, who(mailbox, "head").actor
            text = publication.PublicText(subject="路灯", body="路灯" + turn, reply="已修复")
            self.happens(*publication.prepare(self.case, text, grounds, clerk, self.now))
            self.waits(3)
            decide = (
                partial(publication.withhold, self.case, ())
                if grounds
                else partial(publication.approve, self.case, text.hash)
            )
            self.happens(*decide(head, self.now))
        except RuleBroken:
            pass


def _midnight(moment: datetime) -> datetime:
    """Return 24:00 in Chongqing of a moment's day."""
    east = moment + timedelta(hours=8)
    return east.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - timedelta(hours=8)


def lives(seed: int, number: int) -> Iterator[list[Fact]]:
    """Play `number` letters; the same seed plays the same ones."""
    city = Ground(ground().directory, ground().rules, ground().units)
    for place in range(number):
        yield Life(Random(f"{seed}/{place}"), f"{place:08x}-0000-8000-8000-{seed:012x}", city).live()
