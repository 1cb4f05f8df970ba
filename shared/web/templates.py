"""Pages: one look for all, Jinja2 with autoescape, Chinese first, no script or style inside the page."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

_HERE = Path(__file__).parent
_SHANGHAI = ZoneInfo("Asia/Shanghai")


def shanghai(moment: datetime | None) -> str:
    """``2026年11月23日 17:30`` in Asia/Shanghai for an aware time; "—" for None. Raises ValueError for a naive one."""
    if moment is None:
        return "—"
    local = _local(moment)
    return f"{_chinese_date(local)} {local:%H:%M}"


def shanghai_date(moment: datetime | date | None) -> str:
    """``2026年11月23日``; of an aware time, its day in Asia/Shanghai; "—" for None."""
    if moment is None:
        return "—"
    return _chinese_date(_local(moment) if isinstance(moment, datetime) else moment)


def deadline(moment: datetime | None) -> str:
    """As ``shanghai``, but midnight is the end of the day that it closes: ``2026年3月16日 24:00`` (R6.1)."""
    if moment is not None and _local(moment).time() == time.min:
        return f"{_chinese_date(_local(moment) - timedelta(days=1))} 24:00"
    return shanghai(moment)


def iso(moment: datetime) -> str:
    """For ``<time datetime=…>``: UTC with seconds, such as ``2026-11-23T09:30:00Z``."""
    if moment.tzinfo is None:
        raise ValueError("times must be aware: this one has no zone")
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def duration(length: timedelta | float | None) -> str:
    """A length of time in its two largest units, such as ``3天4小时``; a number is seconds; "—" for None."""
    if length is None:
        return "—"
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 0:
        return f"-{duration(-seconds)}"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}天{hours}小时" if hours else f"{days}天"
    if hours:
        return f"{hours}小时{minutes}分" if minutes else f"{hours}小时"
    return f"{minutes}分" if minutes else f"{seconds}秒"


@cache
def static_url(name: str) -> str:
    """The address of a file in ``static/``, with its content's hash so that browsers may keep it."""
    content = (_HERE / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


class Pages:
    """Renders the pages of one service: templates are looked for in ``folder``, then among the shared ones (``base.html``).

    ``now`` and ``rate`` let durations tick in the reader's browser by the system's own clock: pass ``clock.now`` and, where time
    runs fast, a function that gives how many times faster.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] | None = None, rate: Callable[[], float] | None = None
    ) -> None:
        self._now = now or (lambda: datetime.now(UTC))
        self._rate = rate or (lambda: 1.0)
        self._environment = Environment(
            loader=FileSystemLoader([folder, _HERE / "templates"]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "shanghai": shanghai,
            "shanghai_date": shanghai_date,
            "deadline": deadline,
            "iso": iso,
            "duration": duration,
        }
        self._environment.globals["static_url"] = static_url

    def render(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> HTMLResponse:
        """The page made from ``template`` with ``values``; a value that the template names but is not given raises."""
        return HTMLResponse(self.text(template, **values), status, headers)

    def text(self, template: str, **values: Any) -> str:
        """The page's HTML, for example to be frozen in an issued bulletin."""
        return self._environment.get_template(template).render(page_now=self._now(), page_rate=self._rate(), **values)


def _local(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("times must be aware: this one has no zone")
    return moment.astimezone(_SHANGHAI)


def _chinese_date(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
