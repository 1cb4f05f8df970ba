"""What a journey is made of: steps that do something and then look whether it can be seen, and the story they share."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from deploy.demo.city import City
from deploy.demo.listener import Listener
from shared.calendar.clock import Clock, write_clock_file
from shared.calendar.zone import SHANGHAI
from shared.contracts.types import Value
from shared.messaging.connection import Kafka

SCREENING_RATE = 120.0
"""Simulated seconds per second while people work: two minutes pass in a second."""
WAITING_RATE = 36_000.0
"""And while they wait: ten hours in a second, twenty days in 48 seconds."""
WEEKDAYS = "一二三四五六日"


class NotSeen(Exception):
    """A step did not show in the running system."""

    def __init__(self, what: str, expected: object, seen: object) -> None:
        super().__init__(f"{what}\n      expected 应为: {_short(expected)}\n      seen     所见: {_short(seen)}")


def expect(what: str, expected: object, seen: object) -> None:
    """Compare; raises NotSeen."""
    if expected != seen:
        raise NotSeen(what, expected, seen)


async def eventually(what: str, expected: object, look: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Look until what is seen is what is expected, less often the longer it takes; raises NotSeen with the last sight after `seconds`."""
    end, pause = time.monotonic() + seconds, 0.05
    while (seen := await look()) != expected:
        if time.monotonic() > end:
            raise NotSeen(what, expected, seen)
        await asyncio.sleep(pause)
        pause = min(0.5, pause * 1.3)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 1_200 else text[:1_200] + " …"


class Doing(Value):
    """One thing that was done, as the recount counts it: on a day in Shanghai, by or for a mailbox."""

    kind: str
    letter_id: str
    mailbox: str
    """The mailbox that received the letter; for assignments, the assigner."""
    at: datetime
    unit: str = ""
    """For assignments: the assignee."""


class Written(Value):
    """A letter as it was written, and what became of it; kept in the state file."""

    key: str
    sample: dict[str, Any]
    receipt: str = ""
    letter_id: str = ""
    mailbox: str = ""
    """The mailbox that received it."""
    number: str = ""
    number_ascii: str = ""
    classification: dict[str, Any] = Field(default_factory=dict)
    """As corrected by staff."""
    screening: str = "register"
    """`register`, `note`, or one of the reasons for which letters are not accepted."""
    fate: str = ""
    """For an assigned letter, how it goes on; see plan.py."""
    unit: str = ""
    handoff_id: str = ""
    reply: str = ""
    published: str = ""
    """`published`, or why it was withheld; empty: not decided."""


class Saved(Value):
    """The state file: what a later run needs to see it all again."""

    finished: bool = False
    letters: dict[str, Written] = Field(default_factory=dict)
    doings: tuple[Doing, ...] = ()
    notes: dict[str, Any] = Field(default_factory=dict)


@dataclass
class Story:
    """What steps share."""

    city: City
    listener: Listener
    kafka: Kafka
    namespace: str
    clock_file: Path
    state_file: Path
    letters: dict[str, Written] = field(default_factory=dict)
    """By Idempotency-Key, in the order of the sample."""
    doings: list[Doing] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """Whatever else a step wants its check to remember; JSON."""

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return Clock(self.clock_file).now()

    def letter(self, key: str, **changes: Any) -> Written:
        """Change what is known of a letter."""
        self.letters[key] = self.letters[key].model_copy(update=changes)
        return self.letters[key]

    def did(self, kind: str, letter: Written, at: str | datetime, unit: str = "") -> None:
        """Write down something that was done, at the time the service says."""
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        sender = letter.mailbox
        self.doings.append(Doing(kind=kind, letter_id=letter.letter_id, mailbox=sender, at=moment, unit=unit))

    def where(self, **wanted: str) -> list[Written]:
        """Letters with these values."""
        return [one for one in self.letters.values() if all(getattr(one, k) == v for k, v in wanted.items())]

    def save(self, *, finished: bool) -> None:
        """Write the state file."""
        saved = Saved(finished=finished, letters=self.letters, doings=tuple(self.doings), notes=self.notes)
        new = self.state_file.with_suffix(".new")
        new.write_bytes(orjson.dumps(saved.model_dump(mode="json")))
        new.replace(self.state_file)

    def load(self, saved: Saved) -> None:
        """Take over what an earlier run wrote."""
        self.letters, self.doings, self.notes = dict(saved.letters), list(saved.doings), dict(saved.notes)

    async def pass_until(self, moment: datetime) -> None:
        """Let the time run fast until a moment, then at working speed again; says which day it is."""
        write_clock_file(self.clock_file, None, WAITING_RATE)
        clock, day = Clock(self.clock_file), self.now.astimezone(SHANGHAI).date()
        while (now := clock.now()) < moment:
            local = now.astimezone(SHANGHAI)
            if local.date() != day:
                day = local.date()
                progress(f"{day} 星期{WEEKDAYS[day.weekday()]}", in_logs=True)
            await asyncio.sleep(min(0.1, clock.real_seconds_until(moment)))
        write_clock_file(self.clock_file, None, SCREENING_RATE)
        progress("")


@dataclass(frozen=True)
class Step:
    """A part of the journey."""

    chinese: str
    english: str
    do: Callable[[Story], Awaitable[None]]
    seen: Callable[[Story], Awaitable[str]]
    """Looks through HTTP and topics whether it happened; returns what it saw in a few words, or raises NotSeen. May be repeated at any
    later time."""


def read_saved(file: Path) -> Saved | None:
    """Return what an earlier run saved; None: there was none, or its file is of another release."""
    try:
        return Saved.model_validate_json(file.read_bytes())
    except (OSError, ValueError):
        return None


def say(line: str = "") -> None:
    """Print one line."""
    print(line, flush=True)


def progress(line: str, *, in_logs: bool = False) -> None:
    """Show what is going on: over itself on a terminal; elsewhere only what is worth a line of its own."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\033[K    {line}" if line else "\r\033[K")
        sys.stdout.flush()
    elif line and in_logs:
        say(f"    {line}")


def shanghai(moment: datetime) -> str:
    """Return a moment as a clock on the wall shows it."""
    local = moment.astimezone(SHANGHAI)
    return f"{local:%Y-%m-%d} 星期{WEEKDAYS[local.weekday()]} {local:%H:%M}"


def at(day: str, hour: str = "09:00") -> datetime:
    """Return a time of day in Shanghai as an aware moment (UTC)."""
    return datetime.fromisoformat(f"{day}T{hour}:00+08:00").astimezone(UTC)
