"""Reporting on real engines: facts in, figures out, the same however often and in what pieces the facts come."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import pytest

from services.reporting.app import build
from services.reporting.handlers import Recounting
from services.reporting.periods import Period, parse_week
from services.reporting.reports import Reports
from services.reporting.repository import Cells, make_rows
from services.reporting.summing import Figures
from services.reporting.totals import Totals
from services.runtime import Service
from services.settings import Settings
from shared.calendar.zone import SHANGHAI
from shared.contracts.envelope import Outgoing, pack_fact
from shared.contracts.facts import Fact
from tests.conftest import World, eventually
from tests.histories import flat, histories, recount

START = datetime(2026, 1, 19, tzinfo=SHANGHAI)
WEEKS = [f"2026-W{number:02}" for number in range(4, 12)]
DUTY = ("mayor-duty", "mayor", "duty_officer")


def packed(letters: Iterable[Sequence[Fact]]) -> list[Outgoing]:
    """The messages of whole histories, letters mixed by time, each letter in its own order."""
    messages = []
    for facts in letters:
        seen: Counter[str] = Counter()
        for fact in facts:
            seen[fact.source] += 1
            messages.append(pack_fact(fact, seen[fact.source]))
    return messages


async def send(service: Service, messages: Sequence[Outgoing]) -> None:
    """Put messages on the topic with the service's own producer, in order."""
    futures = [
        await service.broker.publish(
            message.value,
            topic=service.kit.namespace + message.topic,
            key=message.key.encode(),
            headers=message.headers,
            no_confirm=True,
        )
        for message in messages
    ]
    await asyncio.gather(*futures)


async def committed(*services: Service) -> None:
    """Wait until every fact on the topic is committed."""

    async def probe() -> bool:
        ends: dict[Any, int] = {}
        for consumer in (service.subscribers[0].consumer for service in services):
            for partition, end in (await consumer.end_offsets(consumer.assignment())).items():
                ends[partition] = end
                assert (await consumer.committed(partition) or 0) == end, f"{partition} is behind {end}"
        return sum(ends.values()) > 0

    await eventually(probe, 60)


async def caught_up(*services: Service) -> None:
    """Wait until every fact is committed and no cell is dirty."""
    await committed(*services)
    cells = Cells(services[0].kit.store, services[0].kit.directory)

    async def probe() -> bool:
        return await cells.waiting() == (0, 0.0)

    await eventually(probe, 60)


async def stored(service: Service) -> tuple[dict[str, Any], dict[str, Any]]:
    """All rows and all cells, less what differs from run to run."""
    store = service.kit.store
    rows = make_rows(store, service.kit.directory)
    found = {
        d["_id"]: (rows.load(d["state"]), d["version"], d["seen"], d["cells"]) async for d in rows.collection.find({})
    }
    cells = {
        d["_id"]: d["counts"] async for d in Cells(store, service.kit.directory).collection.find({}) if d["counts"]
    }
    return found, cells


async def counted(service: Service, mailbox: str | None, period: Period) -> Figures:
    return await Reports(Totals(cells_of(service)), service.kit.directory).count(mailbox, period)


def cells_of(service: Service) -> Cells:
    """The cells as the service's own loop recounts them, with everything that hears of it."""
    return service.part(Recounting).cells


async def test_figures_equal_a_plain_recount_also_when_facts_come_twice_and_from_0_again(world: World) -> None:
    world.move_clock(datetime(2026, 3, 20, 9, tzinfo=SHANGHAI))
    letters = histories(11, 150, START)
    messages = packed(letters)
    service = build(world.kit())
    async with world.running(service) as client:
        half = len(messages) // 2
        await send(service, messages[:half])
        await send(service, messages[half // 2 : half])
        await send(service, messages[half:])
        await send(service, messages[: half // 3])
        await caught_up(service)
        for week in map(parse_week, WEEKS):
            for mailbox in ("mayor", "yuzhong", "education", None):
                figures = await counted(service, mailbox, week)
                assert flat(figures) == recount(letters, mailbox, week.starts_at, week.ends_at)
        expected = recount(letters, "mayor", parse_week("2026-W06").starts_at, parse_week("2026-W06").ends_at)
        bulletin = (await client.get("/reporting/weeks/2026-W06")).json()
        shown = bulletin["figures"]
        assert (shown["received"], shown["registered"]) == (expected["received"], expected["registered"])
        assert {p["code"]: p["count"] for p in shown["natures"] if p["count"]} == {
            name.removeprefix("nature "): n for name, n in expected.items() if name.startswith("nature ")
        }
        assert shown["up_to_date"]
        before_rows, before_cells = await stored(service)

    # Thrown away and rebuilt from `letters`, from offset 0.
    again = build(world.kit())
    await world.forget("reporting")
    for job in again.prepare:
        await job()
    facts = await world.records("letters")
    for first in range(0, len(facts), 500):
        await again.letters.handle(facts[first : first + 500], live=False)
    await again.sweeps_of_one["cells"]()
    rows, cells = await stored(again)
    assert rows == before_rows
    assert cells == before_cells


async def test_a_crash_between_rows_and_marks_leaves_no_cell_behind(world: World) -> None:
    letters = histories(12, 40, START)
    service = build(world.kit())
    mark, crashes = Cells.mark, 0

    async def crashing(self: Cells, keys: Iterable[str]) -> None:
        nonlocal crashes
        if crashes < 3:
            crashes += 1
            raise RuntimeError("killed here")
        await mark(self, keys)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Cells, "mark", crashing)
        async with world.running(service):
            await send(service, packed(letters))
            await caught_up(service)
            assert crashes == 3
            for week in map(parse_week, WEEKS):
                figures = await counted(service, "mayor", week)
                assert flat(figures) == recount(letters, "mayor", week.starts_at, week.ends_at)


async def test_two_replicas_share_the_work_with_the_same_figures(world: World) -> None:
    letters = histories(13, 120, START)
    first, second = build(world.kit()), build(world.kit())
    async with world.running(first), world.running(second):
        messages = packed(letters)
        await send(first, messages[: len(messages) // 2])
        await send(second, messages[len(messages) // 2 :])
        await caught_up(first, second)
        period = Period(date(2026, 1, 1), date(2026, 4, 1))
        figures = await counted(second, None, period)
        assert flat(figures) == recount(letters, None, period.starts_at, period.ends_at)


async def test_a_mark_that_comes_while_a_cell_is_recounted_stays(world: World) -> None:
    letters = histories(14, 30, START)
    service = build(world.kit())
    service.sweeps_of_one.clear()
    rows, cells = service.letters, Cells(service.kit.store, service.kit.directory)
    async with world.running(service):
        await send(service, packed(letters))
        await committed(service)
        first, second, *_ = seen = await cells.dirty(400)
        await cells.mark([first.key])
        waited_since = (await cells.collection.find_one({"_id": first.key}))["dirty"]
        await cells.recount(seen, rows.aggregates)
        assert [cell.key for cell in await cells.dirty(400)] == [first.key]
        assert (await cells.collection.find_one({"_id": first.key}))["dirty"] > waited_since
        # A slower recount that began before, with older rows, replaces nothing.
        await cells.collection.update_one({"_id": second.key}, {"$set": {"counts": {"kept": True}}})
        await cells.recount([second], rows.aggregates)
        assert (await cells.collection.find_one({"_id": second.key}))["counts"] == {"kept": True}


async def test_a_busy_cell_rests_three_times_as_long_as_its_recount_took(world: World) -> None:
    letters = histories(15, 30, START)
    service = build(world.kit())
    service.sweeps_of_one.clear()
    now, spent = 0.0, itertools.count(step=0.5)
    recounting = Recounting(
        service.letters, Cells(service.kit.store, service.kit.directory), lambda: now, lambda: next(spent)
    )
    cells = recounting.cells
    async with world.running(service):
        await send(service, packed(letters))
        await committed(service)
        await recounting.sweep()
        assert await cells.dirty(1) == []
        now += 1000
        await cells.mark(["mayor|2026-01-21"])
        await recounting.sweep()
        await cells.mark(["mayor|2026-01-21"])
        now += 1.4
        await recounting.sweep()
        assert [cell.key for cell in await cells.dirty(1)] == ["mayor|2026-01-21"]
        now += 0.2
        await recounting.sweep()
        assert await cells.dirty(1) == []


async def test_r11_2_the_bulletin_in_json_and_as_a_page(world: World) -> None:
    world.move_clock(datetime(2026, 2, 12, 9, tzinfo=SHANGHAI))
    letters = histories(16, 80, START)
    service = build(world.kit())
    async with world.running(service) as client:
        await send(service, packed(letters))
        await caught_up(service)
        weeks = (await client.get("/reporting/weeks")).json()["items"]
        assert [week["week"] for week in weeks] == ["2026-W07", "2026-W06", "2026-W05", "2026-W04"]
        assert [week["ended"] for week in weeks] == [False, True, True, True]
        assert len((await client.get("/reporting/weeks?limit=2")).json()["items"]) == 2
        bulletin = (await client.get("/reporting/weeks/2026-W06")).json()
        assert bulletin["title"] == "市长信箱工作周报"
        assert (bulletin["figures"]["first_day"], bulletin["figures"]["last_day"]) == ("2026-02-02", "2026-02-08")
        assert bulletin["figures"]["starts_at"] == "2026-02-01T16:00:00Z"
        before = (await client.get("/reporting/weeks/2026-W05")).json()
        assert bulletin["before"] == before["figures"]
        assert bulletin["change"]["received"] == bulletin["figures"]["received"] - before["figures"]["received"]
        shown = await client.get("/reporting/weeks/2026-W06/page")
        assert shown.status_code == 200
        for text in ("市长信箱工作周报", "2026年2月2日", "按时回复", "统计口径", str(bulletin["figures"]["received"])):
            assert text in shown.text
        assert "本周尚未结束" in (await client.get("/reporting/weeks/2026-W07/page")).text
        assert "text/html" in (await client.get("/reporting/weeks/2025-W10/page")).headers["content-type"]


async def test_r11_2_a_wrong_week_is_422_and_a_future_one_404(world: World) -> None:
    world.move_clock(datetime(2026, 2, 12, 9, tzinfo=SHANGHAI))
    async with world.running(build(world.kit())) as client:
        for path in ("", "/page"):
            for week in ("2026-W54", "2026-07", "W07", "2026-W7", "9999-W52"):
                refused = await client.get(f"/reporting/weeks/{week}{path}")
                assert refused.status_code == 422, week
                assert (refused.json()["rule"], refused.headers["content-type"]) == (
                    "R10.4",
                    "application/problem+json",
                )
            future = await client.get(f"/reporting/weeks/2026-W08{path}")
            assert (future.status_code, future.json()["rule"]) == (404, "R11.2")
            assert (await client.get(f"/reporting/weeks/2026-W07{path}")).status_code == 200


async def test_r10_2_a_unit_sees_its_own_figures_and_the_duty_office_all(world: World) -> None:
    letters = histories(17, 60, START)
    service = build(world.kit())
    async with world.running(service) as client:
        await send(service, packed(letters))
        await caught_up(service)
        query = "?from=2026-01-26&to=2026-02-16"
        period = Period(date(2026, 1, 26), date(2026, 2, 16))
        clerk = world.token("education-clerk", "education", "clerk")
        own = await client.get(f"/reporting/mailboxes/education/figures{query}", headers=clerk)
        expected = recount(letters, "education", period.starts_at, period.ends_at)
        assert own.json()["received"] == expected["received"]
        by_mayor = {unit["mailbox"]: unit for unit in own.json()["undertaken"]["units"]}["mayor"]
        assert by_mayor["assigned"] == expected["undertaken/mayor/assigned"]
        duty = world.token(*DUTY)
        seen = await client.get(f"/reporting/mailboxes/education/figures{query}", headers=duty)
        assert seen.json() == own.json()
        city = await client.get(f"/reporting/city/figures{query}", headers=duty)
        assert city.json()["received"] == recount(letters, None, period.starts_at, period.ends_at)["received"]
        assert city.json()["mailbox"] is None

        async def status(path: str, headers: dict[str, str] | None = None) -> int:
            return (await client.get(path, headers=headers)).status_code

        assert await status(f"/reporting/mailboxes/mayor/figures{query}", clerk) == 403
        assert await status(f"/reporting/city/figures{query}", clerk) == 403
        assert await status(f"/reporting/mailboxes/education/figures{query}") == 401
        admin = world.token("admin", "education", "admin")
        assert await status(f"/reporting/mailboxes/education/figures{query}", admin) == 403
        assert await status(f"/reporting/mailboxes/nowhere/figures{query}", duty) == 404
        empty = await client.get("/reporting/mailboxes/education/figures?from=2026-02-02&to=2026-02-02", headers=clerk)
        assert (empty.status_code, empty.json()["rule"]) == (422, "R10.4")
        for wrong in ("", "?from=2026-02-02", "?from=x&to=2026-02-02", "?from=0001-01-01&to=9999-12-31"):
            assert await status(f"/reporting/mailboxes/education/figures{wrong}", clerk) == 422


async def test_r11_2_the_bulletin_is_kept_to_staff_unless_a_city_opens_it(world: World) -> None:
    async with world.running(build(world.kit(bulletin_public=Settings().bulletin_public))) as client:
        clerk = world.token("water-clerk", "water", "clerk")
        for path in ("/reporting/weeks", "/reporting/weeks/2026-W08", "/reporting/weeks/2026-W08/page"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=clerk)).status_code == 200


async def test_a_crash_while_a_second_replica_joins_loses_no_fact(world: World) -> None:
    letters = histories(19, 60, START)
    messages = packed(letters)
    first, second = build(world.kit()), build(world.kit())
    mark, handling, joined = Cells.mark, asyncio.Event(), asyncio.Event()

    async def crashing(self: Cells, keys: Iterable[str]) -> None:
        if not joined.is_set():
            handling.set()
            await joined.wait()
            raise RuntimeError("killed here")
        await mark(self, keys)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Cells, "mark", crashing)
        async with world.running(first):
            await send(first, messages[: len(messages) // 2])
            await handling.wait()
            everything = len(first.subscribers[0].consumer.assignment())
            async with world.running(second):

                async def shared() -> bool:
                    return len(first.subscribers[0].consumer.assignment()) < everything

                await eventually(shared)
                joined.set()
                await send(second, messages[len(messages) // 2 :])
                await caught_up(first, second)
                period = Period(date(2026, 1, 1), date(2026, 4, 1))
                figures = await counted(second, None, period)
                assert flat(figures) == recount(letters, None, period.starts_at, period.ends_at)
