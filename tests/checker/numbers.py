"""Numbers: unique, without gaps, and the same wherever anybody saw one (R3.6, R3.8)."""

import re
from collections import Counter
from datetime import datetime, timedelta
from html import unescape

from shared.calendar.zone import SHANGHAI
from tests.checker.layout import Layout
from tests.checker.report import Report
from tests.checker.town import Doors

_LINE = re.compile(r"<tr>((?:<td>.*?</td>)+)</tr>", re.DOTALL)
_CELL = re.compile(r"<td>(.*?)</td>", re.DOTALL)
LINES: int = 5_000
"""Registers are asked for days together that have so many letters at most, or for one day."""


def check_numbers(layout: Layout, report: Report) -> None:
    """Check what facts and people say of numbers."""
    for number, letters in layout.rows("select ascii, count(distinct letter) from numbers group by ascii"):
        report.expect("number.unique", letters == 1, "", number, f"it stands on {letters} letters")
    series = (
        "select mailbox, year, min(serial), max(serial), count(distinct serial) from numbers group by mailbox, year"
    )
    for mailbox, year, first, last, count in layout.rows(series):
        report.holds("number.gapless", count)
        if first != 1 or last != count:
            report.violated("number.gapless", "", f"{mailbox} {year}", f"{count} numbers from {first} to {last}")
    seen = "select s.letter, s.number, (select ascii from numbers n where n.letter = s.letter),"
    seen += " (select text from numbers n where n.letter = s.letter) from sightings s"
    for letter, number, ascii_form, text in layout.rows(seen):
        same = number in {ascii_form, text}
        report.expect("number.unchanged", same, letter, "ledger", "somebody saw another number on it")


async def check_register(layout: Layout, doors: Doors, report: Report) -> None:
    """Compare every mailbox's register 附表9 with the facts: the numbers of the days, in order, each once."""
    for (mailbox,) in list(layout.rows("select distinct mailbox from numbers")):
        days: dict[str, dict[str, str]] = {}
        for text, at, letter in layout.rows("select text, at, letter from numbers where mailbox = ?", mailbox):
            day = datetime.fromisoformat(at).astimezone(SHANGHAI).date().isoformat()
            days.setdefault(day, {})[text] = letter
        for first, last, expected in _portions(days):
            path = f"/routing/mailboxes/{mailbox}/register.html?from={first}&to={last}"
            answer = await doors.get("routing", path, doors.duty)
            answer.raise_for_status()
            cells = [_CELL.findall(line) for line in _LINE.findall(re.sub(r">\s+<", "><", answer.text))]
            shown = Counter(unescape(line[1]) for line in cells if len(line) > 2)
            for text, times in shown.items():
                if times > 1:
                    report.violated("number.unique", "", path, f"{text} stands there {times} times")
                # The register of a mailbox also has the letters that were handed to it, with the numbers of others.
                if text not in expected and not layout.one("select count(*) from numbers where text = ?", text):
                    report.violated("number.unchanged", "", path, f"{text} is in the register, and no fact says so")
            for text, letter in expected.items():
                report.expect("number.unchanged", text in shown, letter, path, f"{text} is not in the register")


def _portions(days: dict[str, dict[str, str]]) -> list[tuple[str, str, dict[str, str]]]:
    """Return days put together: first and last day, the numbers that were registered in between."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for day in sorted(days):
        near = found and datetime.fromisoformat(day) - datetime.fromisoformat(found[-1][0]) < timedelta(days=60)
        if near and len(found[-1][2]) + len(days[day]) <= LINES:
            found[-1] = (found[-1][0], day, found[-1][2] | days[day])
        else:
            found.append((day, day, dict(days[day])))
    return found
