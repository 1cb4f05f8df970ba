"""`drill`: prove on this machine that a backup can be restored: into a namespace of its own, checked, and thrown away again.

It restores the backup (each collection and each partition of a topic is read back and compared), lets each service read what came later,
checks every letter's history against the record and every register for gaps, and names what a restore would lose by now. It needs as much
room in the engines as the data has.
"""

import argparse
from pathlib import Path
from secrets import token_hex
from typing import Any

from deploy.history import Checker
from deploy.history_record import Layout, Topic
from deploy.ops.backup import missing_from
from deploy.ops.console import WELL, WRONG, Ops, deciding, verb
from deploy.ops.restore import restored, wiped
from deploy.ops.vault import opened
from services.routing.history import History
from shared.storage import translated


def add(found: Any) -> None:
    """Add the verb."""
    about = "Exit status 0: it was restored and is whole; 1: it is not, and the lines say where. What is live is not touched."
    parser = verb(found, "drill", "prove that a backup can be restored", about, run)
    parser.add_argument("folder", type=Path, help="the backup")
    parser.add_argument("--keep", action="store_true", help="leave the restored namespace, to look at it")
    deciding(parser)


async def run(ops: Ops) -> int:
    """Restore into a scratch namespace, check, throw away."""
    manifest = opened(ops.asked.folder)
    settings = ops.settings.model_copy(update={"namespace": f"{ops.settings.namespace}drill-{token_hex(3)}-"})
    scratch = Ops(settings, argparse.Namespace(**vars(ops.asked) | {"json": True}), ops.out)
    try:
        done = await restored(scratch, ops.asked.folder, manifest)
        wrong = [*await histories(scratch), *await registers(scratch)]
    finally:
        if not ops.asked.keep:
            await wiped(settings, scratch.store)
        scratch.close()
    accepted, moved = await missing_from(ops, manifest)
    about = {
        "folder": str(ops.asked.folder),
        "whole": not wrong,
        "documents": done.documents,
        "records": done.records,
        "lost": len(accepted),
    }
    await ops.record("drill", about)
    answer = about | {
        "wrong": wrong,
        "lost": accepted,
        "later_facts": moved,
        "caught_up": done.caught_up,
        "notes": done.notes,
    }
    if ops.asked.keep:
        answer["namespace"] = settings.namespace
    lines = [
        f"已恢复 restored: {done.documents:,} 个文档 documents, {done.records:,} 条记录 records",
        *(
            wrong
            or [
                (
                    "各集合、各主题的记录均与备份相同，办理过程完整，编号连续 / "
                    "every collection and every topic's records as in the backup, histories unbroken, numbers without gaps"
                )
            ]
        ),
        *done.notes,
        f"此刻恢复将丢失 {len(accepted)} 封 / a restore now would lose {len(accepted)} letters: deploy.ops backup lost {ops.asked.folder}",
        *([f"保留在 NAMESPACE={settings.namespace} / kept there"] if ops.asked.keep else []),
    ]
    ops.give(answer, lines)
    return WRONG if wrong else WELL


async def histories(ops: Ops) -> list[str]:
    """Return what is broken in the histories of all letters, compared with the record (R10.1)."""
    checker = Checker(History(ops.store, ops.settings.namespace), Topic(ops.settings))
    await checker.topic.look()
    with Layout(checker.topic) as record:
        return [
            f"{verdict.letter_id}：{one}"
            for verdict in [v async for v in checker.all(record)]
            for one in verdict.breaks
        ]


async def registers(ops: Ops) -> list[str]:
    """Return where a register has gaps, or one letter two lines (R3.6)."""
    last: dict[str, int] = {}
    wrong: list[str] = []
    seen: set[str] = set()
    with translated():
        async for line in ops.store.collection("intake", "register").find({}).sort([("_id", 1)]):
            register, _, serial = line["_id"].rpartition("/")
            if int(serial) != last.get(register, 0) + 1:
                wrong.append(f"{register}：{last.get(register, 0)} 之后是 {int(serial)} / a gap before {int(serial)}")
            last[register] = int(serial)
            if line["letter_id"] in seen:
                wrong.append(f"{line['letter_id']}：有两个编号 / has two numbers")
            seen.add(line["letter_id"])
    return wrong
