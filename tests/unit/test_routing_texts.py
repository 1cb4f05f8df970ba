"""The index of routing's letters by the bigrams of their texts (R10.2)."""

from hypothesis import given
from hypothesis import strategies as st

from services.routing.texts import TextIndex, hashed
from shared.search import Moved
from shared.text import grams

TEXTS = st.text(alphabet="供水管网路灯 5gＧ。", max_size=12)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.none() | TEXTS), max_size=12), st.text("供水管网路灯5", min_size=2)
)
def test_r10_2_the_index_has_the_letters_with_all_bigrams_as_they_are_last(
    moves: list[tuple[str, str | None]], word: str
) -> None:
    words = hashed([word])
    index = TextIndex(None)
    last: dict[str, str | None] = {}
    for number, (letter, text) in enumerate(moves):
        last[letter] = text
        entry = None if text is None else hashed([text])
        index.take([Moved(letter, f"{number:03d}", entry)], f"{number:03d}")
        assert (index.known([(letter, f"{number:03d}")]) == {letter}) == (text is not None)
        assert index.position() == f"{number:03d}"
    expected = {key for key, text in last.items() if text is not None and set(grams(word)) <= set(grams(text))}
    assert set(index.having(words, 10)) == expected
    assert len(index.having(words, 1)) == min(1, len(expected))
    index.close()
