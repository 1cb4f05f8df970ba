"""`python -m tests.checker FOLDER`: check the city that `town.json` in the folder names against the ledger beside it.

Prints the counts as a table and writes `report.json` into the folder. Exit status 0: everything holds, 1: something is violated, 2: it
could not be checked.
"""

import argparse
import asyncio
import sys
from pathlib import Path

import httpx

from shared.messaging.kafka import KafkaError
from shared.storage import StoreUnavailable
from tests.checker.checking import Moving, check
from tests.checker.town import Town


def main(arguments: list[str] | None = None) -> int:
    """Check; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.checker", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where ledger.jsonl and town.json are")
    folder = parser.parse_args(arguments).folder
    try:
        report = asyncio.run(check(folder, Town.load(folder)))
    except (Moving, OSError, KafkaError, StoreUnavailable, httpx.HTTPError) as error:
        print(f"checker: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    (folder / "report.json").write_text(report.json(), encoding="utf-8")
    print(report.table())
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
