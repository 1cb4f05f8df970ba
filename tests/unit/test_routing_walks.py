"""In which lists a letter stands (see also `tests/letter_checks.py`, which every walk of `test_whole_handling.py` goes by)."""

from services.routing.repository import HOLDER, OUT, letters
from shared.contracts.facts import LetterReclassified
from shared.contracts.types import Nature
from shared.storage import Store
from tests.routing_story import ID, TREE, pending, received


def test_lists_hide_a_report_from_the_unit_it_is_about_and_show_it_to_the_mailbox_above() -> None:
    story = pending().sends("mayor", "education").collects("education").sends("education", "education-basic")
    about = received().classification
    report = about.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
    story.happens(LetterReclassified(letter_id=ID, at=story.now, before=about, after=report))
    fields = letters(Store("mongodb://unused"), TREE).fields(story.known)
    assert [fields[name] for name in (HOLDER, *OUT)] == ["sent|mayor", None, None, None]
