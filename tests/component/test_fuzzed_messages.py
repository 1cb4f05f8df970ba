"""No message stops the others: whatever comes on a topic is refused, parked with a reason, or changes nothing (docs/fuzzing.md)."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from deploy.demo.city import City, one_address
from shared.contracts.envelope import LONGEST
from shared.messaging.parking import Why
from tests.conftest import World
from tests.e2e.journey import Journey
from tests.fuzz import disorder, gun
from tests.fuzz.city import all_services
from tests.fuzz.messages import BROKER_LIMIT

ROUNDS: Final = int(os.environ.get("FUZZ_ROUNDS", "2"))
"""How often each way to bend a message is tried on each topic."""
SEED: Final = int(os.environ.get("FUZZ_SEED", "20260302"))
SECONDS: Final = 60


async def test_whatever_comes_on_the_topics_every_letter_goes_its_way(world: World, tmp_path: Path) -> None:
    async with all_services(world, tmp_path) as run:
        sent = await gun.fire(world, gun.barrage(ROUNDS, SEED))
        await world.caught_up(seconds=SECONDS)
        waits, heard = await gun.parked(world), await gun.refused(world, gun.UNITS)
        assert not [str(one) for one in sent if one.shot.bad and not gun.answered_for(one, waits, heard)]
        for _, message in (one for of_origin in waits.values() for one in of_origin):
            assert message.why is Why.BEHIND or message.error, f"{message.origin} waits without a reason"

        assert forged_and_understood(sent, heard)
        await disorder.out_of_order(world, SEED)
        await disorder.again_and_forged(world)
        assert (await run.get("/health/ready")).status_code == 200, "what is no change of the directory is passed over"
        with pytest.raises(MessageSizeTooLargeError):
            await gun.fire(world, [replace(sent[0].shot, value=b"x" * (BROKER_LIMIT + 1))])

        async with City(one_address(run.url), world.keys, world.kit().directory, patience=20) as city:
            await Journey(world, [city]).first_weeks()
        await world.caught_up(seconds=SECONDS)
        print(f"{len(sent)} messages: {len(waits)} parked or waiting, {len(heard)} refused")


def forged_and_understood(sent: Sequence[gun.Sent], heard: gun.Heard) -> bool:
    """Whether actions that say another source were read like any other: refused for what they are about, and not for who they are from."""
    forged = [
        dict(one.shot.headers) for one in sent if one.shot.bent.startswith("from ") and "actions." in one.shot.topic
    ]
    fitting = [headers for headers in forged if len(headers["ce_source"] or b"") <= LONGEST]
    return bool(fitting) and all(heard[(headers["ce_id"] or b"").decode()].rule != "message" for headers in fitting)
