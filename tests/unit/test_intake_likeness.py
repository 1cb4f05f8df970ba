"""Marks of letters: how likely repetitions find each other without anybody reading the index (R3.0 (4))."""

import gzip
import json
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.intake.likeness import Why, alike_percent, bigrams, marks, marks_of_sender
from shared.contracts.types import Contact

REAL = Path(__file__).parents[3] / "shared" / "letters" / "replied.jsonl.gz"
SECRET = b"a secret of this test"
TEXT = "我们小区门口的路灯坏了半个多月，晚上老人孩子出行很不安全，希望尽快修好。物业说要等电力公司来人，电力公司说归物业管。"


def shared(one: dict[str, Why], two: dict[str, Why]) -> set[Why]:
    return {one[mark] for mark in one.keys() & two.keys()}


def test_r3_0_4_the_same_text_is_found_whatever_its_width_case_spaces_and_marks() -> None:
    first = marks(SECRET, "路灯", f"{TEXT}ABC１２３", None)
    again = marks(SECRET, "另一个题目", f" {TEXT.replace('，', '！！ ')}ａbc123\n", None)
    assert Why.SAME_TEXT in shared(first, again)


def test_r3_0_4_a_text_with_a_few_words_changed_shares_a_mark() -> None:
    changed = TEXT.replace("半个多月", "快一个月").replace("希望", "请求")
    one, two = marks(SECRET, "路灯不亮", TEXT, None), marks(SECRET, "路灯不亮", changed, None)
    assert shared(one, two) == {Why.ALIKE}
    assert 70 <= alike_percent(bigrams("路灯不亮", TEXT), bigrams("路灯不亮", changed)) < 100


def test_r3_0_4_a_phone_is_the_same_with_or_without_extension_and_an_e_mail_in_any_case() -> None:
    one = marks_of_sender(SECRET, Contact(name="甲", phone="+862363850000 转 8001", email="Li@example.com"))
    two = marks_of_sender(SECRET, Contact(name="乙", phone="+862363850000", email="li@example.com"))
    assert shared(one, two) == {Why.PHONE, Why.EMAIL}


def test_marks_cannot_be_made_without_the_secret_and_show_nothing_of_what_they_stand_for() -> None:
    contact = Contact(name="李明", phone="+8613800138000")
    one, two = marks(SECRET, "路灯", TEXT, contact), marks(b"another secret of this test", "路灯", TEXT, contact)
    assert not one.keys() & two.keys()
    assert not any(("138" in mark and "8000" in mark) or "路" in mark for mark in one)


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_has_few_marks_and_is_wholly_like_itself(subject: str, body: str) -> None:
    found = marks(SECRET, subject, body, None)
    assert 1 <= len(found) <= 6
    own = bigrams(subject, body)
    assert alike_percent(own, own) == (100 if own else 0)


@pytest.mark.skipif(not REAL.exists(), reason="the real letters are not on this machine")
def test_r3_0_4_repeated_letters_among_real_ones_find_each_other_and_strangers_do_not() -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as lines:
        letters = [json.loads(line) for line in lines]
    by_mark: dict[str, list[int]] = {}
    for position, letter in enumerate(letters):
        for mark, why in marks(SECRET, letter["subject"], letter["body"], None).items():
            if why is Why.ALIKE:
                by_mark.setdefault(mark, []).append(position)
    met = {pair for positions in by_mark.values() for pair in combinations(positions, 2)}
    texts = [bigrams(letter["subject"], letter["body"]) for letter in letters]
    by_user: dict[str, list[int]] = {}
    for position, letter in enumerate(letters):
        by_user.setdefault(letter["user"], []).append(position)
    repeated = {
        pair
        for positions in by_user.values()
        for pair in combinations(positions, 2)
        if alike_percent(texts[pair[0]], texts[pair[1]]) >= 70
    }
    assert len(repeated) > 50
    assert len(repeated & met) >= 0.95 * len(repeated)
    assert len(met) < 2 * len(repeated)
