"""Registers on paper: a wide table over any number of pages, laid out in parts so that memory follows a part and not the whole."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import typst

from shared.printing.press import TEMPLATES, Press, Type, to_standard

PART: Final = 100
"""Rows that are laid out together. A part costs about 0.2 MB of memory for each row while it is made."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a register."""

    head: str
    width: float
    """Millimetres; a landscape A4 page has 273 between its margins."""
    centred: bool = False
    deadline: bool = False
    """Whether its times are limits, which end with the last day (R6.1): a spreadsheet shows that day."""


@dataclass(frozen=True, slots=True)
class Register:
    """What is said above the table, and the table."""

    title: str
    name: str
    """Which of the regulation's forms, e.g. 附表9."""
    about: tuple[str, str]
    """Left and right, under the title."""
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def data(self, rows: Sequence[Sequence[str]], *, first: bool = True, numbered: bool = True) -> dict[str, Any]:
        """Return some of its rows as the template takes them."""
        columns = [{"head": one.head, "width": one.width, "centred": one.centred} for one in self.columns]
        whole = {"title": self.title, "name": self.name, "about": self.about, "columns": columns, "rows": rows}
        return {**whole, "first": first, "numbered": numbered}


def print_register(press: Press, register: Register, at: datetime) -> bytes:
    """Return the register as a PDF, landscape A4; the same rows and time `at` (aware) give the same bytes. Takes a millisecond a row.

    One of few rows keeps to the standards of forms; a longer one is put together from parts and has the same looks, no tags.

    Raises:
        CannotPrint: there are no fonts.
    """
    fonts = press.type()
    if len(register.rows) <= PART:
        return to_standard(fonts.compiler("register"), fonts.inputs(register.data(register.rows)), at)
    with TemporaryDirectory(prefix="xinxiang-register-") as folder:
        return _joined(fonts, register, Path(folder), at)


def _joined(fonts: Type, register: Register, folder: Path, at: datetime) -> bytes:
    files: list[str] = []
    pages: list[int] = []
    for part, count in _parts(fonts, register, at):
        files.append(f"part{len(files)}.pdf")
        pages.append(count)
        (folder / files[-1]).write_bytes(part)
    for template in ("join.typ", "common.typ"):
        shutil.copyfile(TEMPLATES / template, folder / template)
    compiler = typst.Compiler(str(folder / "join.typ"), root=str(folder), font_paths=fonts.fonts)
    inputs = fonts.inputs({"title": register.title, "files": files, "parts": pages})
    made = compiler.compile(sys_inputs=inputs, timestamp=int(at.timestamp()), pdf_tags=False)
    assert isinstance(made, bytes)
    return made


def _parts(fonts: Type, register: Register, at: datetime) -> Iterator[tuple[bytes, int]]:
    """Yield PDFs and how many of their pages count; rows on the last page of a part come again at the start of the next, so that every
    page is full.
    """
    start = 0
    while start < len(register.rows):
        rows = register.rows[start : start + PART]
        inputs = fonts.inputs(register.data(rows, first=start == 0, numbered=False))
        compiler = typst.Compiler(
            str(TEMPLATES / "register.typ"), root=str(TEMPLATES), font_paths=fonts.fonts, sys_inputs=inputs
        )
        made = compiler.compile(timestamp=int(at.timestamp()), pdf_tags=False)
        assert isinstance(made, bytes)
        pages: list[int] = json.loads(compiler.query("<row>", field="value"))
        whole = sum(page < pages[-1] for page in pages)
        if start + len(rows) >= len(register.rows) or whole == 0:
            yield made, pages[-1]
            start += len(rows)
        else:
            yield made, pages[-1] - 1
            start += whole


__all__ = ["Column", "Register", "print_register"]
