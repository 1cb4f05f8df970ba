"""Letters that citizens really wrote, over nine years, each answered with its real answer on its real day: some in `make test`, a thousand
in `make replay`.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.demo.city import City, Refused
from services import NAMES
from tests.conftest import eventually
from tests.e2e.fleet import Fleet
from tests.e2e.real_letters import FILE, REFUSED, choose, invented, load
from tests.e2e.real_recount import EAST, Course, midnight
from tests.e2e.replay import IN_FLIGHT, UNITS, Heard, Replay, submission, unit_of

NUMBER = int(os.environ.get("REPLAY_LETTERS", "200"))
FIRST, END = "2011-01-01", "2021-01-01"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason=f"the real letters are not there: {FILE.name} in ../shared/letters or LETTERS_FOLDER"
)


@asynccontextmanager
async def replaying(fleet: Fleet, courses: Sequence[Course]) -> AsyncIterator[Replay]:
    """The five services at the day before the first letter, and somebody who listens to them."""
    world = fleet.world
    world.move_clock(midnight(date(2011, 1, 4)), 0)
    for run in fleet.runs:
        run.environment = run.environment | {"SWEEP_SECONDS": "0.05" if run.service == "deadline" else "0.5"}
    await fleet.up()
    producer = AIOKafkaProducer(bootstrap_servers=world.settings.kafka_bootstrap, acks="all")
    await producer.start()
    try:
        async with fleet.city() as city, Heard(world).listening() as heard:
            yield Replay(world, city, heard, producer, courses)
    finally:
        await producer.stop()


@pytest.mark.timeout(1800)
async def test_real_letters_go_their_way_and_every_moment_equals_a_recount_from_the_dates_alone(
    fleet: Fleet,
) -> None:
    letters = [*choose(load(), NUMBER), *invented()]
    courses = [Course(letter, place) for place, letter in enumerate(letters)]
    assert len({letter.written_at for letter in letters}) == len(letters) >= NUMBER
    assert {letter.written_at.year for letter in letters} >= set(range(2011, 2020))
    async with replaying(fleet, courses) as replay:
        await _odd_texts_are_refused_with_field_and_rule(replay.city)
        await replay.run()
        assert replay.boards > 20
        _moments_are_right(replay)
        _numbers_are_gapless(replay)
        await _citizens_have_their_answers(replay)
        await _nothing_is_left_or_lost(fleet, replay)
        await eventually(lambda: _figures_are_right(replay), 60)
    for run in fleet.runs:
        assert '"level":"error"' not in run.log.read_text(), run.last_words()


async def _odd_texts_are_refused_with_field_and_rule(city: City) -> None:
    """What is no letter is refused, and the citizen is told which field and which rule."""
    for name, text in REFUSED:
        with pytest.raises(Refused) as caught:
            await city.submit(submission("小区门口路灯不亮", "我们小区门口的路灯坏了半个多月。") | {name: text})
        wrong = [(error["field"], error["rule"]) for error in caught.value.errors]
        assert (caught.value.status, wrong) == (422, [(f"/{name}", "R2.2")]), text[:20]


def _moments_are_right(replay: Replay) -> None:
    """Every letter was received, due, overdue and answered when the dates say, and nothing else happened to it."""
    for course in replay.courses:
        assert replay.heard.kinds[replay.id_of(course)] == course.facts
        letter = course.letter
        (received,) = replay.of(course, "LetterReceived")
        assert (received.at, received.subject, received.body) == (letter.written_at, *letter.kept)
        (sent,) = replay.of(course, "HandoffSent")
        assert sent.at.astimezone(EAST).date() == course.assigned_on
        due_at = _after(course.reply_by)
        assert [fact.due_at for fact in replay.of(course, "ReplyDueSet")] == [due_at]
        if told := replay.heard.due.get(replay.id_of(course)):
            assert told.due_at == due_at
        for kind in ("ReadingOverdue", "DispositionOverdue", "ReplyOverdue"):
            expected = [course.overdue_at[kind]] if kind in course.overdue_at else []
            assert [fact.due_at for fact in replay.of(course, kind)] == expected, kind
            assert [fact.at for fact in replay.of(course, kind)] == expected, kind
        for kind in ("UrgingDue", "UrgingSent"):
            assert [fact.count for fact in replay.of(course, kind)] == list(range(1, course.urged + 1))
        assert [fact.at for fact in replay.of(course, "UrgingDue")][:1] == _first_urging(course)
        answered = [(fact.text, fact.at.astimezone(EAST).date()) for fact in replay.of(course, "CitizenAnswered")]
        assert answered == ([] if letter.replied_on is None else [(letter.reply, letter.replied_on)])
    kinds = Counter(kind for course in replay.courses for kind in course.facts.elements())
    for kind in ("ReadingOverdue", "DispositionOverdue", "ReplyReminded", "ReplyOverdue", "NoticeRemoved"):
        assert kinds[kind] > 20, f"the replay shows little of {kind}"


def _after(day: date) -> datetime:
    """Return 24:00 of a day."""
    return midnight(date.fromordinal(day.toordinal() + 1))


def _first_urging(course: Course) -> list[datetime]:
    """Return when a letter is urged for the first time: as it becomes late."""
    return [course.overdue_at["ReplyOverdue"]] if course.is_late else []


def _numbers_are_gapless(replay: Replay) -> None:
    """In each year 1, 2, 3 … in the order of registration, each letter one number."""
    years: dict[int, list[tuple[int, date]]] = {}
    for course in replay.courses:
        number = replay.number(course)
        assert number.year == course.read_on.year
        years.setdefault(number.year, []).append((number.serial, course.read_on))
    assert sorted(years) == list(range(2011, 2020))
    for given in years.values():
        given.sort()
        assert [serial for serial, _ in given] == list(range(1, len(given) + 1))
        assert [day for _, day in given] == sorted(day for _, day in given)


async def _citizens_have_their_answers(replay: Replay) -> None:
    """Each finds the real reply under the receipt code, byte for byte; the never answered one is still in hand and late."""
    places = asyncio.Semaphore(IN_FLIGHT)

    async def look(course: Course) -> None:
        async with places:
            standing = await replay.city.standing(replay.receipts[course.place])
        letter = course.letter
        assert (standing["subject"], standing["number"]) == (letter.kept[0], replay.number(course).text)
        assert datetime.fromisoformat(standing["received_at"]) == letter.written_at
        replies = [] if letter.replied_on is None else [letter.reply.encode()]
        assert [answer["text"].encode() for answer in standing["answers"]] == replies
        assert (standing["state"], standing["overdue"]) == (("已答复", False) if replies else ("办理中", True))

    await asyncio.gather(*(look(course) for course in replay.courses))


async def _nothing_is_left_or_lost(fleet: Fleet, replay: Replay) -> None:
    """Every service knows every letter; nothing waits; who never got an answer is all that is left, on the clocks and on the board."""
    kit, city = fleet.world.kit(), replay.city
    for service in NAMES:
        stored = kit.store.database(service)["rows" if service == "reporting" else "letters"]
        assert await stored.count_documents({}) == len(replay.courses), service
        assert await kit.store.database(service)["waiting"].count_documents({}) == 0, service
    kit.store.close()
    open_ones = [course for course in replay.courses if course.letter.replied_on is None]
    assert len(open_ones) == 1
    numbers = {replay.number(course).ascii for course in open_ones}
    assert {entry["number"] for entry in (await city.board())["entries"]} == numbers
    page = await city.page("/public/board")
    assert all(replay.number(course).text in page for course in open_ones)
    running = [clock for unit in ("mayor", *set(UNITS)) for clock in await city.running_clocks(unit)]
    assert [(clock["letter_id"], clock["mailbox"], clock["state"], clock["urged"]) for clock in running] == [
        (replay.id_of(course), unit_of(course), "overdue", course.urged) for course in open_ones
    ]
    assert not await city.letters("mayor", "unread")
    assert not await city.published(), "nobody agreed to that"


async def _figures_are_right(replay: Replay) -> bool:
    """The weekly bulletin's figures, taken over the whole time, equal the recount."""
    found = await replay.city.figures("mayor", FIRST, END)
    total, answered = len(replay.courses), sum(c.letter.replied_on is not None for c in replay.courses)
    expected = {"received": total, "registered": total, "answered": answered, "withheld": answered, "published": 0}
    assert {name: found[name] for name in expected} == expected
    for unit in set(UNITS):
        mine = [course for course in replay.courses if unit_of(course) == unit]
        late = [course for course in mine if course.is_late]
        answered_late = sum(course.letter.replied_on is not None for course in late)
        row: dict[str, Any] = next(row for row in found["assigned"]["units"] if row["mailbox"] == unit)
        assert (row["assigned"], row["collected"]) == (len(mine), len(mine))
        assert (row["answered_in_time"], row["answered_late"]) == (len(mine) - len(late), answered_late)
        assert (row["became_overdue"], row["overdue"]) == (len(late), len(late) - answered_late)
    return bool(found["up_to_date"])
