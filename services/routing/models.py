"""What routing knows of a letter's handling, and where the letter stands: computed from what is known, never stored.

A letter is always in one place. Each open hand-off opens a frame inside the one under which its sender had the letter: the innermost says
who has it. When one ends (replied, returned, withdrawn, or instructed by the own leader) the letter is back in the frame around it.
"""

from collections.abc import Mapping
from typing import Final

from shared.contracts.types import (
    Actor,
    AnswerBy,
    Attachment,
    Channel,
    Classification,
    ExtensionOutcome,
    FormalDocument,
    Labelled,
    Medium,
    Moment,
    Number,
    Value,
    Way,
)

KEPT_TEXTS: Final = 20
"""Notes, drafts, urgings and applications per hand-off that the state keeps; all of them are in the history."""
KEPT_ACTIONS: Final = 1_000
"""Actions that took effect on one letter and are recognised when they come again."""


class Stage(Labelled):
    """Where a letter stands."""

    ARRIVED = "arrived", "待登记"
    PENDING = "pending", "拟办"
    SLIP = "slip", "单据待审批"
    SENT = "sent", "已发出待签收"
    SUBMITTED = "submitted", "呈领导批示"
    DIRECT = "direct", "直办中"
    COLLECTED = "collected", "承办中"
    DRAFTED = "drafted", "承办回复待审核"
    REPLIED = "replied", "待答复来信人"
    FINISHED = "finished", "办结"
    DISCARDED = "discarded", "不予受理"
    NOTED = "noted", "掌握"


CLOSED: Final = frozenset({Stage.ARRIVED, Stage.FINISHED, Stage.DISCARDED, Stage.NOTED})
"""Stages at which nobody handles the letter: not yet, or no longer."""


class Letter(Value):
    """The letter as intake tells of it."""

    mailbox: str
    """The first-receiving mailbox; its number stays for ever (R3.8)."""
    subject: str
    body: str
    classification: Classification
    attachments: tuple[Attachment, ...] = ()
    received_at: Moment
    read: bool = False
    """Whether staff opened it (R3.1)."""
    number: Number | None = None
    registered_at: Moment | None = None
    registered_by: Actor | None = None
    discarded: bool = False
    noted: bool = False


class Decision(Value):
    """What somebody decided: a head on a slip or draft, a sender that withdrew, a receiver that returned."""

    by: Actor
    at: Moment
    reason: str | None = None
    """Why it was refused, withdrawn or returned; none: it was approved."""


class Note(Value):
    """Something that somebody put on record."""

    text: str
    by: Actor
    at: Moment


class Slip(Value):
    """A slip: 处理单, 交办单, 转阅单 or 呈办单 (R4.1–R4.4)."""

    id: str
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    way: Way
    medium: Medium
    working_days: int | None
    parent: str | None
    """The hand-off under which the sender has the letter."""
    prepared_by: Actor
    prepared_at: Moment
    decision: Decision | None = None


class Told(Value):
    """How the citizen was told where the letter went (R4.3)."""

    channel: Channel
    text: str
    by: Actor
    at: Moment


class Reply(Value):
    """A draft of the assignee's reply (承办回复, R6.2), and what its head decided."""

    id: str
    text: str
    document: FormalDocument | None = None
    attachments: tuple[Attachment, ...] = ()
    channel: Channel = Channel.ONLINE
    author: Actor
    at: Moment
    decision: Decision | None = None


class SentBack(Value):
    """A reply that has to be done again (退办, R7.3)."""

    reply_id: str
    reason: str
    requirements: str
    count: int
    working_days: int | None
    by: Actor
    at: Moment


class Extension(Value):
    """An application for more time (R6.4)."""

    id: str
    reason: str
    wanted_due_at: Moment
    oral: bool
    by: Actor
    at: Moment
    outcome: ExtensionOutcome | None = None
    due_at: Moment | None = None  # the new limit, where granted in whole or in part
    decision: Decision | None = None


class Urging(Value):
    """An urging slip that went out (催办单, R7.1), and the limit that had passed."""

    count: int
    due_at: Moment
    at: Moment


class Handoff(Value):
    """A letter that was handed on (R4.1–R4.4)."""

    id: str
    sender: str
    receiver: str
    opinion: str
    requirements: str
    answer_by: AnswerBy
    written_reply: bool
    way: Way
    medium: Medium
    working_days: int | None
    parent: str | None
    prepared_by: Actor
    approved_by: Actor
    sent_at: Moment
    collected_by: Actor | None = None
    collected_at: Moment | None = None
    withdrawn: Decision | None = None
    returned: Decision | None = None
    instructed_at: Moment | None = None
    """When the own leader's instruction brought the letter back to its staff (R4.4)."""
    told: Told | None = None
    progress: tuple[Note, ...] = ()
    replies: tuple[Reply, ...] = ()
    replied_at: Moment | None = None
    sent_back: tuple[SentBack, ...] = ()
    extensions: tuple[Extension, ...] = ()
    urged: int = 0
    """The ordinal of the last urging slip that went out (R7.1); `urgings` are the latest ones."""
    urgings: tuple[Urging, ...] = ()

    @property
    def draft(self) -> Reply | None:
        """The draft that waits for the head: only the newest can."""
        last = self.replies[-1] if self.replies else None
        return last if last is not None and last.decision is None else None

    @property
    def undecided(self) -> Extension | None:
        """The application for more time that waits for the assigner: one at most; a reply makes it needless (R6.4)."""
        last = self.extensions[-1] if self.extensions else None
        if last is None or last.outcome is not None or self.replied_at is not None:
            return None
        return None if self.sent_back and self.sent_back[-1].at >= last.at else last

    @property
    def ended(self) -> bool:
        """Whether the letter is back with the sender."""
        return (self.withdrawn or self.returned or self.replied_at or self.instructed_at) is not None

    @property
    def is_kept(self) -> bool:
        """Whether it stays in the mailbox: answered by the unit itself (R4.1), or with its own leader (R4.4)."""
        return self.sender == self.receiver

    @property
    def by_hand(self) -> bool:
        """Whether it travelled by fax or post, so that the sender records what the receiver does (R4.2)."""
        return self.medium is not Medium.SYSTEM

    @property
    def owes_reply(self) -> bool:
        """Whether a reply is due: on what was assigned or passed inside the unit, not on forwards and submissions (R8.4)."""
        return self.way in {Way.ASSIGN, Way.DIRECT}

    @property
    def to_tell(self) -> bool:
        """Whether the sender must still tell the citizen where the letter went (R4.3)."""
        return self.way is Way.FORWARD and self.told is None and self.withdrawn is None and self.returned is None

    @property
    def stage(self) -> Stage:
        """Where this hand-off stands by itself, whatever its receiver does further with the letter."""
        if self.replied_at is not None:
            return Stage.REPLIED
        if self.ended:
            return Stage.PENDING
        if self.is_kept:
            return Stage.SUBMITTED if self.way is Way.SUBMIT_UP else Stage.DIRECT
        if self.collected_at is None:
            return Stage.SENT
        return Stage.COLLECTED if self.draft is None else Stage.DRAFTED


class Clock(Value):
    """What deadline told of one hand-off (R6.1, R7.1)."""

    due_at: Moment | None = None
    provisional: bool = False
    reminded_at: Moment | None = None
    overdue_at: Moment | None = None
    """When it was declared that the due moment in force had passed."""
    urging: int = 0
    """The ordinal of the last urging that fell due."""
    urging_due_at: Moment | None = None


class Instruction(Value):
    """A leader's instruction (批示), and how it is carried out (R8.1)."""

    id: str
    mailbox: str
    """Whose staff follow it."""
    leader: Actor
    text: str
    report_by: Moment
    at: Moment
    follow_ups: tuple[Note, ...] = ()
    ended: Note | None = None


class Answer(Value):
    """The citizen's answer (R8.3)."""

    mailbox: str
    channel: Channel
    text: str
    author: Actor
    at: Moment


class State(Value):
    """The handling of one letter."""

    letter_id: str
    letter: Letter | None = None
    slips: tuple[Slip, ...] = ()
    handoffs: tuple[Handoff, ...] = ()
    drafted: int = 0
    """How many replies were drafted: the next is `r<drafted + 1>`."""
    applied: int = 0
    """How many applications for more time were made: the next is `e<applied + 1>`."""
    instructions: tuple[Instruction, ...] = ()
    answers: tuple[Answer, ...] = ()
    reopened: bool = False
    """The reply behind the last answer was sent back (R7.3), so the citizen waits for another."""
    moved_at: Moment | None = None
    """Since when the letter stands where it stands; none: it was not disposed of yet."""
    actions: tuple[str, ...] = ()
    """The `action_key` of each unit's action that took effect, so that the same one again has none."""
    clocks: Mapping[str, Clock] = {}
    """Hand-off id → its clock."""

    @property
    def answer(self) -> Answer | None:
        """The answer that finishes the letter (R8.3)."""
        return self.answers[-1] if self.answers and not self.reopened else None

    @property
    def slip(self) -> Slip | None:
        """The slip that waits for the head."""
        last = self.slips[-1] if self.slips else None
        return last if last is not None and last.decision is None else None

    @property
    def open_handoffs(self) -> tuple[Handoff, ...]:
        """The hand-offs that have not ended, the outermost first."""
        return tuple(handoff for handoff in self.handoffs if not handoff.ended)

    @property
    def current(self) -> Handoff | None:
        """The innermost open hand-off: it says who has the letter."""
        return next((handoff for handoff in reversed(self.handoffs) if not handoff.ended), None)

    @property
    def last(self) -> Handoff | None:
        """The hand-off that came back last to where the letter is now."""
        frame = self.current.id if self.current else None
        return next((handoff for handoff in reversed(self.handoffs) if handoff.parent == frame), None)

    @property
    def replied(self) -> Handoff | None:
        """The hand-off whose reply is the last thing that came back to where the letter is now."""
        return self.last if self.last is not None and self.last.replied_at is not None else None

    @property
    def returned(self) -> Handoff | None:
        """The hand-off that was returned (R5.1), so that the letter waits to be disposed of anew."""
        waits = self.stage in {Stage.PENDING, Stage.COLLECTED}
        return self.last if waits and self.last is not None and self.last.returned is not None else None

    @property
    def handoff(self) -> Handoff | None:
        """The hand-off under which the letter is, or was last, handled."""
        return self.current or (self.handoffs[-1] if self.handoffs else None)

    @property
    def stage(self) -> Stage:  # noqa: PLR0911 - one line for each stage
        """Where the letter stands. A number counts more than a discard or note made at the same moment (R3.6)."""
        if self.answer is not None:
            return Stage.FINISHED
        if self.slip is not None:
            return Stage.SLIP
        current = self.current
        if current is not None and (current.owes_reply or current.stage is not Stage.COLLECTED):
            return current.stage
        # On a desk: the first-receiving mailbox's, or that of whom it was forwarded or submitted to.
        if self.replied is not None:
            return Stage.REPLIED
        if current is not None or (self.letter is not None and self.letter.number is not None):
            return Stage.PENDING
        if self.letter is not None and self.letter.discarded:
            return Stage.DISCARDED
        if self.letter is not None and self.letter.noted:
            return Stage.NOTED
        return Stage.ARRIVED

    @property
    def holder(self) -> str | None:
        """The one mailbox that has the letter; none once nobody handles it any more."""
        if self.stage in {Stage.FINISHED, Stage.DISCARDED, Stage.NOTED}:
            return None
        if self.slip is not None:
            return self.slip.sender
        if self.current is not None:
            return self.current.receiver
        return self.letter.mailbox if self.letter else None

    @property
    def since(self) -> Moment | None:
        """Since when it stands there; none before it is registered."""
        if self.stage in {Stage.ARRIVED, Stage.DISCARDED, Stage.NOTED}:
            return None
        return self.moved_at or (self.letter.registered_at if self.letter else None)

    @property
    def flagged(self) -> bool:
        """Whether the letter goes to and fro (R5.1): returned twice, or handed back to a mailbox that returned it."""
        returns = {h.id: h for h in self.handoffs if h.returned is not None and not h.is_kept}
        return len(returns) > 1 or any(
            before.returned is not None and before.receiver == after.receiver and before.returned.at <= after.sent_at
            for before in returns.values()
            for after in self.handoffs
            if after.id != before.id and not after.is_kept
        )
