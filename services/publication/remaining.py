"""What in a prepared text still looks like personal data: shown to the approver, who confirms it or refuses (R9.1)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from shared.contracts.facts import PublicationPrepared

FIELDS = ("subject", "body", "reply")


class Mark(Protocol):
    """A piece of a text that looks like personal data, as `services.publication.redaction` finds it."""

    @property
    def start(self) -> int:
        """Where it begins, in characters."""

    @property
    def end(self) -> int:
        """Where it ends."""

    @property
    def kind(self) -> str:
        """What it seems to be."""

    @property
    def why(self) -> str:
        """The rule that found it; never the text itself."""


class MarkView(BaseModel):
    """A piece of the prepared text that still looks like personal data."""

    field: str
    """`subject`, `body` or `reply`."""
    start: int
    """Offset of its first character in the field."""
    end: int
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Remaining:
    """Looks for personal data in texts."""

    find: Callable[[str], Sequence[Mark]]

    def of(self, prepared: PublicationPrepared) -> list[MarkView]:
        """Return what a prepared text still has."""
        return [
            MarkView(field=field, start=mark.start, end=mark.end, kind=str(mark.kind), why=mark.why)
            for field in FIELDS
            for mark in self.find(getattr(prepared, field))
        ]

    def counted(self, text: str) -> dict[str, int]:
        """Return how much of which kind a text has."""
        return dict(Counter(str(mark.kind) for mark in self.find(text)))
