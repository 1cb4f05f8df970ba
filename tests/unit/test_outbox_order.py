"""Facts of one letter come onto their topic in their order, whichever publication fails; other letters do not wait for it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.contracts.envelope import Outgoing
from shared.messaging.outbox import Outbox
from shared.storage import Change, Stored
from tests.conftest import eventually
from tests.outboxes import Sender, sending


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
