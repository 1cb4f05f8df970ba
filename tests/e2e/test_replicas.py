"""Two processes of each service share the work, with the same results as one."""

import asyncio

from deploy.demo.city import City
from services import NAMES
from tests.conftest import eventually
from tests.e2e.fleet import Fleet
from tests.e2e.journey import Fate, Journey, Tale, facts_on

EXPLANATIONS = 20


async def test_two_replicas_of_each_service_share_the_work_with_the_same_results(fleet_of_two: Fleet) -> None:
    fleet = fleet_of_two
    await fleet.up()
    async with fleet.city(0) as first, fleet.city(1) as second:
        journey = Journey(fleet.world, [first, second], count=20)
        await journey.whole()
        await journey.check()
        for service in NAMES:
            for replica in (0, 1):
                run = fleet.of(service, replica)
                assert await run.metric("xinxiang_messages_total", topic="letters", outcome="handled") > 0
                assert await run.metric("xinxiang_parked_letters") == 0
        await _both_write_on_one_letter(fleet, journey, [first, second])
    for run in fleet.runs:
        assert '"level":"error"' not in run.log.read_text(), run.last_words()


async def _both_write_on_one_letter(fleet: Fleet, journey: Journey, cities: list[City]) -> None:
    """Twenty explanations of progress on one letter at once, at either process: none is lost."""
    tale = Tale(21, Fate.ANSWERED, "water")
    await journey.submit(tale)
    await journey.screen(tale)
    await journey.hand_out(tale)
    await asyncio.gather(
        *(
            cities[number % 2].record_progress(tale.letter_id, "s1", tale.unit, f"第{number}次说明")
            for number in range(EXPLANATIONS)
        )
    )

    async def all_there() -> bool:
        facts = (await facts_on(fleet.world))[tale.letter_id]["routing"]
        return facts.count("ProgressRecorded") == EXPLANATIONS

    await eventually(all_there)
    handoff = (await cities[0].handling(tale.letter_id, tale.unit))["handoffs"][0]
    assert len({progress["text"] for progress in handoff["progress"]}) == EXPLANATIONS
