"""`health`: everything at a glance, each line with what to do where something is wrong."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import perf_counter
from typing import Any

from aiokafka.errors import KafkaError

from deploy.ops.cluster import admin, lags, topics_of
from deploy.ops.console import UNKNOWN, WELL, WRONG, Ops, ago, table, verb
from deploy.ops.lag import by_group
from deploy.ops.replicas import Replica, ask
from deploy.parked import parking
from deploy.topics import DECLARED, declared, differing_settings, mailbox_codes
from services import NAMES
from services.reporting.last_backup import DATABASE, LOG
from shared.directory import DirectoryError
from shared.messaging import topics as shared_topics
from shared.storage import StoreUnavailable, translated
from shared.storage.dump import sizes


class Level(StrEnum):
    """How it stands with one thing."""

    WELL = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


SIGNS = {Level.WELL: "正常 ok", Level.WRONG: "异常 wrong", Level.UNKNOWN: "未知 unknown"}


@dataclass
class Line:
    """One thing, how it stands, and what to do."""

    what: str
    level: Level
    value: str
    advice: str = ""


def add(found: Any) -> None:
    """Add the verb."""
    about = "Exit status: 0 all is well, 1 something is wrong, 2 something could not be found out (and nothing is known to be wrong)."
    parser = verb(found, "health", "everything at a glance", about, run)
    parser.add_argument(
        "--service",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="a replica, such as intake=http://10.0.0.5:8101; repeat for each; else OPS_SERVICES, else this machine's ports",
    )
    parser.add_argument("--lag", type=int, default=10_000, help="messages a group may be behind (10000)")
    parser.add_argument("--outbox", type=float, default=60, help="seconds a decided fact may wait to be sent (60)")
    parser.add_argument("--backup-hours", type=float, default=26, help="hours since the last backup (26)")


async def run(ops: Ops) -> int:
    """Look at everything at once; what cannot be looked at is a line, too."""
    replicas = await ask(ops.asked.service)
    parts = (
        ("消息队列 Kafka", _kafka),
        ("主题 topics", _topics),
        ("积压 lag", _lag),
        ("数据库 store", _store),
        ("搁置 parked", _parked),
        ("备份 backup", _backup),
    )
    found = await asyncio.gather(*(_looked(name, part, ops) for name, part in parts))
    lines = [*_replicas(replicas), *_measured(replicas, ops), *(line for part in found for line in part)]
    levels = {line.level for line in lines}
    verdict = WRONG if Level.WRONG in levels else UNKNOWN if Level.UNKNOWN in levels else WELL
    rows = [(SIGNS[line.level], line.what, line.value) for line in lines]
    advice = [f"→ {line.what}: {line.advice}" for line in lines if line.advice and line.level is not Level.WELL]
    answer = {"status": verdict, "at": datetime.now(UTC), "lines": [asdict(line) for line in lines]}
    ops.give(answer, [*table(("状态", "内容", "情况"), rows), *advice])
    return verdict


async def _looked(name: str, look: Callable[[Ops], Awaitable[list[Line]]], ops: Ops) -> list[Line]:
    try:
        async with asyncio.timeout(60):
            return await look(ops)
    except (KafkaError, StoreUnavailable, OSError, TimeoutError) as error:
        setting = "MONGO_URL" if isinstance(error, StoreUnavailable) else "KAFKA_BOOTSTRAP"
        return [
            Line(
                name,
                Level.UNKNOWN,
                f"{type(error).__name__}: {error}",
                f"没有回答，见 {setting} / no answer; see {setting}",
            )
        ]
    except DirectoryError as error:
        return [Line(name, Level.WRONG, str(error), "改正名录文件 / correct DIRECTORY_FILE")]


# ── what replicas say ────────────────────────────────────────────────────────────────────────────────────────────────


def _replicas(replicas: list[Replica]) -> list[Line]:
    lines = []
    for one in replicas:
        name = f"{one.service} {one.address}"
        if one.error or not one.live:
            lines.append(
                Line(
                    name, Level.WRONG, one.error or "无应答 not live", "启动它或看它的日志 / start it, or read its log"
                )
            )
        elif not one.ready:
            waits = "; ".join(f"{part}: {why}" for part, why in one.missing.items()) or "not ready"
            lines.append(
                Line(
                    name,
                    Level.WRONG,
                    f"等待 waits for {waits}",
                    "先恢复它等待的 / bring back what it waits for; it goes on by itself",
                )
            )
        else:
            lines.append(Line(name, Level.WELL, f"就绪 ready, {ago(one.seconds)}"))
    releases = Counter(one.release for one in replicas if one.release)
    if releases:  # several at once are right only while an upgrade goes on, which nobody but the operator knows
        value = ", ".join(f"{release} ×{count}" for release, count in sorted(releases.items()))
        lines.append(Line("版本 releases", Level.WELL, value))
    return lines


def _measured(replicas: list[Replica], ops: Ops) -> list[Line]:
    lines = []
    asked = [one for one in replicas if not one.error]

    def largest(metric: str, service: str | None = None) -> float | None:
        found = [one.most(metric) for one in asked if service in {None, one.service}]
        known = [value for value in found if value is not None]
        return max(known) if known else None

    oldest = largest("xinxiang_outbox_oldest_seconds")
    if oldest is not None:
        level = Level.WRONG if oldest > ops.asked.outbox else Level.WELL
        advice = (
            "服务或 Kafka 停了？/ is the service, is Kafka up? `deploy.ops lag`; facts wait in the store, none is lost"
        )
        lines.append(Line("未发出的事实 outbox", level, f"最久 oldest {ago(oldest)}", advice))
    overdue = [one.total("xinxiang_mailbox_overdue") for one in asked if one.service == "deadline"]
    if any(value is not None for value in overdue):
        count = max(value for value in overdue if value is not None)
        lines.append(Line("超期时限 clocks overdue", Level.WELL, f"{count:.0f}（由督办处理 for the duty office）"))
    dirty = largest("xinxiang_dirty_cells_oldest_seconds", "reporting")
    if dirty is not None:
        cells = largest("xinxiang_dirty_cells", "reporting") or 0
        level = Level.WRONG if dirty > 300 else Level.WELL
        lines.append(
            Line(
                "待重算统计 dirty cells",
                level,
                f"{cells:.0f}，最久 oldest {ago(dirty)}",
                "reporting 是否在运行 / is reporting up?",
            )
        )
    missing = largest("xinxiang_bulletin_missing_seconds", "reporting")
    if missing is not None:
        level = Level.WRONG if missing > 3_600 else Level.WELL
        value = "齐全 none missing" if not missing else f"缺 missing for {ago(missing)}"
        lines.append(
            Line(
                "简报 bulletins",
                level,
                value,
                "等 reporting 的积压与待重算统计清零 / it waits for reporting's lag and dirty cells",
            )
        )
    return lines


# ── what engines say ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _kafka(ops: Ops) -> list[Line]:
    began = perf_counter()
    async with admin(ops.settings) as client:
        cluster = await client.describe_cluster()
        seconds = perf_counter() - began
        topics = await topics_of(client, ops.settings.namespace)
    parts = [(name, part) for name, topic in topics.items() for part in topic["partitions"]]
    short = sorted({name for name, part in parts if len(part["isr"]) < len(part["replicas"])})
    headless = sorted({name for name, part in parts if part["leader"] < 0})
    lines = [
        Line(
            "消息队列 Kafka",
            Level.WELL,
            f"{len(cluster['brokers'])} 台 broker(s), {ago(seconds)}, {len(parts)} 个分区 partitions",
        )
    ]
    if headless:
        lines.append(
            Line(
                "无主分区 no leader", Level.WRONG, ", ".join(headless[:5]), "启动缺的 broker / start the missing broker"
            )
        )
    value = ", ".join(short[:5]) + (" …" if len(short) > 5 else "") if short else "无 none"
    level = Level.WRONG if short else Level.WELL
    lines.append(Line("副本不足 under-replicated", level, value, "启动缺的 broker / start the missing broker"))
    return lines


async def _topics(ops: Ops) -> list[Line]:
    codes = await mailbox_codes(ops.settings)
    async with admin(ops.settings) as client:
        there = await topics_of(client, ops.settings.namespace)
        copies = await shared_topics.copies_there(client, DECLARED, ops.settings.namespace, ops.settings.copies)
        wanted = declared(ops.settings.namespace, codes, copies=copies)
        missing = [topic.name for topic in wanted if topic.name not in there]
        known = [topic for topic in wanted if topic.name in there]
        other = [t.name for t in known if len(there[t.name]["partitions"]) != t.partitions]
        for start in range(0, len(known), 200):
            other += [topic.name for topic in await differing_settings(client, known[start : start + 200])]
    if not missing and not other:
        return [Line("主题 topics", Level.WELL, f"{len(wanted)} 个，如声明 as declared")]
    said = [f"缺 missing: {', '.join(missing[:3])} ({len(missing)})"] if missing else []
    said += [f"不同 differ: {', '.join(other[:3])} ({len(other)})"] if other else []
    return [Line("主题 topics", Level.WRONG, "; ".join(said), "python -m deploy.topics apply")]


async def _lag(ops: Ops) -> list[Line]:
    lines = []
    for group, behind in by_group(await lags(ops.settings)).items():
        level = Level.WRONG if behind > ops.asked.lag else Level.WELL
        lines.append(
            Line(f"积压 lag {group}", level, str(behind), "该服务是否在运行 / is that service up, and enough of it?")
        )
    return lines


async def _store(ops: Ops) -> list[Line]:
    began = perf_counter()
    await ops.store.ping()
    seconds = perf_counter() - began
    used = await sizes(ops.store)
    level = Level.WELL if seconds < 1 else Level.WRONG
    value = f"应答 answers in {ago(seconds)}；数据 data {sum(used.values()) / 1e6:,.0f} MB"
    return [Line("数据库 store", level, value, "看数据库的负载与磁盘 / look at the store's load and disk")]


async def _parked(ops: Ops) -> list[Line]:
    failed = waiting = 0
    where = []
    for service in NAMES:
        one, letters = await parking(ops.settings, ops.store, service).counts()
        failed, waiting = failed + one, waiting + letters
        where += [service] if letters else []
    level = Level.WRONG if waiting else Level.WELL
    value = f"{failed} 条搁置 parked, {waiting} 封等候 letters waiting" + (f" ({', '.join(where)})" if where else "")
    return [Line("搁置 parked", level, value, "python -m deploy.ops parked list")]


async def last_backup(ops: Ops) -> dict[str, Any] | None:
    """Return what is on record of the last backup that went through."""
    with translated():
        found: dict[str, Any] | None = await ops.store.collection(DATABASE, LOG).find_one(
            {"verb": "backup"}, sort=[("_id", -1)]
        )
    return found


async def _backup(ops: Ops) -> list[Line]:
    found = await last_backup(ops)
    if found is None:
        return [Line("备份 backup", Level.WRONG, "从未 never", "python -m deploy.ops backup create FOLDER")]
    age = (datetime.now(UTC) - found["at"]).total_seconds()
    level = Level.WRONG if age > ops.asked.backup_hours * 3_600 else Level.WELL
    return [Line("备份 backup", level, f"{ago(age)} 前 ago", "python -m deploy.ops backup create FOLDER")]
