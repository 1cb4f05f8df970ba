"""A small model of how a letter is handled, written from the regulation: who may do what, where the letter is, what is due.

It knows no fact and no state of the services. `tests/unit/test_whole_handling.py` plays it against routing and deadline.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tests.letter_parts import CLERK, DUTY, HANDLERS, HEADS, LEADER, STAFF, Part, Try
from tests.working_days import DAY, after, day_of


@dataclass
class Letter:
    """One letter. `above`: mailbox → the one above it; `part_of`: mailbox → its unit."""

    above: Mapping[str, str | None]
    part_of: Mapping[str, str]
    first: str
    accused: str | None = None
    """The unit that the letter is a report about."""
    registered: bool = False
    finished: bool = False
    slip: Part | None = None
    slips: int = 0
    asks: int = 0
    parts: list[Part] = field(default_factory=list)
    stack: list[Part] = field(default_factory=list)
    """The open hand-offs, each inside the one before."""
    instructions: dict[str, str] = field(default_factory=dict)
    """Open instructions → whose staff follow them."""
    instructed: int = 0

    @property
    def top(self) -> Part | None:
        return self.stack[-1] if self.stack else None

    @property
    def back(self) -> Part | None:
        """What was handed on last from where the letter is now."""
        return next((part for part in reversed(self.parts) if part.parent is self.top), None)

    @property
    def place(self) -> str:
        top = self.top
        if not self.registered:
            return "screening"
        if self.finished:
            return "finished"
        if self.slip:
            return "slip"
        if top and top.kept:
            return "leader" if top.way == "submit_up" else "own"
        if top and not top.collected:
            return "sent"
        if top and top.owes:
            return "draft" if top.drafted_by else "hand"
        return "replied" if self.back and self.back.ended == "replied" else "desk"

    @property
    def holder(self) -> str | None:
        if self.finished:
            return None
        if self.slip:
            return self.slip.sender
        return self.top.receiver if self.top else self.first

    @property
    def owed(self) -> list[Part]:
        """The open assignments."""
        return [] if self.finished else [part for part in self.stack if part.owes]

    def part(self, id: str) -> Part | None:
        return next((part for part in self.parts if part.id == id), None)

    def is_open(self, part: Part | None) -> bool:
        return not self.finished and part in self.stack

    def is_below(self, code: str, other: str) -> bool:
        above = self.above[code]
        return above is not None and (above == other or self.is_below(above, other))

    def same(self, code: str, other: str) -> bool:
        return self.part_of[code] == self.part_of[other]

    def allows(self, t: Try, now: datetime) -> bool:
        if not self.registered or (self.accused and self.part_of[t.mailbox] == self.accused):
            return False
        if not t.text.strip() and t.what not in {"approve", "collect", "approve draft"}:
            return t.what == "decide" and t.outcome == "granted" and self.may_decide(t, now)
        rule = getattr(self, f"may_{t.what.replace(' ', '_')}")
        return bool(rule(t, now))

    def may_prepare(self, t: Try, _: datetime) -> bool:
        if self.place not in {"desk", "hand"} or t.mailbox != self.holder or t.role != CLERK:
            return False
        if self.accused and self.part_of[t.receiver] == self.accused:
            return False
        if (t.by_fax and t.way != "assign") or (t.days and t.way not in {"assign", "direct"}):
            return False
        return self._goes(t) and self._answers(t) is not None

    def _goes(self, t: Try) -> bool:
        """R4.1–R4.4: who may hand it to whom."""
        me, it, owing = t.mailbox, t.receiver, self.place == "hand"
        down, inside = self.is_below(it, me), self.same(it, me)
        if t.way == "direct":
            return not owing and (it == me or (down and inside))
        if t.way == "assign":
            return down and (inside or not owing)
        if t.way == "forward":
            came = self.top.sender if self.top else None
            to_a_unit = self.part_of[it] == it
            return not owing and not inside and not self.is_below(me, it) and to_a_unit and it != came
        return it == me or (not owing and self.part_of[me] == me and self.is_below(me, it))

    def _answers(self, t: Try) -> str | None:
        """R8.2–R8.4: who answers the citizen."""
        only = {"direct": "assignee", "submit_up": "assigner" if t.receiver == t.mailbox else "assignee"}.get(t.way)
        if t.way == "assign" and self.place == "hand":
            only = "assigner"
        if only:
            return only if t.answer_by in {None, only} else None
        return t.answer_by or ("assigner" if t.way == "forward" else None)

    def may_approve(self, t: Try, _: datetime) -> bool:
        slip = self._my_slip(t)
        return slip is not None and t.person != slip.prepared_by

    def may_refuse(self, t: Try, _: datetime) -> bool:
        return self._my_slip(t) is not None

    def _my_slip(self, t: Try) -> Part | None:
        slip = self.slip
        mine = not self.finished and slip and t.on == slip.id and t.mailbox == slip.sender and t.role in HEADS
        return slip if mine else None

    def may_withdraw(self, t: Try, _: datetime) -> bool:
        part = self._at_top(t, "sent", "own", "leader")
        return part is not None and t.mailbox == part.sender and t.role in STAFF

    def _at_top(self, t: Try, *places: str) -> Part | None:
        return self.top if self.place in places and self.top and self.top.id == t.on else None

    def _received(self, t: Try, *places: str) -> Part | None:
        part = self._at_top(t, *places)
        return part if part and t.mailbox == part.hand else None

    def may_collect(self, t: Try, _: datetime) -> bool:
        return self._received(t, "sent") is not None and t.role in HANDLERS

    def may_return(self, t: Try, _: datetime) -> bool:
        asked = self._at_top(t, "leader")
        if asked:
            return t.role == LEADER and t.mailbox in {asked.receiver, self.part_of[asked.receiver]}
        part = self._received(t, "sent", "hand", "desk")
        return part is not None and not part.redone and t.role in HANDLERS | {LEADER}

    def may_tell(self, t: Try, _: datetime) -> bool:
        part = self.part(t.on)
        stands = part and part.way == "forward" and not part.ended and not part.told
        return bool(stands and part and t.mailbox == part.sender and t.role == CLERK)

    def may_explain(self, t: Try, _: datetime) -> bool:
        part = self.part(t.on)
        return bool(part and self.is_open(part) and part.in_hand and t.mailbox == part.hand and t.role in HANDLERS)

    def may_draft(self, t: Try, _: datetime) -> bool:
        part = self._received(t, "hand", "draft")
        return part is not None and not part.by_fax and t.role in HANDLERS

    def may_refuse_draft(self, t: Try, _: datetime) -> bool:
        return self._received(t, "draft") is not None and t.role in HEADS

    def may_approve_draft(self, t: Try, now: datetime) -> bool:
        part = self._received(t, "draft")
        return part is not None and t.role in HEADS and t.person != part.drafted_by

    def may_record_reply(self, t: Try, _: datetime) -> bool:
        part = self._received(t, "hand")
        return part is not None and part.by_fax and t.role in HANDLERS

    def may_send_back(self, t: Try, _: datetime) -> bool:
        part = self.back
        if self.place not in {"replied", "hand", "finished"} or not part or part.id != t.on or part.ended != "replied":
            return False
        if t.mailbox != part.sender or t.role not in STAFF:
            return False
        outside = not self.same(part.sender, part.receiver)
        return self.place != "finished" or (part.way == "assign" and outside and part.answer_by == "assignee")

    def may_ask(self, t: Try, now: datetime) -> bool:
        part = self.part(t.on)
        if not part or not self.is_open(part) or not part.in_hand or part.ask or now >= part.due:
            return False
        by_duty = t.role == DUTY and t.oral
        mine = by_duty or (t.mailbox == part.hand and not t.oral and t.role in HANDLERS | {DUTY})
        return bool(mine and t.wanted and t.wanted > part.due)

    def may_decide(self, t: Try, _: datetime) -> bool:
        part = self.part(t.on)
        if not part or not self.is_open(part) or not part.ask or part.ask != t.ask:
            return False
        if t.mailbox != part.sender or t.role not in HEADS | {DUTY}:
            return False
        return t.outcome != "partly" or bool(t.wanted and part.due < t.wanted < part.wanted)

    def may_answer(self, t: Try, _: datetime) -> bool:
        return self.place in {"replied", "own"} and t.mailbox == self.holder and t.role == CLERK

    def may_instruct(self, t: Try, now: datetime) -> bool:
        if t.role != LEADER or self.finished or not t.wanted or t.wanted <= now:
            return False
        hands = {self.first, *(p.sender for p in self.stack), *(p.receiver for p in self.stack)}
        return t.mailbox in hands or self._asks_leader_of(t.mailbox)

    def _asks_leader_of(self, code: str) -> bool:
        return self.place == "leader" and self.holder is not None and code == self.part_of[self.holder]

    def may_follow_up(self, t: Try, _: datetime) -> bool:
        return self.instructions.get(t.on) == t.mailbox and t.role in STAFF | HANDLERS

    may_end_instruction = may_follow_up

    def does(self, t: Try, now: datetime) -> None:
        getattr(self, f"do_{t.what.replace(' ', '_')}")(t, now)

    def do_prepare(self, t: Try, _: datetime) -> None:
        self.slips += 1
        answers = self._answers(t)
        assert answers
        self.slip = Part(
            f"s{self.slips}", t.mailbox, t.receiver, t.way, answers, t.by_fax, t.days or 10, t.person, self.top
        )

    def do_refuse(self, *_: object) -> None:
        self.slip = None

    def do_approve(self, _: Try, now: datetime) -> None:
        assert self.slip
        self.slip.due = after(day_of(now), self.slip.days)
        self.parts.append(self.slip)
        self.stack.append(self.slip)
        self.slip = None

    def _ends(self, how: str) -> Part:
        part = self.stack.pop()
        part.ended, part.drafted_by, part.ask = how, "", ""
        return part

    def do_withdraw(self, *_: object) -> None:
        self._ends("withdrawn")

    def do_return(self, *_: object) -> None:
        self._ends("returned")

    def do_collect(self, t: Try, _: datetime) -> None:
        self.stack[-1].collected = True

    def do_tell(self, t: Try, _: datetime) -> None:
        self._the(t).told = True

    def _the(self, t: Try) -> Part:
        part = self.part(t.on)
        assert part
        return part

    def do_explain(self, t: Try, now: datetime) -> None:
        part = self._the(t)
        part.not_before = max(part.not_before, after(day_of(now), 3))

    def do_draft(self, t: Try, _: datetime) -> None:
        self.stack[-1].drafted_by = t.person

    def do_refuse_draft(self, *_: object) -> None:
        self.stack[-1].drafted_by = ""

    def do_approve_draft(self, *_: object) -> None:
        self.finished = self._ends("replied").answer_by == "assignee"

    do_record_reply = do_approve_draft

    def do_send_back(self, t: Try, now: datetime) -> None:
        part = self._the(t)
        self.finished, part.ended, part.redone = False, "", part.redone + 1
        part.due = after(day_of(now), t.days or 10)
        self.stack.append(part)

    def do_ask(self, t: Try, _: datetime) -> None:
        part = self._the(t)
        self.asks += 1
        assert t.wanted
        part.ask, part.wanted = f"e{self.asks}", t.wanted

    def do_decide(self, t: Try, _: datetime) -> None:
        part = self._the(t)
        part.ask = ""
        if t.outcome != "refused":
            part.due = t.wanted if t.outcome == "partly" and t.wanted else part.wanted

    def do_answer(self, *_: object) -> None:
        self.finished = True

    def do_instruct(self, t: Try, _: datetime) -> None:
        self.instructed += 1
        code = self.holder if self._asks_leader_of(t.mailbox) else t.mailbox
        assert code
        self.instructions[f"i{self.instructed}"] = code
        if self.place == "leader" and code == self.holder:
            self._ends("instructed")

    def do_follow_up(self, *_: object) -> None:
        """It is put on record, and the letter stays where it is."""

    def do_end_instruction(self, t: Try, _: datetime) -> None:
        del self.instructions[t.on]

    def time_is(self, now: datetime) -> None:
        """What falls due by itself: lateness once for each limit, urging again and again (R6.1, R7.1)."""
        for part in self.owed:
            if part.due <= now:
                part.late.add(part.due)
            if max(part.due, part.not_before) <= now and not part.ask and not part.kept:
                part.urged += 1
                part.not_before = after(day_of(now) - DAY, 3)
