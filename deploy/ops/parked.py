"""`parked list|show|replay|drop`: what services could not handle, and what to do about it.

Replay and drop publish the message again on its topic, marked as such, with who and why: so the decision stands in the
letter's history, and a rebuild repeats it.
"""

from pathlib import Path
from typing import Any

from deploy.ops.console import WELL, WRONG, Ops, Refused, deciding, table, verb
from deploy.parked import NotParked, decide, listed, parking
from services import NAMES
from shared.messaging.parking import Message, Why

MOST = 1_000
"""Messages of each service that `list` shows to people; programs get all."""
REASONS = {
    Why.FAILED: "待人处理 failed",
    Why.GAP: "缺前一条 gap",
    Why.BEHIND: "排在其后 behind",
    Why.NEWER: "待升级 newer",
}


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        f"list: exit status 1 where anything waits; it shows the first {MOST} of each service, with --json all. Only what is "
        "`failed` or `newer` can be replayed or dropped; what is behind it follows by itself."
    )
    parser = verb(found, "parked", "messages that services could not handle: list, show, replay, drop", about, run)
    parser.add_argument("what", choices=["list", "show", "replay", "drop"])
    parser.add_argument("origin", nargs="?", help="topic/partition/offset, as `list` shows it")
    parser.add_argument(
        "--service", choices=NAMES, help="only this service; needed to replay or drop where several parked it"
    )
    parser.add_argument("--value", type=Path, help="file with the repaired message (JSON)")
    parser.add_argument("--header", action="append", default=[], help="repaired header, name=value; may be repeated")
    deciding(parser)


async def run(ops: Ops) -> int:
    """Do what was asked."""
    what, origin = ops.asked.what, ops.asked.origin
    services = (ops.asked.service,) if ops.asked.service else NAMES
    if what == "list":
        return await _list(ops, services)
    if not origin:
        raise Refused(
            f"请指明哪一条：parked {what} 主题/分区/偏移 / Say which: parked {what} TOPIC/PARTITION/OFFSET, as `parked list` shows it"
        )
    holders = {s: m for s in services if (m := await parking(ops.settings, ops.store, s).get(origin)) is not None}
    if not holders:
        raise Refused(f"没有搁置的 {origin} / {origin} is not parked; `parked list` shows what is")
    if what == "show":
        answer = {service: _told(message) for service, message in holders.items()}
        ops.give(answer, [line for service, message in holders.items() for line in _lines(service, message)])
        return WELL
    return await _decide(ops, what, origin, holders)


async def _decide(ops: Ops, what: str, origin: str, holders: dict[str, Message]) -> int:
    if len(holders) > 1 and not ops.asked.service:
        raise Refused(
            f"{origin} 在几个服务搁置 / {origin} is parked by {', '.join(holders)}: say which with --service, "
            "or repeat this for each of them"
        )
    ((service, message),) = holders.items()
    reason = ops.reason()
    if what == "drop":
        ops.confirm(
            f"{service} 将永远跳过 {origin}（{message.error}）/ {service} will skip {origin} for ever ({message.error})",
            "drop",
        )
    wrong = [header for header in ops.asked.header if "=" not in header]
    if wrong:
        raise Refused(f"--header {wrong[0]!r} 应为 名=值 / --header is name=value, such as ce_seq=4")
    try:
        await decide(
            ops.settings,
            ops.store,
            service,
            origin,
            drop=what == "drop",
            value=ops.asked.value.read_bytes() if ops.asked.value else None,
            headers=dict(header.split("=", 1) for header in ops.asked.header),
            by=ops.asked.by,
            reason=reason,
        )
    except NotParked as error:
        raise Refused(str(error)) from error
    about = {"service": service, "origin": origin, "letter": message.letter_id}
    await ops.record(f"parked {what}", about)
    ops.give(
        about | {"done": what},
        [
            f"{what}: {origin}；已重新发布，是否通过见 parked list / published again; `parked list` shows whether it went through"
        ],
    )
    return WELL


async def _list(ops: Ops, services: tuple[str, ...]) -> int:
    most = 0 if ops.json else MOST
    found = await listed(ops.settings, ops.store, services, most, content=False)
    rows = [(s, m.origin, REASONS[m.why] if m.why else "", m.letter_id, m.error) for s, m in found]
    totals = [await parking(ops.settings, ops.store, service).totals() for service in services]
    failed, waiting = (sum(numbers) for numbers in zip(*totals, strict=True))
    said = f"{failed} 条待人处理，共 {waiting} 条等候 / {failed} parked, {waiting} waiting in all"
    if waiting > len(found):
        said += f"；每个服务只列出前 {MOST} 条 / only the first {MOST} of each service are listed"
    lines = table(("服务", "来处 origin", "缘由 why", "来信 letter", "错误 error"), rows) if rows else []
    ops.give([{"service": s, **_told(m, content=False)} for s, m in found], [*lines, said])
    return WRONG if found else WELL


def _told(message: Message, *, content: bool = True) -> dict[str, Any]:
    told: dict[str, Any] = {
        "origin": message.origin,
        "letter_id": message.letter_id,
        "why": message.why.value if message.why else None,
        "error": message.error,
    }
    if content:
        told |= {
            "stack": message.stack,
            "headers": {name: value.decode(errors="backslashreplace") for name, value in message.headers},
            "value": message.value.decode(errors="backslashreplace"),
        }
    return told


def _lines(service: str, message: Message) -> list[str]:
    told = _told(message)
    return [
        f"{service}  {message.origin}  {message.why}",
        f"  来信 letter: {message.letter_id or '(unknown)'}",
        f"  错误 error:  {message.error}",
        *(f"    {line}" for line in message.stack.splitlines()),
        *(f"  {name}: {value}" for name, value in told["headers"].items()),
        f"  内容 value: {told['value']}",
    ]
