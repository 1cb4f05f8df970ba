"""Histories as the duty office reads them: every fact once, in the order of the topic, chained by hashes (R10.1)."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

import httpx

from deploy.history import Checker
from deploy.history_record import Layout as HistoryLayout
from deploy.history_record import Topic
from services.routing.history import History
from shared.storage import Store
from tests.checker.layout import Layout, Record
from tests.checker.report import Report
from tests.checker.town import Doors, Town, each

WHERE: Final = "/routing/letters/{letter_id}/history"


async def check_histories(layout: Layout, doors: Doors, report: Report) -> None:
    """Read every history over HTTP, compute its hashes by the formula of `docs/services/routing.md`, and hold it against the topic."""

    async def one(row: tuple[Any, ...]) -> None:
        letter, mailbox = row
        entries = await _entries(letter, mailbox, doors)
        _chain(letter, entries, report)
        _whole(letter, entries, _once(layout.records_of(letter)), report)

    await each(layout.rows("select letter, mailbox from letters where digest != ''"), one)


async def _entries(letter: str, mailbox: str, doors: Doors) -> list[dict[str, Any]]:
    """Read a history as the duty officer, or, where it is a report about the duty office, as a clerk of its mailbox."""
    path = WHERE.format(letter_id=letter) + "?limit=200"
    for headers in (doors.duty, doors.clerk(mailbox)):
        try:
            return [entry async for entry in doors.pages("routing", path, headers)]
        except httpx.HTTPStatusError as refused:
            if refused.response.status_code not in {403, 404}:
                raise
    return []


def _once(records: Sequence[Record]) -> list[Record]:
    seen: set[tuple[str, int]] = set()
    found = []
    for record in records:
        if record.decided or (record.source, record.seq) not in seen:
            found.append(record)
        seen.add((record.source, record.seq))
    return found


def _chain(letter: str, entries: Sequence[dict[str, Any]], report: Report) -> None:
    previous = "0" * 64
    for n, entry in enumerate(entries, start=1):
        whole = [entry.get(name) for name in ("event_id", "type", "source", "seq", "at", "sha256")]
        whole = ["xinxiang-history-1", letter, entry["n"], entry["previous"], *whole]
        whole += [entry.get("replay_of") or "", bool(entry.get("dropped"))]
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        computed = hashlib.sha256(text.encode()).hexdigest()
        fits = entry["n"] == n and entry["previous"] == previous
        fits = fits and (entry["withheld"] or entry["hash"] == computed)
        report.expect("history.unbroken", fits, letter, WHERE, f"entry {n} does not fit its hash or the one before")
        previous = entry["hash"]


def _whole(letter: str, entries: Sequence[dict[str, Any]], facts: Sequence[Record], report: Report) -> None:
    shown = [(entry["source"], entry["seq"], entry["sha256"]) for entry in entries if not entry["withheld"]]
    told = [(fact.source, fact.seq, fact.sha) for fact in facts]
    if len(shown) < len(entries):  # what concerns people of the duty office itself is withheld from it
        shown, told = [], []
    report.holds("history.whole", len(entries))
    if shown != told or len(entries) != len(facts):
        says = f"{len(entries)} entries of {len(facts)} facts, or in another order, or of other bytes"
        report.violated("history.whole", letter, WHERE, says)


async def verify_all(town: Town, report: Report) -> None:
    """Ask `python -m deploy.history verify --all` too, which reads store and topic."""
    store = Store(town.settings.mongo_url, town.namespace)
    try:
        checker = Checker(History(store, town.namespace), Topic(town.settings))
        await checker.topic.look()
        with HistoryLayout(checker.topic) as record:
            async for verdict in checker.all(record):
                good = not verdict.breaks and not verdict.behind
                says = f"{len(verdict.breaks)} breaks, {verdict.behind} facts behind"
                report.expect("history.unbroken", good, verdict.letter_id, "deploy.history verify", says)
    finally:
        store.close()
