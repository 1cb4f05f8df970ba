"""How many accepted letters wait to be stored, and whether the front door takes more meanwhile.

A rush that lasts longer than the services can follow would make every letter wait for as long as the rush lasted, also those that come
after it. So beyond a number of waiting letters the front door asks to come back, and says when.

Not while nothing is stored at all: who writes while the store is away is never refused for it, the letters wait on `submissions`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from random import uniform
from time import monotonic

from shared.messaging.kafka import KafkaError

LOOK_SECONDS = 1.0
"""Between two questions to the broker, asked only while letters come."""
AT_WORK_SECONDS = 10.0
"""Whoever has stored nothing for so long waits for the store."""
SHORTEST_SECONDS, LONGEST_SECONDS = 2, 60
SPREAD = 1.5
"""Callers are asked to come back at times up to so much later than the first of them, so that they do not come at once."""

Places = Callable[[], Awaitable[Mapping[tuple[str, int], tuple[int, int]]]]
"""Asks for (topic, partition) → (offset up to which messages were taken in hand, end), of this process's partitions."""


@dataclass
class Backlog:
    """What one process has still to store of `submissions`.

    Args:
        places: how far it is.
        most: so many letters may wait; beyond that no more are taken.
        now: seconds of a clock that only moves forward.
    """

    places: Places
    most: int
    now: Callable[[], float] = monotonic
    waiting: int = 0
    """As of the last look."""
    _looked: float = float("-inf")
    _look: "asyncio.Task[None] | None" = None
    _stored: "deque[tuple[float, int]]" = field(default_factory=lambda: deque(maxlen=200))

    def stored(self, number: int) -> None:
        """Note that so many letters were stored."""
        self._stored.append((self.now(), number))

    def come_back_in(self) -> int | None:
        """Return after how many seconds a letter would be taken; None: now."""
        now = self.now()
        if now - self._looked >= LOOK_SECONDS and (self._look is None or self._look.done()):
            self._looked = now
            self._look = asyncio.create_task(self.look())
        if self.waiting <= self.most:
            return None
        recent = [(at, number) for at, number in self._stored if now - at <= AT_WORK_SECONDS]
        if not recent:
            return None
        a_second = sum(number for _, number in recent) / max(now - recent[0][0], 1.0)
        seconds = (self.waiting - self.most / 2) / a_second
        return ceil(min(max(seconds * uniform(1, SPREAD), SHORTEST_SECONDS), LONGEST_SECONDS))  # noqa: S311 - no secret

    async def look(self) -> None:
        """Ask how many wait; where the broker does not answer, what was known stands."""
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(AT_WORK_SECONDS):
                self.waiting = sum(max(0, end - place) for place, end in (await self.places()).values())
