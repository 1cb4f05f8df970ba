"""Adding figures up: cells of a period, and what was left from before it, become the period's figures (R10.4, R11.2)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from pydantic import Field

from services.reporting.figures import Counts, Figure, Side
from shared.contracts.types import InvalidReason, Nature, Value, Way


class Handling(Value):
    """How assignments between two mailboxes went; the fields are the figures of the same names."""

    assigned: int = 0
    collected: int = 0
    answered_in_time: int = 0
    answered_late: int = 0
    became_overdue: int = 0
    extended: int = 0
    urged: int = 0
    sent_back: int = 0
    returned: int = 0
    withdrawn: int = 0
    open: int = 0
    overdue: int = 0

    @property
    def timeliness(self) -> Fraction | None:
        """Share answered in time of all that fell due, exactly, so that equal ones are equal; none: nothing fell due."""
        due = self.answered_in_time + self.became_overdue
        return Fraction(self.answered_in_time, due) if due else None


class Figures(Value):
    """The figures of one period; each field is the figure of the same name. Breakdowns leave out what is zero."""

    received: int = 0
    natures: dict[Nature, int] = Field(default_factory=dict)
    domains: dict[str, int] = Field(default_factory=dict)
    regions: dict[str, int] = Field(default_factory=dict)
    read_late: int = 0
    registered: int = 0
    discarded: int = 0
    discard_reasons: dict[InvalidReason, int] = Field(default_factory=dict)
    noted: int = 0
    ways: dict[Way, int] = Field(default_factory=dict)
    answered: int = 0
    finished: int = 0
    open_letters: int = 0
    published: int = 0
    withheld: int = 0
    assigned: dict[str, Handling] = Field(default_factory=dict)
    """Assignee → how it handled what was assigned to it."""
    undertaken: dict[str, Handling] = Field(default_factory=dict)
    """Assigner → how this mailbox handled what it was assigned."""
    answer_days: dict[int, int] = Field(default_factory=dict)
    """Working days from receipt to the citizen's first answer → letters."""
    reply_days: dict[int, int] = Field(default_factory=dict)
    """Working days from sending to the first reply → assignments that this mailbox sent."""
    undertaken_days: dict[int, int] = Field(default_factory=dict)
    """The same of assignments that it got."""

    @property
    def all_assigned(self) -> Handling:
        """All assignees together."""
        return total(self.assigned.values())

    @property
    def all_undertaken(self) -> Handling:
        """All assigners together."""
        return total(self.undertaken.values())


def total(handlings: Iterable[Handling]) -> Handling:
    """Add up."""
    listed = list(handlings)
    return Handling(**{name: sum(getattr(h, name) for h in listed) for name in Handling.model_fields})


STOCKS: Final[Mapping[Figure, Mapping[Figure, int]]] = {
    Figure.OVERDUE: {Figure.BECAME_OVERDUE: 1, Figure.ANSWERED_LATE: -1},
    Figure.OPEN: {
        Figure.ASSIGNED: 1,
        Figure.SENT_BACK: 1,
        Figure.ANSWERED_IN_TIME: -1,
        Figure.ANSWERED_LATE: -1,
        Figure.RETURNED: -1,
        Figure.WITHDRAWN: -1,
    },
    Figure.OPEN_LETTERS: {Figure.RECEIVED: 1, Figure.FINISHED: -1},
}
"""What is there at the end of a period → what brings it and what takes it away, from the beginning on.

What ever became overdue and was not answered late is still open, since a late answer always follows a limit that passed. What was sent or
sent back waits for a reply until there is one, or until it was returned or withdrawn, which is possible only before a reply.
"""
FLOWS: Final = tuple(dict.fromkeys(flow for flows in STOCKS.values() for flow in flows))
"""The figures whose sums from the beginning make the stocks."""


def stocks(until_the_end: Counts) -> Counts:
    """Return what is there at the end of a period, given the sum of all cells up to then."""
    stock: Counts = Counter()
    for (side, figure, key), number in until_the_end.items():
        for what, flows in STOCKS.items():
            if figure in flows and (side is Side.LETTERS) is (what is Figure.OPEN_LETTERS):
                stock[side, what, key] += flows[figure] * number
    return stock


def figures_of(period: Counts, before: Counts) -> Figures:
    """Return the figures of a period, given the sum of its cells and the sum of all cells before it (see `FLOWS`)."""
    counts = period + stocks(before + period)

    def of(figure: Figure, side: Side = Side.LETTERS) -> dict[str, int]:
        return {key: n for (where, what, key), n in sorted(counts.items()) if what is figure and where is side}

    def handled(side: Side) -> dict[str, Handling]:
        ends: dict[str, dict[str, int]] = {}
        for (where, figure, other), number in sorted(counts.items()):
            if where is side and figure is not Figure.REPLY_DAYS:
                ends.setdefault(other, {})[figure.value] = number
        return {other: Handling(**numbers) for other, numbers in ends.items()}

    def days(figure: Figure, side: Side) -> dict[int, int]:
        return dict(sorted((int(key), number) for key, number in of(figure, side).items()))

    reasons = of(Figure.DISCARDED)
    return Figures.model_validate(
        {
            **{figure.value: of(figure).get("", 0) for figure in SINGLE if figure is not Figure.DISCARDED},
            "natures": of(Figure.NATURE),
            "domains": of(Figure.DOMAIN),
            "regions": of(Figure.REGION),
            "discarded": sum(reasons.values()),
            "discard_reasons": reasons,
            "ways": of(Figure.DISPOSED),
            "assigned": handled(Side.ASSIGNED),
            "undertaken": handled(Side.UNDERTAKEN),
            "answer_days": days(Figure.ANSWER_DAYS, Side.LETTERS),
            "reply_days": days(Figure.REPLY_DAYS, Side.ASSIGNED),
            "undertaken_days": days(Figure.REPLY_DAYS, Side.UNDERTAKEN),
        }
    )


SINGLE: Final = (
    Figure.RECEIVED,
    Figure.READ_LATE,
    Figure.REGISTERED,
    Figure.DISCARDED,
    Figure.NOTED,
    Figure.ANSWERED,
    Figure.FINISHED,
    Figure.OPEN_LETTERS,
    Figure.PUBLISHED,
    Figure.WITHHELD,
)
"""The figures of letters that are one number each."""


def mean(days: Mapping[int, int]) -> float | None:
    """Return the mean of a time taken, in working days to a tenth; none: nothing was answered."""
    number = sum(days.values())
    return round(sum(day * count for day, count in days.items()) / number, 1) if number else None


def median(days: Mapping[int, int]) -> float | None:
    """Return the median of a time taken, in working days; of an even number the mean of the two in the middle."""
    ordered = sorted(+Counter(days))
    number, passed = sum(days.values()), 0
    if not number:
        return None
    middle: list[int] = []
    for day in ordered:
        passed += days[day]
        while len(middle) < 2 and passed > (number - 1 + len(middle)) // 2:
            middle.append(day)
    return sum(middle[:2]) / 2
