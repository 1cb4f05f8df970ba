"""The guarantees of the message flow on real engines, shown on a small service: a bell that rings once for each letter read."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from deploy.parked import NotParked, decide, listed
from services.kit import Kit
from services.rebuild import rebuild
from services.runtime import Service
from shared.contracts.catalogue import TYPE_OF
from shared.contracts.envelope import event_id, pack, pack_fact
from shared.contracts.facts import Fact, LetterRead, LetterReceived, LetterRegistered, ReadingOverdue
from shared.contracts.types import Actor, Classification, Moment, Nature, Number, Value
from shared.messaging.letters import Letters
from shared.messaging.parking import Why
from shared.messaging.work import Domain
from shared.storage import Aggregates, Change, Stored
from tests.conftest import MONDAY, World, eventually

CLERK = Actor(subject="mayor-clerk", mailbox="mayor")


class Bell(Value):
    """What the small service knows of a letter."""

    letter_id: str
    mailbox: str
    read_at: Moment | None = None
    number: str = ""
    rings: int = 0


def _follow(bell: Bell, now: datetime) -> Sequence[Fact]:
    if bell.read_at is None or bell.rings:
        return ()
    return [ReadingOverdue(letter_id=bell.letter_id, at=now, mailbox=bell.mailbox, due_at=bell.read_at)]


def _registered(bell: Bell | None, fact: LetterRegistered) -> Bell:
    assert bell is not None
    if fact.number.serial == 13:
        raise ValueError("no letter may have this number")
    return bell.model_copy(update={"number": fact.number.text})


ON: Any = {
    LetterReceived: lambda _, f: Bell(letter_id=f.letter_id, mailbox=f.mailbox),
    LetterRead: lambda s, f: s.model_copy(update={"read_at": f.at}),
    LetterRegistered: _registered,
    ReadingOverdue: lambda s, _: s.model_copy(update={"rings": s.rings + 1}),
}


def bell_service(kit: Kit) -> Service:
    service = Service.new("deadline", kit)
    aggregates: Aggregates[Bell] = Aggregates(
        kit.store,
        "deadline",
        "letters",
        dump=lambda bell: bell.model_dump(mode="json"),
        load=Bell.model_validate,
        fields=lambda _: {},
    )
    letters = Letters(
        Domain("deadline", ON, _follow), aggregates, service.outbox, service.parking, kit.clock, kit.namespace
    )
    service.letters = letters
    service.prepare.append(aggregates.ensure)
    service.follow_letters()
    return service


def received(letter_id: str, at: datetime = MONDAY) -> LetterReceived:
    return LetterReceived(
        letter_id=letter_id,
        at=at,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="路灯不亮",
        body="小区门口的路灯坏了半个多月。",
        classification=Classification(nature=Nature.HELP, domain="utilities-power", region="500103"),
        may_publish=True,
    )


def read(letter_id: str) -> LetterRead:
    return LetterRead(letter_id=letter_id, at=MONDAY + timedelta(hours=1), by=CLERK)


def registered(letter_id: str, serial: int) -> LetterRegistered:
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=serial)
    return LetterRegistered(letter_id=letter_id, at=MONDAY + timedelta(hours=2), by=CLERK, number=number)


def packed(fact: Fact, seq: int) -> tuple[str, str, bytes, dict[str, str]]:
    message = pack_fact(fact, seq)
    return message.topic, message.key, message.value, message.headers


async def state_of(service: Service, letter_id: str) -> Bell | None:
    stored: Stored[Bell] = await service.letters.aggregates.get(letter_id)
    return stored.state


async def waiting(world: World, service: Service) -> list[tuple[str, Why | None]]:
    found = await listed(world.settings, service.kit.store, ("deadline",))
    return [(message.origin, message.why) for _, message in found]


async def stuck_as(world: World, service: Service, *whys: Why) -> list[tuple[str, Why | None]]:
    found = await waiting(world, service)
    return found if tuple(why for _, why in found) == whys else []


async def test_a_fact_has_its_effect_once_however_often_it_comes(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"), read("a"))
        for _ in range(3):
            await world.produce(*packed(received("a"), 1))
            await world.produce(*packed(read("a"), 2))
        await world.publish(received("b"), read("b"))
        await eventually(lambda: _rang(service, "b"))
        bell = await state_of(service, "a")
        assert bell is not None
        assert bell.rings == 1
        await eventually(lambda: _count(world, ReadingOverdue, 2))


async def _rang(service: Service, letter_id: str) -> bool:
    bell = await state_of(service, letter_id)
    return bell is not None and bell.rings == 1


async def _count(world: World, kind: type[Fact], count: int) -> bool:
    return len([fact for fact in await world.messages("letters") if isinstance(fact, kind)]) == count


async def test_a_malformed_message_parks_and_its_letter_catches_up_in_order_after_the_repair(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"))
        topic, key, value, headers = packed(read("a"), 2)
        await world.produce(topic, key, b"{not json", headers)
        await world.produce(*packed(registered("a", 5), 3))
        await world.publish(received("b"), read("b"))
        await eventually(lambda: _rang(service, "b"))

        stuck = await eventually(lambda: stuck_as(world, service, Why.FAILED, Why.BEHIND))
        bell = await state_of(service, "a")
        assert bell is not None
        assert (bell.read_at, bell.number) == (None, "")
        record = (await world.records("letters.parked.deadline"))[0]
        assert b'"origin":"' + stuck[0][0].encode() in record.value
        assert b"json_invalid" in record.value

        with pytest.raises(NotParked, match="waits behind"):
            await decide(world.settings, service.kit.store, "deadline", stuck[1][0])
        await decide(world.settings, service.kit.store, "deadline", stuck[0][0], value=value)

        async def caught_up() -> bool:
            bell = await state_of(service, "a")
            return bell is not None and bell.number == "渝府信〔2026〕5号" and bell.rings == 1

        await eventually(caught_up)
        assert await eventually(lambda: _none_waits(world, service))


async def _this_many_wait(world: World, service: Service, count: int) -> bool:
    return len(await waiting(world, service)) == count


async def _none_waits(world: World, service: Service) -> bool:
    return not await waiting(world, service)


async def test_a_message_that_breaks_a_rule_can_be_dropped_and_its_letter_goes_on(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"), registered("a", 13), read("a"))
        stuck = await eventually(lambda: stuck_as(world, service, Why.FAILED, Why.BEHIND))
        await decide(world.settings, service.kit.store, "deadline", stuck[0][0], drop=True)
        await eventually(lambda: _rang(service, "a"))
        bell = await state_of(service, "a")
        assert bell is not None
        assert bell.number == ""
        assert await eventually(lambda: _none_waits(world, service))


async def test_a_replay_that_fails_again_stays_parked(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"), registered("a", 13))
        stuck = await eventually(lambda: waiting(world, service))
        await decide(world.settings, service.kit.store, "deadline", stuck[0][0])
        await world.publish(received("b"), read("b"))
        await eventually(lambda: _parked_records(world, 2))
        assert await waiting(world, service) == stuck


async def _parked_records(world: World, count: int) -> bool:
    return len(await world.records("letters.parked.deadline")) == count


async def test_a_letter_with_a_gap_in_seq_waits_until_the_missing_fact_comes(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"))
        await world.produce(*packed(registered("a", 5), 3))
        stuck = await eventually(lambda: waiting(world, service))
        assert [why for _, why in stuck] == [Why.GAP]
        await world.produce(*packed(read("a"), 2))

        async def whole() -> bool:
            bell = await state_of(service, "a")
            return bell is not None and bell.number != "" and bell.rings == 1

        await eventually(whole)
        assert await eventually(lambda: _none_waits(world, service))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"ce_source": "/services/reporting"}, b"is no fact of"),
        ({"ce_type": "xinxiang.LetterTeleported.v9"}, b"unknown message type"),
        ({"ce_seq": "many"}, b"cannot be read"),
        ({"ce_seq": "0"}, b"ce_seq is missing"),
        ({"ce_specversion": "0.3"}, b"ce_specversion"),
        ({"ce_subject": "another-letter"}, b"the key is not the letter id"),
    ],
)
async def test_an_envelope_that_cannot_be_trusted_parks(world: World, changed: dict[str, str], error: bytes) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        topic, key, value, headers = packed(received("a"), 1)
        await world.produce(topic, key, value, headers | changed)
        await world.publish(received("b"), read("b"))
        await eventually(lambda: _rang(service, "b"))
        await eventually(lambda: _parked_records(world, 1))
        assert error in (await world.records("letters.parked.deadline"))[0].value
        assert await state_of(service, "a") is None


async def test_a_stray_message_can_be_repaired_or_dropped(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        topic, key, value, headers = packed(received("a"), 1)
        await world.produce(topic, key, value, headers | {"ce_specversion": "0.3"})
        await world.produce(topic, "nonsense", b"\xff\xfe", {})
        await eventually(lambda: _this_many_wait(world, service, 2))
        for _, message in await listed(world.settings, service.kit.store, ("deadline",)):
            repaired = message.value == value
            await decide(
                world.settings,
                service.kit.store,
                "deadline",
                message.origin,
                drop=not repaired,
                headers={"ce_specversion": "1.0"} if repaired else None,
            )
        assert await eventually(lambda: _none_waits(world, service))
        assert await eventually(lambda: state_of(service, "a"))


async def test_what_a_crash_left_in_the_outbox_is_sent_by_the_sweep(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        letters: Letters[Bell] = service.letters
        fact = ReadingOverdue(letter_id="a", at=MONDAY, mailbox="mayor", due_at=MONDAY)
        entry = pack(
            fact,
            topic="letters",
            letter_id="a",
            source="deadline",
            id=event_id("a", "deadline", 1),
            time=MONDAY,
            traceparent="",
            seq=1,
        )
        state = Bell(letter_id="a", mailbox="mayor", rings=1)
        change = Change(Stored("a"), state, {"deadline": 1}, [entry])
        assert await letters.aggregates.save([change]) == set()
        assert await letters.aggregates.outbox_depth() != (0, 0.0)
        await service.outbox.sweep(after=timedelta(0))
        await eventually(lambda: _count(world, ReadingOverdue, 1))

        async def cleared() -> bool:
            return await letters.aggregates.outbox_depth() == (0, 0.0)

        await eventually(cleared)


async def test_writers_that_race_on_one_letter_lose_nothing(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        await world.publish(received("a"))
        await eventually(lambda: state_of(service, "a"))

        def ring(_: Bell | None, now: datetime) -> Sequence[Fact]:
            return [ReadingOverdue(letter_id="a", at=now, mailbox="mayor", due_at=now)]

        letters: Letters[Bell] = service.letters
        await asyncio.gather(*(letters.command("a", ring) for _ in range(12)))
        bell = await state_of(service, "a")
        assert bell is not None
        assert bell.rings == 12

        async def all_out() -> bool:
            return len(await world.facts_of("a")) == 13

        await eventually(all_out)
        seqs = [int(dict(record.headers)["ce_seq"]) for record in await world.records("letters")]
        first_seen = list(dict.fromkeys(seqs[1:]))
        assert first_seen == sorted(first_seen)


async def test_a_write_that_won_is_not_taken_for_lost_because_others_moved_the_letter_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One letter of a batch loses; before it is looked whose writes were made, another replica moves on a letter that won."""
    service, neighbour = bell_service(world.kit()), bell_service(world.kit())
    async with world.running(service):
        mine: Aggregates[Bell] = service.letters.aggregates
        theirs: Aggregates[Bell] = neighbour.letters.aggregates
        await theirs.save([Change(Stored(i), Bell(letter_id=i, mailbox="mayor"), {"intake": 1}) for i in "ab"])
        before = await mine.get_many("ab")
        await theirs.save([ring(before["a"])])
        collection = mine.collection

        class Slow:
            """The driver's collection; between a write and the look after it others come."""

            find = collection.find

            async def bulk_write(self, *arguments: Any, **named: Any) -> Any:
                result = await collection.bulk_write(*arguments, **named)
                for _ in range(3):
                    assert not await theirs.save([ring(await theirs.get("b"))])
                return result

        with monkeypatch.context() as patched:
            patched.setattr(Aggregates, "collection", property(lambda which: Slow() if which is mine else collection))
            assert await mine.save([ring(before["a"]), ring(before["b"])]) == {"a"}
        found = await mine.get_many("ab")
        assert [stored.state.rings for stored in found.values() if stored.state] == [1, 4]


def ring(stored: Stored[Bell]) -> Change[Bell]:
    """Let the bell ring once more."""
    assert stored.state is not None
    state = stored.state.model_copy(update={"rings": stored.state.rings + 1})
    return Change(stored, state, stored.seen | {"deadline": stored.seen.get("deadline", 0) + 1})


async def test_a_projection_that_is_thrown_away_is_rebuilt_as_it_was_and_decides_nothing_twice(world: World) -> None:
    service = bell_service(world.kit())
    async with world.running(service):
        for letter_id in "abcdef":
            await world.publish(received(letter_id), read(letter_id), registered(letter_id, ord(letter_id)))
        await eventually(lambda: _count(world, ReadingOverdue, 6))
        await eventually(lambda: _all_handled(service))
    before = await _documents(world)
    again = bell_service(world.kit())
    assert await rebuild(again) == 24
    assert await _documents(world) == before
    assert await _count(world, ReadingOverdue, 6)


async def _all_handled(service: Service) -> bool:
    stored = await service.letters.aggregates.get_many("abcdef")
    return all(s.version == 4 and not s.outbox for s in stored.values())


async def _documents(world: World) -> dict[str, Any]:
    kit = world.kit()
    found = kit.store.database("deadline")["letters"].find({})
    documents = {document["_id"]: document async for document in found}
    kit.store.close()
    for document in documents.values():
        del document["token"]
    return documents


async def test_two_replicas_share_the_work(world: World) -> None:
    first, second = bell_service(world.kit()), bell_service(world.kit())
    async with world.running(first), world.running(second):
        ids = [f"letter-{number}" for number in range(60)]
        await world.publish(*(fact for i in ids for fact in (received(i), read(i))))
        await eventually(lambda: _count(world, ReadingOverdue, 60))
        stored = await first.letters.aggregates.get_many(ids)
        assert {s.state.rings for s in stored.values() if s.state} == {1}


def test_every_fact_has_a_type_of_its_own() -> None:
    assert len(set(TYPE_OF.values())) == len(TYPE_OF)


async def test_one_replica_does_what_one_does_for_all_and_another_takes_over(world: World) -> None:
    services = [bell_service(world.kit()) for _ in range(2)]
    done: list[int] = []
    for number, service in enumerate(services):

        async def job(number: int = number) -> None:
            done.append(number)

        service.sweeps_of_one["of this test"] = job

    async def shared() -> bool:
        assigned = [service.subscribers[0].consumer.assignment() for service in services]
        return all(assigned) and not frozenset.intersection(*assigned)

    running = [world.running(service) for service in services]
    for one in running:
        await one.__aenter__()
    stopped = None
    try:
        await eventually(shared, 60)
        leaders = [number for number, service in enumerate(services) if service.leads()]
        assert len(leaders) == 1
        assert services[0].outbox.sweeps is services[0].leads
        done.clear()

        async def some() -> bool:
            return len(done) > 3

        await eventually(some)
        assert set(done) == set(leaders)
        stopped = leaders[0]
        await running[stopped].__aexit__(None, None, None)
        done.clear()
        await eventually(some, 60)
        assert set(done) == {1 - stopped}
    finally:
        for number, one in enumerate(running):
            if number != stopped:
                await one.__aexit__(None, None, None)
