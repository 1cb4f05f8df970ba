"""No message stops the others: whatever comes on a topic is refused, parked with a reason, or changes nothing (docs/fuzzing.md)."""

import os
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from deploy.demo.city import City, one_address
from services import NAMES
from services.__main__ import build
from services.runtime import Service
from shared.contracts.envelope import event_id, pack
from shared.messaging.parking import Why
from tests.access_letters import Letter
from tests.component.test_access import followed
from tests.conftest import World, eventually
from tests.e2e.journey import Journey
from tests.fuzz import gun
from tests.fuzz.city import all_services
from tests.fuzz.messages import BROKER_LIMIT, Shot

ROUNDS: Final = int(os.environ.get("FUZZ_ROUNDS", "2"))
"""How often each way to bend a message is tried on each topic."""
SEED: Final = int(os.environ.get("FUZZ_SEED", "20260302"))
SECONDS: Final = 60


async def test_whatever_comes_on_the_topics_every_letter_goes_its_way(world: World, tmp_path: Path) -> None:
    async with all_services(world, tmp_path) as run:
        sent = await gun.fire(world, gun.barrage(ROUNDS, SEED))
        await gun.nobody_is_behind(world, SECONDS)
        waits, heard = await gun.parked(world), await gun.refused(world, gun.UNITS)
        assert not [str(one) for one in sent if one.shot.bad and not gun.answered_for(one, waits, heard)]
        for _, message in (one for of_origin in waits.values() for one in of_origin):
            assert message.why is Why.BEHIND or message.error, f"{message.origin} waits without a reason"

        await out_of_order(world)
        with pytest.raises(MessageSizeTooLargeError):
            await gun.fire(world, [replace(sent[0].shot, value=b"x" * (BROKER_LIMIT + 1))])

        async with City(one_address(run.url), world.keys, world.kit().directory, patience=20) as city:
            await Journey(world, [city]).first_weeks()
        await gun.nobody_is_behind(world, SECONDS)
        print(f"{len(sent)} messages: {len(waits)} parked or waiting, {len(heard)} refused")


async def out_of_order(world: World) -> None:
    """Letters whose facts come in any order, some again with other content, and of some one not at all until later."""
    chance = random.Random(SEED)
    kit = world.kit()
    services = [build(name, kit) for name in NAMES]
    shots, late = [], {}
    for serial in range(1, 13):
        letter = Letter(str(uuid4()), serial)
        story = told(letter)
        chance.shuffle(story)
        if serial % 2:
            late[letter.id] = story.pop(
                next(place for place, one in enumerate(story) if b"HandoffSent" in str(one).encode())
            )
        again = [replace(one, value=b'{"letter_id": "another"}') for one in story if chance.random() < 0.4]
        shots += [*story, *again, *(one for one in story if chance.random() < 0.3)]
    await gun.fire(world, shots, spread=False)
    await gun.nobody_is_behind(world, SECONDS)
    ids = {shot.key.decode() for shot in shots if shot.key}
    why = defaultdict(set)
    for _, message in (one for of_origin in (await gun.parked(world)).values() for one in of_origin):
        why[message.letter_id].add(message.why)
        if message.letter_id in ids and message.why is Why.FAILED:
            print(message.origin, message.error)
    # What came in the wrong order may be refused by a service that had to decide before it knew all: then it is parked, and waits.
    sound = {one for one in ids if Why.FAILED not in why[one]}
    assert sound, "every single letter is parked"
    for one in sound:
        assert (Why.GAP in why[one]) == (one in late), f"{one}: {why[one]}"
    await gun.fire(world, list(late.values()), spread=False)
    letters = [Letter(one, 1) for one in sound - late.keys()]

    async def whole() -> bool:
        for service in services:
            assert not await lacking(service, letters)
        return True

    await eventually(whole, SECONDS)
    kit.store.close()


async def lacking(service: Service, letters: list[Letter]) -> list[str]:
    """The letters of which a service does not know everything that was told."""
    found = await service.letters.aggregates.get_many([letter.id for letter in letters])
    return [
        letter.id
        for letter in letters
        for source, seq in followed(service, letter.until("published")).items()
        if letter.id not in found or found[letter.id].seen.get(source, 0) < seq
    ]


def told(letter: Letter) -> list[Shot]:
    """The letter's facts until it is public, as they stand on the topic."""
    counts: dict[str, int] = defaultdict(int)
    shots = []
    for fact in letter.until("published"):
        counts[fact.source] += 1
        seq = counts[fact.source]
        out = pack(
            fact,
            topic="letters",
            letter_id=letter.id,
            source=fact.source,
            id=event_id(letter.id, fact.source, seq),
            time=fact.at,
            traceparent="",
            seq=seq,
        )
        headers = tuple((name, text.encode()) for name, text in out.headers.items())
        shots.append(Shot("letters", letter.id.encode(), out.value, headers))
    return shots
