"""Personal data in texts that shall become public: found, explained, with a replacement proposed (R9.1). A person decides.

    from services.publication.redaction import marks_in

    marks_in("请联系王丽华女士，电话13900001234")   # what is, or still is, in a text; [] of a text that is clean

`marks_in(text: str) -> list[Mark]`: ordered by start, without overlaps; never raises, whatever the text.
"""

from functools import lru_cache
from pathlib import Path
from services.publication.redaction.marks import Kind, Mark, merged
from services.publication.redaction.numbers import Numbers
from services.publication.redaction.folding import fold
from services.publication.redaction.rules import load_rules

__all__ = ["Kind", "Mark", "marks_in"]

from services.publication.redaction.addresses import Addresses
from services.publication.redaction.names import Names
@lru_cache
def _n():
    r=load_rules(Path("deploy/redaction.yaml"))
    return Numbers(r), Addresses(r), Names(r)

def marks_in(text: str) -> list[Mark]:
    """Return the personal data that is in a text, in order and without overlaps (R9.1)."""
    n,a,w=_n()
    f=fold(text)
    names=w.find(f)
    names+=list(w.again(f,{f[x.start:x.end] for x in names if x.full}))
    return merged([*n.find(f),*a.find(f),*(Mark(x.start,x.titled,Kind.NAME,x.why,"某") for x in names)])
