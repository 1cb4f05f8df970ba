"""The loop that issues bulletins: whatever is due and not issued, in order, once (R11.2, R11.3).

A number is made when its period is over and `BULLETIN_AFTER` has passed, once every fact that was on `letters` then is counted. It is
written with its content in one insert; who comes second finds it there. What was missed while nothing ran is made up for the same way, the
oldest first.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import monotonic

from services.reporting.composing import Composing
from services.reporting.issue_store import Issue, Issues, Last, Mark, Revisions
from services.reporting.issue_view import Correction, IssueView, Series
from services.reporting.issues import Run, corrections, due_at, parse_id, period_of, runs_of, runs_of_mailbox
from services.reporting.periods import Period
from shared.calendar.clock import Clock
from shared.calendar.zone import business_date
from shared.observability import metrics

log = logging.getLogger(__name__)

AT_ONCE = 20
"""So many numbers are made before other work of the process has its turn."""
OFFSETS_SECONDS = 5.0
Offsets = dict[int, int]
"""Partition → offset."""


@dataclass
class Counted:
    """Knows whether every fact that was on `letters` at some moment has been counted, by whichever replica.

    Replicas commit a batch once its rows and marks are written; so what is committed is counted as soon as no cell is dirty.
    """

    ends: Callable[[], Awaitable[Offsets]]
    """Where `letters` ends now."""
    committed: Callable[[], Awaitable[Offsets]]
    """How far all replicas together have committed."""
    _waits: tuple[datetime, Offsets] | None = None
    _through: datetime | None = None

    async def through(self, moment: datetime, now: datetime) -> bool:
        """Whether all that was on the topic at some time after `moment` is counted."""
        if self._through is not None and self._through > now:
            self._through = None  # the clock was set back
        if self._through is not None and self._through >= moment:
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(OFFSETS_SECONDS):
                if self._waits is None or not moment <= self._waits[0] <= now:
                    self._waits = (now, await self.ends())
                at, ends = self._waits
                done = await self.committed()
                if ends and all(done.get(partition, 0) >= end for partition, end in ends.items()):
                    self._through, self._waits = at, None
                    return True
        return False


@dataclass
class Issuing:
    """Issues numbers."""

    issues: Issues
    revisions: Revisions
    composing: Composing
    counted: Counted
    clock: Clock
    after: timedelta
    """How long after the end of its period a number is made."""
    again_seconds: float = 10.0
    """How long to wait before a mailbox that has no figures yet is looked at again."""
    service: str = "reporting"
    elapsed: Callable[[], float] = monotonic
    _next: dict[Run, tuple[Period, Last | None]] = field(default_factory=dict)
    """The next period of each series, and the number before, as they were last seen."""
    _look_again: dict[Run, float] = field(default_factory=dict)

    # ── what cells tell ──────────────────────────────────────────────────────────────────────────────────────────────

    async def will_change(self, keys: Sequence[str]) -> None:
        """Mark the periods that are over and hold one of these cells: a number of theirs may need a correction."""
        today, marked = business_date(self.clock.now()), set()
        for key in keys:
            mailbox, _, text = key.rpartition("|")
            for run in runs_of_mailbox(mailbox, self.composing.reports.directory):
                period = period_of(run.series, date.fromisoformat(text))
                if period.end_day <= today:
                    marked.add(run.id_of(period))
        await self.revisions.mark(marked)

    async def recounted(self, keys: Sequence[str]) -> None:
        """Nothing more."""

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def sweep(self) -> None:
        """Issue what is due, the oldest period of each series first; what cannot be made yet is looked at again."""
        made, now = 0, self.clock.now()
        for run in runs_of(self.composing.reports.directory):
            while made < AT_ONCE and await self._one(run, now):
                made += 1

    async def _one(self, run: Run, now: datetime) -> bool:
        """Issue the next number of a series; return whether there may be another one to be made at once."""
        upcoming = self._next.get(run) or await self._look(run)
        if upcoming is None or now < due_at(upcoming[0], self.after):
            return False
        if not await self.counted.through(due_at(upcoming[0], self.after), now):
            return False
        upcoming = await self._look(run)  # another replica may have made it, or a fact of an earlier day may have come
        if upcoming is None or now < due_at(upcoming[0], self.after):
            return False
        period, last = upcoming
        if not await self.composing.reports.totals.cells.fresh(run.mailbox, period.end_day):
            return False
        issue = await self._issue(run, period, last)
        self._next.pop(run, None)
        return issue is not None

    async def _look(self, run: Run) -> tuple[Period, Last | None] | None:
        """Return the next period of a series, which begins with the first one that has figures; none: there is none yet."""
        if self._look_again.get(run, 0.0) > self.elapsed():
            return None
        last = await self.issues.last(run)
        following: Period | None
        if last is not None:
            following = period_of(run.series, period_of(run.series, last.first_day).end_day)
        else:
            first = await self.composing.reports.totals.cells.first_day(run.mailbox)
            following = None if first is None else period_of(run.series, first)
        if following is None or self._is_closed_before(run.mailbox, following):
            self._next.pop(run, None)
            self._look_again[run] = self.elapsed() + self.again_seconds
            return None
        self._next[run] = (following, last)
        return following, last

    def _is_closed_before(self, mailbox: str, period: Period) -> bool:
        """Whether a mailbox was closed before a period began: its series ends with the period in which that happened (R1.1)."""
        closed = self.composing.reports.directory.get(mailbox).closed
        return closed is not None and closed.at < period.starts_at

    async def _issue(self, run: Run, period: Period, last: Last | None) -> Issue | None:
        now = self.clock.now()
        marks = [mark for mark in await self.revisions.of(run) if mark.first_day <= period.first_day]
        view = await self.composing.compose(run, period, now)
        year = view.year
        view = view.model_copy(
            update={
                "serial": last.serial + 1 if last is not None and last.year == year else 1,
                "total_serial": last.total + 1 if last is not None else 1,
                "issued_at": now,
                "corrections": await self._corrections(run, period, marks),
            }
        )
        if not view.figures.up_to_date:
            return None
        issue = await self.issues.issue(view)
        if issue is None:
            return None
        await self.revisions.clear(marks)
        metrics.bulletins_issued_total.labels(self.service, run.series.value).inc()
        log.info(
            "a bulletin was issued",
            extra={"kind": run.series.value, "mailbox": run.mailbox, "serial": view.serial, "total": view.total_serial},
        )
        return issue

    async def _corrections(self, run: Run, period: Period, marks: Sequence[Mark]) -> list[Correction]:
        """Return what late facts changed in earlier numbers of the series: from the first marked period on, since what is open at the
        end of a period hangs on those before.
        """
        earlier = [mark.first_day for mark in marks if mark.first_day < period.first_day]
        found: list[Correction] = []
        for one in await self.issues.since(run, min(earlier)) if earlier else ():
            issue = await self.issues.get(one)
            assert issue is not None
            figures = await self.composing.reports.figures(run.mailbox, parse_id(one)[1])
            found += corrections(issue.view, await self.issues.corrections_to(one), figures)
        return found

    # ── figures about it ─────────────────────────────────────────────────────────────────────────────────────────────

    async def measure(self) -> None:
        """Set the gauge of how long the oldest missing number has been due."""
        now, longest = self.clock.now(), 0.0
        for run, seen in list(self._next.items()):
            if now >= due_at(seen[0], self.after) and (
                upcoming := await self._look(run)
            ):  # another replica may have made it
                longest = max(longest, (now - due_at(upcoming[0], self.after)).total_seconds())
        metrics.bulletin_missing_seconds.labels(self.service).set(longest)

    async def preview(self, series: Series, mailbox: str, period: Period) -> IssueView:
        """Return the number about a period as it would be now, marked as not issued: without serial, moment and hash."""
        return await self.composing.compose(Run(series, mailbox), period, self.clock.now())
