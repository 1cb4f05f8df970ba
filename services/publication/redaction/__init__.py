"""Personal data in texts that shall become public: found, explained, with a replacement proposed (R9.1). A person decides.

    from services.publication.redaction import redactor

    redactor(file).marks("请联系王丽华女士，电话13900001234")   # what is, or still is, in a text; [] of a text that is clean

Marks are ordered by start, without overlaps; nothing raises, whatever the text. A redactor also proposes texts for a whole letter.
"""

from functools import lru_cache
from pathlib import Path

from services.publication.redaction.marks import Kind, Mark
from services.publication.redaction.proposal import Proposal, Redactor
from services.publication.redaction.rules import Rules, WrongRules, load_rules

__all__ = ["Kind", "Mark", "Proposal", "Redactor", "Rules", "WrongRules", "load_rules", "redactor"]


@lru_cache(maxsize=8)
def redactor(file: Path) -> Redactor:
    """Return what proposes by the rules of a file, which is read once.

    Raises:
        WrongRules: the file cannot be used.
    """
    return Redactor(load_rules(file))
