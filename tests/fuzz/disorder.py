"""Messages that are well made and come in the wrong order, again, under another's id, or from somebody who is not who they say."""

import json
import random
from collections import defaultdict
from dataclasses import replace
from typing import Final
from uuid import uuid4

from services import NAMES
from services.__main__ import build
from services.runtime import Service
from shared.contracts.catalogue import parse
from shared.contracts.envelope import attributes, pack_fact
from shared.contracts.facts import HandoffCollected, LetterReceived, ReplySubmitted
from shared.contracts.types import Value
from shared.messaging.parking import Why
from tests.access_letters import Letter
from tests.component.test_access import followed
from tests.conftest import World, eventually
from tests.fuzz import gun
from tests.fuzz.messages import Shot, about, examples

SECONDS: Final = 60
UNIT: Final = "education-basic"


async def again_and_forged(world: World) -> None:
    """An action, and a submission, again with other content under the same id: the first counts. Who an action says it is from does not."""
    letter, id_ = Letter(str(uuid4()), 700), str(uuid4())
    await gun.fire(world, told(letter, "sent"), spread=False)
    await world.caught_up(seconds=SECONDS)
    collect, submit = (
        replace(about(_example(f"xinxiang.{kind}.v1"), letter.id, id_), topic=f"actions.{UNIT}")
        for kind in ("CollectLetter", "SubmitReply")
    )
    forged = _with(collect, handoff_id="s2").with_header("ce_source", b"/units/water", "from another unit")
    await gun.fire(world, [forged, forged, _with(submit, handoff_id="s2")], spread=False)
    posted = about(_example("xinxiang.SubmissionAccepted.v1"), str(uuid4()), str(uuid4()))
    await gun.fire(world, [posted, posted, _with(posted, body="另一封信的内容，与前一封的内容不同。")], spread=False)
    await world.caught_up(seconds=SECONDS)

    async def done() -> bool:
        facts = await _facts(world, letter.id)
        collected = [fact for fact in facts if isinstance(fact, HandoffCollected) and fact.handoff_id == "s2"]
        assert [fact.receiver for fact in collected] == [UNIT], "the topic says who asks, and the id is used once"
        assert not [fact for fact in facts if isinstance(fact, ReplySubmitted)], "the id is used once"
        received = [f for f in await _facts(world, (posted.key or b"").decode()) if isinstance(f, LetterReceived)]
        assert [fact.body for fact in received] == [json.loads(posted.value or b"{}")["body"]]
        return True

    await eventually(done, SECONDS)
    assert id_ not in await gun.refused(world, [UNIT]), "what is known already is no mistake"


async def _facts(world: World, letter_id: str) -> list[Value]:
    """A letter's facts: beside them the topic is full of what nobody can read."""
    records = [one for one in await world.records("letters") if one.key == letter_id.encode()]
    return [parse(attributes(one.headers).type, one.value) for one in records]


def _example(kind: str) -> Shot:
    every = [*examples("actions"), *examples("submissions")]
    return next(shot for shot in every if dict(shot.headers)["ce_type"] == kind.encode())


def _with(shot: Shot, **fields: str) -> Shot:
    return replace(shot, value=json.dumps(json.loads(shot.value or b"{}") | fields, ensure_ascii=False).encode())


async def out_of_order(world: World, seed: int) -> None:
    """Letters whose facts come in any order, some again with other content, and of some one not at all until later."""
    chance = random.Random(seed)
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
    await world.caught_up(seconds=SECONDS)
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


def told(letter: Letter, stage: str = "published") -> list[Shot]:
    """The letter's facts until a stage, as they stand on the topic."""
    counts: dict[str, int] = defaultdict(int)
    shots = []
    for fact in letter.until(stage):
        counts[fact.source] += 1
        seq = counts[fact.source]
        out = pack_fact(fact, seq)
        headers = tuple((name, text.encode()) for name, text in out.headers.items())
        shots.append(Shot("letters", letter.id.encode(), out.value, headers))
    return shots
