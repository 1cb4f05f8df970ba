"""Extracts of a published letter around the words that were searched for, as pieces of text: no markup, so nothing to escape wrongly."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.text import normalized

LENGTH = 110
"""Characters of an extract."""
_BEFORE = 24
"""Characters shown before the first word found."""


class Piece(NamedTuple):
    """A run of text, and whether it is a word that was searched for."""

    text: str
    hit: bool


def marked(text: str, words: Sequence[str]) -> list[Piece]:
    """Cut a text into pieces: the words (normalized) where they stand, and what is between."""
    return list(_pieces(text, _spans(text, words), 0, len(text)))


def extract(texts: Iterable[str], words: Sequence[str], length: int = LENGTH) -> list[Piece]:
    """Return the part of that text in which most of the words stand, of the first among equals; its beginning where none does."""
    best, spans, most = "", list[tuple[int, int]](), -1
    for text in texts:
        here = _spans(text, words)
        different = len({normalized(text[start:end]) for start, end in here})
        if different > most:
            best, spans, most = text, here, different
    start = _start(spans, length)
    end = min(len(best), start + length)
    pieces = list(_pieces(best, spans, start, end))
    if start > 0:
        pieces.insert(0, Piece("…", hit=False))
    if end < len(best):
        pieces.append(Piece("…", hit=False))
    return pieces


def has_words(texts: Iterable[str], words: Sequence[str]) -> bool:
    """Whether all words (normalized) occur in the texts, each in one of them."""
    whole = "\n".join(texts)
    if all(word in whole for word in words):
        return True
    folded = "\n".join(normalized(line) for line in whole.split("\n"))
    return all(word in folded for word in words)


def _start(spans: Sequence[tuple[int, int]], length: int) -> int:
    """Return where the extract begins: so that as many hits as possible stand in it."""
    if not spans:
        return 0
    room = length - _BEFORE
    first = max(range(len(spans)), key=lambda n: (sum(1 for s, e in spans[n:] if e <= spans[n][0] + room), -n))
    return max(0, spans[first][0] - _BEFORE)


def _pieces(text: str, spans: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[Piece]:
    at = start
    for first, last in spans:
        if first < at or last > end:
            continue
        if first > at:
            yield Piece(text[at:first], hit=False)
        yield Piece(text[first:last], hit=True)
        at = last
    if at < end:
        yield Piece(text[at:end], hit=False)


def _spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Return where the words stand, in order and without overlaps; full or half width, upper or lower case are the same."""
    found: list[tuple[int, int]] = []
    folded: tuple[str, list[int]] | None = None
    for word in words:
        here = [(at, at + len(word)) for at in _all(text, word)]
        if not here or not word.isalpha():
            folded = folded or _folded(text)
            plain, places = folded
            here += [(places[at], places[at + len(word) - 1] + 1) for at in _all(plain, word)]
        found += here
    found.sort(key=lambda span: (span[0], -span[1]))
    apart: list[tuple[int, int]] = []
    for span in found:
        if not apart or span[0] >= apart[-1][1]:
            apart.append(span)
    return apart


def _all(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))


def _folded(text: str) -> tuple[str, list[int]]:
    """Return a text as `normalized` compares it, and for each of its characters the place in the original."""
    characters: list[str] = []
    places: list[int] = []
    for at, original in enumerate(text):
        for one in unicodedata.normalize("NFKC", original).casefold():
            kept = one if unicodedata.category(one)[0] in "LN" else " "
            if kept != " " or (characters and characters[-1] != " "):
                characters.append(kept)
                places.append(at)
    return "".join(characters), places
