"""`lag`: how far each consumer group is behind, asked from Kafka itself: what it has committed, and where the topic ends."""

import asyncio
from dataclasses import asdict
from typing import Any

from deploy.ops.cluster import Lag, lags
from deploy.ops.console import WELL, WRONG, Ops, table, verb


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        "Per consumer group: messages not handled yet. Exit status 1 where a group is further behind than "
        "--most (if not given: any number)."
    )
    parser = verb(found, "lag", "how far each consumer group is behind, from Kafka itself", about, run)
    parser.add_argument("--group", help="only this group, such as routing or routing-history")
    parser.add_argument("--partitions", action="store_true", help="each partition in a line of its own")
    parser.add_argument("--most", type=int, help="messages that a group may be behind")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="again after so many seconds, until interrupted")


async def run(ops: Ops) -> int:
    """Show it once, or again and again."""
    while True:
        found = [one for one in await lags(ops.settings) if ops.asked.group in {None, one.group}]
        ops.give([asdict(one) | {"behind": one.behind} for one in found], shown(found, ops.asked.partitions))
        if not ops.asked.watch:
            break
        await asyncio.sleep(ops.asked.watch)
    most = ops.asked.most
    return WRONG if most is not None and any(n > most for n in by_group(found).values()) else WELL


def by_group(found: list[Lag]) -> dict[str, int]:
    """Return group → messages it is behind, over all its partitions."""
    sums: dict[str, int] = {}
    for one in found:
        sums[one.group] = sums.get(one.group, 0) + one.behind
    return sums


def shown(found: list[Lag], each: bool) -> list[str]:
    """Return the table for people."""
    if each:
        rows = [(o.group, o.topic, o.partition, o.committed, o.end, o.behind) for o in found]
        return table(("组 group", "主题 topic", "分区", "已处理 committed", "末尾 end", "落后 lag"), rows, (2, 3, 4, 5))
    sums = by_group(found)
    parts = {group: sum(1 for one in found if one.group == group and one.behind) for group in sums}
    return table(("组 group", "落后 lag", "涉及分区 partitions"), [(g, n, parts[g]) for g, n in sums.items()], (1, 2))
