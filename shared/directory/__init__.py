"""The directory of mailboxes (R1.1), the list of domains (R3.4) and the regions (R3.5)."""

from shared.directory.directory import Directory, UnknownDomain, UnknownEntry, UnknownMailbox, UnknownRegion
from shared.directory.live import LiveDirectory
from shared.directory.loading import load_directory
from shared.directory.models import Domain, Mailbox, MailboxKind, NumberPrefix, Person, Region, Role, Staff
from shared.directory.problems import DirectoryError, DirectoryProblem

__all__ = [
    "Directory",
    "DirectoryError",
    "DirectoryProblem",
    "Domain",
    "LiveDirectory",
    "Mailbox",
    "MailboxKind",
    "NumberPrefix",
    "Person",
    "Region",
    "Role",
    "Staff",
    "UnknownDomain",
    "UnknownEntry",
    "UnknownMailbox",
    "UnknownRegion",
    "load_directory",
]
