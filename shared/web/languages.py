"""The languages of pages: Chinese, which the templates are written in, and English, from gettext catalogues.

The Chinese text is the message id. Each folder of templates has its catalogue `en.po` beside them. The language is asked for with
`?lang=en`, so that every page has an address of its own in each language, works without cookies and can be kept by caches.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from gettext import NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations
from fastapi import Query

from shared.calendar.zone import SHANGHAI

Language = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
TAGS: Final[dict[Language, str]] = {"zh": "zh-CN", "en": "en"}
"""What `<html lang>` says (BCP 47)."""
NAMES: Final[dict[Language, str]] = {"zh": "中文", "en": "English"}
"""What each language calls itself."""

Lang = Annotated[str, Query(description="`en`: the page in English; anything else: in Chinese.")]
"""The query parameter of a page; `language_of` reads it."""


def language_of(asked: str) -> Language:
    """Return the language that a page was asked for in: English for `en`, Chinese for all else."""
    return "en" if asked.lower().startswith("en") else "zh"


def link(path: str, language: Language) -> str:
    """Return an address on this site in a language: `/public/board` becomes `/public/board?lang=en` for English."""
    if language == "zh":
        return path
    parts = urlsplit(path)
    return parts._replace(query=f"{parts.query}&lang={language}" if parts.query else f"lang={language}").geturl()


def switched(path: str, query: str, language: Language) -> str:
    """Return the address of the same page in another language: its parameters stay, but for `lang`."""
    path = quote("/" + path.lstrip("/"))  # never another site's, which "//" would begin
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != "lang"]
    return link(f"{path}?{urlencode(kept)}" if kept else path, language)


def marked(text: str) -> str:
    """Return `text` as it is: marks a text in the code that a page translates with `_()`, so that it is looked for in the catalogue."""
    return text


def spoken(text: str, language: Language) -> str:
    """Return what `text`, written "中文 / English", says in a language; a text of one language only is returned whole."""
    chinese, _, english = text.partition(" / ")
    return english or chinese if language == "en" else chinese


def catalogue(language: Language, folders: Sequence[Path]) -> NullTranslations:
    """Return the texts of a language from the catalogues in the folders, those of the first coming first; Chinese is itself."""
    texts = NullTranslations()
    if language == "zh":
        return texts
    merged = Translations()
    for folder in reversed(folders):
        file = folder / f"{language}.po"
        if file.exists():
            with file.open("rb") as opened:
                compiled = BytesIO()
                write_mo(compiled, read_po(opened))
            compiled.seek(0)
            merged.merge(Translations(compiled))
    return merged


# ── times and lengths of time ────────────────────────────────────────────────────────────────────────────────────────


def shanghai(moment: datetime | None, language: Language = "zh") -> str:
    """``2026年11月23日 17:30``, ``23 Nov 2026, 17:30`` in Asia/Shanghai for an aware time; "—" for None.

    Raises:
        ValueError: the time is naive.
    """
    if moment is None:
        return "—"
    local = _local(moment)
    if language == "en":
        return format_datetime(local, "d MMM y, HH:mm", locale="en")
    return f"{shanghai_date(local)} {local:%H:%M}"


def shanghai_date(day: datetime | date | None, language: Language = "zh") -> str:
    """``2026年11月23日``, ``23 Nov 2026``; of an aware time, its day in Asia/Shanghai; "—" for None."""
    if day is None:
        return "—"
    if isinstance(day, datetime):
        day = _local(day).date()
    return format_date(day, "d MMM y", locale="en") if language == "en" else f"{day.year}年{day.month}月{day.day}日"


def deadline(moment: datetime | None, language: Language = "zh") -> str:
    """As ``shanghai``, but midnight is the end of the day that it closes: ``2026年3月16日 24:00`` (R6.1)."""
    if moment is None or _local(moment).time() != time.min:
        return shanghai(moment, language)
    comma = "," if language == "en" else ""
    return f"{shanghai_date(_local(moment) - timedelta(days=1), language)}{comma} 24:00"


_UNITS: Final[dict[Language, tuple[str, str, str, str]]] = {
    "zh": ("天", "小时", "分", "秒"),
    "en": (" d ", " h ", " min ", " s "),
}


def duration(length: timedelta | float | None, language: Language = "zh") -> str:
    """A length of time in its two largest units, such as ``3天4小时`` or ``3 d 4 h``; a number is seconds; "—" for None."""
    if length is None:
        return "—"
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    if seconds < 0:
        return f"-{duration(-seconds, language)}"
    day, hour, minute, second = _UNITS[language]
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        text = f"{days}{day}{hours}{hour}" if hours else f"{days}{day}"
    elif hours:
        text = f"{hours}{hour}{minutes}{minute}" if minutes else f"{hours}{hour}"
    else:
        text = f"{minutes}{minute}" if minutes else f"{seconds}{second}"
    return text.strip()


def elapsed(seconds: float, language: Language = "zh") -> str:
    """A length of time as it ticks on a page: ``3天4小时5分``, ``3 d 4 h 5 min``; seconds only within the first day (`elapsed.js`)."""
    day, hour, minute, second = _UNITS[language]
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f"{days}{day}" if days else ""
    text += f"{hours}{hour}" if days or hours else ""
    text += f"{minutes}{minute}"
    return (text if days else f"{text}{rest}{second}").strip()


def number(value: float, language: Language = "zh") -> str:
    """A number with its thousands parted: ``12,345``."""
    return format_decimal(value, locale=TAGS[language].replace("-", "_"))


def _local(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("times must be aware: this one has no zone")
    return moment.astimezone(SHANGHAI)
