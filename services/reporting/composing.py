"""Composing a bulletin: everything that stands in a number, from cells and from the rows that are still open (R11.2, R11.3)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.reporting.distribution import Distribution
from services.reporting.domain import Row, apart
from services.reporting.figures import Counts, Figure, Side, cell_key
from services.reporting.issue_view import Comparison, IssueView, OpenLetter, Point, Series
from services.reporting.issues import TITLES, Run, before, curve_of, hot, name_of, period_id, ranked, year_before
from services.reporting.periods import Period
from services.reporting.reports import Reports
from services.reporting.repository import OPEN_BELOW, open_key
from services.reporting.summing import SINGLE
from services.reporting.views import HANDLING, Assignments, FiguresView
from shared.calendar.zone import business_date
from shared.contracts.reports import is_about_somebody
from shared.directory import UnknownEntry
from shared.storage import Aggregates, translated

LONGEST = 10
"""So many of the longest-open letters are shown."""
LOOK_BACK = timedelta(days=35)
"""Of a period that ended longer ago when its number is made up for, the list is left out: it would read all rows since."""
ROWS_AT_ONCE = 500
_CURVE = {Side.LETTERS: (Figure.RECEIVED, Figure.ANSWERED)}
_HANDLED = (Figure.ASSIGNED, Figure.ANSWERED_IN_TIME, Figure.ANSWERED_LATE)
_TIMES = frozenset({Figure.URGED, Figure.SENT_BACK, Figure.EXTENDED})


@dataclass(frozen=True, slots=True)
class Composing:
    """Makes numbers; keeps none."""

    reports: Reports
    rows: Aggregates[Row]
    distribution: Distribution

    async def compose(self, run: Run, period: Period, now: datetime) -> IssueView:
        """Return the number about a period as figures are now, without serial, corrections and hash: a preview."""
        directory = self.reports.directory
        series, mailbox = run.series, run.mailbox
        name = name_of(mailbox, directory)
        undertaken = series in (Series.MONTHLY, Series.QUARTERLY)
        known = now - period.ends_at <= LOOK_BACK
        figures = await self.reports.figures(mailbox, period)
        since = await self.reports.totals.cells.first_day(mailbox)
        earlier = await self._known(mailbox, before(series, period), since)
        last_year = await self._known(mailbox, year_before(series, period), since)
        main, copied = self.distribution.of(series, mailbox, name)
        in_charge = directory.get(mailbox).responsible_department if mailbox in directory else None
        return IssueView(
            id=run.id_of(period),
            series=series,
            title=TITLES[series],
            mailbox=mailbox,
            name=name,
            issuer=in_charge or name,
            period=period_id(series, period),
            first_day=period.first_day,
            last_day=period.last_day,
            year=period.last_day.year,
            figures=figures,
            before=earlier,
            year_before=last_year,
            comparisons=comparisons(figures, earlier, last_year, undertaken=undertaken),
            natures=figures.natures,
            hot_domains=hot(figures.domains, earlier.domains if earlier else None),
            hot_regions=hot(figures.regions, earlier.regions if earlier else None),
            ways=figures.dispositions,
            units=ranked(figures.assigned),
            longest_open=await self._longest_open(mailbox, period, now) if known else [],
            longest_open_known=known,
            curve=await self._curve(run, period, since, Side.UNDERTAKEN if undertaken else Side.ASSIGNED),
            corrections=[],
            main_recipients=main,
            copied_to=copied,
            definitions={figure.value: figure.meaning for figure in Figure},
            definitions_en={figure.value: figure.english for figure in Figure},
            undertaken=undertaken,
        )

    async def _known(self, mailbox: str, period: Period, since: date | None) -> FiguresView | None:
        """Return the figures of an earlier period; none: the mailbox had no figures yet."""
        return None if since is None or period.end_day <= since else await self.reports.figures(mailbox, period)

    async def _curve(self, run: Run, period: Period, since: date | None, side: Side) -> list[Point]:
        totals, points = self.reports.totals, []
        periods = [one for one in curve_of(run.series, period) if since is not None and one.end_day > since]
        cells = (
            await self._by_day(run.mailbox, periods, side) if run.series in (Series.WEEKLY, Series.MONTHLY) else None
        )
        for one in periods:
            counts = await totals.sum(run.mailbox, one) if cells is None else _within(cells, one)
            numbers = {figure: _all(counts, Side.LETTERS, figure) for figure in (Figure.RECEIVED, Figure.ANSWERED)}
            numbers |= {figure: _all(counts, side, figure) for figure in _HANDLED}
            points.append(
                Point(
                    period=period_id(run.series, one),
                    first_day=one.first_day,
                    **{figure.value: number for figure, number in numbers.items()},
                )
            )
        return points

    async def _by_day(self, mailbox: str, periods: list[Period], side: Side) -> dict[date, Counts]:
        """Read what a curve needs of all its days at once."""
        found: dict[date, Counts] = {}
        if periods:
            whole = Period(periods[0].first_day, periods[-1].end_day)
            wanted = [*_CURVE.items(), (side, _HANDLED)]
            fields = {f"counts.{where.value}.{figure.value}": 1 for where, figures in wanted for figure in figures}
            async for day, stored in self.reports.totals.cells.read(mailbox, whole, fields):
                self.reports.totals.cells.add(stored, day, found.setdefault(day, Counter()))
        return found

    # ── the letters that have waited longest ─────────────────────────────────────────────────────────────────────────

    async def _longest_open(self, mailbox: str, period: Period, now: datetime) -> list[OpenLetter]:
        """Return the letters that were open at the end of a period (or are now), the longest first.

        Those still open are found by their index. Those answered since are among the rows of the days since, which are none when a number
        is made on its day.
        """
        at = min(period.ends_at, now)
        found = dict(await self._open_now(mailbox, at))
        days = (business_date(now) - period.end_day).days + 1
        if days > 0:
            cells = [cell_key(mailbox, period.end_day + timedelta(days=number)) for number in range(days)]
            # The store leaves out what came later, roughly: moments are stored as text, of whatever zone.
            latest = f"{at + timedelta(hours=9):%Y-%m-%dT%H:%M:%S}"
            with translated():
                query = {"cells": {"$in": cells}, "state.registered_at": {"$lt": latest}}
                cursor = self.rows.collection.find(query, {"_id": 0, "state": 1})
                async for document in cursor.batch_size(ROWS_AT_ONCE):
                    row = self.rows.load(document["state"])
                    finished = row.finished_at
                    if finished is not None and finished >= at and row.registered_at and row.registered_at < at:
                        key = open_key(
                            row.model_copy(update={"answered_at": None, "discarded_at": None, "noted_at": None})
                        )
                        if key is not None and row.mailbox == mailbox:
                            found[key] = row
        return [self._open_letter(found[key], at) for key in sorted(found)[:LONGEST]]

    async def _open_now(self, mailbox: str, at: datetime) -> list[tuple[str, Row]]:
        end = f"{mailbox}|{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"
        query = {"open": {"$gt": f"{mailbox}|", "$lt": min(end, f"{mailbox}|{OPEN_BELOW}")}}
        with translated():
            cursor = (
                self.rows.collection.find(query, {"_id": 0, "open": 1, "state": 1}).sort([("open", 1)]).limit(LONGEST)
            )
            return [(d["open"], self.rows.load(d["state"])) for d in await cursor.to_list(LONGEST)]

    def _open_letter(self, row: Row, at: datetime) -> OpenLetter:
        directory, calendar = self.reports.directory, self.reports.totals.cells.calendar
        assert row.registered_at is not None
        assert not is_about_somebody(row)
        holder, handoff = apart(row, directory).held_by(at)
        due = handoff.rounds[-1].due_at if handoff is not None else None
        since = business_date(row.registered_at)
        try:
            domain = directory.domain(row.domain).label
        except UnknownEntry:
            domain = row.domain
        return OpenLetter(
            number=row.number,
            number_text=self._number_text(row),
            nature=row.nature,
            domain=domain,
            mailbox=holder,
            unit=name_of(directory.unit_code(holder), directory),
            since=since,
            working_days=max(0, calendar.working_days_between(since, business_date(at - timedelta(milliseconds=1)))),
            due_at=due,
            overdue=due is not None and due <= at,
        )

    def _number_text(self, row: Row) -> str:
        """Return the printed form of a letter's number by the prefix that its mailbox has today."""
        prefix, _, rest = row.number.partition("-")
        year, _, serial = rest.partition("-")
        for mailbox in self.reports.directory.mailboxes():
            if mailbox.prefix is not None and mailbox.prefix.ascii == prefix and serial:
                return f"{mailbox.prefix.chinese}〔{year}〕{serial}号"
        return row.number


def comparisons(
    now: FiguresView, earlier: FiguresView | None, last_year: FiguresView | None, *, undertaken: bool
) -> list[Comparison]:
    """Return each figure beside those of the period before and of the same one a year before.

    Of assignments all units together: those that the mailbox sent, or for `undertaken` those that it got.
    """
    three = (now, earlier, last_year)

    def line(figure: Figure, unit: str, numbers: Mapping[int, float | None], prefix: str = "") -> Comparison:
        return Comparison(
            figure=figure.value,
            label=prefix + figure.label,
            unit=unit,
            now=numbers[0],
            before=numbers[1],
            year_before=numbers[2],
        )

    def of(read: str, views: tuple[object | None, ...]) -> dict[int, float | None]:
        return {place: None if view is None else getattr(view, read) for place, view in enumerate(views)}

    handled: tuple[Assignments | None, ...] = tuple(
        None if view is None else view.undertaken if undertaken else view.assigned for view in three
    )
    totals = tuple(None if one is None else one.total for one in handled)
    prefix = "承办·" if undertaken else ""
    shares = {place: None if n is None else round(n * 100, 1) for place, n in of("timeliness", totals).items()}
    return [
        *(line(figure, "件", of(figure.value, three)) for figure in SINGLE),
        line(Figure.ANSWER_DAYS, "工作日", of("mean", tuple(v and v.answer_days for v in three))),
        *(line(figure, "次" if figure in _TIMES else "件", of(figure.value, totals), prefix) for figure in HANDLING),
        line(Figure.TIMELINESS, "%", shares, prefix),
        line(Figure.REPLY_DAYS, "工作日", of("mean", tuple(one and one.reply_days for one in handled)), prefix),
    ]


def _within(days: Mapping[date, Counts], period: Period) -> Counts:
    counts: Counts = Counter()
    for day, counted in days.items():
        if period.first_day <= day < period.end_day:
            counts.update(counted)
    return counts


def _all(counts: Counts, side: Side, figure: Figure) -> int:
    return sum(number for (where, what, _), number in counts.items() if (where, what) == (side, figure))
