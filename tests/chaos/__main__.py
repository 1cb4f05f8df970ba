"""`make chaos`: one run, by `SEED` (chosen and told where it is not given) and `CHAOS_SECONDS` (600); exit status 0 only if all holds."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import SystemRandom

from tests.chaos.running import ROOT, run

SECONDS = 600


def main() -> int:
    """Run and report. Interrupted or asked to end, it leaves nothing running."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    seed = int(os.environ.get("SEED") or SystemRandom().randrange(1, 1_000_000))
    seconds = float(os.environ.get("CHAOS_SECONDS") or SECONDS)
    rate = float(os.environ.get("CHAOS_RATE") or 1)
    folder = Path(os.environ.get("CHAOS_FOLDER") or ROOT / "build" / "chaos" / str(seed))
    outcome = asyncio.run(run(seed, seconds, folder, lambda line: print(line, flush=True), rate=rate))
    print("\n".join(outcome.lines()), flush=True)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
