"""Letters as those who wrote them keep them, against what intake shows and hands out."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tests.checker.layout import Layout
from tests.checker.report import Report
from tests.checker.town import Doors, each

_SAME = ("subject", "body", "may_publish")
_ABOUT = ("nature", "domain", "region")
RECEIPTS = "/intake/receipts/{code}"
FEW = 3


def pair(layout: Layout) -> None:
    """Find the letter of each receipt, by what was posted: of several that say the same, one each."""
    free = "select letter from letters where digest = ? and letter not in (select letter from acknowledged) limit 1"
    for (receipt,) in layout.rows("select receipt from acknowledged order by receipt"):
        if letter := layout.one(free, layout.one("select digest from acknowledged where receipt = ?", receipt)):
            layout.write("update acknowledged set letter = ? where receipt = ?", [(letter, receipt)])


def count_twice(layout: Layout, report: Report) -> None:
    """Look for letters that were made twice of one that was acknowledged."""
    counted = (
        "select min(letter), count(*), digest, max("
        " (select count(*) from acknowledged a where a.digest = l.digest),"
        " (select count(*) from posted p where p.digest = l.digest)) as kept"
        " from letters l where digest in (select digest from acknowledged) group by digest"
    )
    for letter, there, _, kept in layout.rows(counted):
        report.holds("letter.once", there)
        if there > kept:
            report.violated("letter.once", letter, "letters", f"{there} letters of what was posted {kept} times")


def check_posted(layout: Layout, report: Report) -> None:
    """Look for letters that nobody posted, in so many words. Only a ledger that knows every attempt can tell."""
    if not layout.one("select count(*) from posted"):
        return
    known = "(select digest from posted union select digest from acknowledged)"
    for letter, posted in layout.rows(f"select letter, digest in {known} from letters where digest != ''"):
        report.expect("letter.posted", bool(posted), letter, "letters", "nobody posted what it says")


async def check_letters(layout: Layout, doors: Doors, report: Report) -> None:
    """Ask for every letter that was acknowledged, as its citizen and as a clerk, and for its files."""

    async def one(row: tuple[Any, ...]) -> None:
        receipt, letter, post = row
        standing = await doors.get("intake", f"/intake/receipts/{receipt}")
        report.expect("letter.there", standing.status_code == 200, letter, RECEIPTS, f"{standing.status_code}")
        await _content(letter, json.loads(post), layout, doors, report)

    await each(layout.rows("select receipt, letter, post from acknowledged where letter != ''"), one)
    # Of what is not on `letters` few are asked for: after some wrong codes intake lets everybody wait.
    for number, (receipt,) in enumerate(layout.rows("select receipt from acknowledged where letter = ''")):
        if number < FEW and (await doors.get("intake", f"/intake/receipts/{receipt}")).status_code == 200:
            report.expect("letter.content", False, "", RECEIPTS, "a letter whose LetterReceived is not what was posted")
        else:
            report.expect("letter.there", False, "", "letters", "nothing says what was posted")


async def _content(letter: str, posted: Mapping[str, Any], layout: Layout, doors: Doors, report: Report) -> None:
    where = "/intake/letters/{letter_id}"
    mailbox, erased = next(layout.rows("select mailbox, erased from letters where letter = ?", letter))
    headers = doors.duty
    answer = await doors.get("intake", f"/intake/letters/{letter}", headers)
    if answer.status_code in {403, 404}:  # a report about the duty office's own people
        headers = doors.clerk(mailbox)
        answer = await doors.get("intake", f"/intake/letters/{letter}", headers)
    if answer.status_code != 200:
        report.expect("letter.there", False, letter, where, f"{answer.status_code}")
        return
    shown = answer.json()
    _number(letter, shown, layout, report)
    if erased:  # R3.7: the text of what was not accepted goes
        report.expect("letter.content", not shown["body"], letter, where, "the text was erased and is there")
        return
    wrong = different(posted["letter"], shown)
    if len(shown["attachments"]) > len(posted["files"]):
        wrong.append("number of files")
    report.expect("letter.content", not wrong, letter, where, "another " + ", ".join(wrong))
    for file in posted["files"]:
        # Whoever uploads a file is told its hash and not the id that it gets.
        kept = next((one for one in shown["attachments"] if one["sha256"] == file["sha256"]), None)
        where = "/intake/letters/{letter_id}/attachments"
        if kept is None:
            report.expect("attachment.bytes", False, letter, where, "the letter names no file of this hash")
            continue
        other = [name for name in ("name", "size") if kept[name] != file[name]]
        report.expect("letter.content", not other, letter, where, "a file with another " + ", ".join(other))
        answer = await doors.get("intake", f"/intake/letters/{letter}/attachments/{kept['id']}", headers)
        same = answer.status_code == 200 and hashlib.sha256(answer.content).hexdigest() == file["sha256"]
        says = f"{answer.status_code}, {len(answer.content)} bytes that are not those uploaded"
        report.expect("attachment.bytes", same, letter, f"{where}/{kept['id']}", says)


def different(posted: Mapping[str, Any], shown: Mapping[str, Any]) -> list[str]:
    """Return the fields of a letter that are not what was posted. Phones are shown in their international form."""
    first = shown["corrections"][0]["before"] if shown["corrections"] else shown["classification"]
    wrong = [name for name in _SAME if name in posted and shown[name] != posted[name]]
    wrong += [name for name in _ABOUT if first[name] != posted[name]]
    if first["reported_mailbox"] != posted.get("reported_mailbox"):
        wrong.append("reported mailbox")
    if shown["chosen_mailbox"] != posted["mailbox"]:
        wrong.append("mailbox")
    contact = shown["contact"] or {}
    for name, value in posted.get("sender", {}).items():
        kept = contact.get(name)
        same = _digits(kept).endswith(_digits(value).lstrip("0")) if name == "phone" and kept else kept == value
        if value and not same:
            wrong.append(f"sender's {name}")
    return wrong


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _number(letter: str, shown: Mapping[str, Any], layout: Layout, report: Report) -> None:
    number = layout.one("select ascii from numbers where letter = ?", letter)
    if number or shown["number_ascii"]:
        same = shown["number_ascii"] == number
        report.expect("number.unchanged", same, letter, "/intake/letters/{letter_id}", "another number than its fact")
