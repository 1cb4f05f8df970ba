"""Every text of every page is in a catalogue, whole, translated, and used."""

import re
from pathlib import Path

import pytest

from tests import messages

SHARED = messages.catalogue(messages.SHARED)
_PLACE = re.compile(r"%\((\w+)\)s")


@pytest.mark.parametrize("folder", messages.FOLDERS, ids=messages.name)
def test_every_text_of_a_page_is_translated_and_nothing_else_is(folder: Path) -> None:
    own = messages.catalogue(folder)
    used = messages.used(folder)
    missing = {text for text in used if not ((own.get(text) or SHARED.get(text) or _NONE).string)}
    assert not missing, f"{messages.name(folder)}/en.po lacks: {sorted(missing)}"
    listed = {messages.source(message.id) for message in own if message.id}
    shown = used.union(*map(messages.used, messages.FOLDERS)) if folder == messages.SHARED else used
    unused = listed - shown - messages.labels()
    assert not unused, f"{messages.name(folder)}/en.po has what no page says: {sorted(unused)}"


@pytest.mark.parametrize("folder", messages.FOLDERS, ids=messages.name)
def test_a_translation_is_whole(folder: Path) -> None:
    for message in messages.catalogue(folder):
        if not message.id:
            continue
        strings, ids = messages.forms(message.string), messages.forms(message.id)
        assert not message.fuzzy, f"fuzzy: {message.id}"
        assert all(strings), f"empty: {message.id}"
        for text in strings:
            assert not messages.CHINESE.search(text), f"half translated: {text}"
            assert set(_PLACE.findall(text)) <= set(_PLACE.findall(ids[-1])), f"other places to fill: {text}"
        assert set(_PLACE.findall(strings[-1])) == set(_PLACE.findall(ids[-1])), f"places not filled: {message.id}"


@pytest.mark.parametrize(
    "page", [page for folder in messages.FOLDERS for page in messages.templates(folder)], ids=messages.name
)
def test_no_page_has_chinese_that_cannot_be_translated(page: Path) -> None:
    assert list(messages.untranslatable(page)) == []


class _None:
    string = ""


_NONE = _None()
