"""What a bulletin costs over many stored letters, and how soon figures show a fact (R10.4, R11.2).

The letters are of two years up to today, all to the mayor's mailbox. Rows are made by the service's own domain code, one for each of some
stories a day, and each stands for many letters; cells are counted from the rows by the service's own code. That a cell is what a recount
makes of it is checked.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import orjson

from services.kit import Kit
from services.reporting.app import build
from services.reporting.domain import ON, Row
from services.reporting.figures import Counts, count, tallies
from services.reporting.handlers import Recounting
from services.reporting.issue_view import Series
from services.reporting.issues import Run, before, due_at, period_of
from services.reporting.issuing import Issuing
from services.reporting.periods import Period, week_id, week_of
from services.reporting.repository import dump_counts
from services.runtime import Service
from shared.calendar.zone import business_date
from shared.contracts.envelope import Outgoing
from shared.contracts.facts import Fact, LetterReceived
from shared.contracts.types import Classification, Nature
from shared.storage import Change, Stored, translated
from tests.bench.client import Connection, request
from tests.bench.rebuild import publish
from tests.bench.results import Result, check, check_between, percentile
from tests.bench.stories import UNITS, one_story, packed
from tests.bench.town import Town, per, tell, until

LETTERS = int(os.environ.get("BENCH_BULLETIN_LETTERS", "1000000"))
DAYS = 730
STORIES_A_DAY = 4
BATCH = 2_000
ROUNDS = 20
FACTS, PAUSE = 300, 0.1
AIM_SECONDS, AIM_FRESH_SECONDS = 2.0, 2.0


async def measure(town: Town) -> list[Result]:
    """Fill the store, compose each kind of bulletin, let the service issue all of two years, then watch figures follow facts."""
    town.also["BULLETIN_PUBLIC"] = "true"
    service = build(Kit(town.settings))
    for job in service.prepare:
        await job()
    began = time.perf_counter()
    await _fill(service, LETTERS)
    tell(f"bulletin: {LETTERS:,} letters written in {time.perf_counter() - began:.0f} s")
    results = await _composed(service)
    await _recounted(service)
    service.kit.store.close()
    results.append(await _made_up_for(town))
    results.append(await _fresh(town))
    return results


# ── the stock ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _fill(service: Service, number: int) -> None:
    aggregates = service.letters.aggregates
    models = list(_models(datetime.now(UTC)))
    cells: dict[str, Counts] = {}
    for place, (row, seen) in enumerate(models):
        copies = len(range(place, number, len(models)))
        if not copies:
            continue
        own: dict[str, Counts] = {tally.cell: Counter() for tally in tallies(row)}
        count([row], own)
        for key, counted in own.items():
            into = cells.setdefault(key, Counter())
            into.update({what: n * copies for what, n in counted.items()})
        document, _ = aggregates._document(Change(Stored("x"), row, seen), "0" * 16)
        state = document["state"]
        for first in range(place, number, len(models) * BATCH):
            some = range(first, min(number, first + len(models) * BATCH), len(models))
            letters = [
                {**document, "_id": str(uuid4()), "state": {**state, "number": f"YFX-2026-{position + 1}"}}
                for position in some
            ]
            with translated():
                await aggregates.collection.insert_many(letters, ordered=False)
    collection = service.part(Recounting).cells.collection
    documents = [
        {
            "_id": key,
            "mailbox": key.rpartition("|")[0],
            "day": key.rpartition("|")[2],
            "counts": dump_counts(counted),
            "tallies": counted.total(),
            "stamp": "0" * 16,
            "made": "0" * 16,
        }
        for key, counted in cells.items()
    ]
    for first in range(0, len(documents), BATCH):
        with translated():
            await collection.insert_many(documents[first : first + BATCH], ordered=False)


def _models(now: datetime) -> Iterator[tuple[Row, dict[str, int]]]:
    """Return rows of `DAYS` days up to today, and how many facts each service published on each."""
    random = Random(1)
    start = now - timedelta(hours=3)
    for day in range(DAYS):
        for place in range(STORIES_A_DAY):
            begins = start - timedelta(days=day, minutes=place * 17)
            days = random.choice((0, 3, 7, 9, 18))
            facts = one_story("model", begins, day * STORIES_A_DAY + place + 1, days=min(days, day))
            row: Row | None = None
            for fact in facts:
                evolve = ON.get(type(fact))
                row = evolve(row, fact) if evolve else row
            assert row is not None
            yield row.model_copy(update={"nature": random.choice(list(Nature))}), _seen(facts)


def _seen(facts: Sequence[Fact]) -> dict[str, int]:
    return dict(Counter(fact.source for fact in facts))


async def _recounted(service: Service) -> None:
    """Check that a cell is what a recount makes of it."""
    cells = service.part(Recounting).cells
    key = f"mayor|{(business_date(datetime.now(UTC)) - timedelta(days=40)).isoformat()}"
    was = await cells.collection.find_one({"_id": key})
    began = time.process_time()
    await cells.mark([key])
    await service.part(Recounting).sweep()
    now = await cells.collection.find_one({"_id": key})
    tell(f"bulletin: a cell of {now['tallies']:,} tallies recounted in {time.process_time() - began:.2f} s CPU")
    check("a recounted cell", now["counts"], was["counts"])


# ── bulletins ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _composed(service: Service) -> list[Result]:
    today = business_date(datetime.now(UTC))
    results = []
    for series, mailbox in (
        (Series.WEEKLY, "mayor"),
        (Series.MONTHLY, UNITS[0]),
        (Series.QUARTERLY, UNITS[0]),
        (Series.YEARLY, "mayor"),
    ):
        period = before(series, period_of(series, today))
        taken = [await _compose(service, Run(series, mailbox), period) for _ in range(ROUNDS)]
        view = await service.part(Issuing).preview(series, mailbox, period)
        beside = {
            "first s, without totals": round(taken[0], 3),
            "p50 s": round(percentile(taken[1:], 0.5), 3),
            "letters stored": LETTERS,
            "received in the period": view.figures.received,
            "assigned in the period": (
                view.figures.undertaken if view.undertaken else view.figures.assigned
            ).total.assigned,
        }
        aim = AIM_SECONDS if series is Series.WEEKLY else None
        results.append(Result(f"{series.value} bulletin", round(max(taken), 3), "s, worst", aim, "lower", beside))
    return results


async def _compose(service: Service, run: Run, period: Period) -> float:
    """Compose a number as at the hour at which it is due; return the seconds."""
    due = due_at(period, service.part(Issuing).after)
    began = time.perf_counter()
    await service.part(Issuing).composing.compose(run, period, due)
    return time.perf_counter() - began


async def _made_up_for(town: Town) -> Result:
    """Start the service: it issues every number of two years that was missed."""
    before_cpu = town.cpu()
    await town.start("reporting")
    began = time.perf_counter()
    weeks = _weeks_over(business_date(datetime.now(UTC)))

    async def all_there() -> bool:
        weekly = await town.count("reporting", "issues", {"series": "weekly"})
        units = await town.count("reporting", "issues", {"series": {"$in": ["monthly", "quarterly"]}})
        return weekly >= weeks and units >= len(UNITS) * 31

    ended = await until(all_there, 1_800)
    number = await town.count("reporting", "issues")
    check("weekly bulletins", await town.count("reporting", "issues", {"series": "weekly"}), weeks)
    spent = per(before_cpu, town.cpu(), number)
    beside = {"bulletins": number, "weekly": weeks, "seconds": round(ended - began, 1), "CPU ms per bulletin": spent}
    return Result("bulletins made up for", round(number / (ended - began), 1), "bulletins/s", None, "higher", beside)


def _weeks_over(today: date) -> int:
    first = week_of(today - timedelta(days=DAYS - 1)).first_day
    return (week_of(today).first_day - first).days // 7


# ── freshness ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _fresh(town: Town) -> Result:
    """Publish facts of today and look when the week's figures show each."""
    today = business_date(datetime.now(UTC))
    path = f"/reporting/weeks/{week_id(week_of(today))}"
    connection = await Connection.open(town.port("reporting"))

    async def received() -> int:
        status, body = await connection.send(request("GET", path))
        check("status of the week's figures", status, 200)
        return int(orjson.loads(body)["figures"]["received"])

    base = await received()
    sent: list[float] = []
    shown: list[float] = []

    async def publishing() -> None:
        for message in _arrivals():
            sent.append(time.perf_counter())
            await publish(town, [message])
            await asyncio.sleep(PAUSE)

    spent = town.cpu()
    task = asyncio.create_task(publishing())
    ends = time.perf_counter() + FACTS * PAUSE * 10 + 60
    while len(shown) < FACTS and time.perf_counter() < ends:
        now = await received() - base
        shown += [time.perf_counter()] * (now - len(shown))
        await asyncio.sleep(0.1)
    await task
    check_between("facts shown", len(shown), FACTS, FACTS)
    taken = [seen - at for at, seen in zip(sent, shown, strict=True)]
    beside: dict[str, Any] = {
        "p50 s": round(percentile(taken, 0.5), 2),
        "worst s": round(max(taken), 2),
        "facts": FACTS,
        "letters stored": LETTERS,
        "letters of the running week": base,
        "CPU ms per fact": per(spent, town.cpu(), FACTS),
    }
    return Result(
        "figures follow a fact", round(percentile(taken, 0.99), 2), "s p99", AIM_FRESH_SECONDS, "lower", beside
    )


def _arrivals() -> Iterator[Outgoing]:
    for _ in range(FACTS):
        classification = Classification(nature=Nature.HELP, domain="utilities-water", region="500103")
        fact = LetterReceived(
            letter_id=str(uuid4()),
            at=datetime.now(UTC),
            mailbox="mayor",
            chosen_mailbox="mayor",
            subject="路灯不亮",
            body="路灯已经坏了三天。",
            classification=classification,
            may_publish=True,
        )
        yield from packed([fact])
