"""What a letter may cost its sender when too many come: some work of their browser, or, without JavaScript, some waiting.

No third party, no pictures to read. The work is a proof of work by `altcha`: the browser looks for a number whose hash is the one asked
for, up to `numbers` of them. Who has no JavaScript gets a place in a queue of their address, and may send when its time has come. Both
are signed, bound to one form, and run out.
"""

import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import randbelow
from typing import Final

from altcha import create_challenge, verify_solution
from altcha.v2 import Payload
from cachetools import TTLCache

from shared.web.caller import network_of

LASTS: Final = 3600
"""Seconds for which work that was done, or a place in the queue whose time has come, may be handed in."""
QUEUE_SECONDS: Final = 20
"""Seconds between two places in the queue of one address."""
LONGEST_QUEUE: Final = 900
"""Seconds; who would have to wait longer is sent away."""
_TICKET = re.compile(r"(\d{10,11})\.([0-9a-f]{64})")


@dataclass(frozen=True)
class Hurdle:
    """What is to be done before a letter is taken: one of the two."""

    challenge: str
    """For the browser's script, as JSON."""
    ticket: str
    """Without script: to be sent again, not before `wait` seconds have passed."""
    wait: int
    """Seconds."""


class Challenges:
    """Makes and checks proofs of work and places in the queue.

    Args:
        numbers: how many numbers a browser tries at the most; on the average half of them.
        seconds: real time since 1970.
    """

    def __init__(self, secret: bytes, numbers: int, seconds: Callable[[], float], *, remember: int = 50_000) -> None:
        self._secret = hmac.digest(secret, b"challenge", "sha256")
        self._numbers = numbers
        self._seconds = seconds
        self._last: TTLCache[str, float] = TTLCache(remember, LASTS, timer=seconds)
        """Network → the last place in its queue."""
        self._places: TTLCache[str, int] = TTLCache(remember, LASTS, timer=seconds)
        """Form → its place in the queue, so that asking again moves nobody back."""

    def hurdle(self, address: str, form: str) -> Hurdle | int:
        """Return what the sender of a form has to do; or after how many seconds to come back, where the queue is too long."""
        now = self._seconds()
        place = self._places.get(form)
        if place is None:
            network = network_of(address)
            place = int(max(now, self._last.get(network, 0.0))) + QUEUE_SECONDS
            if place - now > LONGEST_QUEUE:
                return int(place - now) - LONGEST_QUEUE + 1
            self._last[network] = self._places[form] = place
        challenge = create_challenge(
            "SHA-256",
            1,
            counter=randbelow(self._numbers),
            expires_at=int(now) + LASTS,
            data={"form": form},
            hmac_secret=self._secret,
        )
        work = json.dumps(challenge.to_dict(), separators=(",", ":"))
        return Hurdle(work, f"{place}.{self._signed(form, str(place))}", max(1, int(place - now + 0.999)))

    def has_worked(self, solution: str, form: str) -> bool:
        """Whether a text is the solution of a challenge of ours for this form that has not run out."""
        if not solution or len(solution) > 4000 or not verify_solution(solution, self._secret).verified:
            return False
        asked = Payload.from_base64(solution).challenge.parameters
        return asked.data == {"form": form} and (asked.expires_at or 0) >= self._seconds()

    def has_waited(self, ticket: str, form: str) -> bool:
        """Whether a text is this form's place in the queue, and its time has come."""
        found = _TICKET.fullmatch(ticket)
        if found is None or not hmac.compare_digest(found[2], self._signed(form, found[1])):
            return False
        return int(found[1]) <= self._seconds() <= int(found[1]) + LASTS

    def _signed(self, form: str, place: str) -> str:
        return hmac.digest(self._secret, f"ticket\x00{form}\x00{place}".encode(), "sha256").hex()
