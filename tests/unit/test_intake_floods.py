"""Limits, proofs of work and queues, with a clock that is moved."""

import json

import pytest
from altcha import solve_challenge
from altcha.v2 import Challenge, Payload

from services.intake.challenge import LASTS, LONGEST_QUEUE, QUEUE_SECONDS, Challenges, Hurdle
from services.intake.floods import Attempt, Floods, Reused, TooMany
from services.settings import Settings
from shared.security.rates import Limit, Rate

SECRET = b"sixteen characters"
HOME = "203.0.113.7"


class Time:
    """Real seconds that tests move; they begin in the future, since the library looks at the real clock as well."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def solved(hurdle: Hurdle) -> str:
    challenge = Challenge.from_dict(json.loads(hurdle.challenge))
    solution = solve_challenge(challenge)
    assert solution is not None
    return Payload(challenge, solution).to_base64()


def floods(time: Time, **settings: object) -> Floods:
    return Floods(Settings(challenge_numbers=50, **settings), time)  # type: ignore[arg-type]


def attempt(time: Time, form: str = "form-1", content: str = "a", **more: str) -> Attempt:
    values = {"address": HOME, "form": form, "shown_at": int(time()) - 60, "content": content, **more}
    return Attempt(**values)  # type: ignore[arg-type]


def test_an_address_may_do_so_many_things_at_once_and_then_one_whenever_one_is_paid_off(time: Time) -> None:
    limit = Limit(Rate.read("3/60"), time)
    assert [limit.take(HOME) for _ in range(5)] == [0, 0, 0, 20, 20]
    time.now += 19
    assert limit.take(HOME) == 1
    time.now += 1
    assert (limit.wait(HOME), limit.take(HOME), limit.take(HOME)) == (0, 0, 20)
    time.now += 60
    assert [limit.take(HOME) for _ in range(4)] == [0, 0, 0, 20]


def test_addresses_are_counted_apart_and_a_household_s_ipv6_network_as_one(time: Time) -> None:
    limit = Limit(Rate.read("1/60"), time)
    assert limit.take(HOME) == limit.take("203.0.113.8") == limit.take("2001:db8:1:2::1") == 0
    assert limit.take("2001:db8:1:2:ffff::9") == 60
    assert limit.take("2001:db8:1:3::1") == 0
    assert limit.take(f"::ffff:{HOME}") == 60


def test_no_rate_is_no_limit_and_memory_is_bounded(time: Time) -> None:
    free = Limit(Rate.read(""), time)
    assert not any(free.take(HOME) for _ in range(1000))
    limit = Limit(Rate.read("1/60"), time, remember=10)
    for number in range(1000):
        limit.take(f"10.0.{number // 250}.{number % 250}")
    assert len(limit._paid) == 10


def test_r2_2_work_counts_for_its_form_alone_until_it_runs_out(time: Time) -> None:
    challenges = Challenges(SECRET, 50, time)
    hurdle = challenges.hurdle(HOME, "form-1")
    assert isinstance(hurdle, Hurdle)
    solution = solved(hurdle)
    assert challenges.has_worked(solution, "form-1")
    assert not challenges.has_worked(solution, "form-2")
    assert not Challenges(b"another secret, also long", 50, time).has_worked(solution, "form-1")
    payload = Payload.from_base64(solution)
    payload.solution.counter += 1
    assert not challenges.has_worked(payload.to_base64(), "form-1")
    easier = Payload.from_base64(solution)
    easier.challenge.parameters.key_prefix = ""
    assert not challenges.has_worked(easier.to_base64(), "form-1")
    for nonsense in ("", "x", "é", "e30=", "bnVsbA==", "W10=", "A" * 5000):
        assert not challenges.has_worked(nonsense, "form-1")
    time.now += LASTS + 1
    assert not challenges.has_worked(solution, "form-1")


def test_r2_2_without_scripts_each_form_of_an_address_gets_its_place_in_a_queue(time: Time) -> None:
    challenges = Challenges(SECRET, 50, time)
    first, second = (challenges.hurdle(HOME, form) for form in ("form-1", "form-2"))
    elsewhere = challenges.hurdle("203.0.113.9", "form-3")
    assert isinstance(first, Hurdle)
    assert isinstance(second, Hurdle)
    assert isinstance(elsewhere, Hurdle)
    assert (first.wait, second.wait, elsewhere.wait) == (QUEUE_SECONDS, 2 * QUEUE_SECONDS, QUEUE_SECONDS)
    assert not challenges.has_waited(first.ticket, "form-1")
    time.now += QUEUE_SECONDS
    assert challenges.has_waited(first.ticket, "form-1")
    assert not challenges.has_waited(second.ticket, "form-2")
    assert not challenges.has_waited(first.ticket, "form-2")
    again = challenges.hurdle(HOME, "form-2")
    assert isinstance(again, Hurdle)
    assert again.wait == QUEUE_SECONDS, "asking again moves nobody back"
    place, _, signature = first.ticket.partition(".")
    assert not challenges.has_waited(f"{int(place) - 50}.{signature}", "form-1")
    time.now += LASTS + 1
    assert not challenges.has_waited(first.ticket, "form-1")


def test_r2_2_who_would_have_to_queue_too_long_is_sent_away(time: Time) -> None:
    challenges = Challenges(SECRET, 50, time)
    answers = [challenges.hurdle(HOME, f"form-{n}") for n in range(LONGEST_QUEUE // QUEUE_SECONDS + 1)]
    assert all(isinstance(answer, Hurdle) for answer in answers[:-1])
    assert isinstance(answers[-1], int)
    assert answers[-1] > 0
    assert isinstance(challenges.hurdle("203.0.113.9", "form-x"), Hurdle)


def test_r2_2_a_few_letters_cost_nothing_more_cost_some_work_and_too_many_are_refused(time: Time) -> None:
    gate = floods(time, challenge_free="3/600", write_limit="5/3600")
    assert [gate.letter(attempt(time, f"form-{n}")) for n in range(3)] == [None] * 3
    for number in (3, 4):
        hurdle = gate.letter(attempt(time, f"form-{number}"))
        assert hurdle is not None
        assert gate.letter(attempt(time, f"form-{number}", solution=solved(hurdle))) is None
    with pytest.raises(TooMany) as refused:
        gate.letter(attempt(time, "form-5"))
    assert refused.value.seconds == 720
    assert gate.letter(attempt(time, "form-0")) is None, "a letter that was let through may be sent again"


def test_r2_2_each_work_and_each_wait_lets_one_text_through(time: Time) -> None:
    gate = floods(time, challenge="always", challenge_free="")
    hurdle = gate.letter(attempt(time))
    assert hurdle is not None
    solution = solved(hurdle)
    assert gate.letter(attempt(time, solution=solution)) is None
    assert gate.letter(attempt(time, solution=solution)) is None, "the same text again"
    with pytest.raises(Reused):
        gate.letter(attempt(time, content="b", solution=solution))
    assert gate.letter(attempt(time, "form-2", solution=solution)) is not None
    waiting = gate.letter(attempt(time, "form-3"))
    assert waiting is not None
    time.now += waiting.wait
    assert gate.letter(attempt(time, "form-3", ticket=waiting.ticket)) is None
    with pytest.raises(Reused):
        gate.letter(attempt(time, "form-3", content="b", ticket=waiting.ticket))


def test_r2_2_no_hurdle_is_put_before_a_form_that_no_work_lets_through_again(time: Time) -> None:
    gate = floods(time, challenge="always", challenge_free="")
    hurdle = gate.letter(attempt(time))
    assert hurdle is not None
    assert gate.letter(attempt(time, solution=solved(hurdle))) is None
    for more in ({}, {"solution": solved(hurdle)}):
        with pytest.raises(Reused) as asked:
            gate.letter(attempt(time, content="b", **more))
        assert (asked.value.status, asked.value.rule) == (409, "R2.2")
    renewed = gate.letter(attempt(time, "form-2", content="b"))
    assert renewed is not None
    assert gate.letter(attempt(time, "form-2", content="b", solution=solved(renewed))) is None
    assert gate.letter(attempt(time)) is None, "what was let through before still is"


def test_r2_2_another_text_that_costs_nothing_is_left_to_the_front_door(time: Time) -> None:
    gate = floods(time, challenge_free="2/600")
    assert [gate.letter(attempt(time, content=text)) for text in "ab"] == [None, None]
    with pytest.raises(Reused):
        gate.letter(attempt(time, content="c"))


def test_r2_2_a_form_sent_quicker_than_people_can_or_in_a_flood_from_everywhere_costs_some_work(time: Time) -> None:
    gate = floods(time, challenge_busy="2/60", challenge_free="")
    quick = attempt(time, "form-1")
    assert gate.letter(Attempt(HOME, "form-1", int(time()) - 1, quick.content)) is not None
    time.now += 120
    asked = [gate.letter(Attempt(f"198.51.100.{n}", f"form-{n}", int(time()) - 60, "a")) for n in range(2, 6)]
    assert [hurdle is None for hurdle in asked] == [True, True, False, False]
    off = floods(time, challenge="off", challenge_busy="1/60", challenge_free="1/60")
    assert [off.letter(Attempt(HOME, f"form-{n}", int(time()), "a")) for n in range(5)] == [None] * 5


def test_r2_2_files_without_the_page_count_like_those_from_it_but_for_the_city_s_portals(time: Time) -> None:
    usual = floods(time, upload_limit="2/60", portal_addresses=("192.0.2.0/24",))
    for _ in range(10):
        usual.file("192.0.2.9")
    usual.file(HOME)
    usual.upload(HOME)
    with pytest.raises(TooMany):
        usual.file(HOME)


def test_r1_5_posts_of_other_sites_are_not_counted_unless_set_and_the_city_s_portals_never(time: Time) -> None:
    usual = floods(time)
    assert not usual.limits_portals
    for _ in range(1000):
        usual.portal(HOME)
    strict = floods(time, portal_limit="2/60", portal_addresses=("192.0.2.0/24", "2001:db8::/32"))
    for _ in range(10):
        strict.portal("192.0.2.9")
        strict.portal("2001:db8::7")
    strict.portal(HOME)
    strict.portal(HOME)
    with pytest.raises(TooMany):
        strict.portal(HOME)
