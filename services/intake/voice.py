"""In which language a citizen is told things: Chinese, or English from the catalogue of the pages."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from shared.web.languages import Language, marked

__all__ = ["CHINESE", "OTHER", "Say", "Voice", "marked"]

Say = Callable[[str], str]
"""Gives a Chinese text in the citizen's language; `{…}` in the text stand for what is filled in."""


class Voice(NamedTuple):
    """A language, and what says things in it."""

    language: Language
    say: Say


CHINESE: Final = Voice("zh", str)
OTHER: Final[Mapping[Language, tuple[str, str, str]]] = {
    "zh": ("en", "English", "?lang=en"),
    "en": ("zh-CN", "中文", ""),
}
"""Language → tag, own name and query of the other one."""
