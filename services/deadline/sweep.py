"""The sweep: takes the letters whose time has come, oldest first, and lets the domain look at each again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter

from services.deadline import repository
from services.deadline.domain import DECLARED, Rules, declare
from services.deadline.lookout import Lookout, Outlook
from services.deadline.state import Clocks
from shared.contracts.facts import DispositionOverdue, Fact, ReadingOverdue, ReplyOverdue
from shared.messaging.letters import Letters
from shared.observability import metrics

BATCH = 1_000
OVERDUE = (ReadingOverdue, DispositionOverdue, ReplyOverdue)
"""What says that a limit has passed: it must be declared in time."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One service's sweep over all its clocks (architecture rule 9)."""

    letters: Letters[Clocks]
    lookout: Lookout
    rules: Rules
    batch: int = BATCH

    def __post_init__(self) -> None:
        for kind in OVERDUE:  # so that the first one counts as an increase
            metrics.overdue_delay_seconds.labels(repository.SERVICE, DECLARED[kind])

    async def __call__(self) -> None:
        """Declare what is due; cheap where nothing is."""
        started = perf_counter()
        if await repository.due(self.letters.aggregates, self.letters.clock.now(), limit=1):
            outlook = await self.lookout.look()
            if outlook is not None:
                await self._work_off(outlook)
        metrics.clock_sweep_seconds.labels(repository.SERVICE).observe(perf_counter() - started)

    async def _work_off(self, outlook: Outlook) -> None:
        left = 0
        while True:
            ids = await repository.due(self.letters.aggregates, outlook.until, skip=left, limit=self.batch)
            done = await self._declare([letter_id for letter_id in ids if outlook.mine(letter_id)], outlook.until)
            if len(ids) < self.batch:
                return
            # What is another replica's, or could not be decided, still heads the list: step over it.
            left += len(ids) - done

    async def _declare(self, letter_ids: Sequence[str], until: datetime) -> int:
        """Declare all that is due on these letters; return how many changed."""
        if not letter_ids:
            return 0
        declared: dict[str, list[Fact]] = {}

        def decide(letter_id: str, state: Clocks | None, now: datetime) -> Sequence[Fact]:
            declared[letter_id] = declare(state, until, now, self.rules)
            return declared[letter_id]

        changed = await self.letters.command_many(letter_ids, decide)
        for letter_id in changed:
            for fact in declared[letter_id]:
                metrics.clocks_fired_total.labels(repository.SERVICE, DECLARED[type(fact)]).inc()
                if isinstance(fact, OVERDUE):
                    late = (fact.at - fact.due_at).total_seconds()
                    metrics.overdue_delay_seconds.labels(repository.SERVICE, DECLARED[type(fact)]).observe(late)
        return len(changed)
