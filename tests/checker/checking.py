"""One check from beginning to end: wait for rest, lay out what is known, hold everything against it."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import mkstemp
from time import monotonic

from deploy import topics
from shared.contracts.facts import LETTERS
from shared.messaging.kafka import read_from_start
from tests.checker import histories, letters, numbers, published, rest, telling
from tests.checker.layout import Layout
from tests.checker.projections import Shadow
from tests.checker.report import Report
from tests.checker.town import Town, opened

TRIES = 3


class Moving(Exception):
    """The city went on while it was looked at: facts came in during each try."""


async def check(folder: Path, town: Town, shadow: Shadow | None = None) -> Report:
    """Check a city against the ledger in a folder.

    The city must have come to its end: nobody writes any more. What still waits in it gets the town's patience to come to rest.

    Args:
        folder: where `ledger.jsonl` is.
        town: where the public interfaces are.
        shadow: rebuilt projections that an earlier check of the same town made; none: they are made and thrown away.

    Raises:
        Moving: the city goes on.
    """
    for _ in range(TRIES):
        report, still = await _once(folder, town, shadow)
        if still:
            return report
        await asyncio.sleep(1)
    raise Moving("facts are still published: end the load, let the clock stand, then check again")


async def _once(folder: Path, town: Town, given: Shadow | None) -> tuple[Report, bool]:
    began, report = monotonic(), Report()
    _, name = mkstemp(suffix=".sqlite", prefix="checker-")
    async with AsyncExitStack() as stack:
        doors = await stack.enter_async_context(opened(town))
        layout = stack.enter_context(Layout(Path(name)))
        await rest.at_rest(doors)
        await layout.read(folder, town)
        telling.read_through(layout, report)
        letters.pair(layout)
        letters.count_twice(layout, report)
        letters.check_posted(layout, report)
        await letters.check_letters(layout, doors, report)
        numbers.check_numbers(layout, report)
        await numbers.check_register(layout, doors, report)
        await histories.check_histories(layout, doors, report)
        await histories.verify_all(town, report)
        await published.check_public(layout, doors, report)
        await rest.check_bulletins(layout, doors, report)
        shadow = await stack.enter_async_context(Shadow(town)) if given is None else given
        await shadow.follow()
        await shadow.compare(layout, report)
        await rest.check_rest(doors, report)
        report.seconds = monotonic() - began
        report.facts = {
            "records": layout.records,
            "letters": layout.one("select count(*) from letters"),
            "acknowledged": layout.one("select count(*) from acknowledged"),
            "newest": layout.newest,
        }
        return report, await _ends_at(layout, town)


async def _ends_at(layout: Layout, town: Town) -> bool:
    """Whether the topic still ends where it was read to."""
    settings = town.settings
    (partitions,) = [topic.partitions for topic in topics.declared("", []) if topic.name == LETTERS]
    ends = dict.fromkeys(range(partitions), 0) | layout.ends  # some may have been empty
    more = read_from_start(settings.kafka_bootstrap, settings.namespace + LETTERS, 1, ends)
    async for _ in more:
        await more.aclose()  # type: ignore[attr-defined]
        return False
    return True
