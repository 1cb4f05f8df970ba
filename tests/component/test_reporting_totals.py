"""Totals of months and years on real engines: long periods equal a plain recount, also after late facts, and cost what they span."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from services.reporting import repository
from services.reporting.app import build
from services.reporting.figures import Counts, Figure
from services.reporting.periods import Period, month, parse_week, year
from services.reporting.repository import Cells
from services.reporting.totals import Totals
from shared.calendar.schedules import YearSchedule
from shared.calendar.working_days import WorkingCalendar
from shared.calendar.zone import SHANGHAI
from tests.component.test_reporting import caught_up, cells_of, counted, packed, send
from tests.conftest import World
from tests.histories import flat, histories, recount

START = datetime(2025, 12, 8, tzinfo=SHANGHAI)
ODD = YearSchedule(
    year=2025,
    holidays=frozenset(date(2025, 1, 1) + timedelta(days=number) for number in range(365)),
    working=frozenset(),
)
"""A year without a working day."""
PERIODS = [
    Period(date(2025, 12, 1), date(2026, 3, 1)),
    Period(date(2026, 1, 1), date(2026, 4, 1)),
    Period(date(2025, 12, 17), date(2026, 2, 11)),
    year(2025),
    month(date(2026, 2, 1)),
    parse_week("2026-W08"),
]


async def test_r10_4_long_periods_equal_a_plain_recount_before_and_after_late_facts(world: World) -> None:
    letters = histories(23, 120, START)
    early, late = letters[:70], letters[70:]
    service = build(world.kit())
    async with world.running(service):
        await send(service, packed(early))
        await caught_up(service)
        for known in (early, letters):
            for period in PERIODS:
                for mailbox in ("mayor", "education", None):
                    expected = recount(known, mailbox, period.starts_at, period.ends_at)
                    assert flat(await counted(service, mailbox, period)) == expected, (period, mailbox)
            kept = {d["_id"] async for d in Totals(cells_of(service)).collection.find({"counts": {"$exists": True}})}
            assert kept >= {"mayor|2025", "mayor|2025-12", "mayor|2026-01", "|2025-12"}, "nothing was kept"
            if known is early:
                await send(service, packed(late))
                await caught_up(service)

        # What a period costs: one cell of a year ago is not read, its total is.
        read: list[Period] = []
        cells = cells_of(service)

        class Watched(Cells):
            def read(self, mailbox: str | None, period: Period, fields: Any) -> Any:
                read.append(period)
                return super().read(mailbox, period, fields)

        watched = Totals(Watched(cells.store, cells.units, cells.calendar))
        await watched.before("mayor", date(2026, 2, 11))
        assert read == [Period(date(2026, 2, 1), date(2026, 2, 11))]

        # A schedule that arrives later counts for times taken: totals made by the one before are made anew.
        odd = Totals(Cells(cells.store, cells.units, WorkingCalendar([ODD])))
        days = {key for _, figure, key in await odd.sum("mayor", year(2025)) if figure is Figure.ANSWER_DAYS}
        assert days == {"0"}


async def test_r10_4_a_total_of_cells_that_are_recounted_meanwhile_is_not_kept(world: World) -> None:
    service = build(world.kit())
    service.sweeps_of_one.pop("issues")
    async with world.running(service):
        await send(service, packed(histories(24, 20, START)))
        await caught_up(service)
        cells = cells_of(service)
        day = await cells.first_day("mayor")
        assert day is not None
        moved = False

        class Slow(Cells):
            async def sum(self, mailbox: str | None, period: Period) -> Counts:
                nonlocal moved
                found = await super().sum(mailbox, period)
                if not moved:
                    moved = True
                    await Totals(cells).recounted([f"mayor|{day}"])
                return found

        totals = Totals(Slow(cells.store, cells.units, cells.calendar))
        whole = month(day)
        first = await totals.sum("mayor", whole)
        name = f"mayor|{day:%Y-%m}"
        assert "counts" not in await totals.collection.find_one({"_id": name}), "a sum of older cells was kept"
        assert await totals.sum("mayor", whole) == first
        assert "counts" in await totals.collection.find_one({"_id": name})


async def test_r10_4_a_large_cell_is_counted_again_from_the_rows_that_moved_and_those_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "REMEMBER_FROM", 0)
    monkeypatch.setattr(repository, "ROWS_AT_ONCE", 7)
    held: list[int] = []
    read_anew = Cells._read_anew

    def noted(self: Cells, ids: Sequence[str], *others: Any) -> Any:
        held.append(len(ids))
        return read_anew(self, ids, *others)

    monkeypatch.setattr(Cells, "_read_anew", noted)
    letters = histories(25, 40, START)
    service = build(world.kit())
    del service.sweeps_of_one["issues"]  # bulletins read rows, too
    read = 0
    load = service.letters.aggregates.load

    def watched(state: dict[str, Any]) -> Any:
        nonlocal read
        read += 1
        return load(state)

    async with world.running(service):
        await send(service, packed(letters))
        await caught_up(service)
        period = Period(date(2025, 12, 1), date(2026, 3, 1))
        for mailbox in ("mayor", "education", None):
            expected = recount(letters, mailbox, period.starts_at, period.ends_at)
            assert flat(await counted(service, mailbox, period)) == expected
        cells = cells_of(service)
        keys = [d["_id"] async for d in cells.collection.find({}, {"_id": 1})]
        monkeypatch.setattr(service.letters.aggregates, "load", watched)
        was = {d["_id"]: d["counts"] async for d in cells.collection.find({}, {"counts": 1})}
        for _ in range(2):  # some rows moved after they were last counted, without another count
            read = 0
            await cells.mark(keys)
            await caught_up(service)
        assert {d["_id"]: d["counts"] async for d in cells.collection.find({}, {"counts": 1})} == was
        assert read == 0, "rows that have not moved were read again"
    assert max(held) == 7, "a cell of any size is read by portions"
