"""How many brokers keep a topic, how many must have a message, and when too few answer."""

from types import SimpleNamespace
from typing import Any

import pytest

from deploy.topics import DECLARED
from shared.messaging.broker import too_few_brokers
from shared.messaging.topics import Copies


@pytest.mark.parametrize(
    ("wanted", "brokers", "found"),
    [
        (Copies(), 1, Copies(1, 1)),
        (Copies(), 2, Copies(2, 1)),
        (Copies(), 3, Copies(3, 2)),
        (Copies(), 9, Copies(3, 2)),
        (Copies(replicas=3), 2, Copies(3, 2)),
        (Copies(replicas=5, least=3), 5, Copies(5, 3)),
    ],
)
def test_copies_follow_the_declaration_and_the_brokers_unless_they_are_asked_for(
    wanted: Copies, brokers: int, found: Copies
) -> None:
    assert wanted.where(DECLARED, brokers) == found


def test_a_topic_that_is_there_keeps_its_guard_whoever_answers_and_never_wants_more_than_it_has() -> None:
    assert Copies().of(3) == Copies(3, 2)
    assert Copies(replicas=3).of(1) == Copies(1, 1)
    assert Copies(least=2).of(1) == Copies(1, 1)


class _Client:
    """Knows two topics on three brokers; those in `answering` can be connected to."""

    def __init__(self, *answering: int) -> None:
        self._answering = answering
        parts = {0: SimpleNamespace(replicas=[1, 2, 3]), 1: SimpleNamespace(replicas=[2, 3, 1])}
        self.cluster = SimpleNamespace(_partitions={"letters": parts, "submissions": parts})

    async def ready(self, node: int) -> bool:
        if node == 3 and node not in self._answering:
            raise TimeoutError
        return node in self._answering


def _subscriber(client: Any) -> Any:
    return SimpleNamespace(consumer=None if client is None else SimpleNamespace(_client=client))


async def test_with_one_broker_of_three_away_nothing_is_wrong_with_two_away_nothing_could_be_acknowledged() -> None:
    started = [_subscriber(None), _subscriber(_Client(1, 2))]
    assert await too_few_brokers(started, Copies()) is None
    said = await too_few_brokers([_subscriber(_Client(2))], Copies())
    assert said == "1 of 3 brokers that keep a topic answer; 2 must"
    assert await too_few_brokers([_subscriber(_Client(2))], Copies(least=1)) is None
    assert await too_few_brokers([_subscriber(_Client(1, 2))], Copies(least=3)) is not None
