"""What the public's statistics keep back cannot be computed from what they show (R9.1, R10.4)."""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.small_cells import FEWEST, Shown, added, shown

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 30))


@pytest.mark.parametrize(("classes", "most"), [("ab", 9), ("abc", 7), ("abcd", 5), ("abcde", 3)])
def test_r10_4_who_knows_the_rule_and_all_that_is_shown_finds_two_values_for_each_number_kept_back(
    classes: str, most: int
) -> None:
    # Every month there can be, grouped by what the public sees of it: no group may agree on a number under three.
    seen: defaultdict[tuple[tuple[tuple[str, int], ...], int], list[tuple[int, ...]]] = defaultdict(list)
    for month in product(range(most + 1), repeat=len(classes)):
        public = shown(dict(zip(classes, month, strict=True)), classes)
        seen[tuple(sorted(public.classes.items())), public.others].append(month)
    for (showing, _), months in seen.items():
        for place, name in enumerate(classes):
            if name in dict(showing):
                continue
            values = {month[place] for month in months}
            assert len(values) > 1 or values.isdisjoint(range(1, FEWEST)), (showing, months)


@given(COUNTS)
def test_r10_4_no_class_under_three_is_shown_and_no_letter_is_lost(counts: dict[str, int]) -> None:
    public = shown(counts, "abcdefgh")
    assert all(number >= FEWEST for number in public.classes.values())
    assert sum(public.classes.values()) + public.others == sum(counts.values())
    assert public.others == 0 or public.others >= FEWEST or not public.classes


@given(st.lists(COUNTS, min_size=1, max_size=6), st.integers(0, 5))
def test_r10_4_one_period_less_another_leaves_only_what_is_shown_of_months(
    months: list[dict[str, int]], cut: int
) -> None:
    public = [shown(counts, "abcdefgh") for counts in months]
    whole, part, rest = added(public), added(public[:cut]), added(public[cut:])
    left = {name: number - part.classes.get(name, 0) for name, number in whole.classes.items()}
    assert {name: number for name, number in left.items() if number} == rest.classes
    assert whole.others - part.others == rest.others


def test_r10_4_the_only_small_class_takes_the_next_one_with_it() -> None:
    assert shown({"a": 1, "b": 5, "c": 9}, "abc") == Shown({"c": 9}, 6)
    assert shown({"a": 1, "b": 5, "c": 5, "d": 9}, "abcd") == Shown({"d": 9}, 11)
    assert shown({"a": 2, "b": 2, "c": 7, "d": 9}, "abcd") == Shown({"d": 9}, 11)
    assert shown({"a": 1, "b": 2, "c": 9}, "abc") == Shown({"c": 9}, 3)
    assert shown({"a": 0, "b": 4}, "ab") == Shown({"b": 4}, 0)
    assert shown({"a": 1}, "ab") == Shown({}, 1)
