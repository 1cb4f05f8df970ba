"""A service remembers letters; another replica that moved one meanwhile must never be overlooked."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.routing.app import build
from services.routing.models import State
from services.runtime import Service
from shared.contracts.errors import Stale
from shared.contracts.facts import Fact, InstructionGiven, LetterNoted, LetterReceived
from shared.contracts.types import Actor, Classification, Nature
from shared.messaging.letters import Letters
from shared.storage import Aggregates
from tests.conftest import MONDAY, World

ABOUT = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")


class Refused(Exception):
    """What a decision raises."""


def received(letter_id: str) -> LetterReceived:
    return LetterReceived(
        letter_id=letter_id,
        at=MONDAY,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="路灯坏了",
        body="小区门口的路灯坏了两周。",
        classification=ABOUT,
        may_publish=True,
    )


def instructed(now: datetime) -> InstructionGiven:
    leader = Actor(subject="leader", mailbox="mayor")
    return InstructionGiven(
        letter_id="a", at=now, instruction_id="1", mailbox="mayor", leader=leader, text="请速办。", report_by=MONDAY
    )


async def meets(world: World, letters: Letters[State]) -> None:
    """Let a letter be received, and one of two know it."""
    await world.publish(received("a"))
    await letters.handle(await world.records("letters"), live=False)


async def left_behind(world: World, mine: Letters[State], other: Letters[State]) -> None:
    """Let `mine` remember a letter that `other` has moved on since: it was noted."""
    await meets(world, mine)
    await world.publish(LetterNoted(letter_id="a", at=MONDAY))
    await other.handle((await world.records("letters"))[-1:], live=False)


def noted(state: State | None) -> bool:
    assert state is not None
    assert state.letter is not None
    return state.letter.noted


@pytest.fixture
async def replicas(world: World) -> AsyncIterator[tuple[Letters[State], Letters[State]]]:
    """Two that share a store; neither runs, so each knows only what it is given."""
    services: list[Service] = [build(world.kit()), build(world.kit())]
    for service in services:
        await service.parking.ensure()
        for job in service.prepare:
            await job()
    yield services[0].letters, services[1].letters
    for service in services:
        service.kit.store.close()


async def test_a_refusal_is_made_on_the_letter_as_it_is_and_not_as_it_is_remembered(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await left_behind(world, mine, other)

    def decide(state: State | None, _: datetime) -> list[Fact]:
        raise Refused(noted(state))

    with pytest.raises(Refused, match="True"):
        await mine.command("a", decide)
    with pytest.raises(Stale) as stale:
        await mine.command("a", decide, expected=1)
    assert stale.value.current == 2


async def test_that_nothing_is_to_be_done_is_found_on_the_letter_as_it_is(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await left_behind(world, mine, other)
    seen: list[bool] = []

    def decide(_: str, state: State | None, now: datetime) -> list[Fact]:
        seen.append(noted(state))
        return []

    assert await mine.command_many(["a"], decide) == {}
    assert seen == [False, True]


async def test_facts_that_another_replica_applied_are_no_gap(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await meets(world, mine)
    await world.publish(LetterNoted(letter_id="a", at=MONDAY), LetterNoted(letter_id="a", at=MONDAY))
    second, third = (await world.records("letters"))[-2:]
    await other.handle([second], live=False)

    await mine.handle([third], live=False)

    stored = await mine.aggregates.get("a")
    assert (stored.seen, await mine.parking.queues(["a"])) == ({"intake": 3}, {})


async def test_a_letter_whose_facts_another_replica_takes_is_read_before_it_is_decided_on(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await left_behind(world, mine, other)
    asked: list[bool] = []

    def decide(state: State | None, _: datetime) -> list[Fact]:
        asked.append(noted(state))
        return []

    mine.owned = lambda _: False
    await mine.command("a", decide)
    assert asked == [True], "it was decided on what was remembered"
    await mine.command_many(["a"], lambda _, state, now: decide(state, now))
    assert asked == [True, True], "it was decided on what was remembered"


async def test_a_fact_that_another_replica_sent_and_this_one_met_on_the_topic_is_not_sent_again(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await meets(world, other)

    def decide(_: State | None, now: datetime) -> list[Fact]:
        return [instructed(now)]

    await other.command("a", decide)
    (waiting,) = (await other.aggregates.get("a")).outbox
    await world.send(replace(waiting, value=waiting.value.replace("速".encode(), "慢".encode())))
    await mine.handle((await world.records("letters"))[-1:])
    assert not mine.outbox.acknowledged(waiting.id), "that was another fact"
    await world.send(waiting)
    await mine.handle((await world.records("letters"))[-1:])
    assert mine.outbox.acknowledged(waiting.id)


async def test_whoever_sends_what_another_left_knows_the_letter_as_it_is(
    world: World, replicas: tuple[Letters[State], Letters[State]]
) -> None:
    mine, other = replicas
    await meets(world, mine)
    moved = await other.command("a", lambda _, now: [instructed(now)])
    assert (await mine.aggregates.recall(["a"]))[0]["a"].version == 1, "nobody told it yet"
    left = await mine.aggregates.unsent(datetime.now(UTC) + timedelta(seconds=1), 10)
    assert [(letter.id, letter.version) for letter in left] == [("a", moved.version)]
    found, remembered = await mine.aggregates.recall(["a"])
    assert (found["a"].version, remembered) == (moved.version, {"a"})


async def test_a_read_that_began_before_a_write_does_not_replace_what_was_written(
    world: World, replicas: tuple[Letters[State], Letters[State]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = replicas
    await meets(world, mine)
    read, was_read, written = mine.aggregates._read, asyncio.Event(), asyncio.Event()

    async def late(cursor: Any, most: int) -> list[dict[str, Any]]:
        documents = await read(cursor, most)
        was_read.set()
        await written.wait()
        return documents

    monkeypatch.setattr(Aggregates, "_read", staticmethod(late))
    old = asyncio.create_task(mine.aggregates.get_many(["a"]))
    await was_read.wait()
    monkeypatch.undo()
    moved = await mine.command("a", lambda _, now: [instructed(now)])
    written.set()
    assert (await old)["a"].version == 1
    assert (await mine.aggregates.recall(["a"]))[0]["a"].version == moved.version
