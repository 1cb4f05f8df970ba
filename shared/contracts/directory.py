"""Every fact about the directory of mailboxes (R1.1): the whole content of the topic `directory`, counted 1, 2, 3 … by `directory_version`.

The directory is the file that the system was set up with, and these changes in their order. Each carries the whole entry as it is
from then on. The people in an entry are officials in their function: their names and token subjects stand on slips and in the facts on
letters too. Nothing else of them, and nothing of a citizen, is ever here.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from shared.contracts.types import Actor, Moment, Positive, Value

Code = Annotated[str, Field(min_length=1, max_length=80)]


class OfficialEntry(Value):
    """The leader in charge of a mailbox (R1.3)."""

    name: str
    subject: str
    """The `sub` of the person's token."""


class StaffEntry(OfficialEntry):
    """Somebody of a mailbox's dedicated staff (R1.3)."""

    roles: tuple[str, ...]
    """What they may do there, e.g. `clerk`."""


class PrefixEntry(Value):
    """What the mailbox's letter numbers begin with (R3.6); it never changes, and no other mailbox ever gets it."""

    chinese: str
    ascii: str


class FormerEntry(Value):
    """A name that the mailbox had before."""

    name: str
    short_name: str
    """What lists and slips showed."""
    until: Moment
    """When it got another name."""


class ClosedEntry(Value):
    """That the mailbox is closed."""

    at: Moment
    successor: str
    """Code of the mailbox that took over whatever it had."""


class MailboxEntry(Value):
    """One mailbox as the directory has it (R1.1, R1.3)."""

    code: Code
    """For ever; its topics are `mailbox.<code>` and `actions.<code>`."""
    name: str
    short_name: str
    """What lists and slips show."""
    kind: str
    """`mayor`, `district`, `department_of_government`, `public_enterprise` or `department`."""
    parent: str | None = None
    """Code of the mailbox above."""
    prefix: PrefixEntry | None = None
    """What its letter numbers begin with; a department has none (R3.8)."""
    responsible_department: str | None = None
    """The department that runs the mailbox."""
    leader: OfficialEntry | None = None
    """The leader in charge."""
    staff: tuple[StaffEntry, ...] = ()
    """Its dedicated staff."""
    region: str | None = None
    """GB/T 2260 code, for districts and counties."""
    former_names: tuple[FormerEntry, ...] = ()
    """Oldest first."""
    closed: ClosedEntry | None = None
    """Since when it takes no new letters, and who goes on with the rest."""


class DirectoryFact(Value):
    """Something that happened to the directory."""

    version: ClassVar[int] = 1
    source: ClassVar[str] = "routing"

    directory_version: Positive
    """How many changes there have been, this one included."""
    mailbox: Code
    """Code of the mailbox that was added, changed or closed."""
    at: Moment
    by: Actor
    """Who did it."""
    reason: Annotated[str, Field(max_length=2_000)]
    entry: MailboxEntry
    """The whole entry as it is from now on."""


class MailboxAdded(DirectoryFact):
    """A mailbox was added (R1.1); its topics were there before this fact, so it can be written to and heard at once."""


class MailboxChanged(DirectoryFact):
    """A mailbox was renamed, or its staff, leader, department or place in the tree changed (R1.3). Its code and prefix never change."""

    changed: tuple[str, ...]
    """The fields that changed."""


class MailboxClosed(DirectoryFact):
    """A mailbox was closed, or merged into its successor: no new letters go to it, and what it had goes on with the successor."""

    successor: str
    """Code of the mailbox that takes over: the one it was merged into, or the one above it."""
