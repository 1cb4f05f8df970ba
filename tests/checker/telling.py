"""What the record itself must be like, letter by letter: order, numbers, holders, what was declared. Fills the tables by the way."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tests.checker.layout import Layout, Record, digest_of
from tests.checker.report import Report

ONCE: Final = {
    "ReadingOverdue": ("due_at",),
    "DispositionOverdue": ("due_at",),
    "ReplyOverdue": ("handoff_id", "due_at"),
    "ReplyDueSet": ("handoff_id",),
    "UrgingDue": ("handoff_id", "count"),
    "UrgingSent": ("handoff_id", "count"),
}
"""Fact → the fields that no two of a letter share."""
SLACK: Final = timedelta(minutes=10)
"""A lateness that began so lately, by the facts' own clock, may not be declared yet."""


def read_through(layout: Layout, report: Report) -> None:
    """Go through the record once."""
    for where in layout.strays:
        report.violated("fact.order", "", where, "a record that is no fact on the letter it is keyed by")
    for letter, records in layout.by_letter():
        facts = _in_order(letter, records, report)
        _note(layout, letter, facts, report)
        _declared(letter, facts, _held(letter, facts, report), layout.newest, report)


def _in_order(letter: str, records: Sequence[Record], report: Report) -> list[Record]:
    """Check order and repetitions; return each fact once."""
    first: dict[tuple[str, int], Record] = {}
    last: dict[str, int] = {}
    facts = []
    partitions = {record.partition for record in records}
    report.expect("fact.order", len(partitions) == 1, letter, records[0].where, "its facts stand in several partitions")
    for record in records:
        if record.decided:
            last[record.source] = max(record.seq, last.get(record.source, 0))
            first.setdefault((record.source, record.seq), record)
            facts.append(record)
            continue
        before = first.get((record.source, record.seq))
        if before is not None:
            same = (before.sha, before.id) == (record.sha, record.id) or before.decided
            report.expect("fact.once", same, letter, record.where, f"other bytes than {before.where}")
            continue
        report.holds("fact.once")
        expected = last.get(record.source, 0) + 1
        report.expect(
            "fact.order", record.seq == expected, letter, record.where, f"{record.source} {record.seq}, not {expected}"
        )
        first[record.source, record.seq] = record
        last[record.source] = max(record.seq, expected - 1)
        facts.append(record)
    return facts


def _note(layout: Layout, letter: str, facts: Sequence[Record], report: Report) -> None:
    """Fill the tables of letters and numbers, and look at numbers inside facts."""
    received: Any = None
    public: Any = None
    erased = False
    seen: dict[str, int] = {}
    numbers: dict[str, Any] = {}
    for fact in facts:
        seen[fact.source] = max(fact.seq, seen.get(fact.source, 0))
        number = fact.body.get("number")
        match fact.type:
            case "LetterReceived":
                report.expect("letter.once", received is None, letter, fact.where, "it was received twice")
                received = fact.body
            case "LetterErased":
                erased = True
            case "LetterPublished":
                public = {**fact.body, "where": fact.where}
            case "PublicationWithdrawn" | "PublicationWithheld":
                public = None
            case "LetterRegistered" if number:
                ascii_form = f"{number['ascii_prefix']}-{number['year']}-{number['serial']}"
                report.expect(
                    "number.unique", numbers.keys() <= {ascii_form}, letter, fact.where, "it got a second number"
                )
                text = f"{number['prefix']}〔{number['year']}〕{number['serial']}号"
                row = (letter, number["mailbox"], number["year"], number["serial"], ascii_form, text, fact.at)
                layout.write("insert into numbers values (?,?,?,?,?,?,?)", [row])
                numbers[ascii_form] = number
        if number and fact.type != "LetterRegistered":
            same = number in numbers.values()
            report.expect("number.unchanged", same, letter, fact.where, f"{fact.type} says another number")
    digest = digest_of(received) if received else ""
    mailbox = received["mailbox"] if received else ""
    kept = (letter, digest, mailbox, json.dumps(seen), len(facts), erased, json.dumps(public) if public else "")
    layout.write("insert into letters values (?,?,?,?,?,?,?)", [kept])


def _declared(letter: str, facts: Sequence[Record], held: Sequence[str], newest: str, report: Report) -> None:
    """Check that each lateness was declared once, and that none is missing of the hand-offs that are open."""
    said: Counter[tuple[Any, ...]] = Counter()
    due: dict[str, str] = {}
    for fact in facts:
        handoff = fact.body.get("handoff_id", "")
        if fields := ONCE.get(fact.type):
            key = (fact.type, *(fact.body.get(name) for name in fields))
            said[key] += 1
            report.expect("overdue.once", said[key] == 1, letter, fact.where, f"{fact.type} was declared before")
        if fact.type in {"ReplyDueSet", "ReplyDueChanged"}:
            due[handoff] = fact.body["due_at"]
    for handoff, moment in due.items():
        if handoff in held and datetime.fromisoformat(moment) < datetime.fromisoformat(newest) - SLACK:
            declared = ("ReplyOverdue", handoff, moment) in said
            report.expect("overdue.once", declared, letter, f"hand-off {handoff}", "it is late and nobody was told")


def _held(letter: str, facts: Sequence[Record], report: Report) -> list[str]:
    """Check that whoever hands a letter on has it: hand-offs that are open stand one under the other, never side by side. Return them.

    Whoever acts for another mailbox (a closed one, or one that a report is about) names the hand-off under which it does.
    """
    ends: dict[str, tuple[str, str | None]] = {}
    held: list[str] = []
    for fact in facts:
        handoff = fact.body.get("handoff_id", "")
        match fact.type:
            case "HandoffSent":
                top = held[-1] if held else None
                has = top is None or fact.body.get("parent") == top or fact.body["sender"] == ends[top][0]
                report.expect("holder.one", has, letter, fact.where, f"{handoff} is sent while {top} is with another")
                ends[handoff] = (fact.body["receiver"], fact.body.get("parent"))
                held.append(handoff)
            case "SlipWithdrawn" | "HandoffReturned" | "ReplyApproved":
                if handoff in held:
                    del held[held.index(handoff) :]
            case "ReplySentBack" if handoff not in held:
                held.append(handoff)
            case "CitizenAnswered":
                held.clear()
    return held
