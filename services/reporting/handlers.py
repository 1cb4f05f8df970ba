"""Facts in: rows first, then the marks on their cells, then the commit. And the loop that recounts what is marked."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import monotonic, perf_counter, thread_time

from services.reporting.domain import ON, Row, apart
from services.reporting.figures import cells_of, changed_cells
from services.reporting.repository import Cells, Dirty
from shared.contracts.catalogue import TYPE_OF
from shared.contracts.envelope import BadEnvelope, attributes
from shared.messaging.broker import Record
from shared.messaging.letters import Letters
from shared.messaging.patience import patiently
from shared.messaging.work import Step, Telling
from shared.observability import metrics

log = logging.getLogger(__name__)

COOLING, SECOND, WARMEST = 10, 1.0, 3
"""A cell whose recount took t of processor time rests for ten times t, so that a busy one takes a tenth of a core; but no longer than a
second, for the sake of who waits for the figures, unless even three times t is longer: it never takes more than a quarter."""
DIRTY_AT_ONCE = 400
TALLIES_AT_ONCE = 8_000
"""Cells are recounted together up to about so much that is counted in them; a larger one by itself."""

_STEPS: ContextVar[list[Step[Row]]] = ContextVar("steps")
"""What the present call of `Rows` applied: batches and what is taken up run side by side, each in a task of its own."""
_COUNTED = frozenset(TYPE_OF[model] for model in ON)


@dataclass(kw_only=True)
class Rows(Letters[Row]):
    """The rows of all letters; whatever changes one also marks the cells that it alters.

    Of a fact that changes a row now, the cells are known exactly. A fact that comes again may be one whose marks a crash prevented, so all
    cells of its letter are marked.
    """

    cells: Cells

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tell = self._note_told
        self.restore = self._note
        self.before_release = self._mark

    async def _note(self, steps: Sequence[Step[Row]]) -> None:
        _STEPS.get([]).extend(steps)

    async def _note_told(self, steps: Sequence[Step[Row]]) -> Sequence[Telling]:
        await self._note(steps)
        return ()

    async def handle(self, records: Sequence[Record], *, live: bool = True) -> None:
        """Take a batch of the topic `letters`; see `Letters.handle`. It is committed only once the marks are written."""
        steps: list[Step[Row]] = []
        _STEPS.set(steps)
        await super().handle(records, live=live)
        changed = self._changed(steps)
        applied = {(step.letter_id, step.fact.source, step.seq) for step in steps}
        again = {fact[0] for fact in _facts(records) if fact not in applied}
        async for attempt in patiently():
            with attempt:
                if again:
                    for row in await self._rows(again):
                        changed.update(cells_of(row), cells_of(apart(row, self.cells.units)))
                await self.cells.mark(changed)

    async def take_up(self) -> None:
        """See `Letters.take_up`; what waited is forgotten only once the marks are written."""
        _STEPS.set([])
        await super().take_up()

    async def _mark(self, letter_ids: Sequence[str]) -> None:
        """Mark the cells of letters whose facts were taken up now, or before a crash."""
        changed = self._changed(_STEPS.get([]))
        for row in await self._rows(letter_ids):
            changed.update(cells_of(row), cells_of(apart(row, self.cells.units)))
        await self.cells.mark(changed)

    def _changed(self, steps: Sequence[Step[Row]]) -> set[str]:
        changed: set[str] = set()
        for step in steps:
            changed |= changed_cells(self._apart(step.before), self._apart(step.after))
        return changed

    def _apart(self, row: Row | None) -> Row | None:
        return None if row is None else apart(row, self.cells.units)

    async def _rows(self, letter_ids: Iterable[str]) -> list[Row]:
        ids = list(letter_ids)
        # One that a newer release wrote comes without its state: a process of that marks its cells.
        found, _ = await self.aggregates.recall(ids, ids)
        return [stored.state for stored in found.values() if stored.state is not None]


def _facts(records: Sequence[Record]) -> list[tuple[str, str, int]]:
    """Return letter, service and seq of the facts that count in figures; what cannot be read was parked and counts nowhere."""
    found = []
    for record in records:
        try:
            envelope = attributes(record.headers)
        except BadEnvelope:
            continue
        if envelope.type in _COUNTED:
            found.append((envelope.subject, envelope.source, envelope.seq))
    return found


@dataclass
class Recounting:
    """The loop that recounts dirty cells (architecture rule 10): oldest mark first, busy cells not too often."""

    rows: Rows
    cells: Cells
    elapsed: Callable[[], float] = monotonic
    spent: Callable[[], float] = thread_time
    """Processor time, since waiting on a busy machine is no reason to rest."""
    _rests_until: dict[str, float] = field(default_factory=dict)

    async def sweep(self) -> None:
        """Recount what is dirty and does not rest."""
        while True:
            now = self.elapsed()
            self._rests_until = {key: until for key, until in self._rests_until.items() if until > now}
            dirty = await self.cells.dirty(DIRTY_AT_ONCE, list(self._rests_until))
            for together in _portions(dirty):
                await self._recount(together)
            if len(dirty) < DIRTY_AT_ONCE:
                return

    async def _recount(self, together: Sequence[Dirty]) -> None:
        cells = await self.cells.still_dirty([cell.key for cell in together])
        if not cells:
            return
        began, spent = perf_counter(), self.spent()
        tallies = await self.cells.recount(cells, self.rows.aggregates)
        metrics.recount_seconds.labels(self.rows.domain.source).observe(perf_counter() - began)
        rest, now = _rest(self.spent() - spent), self.elapsed()
        everything = sum(tallies.values()) + len(tallies)
        for key, number in tallies.items():
            self._rests_until[key] = now + rest * (number + 1) / everything

    async def measure(self) -> None:
        """Set the gauges of cells that wait."""
        number, oldest = await self.cells.waiting()
        metrics.dirty_cells.labels(self.rows.domain.source).set(number)
        metrics.dirty_cells_oldest_seconds.labels(self.rows.domain.source).set(oldest)


def _rest(spent: float) -> float:
    """Return for how many seconds cells rest whose recount took so much processor time."""
    return min(COOLING * spent, max(SECOND, WARMEST * spent))


def _portions(dirty: Sequence[Dirty]) -> list[list[Dirty]]:
    """Return the cells in portions that are worth one query each."""
    portions: dict[int, list[Dirty]] = defaultdict(list)
    portion = tallies = 0
    for cell in dirty:
        if portions[portion] and tallies + cell.tallies > TALLIES_AT_ONCE:
            portion, tallies = portion + 1, 0
        portions[portion].append(cell)
        tallies += cell.tallies + 1
    return [cells for cells in portions.values() if cells]
