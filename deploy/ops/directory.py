"""`directory list|show|add|change|close|history`: the directory of mailboxes (R1.1), through the API of routing.

`--dry-run` asks nobody: it reads the directory's file and the changes since, and lists every problem that a change would have.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.ops.console import WELL, Ops, Refused, deciding, table, verb
from services.__main__ import PORTS
from services.kit import Kit
from shared.contracts.types import Actor
from shared.directory import DirectoryError, UnknownEntry
from shared.directory import changes as rules
from shared.yaml_files import load_yaml

BASE = "/routing/directory"


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        "add FILE.yaml: an entry, or a list of entries. change CODE FILE.yaml: the fields that change. close "
        "CODE --successor CODE. These three "
        "need a token of the duty office: --token-file, or OPS_TOKEN; with --dry-run none."
    )
    parser = verb(found, "directory", "the directory: list, show, add, change, close, history", about, run)
    parser.add_argument("what", choices=["list", "show", "add", "change", "close", "history"])
    parser.add_argument("about", nargs="*", help="add: FILE; change: CODE FILE; show, close, history: CODE")
    parser.add_argument("--successor", help="close: who takes over; none: the mailbox above")
    parser.add_argument("--dry-run", action="store_true", help="list every problem; change nothing")
    parser.add_argument("--url", default=f"http://127.0.0.1:{PORTS['routing']}", help="where routing answers")
    parser.add_argument("--token-file", type=Path, help="a file that holds nothing but the token; else OPS_TOKEN")
    deciding(parser)


async def run(ops: Ops) -> int:
    """Do what was asked."""
    what, about = ops.asked.what, list(ops.asked.about)
    wanted = {"list": 0, "show": 1, "add": 1, "change": 2, "close": 1, "history": 1}[what]
    if len(about) != wanted:
        raise Refused(f"directory {what} 要 {wanted} 个参数 / takes {wanted} words: `directory --help`")
    if what in {"add", "change", "close"} and ops.asked.dry_run:
        return await _tried(ops, what, about)
    async with httpx.AsyncClient(base_url=ops.asked.url, timeout=30, transport=transport()) as client:
        return await _asked(ops, client, what, about)


def transport() -> httpx.AsyncBaseTransport | None:
    """Return how HTTP is spoken; None: over the network."""
    return None


def content(file: str) -> Any:
    """Read a YAML file.

    Raises:
        Refused: it cannot be read as YAML.
    """
    try:
        return load_yaml(Path(file))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{file} 读不了 / cannot be read: {error}") from error


def _entries(file: str) -> list[dict[str, Any]]:
    found = content(file)
    entries = found if isinstance(found, list) else [found]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise Refused(f"{file} 应为一个条目或条目的列表 / {file} is an entry (code, name, …), or a list of entries")
    return entries


async def _tried(ops: Ops, what: str, about: list[str]) -> int:
    kit = Kit(ops.settings)
    await kit.changes.read_once()
    now = kit.directory
    change = rules.Change(Actor(subject=ops.asked.by, mailbox=now.mayor.code), datetime.now(UTC), ops.asked.reason)
    problems: list[str] = []
    try:
        if what == "add":
            overlay: dict[str, Any] = dict(kit.changes.live.overlay)
            for entry in _entries(about[0]):
                try:
                    overlay = rules.applied(overlay, rules.add(now, entry, change))
                    now = kit.changes.live.of(overlay, now.version + 1)
                except DirectoryError as error:
                    problems += _problems(error)
        elif what == "change":
            (fields,) = _entries(about[1])
            rules.alter(now, about[0], fields, change)
        else:
            rules.close(now, about[0], ops.asked.successor, change)
    except DirectoryError as error:
        problems += _problems(error)
    except UnknownEntry as error:
        problems.append(error.message)
    if problems:
        raise Refused("\n  ".join([f"{len(problems)} 处不合 / {len(problems)} problems:", *problems]))
    ops.give({"problems": []}, ["没有问题 / no problems; without --dry-run it is done"])
    return WELL


def _problems(error: DirectoryError) -> list[str]:
    return [str(problem) for problem in error.problems]


async def _asked(ops: Ops, client: httpx.AsyncClient, what: str, about: list[str]) -> int:
    headers = {"Authorization": f"Bearer {_token(ops)}"}
    if what == "list":
        found = await _answer(client.get(BASE, headers=headers))
        rows = [
            (m["code"], m["name"], m["parent"] or "-", "已关闭 closed" if m["closed"] else "")
            for m in found["mailboxes"]
        ]
        ops.give(found, table(("代码 code", "名称 name", "上级 parent", ""), rows))
        return WELL
    if what in {"show", "history"}:
        path = f"{BASE}/mailboxes/{about[0]}" + ("/history" if what == "history" else "")
        found = await _answer(client.get(path, headers=headers))
        ops.give(found, yaml.safe_dump(found, allow_unicode=True, sort_keys=False).splitlines())
        return WELL
    reason = ops.reason()
    if what == "close":
        ops.confirm(f"{about[0]} 将关闭，不能再开 / {about[0]} will be closed for ever", about[0])
    done = []
    for path, method, body in _moves(ops, what, about, reason):
        tag = {} if method == "POST" and what == "add" else {"If-Match": await _etag(client, headers, about[0])}
        done.append(await _answer(client.request(method, path, json=body, headers={**headers, **tag})))
    codes = [one["mailbox"]["code"] for one in done]
    await ops.record(f"directory {what}", {"mailboxes": ", ".join(codes)})
    ops.give(done, [f"{what}: {code}" for code in codes])
    return WELL


def _moves(ops: Ops, what: str, about: list[str], reason: str) -> list[tuple[str, str, dict[str, Any]]]:
    at = f"{BASE}/mailboxes"
    if what == "add":
        return [(at, "POST", {"entry": entry, "reason": reason}) for entry in _entries(about[0])]
    if what == "change":
        (fields,) = _entries(about[1])
        return [(f"{at}/{about[0]}", "PATCH", {"entry": fields, "reason": reason})]
    return [(f"{at}/{about[0]}/close", "POST", {"successor": ops.asked.successor, "reason": reason})]


async def _etag(client: httpx.AsyncClient, headers: dict[str, str], code: str) -> str:
    answer = await client.get(f"{BASE}/mailboxes/{code}", headers=headers)
    await _answer(_same(answer))
    return answer.headers["etag"]


async def _same(answer: httpx.Response) -> httpx.Response:
    return answer


async def _answer(asking: Any) -> Any:
    try:
        answer: httpx.Response = await asking
    except httpx.HTTPError as error:
        raise Refused(
            f"routing 没有回答（--url）/ routing does not answer ({type(error).__name__}); see --url"
        ) from error
    if answer.status_code < 300:
        return answer.json()
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    lines = [
        f"{one.get('field', '')} {one.get('rule') or ''} {one.get('detail', '')}".strip()
        for one in problem.get("errors", ())
    ]
    raise Refused(
        "\n  ".join(
            [f"{answer.status_code} {problem.get('detail') or problem.get('title') or answer.text[:200]}", *lines]
        )
    )


def _token(ops: Ops) -> str:
    if ops.asked.token_file:
        return str(ops.asked.token_file.read_text(encoding="utf-8").strip())
    token = os.environ.get("OPS_TOKEN", "").strip()
    if not token:
        raise Refused(
            "需要值班人员的令牌：--token-file 或 OPS_TOKEN / A token of the duty office is needed: --token-file, or OPS_TOKEN"
        )
    return token
