"""How long a letter takes to its mailbox is measured for every letter once, whatever happens on the way."""

from collections.abc import AsyncIterator
from time import time
from uuid import uuid4

import pytest

from shared.contracts.envelope import Outgoing
from shared.messaging.outbox import SWEEP_AFTER, Outbox
from shared.observability import metrics
from shared.storage import Change, Stored
from tests.conftest import eventually
from tests.outboxes import Sender, sending

SERVICE = "of this test"


@pytest.fixture
async def outbox() -> AsyncIterator[Sender]:
    """An outbox that sends, its broker and its collection."""
    async with sending(SERVICE) as made:
        yield made


def arrived(letter_id: str) -> Outgoing:
    """What a mailbox is told of a letter."""
    return Outgoing(str(uuid4()), "mailbox.mayor", letter_id, {"ce_type": "xinxiang.LetterArrived.v1"}, b"{}")


def measured() -> tuple[float, float]:
    """How many letters were measured, and their seconds together."""
    found = {
        s.name: s.value for m in metrics.delivery_seconds.collect() for s in m.samples if s.labels["service"] == SERVICE
    }
    return found.get("xinxiang_delivery_seconds_count", 0), found.get("xinxiang_delivery_seconds_sum", 0)


async def sent(outbox: Outbox, *entries: Outgoing) -> None:
    """Wait until the broker has them."""

    async def all_there() -> bool:
        return all(outbox.acknowledged(entry.id) for entry in entries)

    await eventually(all_there)


async def test_a_letter_is_measured_from_its_acceptance_and_not_again_when_it_moves_on(
    outbox: Sender,
) -> None:
    sender, _, collection = outbox
    before, seconds = measured()
    first, moved = arrived("a"), arrived("a")
    sender.accepted("a", time() - 3)
    sender.post(collection, [Change(Stored("a"), None, {"intake": 1}, [first])])
    await sent(sender, first)
    count, total = measured()
    assert count == before + 1
    assert total - seconds >= 3
    sender.post(collection, [Change(Stored("a", 1, {"intake": 1}), None, {"intake": 2}, [moved])])
    await sent(sender, moved)
    assert measured() == (count, total)


async def test_a_letter_that_a_crash_left_to_the_sweep_counts_as_late(outbox: Sender) -> None:
    sender, _, collection = outbox
    before, seconds = measured()
    left = arrived("b")
    collection.left = [Stored("b", 1, {"intake": 1}, None, (left,))]
    await sender.sweep()
    await sent(sender, left)
    count, total = measured()
    assert (count - before, total - seconds) == (1, SWEEP_AFTER.total_seconds())
