"""Facts of one letter come onto their topic in their order, whichever publication fails; other letters do not wait for it.

Where more is decided than can be sent, what comes next waits.
"""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.calendar.clock import Clock
from shared.contracts.envelope import Outgoing
from shared.messaging.letters import Letters
from shared.messaging.outbox import ROOM, Outbox
from shared.messaging.work import Domain
from shared.storage import Change, Stored
from tests.conftest import eventually
from tests.outboxes import Broker, Collection, Sender, sending


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    """An outbox that sends, its broker and its collection."""
    async with sending("of this test") as made:
        yield made


def entry(letter_id: str, seq: int, topic: str = "letters") -> Outgoing:
    return Outgoing(f"{letter_id}{seq}", topic, letter_id, {"ce_type": "of.this.test"}, f"{letter_id}{seq}".encode())


def post(outbox: Outbox, collection: Any, *entries: Outgoing, before: tuple[Outgoing, ...] = ()) -> None:
    letter_id, version = entries[0].key, len(before)
    stored = Stored[Any](letter_id, version, {}, None, before)
    outbox.post(collection, [Change(stored, None, {"of this test": version + len(entries)}, list(entries))])


def fill(sender: Sender, but: int = 0) -> None:
    """Let as many letters wait for the broker's acknowledgement as there is room for, `but` so many."""
    outbox, broker, collection = sender
    broker.at_once = False
    for number in range(ROOM - but):
        post(outbox, collection, entry(f"a{number}-", 1))


async def taken(broker: Any, *names: str) -> None:
    """Wait until the broker was given these, in this order."""

    async def all_there() -> bool:
        return [name for name in broker.log if name in names] == list(names)

    await eventually(all_there)


async def test_the_next_fact_waits_until_the_broker_has_the_one_before(sender: Sender) -> None:
    outbox, broker, collection = sender
    broker.at_once = False
    post(outbox, collection, entry("a", 1), entry("a", 2))
    post(outbox, collection, entry("b", 1))
    await taken(broker, "a1", "b1")
    assert "a2" not in broker.log
    broker.waiting["a1"].set_result(None)
    await taken(broker, "a1", "a2")


@pytest.mark.parametrize("when", ["at once", "later"])
async def test_what_follows_a_fact_that_failed_is_sent_after_it_by_the_sweep(sender: Sender, when: str) -> None:
    outbox, broker, collection = sender
    facts = entry("a", 1), entry("a", 2), entry("a", 3)
    if when == "at once":
        broker.refuses_once.add("a1")
        post(outbox, collection, *facts[:2])
        post(outbox, collection, facts[2], before=facts[:2])
    else:
        broker.at_once = False
        post(outbox, collection, *facts[:2])
        post(outbox, collection, facts[2], before=facts[:2])
        await taken(broker, "a1")
        broker.at_once = True
        broker.waiting["a1"].set_exception(TimeoutError())
        broker.log.remove("a1")
    post(outbox, collection, entry("b", 1))
    await taken(broker, "b1")
    assert broker.log == ["b1"]

    collection.left = [Stored("a", 3, {}, None, facts)]

    async def swept() -> bool:
        return await outbox.sweep() == 1  # once nothing of the letter is in hand any more

    await eventually(swept)
    await taken(broker, "a1", "a2", "a3")

    async def cleared() -> bool:
        return collection.cleared.get("a") == 3

    await eventually(cleared)
    assert broker.log == ["b1", "a1", "a2", "a3"]


async def test_a_mailbox_without_a_topic_holds_no_other_mailbox_up(sender: Sender) -> None:
    outbox, broker, collection = sender
    broker.refuses_once.add("a1")
    post(outbox, collection, entry("a", 1, "mailbox.gone"), entry("a", 2, "mailbox.mayor"), entry("a", 3))
    await taken(broker, "a2")
    await taken(broker, "a3")


async def test_a_topic_that_is_missing_is_not_asked_for_again_at_once(sender: Sender) -> None:
    outbox, broker, collection = sender
    broker.missing["mailbox.gone"] = 0
    for number in range(5):
        post(outbox, collection, entry(f"a{number}-", 1, "mailbox.gone"))
    post(outbox, collection, entry("b", 1, "mailbox.mayor"))
    await taken(broker, "b1")
    assert broker.missing == {"mailbox.gone": 1}
    assert not outbox._in_hand.keys() & {f"a{number}-" for number in range(5)}

    del broker.missing["mailbox.gone"]
    outbox._closed.clear()  # time passes
    post(outbox, collection, entry("c", 1, "mailbox.gone"))
    await taken(broker, "c1")


async def test_one_letter_sent_twice_is_counted_out_once_for_each(sender: Sender) -> None:
    outbox, broker, collection = sender
    broker.at_once = False
    first, second = entry("a", 1), entry("a", 2)
    post(outbox, collection, first)
    post(outbox, collection, second, before=(first,))
    await taken(broker, "a1")
    broker.at_once = True
    broker.waiting["a1"].set_result(None)
    await taken(broker, "a1", "a2")

    async def done() -> bool:
        return collection.cleared.get("a") == 2

    await eventually(done)
    assert broker.log == ["a1", "a2"]
    assert not outbox._in_hand


async def test_a_batch_waits_for_room_and_begins_when_a_letter_has_left(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.messaging.outbox.ROOM_SECONDS", 600)
    outbox, broker, _ = sender
    fill(sender)
    waiting = asyncio.create_task(outbox.room())
    await taken(broker, f"a{ROOM - 1}-1")
    assert not waiting.done()
    broker.waiting["a0-1"].set_result(None)
    await asyncio.wait_for(waiting, 20)


async def test_a_batch_begins_without_room_where_nothing_is_sent_for_long(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, *_ = sender
    monkeypatch.setattr("shared.messaging.outbox.ROOM_SECONDS", 0.01)
    fill(sender)
    await outbox.room()
    assert len(outbox._in_hand) == ROOM


async def test_a_batch_of_a_process_that_sends_nothing_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.messaging.outbox.ROOM_SECONDS", 600)
    broker, collection = Broker(), Collection()
    outbox = Outbox(cast("Any", broker), "of this test", "")
    outbox.attach(cast("Any", collection))
    fill((outbox, broker, collection))
    await asyncio.wait_for(outbox.room(), 20)


async def test_the_sweep_takes_no_more_than_there_is_room_for(sender: Sender) -> None:
    outbox, _, collection = sender
    fill(sender, but=3)
    collection.left = [Stored(f"b{number}-", 1, {}, None, (entry(f"b{number}-", 1),)) for number in range(10)]
    assert await outbox.sweep() == 3
    assert await outbox.sweep() == 0


class _Begun(BaseException):
    """A batch has begun."""


class _Store:
    """What a batch asks first."""

    async def recall(self, *_: Any) -> Any:
        raise _Begun

    queues = aside = recall


@pytest.mark.parametrize("way", ["facts", "commands"])
async def test_no_batch_begins_before_there_is_room(sender: Sender, way: str) -> None:
    outbox, broker, _ = sender
    store: Any = _Store()
    letters: Letters[Any] = Letters(Domain("of this test", {}), store, outbox, store, Clock())
    fill(sender)
    record: Any = SimpleNamespace(topic="letters", partition=0, offset=0, key=b"b", value=b"{}", headers=())
    batch = letters.handle([record]) if way == "facts" else letters.command_many(["b"], lambda *_: ())
    waiting = asyncio.create_task(batch)
    await taken(broker, f"a{ROOM - 1}-1")
    assert not waiting.done()
    broker.waiting["a0-1"].set_result(None)
    with pytest.raises(_Begun):
        await waiting


async def test_letters_that_wait_for_a_missing_topic_do_not_keep_the_sweep_from_those_behind_them(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, broker, collection = sender
    monkeypatch.setattr("shared.messaging.outbox.SWEEP_LIMIT", 5)
    broker.missing["mailbox.gone"] = 0
    stuck = [
        Stored[Any](f"a{number}-", 1, {}, None, (entry(f"a{number}-", 1, "mailbox.gone"),)) for number in range(12)
    ]
    collection.left = [*stuck, Stored("b", 1, {}, None, (entry("b", 1),))]

    async def sent() -> bool:
        await outbox.sweep()
        return "b1" in broker.log

    await eventually(sent)
    del broker.missing["mailbox.gone"]
    outbox._closed.clear()  # time passes

    async def all_sent() -> bool:
        await outbox.sweep()
        return all(letter.outbox[0].id in broker.log for letter in stuck)

    await eventually(all_sent)
