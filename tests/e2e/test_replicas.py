"""Two processes of each service share the work, with the same results as one."""

from services import NAMES
from tests.e2e.fleet import Fleet
from tests.e2e.journey import Journey


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
            assert '"level":"error"' not in run.log.read_text(), run.last_words()
