"""What an old process cannot read waits for a newer one and is taken by that; shown on the small service of `test_messaging`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from deploy.ops.cluster import lags
from services.__main__ import build
from services.routing.entries import ENTRIES, entry_id
from services.routing.handlers import Actions
from services.routing.refusals import Refusals
from services.runtime import Service
from shared.contracts import catalogue
from shared.contracts.actions import CollectLetter
from shared.contracts.facts import Fact, LetterNoted, LetterRead, LetterRegistered
from shared.contracts.mailbox import ActionDone, ActionRefused
from shared.contracts.types import Number
from shared.messaging import patience
from shared.messaging.letters import Letters
from shared.messaging.parking import Queue, Why
from shared.messaging.parking import read as read_record
from shared.messaging.patience import Conflict
from shared.messaging.work import Domain
from shared.storage import NewerDocument, StoreUnavailable
from tests.component.test_messaging import ON, Bell, bell_service, packed, read, received, registered
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import action, desk_of


class LetterReadV2(LetterRead):
    """Made up: from version 2 on, it says where the letter was read."""

    version: ClassVar[int] = 2
    room: str


@dataclass
class Two:
    """A process of this release and one of the next, on one store; neither runs: each knows only what it is given."""

    world: World
    old: Letters[Bell]
    new: Letters[Bell]
    given: int = 0

    async def arrives(self, letters: Letters[Bell], *messages: tuple[str, str, bytes, dict[str, str]]) -> None:
        """Put messages on the topic, and let one of the two have all that is new there."""
        for message in messages:
            await self.world.produce(*message)
        records = await self.world.records("letters")
        await letters.handle(sorted(records, key=lambda r: r.timestamp)[self.given :], live=False)
        self.given = len(records)

    async def waiting(self) -> list[Why | None]:
        return [message.why for message in await self.old.parking.listed()]

    async def document(self, letter_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.old.aggregates.collection.find_one({"_id": letter_id})
        return found


def _by_schema_2(state: dict[str, Any]) -> dict[str, Any]:
    return {("chimes" if name == "rings" else name): value for name, value in state.items()}


def _by_schema_1(state: dict[str, Any]) -> dict[str, Any]:
    return {("rings" if name == "chimes" else name): value for name, value in state.items()}


@pytest.fixture
async def two(world: World) -> AsyncIterator[Two]:
    """Both."""
    services: list[Service] = [bell_service(world.kit()), bell_service(world.kit())]
    old, later = services
    table = {(LetterReadV2 if fact is LetterRead else fact): evolve for fact, evolve in ON.items()}
    made = later.letters.aggregates
    aggregates = replace(
        made,
        schema=2,
        lift={1: _by_schema_2},
        dump=lambda bell: _by_schema_2(made.dump(bell)),
        load=lambda raw: Bell.model_validate(_by_schema_1(raw)),
    )
    new = Letters(Domain("deadline", table), aggregates, later.outbox, later.parking, later.kit.clock, world.namespace)
    await old.parking.ensure()
    await old.letters.aggregates.ensure()
    yield Two(world, old.letters, new)
    for service in services:
        service.kit.store.close()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets this process know version 2 from now on; till then it is of the old release."""

    def learn() -> None:
        monkeypatch.setitem(catalogue.BY_TYPE, "xinxiang.LetterRead.v2", LetterReadV2)
        monkeypatch.setattr(
            LetterRead, "upgrade", lambda f: LetterReadV2(**f.model_dump(), room="unknown"), raising=False
        )
        monkeypatch.setattr(LetterReadV2, "upgrade", None, raising=False)

    return learn


def _v2(fact: Fact, seq: int) -> tuple[str, str, bytes, dict[str, str]]:
    topic, key, value, headers = packed(fact, seq)
    assert headers["ce_type"].endswith(".v1")
    return topic, key, value[:-1] + b',"room":"201"}', headers | {"ce_type": headers["ce_type"][:-1] + "2"}


async def test_a_later_version_of_a_fact_waits_with_what_is_behind_it_and_is_taken_after_the_upgrade(
    two: Two, known: Any
) -> None:
    await two.arrives(
        two.old,
        packed(received("a"), 1),
        _v2(read("a"), 2),
        packed(registered("a", 1), 3),
        packed(received("b"), 1),
        packed(registered("b", 2), 2),
    )
    assert await two.waiting() == [Why.NEWER, Why.NEWER]
    assert (await two.old.aggregates.get("b")).state.number  # type: ignore[union-attr]
    assert await two.world.records("letters.parked.deadline") == []
    failed, waiting = await two.old.parking.counts()
    assert (failed, waiting) == (0, 1)
    await two.old.take_up()
    assert await two.waiting() == [Why.NEWER, Why.NEWER], "nobody was upgraded"

    known()
    await two.new.take_up()
    assert await two.waiting() == []
    letter = (await two.new.aggregates.get("a")).state
    assert letter is not None
    assert letter.read_at is not None
    assert letter.number


async def test_a_later_version_of_a_fact_that_means_nothing_here_is_counted_and_holds_nothing_up(two: Two) -> None:
    noted = _v2(LetterNoted(letter_id="a", at=MONDAY), 2)
    await two.arrives(two.old, packed(received("a"), 1), noted, packed(read("a"), 3))
    assert await two.waiting() == []
    assert (await two.old.aggregates.get("a")).seen == {"intake": 3}


async def test_a_document_of_the_old_release_is_lifted_as_it_is_read_and_written_anew_with_the_next_move(
    two: Two, known: Any
) -> None:
    await two.arrives(two.old, packed(received("a"), 1))
    assert "schema" not in await two.document("a")
    known()
    state = (await two.new.aggregates.get("a")).state
    assert state is not None
    assert (state.letter_id, state.rings) == ("a", 0)
    await two.arrives(two.new, packed(read("a"), 2))
    after = await two.document("a")
    assert after["schema"] == 2
    assert "chimes" in after["state"]
    assert "rings" not in after["state"]


async def test_a_document_of_a_newer_release_is_neither_read_nor_written_by_an_old_process(
    two: Two, known: Any
) -> None:
    known()
    await two.arrives(two.new, packed(received("a"), 1), packed(read("a"), 2))
    before = await two.document("a")
    await two.arrives(two.old, packed(registered("a", 1), 3), packed(received("b"), 1))
    assert await two.document("a") == before
    assert await two.waiting() == [Why.NEWER]
    assert (await two.old.aggregates.get("b")).state is not None, "other letters flow"
    with pytest.raises(NewerDocument):
        await two.old.command("a", lambda _state, _now: ())
    with pytest.raises(NewerDocument):
        await two.old.aggregates.get("a")
    with pytest.raises(NewerDocument):
        await two.old.aggregates.get_many(["a", "b"])
    assert await two.old.command_many(["a"], lambda _id, _state, _now: ()) == {}

    await two.new.take_up()
    assert await two.waiting() == []
    letter = (await two.new.aggregates.get("a")).state
    assert letter is not None
    assert letter.number


async def test_what_is_handed_over_was_not_seen_twice(two: Two, known: Any) -> None:
    known()
    await two.arrives(two.new, packed(received("a"), 1), packed(read("a"), 2))
    await two.arrives(two.old, packed(read("a"), 2))
    assert await two.waiting() == []


async def test_the_cells_of_a_row_that_was_taken_up_after_the_upgrade_are_counted_anew(
    world: World, known: Any
) -> None:
    service = build("reporting", world.kit())
    rows, cells = service.letters, service.kit.store.collection("reporting", "cells")
    for job in (service.parking.ensure, *service.prepare):
        await job()
    for message in (packed(received("a"), 1), _v2(read("a"), 2)):
        await world.produce(*message)
    await rows.handle(await world.records("letters"), live=False)
    assert [message.why for message in await service.parking.listed()] == [Why.NEWER]
    await cells.update_many({}, {"$unset": {"dirty": ""}})  # as if all had been recounted

    known()
    newer = replace(rows.domain, on={**rows.domain.on, LetterReadV2: rows.domain.on[LetterRead]})
    rows = replace(rows, domain=newer)

    async def dies(*_: Any) -> None:
        raise StoreUnavailable("the process ends between the row and the marks")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(rows.cells), "mark", dies)
        with pytest.raises(StoreUnavailable):
            await rows.take_up()
    assert [message.why for message in await service.parking.listed()] == [Why.NEWER], "it is not forgotten yet"
    await rows.take_up()
    assert await service.parking.listed() == []
    assert await cells.count_documents({"dirty": {"$exists": True}}) > 0
    service.kit.store.close()


async def test_a_row_of_a_newer_release_does_not_keep_an_old_process_from_counting_other_letters(world: World) -> None:
    service = build("reporting", world.kit())
    for job in (service.parking.ensure, *service.prepare):
        await job()
    rows = service.letters
    await world.publish(received("a"))
    await rows.handle(await world.records("letters"))
    await rows.aggregates.collection.update_one({"_id": "a"}, {"$set": {"schema": rows.aggregates.schema + 1}})
    rows.aggregates._kept.clear()
    await world.publish(read("a"), received("b"))
    await rows.handle([record for record in await world.records("letters") if record.offset or record.key == b"b"])
    assert [message.why for message in await service.parking.listed()] == [Why.NEWER]
    assert (await rows.aggregates.get("b")).state is not None
    await rows.take_up()
    assert [message.why for message in await service.parking.listed()] == [Why.NEWER], "it is still of a newer release"
    service.kit.store.close()


async def test_r6_3_an_action_on_a_letter_of_a_newer_release_is_answered_by_a_process_of_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.5)
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner")
        aggregates = desk.service.letters.aggregates
        await world.settled("routing")
        newer = {"schema": aggregates.schema + 1}
        await aggregates.collection.update_one({"_id": letter_id}, {"$set": newer})
        aggregates._kept.clear()
        asked = await desk.ask("education", action(CollectLetter, letter_id))

        async def waits() -> bool:
            return any(place.behind for place in await lags(world.settings) if "actions" in place.topic)

        await eventually(waits)
        kit = desk.service.kit
        actions = Actions(desk.service.letters, kit.changes, desk.service.broker, Refusals(kit.store), world.namespace)
        with pytest.raises(Conflict):
            await actions.handle(await world.records("actions.education"))
        told = await world.messages("mailbox.education")
        assert not [message for message in told if isinstance(message, ActionDone | ActionRefused)]
        await aggregates.collection.update_one({"_id": letter_id}, {"$unset": {"schema": ""}})  # a newer process has it
        (done,) = await desk.told("education", ActionDone)
        assert done.action_id == asked


async def test_r10_2_a_letter_whose_fact_was_taken_up_after_the_upgrade_stands_in_its_list(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(registered=False)
        await world.settled("routing")
        assert await desk.listed("mayor", "unread") == [letter_id]
        number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)
        topic, key, value, headers = packed(LetterRegistered(letter_id=letter_id, at=MONDAY, number=number), 2)
        given = [(name, text.encode()) for name, text in headers.items()]
        record: Any = SimpleNamespace(topic=topic, partition=0, offset=99, key=key.encode(), value=value, headers=given)
        message = read_record(record, world.namespace)
        queue = Queue()
        queue.wait_for_upgrade(message, "as if an old process had met it")
        queue.items.append(message)
        await desk.service.parking.keep({letter_id: queue})

        async def listed() -> bool:
            entry = await desk.service.kit.store.collection("routing", ENTRIES).find_one(
                {"_id": entry_id(letter_id, "mayor")}
            )
            return bool(entry["as_of"] == 2)

        await eventually(listed)
        assert await desk.service.parking.listed() == []
