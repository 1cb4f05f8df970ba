"""What a unit's own system may ask to do, on its topic `actions.<code>`, keyed by letter id.

The unit is the one that the topic is named after, whatever the message says: broker ACLs tie the topic to its credentials. The CloudEvents
id is the action's id: the same id twice has one effect.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.types import Value

Name = Annotated[str, Field(min_length=1, max_length=100)]
Subject = Annotated[str, Field(min_length=1, max_length=100)]


class Action(Value):
    """A request of a unit about one letter that it holds."""

    version: ClassVar[int] = 1

    letter_id: Annotated[str, Field(min_length=1, max_length=64)]
    handoff_id: Annotated[str, Field(min_length=1, max_length=64)]
    person: Subject
    """Who in the unit asks, as the unit's system knows them."""
    person_name: Annotated[str, Field(max_length=100)] = ""


class CollectLetter(Action):
    """Sign for an assigned letter (签收, R6.3)."""


class RecordProgress(Action):
    """Explain progress (R7.1)."""

    text: Annotated[str, Field(min_length=1, max_length=5_000)]


class SubmitReply(Action):
    """Draft the unit's reply (R6.2)."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class ApproveReply(Action):
    """Approve the draft as the unit's head; not the person who wrote it (R6.2)."""


class RefuseReply(Action):
    """Give the draft back to its author."""

    reason: Annotated[str, Field(min_length=1, max_length=2_000)]
