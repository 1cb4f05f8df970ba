"""Texts that spreadsheet programs, the layout program or logs would take for more than text, in everything that is exported."""

import csv
import io
import json
import logging
from datetime import UTC, date, datetime
from typing import Any

import pytest
from openpyxl import load_workbook

from services.publication.open_data import FIELDS, csv_line
from services.reporting.rendering import pdf
from services.reporting.statistics import Breakdown, ClassLine, Due, StatisticsView, UnitDue, UnitsDue, table
from shared.observability.logs import JsonFormatter
from shared.printing.registers import Column, Register, print_register
from shared.printing.sheet import workbook
from shared.text.tables import FORMULA, plain
from tests import bulletins
from tests.paper import bare, needs_fonts, press, text_of
from tests.unit.test_printing import CODE

AT = datetime(2026, 3, 2, 2, 12, tzinfo=UTC)
FORMULAS = tuple(f"{sign}cmd|'/c calc'!A1" for sign in FORMULA)


def test_one_list_says_for_every_table_how_formulas_begin() -> None:
    assert set("=+-@\t\r\n＝＋－＠") == set(FORMULA)
    assert [plain(text) for text in FORMULAS] == ["'" + text for text in FORMULAS]
    assert plain("路灯=坏了") == "路灯=坏了"


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_injection_no_cell_of_statistics_or_open_data_begins_like_one(text: str) -> None:
    assert csv_line({field.name: text for field in FIELDS} | {"attachments": []}).count("'" + text[0]) >= 5
    lines = Breakdown(lines=[ClassLine(code="d", label=text, received=7)], others=0)
    due = UnitsDue(
        lines=[UnitDue(code="u", label=text, answered_in_time=5, became_overdue=2)],
        others=Due(answered_in_time=0, became_overdue=0),
    )
    made: Any = StatisticsView.model_construct  # of the parts that the table is made of
    view = made(months=[], domains=lines, regions=lines, units=lines, units_due=due)
    found = [cell for row in csv.reader(io.StringIO(table(view), newline="")) for cell in row]
    assert found.count("'" + text) == 4
    assert not [cell for cell in found if cell.startswith(FORMULA)]


@pytest.mark.parametrize("text", FORMULAS)
def test_formula_injection_every_text_of_a_workbook_is_text(text: str) -> None:
    book = load_workbook(
        io.BytesIO(workbook(f"{text}[1]", [text], [Column(text, 20)], [[text], [date(2026, 3, 2)]], AT))
    )
    cells = [cell for row in book.worksheets[0].iter_rows() for cell in row if cell.value is not None]
    assert {cell.data_type for cell in cells} <= {"s", "d"}
    assert all(cell.number_format == "@" for cell in cells if cell.data_type == "s"), "also once somebody edits it"
    assert not set(book.sheetnames[0]) & set("[]:*?/\\")


@needs_fonts
@pytest.mark.parametrize("code", CODE)
def test_typst_injection_code_in_a_register_or_a_bulletin_is_printed_and_never_run(code: str) -> None:
    register = Register(code, code, (code, code), [Column(code, 60), Column("b", 60)], [[code, code]])
    assert text_of(print_register(press(), register, AT)).count(bare(code)) >= 5
    names = (code, *(f"单位{n}" for n in range(6)))
    made = bulletins.full().model_copy(update={"units": bulletins.units(names)})
    assert bare(code) in text_of(pdf(press(), made, ""))


LOG_LINES = (
    'x\n{"level":"error","message":"forged"}',
    "x\r\nERROR forged",
    "\x1b[2J\x1b[31mforged\x1b[0m",
    "x\u2028forged\u2029forged\x85forged",
    '","level":"critical","forged":"yes',
    "forged " + "9" * 18,
    "\x00forged",
    "%s %d %(levelname)s {0} forged",
)


@pytest.mark.parametrize("text", LOG_LINES)
def test_log_injection_a_record_stays_one_line_of_our_own_fields_whatever_is_put_into_it(text: str) -> None:
    formatter = JsonFormatter("intake")
    try:
        raise ValueError(text)  # noqa: TRY301 - as code does that quotes what it was given
    except ValueError as error:
        raised = (type(error), error, error.__traceback__)
    for record in (
        logging.LogRecord("a", logging.INFO, "p", 1, "path %s", (text,), None),
        logging.LogRecord("a", logging.INFO, "p", 1, "request", (), None),
        logging.LogRecord("a", logging.INFO, "p", 1, "failed", (), raised),
    ):
        record.route = record.method = text
        written = formatter.format(record)
        assert not set(written) & set("\r\n\x1b\x00\x85\u2028\u2029")
        line: dict[str, Any] = json.loads(written)
        assert line["level"] == "info"
        assert not [name for name in line if "forged" in name]
