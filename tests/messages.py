"""The texts of pages as the catalogues must hold them: found in templates by Babel, in code where they are `marked()`.

A word of an enumeration (`Labelled`) may be shown through `_()`, so a catalogue may translate it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from shared.contracts.types import Labelled

ROOT = Path(__file__).parents[1]
SHARED = ROOT / "shared" / "web" / "templates"
FOLDERS = tuple(sorted({page.parent for top in ("shared", "services") for page in (ROOT / top).rglob("*.html")}))
"""Every folder with templates; its catalogue is `en.po` in it, and the shared one behind it."""
IN_CHINESE_ONLY = frozenset(
    {
        "services/routing/pages/register.html",
        "services/reporting/pages/issue.html",
        "services/reporting/pages/weekly.html",
    }
)
"""Official documents: what they say is in the regulation's words, also on an English page; what is around them is translated."""
CHINESE = re.compile(r"[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef]")
_OPTIONS = {"newstyle_gettext": "false", "trimmed": "true", "silent": "false"}
_KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2)}
_IN_CODE = {"marked": None, "say": None, "happened": (2,)}
_ENVIRONMENT = Environment(extensions=["jinja2.ext.i18n"])
_ENVIRONMENT.policies["ext.i18n.trimmed"] = True


def name(path: Path) -> str:
    """A file's or folder's name in the project."""
    return path.relative_to(ROOT).as_posix()


def templates(folder: Path) -> list[Path]:
    """The templates of a folder that have to speak both languages."""
    return [page for page in sorted(folder.glob("*.html")) if name(page) not in IN_CHINESE_ONLY]


def used(folder: Path) -> set[str]:
    """The texts of a folder's templates and of the code of its service."""
    found: set[str] = set()
    for page in sorted(folder.glob("*.html")):
        with page.open("rb") as opened:
            for _, message, _, _ in extract("jinja2.ext:babel_extract", opened, _KEYWORDS, options=_OPTIONS):
                found.add(message if isinstance(message, str) else message[0])
    for code in folder.parent.rglob("*.py"):
        with code.open("rb") as opened:
            found |= {str(message) for _, message, _, _ in extract("python", opened, _IN_CODE)}
    return found


def catalogue(folder: Path) -> Catalog:
    """The English catalogue of a folder; empty where there is none."""
    file = folder / "en.po"
    if not file.exists():
        return Catalog(locale="en")
    with file.open("rb") as opened:
        return read_po(opened, locale="en")


def forms(message: object) -> list[str]:
    """A catalogue's message or translation, in the singular and, where it has one, the plural."""
    return [str(form) for form in message] if isinstance(message, tuple | list) else [str(message or "")]


def source(message: object) -> str:
    """The Chinese text of a catalogue's message."""
    return forms(message)[0]


def labels() -> set[str]:
    """The words of all enumerations."""
    return {member.label for kind in Labelled.__subclasses__() for member in kind}


def untranslatable(page: Path) -> Iterator[str]:
    """Chinese texts of a template that no catalogue can translate."""
    tree = _ENVIRONMENT.parse(page.read_text(encoding="utf-8"))
    translated = {
        id(part)
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in {"_", "gettext", "ngettext"}
        for part in call.find_all(nodes.Const)
    }
    for data in tree.find_all(nodes.TemplateData):
        if CHINESE.search(data.data):
            yield data.data.strip()
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, str) and CHINESE.search(constant.value) and id(constant) not in translated:
            yield constant.value
