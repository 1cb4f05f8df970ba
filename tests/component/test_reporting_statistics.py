"""The public's statistics on real engines: facts in, the same numbers out as a plain recount, read once in a while (R10.4)."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.reporting.app import build
from services.reporting.small_cells import shown
from services.reporting.statistics_cells import Months
from shared.calendar.zone import SHANGHAI
from tests.component.test_reporting import START, caught_up, packed, send
from tests.conftest import World
from tests.histories import histories, recount

NOW = datetime(2026, 3, 20, 9, tzinfo=SHANGHAI)
EDGES = [datetime(2026, month, 1, tzinfo=SHANGHAI) for month in (1, 2, 3, 4)]


def due(found: Counter[str], figure: str) -> int:
    return sum(n for key, n in found.items() if key.startswith("undertaken/") and key.endswith(f"/{figure}"))


async def test_r10_4_the_public_sees_the_recounted_numbers_less_what_is_too_small(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.move_clock(NOW, rate=0)
    letters = histories(17, 150, START)
    reads = 0
    read = Months.read

    async def counted(self: Months, period: Any) -> Any:
        nonlocal reads
        reads += 1
        return await read(self, period)

    monkeypatch.setattr(Months, "read", counted)
    service = build(world.kit())
    async with world.running(service) as client:
        await send(service, packed(letters))
        await caught_up(service)
        data = (await client.get("/statistics.json")).json()
        assert [month["month"] for month in data["months"]] == ["2026-01", "2026-02", "2026-03"]
        assert data["up_to_date"]
        domains: Counter[str] = Counter()
        for month, start, end in zip(data["months"], EDGES, EDGES[1:], strict=False):
            plain = recount(letters, None, start, end)
            assert month["received"] == plain["received"]
            assert month["answered"] == plain["answered"]
            assert month["answered_in_time"] == due(plain, "answered_in_time")
            assert month["became_overdue"] == due(plain, "became_overdue")
            if end <= NOW:
                tops: Counter[str] = Counter()
                for key, n in plain.items():
                    if key.startswith("domain "):
                        tops[service.kit.directory.path_of(key.removeprefix("domain "))[0]] += n
                domains.update(shown(tops, {one.code for one in service.kit.directory.domains()}).classes)
        assert {line["code"]: line["received"] for line in data["domains"]["lines"]} == domains
        assert sum(domains.values()) > 50
        assert (await client.get("/statistics?lang=en")).status_code == 200

        # What was read is kept: an ended month for an hour, the running one for a minute.
        assert reads == 3
        await client.get("/statistics.csv?year=2026")
        assert reads == 3
        world.move_clock(NOW + timedelta(minutes=2), rate=0)
        await client.get("/statistics.json")
        assert reads == 4
        world.move_clock(NOW + timedelta(hours=2), rate=0)
        await client.get("/statistics.json")
        assert reads == 7
