"""Reading figures: which cells make a period, a bulletin, a list of weeks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.reporting.figures import Figure, Side, figures_of
from services.reporting.periods import Period, week_before, week_id, week_of
from services.reporting.repository import Cells
from services.reporting.views import TITLE, Bulletin, FiguresView, Weeks, WeekView, changes, figures_view
from shared.calendar.zone import business_date, week_start
from shared.contracts.errors import NotFound
from shared.directory import Directory


@dataclass(frozen=True, slots=True)
class Reports:
    """Answers from the cells."""

    cells: Cells
    directory: Directory

    async def figures(self, mailbox: str | None, period: Period) -> FiguresView:
        """Return the figures of a mailbox (none: the whole city) in a period."""
        history = await self.cells.stock(mailbox, period.first_day)
        cells = await self.cells.sum(mailbox, period)
        figures = figures_of(cells.counts, history.counts)
        return figures_view(figures, mailbox, period, self.directory, up_to_date=history.fresh and cells.fresh)

    async def bulletin(self, week: Period, now: datetime) -> Bulletin:
        """Return the bulletin of a week (R11.2), compared with the week before.

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
        history = await self.cells.stock(mayor, last.first_day)
        of_last = await self.cells.sum(mayor, last)
        of_week = await self.cells.sum(mayor, week)
        before = figures_of(of_last.counts, history.counts)
        figures = figures_of(of_week.counts, history.counts + of_last.counts)
        before_fresh = history.fresh and of_last.fresh
        fresh = before_fresh and of_week.fresh
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
        for day, counts in (await self.cells.by_day(self.directory.mayor.code, since)).items():
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
