"""Whether the city has come to rest: nothing to be handled, sent or repaired; and the bulletins that it issued."""

import asyncio
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from time import monotonic
from typing import Any, Final

import httpx
from aiokafka.errors import KafkaError

from deploy.ops.cluster import lags
from shared.calendar.zone import business_date, start_of_day, week_start
from tests.checker.layout import Layout
from tests.checker.report import Report
from tests.checker.town import Doors

_SAMPLE = re.compile(r'^(xinxiang_\w+)\{service="(\w+)"[^}]*\} (\S+)$', re.MULTILINE)
WAITING: Final = (
    "xinxiang_waiting_letters",
    "xinxiang_parked_letters",
    "xinxiang_consumer_lag",
    "xinxiang_dirty_cells",
)
UNSENT: Final = ("xinxiang_outbox_depth",)
WEEK: Final = timedelta(days=7)
DUE_AFTER: Final = timedelta(hours=2)
"""How long after the end of its week, by the facts' own clock, a bulletin must be there: it is made from 1:00 on (R11.2)."""


async def at_rest(doors: Doors) -> bool:
    """Wait until every replica is ready, all is handled and metrics say that nothing waits; False once the town's patience is over.

    What a consumer has in hand, no metric counts as waiting, and metrics may be some seconds old: what is committed, Kafka is asked.
    """
    end = monotonic() + doors.town.patience
    while monotonic() < end:
        try:
            if await _ready(doors) and await _handled(doors) and not any((await _sums(doors)).values()):
                return True
        except (httpx.TransportError, KafkaError):
            pass
        await asyncio.sleep(0.5)
    return False


async def _ready(doors: Doors) -> bool:
    urls = {url for replicas in doors.town.urls.values() for url in replicas}
    answers = [await doors.ask(url + "/health/ready") for url in sorted(urls)]
    return all(answer.status_code == 200 for answer in answers)


async def _handled(doors: Doors) -> bool:
    return not any(lag.behind for lag in await lags(doors.town.settings))


async def _sums(doors: Doors) -> dict[tuple[str, str, str], float]:
    """Return (address, service, metric) → the sum over all other labels, of the metrics that must be 0."""
    found: dict[tuple[str, str, str], float] = defaultdict(float)
    for url in sorted({url for replicas in doors.town.urls.values() for url in replicas}):
        for name, service, value in _SAMPLE.findall((await doors.ask(url + "/metrics")).text):
            if name in WAITING or name in UNSENT:
                found[url, service, name] += float(value)
    return found


async def check_rest(doors: Doors, report: Report) -> None:
    """Hold the metrics of all replicas against what must be 0, once the city has come to rest or its time is over."""
    await at_rest(doors)
    for (url, service, name), value in (await _sums(doors)).items():
        invariant = "outbox.empty" if name in UNSENT else "waiting.none"
        report.expect(invariant, value == 0, "", f"{url}/metrics", f"{name} of {service} is {value:g}")


async def check_bulletins(layout: Layout, doors: Doors, report: Report) -> None:
    """Read every issue: one for each period, none missing, numbered without gaps, and with the hash of what it says (R11.2, R11.3)."""
    end = monotonic() + doors.town.patience
    lines = await _issues(doors)
    while _missing_weeks(lines, layout, doors) and monotonic() < end:
        await asyncio.sleep(1)
        lines = await _issues(doors)
    for monday in _missing_weeks(lines, layout, doors):
        report.violated("bulletin.once", "", "/reporting/issues", f"no weekly bulletin about the week of {monday}")
    of_period: Counter[tuple[str, str, str]] = Counter()
    serials: dict[tuple[str, str, Any], list[int]] = defaultdict(list)
    for line in lines:
        where = f"/reporting/issues/{line['id']}"
        period = (line["series"], line["mailbox"], line["first_day"])
        of_period[period] += 1
        report.expect("bulletin.once", of_period[period] == 1, "", where, "another issue has the same period")
        serials[line["series"], line["mailbox"], line["year"]].append(line["serial"])
        serials[line["series"], line["mailbox"], "in all"].append(line["total_serial"])
        answer = await doors.get("reporting", where, doors.duty)
        issue = answer.json() if answer.status_code == 200 else {}
        stated = issue.pop("hash", None)
        canonical = json.dumps(issue, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        same = stated == hashlib.sha256(canonical.encode()).hexdigest()
        report.expect("bulletin.once", same, "", where, "it is not what its hash says")
    for (series, mailbox, year), numbers in serials.items():
        whole = sorted(numbers) == list(range(1, len(numbers) + 1))
        says = f"{len(numbers)} numbers from {min(numbers)} to {max(numbers)}"
        report.expect("bulletin.once", whole, "", f"{series} of {mailbox}, {year}", says)
    _follow_each_other(lines, report)


async def _issues(doors: Doors) -> list[dict[str, Any]]:
    return [line async for line in doors.pages("reporting", "/reporting/issues?limit=200", doors.duty)]


def _missing_weeks(lines: Sequence[dict[str, Any]], layout: Layout, doors: Doors) -> list[date]:
    """Return the Mondays of the weeks that passed since the mayor's mailbox got its first letter and that no weekly bulletin is about."""
    received = "select min(f.at) from facts f join letters l on l.letter = f.letter"
    first = layout.one(f"{received} where f.type = 'LetterReceived' and l.mailbox = ?", doors.town.duty[1])
    if first is None:
        return []
    issued = {date.fromisoformat(line["first_day"]) for line in lines if line["series"] == "weekly"}
    monday = week_start(business_date(datetime.fromisoformat(first)))
    over = datetime.fromisoformat(layout.newest) - DUE_AFTER
    missing = []
    while start_of_day(monday + WEEK) <= over:
        if monday not in issued:
            missing.append(monday)
        monday += WEEK
    return missing


def _follow_each_other(lines: Sequence[dict[str, Any]], report: Report) -> None:
    """Check that each period of a series begins where the one before ended."""
    periods: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for line in lines:
        periods[line["series"], line["mailbox"]].append((line["first_day"], line["last_day"]))
    for (series, mailbox), found in periods.items():
        days = sorted(set(found))
        for (_, last), (first, _) in pairwise(days):
            follows = date.fromisoformat(last) + timedelta(days=1) == date.fromisoformat(first)
            says = f"the one about days up to {last} is followed by the one about days from {first}"
            report.expect("bulletin.once", follows, "", f"{series} of {mailbox}", says)
