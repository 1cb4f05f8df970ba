"""Pages: one look for all, Jinja2 with autoescape, Chinese first, no script or style inside the page."""

import hashlib
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from shared.web.languages import (
    LANGUAGES,
    NAMES,
    TAGS,
    Language,
    catalogue,
    deadline,
    duration,
    elapsed,
    link,
    number,
    shanghai,
    shanghai_date,
    spoken,
    switched,
)

_HERE = Path(__file__).parent
_SHARED = _HERE / "templates"
STATIC = _HERE / "static"

asked: ContextVar[MutableMapping[str, Any] | None] = ContextVar("asked", default=None)
"""The request (ASGI scope) that is being answered, set by `Edge`; None where a page is made of itself, such as a bulletin to be frozen."""
_LONGEST_QUERY = 2000


def iso(moment: datetime) -> str:
    """For ``<time datetime=…>``: UTC with seconds, such as ``2026-11-23T09:30:00Z``."""
    if moment.tzinfo is None:
        raise ValueError("times must be aware: this one has no zone")
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def static_url(name: str) -> str:
    """The address of a file in ``static/``, with its content's hash so that browsers may keep it."""
    content = (STATIC / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


class Pages:
    """Renders the pages of one service: templates are looked for in ``folder``, then among the shared ones (``base.html``, ``site.html``).

    Each page can be made in every language of ``shared.web.languages``: its texts are looked up in ``folder/en.po``, then in the shared
    catalogue. ``now`` and ``rate`` let durations tick in the reader's browser by the system's own clock: pass ``clock.now`` and, where
    time runs fast, a function that gives how many times faster. ``city`` gives the name in the header; `Kit.pages` passes all three.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        now: Callable[[], datetime] | None = None,
        rate: Callable[[], float] | None = None,
        city: Callable[[], str] | None = None,
    ) -> None:
        self._city = city or (lambda: "")
        self._now = now or (lambda: datetime.now(UTC))
        self._rate = rate or (lambda: 1.0)
        self._environments = {language: _environment(folder, language) for language in LANGUAGES}

    def render(
        self,
        template: str,
        *,
        language: Language = "zh",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> HTMLResponse:
        """The page made from ``template`` with ``values``; a value that the template names but is not given raises."""
        return HTMLResponse(self.text(template, language=language, **values), status, headers)

    def text(self, template: str, *, language: Language = "zh", **values: Any) -> str:
        """The page's HTML, for example to be frozen in an issued bulletin."""
        page = self._environments[language].get_template(template)
        return page.render(
            page_now=self._now(),
            page_rate=self._rate(),
            city=self._city(),
            **{"other_languages": _other_languages(language), **values},
        )


def in_others(address: str, language: Language) -> list[tuple[str, str, str]]:
    """A page in the other languages: (tag, name, address); for pages that repeat nothing of what was asked for, such as kept ones."""
    return [(TAGS[other], NAMES[other], link(address, other)) for other in LANGUAGES if other != language]


def _other_languages(language: Language) -> list[tuple[str, str, str]]:
    """The same page in the other languages: (tag, name, address); none where there is no request."""
    scope = asked.get()
    if scope is None:
        return []
    query = scope.get("query_string", b"").decode("latin-1")[:_LONGEST_QUERY]
    return [
        (TAGS[other], NAMES[other], switched(scope["path"], query, other)) for other in LANGUAGES if other != language
    ]


@cache
def _environment(folder: Path | None, language: Language) -> Environment:
    """What compiles templates, each once in a process: they do not change while it runs."""
    folders = [_SHARED] if folder is None else [folder, _SHARED]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    # The new style takes whatever `_()` is given for markup, names from the directory too.
    environment.install_gettext_translations(catalogue(language, folders), newstyle=False)  # type: ignore[attr-defined]
    environment.filters |= {
        "iso": iso,
        **{
            name: partial(said, language=language)
            for name, said in (
                ("shanghai", shanghai),
                ("shanghai_date", shanghai_date),
                ("deadline", deadline),
                ("duration", duration),
                ("elapsed", elapsed),
                ("number", number),
                ("spoken", spoken),
            )
        },
    }
    environment.globals |= {
        "static_url": static_url,
        "language": language,
        "language_tag": TAGS[language],
        "link": partial(link, language=language),
    }
    return environment
