"""What routing tells mailboxes on `mailbox.<code>`, at once when it happens (R6.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.routing.domain import Tree, hidden_from
from services.routing.state import Handoff, Letter, State
from shared.contracts.actions import Action, ApproveReply, CollectLetter, RecordProgress, RefuseReply, SubmitReply
from shared.contracts.facts import (
    Fact,
    HandoffCollected,
    HandoffSent,
    ProgressRecorded,
    ReplyApproved,
    ReplyDueSet,
    ReplyRefused,
    ReplyReminded,
    ReplySubmitted,
    UrgingSent,
)
from shared.contracts.mailbox import (
    ActionDone,
    AssignmentArrived,
    DueSet,
    MailboxMessage,
    ReminderArrived,
    ReplyArrived,
    UrgingArrived,
)
from shared.contracts.types import Number
from shared.messaging.letters import Step, Telling

ASKED_BY: Final[Mapping[type[Fact], type[Action]]] = {
    HandoffCollected: CollectLetter,
    ProgressRecorded: RecordProgress,
    ReplySubmitted: SubmitReply,
    ReplyApproved: ApproveReply,
    ReplyRefused: RefuseReply,
}
"""The first fact of an action → the action."""


@dataclass(frozen=True, slots=True)
class _About:
    """What a message may need besides the fact."""

    letter: Letter
    number: Number
    handoff: Handoff


def _assignment(fact: HandoffSent, about: _About) -> MailboxMessage:
    letter = about.letter
    return AssignmentArrived(
        letter_id=fact.letter_id,
        at=fact.at,
        mailbox=fact.receiver,
        handoff_id=fact.handoff_id,
        sender=fact.sender,
        number=fact.number,
        subject=letter.subject,
        body=letter.body,
        classification=letter.classification,
        attachments=letter.attachments,
        opinion=fact.opinion,
        requirements=fact.requirements,
        answer_by=fact.answer_by,
        written_reply=fact.written_reply,
        approved_by=about.handoff.approved_by,
    )


def _due(fact: ReplyDueSet, _: _About) -> MailboxMessage:
    return DueSet(
        letter_id=fact.letter_id,
        at=fact.at,
        mailbox=fact.receiver,
        handoff_id=fact.handoff_id,
        due_at=fact.due_at,
        provisional=fact.provisional,
    )


def _reminder(fact: ReplyReminded, about: _About) -> MailboxMessage | None:
    """Remind, unless the reply was approved while the reminder was under way."""
    if about.handoff.replied_at is not None:
        return None
    return ReminderArrived(
        letter_id=fact.letter_id,
        at=fact.at,
        mailbox=fact.receiver,
        handoff_id=fact.handoff_id,
        due_at=fact.due_at,
        working_days_left=fact.working_days_left,
    )


def _urging(fact: UrgingSent, about: _About) -> MailboxMessage:
    return UrgingArrived(
        letter_id=fact.letter_id,
        at=fact.at,
        mailbox=fact.receiver,
        handoff_id=fact.handoff_id,
        number=about.number,
        count=fact.count,
        due_at=fact.due_at,
    )


def _reply(fact: ReplyApproved, about: _About) -> MailboxMessage:
    return ReplyArrived(
        letter_id=fact.letter_id,
        at=fact.at,
        mailbox=fact.sender,
        handoff_id=fact.handoff_id,
        number=about.number,
        receiver=fact.receiver,
        text=fact.text,
        answer_by=fact.answer_by,
    )


TOLD: Final[Mapping[type[Fact], Callable[[Any, _About], MailboxMessage | None]]] = {
    HandoffSent: _assignment,
    ReplyDueSet: _due,
    ReplyReminded: _reminder,
    UrgingSent: _urging,
    ReplyApproved: _reply,
}
"""Fact → what a mailbox is told of it."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Decides which mailboxes are told of steps; a report is never told to the mailbox that it is about."""

    tree: Tree

    async def __call__(self, steps: Sequence[Step[State]]) -> Sequence[Telling]:
        """Return the messages that follow from steps."""
        told = [telling for step in steps if (telling := self._told(step)) is not None]
        return told + _done(steps)

    def _told(self, step: Step[State]) -> Telling | None:
        make, state = TOLD.get(type(step.fact)), step.after
        if make is None or state is None or state.letter is None or state.letter.number is None:
            return None
        handoff_id = getattr(step.fact, "handoff_id", "")
        handoff = next((handoff for handoff in state.handoffs if handoff.id == handoff_id), None)
        if handoff is None:
            return None
        message = make(step.fact, _About(state.letter, state.letter.number, handoff))
        if message is None or hidden_from(state.letter.classification, message.mailbox, self.tree):
            return None
        return Telling(f"mailbox.{message.mailbox}", message, step.fact)


def _done(steps: Sequence[Step[State]]) -> list[Telling]:
    """Tell units' systems which of their actions took effect, once for each, with the version after it."""
    first: dict[tuple[str, str], Fact] = {}
    versions: dict[tuple[str, str], int] = {}
    for step in steps:
        if step.fact.caused_by is not None and step.fact.by is not None:
            key = (step.letter_id, step.fact.caused_by)
            first.setdefault(key, step.fact)
            versions[key] = step.version
    return [
        Telling(
            f"mailbox.{fact.by.mailbox}",
            ActionDone(
                letter_id=fact.letter_id,
                at=fact.at,
                mailbox=fact.by.mailbox,
                action_id=action_id,
                action=ASKED_BY[type(fact)].__name__,
                letter_version=versions[letter_id, action_id],
            ),
            fact,
        )
        for (letter_id, action_id), fact in first.items()
        if fact.by is not None
    ]
