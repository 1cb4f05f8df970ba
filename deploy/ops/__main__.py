"""`python -m deploy.ops VERB …`: what an operator sees and does. `python -m deploy.ops VERB --help` says how.

Exit status: 0 all is well, or it is done; 1 something needs a person, or it was refused; 2 it could not be found out: wrong settings, wrong
usage, an engine that does not answer. Whatever a verb changes is recorded, with who and why: `python -m deploy.ops log`.
"""

import argparse
import asyncio
import logging
import sys
from contextlib import suppress
from typing import Any, TextIO

from aiokafka.errors import KafkaError

from deploy.ops import (
    backup,
    directory,
    drill,
    erase,
    health,
    keys,
    lag,
    letter,
    oplog,
    parked,
    rebuild,
    restore,
)
from deploy.ops.console import UNKNOWN, WRONG, Ops, Refused
from services import NAMES
from services.settings import Settings, WrongSettings, load_settings
from shared.directory import DirectoryError
from shared.messaging.topics import TopicsRefused
from shared.storage import StoreUnavailable

VERBS = (health, lag, parked, letter, rebuild, backup, restore, drill, erase, keys, directory, oplog)


def parser() -> argparse.ArgumentParser:
    """Return the command line's reader, with all verbs."""
    made = argparse.ArgumentParser(
        prog="python -m deploy.ops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in VERBS:
        module.add(found)
    return made


async def serve(arguments: list[str] | None, settings: Settings, out: TextIO) -> int:
    """Do what the arguments ask; return the exit status. What goes wrong is said on standard error."""
    ops = Ops(settings, parser().parse_args(arguments), out)
    try:
        with suppress(StoreUnavailable):  # `health` says so
            for name in NAMES:
                await ops.store.follow(name)
        status: int = await ops.asked.run(ops)
    except Refused as error:
        print(f"ops {ops.asked.verb}: {error}", file=sys.stderr)
        return WRONG
    except TopicsRefused as error:
        print(f"ops {ops.asked.verb}: {_why(error)}", file=sys.stderr)
        return WRONG
    except (StoreUnavailable, KafkaError, DirectoryError, OSError, TimeoutError) as error:
        print(f"ops {ops.asked.verb}: {_why(error)}", file=sys.stderr)
        return UNKNOWN
    finally:
        ops.close()
    return status


def _why(error: Any) -> str:
    if isinstance(error, KafkaError):
        return f"消息队列没有回答（KAFKA_BOOTSTRAP）/ Kafka did not answer ({type(error).__name__}: {error}); see KAFKA_BOOTSTRAP"
    if isinstance(error, StoreUnavailable):
        return f"数据库没有回答（MONGO_URL）/ {error}; see MONGO_URL"
    if isinstance(error, TopicsRefused):
        return (
            f"主题未能建立 / topics could not be made: {error}. "
            "Where the broker denies it: `python -m deploy.acls apply --passwords FOLDER` gives KAFKA_USERNAME, "
            "the operator's user, what it needs"
        )
    return f"{error or type(error).__name__}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(serve(arguments, load_settings(), sys.stdout))
    except WrongSettings as error:
        print(error, file=sys.stderr)
        return UNKNOWN
    except KeyboardInterrupt:
        return UNKNOWN


if __name__ == "__main__":
    sys.exit(main())
