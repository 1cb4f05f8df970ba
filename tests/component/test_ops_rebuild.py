"""A projection is built anew beside the live one and takes its place while letters come and are handled."""

import asyncio
from collections import Counter

from services.intake.handlers import Registrar
from shared.contracts.facts import LetterRegistered
from shared.contracts.types import Actor
from tests.conftest import MONDAY, World, eventually
from tests.operator import call, city, ops, received, registered
from tests.routing_desk import CLERK, DUTY, HEAD, SLIP

WHY = ("--yes", "--reason", "新索引", "--by", "operator", "--json")


async def test_a_projection_is_exchanged_under_load_and_back_and_nothing_is_lost_or_told_twice(world: World) -> None:
    async with city(world) as (client, services):
        letters: list[str] = []
        going = True

        async def one() -> None:
            letter_id, _ = await received(client, world)
            for path, who, body in (
                (f"/intake/letters/{letter_id}/register", CLERK, None),
                (f"/routing/letters/{letter_id}/slips", CLERK, SLIP),
                (f"/routing/letters/{letter_id}/slips/s1/approve", HEAD, None),
            ):

                async def done(path=path, who=who, body=body) -> bool:
                    answer = await client.post(path, json=body, headers=world.token(*who))
                    assert answer.status_code in {200, 201, 404, 409, 503}, answer.text
                    return answer.status_code in {200, 201}

                await eventually(done, 120)
            letters.append(letter_id)

        async def load() -> None:
            while going:
                await one()

        await one()
        at_work = asyncio.create_task(load())
        for service in ("routing", "intake"):
            done = await ops(world, "rebuild", service, "--beside", *WHY)
            assert done.status == 0, done.err
            assert done.answer["compared"]["different"] == 0
            assert done.answer["to"] == "g2"
        count = len(letters)
        await eventually(lambda: asyncio.sleep(0, len(letters) > count), 120)
        again = await ops(world, "rebuild", "routing", "--beside", *WHY)
        assert (again.status, "--forget" in again.err) == (1, True)
        back = await ops(world, "rebuild", "routing", "--back", *WHY)
        assert (back.status, back.answer["to"]) == (0, "g1"), back.err
        going = False
        await at_work
        await world.settled()

        # Each letter is where its journey left it, in every list, with every fact once, and its numbers have no gap.
        facts: Counter[tuple[str, str, int]] = Counter()
        numbers = []
        for record in await world.records("letters"):
            headers = dict(record.headers)
            facts[record.key.decode(), headers["ce_source"].decode(), int(headers["ce_seq"])] += 1
        for letter_id in letters:
            seen = [fact for fact in await world.facts_of(letter_id) if isinstance(fact, LetterRegistered)]
            numbers += [fact.number.serial for fact in seen]
            shown = await call(client, world, "GET", f"/routing/letters/{letter_id}", DUTY)
            assert [handoff["receiver"] for handoff in shown["handoffs"]] == ["education"]
            story = await ops(world, "letter", letter_id, "--json")
            assert story.status == 0, [(n, s["lacks"], s["waiting"]) for n, s in story.answer["services"].items()]
        assert sorted(numbers) == list(range(1, len(letters) + 1))
        told = [record.key for record in await world.records("mailbox.education")]
        ids = [dict(record.headers)["ce_id"] for record in await world.records("mailbox.education")]
        assert {key.decode() for key in told} == set(letters)
        assert len(ids) == len(set(ids))
        contacts = services[0].kit.store.collection("intake", "contacts")
        assert await contacts.count_documents({}) == len(letters)
        for service in ("routing", "intake"):
            forgotten = await ops(world, "rebuild", service, "--forget", *WHY)
            assert forgotten.status == 0, forgotten.err
        assert await registered(client, world, (await received(client, world))[0])
        await _tidy(world)


async def test_r3_6_a_number_stays_its_letter_s_where_its_registration_was_broken_off_before_an_exchange(
    world: World,
) -> None:
    async with city(world) as (client, services):
        (registrar,) = (part for part in services[0].parts if isinstance(part, Registrar))
        one, _ = await received(client, world)
        clerk = Actor(subject=CLERK[0], mailbox="mayor")
        line = await registrar.register.line("mayor", MONDAY.year, one, clerk, MONDAY)  # and then the store was away
        for serial, way in enumerate(("--beside", "--back"), start=1):
            done = await ops(world, "rebuild", "intake", way, *WHY)
            assert done.status == 0, done.err
            await registered(client, world, one)
            assert (await registrar.register.lines_of([one]))[one].number == line.number
            one, _ = await received(client, world)
            line = await registrar.register.line("mayor", MONDAY.year, one, clerk, MONDAY)
            assert line.number.serial == serial + 1
        await _tidy(world)


async def _tidy(world: World) -> None:
    """Remove what the operator's commands made beside the services' databases."""
    kit = world.kit()
    await kit.store.drop("intake_g2")
    await kit.store.drop("ops")
    kit.store.close()
