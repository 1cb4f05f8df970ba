"""Writes what `sheet.py` describes, with openpyxl; loaded by whoever is asked for a spreadsheet."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from shared.calendar.zone import SHANGHAI, business_date
from shared.printing.sheet import Share, Sheet
from shared.printing.text import shown

_PER_CHARACTER: Final = 1.7
"""Millimetres of a column for one unit of width: about a digit."""


class _All:
    """A font that has every character: a spreadsheet uses the reader's own."""

    def __contains__(self, _: object) -> bool:
        return True


def written(sheets: Iterable[Sheet], at: datetime) -> bytes:
    """Return the file of `workbook_of`."""
    book = Workbook(write_only=True)
    book.properties.creator = ""
    for sheet in sheets:
        _fill(book.create_sheet(_name(sheet.name)), sheet)
    made = BytesIO()
    book.save(made)
    return _settled(made, at)


def _fill(sheet: Any, content: Sheet) -> None:
    sheet.freeze_panes = "A3"
    sheet.print_title_rows = "1:2"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.paperSize = Worksheet.PAPERSIZE_A4
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.auto_filter.ref = f"A2:{get_column_letter(len(content.columns))}2"
    for number, column in enumerate(content.columns, start=1):
        sheet.column_dimensions[get_column_letter(number)].width = max(6, column.width / _PER_CHARACTER)
    bold = Font(bold=True)
    head = Alignment(horizontal="center", vertical="center", wrap_text=True)
    sheet.append([_text(sheet, "　".join(content.about), bold)])
    sheet.append([_text(sheet, column.head, bold, head) for column in content.columns])
    rows = list(content.rows) if content.total else content.rows
    for number, row in enumerate(rows, start=1):
        cells = [
            _cell(sheet, value, last_day=column.deadline) for value, column in zip(row, content.columns, strict=True)
        ]
        if content.total and number == len(rows):  # type: ignore[arg-type]
            for cell in cells:
                cell.font = bold
        sheet.append(cells)


_FORBIDDEN: Final = re.compile(r"[\[\]:*?/\\]")


def _name(name: str) -> str:
    """Return what a sheet may be called: 31 characters, none that means something in a formula."""
    return _FORBIDDEN.sub("", name)[:31]


def _settled(made: BytesIO, at: datetime) -> bytes:
    """Return the file with one moment in place of the clock's, which openpyxl writes into it."""
    stamp = at.astimezone(UTC)
    told = f"{stamp:%Y-%m-%dT%H:%M:%SZ}".encode()
    settled = BytesIO()
    with ZipFile(made) as source, ZipFile(settled, "w", ZIP_DEFLATED) as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told, content)
            target.writestr(
                ZipInfo(entry.filename, (max(1980, stamp.year), *stamp.timetuple()[1:6])), content, ZIP_DEFLATED
            )
    return settled.getvalue()


def _cell(sheet: Any, value: Any, *, last_day: bool) -> Any:
    if isinstance(value, str):
        return _text(sheet, value)
    shown_as = None
    if isinstance(value, datetime) and last_day:
        value = business_date(value - timedelta(milliseconds=1))  # 24:00 of a day is 0:00 of the next
    if isinstance(value, datetime):
        value, shown_as = value.astimezone(SHANGHAI).replace(tzinfo=None), "yyyy-mm-dd hh:mm"
    elif isinstance(value, date):
        shown_as = "yyyy-mm-dd"
    elif isinstance(value, Share):
        value, shown_as = float(value), "0.0%"
    cell = WriteOnlyCell(sheet, value)
    if shown_as is not None:
        cell.number_format = shown_as
    return cell


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
