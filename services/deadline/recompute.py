"""`python -m services.deadline.recompute`: count all open due dates again by the schedules in SCHEDULES_FOLDER (R6.1).

The service does so by itself when it starts with other schedules than before. Run this once the last of several replicas was restarted with
them, since one that still ran by the old ones may have counted meanwhile. The service may run; it sends what is declared here.
"""

import asyncio
import sys

from services.deadline.app import build
from services.deadline.schedule import Schedule
from services.deadline.working_time import rules_of
from services.kit import Kit
from services.settings import WrongSettings, load_settings
from shared.calendar.schedules import ScheduleError
from shared.observability.logs import configure_logging
from shared.storage import StoreUnavailable


async def run(kit: Kit) -> int:
    """Count again; return how many letters have a due date that moved or became firm."""
    rules = rules_of(kit.calendar, kit.settings)
    return await Schedule(build(kit).letters, rules, kit.calendar.fingerprint).recompute()


async def _main() -> int:
    kit = Kit(load_settings())
    try:
        return await run(kit)
    finally:
        kit.store.close()


def main() -> int:
    """Count again; return the exit status."""
    configure_logging("deadline", "WARNING")
    try:
        moved = asyncio.run(_main())
    except (WrongSettings, ScheduleError) as error:
        print(error, file=sys.stderr)
        return 2
    except StoreUnavailable as error:
        print(f"deadline: not all due dates were counted again, run this again: {error}", file=sys.stderr)
        return 1
    print(f"deadline: the due dates of {moved:,} letters moved or became firm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
