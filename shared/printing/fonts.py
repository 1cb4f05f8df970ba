"""The fonts that forms are printed with: where they are, and which characters they can show.

Noto Serif CJK must be there; official forms are set in 宋体 and 仿宋, and it is the free face nearest to them. Further fonts in the same
folder (for Tibetan, Arabic, emoji …) are used for what it lacks. Standard library only: `deploy` asks before any package is there.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

FILES: Final = ("NotoSerifCJK-Regular.ttc", "NotoSerifCJK-Bold.ttc")
"""The two files without which no form is printed."""
FAMILY: Final = "Noto Serif CJK SC"
SYSTEM: Final = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path("~/.local/share/fonts"))
"""Where systems keep their fonts; a package such as Debian's `fonts-noto-cjk` brings the files."""


class FontsMissing(Exception):
    """No folder holds both files."""

    def __init__(self, given: Path) -> None:
        super().__init__(
            f"there is no {' and '.join(FILES)} in {given} nor among the system's fonts: install Debian's fonts-noto-cjk, "
            "run `python -m deploy.fonts`, or let FONTS_FOLDER name a folder that holds them"
        )


def find_folder(given: Path, system: Iterable[Path] = SYSTEM) -> Path | None:
    """Return the folder with both files: `given` itself, else one among the system's fonts; None where there is none."""
    if _holds_all(given):
        return given
    for base in system:
        for file in sorted(base.expanduser().rglob(FILES[0])):
            if _holds_all(file.parent):
                return file.parent
    return None


def _holds_all(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def characters(file: Path, index: int) -> frozenset[int]:
    """Return the code points for which a face of a font file has a glyph.

    Reads the tables `cmap` of formats 4 and 12, which is where all fonts of today keep the characters of Unicode (OpenType, "cmap").
    """
    with file.open("rb") as font:
        data = font.read(12)
        start = 0
        if data[:4] == b"ttcf":
            font.seek(12 + 4 * index)
            (start,) = struct.unpack(">I", font.read(4))
        font.seek(start)
        (tables,) = struct.unpack(">4xH6x", font.read(12))
        directory = font.read(16 * tables)
        for at in range(0, len(directory), 16):
            tag, offset, length = struct.unpack_from(">4s4xII", directory, at)
            if tag == b"cmap":
                font.seek(offset)
                return frozenset(_of_cmap(font.read(length)))
    return frozenset()


def _of_cmap(table: bytes) -> Iterator[int]:
    (count,) = struct.unpack_from(">2xH", table)
    for number in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + 8 * number)
        if platform == 0 or (platform == 3 and encoding in {1, 10}):
            kind = struct.unpack_from(">H", table, offset)[0]
            if kind == 12:
                yield from _of_format_12(table, offset)
            elif kind == 4:
                yield from _of_format_4(table, offset)


def _of_format_12(table: bytes, offset: int) -> Iterator[int]:
    (groups,) = struct.unpack_from(">I", table, offset + 12)
    for first, last, glyph in struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * groups]):
        yield from range(first if glyph else first + 1, last + 1)


def _of_format_4(table: bytes, offset: int) -> Iterator[int]:
    (double,) = struct.unpack_from(">H", table, offset + 6)
    count = double // 2
    parts = [
        struct.unpack_from(f">{count}{kind}", table, offset + 14 + part * double + (2 if part else 0))
        for part, kind in enumerate("HHhH")
    ]
    ranges_at = offset + 16 + 3 * double
    for number, (last, first, delta, away) in enumerate(zip(*parts, strict=True)):
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = code
            if away:
                (glyph,) = struct.unpack_from(">H", table, ranges_at + 2 * number + away + 2 * (code - first))
            if glyph and (glyph + delta) & 0xFFFF:
                yield code
