"""Places in lists that are ordered by time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.storage.store import translated


def place(moment: datetime, id: str) -> str:
    """Return a place in a list ordered by time: one string, unique and sortable, so that a page is one index range."""
    return f"{int(moment.timestamp() * 1000):015d}/{id}"


async def places_after(collection: Any, field: str, after: str, limit: int) -> Sequence[tuple[str, str]]:
    """Return the documents behind a place of an indexed field, at most so many, in order: (`_id`, place).

    Raises:
        StoreUnavailable: the store is away.
    """
    with translated():
        cursor = collection.find({field: {"$gt": after, "$lt": "~"}}, {field: 1})
        found = await cursor.sort([(field, 1)]).limit(limit).batch_size(limit + 1).to_list(limit)
    return [(document["_id"], document[field]) for document in found]
