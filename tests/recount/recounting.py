"""The independent recount: facts written as JSON lines, counted by DuckDB with `recount.sql`, and compared with reporting's figures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import TypeAlias

import duckdb
from chinese_calendar import is_workday

from services.reporting.domain import ON, Row, apart
from services.reporting.figures import Counts, Figure, count, tallies
from services.reporting.periods import Period
from services.reporting.repository import Cells, dump_counts
from services.reporting.summing import stocks
from shared.contracts.facts import Fact
from shared.directory import Directory
from shared.storage import Store
from tests.recount.lives import DAYS, FIRST, HORIZON

SQL = Path(__file__).with_name("recount.sql")
COLUMNS = {
    "n": "BIGINT",
    "fact": "VARCHAR",
    "letter_id": "VARCHAR",
    "at": "TIMESTAMPTZ",
    "mailbox": "VARCHAR",
    "classification": "STRUCT(nature VARCHAR, domain VARCHAR, region VARCHAR, reported_mailbox VARCHAR, reported_people VARCHAR[])",
    "after": "STRUCT(nature VARCHAR, domain VARCHAR, region VARCHAR, reported_mailbox VARCHAR, reported_people VARCHAR[])",
    "reason": "VARCHAR",
    "handoff_id": "VARCHAR",
    "sender": "VARCHAR",
    "receiver": "VARCHAR",
    "way": "VARCHAR",
    "due_at": "TIMESTAMPTZ",
    "outcome": "VARCHAR",
}
"""What the recount reads of the facts."""
Numbers: TypeAlias = "Counter[tuple[str, str, str, str]]"
"""(mailbox, side, figure, key) → how many."""
KNOWN = frozenset(figure.value for figure in Figure)
SHARES = frozenset({Figure.TIMELINESS})
"""Divisions of figures, which are compared where they are served."""
CITY = "*"
"""Stands for all mailboxes together."""


def export(letters: Iterable[Sequence[Fact]], file: Path) -> None:
    """Write every fact as one line of JSON, with its kind and its place in its letter's story."""
    with file.open("w", encoding="utf-8") as lines:
        for facts in letters:
            for n, fact in enumerate(facts):
                body = fact.model_dump_json(exclude_none=True)
                lines.write(f'{{"n":{n},"fact":"{type(fact).__name__}",{body[1:]}\n')


def recounted(file: Path, periods: Sequence[Period], directory: Directory) -> duckdb.DuckDBPyConnection:
    """Return a database in which `recount.sql` has counted what is in the file: tables `counted` and `events`."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())
    lines = f"read_json('{file}', format='newline_delimited', columns={{{columns}}})"
    database.execute(f'CREATE TABLE facts AS SELECT * RENAME ("at" AS moment) FROM {lines}')
    database.execute("CREATE TABLE directory (code VARCHAR, unit VARCHAR, above VARCHAR)")
    codes = [one.code for one in directory.mailboxes()]
    database.executemany(
        "INSERT INTO directory VALUES (?, ?, ?)",
        [(code, directory.unit_of(code).code, directory.unit_of(code).parent) for code in codes],
    )
    database.execute("CREATE TABLE people (subject VARCHAR, mailbox VARCHAR)")
    people = [
        (person.subject, one.code)
        for one in directory.mailboxes()
        for person in (*one.staff, *((one.leader,) if one.leader else ()))
    ]
    database.executemany("INSERT INTO people VALUES (?, ?)", people)
    database.execute("CREATE TABLE working (day DATE)")
    days = [FIRST.date() + timedelta(days=n) for n in range((HORIZON - FIRST).days)]
    database.executemany("INSERT INTO working VALUES (?)", [(day,) for day in days if is_workday(day)])
    database.execute("CREATE TABLE periods (id INTEGER, starts TIMESTAMPTZ, ends TIMESTAMPTZ)")
    # Days begin at 00:00 in Chongqing, which is UTC+8 the whole year.
    spans = [(n, f"{one.first_day}T00:00:00+08", f"{one.end_day}T00:00:00+08") for n, one in enumerate(periods)]
    database.executemany("INSERT INTO periods VALUES (?, ?, ?)", spans)
    database.execute("CREATE TABLE today (moment TIMESTAMPTZ)")
    database.execute("INSERT INTO today VALUES (?)", [HORIZON])
    database.execute(SQL.read_text(encoding="utf-8"))
    return database


def random_periods(seed: int, number: int) -> list[Period]:
    """Return days, weeks, months, quarters, years and odd spans, by turns."""
    random, found = Random(seed), list[Period]()
    while len(found) < number:
        day = FIRST.date() + timedelta(days=random.randrange(-5, DAYS + 60))
        month = day.replace(day=1)
        quarter = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
        monday = day - timedelta(days=day.weekday())
        spans = (
            (day, day + timedelta(days=1)),
            (monday, monday + timedelta(days=7)),
            (month, _months(month, 1)),
            (quarter, _months(quarter, 3)),
            (date(day.year, 1, 1), date(day.year + 1, 1, 1)),
            (day, day + timedelta(days=random.randrange(2, 200))),
        )
        first, end = spans[len(found) % len(spans)]
        found.append(Period(first, min(end, HORIZON.date())))
    return found


def _months(day: date, number: int) -> date:
    month = day.month - 1 + number
    return date(day.year + month // 12, month % 12 + 1, 1)


class Counted:
    """Reporting's own figures over many rows, its cells held in memory."""

    def __init__(self, letters: Iterable[Sequence[Fact]], directory: Directory) -> None:
        rows = [apart(row, directory) for facts in letters if (row := row_of(facts)) is not None]
        cells: dict[str, Counts] = {tally.cell: Counter() for row in rows for tally in tallies(row)}
        count(rows, cells)
        added = Cells(Store("mongodb://unused"), directory)
        self._days: dict[str, dict[date, Counts]] = defaultdict(dict)
        for key, counts in cells.items():
            mailbox, _, day = key.rpartition("|")
            content: Counts = Counter()
            added.add(dump_counts(counts), date.fromisoformat(day), content)
            self._days[mailbox][date.fromisoformat(day)] = content

    def numbers(self, period: Period) -> Numbers:
        """Return the figures of a period, for each mailbox and for all together."""
        found: Numbers = Counter()
        for mailbox, days in self._days.items():
            inside: Counts = Counter()
            before: Counts = Counter()
            for day, counts in days.items():
                if day < period.first_day:
                    before.update(counts)
                elif day < period.end_day:
                    inside.update(counts)
            _put(found, mailbox, inside, before)
        return +found


def _put(found: Numbers, mailbox: str, inside: Counts, before: Counts) -> None:
    for (side, figure, key), number in (inside + stocks(before + inside)).items():
        for where in (mailbox, CITY):
            found[where, side.value, figure.value, key] += number


def row_of(facts: Sequence[Fact]) -> Row | None:
    """Return the row that a letter's facts make."""
    row: Row | None = None
    for fact in facts:
        if type(fact) in ON:
            row = ON[type(fact)](row, fact)
    return row


def recount_of(database: duckdb.DuckDBPyConnection, period: int) -> Numbers:
    """Return what the recount found in a period, of those figures that reporting has."""
    found: Numbers = Counter()
    rows = database.execute("SELECT mailbox, side, figure, key, number FROM counted WHERE period = ?", [period])
    for mailbox, side, figure, key, number in rows.fetchall():
        if figure in KNOWN:
            found[mailbox, side, figure, key] += number
            found[CITY, side, figure, key] += number
    return found


def differences(ours: Numbers, theirs: Numbers, period: Period, database: duckdb.DuckDBPyConnection) -> list[str]:
    """Return in words every number that is not the same, with some letters that the recount counted there."""
    return [
        f"{figure} {key or '(all)'}, side {side}, of {mailbox} from {period.first_day} up to {period.end_day}: "
        f"reporting {ours[mailbox, side, figure, key]}, recount {theirs[mailbox, side, figure, key]}; "
        f"letters of the recount: {', '.join(_letters(database, period, mailbox, side, figure, key)) or 'none'}"
        for mailbox, side, figure, key in sorted({*ours, *theirs})
        if ours[mailbox, side, figure, key] != theirs[mailbox, side, figure, key]
    ]


def _letters(database: duckdb.DuckDBPyConnection, period: Period, *place: str) -> list[str]:
    mailbox, *rest = place
    found = database.execute(
        """SELECT DISTINCT letter_id FROM events WHERE (mailbox = ? OR ? = '*') AND side = ? AND figure = ? AND key = ?
           AND coalesce(moment, until) >= ? AND coalesce(moment, until) <= ? ORDER BY 1 LIMIT 5""",
        [mailbox, mailbox, *rest, period.starts_at, period.ends_at],
    )
    return [str(letter) for (letter,) in found.fetchall()]
