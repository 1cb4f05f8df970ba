"""Published letters as the public reads them, page and JSON alike (R9.2): codes with their names, files with their addresses."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from services.publication.extracts import Piece, extract, marked
from services.publication.repository import PublicHead, PublicLetter, Withdrawn
from shared.contracts.types import Nature, PublishedFile
from shared.directory import Directory, UnknownEntry


class LetterLine(PublicHead):
    """A published letter in the list."""

    unit: str
    """Name of the mailbox that answered."""
    address: str
    nature_name: str | None
    domain_name: str | None
    region_name: str | None


class FoundLine(LetterLine):
    """A published letter that was found: the words stand in the pieces that are marked as hits."""

    marked_subject: list[Piece]
    extract: list[Piece]
    """Of the letter or the reply, where the words stand; its beginning where none are asked for."""


class File(BaseModel):
    """A file that was approved with the letter."""

    name: str
    media_type: str
    size: int
    """Bytes."""
    sha256: str
    address: str


class LetterPage(LetterLine):
    """A published letter: the approved text and files."""

    body: str
    reply: str
    attachments: list[File]
    text_hash: str
    """SHA-256 (hex) of what was approved."""


class LetterList(BaseModel):
    """A page of published letters: the newest first, or by rank where words are searched for."""

    items: list[FoundLine | LetterLine]
    next: str | None
    """Send as `cursor`, with the same question, for the next page; null on the last one."""
    total: Annotated[int | None, Field(description="How many fit a search or filter; null for the whole list.")] = None
    more: Annotated[bool, Field(description="Whether more than `total` fit: no more than 1,000 are counted.")] = False


class WithdrawnPage(Withdrawn):
    """That a letter was withdrawn, when and on what ground; nothing of its text."""

    unit: str
    ground_name: str


class Choice(BaseModel):
    """A value of a filter, and how many published letters it has."""

    code: str
    name: str
    count: int
    level: int = 1


class Names:
    """Makes views: codes are looked up in the directory, and one that it has no more stands for itself."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def unit(self, mailbox: str) -> str:
        """Return the name of a mailbox."""
        return self._directory.get(mailbox).name if mailbox in self._directory else mailbox

    def domain(self, code: str) -> str:
        """Return the name of a domain with those above it."""
        with suppress(UnknownEntry):
            return self._directory.domain(code).label
        return code

    def region(self, code: str) -> str:
        """Return the name of a region."""
        with suppress(UnknownEntry):
            return self._directory.region(code).name
        return code

    def head(self, letter: PublicHead) -> dict[str, Any]:
        """Return the fields of a line."""
        return {
            **{name: getattr(letter, name) for name in PublicHead.model_fields},
            "unit": self.unit(letter.mailbox),
            "address": address_of(letter.number),
            "nature_name": letter.nature.label if letter.nature else None,
            "domain_name": self.domain(letter.domain) if letter.domain else None,
            "region_name": self.region(letter.region) if letter.region else None,
        }

    def line(self, letter: PublicHead) -> LetterLine:
        """Return a line of the list."""
        return LetterLine.model_construct(**self.head(letter))

    def found(self, letter: PublicLetter, words: list[str]) -> FoundLine:
        """Return a line of what was found, with extracts."""
        subject = marked(letter.subject, words)
        return FoundLine.model_construct(
            **self.head(letter), marked_subject=subject, extract=extract((letter.body, letter.reply), words)
        )

    def page(self, letter: PublicLetter) -> LetterPage:
        """Return a letter's page."""
        return LetterPage.model_construct(
            **self.head(letter),
            body=letter.body,
            reply=letter.reply,
            attachments=[file_of(letter.number, file) for file in letter.attachments],
            text_hash=letter.text_hash,
        )

    def withdrawn(self, found: Withdrawn) -> WithdrawnPage:
        """Return what a withdrawn letter's page says."""
        return WithdrawnPage(**dict(found), unit=self.unit(found.mailbox), ground_name=found.ground.label)

    def choices(self, counts: Mapping[str, Mapping[str, int]]) -> dict[str, list[Choice]]:
        """Return filter → its values that have letters, in the order of the directory; months the newest first."""
        known = self._directory
        natures, domains, regions = (counts.get(name, {}) for name in ("nature", "domain", "region"))
        units: dict[str, int] = {}
        for mailbox, number in counts.get("mailbox", {}).items():
            unit = known.unit_code(known.current(mailbox))
            units[unit] = units.get(unit, 0) + number
        return {
            "nature": [Choice(code=n, name=n.label, count=natures[n]) for n in Nature if n in natures],
            "domain": [
                Choice(code=d.code, name=d.name, count=domains[d.code], level=d.level)
                for d in known.all_domains()
                if d.code in domains
            ],
            "region": [
                Choice(code=r.code, name=r.name, count=regions[r.code]) for r in known.regions() if r.code in regions
            ],
            "unit": [
                Choice(code=box.code, name=box.name, count=units[box.code])
                for box in known.mailboxes()
                if box.code in units
            ],
            **{
                name: [
                    Choice(code=month, name=month, count=number)
                    for month, number in sorted(found.items(), reverse=True)
                ]
                for name, found in (("month", counts.get("month", {})), ("published", counts.get("published", {})))
            },
        }


def address_of(number: str) -> str:
    """Return the address of a letter's page on this site."""
    return f"/public/letters/{number}"


def file_of(number: str, file: PublishedFile) -> File:
    """Return a file as the public sees it."""
    return File(
        name=file.name,
        media_type=file.media_type,
        size=file.size,
        sha256=file.sha256,
        address=f"{address_of(number)}/attachments/{quote(file.name)}",
    )
