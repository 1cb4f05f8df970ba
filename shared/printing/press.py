"""The press: data in, a PDF out; one after the other on a thread of its own, never on the event loop.

typst lets Python's lock go while it works, so one thread keeps one core busy and the service answers meanwhile. The templates beside this
file say how a page looks; what somebody wrote reaches them as JSON and is shown as text, never read as the layout's language.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import segno
import typst

from shared.printing.fonts import FAMILY, FILES, FontsMissing, characters, find_folder
from shared.printing.text import printable
from shared.web.problems import Problem

log = logging.getLogger(__name__)

TEMPLATES: Final = Path(__file__).parent
STANDARDS: Final[list[Literal["a-2a", "ua-1"]]] = ["a-2a", "ua-1"]
"""PDF/A-2a keeps for ever, PDF/UA-1 is read aloud: all fonts embedded, tagged, its language said."""
PICTURES: Final = frozenset({"qr", "svg"})
"""Under these names data holds pictures (SVG) and no text to be shown."""
WAITING: Final = 64
"""So many may wait for the press; more are told to come again."""
RETRY_AFTER_SECONDS: Final = 5
LONG_WAITING: Final = 4
LONG_RETRY_AFTER_SECONDS: Final = 30
Made = TypeVar("Made")


class PressBusy(Problem):
    """503: too many wait for the press."""

    def __init__(self, waiting: int, retry_after: int) -> None:
        super().__init__(
            503,
            "打印任务过多 / The press is busy",
            f"等待打印的任务已达 {waiting} 个，请在 {retry_after} 秒后重试 / "
            f"{waiting} documents wait to be made already. Ask again in {retry_after} seconds.",
            slug="press-busy",
            rule="R4.6",
            headers={"Retry-After": str(retry_after)},
        )


class CannotPrint(Problem):
    """503: there are no fonts to print with; all else works."""

    def __init__(self, missing: FontsMissing) -> None:
        super().__init__(
            503,
            "缺少中文字体，无法打印 / No Chinese fonts to print with",
            f"请管理员安装字体 fonts-noto-cjk，或用 FONTS_FOLDER 指明字体目录 / Tell whoever runs the system: {missing}.",
            slug="fonts-missing",
            rule="R4.6",
            headers={"Retry-After": "600"},
        )


@dataclass(frozen=True, slots=True)
class Type:
    """Fonts that were found: their families in the order they are tried, what they can show, and typst's own view of them."""

    families: tuple[str, ...]
    covered: frozenset[int]
    fonts: typst.Fonts

    def compiler(self, template: str) -> typst.Compiler:
        """Return a compiler of a template; one belongs to one thread at a time."""
        return typst.Compiler(str(TEMPLATES / f"{template}.typ"), root=str(TEMPLATES), font_paths=self.fonts)

    def inputs(self, data: Mapping[str, Any]) -> dict[str, str]:
        """Return data as a template takes it, with all texts such that they can be printed."""
        return {"data": json.dumps({**_printable(data, self.covered), "fonts": self.families})}


class Turns:
    """A thread that does one thing after the other, and for which only so many may wait."""

    def __init__(self, name: str, most: int, retry_after: int) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._most = most
        self._retry_after = retry_after
        self._waiting = 0

    async def take(self, work: Callable[[], Made]) -> Made:
        """Do some work in turn.

        Raises:
            PressBusy: too many wait.
        """
        if self._waiting >= self._most:
            raise PressBusy(self._most, self._retry_after)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


class Press:
    """Makes PDFs with the fonts of one folder; nothing is loaded before it is first used."""

    def __init__(self, fonts_folder: Path) -> None:
        self._given = fonts_folder
        self._type: Type | None = None
        self._forms: typst.Compiler | None = None
        self.short = Turns("press", WAITING, RETRY_AFTER_SECONDS)
        """For forms, which take a few hundredths of a second."""
        self.long = Turns("press-long", LONG_WAITING, LONG_RETRY_AFTER_SECONDS)
        """For registers and bulletins, which take seconds: no form waits for one."""

    def has_fonts(self) -> bool:
        """Whether it can print now; says in the log what to do where it cannot."""
        if find_folder(self._given) is None:
            log.warning("no slips can be printed: %s", FontsMissing(self._given))
            return False
        return True

    async def form(self, data: Mapping[str, Any], at: datetime) -> bytes:
        """Print a form; the same data and time `at` (aware) give the same bytes.

        Raises:
            PressBusy: too many wait.
            CannotPrint: there are no fonts.
        """
        return await self.short.take(partial(self.render_form, data, at))

    def render_form(self, data: Mapping[str, Any], at: datetime) -> bytes:
        """As `form`, at once and on this thread.

        Raises:
            CannotPrint: there are no fonts.
        """
        fonts = self.type()
        self._forms = self._forms or fonts.compiler("form")
        return to_standard(self._forms, fonts.inputs(data), at)

    def render(self, template: str, data: Mapping[str, Any], at: datetime) -> bytes:
        """Print something else, laid out by `template`, at once and on this thread: what takes long goes through `long`.

        Raises:
            CannotPrint: there are no fonts.
        """
        fonts = self.type()
        return to_standard(fonts.compiler(template), fonts.inputs(data), at)

    def type(self) -> Type:
        """Return the fonts, loaded once.

        Raises:
            CannotPrint: there are none.
        """
        self._type = self._type or self._load()
        return self._type

    def _load(self) -> Type:
        folder = find_folder(self._given)
        if folder is None:
            raise CannotPrint(FontsMissing(self._given))
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder)])
        faces: dict[str, frozenset[int]] = {}
        for face in fonts.fonts():
            # Other cuts of the same typeface hold the same characters in forms that are not those of this country.
            if face.path is not None and (face.family == FAMILY or "CJK" not in face.family):
                found = characters(Path(face.path), face.index)
                faces[face.family] = faces.get(face.family, found) & found
        families = (FAMILY, *sorted(family for family in faces if family != FAMILY))
        log.info("forms are printed with the fonts in %s", folder, extra={"count": len(families)})
        return Type(families, frozenset().union(*faces.values()), fonts)


def to_standard(compiler: typst.Compiler, inputs: Mapping[str, Any], at: datetime) -> bytes:
    """Return a template laid out to the standards; where it cannot be, a page that breaks one is better than none (R4.6)."""
    make = partial(compiler.compile, sys_inputs={**inputs}, timestamp=int(at.timestamp()))
    try:
        made = make(pdf_standards=[*STANDARDS])
    except typst.TypstError:
        log.exception("a document does not keep to %s; made without", STANDARDS)
        made = make()
    assert isinstance(made, bytes)
    return made


def _printable(value: Any, covered: frozenset[int]) -> Any:
    """Return data whose texts can all be printed; SVG pictures are left alone."""
    if isinstance(value, str):
        return printable(value, covered)
    if isinstance(value, Mapping):
        return {key: one if key in PICTURES else _printable(one, covered) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(one, covered) for one in value]
    return value


def qr_svg(link: str) -> str:
    """Return a QR code of a link as an SVG picture, with the quiet zone that readers need (ISO/IEC 18004)."""
    picture = BytesIO()
    segno.make(link, error="m", micro=False).save(
        picture, kind="svg", border=2, dark="#111111", xmldecl=False, nl=False
    )
    return picture.getvalue().decode()


__all__ = ["FILES", "CannotPrint", "Press", "PressBusy", "qr_svg"]
