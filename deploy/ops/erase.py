"""`erase LETTER --ground …`: erase one person's data on lawful request, everywhere it can be, and certify what was found where.

The contact data goes always, with the marks of likeness made of it; with `--text` also what the citizen wrote, and the files. The erasure
is a fact on the record (`LetterErased`), so every projection erases, rebuilt ones too. Before and after, every document of every database
and every record of every topic is searched for the person's name, phone, addresses and words: what is left stands in the certificate, with
when it expires. Texts on the topic `letters` stay: docs/decisions/0014-erased-texts-and-the-record.md says why.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from deploy.ops.certificate import refuse_unwritable, write
from deploy.ops.console import CERTIFICATE, WELL, WRONG, Ops, Refused, deciding, table, verb
from deploy.ops.letter import COLLECTION, found_letter
from deploy.ops.scan import Found, Markers, scan
from services import NAMES
from services.intake.domain import erase_on_request
from services.kit import Kit
from shared.contracts.errors import RuleBroken
from shared.contracts.types import Actor
from shared.storage import translated

FORM = "xinxiang-erasure-1"
WAIT_SECONDS = 90.0
KINDS: Mapping[str, str] = {
    "letters": "记录，长期保存 / the record, kept for ever; nobody but the services reads this topic (decision 14)",
    "directory": "名录变更，与本人无关则不必处理 / the directory; staff, not senders",
    "submissions": "到期自动删除 / expires by itself",
    "mailbox": "到期自动删除；单位系统已读取的须由该单位删除 / expires by itself; what the unit's own system has read, the unit must erase",
    "actions": "到期自动删除 / expires by itself",
    "letters.parked": "到期自动删除 / expires by itself",
    "store": "须人工处理 / needs a person: look at it there; of a generation that is not live: rebuild SERVICE --forget",
}


def add(found: Any) -> None:
    """Add the verb."""
    about = (
        "Exit status 0: nothing is left but what expires by itself and the record; 1: something is left that "
        "needs a person, or it was refused. "
        "Without --yes on no terminal nothing is done but the search: --dry-run says the same."
    )
    parser = verb(found, "erase", "erase one person's data on lawful request, with proof", about, run)
    parser.add_argument("letter", help="number, id or receipt code of the letter")
    parser.add_argument(
        "--ground", default="", help="the law and article that ask for it; goes on the record and is no place for names"
    )
    parser.add_argument("--text", action="store_true", help="also what the citizen wrote, and the files")
    parser.add_argument(
        "--marker", action="append", default=[], help="another word by which the person is known; may be repeated"
    )
    parser.add_argument("--dry-run", action="store_true", help="only search: where the data is")
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="write it there, too: as PDF where the name ends so, else as JSON; a new file. Later: `log --certificate`",
    )
    deciding(parser)


async def run(ops: Ops) -> int:
    """Search, erase, search again, certify."""
    letter_id = await found_letter(ops, ops.asked.letter)
    markers = Markers(letter_id, [*await _known(ops, letter_id), *map(sought, ops.asked.marker)])
    before = await scan(ops, markers)
    if ops.asked.dry_run:
        ops.give({"letter_id": letter_id, "found": before.answer()}, _places(before))
        return WELL
    if not ops.asked.ground.strip():
        raise Refused(
            "请用 --ground 写明法律依据 / Name the law and article with --ground, such as 个人信息保护法第四十七条"
        )
    if ops.asked.certificate:
        refuse_unwritable(ops.asked.certificate, Kit(ops.settings).press)
    ops.say(*_places(before))
    what = "联系方式、来信内容与附件 contact data, text and files" if ops.asked.text else "联系方式 contact data"
    ops.confirm(f"将删除来信 {letter_id} 的{what}，不能恢复 / will be erased for good", "erase")
    kit = Kit(ops.settings)
    try:
        await _erase(ops, kit, letter_id)
    finally:
        kit.store.close()
    done = await _everywhere(ops, letter_id)
    after = await scan(ops, markers)
    certificate = certified(ops, letter_id, before, after, done)
    # What is erased is found nowhere again: first it is told, then recorded, and only then what else may fail.
    ops.give(certificate, [*_after(certificate), f"证明 certificate SHA-256 {certificate['sha256']}"])
    about = {"letter": letter_id, "text": ops.asked.text, "ground": ops.asked.ground, "sha256": certificate["sha256"]}
    await ops.record("erase", about | {CERTIFICATE: certificate})
    if ops.asked.certificate:
        write(ops.asked.certificate, certificate, Kit(ops.settings).press)
    return WELL if done and not after.documents else WRONG


async def _known(ops: Ops, letter_id: str) -> list[str]:
    """Return the words by which the sender's data is known: contact data, and with `--text` the letter's own words."""
    with translated():
        kept = await ops.store.collection("intake", "contacts").find_one({"_id": letter_id})
        letter = await ops.store.collection("intake", "letters").find_one({"_id": letter_id})
    if letter is None:
        raise Refused(f"没有来信 {ops.asked.letter} / there is no letter {ops.asked.letter!r}")
    words = [value for value in (kept or {}).get("contact", {}).values() if isinstance(value, str)]
    if ops.asked.text:
        state = letter["state"]
        words += [state["subject"], state["body"], *(file["name"] for file in state["attachments"])]
    words = [sought(word) for word in words]
    digits = ["".join(c for c in word if c.isdigit()) for word in words]
    words += [one[-11:] for one in digits if 7 <= len(one) <= 20]  # a number as others write it, without +86 or spaces
    return [word for word in words if word]


def sought(text: str) -> str:
    """Return by what a text is found in the store and in JSON alike: its longest part without a line's end and what JSON escapes."""
    return max((part.strip() for part in re.split(r'["\\\x00-\x1f\x7f\x85\u2028\u2029]', text)), key=len)


async def _erase(ops: Ops, kit: Kit, letter_id: str) -> None:
    from services.intake.app import build  # noqa: PLC0415 - the whole service is needed by this verb alone
    from services.intake.erasure import Erasure  # noqa: PLC0415

    service = build(kit)
    await kit.changes.read_once()
    erasure = service.part(Erasure)
    now = kit.clock.now()
    stored = await service.letters.aggregates.get(letter_id)
    if ops.asked.text:
        await _refuse_public(ops, letter_id)
    by = Actor(subject=ops.asked.by, mailbox=kit.directory.mayor.code)
    decide = partial(_decided, by, ops.asked.ground.strip(), ops.asked.text)
    try:
        decide(stored.state, now)
    except RuleBroken as error:
        raise Refused(str(error)) from error
    if ops.asked.text and stored.state is not None:
        await erasure.attachments.release({letter_id: [file.id for file in stored.state.attachments]})
    await erasure.likeness.forget([letter_id])
    await service.letters.command(letter_id, decide)


def _decided(by: Actor, ground: str, text: bool, state: Any, now: datetime) -> Any:
    return erase_on_request(state, by, now, ground=ground, text=text)


async def _refuse_public(ops: Ops, letter_id: str) -> None:
    with translated():
        case = await ops.store.collection("publication", "letters").find_one({"_id": letter_id}, {"public": 1})
    if case is not None and case.get("public") is not None:  # also while a correction waits for approval
        raise Refused(
            "来信已公开，先撤下：公开网页才会说明何时撤下（R9.1）/ The letter is public: withdraw it first "
            f"(POST /publication/cases/{letter_id}/withdraw), so that the site says since when (R9.1)"
        )


async def _everywhere(ops: Ops, letter_id: str) -> bool:
    """Wait until every service has applied the fact; false: some have not yet (they do as soon as they run)."""
    with translated():
        wanted = (await ops.store.collection("intake", "letters").find_one({"_id": letter_id}))["seen"]["intake"]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            for service in NAMES:
                while True:
                    with translated():
                        found = await ops.store.collection(service, COLLECTION[service]).find_one(
                            {"_id": letter_id}, {"seen": 1}
                        )
                    if found is None or found["seen"].get("intake", 0) >= wanted:
                        break
                    ops.progress(f"waiting for {service}")
                    await asyncio.sleep(0.2)
            await _gone(ops, "intake", "letters", {"_id": letter_id, "unsent": {"$exists": True}})
            if ops.asked.text:
                await _gone(ops, "routing", "texts", {"_id": letter_id, "grams": {"$exists": True}})
                await _gone(ops, "publication", "attachments.files", {"metadata.letter_id": letter_id})
    except TimeoutError:
        return False
    return True


async def _gone(ops: Ops, service: str, name: str, query: Mapping[str, Any]) -> None:
    """Wait until no document matches."""
    found: Any = True
    while found is not None:
        with translated():
            found = await ops.store.collection(service, name).find_one(dict(query), {"_id": 1})
        if found is not None:
            await asyncio.sleep(0.2)


def certified(ops: Ops, letter_id: str, before: Found, after: Found, done: bool) -> dict[str, Any]:
    """Return the certificate; its `sha256` is that of the rest as JSON, keys sorted, without spaces."""
    gone = {one["where"]: one["count"] for one in before.answer()}
    for one in after.answer():
        gone[one["where"]] = gone.get(one["where"], 0) - one["count"]
    made: dict[str, Any] = {
        "form": FORM,
        "letter_id": letter_id,
        "ground": ops.asked.ground.strip(),
        "reach": ["contact", "text", "files"] if ops.asked.text else ["contact"],
        "by": ops.asked.by,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "applied_by_all_services": done,
        "erased": [{"where": where, "count": count} for where, count in gone.items() if count > 0],
        "remains": [_remains(one) for one in after.answer()],
        "not_searched": [
            "备份：到期删除；恢复旧备份后须重新删除 / backups made before: let them expire; erase again after restoring one",
            "运行中进程的内存：至多一小时 / the memory of running processes: an hour at the most",
            "单位自己的系统 / units' own systems",
        ],
    }
    text = json.dumps(made, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return made | {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def _remains(one: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = one["where"].partition(" ")
    family = (
        "store"
        if kind == "store"
        else "letters.parked"
        if name.startswith("letters.parked.")
        else name.partition(".")[0]
    )
    until = one.get("until")
    return {**one, "until": until.isoformat(timespec="seconds") if until else None, "why": KINDS[family]}


def _places(found: Found) -> list[str]:
    rows = [(one["where"], one["count"], one.get("until")) for one in found.answer()]
    return table(("何处 where", "数 count", "至 until"), rows, (1,)) if rows else ["未发现 / nothing was found"]


def _after(certificate: Mapping[str, Any]) -> list[str]:
    erased = [(one["where"], one["count"]) for one in certificate["erased"]]
    left = [(one["where"], one["count"], one["until"] or "-", one["why"]) for one in certificate["remains"]]
    lines = ["", "已删除 erased:", *table(("何处 where", "数 count"), erased, (1,))]
    if left:
        lines += ["", "仍在 remains:", *table(("何处 where", "数 count", "至 until", "缘由 why"), left, (1,))]
    if not certificate["applied_by_all_services"]:
        lines += [
            "",
            "有服务尚未处理：启动后即删除，届时再执行一次以复查 / a service has not applied it: it does once it runs; run this again then",
        ]
    return [*lines, *certificate["not_searched"]]
