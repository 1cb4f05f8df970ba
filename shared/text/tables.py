"""Cells of tables that spreadsheet programs open: text stays text."""

from typing import Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a cell begins that a spreadsheet program may take for a formula; in the full width too, which some of them read as the others."""


def plain(text: str) -> str:
    """Return a text as a CSV cell that no spreadsheet program runs: with a single quote before it if it begins like a formula."""
    return "'" + text if text.startswith(FORMULA) else text
