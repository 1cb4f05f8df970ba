"""What a run of chaos will do: which letters arrive when and go which way, when the clock moves on, and which faults strike when and where.

All of it follows from the seed, the length and the kinds of faults that this machine can bring about, and from nothing else, so a run can
be repeated. What the faults do to the letters does not: two runs of one plan meet them at slightly different moments.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random

from services import NAMES

START = datetime.fromisoformat("2026-03-02T09:30:00+08:00")
"""A working Monday."""
LAST_JUMP = datetime.fromisoformat("2026-04-15T10:00:00+08:00")
"""When everything has healed: later than the limit of all that was handed out during the run."""
JUMPS = tuple(
    datetime.fromisoformat(text + "+08:00")
    for text in (
        "2026-03-03T10:00:00",
        "2026-03-05T14:00:00",
        "2026-03-09T09:00:00",
        "2026-03-13T16:00:00",
        "2026-03-17T10:00:00",
    )
)
"""Mornings and afternoons that come early: the reading clock, a weekly bulletin, the limit of what was handed out first."""
REPLICAS = 2
"""How many of each service always run; there is one more of each, which only joins (`Kind.JOIN`)."""
STEP_SECONDS = 300
"""By how much a clock is put forward or back."""
ARRIVALS = 0.8
"""Letters arrive in this part of the run; the last of them then still meet faults on their way."""
WHOLE = 600
"""For how many seconds of a run faults have their full length."""


class Way(StrEnum):
    """What becomes of a letter."""

    DISCARDED = "discarded"
    NOTED = "noted"
    DIRECT = "direct"
    """The mayor's mailbox answers itself (R4.1)."""
    ASSIGNED = "assigned"
    BY_ASSIGNER = "by_assigner"
    """The unit replies to the mayor's mailbox, which answers the citizen (R8.3)."""
    SLIP_REFUSED = "slip_refused"
    """The head gives the slip back once (R4.2)."""
    WITHDRAWN = "withdrawn"
    """Sent in error, taken back, and sent to another (R4.2)."""
    RETURNED = "returned"
    """Returned by the unit, and sent to another (R5.1)."""
    FORWARDED = "forwarded"
    """To another unit, the citizen told where it went (R4.3)."""
    DRAFT_REFUSED = "draft_refused"
    """The unit's head gives the draft back once (R6.2)."""
    EXTENDED = "extended"
    """The unit applies for more time (R6.4)."""
    LATE = "late"
    """Answered only when it is overdue and urged (R7.1)."""
    REDONE = "redone"
    """The reply is sent back and done again (R7.3)."""
    REPORT = "report"
    """A report about a unit, answered by the mayor's mailbox (R3.3)."""


class Ending(StrEnum):
    """What the public gets to see of an answered letter."""

    PUBLISHED = "published"
    WITHHELD = "withheld"
    WITHDRAWN = "withdrawn"
    """Published, and taken off the site again."""
    NOT_ASKED = "not_asked"
    """The citizen does not want it published."""


class Kind(StrEnum):
    """A kind of fault."""

    KILL_SERVICE = "kill a replica"
    STOP_SERVICE = "stop a replica"
    KILL_BROKER = "kill the broker"
    STOP_BROKER = "stop the broker"
    KILL_FRONT = "kill the store's front"
    STOP_FRONT = "stop the store's front"
    KILL_STORE = "kill PostgreSQL"
    STOP_STORE = "stop PostgreSQL"
    FULL_DISK = "full disk"
    SLOW_STORE = "slow store"
    PARTITION = "partition from the broker"
    CLOCK = "clock step"
    REBALANCE = "replica leaves and comes back"
    JOIN = "third replica joins and leaves"
    DEPLOY = "rolling restart"


EVERYWHERE = frozenset(Kind) - {Kind.FULL_DISK}
"""What can be brought about on any machine; a full disk needs the right to mount a file system."""
_WEIGHTS = {Way.ASSIGNED: 6, Way.LATE: 3, Way.DISCARDED: 2}
_OF_A_REPLICA = {Kind.KILL_SERVICE, Kind.STOP_SERVICE, Kind.PARTITION, Kind.CLOCK, Kind.REBALANCE}
_ONE_OF = {
    Kind.KILL_BROKER: "kafka",
    Kind.STOP_BROKER: "kafka",
    Kind.KILL_FRONT: "ferretdb",
    Kind.STOP_FRONT: "ferretdb",
    Kind.KILL_STORE: "postgres",
    Kind.STOP_STORE: "postgres",
    Kind.FULL_DISK: "postgres",
    Kind.SLOW_STORE: "store",
    Kind.DEPLOY: "services",
}


@dataclass(frozen=True, slots=True)
class Errand:
    """One letter and its way."""

    number: int
    at: float
    """Seconds after the start."""
    text: int
    """Which text it has, counted round."""
    mailbox: str
    way: Way
    ending: Ending
    unit: str
    """Who gets it."""
    other: str
    """Who gets it where the first one was wrong."""
    by_actions: bool
    """Whether its units work through their topics."""
    files: tuple[int, ...]
    """The attachments: the seed of each one's content."""

    def __str__(self) -> str:
        files = f", {len(self.files)} files" if self.files else ""
        way = f"{self.way} → {self.unit}" + (" by topic" if self.by_actions else "")
        return f"{self.at:6.1f}  letter {self.number:<4} {self.mailbox}: {way}, {self.ending}{files}"


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault."""

    at: float
    """Seconds after the start."""
    kind: Kind
    target: str
    seconds: float
    """How long it lasts; for what is killed: until it is started again."""
    amount: float = 0.0
    """Milliseconds of delay of a slow store, seconds of a clock step."""

    def __str__(self) -> str:
        amount = f", {self.amount:+.0f}" if self.amount else ""
        return f"{self.at:6.1f}  {self.kind}: {self.target}, {self.seconds:.1f} s{amount}"


@dataclass(frozen=True, slots=True)
class Jump:
    """The clock of everybody moves on."""

    at: float
    to: datetime

    def __str__(self) -> str:
        return f"{self.at:6.1f}  clocks go on to {self.to.isoformat()}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run."""

    seed: int
    seconds: float
    errands: tuple[Errand, ...]
    strikes: tuple[Strike, ...]
    jumps: tuple[Jump, ...]

    def lines(self) -> Iterator[str]:
        """The plan as it is printed, in the order of time."""
        yield f"seed {self.seed}, {self.seconds:.0f} s: {len(self.errands)} letters, {len(self.strikes)} faults"
        events: list[Errand | Strike | Jump] = [*self.errands, *self.strikes, *self.jumps]
        for event in sorted(events, key=lambda event: event.at):
            yield str(event)


def make(seed: int, seconds: float, *, rate: float = 1.0, kinds: frozenset[Kind] = frozenset(Kind)) -> Plan:
    """Return the plan of a run.

    Args:
        seed: what everything follows from.
        seconds: how long letters arrive and faults strike.
        rate: letters a second.
        kinds: the faults that can be brought about here.
    """
    errands = tuple(_errands(Random(f"letters {seed}"), seconds, rate))
    strikes = tuple(_strikes(Random(f"faults {seed}"), seconds, kinds))
    jumps = tuple(Jump(seconds * (n + 1) / (len(JUMPS) + 1), to) for n, to in enumerate(JUMPS))
    return Plan(seed, seconds, errands, strikes, jumps)


def _errands(random: Random, seconds: float, rate: float) -> Iterator[Errand]:
    first_text = random.randrange(100_000)
    ways: list[Way] = []
    for n in range(round(seconds * ARRIVALS * rate)):
        if not ways:
            ways = [way for way in Way for _ in range(_WEIGHTS.get(way, 1))]
            random.shuffle(ways)
        way = ways.pop()
        unit, other = random.sample(["education", "water", "yuzhong"], 2)
        if way is Way.REPORT:
            unit = "water"
        yield Errand(
            number=n + 1,
            at=round((n + random.random()) / rate, 2),
            text=first_text + n,
            mailbox="mayor" if way is not Way.DISCARDED else random.choice(["mayor", "education", "yuzhong"]),
            way=way,
            ending=random.choice(list(Ending)) if way is not Way.REPORT else Ending.NOT_ASKED,
            unit=unit,
            other=other,
            by_actions=random.random() < 0.5,
            files=tuple(random.randrange(1_000_000) for _ in range(random.choice([0, 0, 1, 2]))),
        )


def _strikes(random: Random, seconds: float, kinds: frozenset[Kind]) -> Iterator[Strike]:
    """Each kind in turn, in an order of its own each time, at a random moment of its share of the run."""
    if not kinds:
        return
    scale = min(1.0, max(0.4, seconds / WHOLE))
    longest = 30 * scale
    first, last = 0.04 * seconds, seconds - longest
    count = max(len(kinds), round((last - first) / (longest * 0.45)))
    share = (last - first) / count
    waiting: list[Kind] = []
    for n in range(count):
        if not waiting:
            waiting = sorted(kinds)
            random.shuffle(waiting)
        kind = waiting.pop()
        at = round(first + share * (n + random.random()), 2)
        yield Strike(at, kind, _target(kind, random), *_extent(kind, random, longest))


def _target(kind: Kind, random: Random) -> str:
    service, replica = random.choice(NAMES), random.randrange(REPLICAS)
    if kind is Kind.JOIN:
        return f"{service}-{REPLICAS}"
    return f"{service}-{replica}" if kind in _OF_A_REPLICA else _ONE_OF[kind]


def _extent(kind: Kind, random: Random, longest: float) -> tuple[float, float]:
    """How long and how much."""
    if kind in {Kind.KILL_SERVICE, Kind.KILL_BROKER, Kind.KILL_FRONT, Kind.KILL_STORE}:
        return round(random.uniform(0, longest / 4), 2), 0.0
    if kind is Kind.DEPLOY:
        return 0.0, 0.0
    if kind is Kind.SLOW_STORE:
        return round(longest * random.uniform(0.5, 1), 2), float(random.randrange(100, 1_500, 100))
    if kind is Kind.CLOCK:
        return round(longest * random.uniform(0.5, 1), 2), float(random.choice([-STEP_SECONDS, STEP_SECONDS]))
    if kind in {Kind.STOP_SERVICE, Kind.STOP_BROKER, Kind.STOP_FRONT, Kind.STOP_STORE}:
        return longest, 0.0
    return round(longest * random.uniform(0.4, 1), 2), 0.0
