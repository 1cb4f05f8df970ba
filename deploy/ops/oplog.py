"""`log`: what operators did with this command: when, who, what, why."""

from typing import Any

from deploy.ops.console import DATABASE, LOG, WELL, Ops, table, verb
from shared.calendar.zone import SHANGHAI
from shared.storage import translated


def add(found: Any) -> None:
    """Add the verb."""
    parser = verb(found, "log", "what operators did: when, who, what, why", "The newest first.", run)
    parser.add_argument("--last", type=int, default=50, help="how many (50)")


async def run(ops: Ops) -> int:
    """Show the newest."""
    with translated():
        cursor = ops.store.collection(DATABASE, LOG).find({}).sort([("_id", -1)]).limit(ops.asked.last)
        found = await cursor.to_list(ops.asked.last)
    rows = []
    for one in found:
        about = " ".join(f"{name}={value}" for name, value in one["about"].items())
        at = one["at"].astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        rows.append((at, one["verb"], one["by"], about, one["why"]))
    ops.give(found, table(("时间 at", "操作 verb", "何人 by", "内容 about", "原因 why"), rows))
    return WELL
