"""Whole stories of letters, made by the services' own domain code: what each of them would say, in an order in which it could be said."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any

from services.deadline import domain as deadline
from services.deadline.state import ON as DEADLINE
from services.deadline.working_time import rules_of
from services.intake.domain import ON as INTAKE
from services.publication import domain as publication
from services.routing import domain as routing
from services.routing.state import ON as ROUTING
from services.settings import Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.envelope import Outgoing, pack_fact
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    PublicationPrepared,
    ReplyApproved,
    ReplySubmitted,
    SlipPrepared,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, InvalidReason, Nature, Number
from tests.bench.mail import samples

START = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
UNITS = ("education", "water-group", "power", "health", "yuzhong", "wanzhou")
PREFIX = {"prefix": "渝府信", "ascii_prefix": "YFX"}


class Story:
    """One letter's facts; after each, every service adds what it must by itself."""

    def __init__(self, letter_id: str, start: datetime, rules: deadline.Rules) -> None:
        self.letter_id = letter_id
        self.facts: list[Fact] = []
        self.now = start
        self._domains: dict[str, tuple[Mapping[type[Fact], Callable[..., Any]], Callable[..., Any]]] = {
            "intake": (INTAKE, lambda _state, _now: ()),
            "routing": (ROUTING, routing.follow),
            "deadline": (DEADLINE, partial(deadline.follow, rules=rules)),
            "publication": (publication.ON, partial(publication.follow, mayor="mayor")),
        }
        self._rules = rules
        self._states: dict[str, Any] = dict.fromkeys(self._domains)

    def tell(self, model: type[Fact], **fields: Any) -> None:
        """Add a fact a few minutes after the last one, and what follows from it."""
        self.now += timedelta(minutes=7)
        self._add(model(letter_id=self.letter_id, at=self.now, **fields))

    def wait(self, days: int) -> None:
        """Let time pass; what falls due is declared on its day."""
        for _ in range(days):
            self.now += timedelta(days=1)
            for fact in deadline.declare(self._states["deadline"], self.now, self.now, self._rules):
                self._add(fact)

    def _add(self, fact: Fact) -> None:
        todo = [fact]
        while todo:
            fact = todo.pop(0)
            self.facts.append(fact)
            for name, (on, _) in self._domains.items():
                evolve = on.get(type(fact))
                if evolve is not None:
                    self._states[name] = evolve(self._states[name], fact)
            if not todo:
                for name, (_, follow) in self._domains.items():
                    if self._states[name] is not None and not todo:
                        todo += follow(self._states[name], self.now)


def stories(number: int) -> Iterator[Sequence[Fact]]:
    """Make `number` letters to the mayor: most go the whole way, some are answered late, some discarded, some noted."""
    rules, letters = _ground()
    serial = 0
    for position in range(number):
        story = Story(
            f"{position:08x}-0000-8000-8000-{position:012x}", START + timedelta(minutes=position % 400), rules
        )
        _received(story, letters[position % len(letters)])
        if position % 10 == 8:
            story.tell(LetterDiscarded, by=_mayor("clerk"), reason=list(InvalidReason)[position % 5])
        elif position % 10 == 9:
            story.tell(LetterNoted, by=_mayor("clerk"))
        else:
            serial += 1
            late = position % 10 == 7
            _handled(story, serial, UNITS[position % len(UNITS)], 16 if late else 0)
        yield story.facts


@cache
def _ground() -> tuple[deadline.Rules, list[dict[str, Any]]]:
    """Return the rules and the texts that stories are made of."""
    return rules_of(WorkingCalendar(()), Settings()), samples()


def one_story(
    letter_id: str, start: datetime, position: int, before: type[Fact] | None = None, days: int = 0
) -> Sequence[Fact]:
    """Make the story of one letter to the mayor that begins at `start`, up to the fact before the first of a kind; none: all of it.

    The unit replies after so many days.

    Its serial is its `position`, which also decides on text and unit.
    """
    rules, letters = _ground()
    story = Story(letter_id, start, rules)
    _received(story, letters[position % len(letters)])
    _handled(story, position, UNITS[position % len(UNITS)], days)
    kinds = [type(fact) for fact in story.facts]
    return story.facts if before is None else story.facts[: kinds.index(before)]


def _mayor(role: str) -> Actor:
    return Actor(subject=f"mayor-{role}", name="某人", mailbox="mayor")


def _received(story: Story, letter: dict[str, Any]) -> None:
    chosen = Classification(nature=Nature.COMPLAINT, domain=letter["domain"], region=letter["region"])
    corrected = chosen.model_copy(update={"nature": Nature.HELP})
    story.tell(
        LetterReceived,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject=letter["subject"],
        body=letter["body"],
        classification=chosen,
        may_publish=True,
    )
    story.tell(LetterRead, by=_mayor("clerk"))
    story.tell(LetterReclassified, by=_mayor("clerk"), before=chosen, after=corrected)


def _handled(story: Story, serial: int, unit: str, days: int) -> None:
    clerk, head = (Actor(subject=f"{unit}-{role}", name="某人", mailbox=unit) for role in ("clerk", "head"))
    number = Number(mailbox="mayor", year=2026, serial=serial, **PREFIX)
    ends = {"sender": "mayor", "receiver": unit}
    slip = {
        "opinion": "拟交你单位办理",
        "requirements": "请依法依规办理，在规定期限内答复来信人",
        "answer_by": AnswerBy.ASSIGNEE,
        "written_reply": False,
    }
    reply = "经现场核实，问题已处理完毕，感谢您的来信。"
    public = {"mailbox": unit, "subject": "市民来信", "body": "来信反映的问题。", "reply": reply, "text_hash": "0" * 64}
    story.tell(LetterRegistered, by=_mayor("clerk"), number=number)
    story.tell(SlipPrepared, by=_mayor("clerk"), slip_id="s1", **ends, **slip)
    story.tell(
        HandoffSent, by=_mayor("head"), handoff_id="s1", prepared_by=_mayor("clerk"), number=number, **ends, **slip
    )
    story.tell(HandoffCollected, by=clerk, handoff_id="s1", receiver=unit)
    story.wait(days)
    story.tell(ReplySubmitted, by=clerk, handoff_id="s1", reply_id="r1", text=reply)
    approved = {"handoff_id": "s1", "reply_id": "r1", "text": reply, "author": clerk, "answer_by": AnswerBy.ASSIGNEE}
    story.tell(ReplyApproved, by=head, **ends, **approved)
    story.tell(CitizenAnswered, by=head, mailbox=unit, channel=Channel.ONLINE, text=reply, author=clerk)
    story.tell(PublicationPrepared, by=clerk, **public)
    story.tell(LetterPublished, by=head, prepared_by=clerk, number=number, **public)


def packed(facts: Sequence[Fact]) -> list[Outgoing]:
    """Put a story's facts into their envelopes, each counted by its source."""
    seqs: dict[str, int] = {}
    messages = []
    for fact in facts:
        seq = seqs[fact.source] = seqs.get(fact.source, 0) + 1
        messages.append(pack_fact(fact, seq))
    return messages
