"""A view of a text in which numbers look alike, character for character, so that offsets stay those of the text."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_DASHES: Final = "‐‑‒–—―−－﹣ーㄧ"
_DOTS: Final = "•・･‧⋅∙●"
_SPOKEN: Final = {**dict(zip("零一二三四五六七八九", "0123456789", strict=True)), "〇": "0", "○": "0", "幺": "1"}
_SPOKEN_RUN: Final = re.compile(r"[零〇○一二三四五六七八九幺](?:[ \-]?[零〇○一二三四五六七八九幺]){6,}")
"""Seven numerals or more are a number that is read out; a year or a date has fewer."""


@lru_cache(maxsize=20_000)
def _plain(character: str) -> str:
    """Return the character that stands for another one: full-width as half-width, kinds of dashes, dots and spaces as one each."""
    if character in _DASHES:
        return "-"
    if character in _DOTS:
        return "·"
    if character.isspace() or unicodedata.category(character) == "Cf":
        return character if character == "\n" else " "
    if character.isdigit():
        return str(unicodedata.digit(character))
    folded = unicodedata.normalize("NFKC", character)
    return folded if len(folded) == 1 and character != "·" else character


def fold(text: str) -> str:
    """Return a text of the same length: full-width characters as half-width, numbers written in Chinese numerals as digits."""
    plain = text if text.isascii() else "".join(map(_plain, text))
    return _SPOKEN_RUN.sub(lambda run: "".join(_SPOKEN.get(character, character) for character in run[0]), plain)
