"""Bigrams of Chinese texts."""

from shared.text import grams, normalized


def test_width_case_and_punctuation_make_no_difference() -> None:
    assert normalized("  Ａ１２，路灯！坏了\n") == "a12 路灯 坏了"
    assert normalized("＃＊…") == ""


def test_bigrams_are_pairs_of_neighbours_within_a_word() -> None:
    assert grams("路灯坏了") == sorted(["路灯", "灯坏", "坏了"])
    assert grams("路灯，坏了") == sorted(["路灯", "坏了"])
    assert grams("路灯", "坏了") == sorted(["路灯", "坏了"])


def test_a_single_character_makes_no_bigram() -> None:
    assert grams("水") == []
    assert grams("") == []


def test_every_text_has_all_bigrams_of_each_of_its_parts() -> None:
    text = "小区门口的LED路灯坏了半个多月，晚上老人孩子出行很不安全。"
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            assert set(grams(text[start:end])) <= set(grams(text))
