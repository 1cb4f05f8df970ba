"""Stories of one letter's handling, told by routing's decisions and remembered by `ON`; no engines."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from services.routing import domain
from services.routing.domain import SlipText, Who
from services.routing.models import Handoff, Stage, State
from services.routing.state import ON
from shared.contracts.facts import Fact, LetterReceived, LetterRegistered, ReplyDueSet
from shared.contracts.types import Actor, AnswerBy, Classification, Nature, Number, Way

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
DUE = NOW + timedelta(days=14)
ID = "letter-1"
NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
ABOUT_WATER = Classification(nature=Nature.COMPLAINT, domain="water", region="500103")
TEXT = SlipText(
    receiver="education", opinion="拟交市教委办理", requirements="依法办理并答复", answer_by=AnswerBy.ASSIGNEE
)


class Tree:
    """mayor → mayor-office (its department), education → education-basic (its department), water, yuzhong."""

    parents: ClassVar = {
        "mayor": None,
        "mayor-office": "mayor",
        "education": "mayor",
        "education-basic": "education",
        "water": "mayor",
        "yuzhong": "mayor",
    }
    departments: ClassVar = {"mayor-office": "mayor", "education-basic": "education"}

    def __contains__(self, code: object) -> bool:
        return code in self.parents

    def is_below(self, code: str, ancestor: str) -> bool:
        above = self.parents[code]
        return above is not None and (above == ancestor or self.is_below(above, ancestor))

    def above(self, code: str) -> str | None:
        return self.parents.get(self.departments.get(code, code))

    def works_in(self, subject: str) -> frozenset[str]:
        """People are named `<mailbox>-<role>`."""
        return frozenset(code for code in self.parents if code == subject.rpartition("-")[0])

    def same_unit(self, code: str) -> frozenset[str]:
        unit = self.departments.get(code, code)
        return frozenset((unit, *(part for part, whole in self.departments.items() if whole == unit)))

    def unit_code(self, code: str) -> str:
        return self.departments.get(code, code)

    def current(self, code: str) -> str:
        return code


TREE = Tree()


def who(subject: str, mailbox: str, *roles: str, action: str | None = None) -> Who:
    return Who(actor=Actor(subject=subject, mailbox=mailbox), roles=frozenset(roles), caused_by=action)


def staff(mailbox: str, role: str) -> Who:
    return who(f"{mailbox}-{role}", mailbox, role)


CLERK = staff("mayor", "clerk")
HEAD = staff("mayor", "head")
LEADER = staff("mayor", "leader")
DUTY = staff("mayor", "duty_officer")
UNIT_CLERK = staff("education", "clerk")
UNIT_HEAD = staff("education", "head")
UNIT_LEADER = staff("education", "leader")
BASIC_CLERK = staff("education-basic", "clerk")
BASIC_HEAD = staff("education-basic", "head")
WATER_CLERK = staff("water", "clerk")
WATER_HEAD = staff("water", "head")
OUTSIDER = who("water-clerk", "water", "clerk", "head", "leader")


class Story:
    """A letter and everything that happened to it."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.facts: list[Fact] = []

    @property
    def now(self) -> datetime:
        return NOW + timedelta(minutes=len(self.facts))

    @property
    def known(self) -> State:
        assert self.state is not None
        return self.state

    @property
    def stage(self) -> Stage:
        return self.known.stage

    @property
    def holder(self) -> str | None:
        return self.known.holder

    @property
    def handoff(self) -> Handoff:
        assert self.known.handoff is not None
        return self.known.handoff

    def happens(self, *facts: Fact) -> "Story":
        for fact in facts:
            self.state = ON[type(fact)](self.state, fact)
            self.facts.append(fact)
        return self

    def does(self, decide: Callable[..., list[Fact]], by: Who, *arguments: Any) -> "Story":
        return self.happens(*decide(self.state, by, TREE, *arguments, self.now))

    def slips(self, sender: str, receiver: str, way: Way = Way.ASSIGN, **changes: Any) -> "Story":
        """The sender's clerk drafts a slip."""
        default = AnswerBy.ASSIGNEE if way is Way.ASSIGN and self.known.current is None else None
        text = {"way": way, "receiver": receiver, "answer_by": default, **changes}
        return self.does(domain.prepare_slip, staff(sender, "clerk"), TEXT.model_copy(update=text))

    def sends(self, sender: str, receiver: str, way: Way = Way.ASSIGN, **changes: Any) -> "Story":
        """The sender's clerk drafts a slip and its head approves it."""
        self.slips(sender, receiver, way, **changes)
        return self.does(domain.approve_slip, staff(sender, "head"), f"s{len(self.known.slips)}")

    def collects(self, receiver: str) -> "Story":
        return self.does(domain.collect, staff(receiver, "clerk"), self.handoff.id)

    def drafts(self, receiver: str, text: str = "路灯已修复。") -> "Story":
        return self.does(domain.submit_reply, staff(receiver, "clerk"), self.handoff.id, domain.ReplyText(text=text))

    def replies(self, receiver: str, text: str = "路灯已修复。") -> "Story":
        """The receiver's clerk drafts a reply and its head approves it."""
        return self.drafts(receiver, text).does(domain.approve_reply, staff(receiver, "head"), self.handoff.id, None)

    def is_due(self, at: datetime = DUE) -> "Story":
        """Deadline sets the limit of the hand-off."""
        handoff = self.handoff
        due = ReplyDueSet(
            letter_id=ID, at=self.now, handoff_id=handoff.id, receiver=handoff.receiver, due_at=at, working_days=10
        )
        return self.happens(due)


def received(**changes: Any) -> LetterReceived:
    values = {
        "letter_id": ID,
        "at": NOW,
        "mailbox": "mayor",
        "chosen_mailbox": "mayor",
        "subject": "学校门口的路灯坏了",
        "body": "学校门口的路灯坏了两周，孩子放学不安全，请尽快修复。",
        "classification": ABOUT_WATER,
        "may_publish": True,
    }
    return LetterReceived(**{**values, **changes})


def pending(mailbox: str = "mayor", **changes: Any) -> Story:
    """A registered letter on the pending list of the mailbox that it was written to."""
    letter = received(mailbox=mailbox, chosen_mailbox=mailbox, **changes)
    return Story().happens(letter, LetterRegistered(letter_id=ID, at=NOW, number=NUMBER))


def slip(**changes: Any) -> Story:
    return pending().does(domain.prepare_slip, CLERK, TEXT.model_copy(update=changes))


def sent(**changes: Any) -> Story:
    return slip(**changes).does(domain.approve_slip, HEAD, "s1")


def collected(**changes: Any) -> Story:
    return sent(**changes).does(domain.collect, UNIT_CLERK, "s1")


def drafted(**changes: Any) -> Story:
    return collected(**changes).drafts("education")
