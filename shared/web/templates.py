"""Pages: one look for all, Jinja2 with autoescape, Chinese first, no script or style inside the page."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from shared.web.languages import (
    LANGUAGES,
    TAGS,
    Language,
    catalogue,
    deadline,
    duration,
    link,
    shanghai,
    shanghai_date,
)

_HERE = Path(__file__).parent
_SHARED = _HERE / "templates"


def iso(moment: datetime) -> str:
    """For ``<time datetime=…>``: UTC with seconds, such as ``2026-11-23T09:30:00Z``."""
    if moment.tzinfo is None:
        raise ValueError("times must be aware: this one has no zone")
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@cache
def static_url(name: str) -> str:
    """The address of a file in ``static/``, with its content's hash so that browsers may keep it."""
    content = (_HERE / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


class Pages:
    """Renders the pages of one service: templates are looked for in ``folder``, then among the shared ones (``base.html``, ``site.html``).

    Each page can be made in every language of ``shared.web.languages``: its texts are looked up in ``folder/en.po``, then in the shared
    catalogue. ``now`` and ``rate`` let durations tick in the reader's browser by the system's own clock: pass ``clock.now`` and, where
    time runs fast, a function that gives how many times faster.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] | None = None, rate: Callable[[], float] | None = None
    ) -> None:
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
        return page.render(page_now=self._now(), page_rate=self._rate(), **values)


def _environment(folder: Path, language: Language) -> Environment:
    folders = [folder, _SHARED]
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(catalogue(language, folders), newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {
        "iso": iso,
        **{
            name: partial(spoken, language=language)
            for name, spoken in (
                ("shanghai", shanghai),
                ("shanghai_date", shanghai_date),
                ("deadline", deadline),
                ("duration", duration),
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
