"""What routing tells mailboxes on `mailbox.<code>`, at once when it happens (R6.3)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from services.routing.access import Tree, acting, unit_of
from services.routing.actions import asked_for
from services.routing.models import Handoff, Letter, State
from shared.contracts.facts import (
    CitizenAnswered,
    DispositionOverdue,
    ExtensionDecided,
    ExtensionRequested,
    Fact,
    HandoffReturned,
    HandoffSent,
    InstructionGiven,
    InstructionReminded,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyReminded,
    ReplySentBack,
    SlipRefused,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.mailbox import (
    ActionDone,
    AssignmentArrived,
    DispositionDue,
    DueMoved,
    DueSet,
    ExtensionAnswered,
    ExtensionAsked,
    ForwardArrived,
    InstructionArrived,
    InstructionDue,
    MailboxMessage,
    ReminderArrived,
    ReplyArrived,
    ResultArrived,
    ReturnArrived,
    SendBackArrived,
    SlipGivenBack,
    SubmissionArrived,
    UrgingArrived,
    WithdrawalArrived,
)
from shared.contracts.reports import untold
from shared.contracts.types import Medium, Number, Way
from shared.messaging.work import Step, Telling

Message = TypeVar("Message", bound=MailboxMessage)


@dataclass(frozen=True, slots=True)
class _About:
    """What a message may need besides the fact."""

    state: State
    letter: Letter
    number: Number
    tree: Tree

    def handoff(self, handoff_id: str) -> Handoff | None:
        return next((handoff for handoff in self.state.handoffs if handoff.id == handoff_id), None)


def _make(kind: type[Message], fact: Fact, mailbox: str, **more: Any) -> Message:
    """Make a message of a fact: fields of the same name are taken over."""
    taken = {name: getattr(fact, name) for name in kind.model_fields if hasattr(fact, name)}
    return kind(**{**taken, "mailbox": mailbox, **more})


def _to(
    kind: type[MailboxMessage], side: str, *, passed_on: bool = False
) -> Callable[[Any, _About], Iterable[MailboxMessage]]:
    """Return how one side of a fact, named by its field, is told.

    An office that is not connected is told nothing; what must reach it all the same (`passed_on`) goes to the assigner, who passes it on by
    fax or post (R4.2).
    """

    def make(fact: Any, about: _About) -> Iterable[MailboxMessage]:
        handoff = about.handoff(getattr(fact, "handoff_id", ""))
        unconnected = handoff is not None and handoff.by_hand and side == "receiver"
        if not unconnected:
            yield _make(kind, fact, getattr(fact, side), number=about.number)
        elif passed_on and handoff is not None:
            yield _make(kind, fact, handoff.sender, number=about.number)

    return make


def _handed_on(fact: HandoffSent, about: _About) -> Iterable[MailboxMessage]:
    """Tell the receiver, unless the letter stays in the mailbox or travels by fax or post (R4.2)."""
    kind = {Way.FORWARD: ForwardArrived, Way.SUBMIT_UP: SubmissionArrived}.get(fact.way, AssignmentArrived)
    mailbox = fact.receiver
    if fact.way is Way.SUBMIT_UP and fact.receiver == fact.sender:
        mailbox = unit_of(acting(about.state, fact.receiver, about.tree), about.tree)
    elif fact.receiver == fact.sender or fact.medium is not Medium.SYSTEM:
        return
    letter = about.letter
    yield _make(
        kind,
        fact,
        mailbox,
        subject=letter.subject,
        body=letter.body,
        classification=letter.classification,
        attachments=letter.attachments,
        approved_by=fact.by,
    )


def _reminder(fact: ReplyReminded, about: _About) -> Iterable[MailboxMessage]:
    """Remind, unless the hand-off ended while the reminder was under way."""
    handoff = about.handoff(fact.handoff_id)
    if handoff is not None and not handoff.ended:
        yield from _to(ReminderArrived, "receiver", passed_on=True)(fact, about)


def _result(fact: CitizenAnswered, about: _About) -> Iterable[MailboxMessage]:
    """Tell the first-receiving mailbox and whoever handed the letter on; who got the reply itself knows (R8.2, R8.4)."""
    replied = about.state.replied
    knows = {acting(about.state, code, about.tree) for code in (fact.mailbox, replied.sender if replied else "")}
    had = [about.letter.mailbox, *(h.sender for h in about.state.handoffs if not (h.withdrawn or h.returned))]
    hands = (acting(about.state, code, about.tree) for code in had)
    for mailbox in dict.fromkeys(hands):
        if mailbox not in knows:
            yield _make(ResultArrived, fact, mailbox, number=about.number, answered_by=fact.mailbox)


def _not_disposed_of(fact: DispositionOverdue, about: _About) -> Iterable[MailboxMessage]:
    """Say that it is late (R1.4), unless it was disposed of meanwhile."""
    if not (about.state.handoffs or about.state.answers or about.letter.noted):
        yield from _to(DispositionDue, "mailbox")(fact, about)


def _given_back(fact: SlipRefused, about: _About) -> Iterable[MailboxMessage]:
    slip = next(slip for slip in about.state.slips if slip.id == fact.slip_id)
    yield _make(SlipGivenBack, fact, slip.sender, number=about.number)


Tell: TypeAlias = Callable[[Any, _About], Iterable[MailboxMessage]]

TOLD: Final[Mapping[type[Fact], Tell]] = {
    SlipRefused: _given_back,
    HandoffSent: _handed_on,
    SlipWithdrawn: _to(WithdrawalArrived, "receiver"),
    HandoffReturned: _to(ReturnArrived, "sender"),
    ReplyApproved: _to(ReplyArrived, "sender"),
    ReplySentBack: _to(SendBackArrived, "receiver"),
    CitizenAnswered: _result,
    ExtensionRequested: _to(ExtensionAsked, "sender"),
    ExtensionDecided: _to(ExtensionAnswered, "receiver"),
    InstructionGiven: _to(InstructionArrived, "mailbox"),
    UrgingSent: _to(UrgingArrived, "receiver", passed_on=True),
    ReplyDueSet: _to(DueSet, "receiver"),
    ReplyDueChanged: _to(DueMoved, "receiver"),
    ReplyReminded: _reminder,
    InstructionReminded: _to(InstructionDue, "mailbox"),
    DispositionOverdue: _not_disposed_of,
}
"""Fact → what mailboxes are told of it."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Decides which mailboxes are told of steps; a report is never told to the mailbox that it is about, but to the one above it.

    What concerns a closed mailbox is told to its successor.
    """

    tree: Tree

    async def __call__(self, steps: Sequence[Step[State]]) -> Sequence[Telling]:
        """Return the messages that follow from steps."""
        told = [telling for step in steps for telling in self._told(step)]
        return told + _done(steps)

    def _told(self, step: Step[State]) -> Iterable[Telling]:
        tell, state = TOLD.get(type(step.fact)), step.after
        if tell is None or state is None or state.letter is None or state.letter.number is None:
            return
        told: list[MailboxMessage] = []
        for message in tell(step.fact, _About(state, state.letter, state.letter.number, self.tree)):
            mailbox = acting(state, message.mailbox, self.tree)
            message = message.model_copy(update={"mailbox": mailbox})  # noqa: PLW2901 - to whoever goes on for it today
            if message not in told and not untold(state.letter.classification, mailbox, self.tree):
                told.append(message)
                yield Telling(f"mailbox.{mailbox}", message, step.fact)


def _done(steps: Sequence[Step[State]]) -> list[Telling]:
    """Tell units' systems which of their actions took effect, once for each, with the version after it."""
    made: dict[tuple[str, str, str], list[Step[State]]] = {}
    for step in steps:
        if step.fact.caused_by is not None and step.fact.by is not None:
            made.setdefault((step.letter_id, step.fact.by.mailbox, step.fact.caused_by), []).append(step)
    return [
        Telling(
            f"mailbox.{mailbox}",
            ActionDone(
                letter_id=letter_id,
                at=group[0].fact.at,
                mailbox=mailbox,
                action_id=action_id,
                action=asked_for([step.fact for step in group]).__name__,
                letter_version=group[-1].version,
            ),
            group[0].fact,
        )
        for (letter_id, mailbox, action_id), group in made.items()
    ]
