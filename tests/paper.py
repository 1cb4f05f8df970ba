"""Reading printed PDFs as a person would: their text, their fonts, and what their metadata says."""

import io
import re
from typing import Any

import pytest
from pypdf import PdfReader

from services.settings import Settings
from shared.printing.fonts import find_folder
from shared.printing.press import Press

needs_fonts = pytest.mark.skipif(
    find_folder(Settings().fonts_folder) is None, reason="no Chinese fonts here: run `python -m deploy.fonts`"
)


def press() -> Press:
    """A press with the fonts of this checkout or system."""
    return Press(Settings().fonts_folder)


def pages(pdf: bytes) -> list[str]:
    """The text of each page without white space: lines end where the paper does, not where the writer did."""
    return [bare(page.extract_text()) for page in PdfReader(io.BytesIO(pdf)).pages]


def bare(text: str) -> str:
    """A text without white space and invisible places to break."""
    return re.sub(r"[\s\u200b]+", "", text)


def text_of(pdf: bytes) -> str:
    """The whole text."""
    return "".join(pages(pdf))


def fonts_of(pdf: bytes) -> dict[str, bool]:
    """Name of each font → whether it is embedded."""
    found: dict[str, bool] = {}
    for page in PdfReader(io.BytesIO(pdf)).pages:
        resources: Any = page["/Resources"]
        for font in resources.get("/Font", {}).values():
            for one in font.get_object()["/DescendantFonts"]:
                descriptor = one.get_object()["/FontDescriptor"]
                found[str(descriptor["/FontName"])] = any(key.startswith("/FontFile") for key in descriptor)
    return found


def reader(pdf: bytes) -> PdfReader:
    """The PDF, to be asked for more."""
    return PdfReader(io.BytesIO(pdf))


EMPTY: dict[str, Any] = {
    "name": "附表3",
    "title": "重庆市政府系统公开电子信箱交办单",
    "number": "渝府信〔2026〕17号",
    "mark": "",
    "ordinal": "",
    "rows": [],
    "notes": [],
    "annex": [],
    "annex_indent": True,
    "link": "https://city.test/letters/1",
    "qr": '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>',
}
"""A form with nothing in it."""
