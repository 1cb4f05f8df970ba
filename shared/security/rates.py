"""How often one address may do something: kept per process, in bounded memory, exact to the second."""

import math
from collections.abc import Callable
from typing import NamedTuple, Self

from cachetools import TTLCache

from shared.web.caller import network_of


class Rate(NamedTuple):
    """So many times in so many seconds."""

    times: int
    seconds: int

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Read `30/3600`; nothing: no limit."""
        if not text:
            return None
        times, _, seconds = text.partition("/")
        return cls(int(times), int(seconds))


class Limit:
    """Lets each address (IPv6: each /64 network) do something `rate.times` times at once, and then again as time passes.

    One number per address says when what it did is paid off (the generic cell rate algorithm); a full window after the last time
    it is forgotten. At most `remember` addresses are held; beyond, those longest unseen go.

    Args:
        rate: how often; none: as often as one likes.
        seconds: the time that passes, e.g. `time.time`.
    """

    def __init__(self, rate: Rate | None, seconds: Callable[[], float], *, remember: int = 50_000) -> None:
        self._rate = rate
        self._seconds = seconds
        self._paid: TTLCache[str, float] = TTLCache(remember, rate.seconds if rate else 1, timer=seconds)

    def wait(self, address: str) -> int:
        """Return 0, or after how many seconds the address may do it again. Counts nothing."""
        return self._asked(address)[0]

    def take(self, address: str) -> int:
        """Count one time; return 0, or after how many seconds to come back: then nothing was counted."""
        wait, paid = self._asked(address)
        if not wait and self._rate is not None:
            self._paid[network_of(address)] = paid
        return wait

    def _asked(self, address: str) -> tuple[int, float]:
        """Return how long to wait, and when one time more would be paid off."""
        if self._rate is None:
            return 0, 0.0
        now = self._seconds()
        paid = max(now, self._paid.get(network_of(address), now)) + self._rate.seconds / self._rate.times
        early = paid - self._rate.seconds - now
        return (math.ceil(early) if early > 1e-6 else 0), paid
