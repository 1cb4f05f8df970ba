"""What all verbs share: how they print, how they refuse, how they ask before they change anything, and where that is recorded."""

import asyncio
import getpass
import json
import sys
import unicodedata
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from secrets import token_hex
from typing import Any, TextIO

from services.reporting.last_backup import DATABASE, LOG
from services.settings import Settings
from shared.storage import Store, insert_missing

WELL, WRONG, UNKNOWN = 0, 1, 2
"""Exit statuses: all is well or done; something needs a person, or was refused; it could not be found out."""
CERTIFICATE = "certificate"
"""Under this name the record of an erasure keeps its whole certificate, which names nobody."""


class Refused(Exception):
    """It was not done: the text says what is wrong and what to do. Exit status 1."""


@dataclass
class Ops:
    """One run of the command."""

    settings: Settings
    asked: Namespace
    out: TextIO

    @cached_property
    def store(self) -> Store:
        """The document store."""
        return Store(self.settings.mongo_url, self.settings.namespace)

    @property
    def json(self) -> bool:
        """Whether a program reads the output."""
        return bool(self.asked.json)

    def say(self, *lines: str) -> None:
        """Print lines for people; programs get none of them."""
        if not self.json:
            print(*lines, sep="\n", file=self.out)

    def progress(self, line: str) -> None:
        """Print how far it is, on standard error, over the last such line where that is a terminal."""
        if not self.json and sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def give(self, answer: Any, lines: Sequence[str]) -> None:
        """Print the answer: as JSON for programs, as lines for people."""
        if self.json:
            print(json.dumps(answer, ensure_ascii=False, indent=2, default=_plain), file=self.out)
        else:
            self.say(*lines)

    def confirm(self, what: str, word: str) -> None:
        """Go on only if `--yes` was given, or `word` is typed on a terminal.

        Raises:
            Refused: neither.
        """
        if self.asked.yes:
            return
        if not sys.stdin.isatty():
            raise Refused(
                f"{what}\n不能撤回，未执行；确认后加 --yes 再执行 / Nothing was done: add --yes if that is meant"
            )
        print(f"{what}\n输入 {word} 以继续 / Type {word} to go on: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != word:
            raise Refused("没有确认，未执行 / Not confirmed; nothing was done")

    def reason(self) -> str:
        """Return why it is done.

        Raises:
            Refused: nobody said.
        """
        if not self.asked.reason.strip():
            raise Refused("请用 --reason 说明原因，它将记录在案 / Say why with --reason: it goes on the record")
        return str(self.asked.reason).strip()

    async def record(self, verb: str, about: Mapping[str, Any]) -> None:
        """Record a change that was made: when, by whom, why, what. No contact data, no text of letters.

        Raises:
            StoreUnavailable: it is not recorded.
        """
        now = datetime.now(UTC)
        document = {
            "_id": f"{now.isoformat(timespec='milliseconds')} {token_hex(4)}",
            "at": now,
            "verb": verb,
            "by": self.asked.by,
            "why": self.asked.reason,
            "about": dict(about),
        }
        await insert_missing(self.store.collection(DATABASE, LOG), [document])

    def close(self) -> None:
        """Let go of the store."""
        if "store" in self.__dict__:
            self.store.close()


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


Run = Callable[[Ops], Awaitable[int]]


def verb(found: Any, name: str, help: str, description: str, run: Run) -> ArgumentParser:
    """Add a verb to the command; `found` is what `add_subparsers` gave. Every verb has the options that all have."""
    parser: ArgumentParser = found.add_parser(name, help=help, description=description)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="for programs: JSON on standard output, nothing else")
    return parser


def deciding(parser: ArgumentParser) -> None:
    """Add the options of a verb that changes something."""
    parser.add_argument("--yes", action="store_true", help="do it without asking")
    parser.add_argument("--by", default=getpass.getuser(), help="who does it; goes on the record")
    parser.add_argument("--reason", default="", help="why; goes on the record")


# ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese characters and full-width signs take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in {"W", "F"} else 1 for c in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[int] = ()) -> list[str]:
    """Return a table as lines whose columns stand one below the other; the columns numbered in `right` are numbers."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(head))]
    lines = []
    for row in cells:
        parts = []
        for column, text in enumerate(row):
            gap = " " * (widths[column] - width(text))
            parts.append(gap + text if column in right else text + gap)
        lines.append("  ".join(parts).rstrip())
    return lines


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1f}"
    # A control character could move the cursor: what is shown may come from outside.
    return "".join(c if c.isprintable() else " " for c in str(value))


def ago(seconds: float | None) -> str:
    """Return a time span in the largest fitting unit."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1000:.0f} ms"


async def within(seconds: float, work: Awaitable[Any]) -> Any:
    """Await something for so long at most; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        return await work
