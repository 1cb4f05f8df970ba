"""How long a subscriber rests between batches."""

import pytest

from shared.messaging.broker import FOLLOWING_SECONDS, PACE_SECONDS, paced


@pytest.mark.parametrize(("records", "seconds"), [(1, 0.08), (4, 0.08), (8, 0.16), (13, 0.25), (499, 0.25)])
def test_the_pace_grows_with_what_comes_up_to_a_quarter_of_a_second(records: int, seconds: float) -> None:
    assert paced(records, PACE_SECONDS, FOLLOWING_SECONDS) == pytest.approx(seconds)


@pytest.mark.parametrize("records", [1, 50, 499])
def test_without_a_longest_pace_it_stays(records: int) -> None:
    assert paced(records, 0.5, 0.0) == 0.5
