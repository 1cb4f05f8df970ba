"""Deciding on bulletins: which periods a series has, when one is due, who comes first, what a late fact corrects (R11.2, R11.3).

Pure: reading figures and keeping numbers is `issuing.py` and `issue_store.py`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from services.reporting.figures import BY_CODE, Figure
from services.reporting.issue_view import Correction, Hot, IssueView, Series, UnitLine
from services.reporting.periods import FIRST_YEAR, LAST_YEAR, Period, month, parse_week, quarter, week_id, week_of, year
from services.reporting.summing import SINGLE
from services.reporting.views import HANDLING, Assignments, FiguresView, Part, UnitView
from shared.contracts.errors import NotFound, RuleBroken
from shared.directory import Directory, UnknownMailbox
from shared.directory.models import MailboxKind

TITLES: Final[Mapping[Series, str]] = {
    Series.WEEKLY: "市长信箱工作周报",
    Series.MONTHLY: "信箱工作月报",
    Series.QUARTERLY: "信箱工作季报",
    Series.YEARLY: "市长信箱工作年报",
}
CURVE: Final[Mapping[Series, int]] = {Series.WEEKLY: 13, Series.MONTHLY: 13, Series.QUARTERLY: 9, Series.YEARLY: 5}
"""How many periods a curve shows, this one included."""
HOT = 10
"""So many domains and regions are called hot."""


# ── periods ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Run:
    """One series of one mailbox: its numbers follow each other without a gap."""

    series: Series
    mailbox: str

    def id_of(self, period: Period) -> str:
        """Return the id of the number about a period."""
        return f"{self.series.value}-{self.mailbox}-{period_id(self.series, period)}"


def runs_of(directory: Directory) -> list[Run]:
    """Return what is issued: of the mayor's mailbox weekly and yearly (R11.2), of each unit monthly and quarterly (R11.3)."""
    return [run for mailbox in directory.mailboxes() for run in runs_of_mailbox(mailbox.code, directory)]


def runs_of_mailbox(code: str, directory: Directory) -> list[Run]:
    """Return the series in which a mailbox's figures stand; a department has none of its own."""
    if code not in directory or directory.get(code).kind is MailboxKind.DEPARTMENT:
        return []
    mayor = directory.get(code).kind is MailboxKind.MAYOR
    return [Run(s, code) for s in ((Series.WEEKLY, Series.YEARLY) if mayor else (Series.MONTHLY, Series.QUARTERLY))]


def period_of(series: Series, day: date) -> Period:
    """Return the period of a series that a day belongs to."""
    match series:
        case Series.WEEKLY:
            return week_of(day)
        case Series.MONTHLY:
            return month(day)
        case Series.QUARTERLY:
            return quarter(day)
        case Series.YEARLY:
            return year(day.year)


def before(series: Series, period: Period) -> Period:
    """Return the period before a period."""
    return period_of(series, period.first_day - timedelta(days=1))


def year_before(series: Series, period: Period) -> Period:
    """Return the same period a year before.

    Of a week the one with the same ISO number; week 53 is compared with the last week of a year that has only 52.
    """
    first = period.first_day
    if series is not Series.WEEKLY:
        return period_of(series, date(first.year - 1, first.month, 1))
    iso_year, number, _ = first.isocalendar()
    last = date(iso_year - 1, 12, 28).isocalendar().week  # 28 December always lies in the year's last week
    return week_of(date.fromisocalendar(iso_year - 1, min(number, last), 1))


def curve_of(series: Series, period: Period) -> list[Period]:
    """Return the periods of a curve, the oldest first."""
    periods = [period]
    while len(periods) < CURVE[series]:
        periods.append(before(series, periods[-1]))
    return periods[::-1]


def period_id(series: Series, period: Period) -> str:
    """Return a period's name: `2026-W07`, `2026-02`, `2026-Q1` or `2026`."""
    first = period.first_day
    match series:
        case Series.WEEKLY:
            return week_id(period)
        case Series.MONTHLY:
            return f"{first:%Y-%m}"
        case Series.QUARTERLY:
            return f"{first:%Y}-Q{(first.month + 2) // 3}"
        case Series.YEARLY:
            return f"{first:%Y}"


def parse_id(id: str) -> tuple[Run, Period]:
    """Return the series, mailbox and period that an id such as `monthly-yuzhong-2026-02` names.

    Raises:
        NotFound: it names none (R11.2).
    """
    with suppress(ValueError, KeyError, RuleBroken):
        name, _, rest = id.partition("-")
        series = {one.value: one for one in Series}[name]
        parts = rest.rsplit("-", 1 if series is Series.YEARLY else 2)
        mailbox, text = parts[0], "-".join(parts[1:])
        period = (
            parse_week(text)
            if series is Series.WEEKLY
            else period_of(series, date(int(text[:4]), _month_of(series, text), 1))
        )
        in_reach = FIRST_YEAR <= period.last_day.year < LAST_YEAR
        if mailbox and in_reach and Run(series, mailbox).id_of(period) == id:
            return Run(series, mailbox), period
    raise NotFound(
        "R11.2",
        f"没有编号为 {id[:80]} 的期号；形如 weekly-mayor-2026-W07、monthly-yuzhong-2026-02、quarterly-yuzhong-2026-Q1、yearly-mayor-2026 / "
        "There is no such number; ids look like these examples.",
    )


def _month_of(series: Series, text: str) -> int:
    if series is Series.MONTHLY:
        return int(text[5:])
    return int(text[6:]) * 3 if series is Series.QUARTERLY else 1


def due_at(period: Period, after: timedelta) -> datetime:
    """Return when the number about a period is to be issued: so long after the period's end, when its last facts are in."""
    return period.ends_at + after


# ── what stands in it ────────────────────────────────────────────────────────────────────────────────────────────────


def ranked(handled: Assignments) -> list[UnitLine]:
    """Return units in order of timeliness (`Figure.TIMELINESS`).

    Equal shares share a rank, and the next one counts them all (1, 1, 3); among them the one that answered more comes first, then the
    directory's order. Units where nothing fell due come last, without a rank.
    """
    place = {unit.mailbox: position for position, unit in enumerate(handled.units)}
    due = [unit for unit in handled.units if unit.answered_in_time + unit.became_overdue]
    due.sort(key=lambda unit: (-_share(unit), -unit.answered_in_time, place[unit.mailbox]))
    lines: list[UnitLine] = []
    for position, unit in enumerate(due, start=1):
        same = lines and _share(due[position - 2]) == _share(unit)
        lines.append(_line(unit, lines[-1].rank if same else position))
    return lines + [_line(unit, None) for unit in handled.units if unit not in due]


def _share(unit: UnitView) -> float:
    # Equal fractions of whole numbers are equal as floats: the division is rounded correctly.
    return unit.answered_in_time / (unit.answered_in_time + unit.became_overdue)


def _line(unit: UnitView, rank: int | None) -> UnitLine:
    fields = UnitLine.model_fields.keys() & UnitView.model_fields.keys()
    return UnitLine(rank=rank, **{name: getattr(unit, name) for name in fields})


def hot(now: Sequence[Part], earlier: Sequence[Part] | None) -> list[Hot]:
    """Return what most letters were about; of equally many the one that grew more comes first."""
    counted = {part.code: part.count for part in earlier or ()}

    def beside(part: Part) -> int | None:
        return None if earlier is None else counted.get(part.code, 0)

    found = sorted(now, key=lambda part: (-part.count, (beside(part) or 0) - part.count, part.code))
    return [Hot(**part.model_dump(), before=beside(part)) for part in found[:HOT] if part.count]


# ── corrections ──────────────────────────────────────────────────────────────────────────────────────────────────────

Key = tuple[str, str | None]
"""Code of a figure (of assignments that the mailbox got with `undertaken/` before it), and of what it is broken down by."""


def flat(figures: FiguresView) -> dict[Key, int]:
    """Return every figure of a period that can be corrected; what is zero is left out."""
    found: dict[Key, int] = {(figure.value, None): getattr(figures, figure.value) for figure in SINGLE}
    for figure, parts in _breakdowns(figures):
        found |= {(figure.value, part.code): part.count for part in parts}
    for side, handled in (("", figures.assigned), ("undertaken/", figures.undertaken)):
        for figure in HANDLING:
            found[side + figure.value, None] = getattr(handled.total, figure.value)
            found |= {(side + figure.value, unit.mailbox): getattr(unit, figure.value) for unit in handled.units}
    return {key: number for key, number in found.items() if number}


def _breakdowns(figures: FiguresView) -> Iterable[tuple[Figure, Sequence[Part]]]:
    return (
        (Figure.NATURE, figures.natures),
        (Figure.DOMAIN, figures.domains),
        (Figure.REGION, figures.regions),
        (Figure.DISCARDED, figures.discard_reasons),
        (Figure.DISPOSED, figures.dispositions),
    )


def _names(figures: FiguresView) -> dict[Key, str]:
    names: dict[Key, str] = {}
    for figure, parts in _breakdowns(figures):
        names |= {(figure.value, part.code): part.label for part in parts}
    for side, handled in (("", figures.assigned), ("undertaken/", figures.undertaken)):
        names |= {(side + figure.value, unit.mailbox): unit.name for figure in HANDLING for unit in handled.units}
    return names


def corrections(issued: IssueView, later: Iterable[Correction], now: FiguresView) -> list[Correction]:
    """Return what must be corrected in an issued number: where the figures of its period are not what was last said of them.

    Args:
        issued: the number.
        later: the corrections to it in later numbers, in their order; what they said is not said again.
        now: the figures of its period as they are today.
    """
    known = flat(issued.figures)
    for correction in later:
        known[correction.figure, correction.of_code] = correction.now
    today = flat(now)
    names = _names(issued.figures) | _names(now)
    order = {figure.value: position for position, figure in enumerate(Figure)}
    found = []
    for figure, code in sorted(
        known.keys() | today.keys(),
        key=lambda key: (key[0].rpartition("/")[0], order[key[0].rpartition("/")[2]], key[1] or ""),
    ):
        was, is_now = known.get((figure, code), 0), today.get((figure, code), 0)
        if was == is_now:
            continue
        side, _, plain = figure.rpartition("/")
        found.append(
            Correction(
                issue=issued.id,
                number_text=issued.number_text,
                figure=figure,
                label=("承办·" if side else "") + BY_CODE[plain].label,
                of=None if code is None else names.get((figure, code), code),
                of_code=code,
                was=was,
                now=is_now,
            )
        )
    return found


# ── freezing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def canonical(content: Mapping[str, Any]) -> str:
    """Return JSON that is the same for the same content: keys in order, no spaces, characters as themselves (UTF-8)."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def frozen(issue: IssueView) -> tuple[str, str]:
    """Return a number's canonical JSON without its hash, and the hash: SHA-256 of that text in UTF-8, hex."""
    text = canonical(issue.model_dump(mode="json", exclude={"hash"}))
    return text, digest(text)


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, hex."""
    return sha256(text.encode()).hexdigest()


def name_of(code: str, directory: Directory) -> str:
    """Return a mailbox's name; a code that the directory no longer has stands for itself."""
    try:
        return directory.get(code).name
    except UnknownMailbox:
        return code
