"""Letters that citizens really wrote, with the days on which they were really answered; and odd ones, invented.

The real ones lie beside the checkout, in `../shared/letters`, or where `LETTERS_FOLDER` says. They are for tests on one's own machine and
are never copied into the project.
"""

import gzip
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from shared.calendar.zone import business_date

FOLDER = Path(os.environ.get("LETTERS_FOLDER") or Path(__file__).parents[3] / "shared" / "letters")
FILE = FOLDER / "replied.jsonl.gz"
CROWDED_FROM = 2017
"""Since then letters are dense; of the years before, some are taken whatever it costs."""
EARLY = 16
INVISIBLE = "\u200b\u202e\ufeff"
"""What stands in these letters and takes no room."""


@dataclass(frozen=True, slots=True)
class RealLetter:
    """One letter; `replied_on` none: it was never answered."""

    subject: str
    body: str
    reply: str
    written_at: datetime
    replied_on: date | None

    @property
    def kept(self) -> tuple[str, str]:
        """Subject and body as they are kept: as they were written, but for what nobody sees; a subject on one line."""
        subject, body = (
            "".join(sign for sign in text if sign not in INVISIBLE).replace("\u2028", "\n")
            for text in (self.subject, self.body)
        )
        return " ".join(subject.split()), body


def load() -> list[RealLetter]:
    """Return all real letters, in the order in which they were written; those of the same second come a millisecond apart."""
    seconds: Counter[str] = Counter()
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        found = [_letter(json.loads(line), seconds) for line in lines]
    return sorted(found, key=lambda letter: letter.written_at)


def _letter(line: dict[str, str | None], seconds: Counter[str]) -> RealLetter:
    replied_at, written_at = line["replied_at"], line["written_at"] or ""
    seconds[written_at] += 1
    return RealLetter(
        subject=line["subject"] or "",
        body=line["body"] or "",
        reply=line["reply"] or "",
        written_at=datetime.fromisoformat(written_at) + timedelta(milliseconds=seconds[written_at] - 1),
        replied_on=None if replied_at is None else business_date(datetime.fromisoformat(replied_at)),
    )


def choose(letters: Sequence[RealLetter], number: int) -> list[RealLetter]:
    """Return so many letters over the whole span of years: all odd ones, some of the sparse years, the others one after another.

    Each day on which something happens costs the replay a stop, so those are taken from where letters came densest.
    """
    early = [letter for letter in letters if letter.written_at.year < CROWDED_FROM]
    kept = [letter for letter in letters if _is_odd(letter, letters)]
    kept += [letter for letter in early[:: len(early) // EARLY + 1] if letter not in kept]
    others = [letter for letter in letters if letter not in kept]
    wanted = number - len(kept)
    if not 0 < wanted <= len(others):
        raise ValueError(f"of {len(letters)} real letters {number} cannot be chosen: {len(kept)} are always among them")
    runs = [others[first : first + wanted] for first in range(len(others) - wanted + 1)]
    densest = min(runs, key=lambda run: run[-1].written_at - run[0].written_at)
    return sorted([*kept, *densest], key=lambda letter: letter.written_at)


def _is_odd(letter: RealLetter, letters: Sequence[RealLetter]) -> bool:
    """Whether a letter is never answered, holds leftover markup or invisible characters, or is the longest or shortest of its kind."""
    text = letter.subject + letter.body + letter.reply
    if letter.replied_on is None or any(mark in text for mark in ("<", "&", "\u200b", "\ufeff")):
        return True
    bodies, replies = [len(one.body) for one in letters], [len(one.reply) for one in letters]
    return len(letter.body) in {max(bodies), min(bodies)} or len(letter.reply) in {max(replies), min(replies)}


def invented() -> list[RealLetter]:
    """Return odd letters that must get through as they are, with odd replies."""
    words = "我们小区门口的路灯坏了半个多月，晚上出行很不安全，希望尽快修好。"
    reply = "经现场核实，路灯已修复，感谢您的来信。"
    odd = [
        (
            "<b>路灯</b> &amp; 井盖",
            f"<script>alert(1)</script><p>{words}</p>&nbsp;<!-- -->",
            f"<p>{reply}</p> &lt;完&gt;",
        ),
        ("ＡＢＣ小区１２３号路灯", words.translate({ord("，"): "\uff0c"}) + "（电话：０２３）", "已修复１２３盏。"),
        ("路灯不亮😡求助👨‍👩‍👧‍👦", words + "🙏🏽" * 20, reply + "🎉"),
        ("三千字的来信", (words * 100)[:3000], (reply * 400)[:7000]),
        ("零\u200b宽与\u202e逆向文字", "第一行\n\n\t第二行\u2028第三行，𠮷野家门口。", "第一行\n　第二行\n"),
        ("{{ subject }} ${jndi} '; --", words + " {'$gt': ''} %s \\u0000 \\n", "$set {} 'or'1'='1"),
    ]
    days = (date(2019, 3, 15), date(2019, 4, 4), date(2019, 5, 20))
    return [
        RealLetter(subject, body, answer, datetime.fromisoformat(f"2019-03-12T{9 + n:02}:59:59+08:00"), days[n % 3])
        for n, (subject, body, answer) in enumerate(odd)
    ]


REFUSED: Sequence[tuple[str, str]] = (
    ("subject", ""),
    ("subject", "　　　　　"),
    ("subject", "三个字"),
    ("subject", "！？！？！？"),
    ("subject", "长" * 61),
    ("subject", "路灯\x00不亮了"),
    ("subject", "路灯\x1b[31m不亮"),
    ("body", ""),
    ("body", "九个字不到就完"),
    ("body", "长" * 5001),
)
"""Fields and texts that nobody can take for a letter's (R2.2)."""
