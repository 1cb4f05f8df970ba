"""The clock: real time, or a simulated one that all processes share through a file."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from shared.calendar.clock import Clock, ClockFileError, FixedClock, read_clock_file, write_clock_file

MONDAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


class Real:
    """Real time that the test turns by hand."""

    def __init__(self):
        self.seconds = datetime(2026, 11, 23, 9, 0, tzinfo=UTC).timestamp()

    def __call__(self):
        return self.seconds


@pytest.fixture
def real():
    return Real()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "clock.json"


def test_without_a_file_the_time_is_real_aware_and_cut_to_milliseconds(real):
    real.seconds += 0.123987
    assert Clock(real=real).now() == datetime(2026, 11, 23, 9, 0, 0, 123000, tzinfo=UTC)
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert Clock().now().microsecond % 1000 == 0


def test_a_file_that_is_absent_means_real_time_and_may_appear_later(file, real):
    clock = Clock(file, real=real)
    assert clock.now() == datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    write_clock_file(file, MONDAY, real=real)
    assert clock.now() == MONDAY


def test_a_simulated_clock_starts_elsewhere_and_runs_fast(file, real):
    write_clock_file(file, MONDAY, rate=3600, real=real)
    clock = Clock(file, real=real)
    real.seconds += 2.5
    assert clock.now() == MONDAY + timedelta(hours=2, minutes=30)
    assert clock.rate == 3600


def test_two_clocks_on_one_file_agree_and_follow_its_replacement_at_once(file, real):
    one, other = Clock(file, real=real), Clock(file, real=real)
    write_clock_file(file, MONDAY, rate=60, real=real)
    assert one.now() == other.now() == MONDAY
    write_clock_file(file, MONDAY + timedelta(days=14), rate=0, real=real)
    real.seconds += 1000
    assert one.now() == other.now() == MONDAY + timedelta(days=14)


def test_changing_only_the_rate_goes_on_from_the_time_it_is(file, real):
    write_clock_file(file, MONDAY, rate=60, real=real)
    real.seconds += 60
    write_clock_file(file, rate=1, real=real)
    clock = Clock(file, real=real)
    assert clock.now() == MONDAY + timedelta(hours=1)
    real.seconds += 60
    assert clock.now() == MONDAY + timedelta(hours=1, minutes=1)


def test_the_clock_goes_back_only_when_asked(file, real):
    write_clock_file(file, MONDAY, real=real)
    with pytest.raises(ValueError, match="would go back"):
        write_clock_file(file, MONDAY - timedelta(minutes=1), real=real)
    assert read_clock_file(file).simulated == MONDAY
    write_clock_file(file, MONDAY - timedelta(days=1), backwards=True, real=real)
    assert Clock(file, real=real).now() == MONDAY - timedelta(days=1)


def test_a_time_without_zone_is_refused(file):
    with pytest.raises(ValueError, match="no time zone"):
        write_clock_file(file, datetime(2026, 3, 2))  # noqa: DTZ001
    with pytest.raises(ValueError, match="no time zone"):
        FixedClock(datetime(2026, 3, 2))  # noqa: DTZ001
    assert not file.exists()


def test_replacing_the_file_leaves_nothing_else_behind(file, real):
    write_clock_file(file, MONDAY, real=real)
    write_clock_file(file, MONDAY, real=real)
    assert [path.name for path in file.parent.iterdir()] == ["clock.json"]


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "not JSON"),
        ("[]", "must be an object"),
        ('{"real": "2026-03-02T01:00:00Z", "rate": 1}', "must be an object with exactly the fields"),
        ('{"real": 5, "simulated": "2026-03-02T01:00:00Z", "rate": 1}', "real is not an ISO 8601 time"),
        ('{"real": "2026-03-02T01:00:00", "simulated": "2026-03-02T01:00:00Z", "rate": 1}', "real has no time zone"),
        ('{"real": "2026-03-02T01:00:00Z", "simulated": "2026-03-02T01:00:00Z", "rate": -1}', "rate must be"),
        ('{"real": "2026-03-02T01:00:00Z", "simulated": "2026-03-02T01:00:00Z", "rate": NaN}', "rate must be"),
        ('{"real": "2026-03-02T01:00:00Z", "simulated": "2026-03-02T01:00:00Z", "rate": "fast"}', "rate must be"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_and_what_to_do(file, content, wrong):
    Path(file).write_text(content, encoding="utf-8")
    with pytest.raises(ClockFileError, match=wrong) as refused:
        Clock(file).now()
    assert str(file) in str(refused.value)
    assert "delete it" in str(refused.value)


def test_any_zone_in_the_file_is_understood(file, real):
    there = {"real": "2026-11-23T17:00:00+08:00", "simulated": "2026-03-02T09:00:00+08:00", "rate": 1}
    file.write_text(json.dumps(there), encoding="utf-8")
    assert Clock(file, real=real).now() == MONDAY


def test_real_seconds_until_a_simulated_moment(file, real):
    write_clock_file(file, MONDAY, rate=60, real=real)
    clock = Clock(file, real=real)
    assert clock.real_seconds_until(MONDAY + timedelta(hours=1)) == 60
    assert clock.real_seconds_until(MONDAY - timedelta(hours=1)) == 0
    write_clock_file(file, rate=0, real=real)
    assert clock.real_seconds_until(MONDAY + timedelta(hours=1)) == math.inf


def test_a_fixed_clock_moves_only_by_hand():
    clock = FixedClock(datetime(2026, 3, 2, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=8))))
    assert clock.now() == MONDAY + timedelta(milliseconds=123)
    assert clock.advance(timedelta(days=1)) == clock.now() == MONDAY + timedelta(days=1, milliseconds=123)
    clock.set(MONDAY)
    assert clock.now() == MONDAY
    assert clock.real_seconds_until(MONDAY + timedelta(seconds=1)) == math.inf
