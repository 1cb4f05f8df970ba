"""Text as it is put on paper: everything that somebody wrote is seen, or something is seen in its place.

Nothing here escapes: text reaches the layout program as data and is never read as its language.
"""

import re
import unicodedata
from collections.abc import Container
from typing import Final

_MEANINGLESS: Final = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
"""Joiners, variants, soft hyphens: they change how others are drawn on a screen and say nothing themselves."""
_NEW_LINE: Final = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_UNBROKEN: Final = re.compile("[^\\s\u2e80-\uffef\u200b]{25}")
"""So many characters in a row, none of which a line may end after, could run out of their cell."""
_DRAWN_ROW: Final = re.compile(r"\S[ \t]{2,}\S|[-=_*|+/\\#~^]{4,}")
"""Spaces or signs in a row that place what stands beside them: a drawing or a table made of characters."""
_FEW: Final = 6
_BREAK: Final = "\u200b"


def printable(text: str, covered: Container[int]) -> str:
    """Return a text as `shown`, whose long words may be broken anywhere."""
    return _UNBROKEN.sub(lambda run: run[0] + _BREAK, shown(text, covered))


def shown(text: str, covered: Container[int]) -> str:
    """Return a text with what cannot be printed shown: `〔U+1F600〕` for a character, `〔12个字符无法打印〕` for many in a row.

    Characters that the fonts lack, control characters (NUL too), those that turn the direction of writing, lone surrogates and private ones
    are shown that way. Lines end with `\\n` only.
    """
    found: list[str] = []
    lost: list[str] = []
    for character in _MEANINGLESS.sub("", _NEW_LINE.sub("\n", text)):
        drawn = _as_drawn(character, covered)
        if drawn is None:
            lost.append(character)
        else:
            found += (_lost(lost), drawn)
            lost = []
    found.append(_lost(lost))
    return "".join(found)


def _as_drawn(character: str, covered: Container[int]) -> str | None:
    """Return what is put on paper for a character; none where nothing can be."""
    if character in "\n\t":
        return character if character == "\n" else "    "
    kind = unicodedata.category(character)
    if ord(character) in covered and kind not in {"Cc", "Cf", "Cs", "Co", "Cn"}:
        return character
    return " " if kind == "Zs" else None


def _lost(characters: list[str]) -> str:
    if not characters:
        return ""
    if len(characters) > _FEW:
        return f"〔{len(characters)}个字符无法打印〕"
    return f"〔{' '.join(f'U+{ord(one):04X}' for one in characters)}〕"


def lines(text: str) -> tuple[list[str], bool]:
    """Return the lines of a text, and whether they are prose, whose paragraphs are indented; drawings made of characters are not.

    There is no blank line at either end, and at most one between two others.
    """
    found = [line.rstrip() for line in _NEW_LINE.split(text)]
    prose = not any(_DRAWN_ROW.search(line) for line in found)
    if prose:
        found = [line.lstrip() for line in found]
    kept = [line for before, line in zip(["", *found], found, strict=False) if line or before]
    return (kept[:-1] if kept and not kept[-1] else kept), prose


def ordinal(count: int) -> str:
    """Return `第一次`, `第十二次` …, as slips count; from a hundred on with figures."""
    if not 0 < count < 100:
        return f"第{count}次"
    digits = "〇一二三四五六七八九"
    tens, ones = divmod(count, 10)
    written = ("" if tens < 2 else digits[tens]) + ("十" if tens else "") + (digits[ones] if ones else "")
    return f"第{written}次"
