"""`python -m tests.bench [name …]` (or `ONLY=<name> make bench`): measure on engines of our own, from an empty store.

Nothing is asserted about absolute time; but what was measured must have happened: counts in stores and topics are checked. The table goes
to standard output, the figures to build/bench.json, logs of the processes to build/bench/.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType

from deploy.engines import EngineError, Engines
from tests.bench import (
    accept,
    bulletin,
    clerks,
    clocks,
    delay,
    fuzz,
    growth,
    journeys,
    lists,
    paper,
    public_site,
    rebuild,
    redaction,
    register,
    resources,
    scaleout,
    soak,
    spike,
    sustained,
)
from tests.bench.results import FILE, Result, table, write
from tests.bench.town import Town, tell

MEASUREMENTS: dict[str, Callable[[Town], Awaitable[list[Result]]]] = {
    "accept": accept.measure,
    "sustained": sustained.measure,
    "delay": delay.measure,
    "journeys": journeys.measure,
    "lists": lists.measure,
    "clerks": clerks.measure,
    "clocks": clocks.measure,
    "public": public_site.measure,
    "bulletin": bulletin.measure,
    "rebuild": rebuild.measure,
    "register": register.measure,
    "redaction": redaction.measure,
    "paper": paper.measure,
    "memory": resources.memory,
    "start": resources.start,
    "scaleout": scaleout.measure,
    "growth": growth.measure,
    "spike": spike.measure,
    "soak": soak.measure,
    "fuzz": fuzz.measure,
}
"""Name → measurement, in the order in which they are made."""
LONG = ("growth", "spike", "soak", "fuzz")
"""Half an hour to two hours each: made only where they are asked for by name."""


async def run(engines: Engines, names: Sequence[str]) -> tuple[list[Result], bool]:
    """Make measurements one after the other; return the results and whether all could be made."""
    results: list[Result] = []
    whole = True
    for name in names:
        tell(f"{name} …")
        began = time.perf_counter()
        try:
            async with Town(engines, name) as town:
                results += await MEASUREMENTS[name](town)
        except Exception as error:  # noqa: BLE001 - the other measurements are worth having
            whole = False
            results.append(
                Result(name, None, "", None, "higher", note=f"not measured: {type(error).__name__}: {error}")
            )
            tell(f"{name}: {type(error).__name__}: {error}")
        tell(f"{name}: {time.perf_counter() - began:.0f} s")
        write(results)
    return results, whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0 if everything could be measured, whatever came out."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(MEASUREMENTS))
    wanted = parser.parse_args(arguments).names or [
        n for n in os.environ.get("ONLY", "").replace(",", " ").split() if n
    ]
    unknown = [name for name in wanted if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"there is no measurement {unknown[0]!r}; there are: {', '.join(MEASUREMENTS)}")
    signal.signal(signal.SIGTERM, _interrupt)
    engines = Engines("bench")
    try:
        engines.reset()
        engines.up()
        try:
            results, whole = asyncio.run(run(engines, wanted or [name for name in MEASUREMENTS if name not in LONG]))
        finally:
            engines.down()
    except EngineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything started is stopped again", file=sys.stderr)
        return 130
    print(table(results))
    print(f"\nfigures: {FILE}")
    return 0 if whole else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
