"""From whom a report (举报) is kept: the unit that it is about, and the people (R3.3, R10.2, architecture rule 4).

- The unit of the reported mailbox, with all its departments, never sees it: no list, figure, topic, page or answer. The mailbox above that
  unit does what would be for that unit to do (R1.2).
- A reported person never sees it, wherever they work: the duty office and an approving head included.
- Where a reported person works, the whole unit is kept from it. The mayor's mailbox has none above: there the person alone is, and nothing
  goes to that mailbox's topic or system, which cannot tell people apart.
"""

from collections.abc import Collection
from typing import Final, Protocol

from shared.contracts.types import subject_key

NAMED: Final = "people"
"""The index field of a document with the people whom a report is about; see `named`."""


class About(Protocol):
    """A letter's classification, or a part of a state that keeps these two."""

    @property
    def reported_mailbox(self) -> str | None:
        """The mailbox it is about."""

    @property
    def reported_people(self) -> tuple[str, ...]:
        """The token subjects of the people it is about."""


class Units(Protocol):
    """The directory of mailboxes (R1.1), as far as it is asked here."""

    def same_unit(self, code: str) -> frozenset[str]:
        """Return the codes of a mailbox's unit and of all its departments."""

    def above(self, code: str) -> str | None:
        """Return the mailbox above the unit of this one; none above the mayor's."""

    def current(self, code: str) -> str:
        """Return who goes on with what a closed mailbox had; an open one is its own (R1.1)."""

    def works_in(self, subject: str) -> frozenset[str]:
        """Return the mailboxes where somebody is staff or leader."""


def is_about_somebody(about: About) -> bool:
    """Whether the letter is a report that names a mailbox or a person of the directory."""
    return about.reported_mailbox is not None or bool(about.reported_people)


def named(about: About) -> list[str] | None:
    """Return the people it is about as an index field has them, in lower case; none: nobody is named."""
    return sorted({subject_key(subject) for subject in about.reported_people}) or None


def naming(people: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """Return the query for documents of reports about any of these people, who are given by their `subject_key`."""
    return {NAMED: {"$in": sorted(people)}}


def hidden_from(about: About, code: str, units: Units) -> bool:
    """Whether everybody of this mailbox is kept from the letter."""
    if not is_about_somebody(about):
        return False
    named = {where for subject in about.reported_people for where in units.works_in(subject) if units.above(where)}
    if about.reported_mailbox is not None:
        named.add(about.reported_mailbox)
    return not named.isdisjoint(units.same_unit(code))


def is_named(about: About, subject: str) -> bool:
    """Whether the report is about this person."""
    return subject_key(subject) in map(subject_key, about.reported_people)


def kept_from(about: About, code: str, subject: str, units: Units) -> bool:
    """Whether this person, who acts for this mailbox, is kept from the letter."""
    return hidden_from(about, code, units) or is_named(about, subject)


def untold(about: About, code: str, units: Units) -> bool:
    """Whether nothing of the letter goes to this mailbox's topic or system."""
    if hidden_from(about, code, units):
        return True
    return any(code in units.works_in(subject) for subject in about.reported_people)


def keeper(about: About, code: str, units: Units) -> str:
    """Return who does today what is for this mailbox to do: itself, or who goes on for it once it was closed (R1.1).

    Where that unit is kept from the letter, it is the mailbox above it.
    """
    now = units.current(code)
    return (units.above(now) or now) if hidden_from(about, now, units) else now
