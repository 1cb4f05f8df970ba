"""A plain recount of the demonstration's own doings, as the weekly bulletin must show them (R10.4, R11.2)."""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from html.parser import HTMLParser
from typing import Any

from deploy.demo.stage import Doing, Story, Written
from shared.calendar.zone import business_date, end_of_day

SINGLE = {
    "收到来信": "received",
    "未按时阅看": "read_late",
    "登记": "registered",
    "不予受理": "discarded",
    "掌握": "noted",
    "答复来信人": "answered",
    "公示": "published",
    "不予公示": "withheld",
}
"""Name on the page → field."""
HANDLING = {
    "交办": "assigned",
    "签收": "collected",
    "按时回复": "answered_in_time",
    "逾期回复": "answered_late",
    "新增逾期": "became_overdue",
    "催办次数": "urged",
    "期末逾期未复": "overdue",
}
_BREAKDOWNS = ("natures", "domains", "regions", "discard_reasons")


def recount(story: Story, mailbox: str | None, first: date, end: date, last_day: date) -> dict[str, Any]:
    """Count what was done from `first` up to `end` (not counted), for one mailbox or the whole city (None).

    `last_day` is the last day in time of every assignment of the demonstration.
    """
    letters = {letter.letter_id: letter for letter in story.letters.values()}
    ours = [one for one in story.doings if mailbox in (None, one.mailbox)]
    found = [one for one in ours if first <= business_date(one.at) < end]
    received = [letters[one.letter_id] for one in found if one.kind == "received"]
    kinds = Counter(one.kind for one in found)
    reasons = Counter(one.kind.split()[1] for one in found if one.kind.startswith("discarded"))
    return {
        **{name: kinds[name.replace("_", " ")] for name in SINGLE.values() if name != "discarded"},
        "discarded": sum(reasons.values()),
        "discard_reasons": dict(reasons),
        "natures": _by(received, "nature"),
        "domains": _by(received, "domain"),
        "regions": _by(received, "region"),
        "assigned": _handling(ours, first, end, last_day),
    }


def _by(letters: list[Written], field: str) -> dict[str, int]:
    return dict(Counter(letter.classification[field] for letter in letters))


def _handling(doings: list[Doing], first: date, end: date, last_day: date) -> dict[str, dict[str, int]]:
    limit = end_of_day(last_day)
    units: dict[str, Counter[str]] = {}

    def count(doing: Doing, what: str) -> None:
        units.setdefault(doing.unit, Counter())[what] += 1

    def within(moment: datetime) -> bool:
        return first <= business_date(moment) < end

    replied = {(one.letter_id, one.unit): one.at for one in doings if one.kind == "replied"}
    for one in doings:
        if one.kind in ("assigned", "collected", "urged") and within(one.at):
            count(one, one.kind)
        if one.kind == "replied" and within(one.at):
            count(one, "answered_in_time" if one.at < limit else "answered_late")
        if one.kind == "assigned":
            answered = replied.get((one.letter_id, one.unit))
            if answered is None or answered >= limit:
                if first <= last_day < end:
                    count(one, "became_overdue")
                if last_day < end and (answered is None or business_date(answered) >= end):
                    count(one, "overdue")
    return {unit: {name: counts[name] for name in HANDLING.values()} for unit, counts in sorted(units.items())}


def shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that reporting's JSON gives, in the shape of `recount`."""
    return {
        **{name: figures[name] for name in SINGLE.values()},
        **{name: {part["code"]: part["count"] for part in figures[name] if part["count"]} for name in _BREAKDOWNS},
        "assigned": {
            unit["mailbox"]: {name: unit[name] for name in HANDLING.values()}
            for unit in sorted(figures["assigned"]["units"], key=lambda unit: str(unit["mailbox"]))
            if any(unit[name] for name in HANDLING.values())
        },
    }


def difference(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs: name → (wanted, seen); breakdowns entry by entry."""
    differing: dict[str, tuple[Any, Any]] = {}
    for name in wanted.keys() | seen.keys():
        one, other = wanted.get(name), seen.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            differing |= {f"{name}.{key}": pair for key, pair in difference(one, other).items()}
        elif one != other:
            differing[name] = (one, other)
    return differing


class _Rows(HTMLParser):
    """Collects the rows of all tables as lists of their cells' texts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data.strip()


def on_page(html: str, names: Mapping[str, str]) -> dict[str, Any]:
    """Return what the bulletin's page shows: the single figures of the week, and each unit's row.

    `names` is name of a mailbox → its code.
    """
    parser = _Rows()
    parser.feed(html)
    single = {SINGLE[row[0]]: int(row[1]) for row in parser.rows if len(row) == 4 and row[0] in SINGLE}
    header = next((row for row in parser.rows if row and row[0] == "承办单位"), [])
    columns = [HANDLING.get(name, "") for name in header[1:]]
    units = {
        names[row[0]]: {name: int(number) for name, number in zip(columns, row[1:], strict=True) if name}
        for row in parser.rows
        if columns and len(row) == len(header) and row[0] in names
    }
    return {**single, "assigned": {unit: numbers for unit, numbers in units.items() if any(numbers.values())}}
