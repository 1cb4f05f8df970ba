"""Whole addresses of the public site, for feeds, sitemaps and search engines.

They come from the setting SITE_URL. Without it they follow from the request where they must be whole; such an answer is for who asked
alone, so that nobody's forged `Host` reaches others through a cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request

from shared.web.caller import HOST


@dataclass(frozen=True, slots=True)
class Base:
    """What stands before `/public/…`; empty where it is not known."""

    url: str
    is_set: bool
    """Whether it is the setting; otherwise the answer must not be kept for others."""

    def whole(self, path: str) -> str:
        """Return the whole address of a path of this site."""
        return self.url + path

    @property
    def authority(self) -> str:
        """The host's name, for ids."""
        return urlsplit(self.url).hostname or "xinxiang.invalid"


def kept(base: Base, lasts: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers that say how long an answer with whole addresses may be kept: not at all where they follow from the request."""
    return lasts if base.is_set else {"Cache-Control": "private, no-store"}


class Addresses:
    """Knows where the site is.

    Args:
        site_url: the setting, or empty.
    """

    def __init__(self, site_url: str) -> None:
        self._set = Base(site_url, is_set=True) if site_url else None

    def canonical(self, path: str) -> str:
        """Return the address that a page gives as its own: whole where the setting is there, else the path."""
        return path if self._set is None else self._set.whole(path)

    def of(self, request: Request) -> Base:
        """Return where the site is, as far as that is known; a host that is none is not believed."""
        if self._set is not None:
            return self._set
        host = request.headers.get("host", "")
        return Base(f"{request.url.scheme}://{host}" if HOST.fullmatch(host) else "", is_set=False)
