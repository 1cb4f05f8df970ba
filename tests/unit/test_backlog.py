"""In a rush the front door takes what can be stored in time, and asks others to come back; never because the store is away."""

import asyncio

import pytest

from services.intake.backlog import AT_WORK_SECONDS, LONGEST_SECONDS, SHORTEST_SECONDS, SPREAD, Backlog
from shared.messaging.kafka import KafkaError


class Ground:
    """A process's share of `submissions`, and a clock."""

    def __init__(self, most: int = 1_000) -> None:
        self.ends = {("submissions", 0): (0, 0), ("submissions", 1): (0, 0)}
        self.moment = 100.0
        self.asked = 0
        self.away = False
        self.backlog = Backlog(self.places, most, lambda: self.moment)

    async def places(self) -> dict[tuple[str, int], tuple[int, int]]:
        self.asked += 1
        if self.away:
            raise KafkaError
        return self.ends

    async def come(self) -> int | None:
        """A letter comes, and one a moment later, when the broker has answered."""
        self.backlog.come_back_in()
        for _ in range(3):
            await asyncio.sleep(0)
        return self.backlog.come_back_in()


async def test_as_long_as_few_wait_everybody_is_welcome() -> None:
    ground = Ground()
    ground.ends = {("submissions", 0): (10, 510), ("submissions", 1): (0, 500)}
    ground.backlog.stored(100)
    assert await ground.come() is None
    ground.ends[("submissions", 1)] = (0, 501)
    ground.moment += 2
    ground.backlog.stored(100)
    assert await ground.come() is not None


async def test_who_must_come_back_is_told_when_half_of_those_that_wait_will_be_stored() -> None:
    ground = Ground()
    ground.ends = {("submissions", 0): (0, 4_500)}
    for _ in range(5):
        ground.backlog.stored(200)
        ground.moment += 1
    told = {await ground.come() for _ in range(200)}
    assert min(s for s in told if s) >= 20  # (4,500 - 500) at 200 a second
    assert len(told) > 1, "they do not all come back at once"
    assert max(s for s in told if s) <= 20 * SPREAD
    ground.backlog.waiting = 1_001
    assert ground.backlog.come_back_in() in range(SHORTEST_SECONDS, 6)
    ground.backlog.waiting = 10**9
    assert ground.backlog.come_back_in() == LONGEST_SECONDS


async def test_nobody_is_refused_because_the_store_is_away() -> None:
    ground = Ground()
    ground.ends = {("submissions", 0): (0, 1_000_000)}
    assert await ground.come() is None, "nothing was ever stored"
    ground.backlog.stored(100)
    assert await ground.come() is not None
    ground.moment += AT_WORK_SECONDS + 0.1
    assert await ground.come() is None, "nothing has been stored for long"


async def test_the_broker_is_asked_once_a_second_at_most_and_not_at_all_while_nobody_writes() -> None:
    ground = Ground()
    assert ground.asked == 0
    for _ in range(50):
        await ground.come()
    assert ground.asked == 1
    ground.moment += 1
    await ground.come()
    assert ground.asked == 2


@pytest.mark.parametrize("waiting", [0, 5_000])
async def test_where_the_broker_does_not_answer_what_was_known_stands(waiting: int) -> None:
    ground = Ground()
    ground.ends = {("submissions", 0): (0, waiting)}
    ground.backlog.stored(10)
    before = await ground.come()
    ground.away, ground.moment = True, ground.moment + 1
    after = await ground.come()
    assert (before is None, after is None, ground.backlog.waiting) == (waiting == 0, waiting == 0, waiting)
