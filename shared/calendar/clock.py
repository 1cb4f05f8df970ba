"""The one clock: real time, or a simulated time that starts elsewhere and runs fast for demonstrations and tests.

Domain code takes ``now`` as an argument; services get it from a :class:`Clock`. All processes that are given the same
*clock file* see the same time, and replacing that file moves or speeds up all of them at once. The file is JSON::

    {"real": "2026-03-02T01:00:00Z", "simulated": "2026-03-02T01:00:00Z", "rate": 60.0}

Simulated now = ``simulated`` + (real now − ``real``) × ``rate``. Without a file the time is real.
"""

import json
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MAX_RATE = 10_000_000.0
_FIELDS = {"real", "simulated", "rate"}


class ClockFileError(ValueError):
    """The clock file cannot be used; the message says which file, what is wrong and what to do."""

    def __init__(self, path: Path, wrong: str) -> None:
        super().__init__(
            f"clock file {path}: {wrong}. It must hold "
            '{"real": "<ISO time with zone>", "simulated": "<ISO time with zone>", "rate": <number ≥ 0>}; '
            "write it with shared.calendar.clock.write_clock_file, or delete it to run in real time."
        )
        self.path = path


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """What a clock file says.

    Attributes:
        real: the real moment (aware, UTC) at which the simulated time was ``simulated``.
        simulated: the simulated moment (aware, UTC) at ``real``.
        rate: simulated seconds per real second; 1 is real speed, 0 stands still.
    """

    real: datetime
    simulated: datetime
    rate: float

    def at(self, real_seconds: float) -> datetime:
        """Return the simulated time (UTC) at a real time given in seconds since 1970, truncated to milliseconds."""
        return _to_milliseconds(self.simulated + timedelta(seconds=(real_seconds - self.real.timestamp()) * self.rate))


class Clock:
    """The time of this process: real, or as the clock file says.

    The file is looked at on every call and read again when it was replaced, so a running process follows at once. A
    file that is absent means real time; it may appear later.

    Args:
        file: the clock file (setting ``CLOCK_FILE``), or None for real time.
        real: real time in seconds since 1970; replaced in tests.
    """

    def __init__(self, file: Path | None = None, *, real: Callable[[], float] = time.time) -> None:
        self._file = file
        self._real = real
        self._seen: tuple[tuple[int, ...], ClockSetting] | None = None

    def now(self) -> datetime:
        """Return the current time: aware, UTC, truncated to milliseconds (what the store keeps).

        Raises:
            ClockFileError: the clock file is there but cannot be used.
        """
        setting = self._setting()
        if setting is None:
            return _to_milliseconds(datetime.fromtimestamp(self._real(), UTC))
        return setting.at(self._real())

    @property
    def rate(self) -> float:
        """Simulated seconds per real second at this moment; 1.0 in real time."""
        setting = self._setting()
        return 1.0 if setting is None else setting.rate

    def real_seconds_until(self, moment: datetime) -> float:
        """Return how many real seconds pass until ``moment`` (aware) on this clock: 0 if it is past, inf if it stands.

        A sleeper should cap this with its own polling interval, since the clock file may be replaced meanwhile.
        """
        left = (moment - self.now()).total_seconds()
        if left <= 0:
            return 0.0
        rate = self.rate
        return left / rate if rate else math.inf

    def _setting(self) -> ClockSetting | None:
        if self._file is None:
            return None
        try:
            status = os.stat(self._file)  # noqa: PTH116 - this runs on every call; Path.stat costs twice as much
        except FileNotFoundError:
            return None
        version = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, read_clock_file(self._file))
        return self._seen[1]


class FixedClock(Clock):
    """A clock for unit tests that stands still until it is moved."""

    def __init__(self, now: datetime) -> None:
        super().__init__()
        self.set(now)

    def now(self) -> datetime:
        """Return the time it was set to (aware, UTC, milliseconds)."""
        return self._now

    @property
    def rate(self) -> float:
        """Always 0.0: it stands still."""
        return 0.0

    def set(self, now: datetime) -> None:
        """Set the time (aware; any zone)."""
        if now.tzinfo is None:
            raise ValueError(f"{now.isoformat()} has no time zone; give an aware time, e.g. datetime(…, tzinfo=UTC)")
        self._now = _to_milliseconds(now.astimezone(UTC))

    def advance(self, by: timedelta) -> datetime:
        """Move the time forward and return the new time."""
        self._now = _to_milliseconds(self._now + by)
        return self._now


def read_clock_file(path: Path) -> ClockSetting:
    """Read a clock file.

    Raises:
        FileNotFoundError: there is none.
        ClockFileError: it is not JSON, or a field is missing, unknown or impossible.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ClockFileError(path, f"not JSON ({error})") from error
    if not isinstance(content, dict) or set(content) != _FIELDS:
        raise ClockFileError(path, f"must be an object with exactly the fields {', '.join(sorted(_FIELDS))}")
    return ClockSetting(
        real=_moment(path, "real", content["real"]),
        simulated=_moment(path, "simulated", content["simulated"]),
        rate=_rate(path, content["rate"]),
    )


def write_clock_file(
    path: Path,
    simulated: datetime | None = None,
    rate: float = 1.0,
    *,
    backwards: bool = False,
    real: Callable[[], float] = time.time,
) -> ClockSetting:
    """Replace the clock file atomically, so that every process using it moves to the new time at once.

    Args:
        path: the clock file; its folder is made if need be.
        simulated: the time it shall be now (aware); None goes on from the time it is, only changing the rate.
        rate: simulated seconds per real second, from 0 (stand still) to ten million.
        backwards: allow a time before the one an existing file gives now. Clocks of running services should not go
            back: what they recorded would then lie in the future.
        real: real time in seconds since 1970; replaced in tests.

    Raises:
        ValueError: the time would go back and ``backwards`` is False, has no zone, or the rate is impossible.
        ClockFileError: the existing file cannot be used (delete it first).
    """
    rate = _rate(path, rate)
    real_now = real()
    current = read_clock_file(path).at(real_now) if path.exists() else None
    if simulated is None:
        simulated = current or datetime.fromtimestamp(real_now, UTC)
    elif simulated.tzinfo is None:
        raise ValueError(f"{simulated.isoformat()} has no time zone; give an aware time, e.g. datetime(…, tzinfo=UTC)")
    if current is not None and simulated < current and not backwards:
        raise ValueError(
            f"the clock in {path} stands at {current.isoformat()} and would go back to {simulated.isoformat()}; "
            "give a later time, or backwards=True if nothing was recorded yet"
        )
    setting = ClockSetting(datetime.fromtimestamp(real_now, UTC), simulated.astimezone(UTC), rate)
    text = json.dumps(
        {"real": setting.real.isoformat(), "simulated": setting.simulated.isoformat(), "rate": setting.rate}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)
    return setting


def _to_milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _moment(path: Path, field: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ClockFileError(path, f"{field} is not an ISO 8601 time: {value!r}") from error
    if moment.tzinfo is None:
        raise ClockFileError(path, f"{field} has no time zone: {value!r}; write e.g. 2026-03-02T09:00:00+08:00")
    return moment.astimezone(UTC)


def _rate(path: Path, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_RATE:
        raise ClockFileError(path, f"rate must be a number from 0 to {MAX_RATE:.0f}, not {value!r}")
    return float(value)
