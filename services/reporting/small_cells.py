"""Small numbers are kept back from the public, so that no figure points at a person (R9.1, R10.4).

The rule, in words:

1. A breakdown of letters (by domain, region or unit) shows no class with fewer than three letters. Such classes are added up as *others*.
2. Since the total is known, others must not give a class away: where fewer than three letters would stand there, or where it follows from
   the sum that each class has two, the smallest classes still shown join them, all that are equally small, until that is no longer so.
3. It is decided once for each calendar month, when the month is over, and for the whole city. Any longer period adds up what was shown of
   its months: whoever subtracts one period from another finds months again, and nothing that was kept back.

So whoever knows this rule and every figure that was ever shown finds at least two possible values for each number kept back.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

FEWEST: Final = 3
"""So many letters a class must have to be shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A breakdown as the public sees it."""

    classes: Mapping[str, int]
    """Class → letters, `FEWEST` or more."""
    others: int
    """Letters of all other classes together."""


def shown(counts: Mapping[str, int], classes: Collection[str]) -> Shown:
    """Return what of one month's breakdown may be shown; `classes` are all there are, also those without letters."""
    numbers = {one: counts.get(one, 0) for one in {*classes, *counts}}
    kept = {one for one, number in numbers.items() if number < FEWEST}
    while len(kept) < len(numbers) and _gives_away([numbers[one] for one in kept]):
        least = min(number for one, number in numbers.items() if one not in kept)
        kept |= {one for one, number in numbers.items() if number == least}
    return Shown({one: number for one, number in numbers.items() if one not in kept}, sum(numbers[one] for one in kept))


def _gives_away(kept: Collection[int]) -> bool:
    """Whether the sum of what is kept back would tell a class of fewer than three letters."""
    total = sum(kept)
    if total == 0:
        return False
    return total < FEWEST or (max(kept) < FEWEST and total == (FEWEST - 1) * len(kept))


def added(months: Iterable[Shown]) -> Shown:
    """Return what is shown of a period: the sum of what is shown of its months."""
    classes: dict[str, int] = {}
    others = 0
    for month in months:
        others += month.others
        for one, number in month.classes.items():
            classes[one] = classes.get(one, 0) + number
    return Shown(classes, others)
