"""What the public sees against what was approved (R9.1): letters' pages and JSON, the list, files, open data; names in feed and sitemap."""

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from html import unescape
from io import StringIO
from typing import Any

from tests.checker.layout import Layout, brief
from tests.checker.report import Report
from tests.checker.town import Doors, each

_LOC = re.compile(r"<loc>\s*([^<]+?)\s*</loc>")
PORTION = 200
_PAGE = re.compile(r"/public/letters/([A-Z]+-\d{4}-\d+)")
_TITLE = re.compile(r"<h1[^>]*>(.*?)</h1>", re.DOTALL)
_TEXT = re.compile(r'<p class="letter-text"[^>]*>(.*?)</p>', re.DOTALL)
_AS_PAGE = {"Accept": "text/html"}


async def check_public(layout: Layout, doors: Doors, report: Report) -> None:
    """Read the public site and its open data whole."""

    async def one(line: dict[str, Any]) -> None:
        number = line["number"]
        layout.write("insert or ignore into shown values (?)", [(number,)])
        where = f"/public/letters/{number}.json"
        answer = await doors.get("publication", where)
        if answer.status_code != 200:
            report.expect("public.there", False, _letter(layout, number), where, f"{answer.status_code}")
            return
        page = answer.json()
        _compare(layout, number, where, {**page, "letter": page["body"]}, report)
        _compare(layout, number, "/public/letters.json", line, report)
        await _page(layout, number, doors, report)
        for file in page["attachments"]:
            content = (await doors.get("publication", file["address"])).content
            same = hashlib.sha256(content).hexdigest() == file["sha256"]
            report.expect("public.approved", same, _letter(layout, number), file["address"], "other bytes")

    lines: list[dict[str, Any]] = []
    async for line in doors.pages("publication", "/public/letters.json?limit=100"):
        lines.append(line)
        if len(lines) == PORTION:
            await each(lines, one)
            lines.clear()
    await each(lines, one)
    await _open_data(layout, doors, report)
    await _named_elsewhere(layout, doors, report)
    await _taken_back(layout, doors, report)
    for letter, public in list(layout.rows("select letter, public from letters where public != ''")):
        _approved(layout, letter, json.loads(public), report)
        number = layout.one("select ascii from numbers where letter = ?", letter)
        there = layout.one("select count(*) from shown where number = ?", number) or _is_report(layout, letter)
        report.expect("public.there", bool(there), letter, "/public/letters.json", "it was approved and is not there")


async def _page(layout: Layout, number: str, doors: Doors, report: Report) -> None:
    """Compare what stands on a letter's page, as a browser gets it."""
    where = f"/public/letters/{number}"
    answer = await doors.get("publication", where, _AS_PAGE)
    texts = [unescape(text) for text in (*_TITLE.findall(answer.text)[:1], *_TEXT.findall(answer.text))]
    if answer.status_code != 200 or len(texts) != 3:
        says = f"{answer.status_code}, {len(texts)} texts"
        report.expect("public.there", False, _letter(layout, number), where, says)
        return
    _compare(layout, number, where, dict(zip(("subject", "letter", "reply"), texts, strict=True)), report)


async def _taken_back(layout: Layout, doors: Doors, report: Report) -> None:
    """Check that what is public no more, and was once, is on no page and in no JSON."""
    once = "select distinct f.letter, n.ascii from facts f, letters l, numbers n where f.type = 'LetterPublished'"
    once += " and l.letter = f.letter and l.public = '' and n.letter = f.letter"
    for letter, number in list(layout.rows(once)):
        for path in (f"/public/letters/{number}", f"/public/letters/{number}.json"):
            answer = await doors.get("publication", path, _AS_PAGE)
            gone = answer.status_code in {404, 410} and not _TEXT.search(answer.text)
            report.expect("public.there", gone, letter, path, f"{answer.status_code}: it was taken back and is there")


async def _open_data(layout: Layout, doors: Doors, report: Report) -> None:
    for month in (await doors.get("publication", "/public/data.json")).json()["months"]:
        for kind in ("jsonl", "csv"):
            text = (await doors.get("publication", month[kind])).content.decode("utf-8-sig")
            rows = (
                [json.loads(line) for line in text.splitlines() if line]
                if kind == "jsonl"
                else list(csv.DictReader(StringIO(text, newline="")))
            )
            for row in rows:
                shown = {**row, "text_hash": row["text_sha256"]}
                if kind == "csv":  # cells that begin like a formula have an apostrophe before them
                    shown = {name: value.removeprefix("'") for name, value in shown.items()}
                _compare(layout, row["number"], month[kind], shown, report)
            report.expect("public.there", len(rows) == month["count"], "", month[kind], f"it has {len(rows)} letters")


async def _named_elsewhere(layout: Layout, doors: Doors, report: Report) -> None:
    """Check that feed and sitemap name no letter that is not public."""
    feed = (await doors.get("publication", "/public/feed.atom")).text
    named = {(number, "/public/feed.atom") for number in _PAGE.findall(feed)}
    index = (await doors.get("publication", "/public/sitemap.xml")).text
    for address in _LOC.findall(index):
        path = "/" + address.split("/", 3)[3]
        if "/sitemap-" in path:
            named |= {(number, path) for number in _PAGE.findall((await doors.get("publication", path)).text)}
    for number, where in named:
        letter = _letter(layout, number)
        public = layout.one("select public from letters where letter = ?", letter)
        report.expect("public.approved", bool(public), letter, where, "it is named and was not approved")


def _compare(layout: Layout, number: str, where: str, shown: Mapping[str, Any], report: Report) -> None:
    """Compare what a path shows of a letter with the approval in force."""
    letter = _letter(layout, number)
    public = layout.one("select public from letters where letter = ?", letter)
    if not public:
        report.expect("public.approved", False, letter, where, "it is shown and was not approved, or was withdrawn")
        return
    approved = json.loads(public)
    given = {"subject": approved["subject"], "letter": approved["body"], "reply": approved["reply"]}
    given["text_hash"] = approved["text_hash"]
    wrong = [name for name, value in given.items() if name in shown and brief(shown[name]) != value]
    if "body" in shown and _hash(shown) != approved["text_hash"]:
        wrong.append("hash of what is shown")
    report.expect("public.approved", not wrong, letter, where, "another " + ", ".join(wrong))


def _hash(shown: Mapping[str, Any]) -> str:
    """Return the hash of a page's texts and files, as `docs/services/publication.md` defines what is approved."""
    parts: list[Any] = [shown["subject"], shown["body"], shown["reply"]]
    if shown["attachments"]:
        parts.append([[file["name"], file["sha256"]] for file in shown["attachments"]])
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _approved(layout: Layout, letter: str, public: Mapping[str, Any], report: Report) -> None:
    """Check that somebody who may approved it: another person than its author, and the people who approve know of it."""
    by, author = public.get("by") or {}, public.get("prepared_by") or {}
    two = bool(by.get("subject")) and by["subject"] != author.get("subject")
    report.expect("public.approved", two, letter, public["where"], "author and approver are one")
    if layout.one("select count(*) from approvals"):
        known = layout.one("select count(*) from approvals where letter = ? and hash = ?", letter, public["text_hash"])
        report.expect("public.approved", bool(known), letter, public["where"], "nobody approved this text")


def _letter(layout: Layout, number: str) -> str:
    return str(layout.one("select letter from numbers where ascii = ?", number) or "")


def _is_report(layout: Layout, letter: str) -> bool:
    """Whether it ever was classified as a report about somebody: then it is never public."""
    return any(
        about.get("reported_mailbox") or about.get("reported_people")
        for record in layout.records_of(letter)
        for about in (record.body.get("classification") or {}, record.body.get("after") or {})
    )
