"""What units' systems were refused, remembered for as long as their actions stay on their topics.

An action that took effect is remembered in its letter's state. One that was refused leaves no fact; without this, the same action again (in
doubt, or after a crash) could take effect once its letter has moved on, though its unit was told that it did not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shared.storage import Index, Store, find_many, insert_missing, translated

COLLECTION: Final = "refused"
KEPT_SECONDS: Final = 31 * 86_400
"""A day longer than `actions.<code>` (deploy/topics.yaml)."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an action was refused."""

    rule: str
    reason: str
    at: datetime
    """By the services' clock."""
    told: bool = False
    """Whether the unit was told."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refused actions of all units, by a key of letter, unit and action."""

    store: Store

    @property
    def collection(self) -> Any:
        """The driver's collection."""
        return self.store.collection("routing", COLLECTION)

    async def ensure(self) -> None:
        """Create the index where it is missing."""
        await self.store.ensure(self.collection, [Index([("since", 1)], expire_after_seconds=KEPT_SECONDS)])

    async def of(self, keys: Iterable[str]) -> dict[str, Refusal]:
        """Return those of these actions that were refused before."""
        found = await find_many(self.collection, keys)
        return {
            key: Refusal(document["rule"], document["reason"], document["at"], "told" in document)
            for key, document in found.items()
        }

    async def keep(self, refused: Mapping[str, Refusal]) -> None:
        """Remember refusals, before anybody is told of them."""
        since = datetime.now(UTC)
        documents = [
            {"_id": key, "rule": one.rule, "reason": one.reason, "at": one.at, "since": since}
            for key, one in refused.items()
        ]
        await insert_missing(self.collection, documents)

    async def told(self, keys: Iterable[str]) -> None:
        """Note that their units were told."""
        ids = sorted(keys)
        if ids:
            with translated():
                await self.collection.update_many({"_id": {"$in": ids}}, {"$set": {"told": True}})
