"""Citizens who post letters without end, and what became of those that were accepted."""

import asyncio
from functools import partial
from itertools import count

from deploy.demo.city import Away, City, Refused
from tests.conftest import eventually
from tests.e2e.journey import Fate, Tale

PAUSE_SECONDS = 0.01
"""Between two letters: while the store is away for half a minute fewer than `MOST_WAITING` come together, beyond which they are refused."""


class Stream:
    """A citizen who posts letters one after the other and keeps the receipts of those that were accepted."""

    def __init__(self, city: City, start: int = 1000) -> None:
        self.city = city
        self.accepted: dict[str, str] = {}
        """Subject → receipt."""
        self.refused: list[Refused] = []
        self._numbers = count(start)
        self._going = True

    async def run(self) -> None:
        """Post until told to stop; whoever got no 202 posts the same letter under the same key again."""
        while self._going:
            tale = Tale(next(self._numbers), Fate.ANSWERED, "water")
            while self._going and tale.subject not in self.accepted:
                try:
                    self.accepted[tale.subject] = (await self.city.submit(tale.body, tale.key))["receipt"]
                    await asyncio.sleep(PAUSE_SECONDS)
                except Away:
                    await asyncio.sleep(0.05)
                except Refused as refused:
                    if refused.status != 503:
                        raise
                    self.refused.append(refused)
                    await asyncio.sleep(0.05)

    def stop(self) -> None:
        """Post no more."""
        self._going = False


async def arrived_once(city: City, accepted: dict[str, str]) -> None:
    """Every accepted letter is in the mailbox, once, and its receipt is known."""

    async def all_there() -> bool:
        subjects = [row["subject"] for row in await city.letters("mayor")]
        assert len(subjects) == len(set(subjects))
        missing = accepted.keys() - set(subjects)
        assert not missing, f"{len(missing)} of {len(accepted)} letters are missing"
        return True

    await eventually(all_there, 60)
    for subject, receipt in list(accepted.items())[::10]:
        standing = await eventually(partial(city.standing, receipt))
        assert standing["subject"] == subject
