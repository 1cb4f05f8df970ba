"""`log`: what operators did with this command: when, who, what, why; and the certificates of erasures again."""

import re
from pathlib import Path
from typing import Any

from deploy.ops.certificate import write
from deploy.ops.console import CERTIFICATE, WELL, Ops, Refused, table, verb
from services.kit import Kit
from services.reporting.last_backup import DATABASE, LOG
from shared.calendar.zone import SHANGHAI
from shared.storage import translated


def add(found: Any) -> None:
    """Add the verb."""
    parser = verb(found, "log", "what operators did: when, who, what, why", "The newest first.", run)
    parser.add_argument("--last", type=int, default=50, help="how many (50)")
    parser.add_argument(
        "--certificate",
        metavar="SHA256",
        help="the certificate of that erasure, whole, as JSON; the first digits will do",
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="write it there: as PDF where the name ends so")


async def run(ops: Ops) -> int:
    """Show the newest, or one certificate."""
    if ops.asked.certificate is not None:
        return await _certificate(ops)
    with translated():
        cursor = ops.store.collection(DATABASE, LOG).find({}).sort([("_id", -1)]).limit(ops.asked.last)
        found = await cursor.to_list(ops.asked.last)
    rows = []
    for one in found:
        about = " ".join(f"{name}={value}" for name, value in one["about"].items() if name != CERTIFICATE)
        at = one["at"].astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
        rows.append((at, one["verb"], one["by"], about, one["why"]))
    ops.give(found, table(("时间 at", "操作 verb", "何人 by", "内容 about", "原因 why"), rows))
    return WELL


async def _certificate(ops: Ops) -> int:
    wanted = ops.asked.certificate.lower()
    if not re.fullmatch("[0-9a-f]{8,64}", wanted):
        raise Refused(
            "--certificate 后写 SHA-256 的至少前 8 位 / --certificate takes eight or more digits of the SHA-256, as `log` shows it"
        )
    query = {"verb": "erase", "about.sha256": {"$regex": f"^{wanted}"}, f"about.{CERTIFICATE}": {"$exists": True}}
    with translated():
        found = await ops.store.collection(DATABASE, LOG).find(query).limit(2).to_list(2)
    if len(found) != 1:
        raise Refused(
            f"没有这一份证明，或不止一份：{wanted} / {'no certificate begins' if not found else 'several certificates begin'} "
            f"with {wanted}: `python -m deploy.ops log` shows them"
        )
    certificate = found[0]["about"][CERTIFICATE]
    if ops.asked.file:
        write(ops.asked.file, certificate, Kit(ops.settings).press)
    ops.asked.json = True  # it is what it is: its SHA-256 is of its JSON
    ops.give(certificate, [])
    return WELL
