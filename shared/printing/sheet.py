"""Spreadsheets: one sheet, a frozen head, dates as dates, and text that never becomes a formula."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from shared.calendar.zone import SHANGHAI
from shared.printing.registers import Column
from shared.printing.text import shown

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PER_CHARACTER: Final = 1.7
"""Millimetres of a column for one unit of width: about a digit."""


class _All:
    """A font that has every character: a spreadsheet uses the reader's own."""

    def __contains__(self, _: object) -> bool:
        return True


def workbook(
    name: str, about: Sequence[str], columns: Sequence[Column], rows: Iterable[Sequence[Any]], at: datetime
) -> bytes:
    """Return an XLSX file whose sheet `name` has `about` in the first row, the head in the second, then the rows.

    Cells are texts, numbers, aware times (shown in Asia/Shanghai, for spreadsheets know no zones) or None. `at` is when it was made, aware.
    """
    book = Workbook(write_only=True)
    book.properties.creator = ""
    book.properties.created = book.properties.modified = at.astimezone(SHANGHAI).replace(tzinfo=None)
    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A3"
    sheet.print_title_rows = "1:2"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.auto_filter.ref = f"A2:{get_column_letter(len(columns))}2"
    for number, column in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = max(6, column.width / _PER_CHARACTER)
    bold = Font(bold=True)
    head = Alignment(horizontal="center", vertical="center", wrap_text=True)
    sheet.append([_text(sheet, "　".join(about), bold)])
    sheet.append([_text(sheet, column.head, bold, head) for column in columns])
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    made = BytesIO()
    book.save(made)
    return made.getvalue()


def _cell(sheet: Any, value: Any) -> Any:
    if isinstance(value, str):
        return _text(sheet, value)
    if isinstance(value, datetime):
        cell = WriteOnlyCell(sheet, value.astimezone(SHANGHAI).replace(tzinfo=None))
        cell.number_format = "yyyy-mm-dd hh:mm"
        return cell
    return value


def _text(sheet: Any, value: str, font: Font | None = None, alignment: Alignment | None = None) -> Any:
    """Return a cell that is text whatever it begins with, also once somebody edits it; control characters are shown."""
    cell = WriteOnlyCell(sheet, shown(value, _All()))
    cell.data_type = "s"
    cell.number_format = "@"
    if font is not None:
        cell.font = font
    if alignment is not None:
        cell.alignment = alignment
    return cell
