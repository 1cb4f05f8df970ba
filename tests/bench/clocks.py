"""A million open clocks: how long a thousand that fall due take to fire, what the sweep costs while nothing is due, and memory.

All but a thousand are written straight into deadline's collection, by its own `Aggregates`; the thousand come as facts, so that all
services know them. Then the clock is moved, first to their reminders, then to their due moment.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from services.deadline import repository
from services.deadline.state import ON, Clock, Clocks, Kind
from services.deadline.working_time import rules_of
from services.kit import Kit
from shared.calendar.clock import write_clock_file
from shared.contracts.envelope import Outgoing
from shared.contracts.facts import ReplySubmitted
from shared.storage import Change, Stored
from tests.bench.rebuild import publish
from tests.bench.records import Records
from tests.bench.results import Result, check
from tests.bench.stories import UNITS, one_story, packed
from tests.bench.town import Town, names_of, tell, until

OPEN = 1_000_000
DUE = 1_000
BATCH = 2_000
WRITERS = 4
NOW = datetime.fromisoformat("2026-03-02T09:30:00+08:00")
REMINDED = datetime.fromisoformat("2026-03-13T00:00:01+08:00")
LATE = datetime.fromisoformat("2026-03-17T00:00:01+08:00")
LATER = datetime.fromisoformat("2026-06-01T00:00:00+08:00")
"""The first due moment of all the other clocks."""
SPREAD_DAYS = 200
OFTEN, HARDLY = 0.05, 60.0
"""Seconds between sweeps: many, so that their cost stands out, against none."""
IDLE_SECONDS = 30.0
FIRED = ("ReplyOverdue", "UrgingDue")
FOLLOWING = ("UrgingSent", "NoticePosted")


async def measure(town: Town) -> list[Result]:
    """Open the clocks, let some fall due, then watch the sweep do nothing."""
    clock_file = town.folder / "clock.json"
    write_clock_file(clock_file, NOW, backwards=True)
    town.also = {"CLOCK_FILE": str(clock_file.absolute())}
    await town.start("deadline")  # on an empty store, so that it notes by which schedules due dates are counted
    await _counted(town, 0)
    await town.stop()
    tell(f"clocks: opening {OPEN:,}")
    began = time.perf_counter()
    await _open(town, OPEN - DUE)
    seconds = time.perf_counter() - began
    tell(f"clocks: opened in {seconds:.0f} s")
    started = await town.start()
    fresh = town.memory()
    async with Records(town) as records:
        number = await publish(town, _coming(DUE))
        await _reach(records, number + DUE)  # each hand-off's due date follows from its facts
        results = [await _fire(town, records, number + DUE)]
    after = town.memory()
    services = {name: round(after[name], 1) for name in names_of(after)}
    memory = Result(
        f"memory with {OPEN:,} open clocks",
        sum(services.values()),
        "MB",
        None,
        "lower",
        {
            "each": services,
            "each before": {name: round(fresh[name], 1) for name in services},
            "engines": {name: round(after[name], 1) for name in after if name not in services},
            "seconds until deadline was ready": round(started["deadline"], 1),
            "seconds to open the clocks": round(seconds),
        },
        "resident, after they fired",
    )
    return [*results, await _idle(town), memory]


# ── clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _open(town: Town, number: int) -> None:
    """Write letters, each with one reply clock that runs, into deadline's collection."""
    kit = Kit(town.settings)
    rules = rules_of(kit.calendar, kit.settings)
    letters = repository.letters(kit.store, rules, kit.directory)
    model, seen = _model()
    batches = iter(range(0, number, BATCH))

    async def write() -> None:
        for first in batches:
            changes = [Change(Stored(f"{n:08x}-open"), _copy(model, n), seen) for n in range(first, first + BATCH)]
            assert not await letters.save(changes[: number - first])

    await asyncio.gather(*(write() for _ in range(WRITERS)))
    kit.store.close()
    check("open clocks", await town.count("deadline"), number)


def _model() -> tuple[Clocks, dict[str, int]]:
    """Return the state of a letter in hand, and how many facts of each service are in it."""
    state: Clocks | None = None
    seen: dict[str, int] = {}
    for fact in one_story("model", NOW - timedelta(hours=3), 1, ReplySubmitted):
        seen[fact.source] = seen.get(fact.source, 0) + 1
        if evolve := ON.get(type(fact)):
            state = evolve(state, fact)
    assert state is not None
    return state, seen


def _copy(model: Clocks, number: int) -> Clocks:
    due_at = LATER + timedelta(days=number % SPREAD_DAYS)
    changes = {"due_at": due_at, "mailbox": UNITS[number % len(UNITS)]}
    clocks = [clock.model_copy(update=changes) if _runs(clock) else clock for clock in model.clocks]
    return model.model_copy(update={"letter_id": f"{number:08x}-open", "clocks": tuple(clocks)})


def _runs(clock: Clock) -> bool:
    return clock.kind is Kind.REPLY


def _coming(number: int) -> Iterator[Outgoing]:
    """Return the facts of letters in hand, without what deadline decides by itself."""
    for n in range(number):
        facts = one_story(f"{n:08x}-due", NOW - timedelta(hours=2), n + 1, ReplySubmitted)
        yield from packed([fact for fact in facts if fact.source != "deadline"])


# ── what is measured ─────────────────────────────────────────────────────────────────────────────────────────────────


async def _fire(town: Town, records: Records, before: int) -> Result:
    await _move(town, REMINDED)
    await _reach(records, before + DUE)
    cpu = town.cpu()
    moved = await _move(town, LATE)
    await _reach(records, before + DUE + DUE * len((*FIRED, *FOLLOWING)))
    spent = {name: round((after - cpu[name]) * 1000 / DUE, 2) for name, after in town.cpu().items()}
    sent = await records.moments("letters")
    for kind in ("ReplyReminded", *FIRED, *FOLLOWING):
        check(kind, len(sent[kind]), DUE)
    fired = max(moment for kind in FIRED for moment in sent[kind]) - moved
    tell(f"clocks: fired in {fired:.2f} s")
    return Result(
        f"{DUE:,} of {OPEN:,} clocks fire",
        fired,
        "s",
        5,
        "lower",
        {
            "facts of deadline": DUE * len(FIRED),
            "seconds until the first fact": round(min(sent[FIRED[0]]) - moved, 2),
            "seconds until all were urged and on the notice board": round(
                max(moment for kind in FOLLOWING for moment in sent[kind]) - moved, 2
            ),
            "CPU ms per clock": spent,
        },
        "from the moment they are due until the last fact is on `letters`; the sweep looks once a second",
    )


async def _move(town: Town, to: datetime) -> float:
    write_clock_file(town.folder / "clock.json", to)
    return time.time()


async def _reach(records: Records, number: int) -> None:
    async def there() -> bool:
        return await records.number("letters") >= number

    await until(there)


async def _idle(town: Town) -> Result:
    """Compare what deadline and the engines use with many sweeps and with none, all other services being stopped."""
    await town.stop()
    used: dict[float, dict[str, float]] = {}
    for pause in (HARDLY, OFTEN):
        town.also["SWEEP_SECONDS"] = str(pause)
        await town.start("deadline")
        await _counted(town, OPEN)
        swept, before = await _swept(town), town.cpu()
        await asyncio.sleep(IDLE_SECONDS)
        used[pause] = {name: after - before[name] for name, after in town.cpu().items()}
        number, seconds = (b - a for a, b in zip(swept, await _swept(town), strict=True))
        await town.stop()
    # Kafka is not asked where nothing is due.
    names = [name for name in used[OFTEN] if name != "kafka"]
    each = {name: (used[OFTEN][name] - used[HARDLY][name]) * 1000 / number for name in names}
    tell(f"clocks: {number:.0f} sweeps, CPU ms each {each}")
    return Result(
        f"idle sweep over {OPEN:,} open clocks",
        max(0.0, sum(each.values())) / 10,
        "% of a core",
        1,
        "lower",
        {
            "CPU ms of one sweep": {name: round(value, 2) for name, value in each.items()},
            "ms that one sweep takes": round(seconds / number * 1000, 2),
            "sweeps": number,
            "% of a core of all that is idle, with the sweep": {
                name: round((used[HARDLY][name] / IDLE_SECONDS + each[name] / 1000) * 100, 1) for name in each
            },
        },
        f"one sweep a second; its cost is that of sweeping each {OFTEN} s less that of hardly sweeping, {IDLE_SECONDS:.0f} s each",
    )


async def _metric(town: Town, name: str) -> float:
    """Return the sum of a metric of deadline over its labels."""
    text = (await town.page("deadline", "/metrics")).decode()
    lines = (line for line in text.splitlines() if line.startswith(name + "{"))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def _swept(town: Town) -> tuple[float, float]:
    """Return how many sweeps there were and how many seconds they took."""
    name = "xinxiang_clock_sweep_seconds"
    return await _metric(town, f"{name}_count"), await _metric(town, f"{name}_sum")


async def _counted(town: Town, number: int) -> None:
    """Wait until the gauges have counted all running clocks, which then rests for long."""

    async def counted() -> bool:
        return await _swept(town) > (0, 0) and await _metric(town, "xinxiang_letters") >= number

    await until(counted)
