"""Nothing is left in the store of a file whose upload broke off, and a whole one stays."""

from datetime import timedelta

import pytest

from shared.storage import Bucket
from shared.storage.bucket import BROKEN_AFTER
from tests.conftest import World

CONTENT = b"x" * 600_000
"""Three pieces."""


async def left(bucket: Bucket) -> tuple[int, int, int]:
    """How many descriptions, pieces and marks there are."""
    names = (f"{bucket.name}.files", f"{bucket.name}.chunks", f"{bucket.name}.uploads")
    counts = [await bucket.store.collection(bucket.service, name).count_documents({}) for name in names]
    return counts[0], counts[1], counts[2]


async def an_hour_later(bucket: Bucket) -> None:
    async for mark in bucket.marks.find({}):
        since = mark["since"] - BROKEN_AFTER - timedelta(minutes=1)
        await bucket.marks.update_one({"_id": mark["_id"]}, {"$set": {"since": since}})
    await bucket.sweep()


async def test_r3_7_the_pieces_of_an_upload_that_was_killed_go_and_a_whole_file_stays(world: World) -> None:
    kit = world.kit()
    bucket = Bucket(kit.store, "intake", "attachments")
    await bucket.ensure()
    async with bucket.new("whole.pdf", {"id": "a"}) as stream:
        await stream.write(CONTENT)
    assert await left(bucket) == (1, 3, 0)
    (whole,) = await kit.store.collection("intake", "attachments.files").find({}).to_list(None)
    await bucket.marks.insert_one({"_id": whole["_id"], "since": whole["uploadDate"]})  # killed before the mark went

    killed = bucket.new("half.pdf", {"id": "b"})
    await killed.__aenter__()
    (half,) = await bucket.marks.find({"_id": {"$ne": whole["_id"]}}).to_list(None)
    pieces = kit.store.collection(
        "intake", "attachments.chunks"
    )  # the driver writes them last of all before the description
    await pieces.insert_many([{"files_id": half["_id"], "n": n, "data": CONTENT[:1000]} for n in range(2)])
    await bucket.sweep()
    assert await left(bucket) == (1, 5, 2), "it may still be under way"

    await an_hour_later(bucket)
    assert await left(bucket) == (1, 3, 0)
    kit.store.close()


async def breaks_off(bucket: Bucket) -> None:
    async with bucket.new("half.pdf", {"id": "b"}) as stream:
        await stream.write(CONTENT)
        raise ConnectionResetError


async def test_of_an_upload_that_fails_nothing_is_left_at_once(world: World) -> None:
    kit = world.kit()
    bucket = Bucket(kit.store, "intake", "attachments")
    await bucket.ensure()
    with pytest.raises(ConnectionResetError):
        await breaks_off(bucket)
    assert await left(bucket) == (0, 0, 0)
    kit.store.close()
