"""The Atom feed of published letters (RFC 4287) and the sitemap (sitemaps.org), as XML."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from services.publication.addresses import Base
from services.publication.public_views import LetterPage, address_of

HEAD: Final = '<?xml version="1.0" encoding="utf-8"?>\n'
NEWEST: Final = 50
"""Entries of the feed."""
URLS: Final = 50_000
"""Addresses of one part of the sitemap; the protocol allows no more."""
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG_YEAR: Final = "2026"
"""When the names of entries were first given: part of them, and so never changed."""


def atom(letters: Sequence[LetterPage], base: Base, here: str, title: str, site: str, updated: datetime) -> str:
    """Return the feed.

    Args:
        letters: its entries, newest first.
        base: where the site is.
        here: the path and query of this feed.
        title: its title.
        site: the path of the page that shows the same.
        updated: when it last changed.
    """
    lines = [
        HEAD + '<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="zh-CN">',
        f"<id>{_text(_tag(base, here))}</id>",
        f"<title>{_text(title)}</title>",
        f"<updated>{_time(updated)}</updated>",
        f'<link rel="self" type="application/atom+xml" href={_attribute(base.whole(here))}/>',
        f'<link rel="alternate" type="text/html" href={_attribute(base.whole(site))}/>',
        "<author><name>政府系统公开电子信箱</name></author>",
        *(_entry(letter, base) for letter in letters),
        "</feed>\n",
    ]
    return "\n".join(lines)


def _entry(letter: LetterPage, base: Base) -> str:
    categories = [
        f"<category term={_attribute(code)} scheme={_attribute(f'tag:{base.authority},{_TAG_YEAR}:{scheme}')} label={_attribute(label)}/>"
        for scheme, code, label in (
            ("nature", letter.nature, letter.nature_name),
            ("domain", letter.domain, letter.domain_name),
            ("region", letter.region, letter.region_name),
        )
        if code and label
    ]
    content = f"【来信】\n{letter.body}\n\n【答复】{letter.unit}\n{letter.reply}"
    lines = [
        "<entry>",
        f"<id>{_text(_tag(base, letter.address))}</id>",
        f"<title>{_text(letter.subject)}</title>",
        f"<published>{_time(letter.published_at)}</published>",
        f"<updated>{_time(letter.published_at)}</updated>",
        f"<author><name>{_text(letter.unit)}</name></author>",
        f'<link rel="alternate" type="text/html" href={_attribute(base.whole(letter.address))}/>',
        *categories,
        f'<content type="text">{_text(content)}</content>',
        "</entry>",
    ]
    return "\n".join(lines)


def sitemap_index(parts: Iterable[tuple[str, datetime | None]]) -> str:
    """Return the index of the sitemap: whole addresses of its parts, and when each last changed."""
    lines = [f"<sitemap><loc>{_text(address)}</loc>{_changed(changed)}</sitemap>" for address, changed in parts]
    begin = HEAD + '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([begin, *lines, "</sitemapindex>\n"])


SITEMAP_BEGIN: Final = HEAD + '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
SITEMAP_END: Final = "</urlset>\n"


def sitemap_urls(letters: Iterable[tuple[str, datetime]], base: Base) -> Iterator[str]:
    """Return a line for each letter: its number and when it was published."""
    for number, published in letters:
        yield f"<url><loc>{_text(base.whole(address_of(number)))}</loc>{_changed(published)}</url>\n"


def _changed(moment: datetime | None) -> str:
    return f"<lastmod>{_time(moment)}</lastmod>" if moment else ""


def _tag(base: Base, path: str) -> str:
    """Return a name (RFC 4151) that stays the same wherever the address leads."""
    return f"tag:{base.authority},{_TAG_YEAR}:{path}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(text: str) -> str:
    return escape(_NO_XML.sub("", text))


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("", text))
