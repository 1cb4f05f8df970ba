"""Spreadsheets: frozen heads, dates as dates, numbers as numbers, and text that never becomes a formula."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.printing.registers import Column

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Share(float):
    """A number from 0 to 1 that is shown as per cent."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet: `about` in the first row, the head in the second, then the rows.

    Values are texts, numbers, shares, days, aware times (shown in Asia/Shanghai, for spreadsheets know no zones; of a limit its last day,
    see `Column.deadline`) or None.
    """

    name: str
    about: Sequence[str]
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]
    total: bool = False
    """Whether the last row adds up the others."""


def workbook(
    name: str, about: Sequence[str], columns: Sequence[Column], rows: Iterable[Sequence[Any]], at: datetime
) -> bytes:
    """Return an XLSX file of one sheet; see `workbook_of`."""
    return workbook_of([Sheet(name, about, columns, rows)], at)


def workbook_of(sheets: Iterable[Sheet], at: datetime) -> bytes:
    """Return an XLSX file; `at` is when it was made, aware. The same sheets and time give the same bytes."""
    from shared.printing._xlsx import written  # noqa: PLC0415 - its library is an eighth of a service's start, and few ask for a file

    return written(sheets, at)
