"""What somebody tries with a letter, and what hand-offs are, in the model of `tests/letter_model.py`."""

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime

ALWAYS, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
CLERK, HEAD, LEADER, DUTY, SYSTEM = "clerk", "head", "leader", "duty_officer", "unit_system"
HEADS = {HEAD, LEADER}
STAFF = {CLERK, HEAD, LEADER}
HANDLERS = {CLERK, HEAD, SYSTEM}


@dataclass(frozen=True)
class Try:
    """Somebody tries something. Shown, it says only what is said."""

    what: str
    mailbox: str
    role: str
    person: str = ""
    on: str = ""
    """A slip, a hand-off or an instruction."""
    text: str = "如上"
    way: str = ""
    receiver: str = ""
    answer_by: str | None = None
    by_fax: bool = False
    days: int | None = None
    oral: bool = False
    ask: str = ""
    """An application for more time."""
    outcome: str = ""
    wanted: datetime | None = None

    def __repr__(self) -> str:
        said = (f"{field.name}={value!r}" for field in fields(self)[1:] if (value := getattr(self, field.name)))
        return f"<{self.what}: {', '.join(said)}>"


@dataclass
class Part:
    """A slip, and the hand-off that becomes of it."""

    id: str
    sender: str
    receiver: str
    way: str
    answer_by: str
    by_fax: bool
    days: int
    prepared_by: str
    parent: "Part | None"
    ended: str = ""
    """replied, returned, withdrawn, instructed."""
    collected: bool = False
    drafted_by: str = ""
    told: bool = False
    redone: int = 0
    ask: str = ""
    wanted: datetime = NEVER
    due: datetime = NEVER
    late: set[datetime] = field(default_factory=set)
    urged: int = 0
    not_before: datetime = ALWAYS
    """When it may be urged again: after the last urging, or progress that was explained (R7.1)."""

    @property
    def owes(self) -> bool:
        """Whether a reply is due: not on what was forwarded or submitted up (R8.4)."""
        return self.way in {"assign", "direct"}

    @property
    def kept(self) -> bool:
        return self.sender == self.receiver

    @property
    def hand(self) -> str:
        """Who puts on record what the receiver does (R4.2)."""
        return self.sender if self.by_fax else self.receiver

    @property
    def in_hand(self) -> bool:
        """Whether somebody works on a reply."""
        return self.owes and (self.collected or self.kept)
