"""The figures of the running week as gauges, for dashboards (R10.4): the same numbers as on the page, from the same cells."""

from dataclasses import dataclass

from services.reporting.periods import week_of
from services.reporting.reports import Reports
from services.reporting.summing import SINGLE
from services.reporting.views import HANDLING
from shared.calendar.clock import Clock
from shared.calendar.zone import business_date
from shared.observability import metrics


@dataclass(frozen=True, slots=True)
class RunningWeek:
    """Sets the gauges of the mayor's mailbox; of assignments, all units together."""

    reports: Reports
    clock: Clock

    async def measure(self) -> None:
        """Read the week's cells and set the gauges."""
        mayor = self.reports.directory.mayor.code
        figures = await self.reports.count(mailbox=mayor, period=week_of(business_date(self.clock.now())))
        handled = figures.all_assigned
        numbers = {figure.value: getattr(figures, figure.value) for figure in SINGLE}
        numbers |= {figure.value: getattr(handled, figure.value) for figure in HANDLING}
        for name, number in numbers.items():
            metrics.week_figure.labels("reporting", mayor, name).set(number)
