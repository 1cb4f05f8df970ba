"""What makes two letters likely to be the same: the sender's phone or e-mail, the text, or nearly the text (R3.0 (4)).

Every letter gets a few marks. Letters that share a mark are proposed to the clerk; a person decides. A mark is a keyed hash of its own
purpose, so that nobody reads a phone number or a word out of the index, or finds the letters of a number without the secret.

Nearly equal texts meet by a sketch (MinHash in one permutation): the character bigrams of a text fall into 20 bins, the least of each bin
is kept, and four bins at a time make a mark. Two texts that have 80 % of their bigrams in common share one of the five marks in 93 cases
of 100; two that have 10 % in common, in 1 of 2,000. How like they really are is then counted from the texts themselves.
"""

import hmac
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable
from enum import StrEnum

from shared.contracts.types import Contact
from shared.text import grams, normalized

_BANDS = 5
_BINS_IN_BAND = 4
_BINS = _BANDS * _BINS_IN_BAND
_MASK = 0xFFFFFFFF


class Why(StrEnum):
    """Why an earlier letter is proposed; the letter of the alphabet that its marks begin with is its first."""

    SAME_TEXT = "same_text"
    PHONE = "phone"
    EMAIL = "email"
    ALIKE = "alike"


def marks_of_sender(secret: bytes, contact: Contact | None) -> dict[str, Why]:
    """Return the marks of whoever wrote: one for the phone, one for the e-mail address, as far as there are any."""
    found = {}
    if contact is not None and contact.phone:
        found[_mark(secret, Why.PHONE, contact.phone.partition(" ")[0])] = Why.PHONE
    if contact is not None and contact.email:
        found[_mark(secret, Why.EMAIL, contact.email.casefold())] = Why.EMAIL
    return found


def marks(secret: bytes, subject: str, body: str, contact: Contact | None) -> dict[str, Why]:
    """Return all marks of a letter, each with what it stands for: at most eight."""
    found = marks_of_sender(secret, contact)
    found[_mark(secret, Why.SAME_TEXT, normalized(body))] = Why.SAME_TEXT
    least = _sketch(grams(subject, body))
    for start in range(0, _BINS if least else 0, _BINS_IN_BAND):
        band = ",".join(map(str, (start, *least[start : start + _BINS_IN_BAND])))
        found[_mark(secret, Why.ALIKE, band)] = Why.ALIKE
    return found


def bigrams(subject: str, body: str) -> frozenset[str]:
    """Return what `alike_percent` compares."""
    return frozenset(grams(subject, body))


def alike_percent(one: Collection[str], other: frozenset[str]) -> int:
    """Return how many of a hundred different bigrams that either text has are in both."""
    together = len(other.union(one))
    return 100 * len(other.intersection(one)) // together if together else 0


def _mark(secret: bytes, why: Why, value: str) -> str:
    digest = hmac.digest(secret, f"likeness\x00{why}\x00{value}".encode(), "sha256")
    return why[0] + urlsafe_b64encode(digest[:12]).decode()


def _sketch(texts: Iterable[str]) -> list[int]:
    """Return the least hash of each bin; a bin that nothing fell into borrows from the next that has one. Empty: there are no bigrams."""
    least: list[int] = [_MASK + 1] * _BINS
    for text in texts:
        mixed = zlib.crc32(text.encode()) * 0x9E3779B1 & _MASK
        mixed = (mixed ^ mixed >> 15) * 0x85EBCA77 & _MASK
        mixed ^= mixed >> 13
        place = mixed % _BINS
        least[place] = min(mixed, least[place])
    if all(value > _MASK for value in least):
        return []
    return [
        next(least[(place + step) % _BINS] + step for step in range(_BINS) if least[(place + step) % _BINS] <= _MASK)
        for place in range(_BINS)
    ]
