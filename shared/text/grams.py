"""Character bigrams: what a full-text index over Chinese is made of.

A text is found by a query if it has all bigrams of the query; that is necessary, not sufficient, so whoever searches then looks for the
normalized query in the normalized text. Full and half width, upper and lower case, punctuation and white space make no difference.
"""

import unicodedata
from itertools import pairwise

SHORTEST_QUERY = 2
"""Characters that a query must have, once normalized: one alone makes no bigram."""


def normalized(text: str) -> str:
    """Return the text as it is compared: NFKC, case folded, every run of anything but letters and digits as one space, none at the ends."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (character if unicodedata.category(character)[0] in "LN" else " " for character in folded)
    return " ".join("".join(kept).split())


def grams(*texts: str) -> list[str]:
    """Return the different bigrams of the texts, sorted; none spans two words or two texts."""
    found: set[str] = set()
    for text in texts:
        for word in normalized(text).split():
            found.update(first + second for first, second in pairwise(word))
    return sorted(found)
