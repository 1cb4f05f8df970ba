"""Personal data in texts that shall become public: found, explained, with a replacement proposed (R9.1). A person decides.

    from services.publication.redaction import marks_in

    marks_in("请联系王丽华女士，电话13900001234")   # what is, or still is, in a text; [] of a text that is clean

`marks_in(text: str) -> list[Mark]`: ordered by start, without overlaps; never raises, whatever the text. `redactor(file)` gives the
same for a file of rules, and proposals for the texts of a whole letter.
"""

from functools import lru_cache
from pathlib import Path

from services.publication.redaction.marks import Kind, Mark
from services.publication.redaction.proposal import Proposal, Redactor
from services.publication.redaction.rules import Rules, WrongRules, load_rules
from services.settings import REDACTION

__all__ = ["Kind", "Mark", "Proposal", "Redactor", "Rules", "WrongRules", "load_rules", "marks_in", "redactor"]


@lru_cache(maxsize=8)
def redactor(file: Path) -> Redactor:
    """Return what proposes by the rules of a file, which is read once.

    Raises:
        WrongRules: the file cannot be used.
    """
    return Redactor(load_rules(file))


def marks_in(text: str) -> list[Mark]:
    """Return the personal data that is, or still is, in a text, by the rules that come with the project (R9.1)."""
    return redactor(REDACTION).marks(text)
