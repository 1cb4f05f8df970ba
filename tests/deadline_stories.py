"""Letters to which things happen, for the tests of deadline's pure domain: facts in, and what deadline itself would declare."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from services.deadline.domain import Condition, Rules, condition, declare, follow, missed, next_at, recompute
from services.deadline.state import ON, Clock, Clocks, Kind
from services.deadline.working_time import rules_of
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.facts import (
    CitizenAnswered,
    ExtensionDecided,
    ExtensionRequested,
    Fact,
    HandoffReturned,
    HandoffSent,
    InstructionEnded,
    InstructionGiven,
    LetterReceived,
    LetterRegistered,
    ProgressRecorded,
    ReplyApproved,
    ReplySentBack,
    SlipWithdrawn,
)
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Channel,
    Classification,
    ExtensionOutcome,
    Nature,
    Number,
    Way,
)
from shared.directory import load_directory

LETTER = "0198c0de-0000-8000-8000-000000000001"
CLERK = Actor(subject="yuzhong-clerk", name="乙经办", mailbox="yuzhong")
LEADER = Actor(subject="mayor-leader", name="甲领导", mailbox="mayor")
DIRECTORY = load_directory(Path(__file__).parent / "data" / "directory.yaml")
RULES = rules_of(WorkingCalendar(), Settings())


def at(text: str) -> datetime:
    """A moment in Chongqing, e.g. `2026-03-02 09:30`."""
    return datetime.fromisoformat(f"{text}+08:00")


SENT = at("2026-03-02 10:00")
DUE = at("2026-03-17 00:00")
"""Monday 2 March + 10 working days: Monday 16 March, 24:00."""

CLASSIFICATION = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)
ENDS = {"sender": "mayor", "receiver": "yuzhong"}


def received(moment: datetime = SENT - timedelta(minutes=40)) -> LetterReceived:
    return LetterReceived(
        letter_id=LETTER,
        at=moment,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="停水",
        body="停水三天",
        classification=CLASSIFICATION,
        may_publish=True,
    )


def registered(moment: datetime = SENT - timedelta(minutes=20)) -> LetterRegistered:
    return LetterRegistered(letter_id=LETTER, at=moment, number=NUMBER)


def sent(
    moment: datetime = SENT,
    name: str = "s1",
    way: Way = Way.ASSIGN,
    *,
    sender: str = "mayor",
    receiver: str = "yuzhong",
    parent: str | None = None,
    days: int | None = None,
) -> HandoffSent:
    return HandoffSent(
        letter_id=LETTER,
        at=moment,
        handoff_id=name,
        sender=sender,
        receiver=receiver,
        opinion="请办理",
        requirements="按时回复",
        answer_by=AnswerBy.ASSIGNEE,
        written_reply=False,
        prepared_by=CLERK,
        number=NUMBER,
        way=way,
        parent=parent,
        working_days=days,
    )


def explained(moment: datetime, name: str = "s1") -> ProgressRecorded:
    return ProgressRecorded(letter_id=LETTER, at=moment, handoff_id=name, text="正在抢修")


def approved(moment: datetime, name: str = "s1") -> ReplyApproved:
    return ReplyApproved(
        letter_id=LETTER,
        at=moment,
        handoff_id=name,
        reply_id="r1",
        **ENDS,
        text="已恢复",
        author=CLERK,
        answer_by=AnswerBy.ASSIGNEE,
    )


def sent_back(moment: datetime, count: int = 1, name: str = "s1", days: int | None = None) -> ReplySentBack:
    return ReplySentBack(
        letter_id=LETTER,
        at=moment,
        handoff_id=name,
        reply_id="r1",
        **ENDS,
        reason="未说明原因",
        requirements="请说明原因",
        count=count,
        working_days=days,
    )


def returned(moment: datetime, name: str = "s1") -> HandoffReturned:
    return HandoffReturned(
        letter_id=LETTER, at=moment, handoff_id=name, **ENDS, reason="不属我区", count=1, flagged=False
    )


def withdrawn(moment: datetime, name: str = "s1") -> SlipWithdrawn:
    return SlipWithdrawn(letter_id=LETTER, at=moment, handoff_id=name, **ENDS, reason="发错单位")


def asked(moment: datetime, wanted: datetime, number: int = 1, name: str = "s1") -> ExtensionRequested:
    return ExtensionRequested(
        letter_id=LETTER,
        at=moment,
        handoff_id=name,
        extension_id=f"e{number}",
        **ENDS,
        reason="需专家论证",
        wanted_due_at=wanted,
    )


def decided(moment: datetime, due: datetime | None, number: int = 1, name: str = "s1") -> ExtensionDecided:
    outcome = ExtensionOutcome.REFUSED if due is None else ExtensionOutcome.GRANTED
    return ExtensionDecided(
        letter_id=LETTER, at=moment, handoff_id=name, extension_id=f"e{number}", **ENDS, outcome=outcome, due_at=due
    )


def instructed(moment: datetime, report_by: datetime, name: str = "i1") -> InstructionGiven:
    return InstructionGiven(
        letter_id=LETTER,
        at=moment,
        instruction_id=name,
        mailbox="mayor",
        leader=LEADER,
        text="请抓紧办理",
        report_by=report_by,
    )


def carried_out(moment: datetime, name: str = "i1") -> InstructionEnded:
    return InstructionEnded(letter_id=LETTER, at=moment, instruction_id=name, mailbox="mayor", text="已落实")


def answered(moment: datetime) -> CitizenAnswered:
    return CitizenAnswered(
        letter_id=LETTER, at=moment, mailbox="yuzhong", channel=Channel.ONLINE, text="已恢复", author=CLERK
    )


class Story:
    """A letter to which things happen, as `Letters` lets them."""

    def __init__(self, *facts: Fact, rules: Rules = RULES) -> None:
        self.rules = rules
        self.state: Clocks | None = None
        self.own: list[Fact] = []
        self.happens(*facts)

    def happens(self, *facts: Fact) -> "Story":
        for fact in facts:
            before = self.state
            self.state = ON[type(fact)](before, fact)
            self._record(missed(before, self.state, fact.at, self.rules))
            self._follow(fact.at)
        return self

    def _follow(self, now: datetime) -> None:
        assert self.state is not None
        while facts := follow(self.state, now, self.rules):
            self._record(facts)

    def _record(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self.state = ON[type(fact)](self.state, fact)
            self.own.append(fact)

    def swept(self, now: datetime) -> list[Fact]:
        """Let the clock be `now`; return what is declared."""
        facts = declare(self.state, now, now, self.rules)
        self._record(facts)
        return facts

    def recomputed(self, rules: Rules, now: datetime) -> list[Fact]:
        """Restart with other schedules; return what is declared."""
        self.rules = rules
        facts = recompute(self.state, now, rules)
        self._record(facts)
        return facts

    @property
    def next_at(self) -> datetime | None:
        assert self.state is not None
        return next_at(self.state, self.rules)

    def clock(self, name: str = "s1") -> Clock:
        assert self.state is not None
        return next(clock for clock in self.state.clocks if clock.id == name)

    @property
    def running(self) -> list[tuple[Kind, str]]:
        assert self.state is not None
        return [(clock.name, clock.id) for clock in self.state.running()]

    def stands(self, now: datetime, name: str = "s1") -> Condition:
        return condition(self.clock(name), self.rules, now)


def kinds(facts: Iterable[Fact]) -> list[type[Fact]]:
    return [type(fact) for fact in facts]
