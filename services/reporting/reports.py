"""Reading figures: which cells make a period, a bulletin, a list of weeks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.reporting.figures import Figure, Side
from services.reporting.periods import Period, week_before, week_id, week_of
from services.reporting.summing import Figures, figures_of
from services.reporting.totals import Totals
from services.reporting.views import TITLE, Bulletin, FiguresView, Weeks, WeekView, changes, figures_view
from shared.calendar.zone import business_date, week_start
from shared.contracts.errors import NotFound
from shared.directory import Directory


@dataclass(frozen=True, slots=True)
class Reports:
    """Answers from the cells."""

    totals: Totals
    directory: Directory

    async def count(self, mailbox: str | None, period: Period) -> Figures:
        """Return the figures of a mailbox (none: the whole city) in a period."""
        history = await self.totals.before(mailbox, period.first_day)
        return figures_of(await self.totals.sum(mailbox, period), history)

    async def figures(self, mailbox: str | None, period: Period) -> FiguresView:
        """Return the same with names, and whether facts are being counted at this moment."""
        fresh = await self.totals.cells.fresh(mailbox, period.end_day)
        figures = await self.count(mailbox, period)
        return figures_view(figures, mailbox, period, self.directory, up_to_date=fresh)

    async def bulletin(self, week: Period, now: datetime) -> Bulletin:
        """Return the bulletin of a week (R11.2) as the figures are now, compared with the week before.

        Raises:
            NotFound: the week has not begun.
        """
        if week.starts_at > now:
            raise NotFound(
                "R11.2",
                f"这一周尚未开始，没有周报；本周是 {week_id(week_of(business_date(now)))} / "
                f"This week has not begun; the current one is {week_id(week_of(business_date(now)))}.",
            )
        mayor, last = self.directory.mayor.code, week_before(week)
        before_fresh = await self.totals.cells.fresh(mayor, last.end_day)
        fresh = before_fresh and await self.totals.cells.fresh(mayor, week.end_day)
        history = await self.totals.before(mayor, last.first_day)
        of_last = await self.totals.sum(mayor, last)
        before = figures_of(of_last, history)
        figures = figures_of(await self.totals.sum(mayor, week), history + of_last)
        return Bulletin(
            week=week_id(week),
            title=TITLE,
            ended=week.ends_at <= now,
            figures=figures_view(figures, mayor, week, self.directory, up_to_date=fresh),
            before=figures_view(before, mayor, last, self.directory, up_to_date=before_fresh),
            before_week=week_id(last),
            change=changes(figures, before),
        )

    async def weeks(self, limit: int, now: datetime) -> Weeks:
        """Return those of the last `limit` weeks of which the mayor's mailbox has figures, newest first."""
        today = business_date(now)
        since = week_start(today) - timedelta(weeks=limit - 1)
        received: dict[Period, int] = {}
        assigned: dict[Period, int] = {}
        for day, counts in (await self.totals.cells.by_day(self.directory.mayor.code, since)).items():
            week = week_of(day)
            if week.starts_at <= now:
                received[week] = received.get(week, 0) + counts[Side.LETTERS, Figure.RECEIVED, ""]
                sent = sum(
                    n for (side, what, _), n in counts.items() if (side, what) == (Side.ASSIGNED, Figure.ASSIGNED)
                )
                assigned[week] = assigned.get(week, 0) + sent
        return Weeks(
            items=[
                WeekView(
                    week=week_id(week),
                    first_day=week.first_day,
                    last_day=week.last_day,
                    ended=week.ends_at <= now,
                    received=received[week],
                    assigned=assigned[week],
                )
                for week in sorted(received, key=lambda week: week.first_day, reverse=True)
            ]
        )
