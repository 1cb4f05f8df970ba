"""What the record itself must be like, letter by letter: order, numbers, holders, what was declared. Fills the tables by the way."""

import json
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
    "ReplyReminded": ("handoff_id", "due_at", "working_days_left"),
    "InstructionReminded": ("instruction_id", "at"),
    "UrgingDue": ("handoff_id", "count"),
    "UrgingSent": ("handoff_id", "count"),
}
"""Fact → the fields that no two of a letter share."""
SLACK: Final = timedelta(minutes=10)
"""A lateness that began so lately, by the facts' own clock, may not be declared yet."""


LONG: Final = timedelta(days=21)
"""Whatever the calendar: who did not open a letter, or do anything with it, for so long is late (R3.1, R1.4)."""


def read_through(layout: Layout, report: Report) -> None:
    """Go through the record once."""
    for where in layout.strays:
        report.violated("fact.order", "", where, "a record that is no fact on the letter it is keyed by")
    for letter, records in layout.by_letter():
        facts = _in_order(letter, records, report)
        _note(layout, letter, facts, report)
        check_lateness(letter, facts, _held(letter, facts, report), layout.newest, report)


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


def check_lateness(letter: str, facts: Sequence[Record], held: Sequence[str], newest: str, report: Report) -> None:
    """Check that what was declared was declared once, and that nothing is missing that the record itself asks for.

    A hand-off that was answered soon after its limit need not have been declared late: deadline heard of both at once.

    Args:
        letter: whose facts these are.
        facts: each once, in the order of the topic.
        held: the hand-offs that are open at the end.
        newest: the latest moment of any fact.
        report: where it is noted.
    """
    said: set[tuple[Any, ...]] = set()
    due: dict[str, str] = {}
    excused: set[str] = set()
    for fact in facts:
        handoff = fact.body.get("handoff_id", "")
        if fields := ONCE.get(fact.type):
            key = (fact.type, *(fact.body.get(name) for name in fields))
            report.expect("overdue.once", key not in said, letter, fact.where, f"{fact.type} was declared before")
            _in_its_turn(letter, fact, said, report)
            said.add(key)
        if fact.type in {"ReplyDueSet", "ReplyDueChanged"}:
            due[handoff] = fact.body["due_at"]
        # Whoever explains, asks for more time, or answers by itself is not urged, or later (R6.4, R7.1).
        if fact.type in {"ProgressRecorded", "ExtensionRequested"}:
            excused.add(handoff)
        if fact.type == "HandoffSent" and fact.body["sender"] == fact.body["receiver"]:
            excused.add(handoff)
    now = datetime.fromisoformat(newest)
    for handoff, moment in due.items():
        if handoff in held and datetime.fromisoformat(moment) < now - SLACK:
            where = f"hand-off {handoff}"
            declared = ("ReplyOverdue", handoff, moment) in said
            report.expect("overdue.once", declared, letter, where, "it is late and nobody was told")
            urged = handoff in excused or ("UrgingDue", handoff, 1) in said
            report.expect("overdue.once", urged, letter, where, "it is late and was not urged")
    _left_alone(letter, facts, now, report)


def _in_its_turn(letter: str, fact: Record, said: set[tuple[Any, ...]], report: Report) -> None:
    """Check that an urging follows the lateness that it is for and the urging before it, and that its slip follows it (R7.1)."""
    handoff, count = fact.body.get("handoff_id"), fact.body.get("count", 0)
    if fact.type == "UrgingDue":
        late = ("ReplyOverdue", handoff, fact.body["due_at"]) in said
        report.expect("overdue.once", late, letter, fact.where, "it is urged and was not declared late")
        before = count == 1 or ("UrgingDue", handoff, count - 1) in said
        report.expect("overdue.once", before, letter, fact.where, f"urging {count} comes without the one before")
    if fact.type == "UrgingSent":
        asked = ("UrgingDue", handoff, count) in said
        report.expect("overdue.once", asked, letter, fact.where, f"urging {count} was sent and was not due")


def _left_alone(letter: str, facts: Sequence[Record], now: datetime, report: Report) -> None:
    """Check that a letter that nobody opened, or did anything with once it was registered, was declared late."""
    at = {fact.type: datetime.fromisoformat(fact.at) for fact in reversed(facts) if fact.at}
    for begins, ends, late in (
        ("LetterReceived", ("LetterRead", "LetterRegistered", "LetterDiscarded", "LetterNoted"), "ReadingOverdue"),
        ("LetterRegistered", ("HandoffSent", "CitizenAnswered", "LetterNoted"), "DispositionOverdue"),
    ):
        if begins in at and at[begins] < now - LONG and not at.keys() & set(ends):
            report.expect("overdue.once", late in at, letter, begins, f"nothing came of it for long, and no {late}")


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
