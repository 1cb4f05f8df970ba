"""The citizens' pages say everything in English too."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.extract import extract
from babel.messages.pofile import read_po

from services.intake import citizen
from services.intake.choices import _HINTS, _KINDS
from services.intake.page_words import FOLDER
from shared.contracts.types import Channel, Nature

HERE = Path(citizen.__file__).parent
SHARED = Path(__file__).parents[2] / "shared" / "web" / "templates"
SPOKEN = ("page_words", "drafts", "choices", "routes_write", "routes_follow", "citizen")
_PLACE = re.compile(r"{(\w+)}|%\((\w+)\)s")


def wanted() -> Iterator[str]:
    """Every Chinese text that a page of intake may say."""
    for page in sorted(FOLDER.glob("*.html")):
        found = extract("jinja2.ext:babel_extract", BytesIO(page.read_bytes()), options={"trimmed": "true"})
        for _, message, _, _ in found:
            yield message if isinstance(message, str) else next(iter(message or ()), "")
    for module in SPOKEN:
        source = BytesIO((HERE / f"{module}.py").read_bytes())
        for _, message, _, _ in extract("python", source, keywords={"say": None, "happened": (2,)}):
            assert isinstance(message, str)
            yield message
    yield from _KINDS.values()
    yield from _HINTS.values()
    yield from (one.label for one in (*Nature, *Channel))
    yield from (*citizen.TURN_TO.values(), *citizen.EXPLAINED.values(), citizen.ANYWHERE, citizen.ALREADY)
    yield from (*citizen._SENT.values(), *citizen._DUE_CHANGED.values(), *citizen._TOLD_BY.values())
    yield from citizen.STATES


def catalogue(folder: Path) -> dict[str, str]:
    """Chinese text → English text, of which the plural counts."""

    def last(text: object) -> str:
        return str(text[-1]) if isinstance(text, tuple | list) else str(text)

    with (folder / "en.po").open("rb") as file:
        return {last(message.id): last(message.string) for message in read_po(file) if message.id}


def test_every_text_of_the_citizens_pages_is_in_english_too_and_no_other_is_kept() -> None:
    own, shared, said = catalogue(FOLDER), catalogue(SHARED), set(wanted())
    assert said - own.keys() - shared.keys() == set()
    assert own.keys() - said == set(), "nobody says it any more"


def test_english_texts_fill_in_what_the_chinese_ones_do_and_fit_into_attributes() -> None:
    for chinese, english in catalogue(FOLDER).items():
        assert english, chinese
        assert sorted(_PLACE.findall(english)) == sorted(_PLACE.findall(chinese)), chinese
        assert '"' not in english, chinese
        assert not re.search("[一-鿿]", english), chinese
