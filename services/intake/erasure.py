"""Erasing what citizens wrote in letters that were not accepted, once their retention is over (R3.7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.intake import domain
from services.intake.attachments import Attachments
from services.intake.contacts import Likeness
from services.intake.domain import Letter
from services.intake.repository import invalid_before
from shared.calendar.zone import business_date, start_of_day
from shared.contracts.facts import Fact
from shared.messaging.letters import Letters

AT_ONCE = 100


@dataclass
class Erasure:
    """Erases letters that were discarded more than `days` calendar days ago (Asia/Shanghai); the day itself does not count.

    What stands outside the letter's document goes first: files, marks, contact data. Then one write takes the text and records the fact. A
    crash between leaves the letter due, and the next sweep does the rest; of several replicas one records the fact.
    """

    letters: Letters[Letter]
    likeness: Likeness
    attachments: Attachments
    days: int

    def discarded_before(self, now: datetime) -> datetime:
        """Return the moment before which a letter must have been discarded to be due."""
        return start_of_day(business_date(now) - timedelta(days=self.days))

    async def sweep(self) -> None:
        """Erase what is due, the longest kept first, in batches."""
        before = self.discarded_before(self.letters.clock.now())
        while due := await invalid_before(self.letters.aggregates, before, AT_ONCE):

            def decide(_: str, state: Letter | None, now: datetime) -> list[Fact]:
                return domain.erase(state, before, now)

            ids = [stored.id for stored in due]
            await self.attachments.release({s.id: [f.id for f in s.state.attachments] for s in due if s.state})
            await self.likeness.forget(ids)
            done = await self.letters.command_many(ids, decide)
            if len(done) < AT_ONCE:
                return
