"""The city in which letters are played: the sample directory with its calendar, and who does what."""

from dataclasses import dataclass, field
from functools import cache
from itertools import count

from services.deadline import domain as deadline
from services.deadline.working_time import rules_of
from services.routing.domain import Who
from services.settings import SAMPLE, Settings
from shared.calendar.working_days import WorkingCalendar
from shared.contracts.types import Actor
from shared.directory import Directory, load_directory

_PAIRS = {"clerk": "1", "head": "2", "leader": "3", "duty_officer": "4"}


@dataclass(frozen=True)
class Ground:
    """What all lives share."""

    directory: Directory
    rules: deadline.Rules
    units: tuple[str, ...]
    serials: "count[int]" = field(default_factory=lambda: count(1))


@cache
def ground() -> Ground:
    """Return the sample city with its calendar."""
    directory = load_directory(SAMPLE)
    rules = rules_of(WorkingCalendar(()), Settings())
    units = tuple(one.code for one in directory.mailboxes() if one.kind.is_unit)
    # Some units get most of the letters, as in a city; those with departments are among them.
    favoured = tuple(one.code for one in directory.mailboxes() if len(directory.same_unit(one.code)) > 1)
    favoured = tuple(code for code in favoured if code in units)[:6]
    return Ground(directory, rules, favoured * 4 + units[:12])


def who(mailbox: str, role: str) -> Who:
    """Return somebody of a mailbox."""
    return Who(actor=Actor(subject=f"{mailbox}-{_PAIRS[role]}", mailbox=mailbox), roles=frozenset({role}))
