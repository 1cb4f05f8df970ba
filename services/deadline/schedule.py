"""When the State Council's schedule of a year becomes known or changes, all open due dates are counted again (R6.1).

The store keeps the fingerprint of the schedules by which due dates were last counted. A process that starts with other schedules counts
again, in batches, before it lets clocks fall due; what moves is declared with `ReplyDueChanged`, and says why. Replicas that do so at once,
or again, find nothing left to change.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.deadline import repository
from services.deadline.domain import DECLARED, Rules, recompute
from services.deadline.state import Clocks
from shared.contracts.facts import Fact, ReplyDueChanged
from shared.messaging.letters import Letters
from shared.observability import metrics
from shared.storage import translated

log = logging.getLogger(__name__)

BATCH = 1_000
_KEY = "schedules"


@dataclass(slots=True)
class Schedule:
    """The schedules of this process, and whether the due dates in the store go by them."""

    letters: Letters[Clocks]
    rules: Rules
    fingerprint: str
    batch: int = BATCH
    _followed: bool = field(default=False, init=False)

    async def follow(self) -> None:
        """Count again where the store's due dates go by other schedules; asked once, it costs nothing afterwards."""
        if self._followed:
            return
        if await self._stored() != self.fingerprint:
            await self.recompute()
        self._followed = True

    async def recompute(self) -> int:
        """Count all open due dates again; return how many moved or became firm."""
        moved = await self._pass()
        if moved:  # while a pass goes on, a letter may move to a mailbox that it has passed
            moved += await self._pass()
        await self._store()
        metrics.clocks_fired_total.labels(repository.SERVICE, DECLARED[ReplyDueChanged]).inc(moved)
        log.info("open due dates were counted again by the schedules that are known now", extra={"count": moved})
        return moved

    async def _pass(self) -> int:
        moved = 0
        async for ids in repository.open_letters(self.letters.aggregates, self.batch):
            moved += len(await self.letters.command_many(ids, self._decide))
            await self.letters.aggregates.refresh(ids)
        return moved

    def _decide(self, _letter_id: str, state: Clocks | None, now: datetime) -> list[Fact]:
        return recompute(state, now, self.rules)

    async def _stored(self) -> str | None:
        with translated():
            document = await self._collection.find_one({"_id": _KEY})
        return None if document is None else document["fingerprint"]

    async def _store(self) -> None:
        with translated():
            await self._collection.update_one({"_id": _KEY}, {"$set": {"fingerprint": self.fingerprint}}, upsert=True)

    @property
    def _collection(self) -> Any:
        return self.letters.aggregates.store.database(repository.SERVICE)["calendar"]
