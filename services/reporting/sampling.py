"""Drawing a sample of letters by chance that anybody can repeat (R11.1): pure.

Letters are put in order by the hash of the seed and their id, within their stratum; the first ones are drawn. So the same seed over the
same letters draws the same ones, on any machine and in any version, and a letter that comes later moves no other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from services.reporting.domain import Handoff, Row
from services.reporting.figures import Figure, Side, tallies
from shared.contracts.types import Labelled, Nature

INTO: Final = frozenset({(Side.LETTERS, Figure.RECEIVED), (Side.UNDERTAKEN, Figure.ASSIGNED)})
"""What brings a letter to a unit: a citizen wrote it to the unit, or it was assigned to it; by the day of that."""


class Standing(Labelled):
    """How a unit stands with a letter; of several assignments the worst counts."""

    LATE = "late", "逾期"
    OPEN = "open", "办理中"
    IN_TIME = "in_time", "按时"


class Stratum(NamedTuple):
    """Letters that are alike: one unit's, equally handled, of one nature."""

    unit: str
    standing: Standing
    nature: Nature


class Member(NamedTuple):
    """A letter of the population: one that came to the unit in the period."""

    stratum: Stratum
    letter_id: str


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a stratum is drawn."""

    stratum: Stratum
    population: int
    drawn: int


def members_of(letter_id: str, row: Row, cells: Mapping[str, str]) -> list[Member]:
    """Return where a letter belongs to the population.

    Args:
        letter_id: the letter.
        row: its row as it counts (see `domain.apart`).
        cells: the cells of the units and days that are drawn from: key → unit.
    """
    units = sorted({cells[t.cell] for t in tallies(row) if (t.side, t.figure) in INTO and t.cell in cells})
    nature = row.nature or Nature.OTHER
    return [Member(Stratum(unit, standing(row, unit), nature), letter_id) for unit in units]


def standing(row: Row, unit: str) -> Standing:
    """Return how a unit stands with a letter: by its assignments if it has any, else by what it did with a citizen's letter itself."""
    assigned = [
        one for one in row.handoffs.values() if one.receiver == unit and one.way.value == "assign" and not one.void
    ]
    if assigned:
        found = {_of(one) for one in assigned}
        return next(one for one in Standing if one in found)
    if row.unread_since is not None:
        return Standing.LATE
    finished = row.answered_at or row.discarded_at or row.noted_at
    return Standing.IN_TIME if finished else Standing.OPEN


def _of(handoff: Handoff) -> Standing:
    rounds = handoff.rounds
    if any(part.late_since for part in rounds):
        return Standing.LATE
    return Standing.IN_TIME if len(handoff.replied) > len(handoff.sent_back) else Standing.OPEN


def allocate(strata: Mapping[Stratum, int], size: int, minimum: int) -> list[Share]:
    """Share a sample out: proportional to the strata, but from each at least `minimum` where it has so many.

    Where the minimums alone make more than `size`, the sample is so much larger; it is never larger than the population.
    """
    total = sum(strata.values())
    size = min(size, total)
    floor = {one: min(minimum, number) for one, number in strata.items()}
    drawn = dict(floor)
    left = size - sum(floor.values())
    while left > 0:
        room = {one: strata[one] - drawn[one] for one in strata if strata[one] > drawn[one]}
        # What is furthest below its proportional share comes next; equal ones in their own order.
        behind = min(room, key=lambda one: (drawn[one] - size * strata[one] / total, one))
        drawn[behind] += 1
        left -= 1
    return [Share(one, strata[one], drawn[one]) for one in sorted(strata)]


def draw(members: Iterable[Member], seed: str, size: int, minimum: int) -> tuple[list[Member], list[Share]]:
    """Return the letters drawn, by stratum and within it as chance put them, and how they are shared out."""
    by_stratum: dict[Stratum, list[str]] = defaultdict(list)
    for member in members:
        by_stratum[member.stratum].append(member.letter_id)
    shares = allocate({stratum: len(ids) for stratum, ids in by_stratum.items()}, size, minimum)
    drawn: list[Member] = []
    for share in shares:
        shuffled = sorted(by_stratum[share.stratum], key=lambda one: _place(seed, share.stratum.unit, one))
        drawn += [Member(share.stratum, one) for one in shuffled[: share.drawn]]
    return drawn, shares


def _place(seed: str, unit: str, letter_id: str) -> tuple[bytes, str]:
    return sha256(f"{seed}\n{unit}\n{letter_id}".encode()).digest(), letter_id


def population_hash(members: Sequence[Member]) -> str:
    """Return the SHA-256 (hex) of which letters there are and in which strata, in whatever order they are given."""
    lines = sorted("\t".join((*map(str, member.stratum), member.letter_id)) for member in members)
    return sha256("\n".join(lines).encode()).hexdigest()
