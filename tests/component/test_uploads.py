"""Nothing is left in the store of a file whose upload broke off, and a whole one stays."""

from datetime import timedelta

import pytest

from shared.storage import Uploads
from shared.storage.uploads import BROKEN_AFTER
from tests.conftest import World

CONTENT = b"x" * 600_000
"""Three pieces."""


async def left(uploads: Uploads) -> tuple[int, int, int]:
    """How many descriptions, pieces and marks there are."""
    names = (f"{uploads.bucket}.files", f"{uploads.bucket}.chunks", f"{uploads.bucket}.uploads")
    counts = [await uploads.store.collection(uploads.service, name).count_documents({}) for name in names]
    return counts[0], counts[1], counts[2]


async def an_hour_later(uploads: Uploads) -> None:
    async for mark in uploads.marks.find({}):
        since = mark["since"] - BROKEN_AFTER - timedelta(minutes=1)
        await uploads.marks.update_one({"_id": mark["_id"]}, {"$set": {"since": since}})
    await uploads.sweep()


async def test_r3_7_the_pieces_of_an_upload_that_was_killed_go_and_a_whole_file_stays(world: World) -> None:
    kit = world.kit()
    uploads = Uploads(kit.store, "intake", "attachments")
    await uploads.ensure()
    async with uploads.new("whole.pdf", {"id": "a"}) as stream:
        await stream.write(CONTENT)
    assert await left(uploads) == (1, 3, 0)
    (whole,) = await kit.store.collection("intake", "attachments.files").find({}).to_list(None)
    await uploads.marks.insert_one({"_id": whole["_id"], "since": whole["uploadDate"]})  # killed before the mark went

    killed = uploads.new("half.pdf", {"id": "b"})
    await killed.__aenter__()
    (half,) = await uploads.marks.find({"_id": {"$ne": whole["_id"]}}).to_list(None)
    pieces = kit.store.collection(
        "intake", "attachments.chunks"
    )  # the driver writes them last of all before the description
    await pieces.insert_many([{"files_id": half["_id"], "n": n, "data": CONTENT[:1000]} for n in range(2)])
    await uploads.sweep()
    assert await left(uploads) == (1, 5, 2), "it may still be under way"

    await an_hour_later(uploads)
    assert await left(uploads) == (1, 3, 0)
    kit.store.close()


async def breaks_off(uploads: Uploads) -> None:
    async with uploads.new("half.pdf", {"id": "b"}) as stream:
        await stream.write(CONTENT)
        raise ConnectionResetError


async def test_of_an_upload_that_fails_nothing_is_left_at_once(world: World) -> None:
    kit = world.kit()
    uploads = Uploads(kit.store, "intake", "attachments")
    await uploads.ensure()
    with pytest.raises(ConnectionResetError):
        await breaks_off(uploads)
    assert await left(uploads) == (0, 0, 0)
    kit.store.close()
