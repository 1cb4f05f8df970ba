"""Progress of long steps, one line when a step starts, every ten seconds, and when it ends."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]

TICK_SECONDS = 10.0


def say(line: str) -> None:
    """Print one line of progress to standard error, so that standard output stays for results."""
    sys.stderr.write(f"[engines] {line}\n")  # in one piece, as several threads tell
    sys.stderr.flush()


@contextmanager
def step(what: str, tell: Say = say) -> Iterator[None]:
    """Tell that `what` starts, that it still runs, and how many seconds it took."""
    tell(f"{what} …")
    began = time.monotonic()
    ended = threading.Event()

    def tick() -> None:
        while not ended.wait(TICK_SECONDS):
            tell(f"{what}: still at it after {time.monotonic() - began:.0f} s")

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        ended.set()
        ticker.join()
        tell(f"{what}: {outcome} {time.monotonic() - began:.1f} s")
