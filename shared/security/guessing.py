"""Wrong receipt codes cost the guesser time (R2.2: codes are unguessable; this keeps them so)."""

import math
import time
from collections.abc import Callable

from cachetools import TTLCache

from shared.web.caller import network_of
from shared.web.problems import Problem

_FORGET_SECONDS = 24 * 3600.0


class TooManyGuesses(Problem):
    """429: this address has tried too many wrong codes and must wait ``seconds``."""

    def __init__(self, seconds: int) -> None:
        super().__init__(
            429,
            "尝试次数过多，请稍后再试 / Too many wrong codes",
            f"Too many wrong receipt codes came from this address. Try again in {seconds} seconds, and compare the code with your copy.",
            slug="too-many-guesses",
            rule="R2.2",
            headers={"Retry-After": str(seconds)},
        )


class GuessPenalty:
    """Counts wrong codes per address (IPv6: per /64 network, one household) and makes the next try wait.

    ``free`` wrong tries cost nothing, then the waits are 1, 2, 4 … up to ``longest`` seconds. One wrong try is forgiven for each
    ``forgive_after`` seconds of quiet. At most ``remember`` addresses are held. A right code clears nothing: a guesser who owns one
    letter could otherwise wash the slate with it.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        free: int = 5,
        longest: int = 3600,
        forgive_after: float = 600.0,
        remember: int = 50_000,
    ) -> None:
        self._monotonic = monotonic
        self._free = free
        self._longest = longest
        self._forgive_after = forgive_after
        self._guessers: TTLCache[str, tuple[int, float]] = TTLCache(remember, _FORGET_SECONDS, timer=monotonic)

    def check(self, address: str) -> None:
        """Raise :class:`TooManyGuesses` while ``address`` has to wait. Call it before looking a code up."""
        wrong, last = self._guessers.get(network_of(address), (0, 0.0))
        left = last + self._wait(wrong) - self._monotonic()
        if left > 0:
            raise TooManyGuesses(math.ceil(left))

    def wrong(self, address: str) -> None:
        """Count a wrong code from ``address``."""
        network = network_of(address)
        now = self._monotonic()
        count, last = self._guessers.get(network, (0, now))
        quiet = max(0.0, now - last - self._wait(count))
        count = max(0, count - int(quiet // self._forgive_after))
        self._guessers[network] = (count + 1, now)

    def _wait(self, wrong: int) -> float:
        beyond = wrong - self._free
        return float(min(self._longest, 2 ** min(beyond - 1, 30))) if beyond > 0 else 0.0
