"""One run: the plan, the load, the faults, healing, and what came of it."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic

from services import NAMES
from tests.chaos import quiet
from tests.chaos.faults import Faults
from tests.chaos.ground import Ground, kinds_here, standing
from tests.chaos.ledger import Ledger
from tests.chaos.lives import Load
from tests.chaos.office import Office
from tests.chaos.people import Door
from tests.chaos.plan import LAST_JUMP, REPLICAS, Kind, Plan, make
from tests.chaos.texts import texts
from tests.checker.checking import check
from tests.checker.town import Town

READY_SECONDS = 120
QUIET_SECONDS = 180
ONE_LIMIT = timedelta(weeks=3)
"""Longer than ten working days."""
TURN_SECONDS = 20
ROOT = Path(__file__).parents[2]


@dataclass
class Outcome:
    """What a run came to."""

    plan: Plan
    folder: Path
    failed: list[str] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Table → row → count."""
    checked: list[str] = field(default_factory=list)
    """What the checker states, a line each."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Part of the run → how long it took."""

    def lines(self) -> Iterator[str]:
        """The report."""
        for table, rows in self.counts.items():
            yield f"── {table} ──"
            yield from (f"  {name:<40} {count:>8}" for name, count in sorted(rows.items()))
        yield "── checked ──"
        yield from (f"  {line}" for line in self.checked)
        yield "── seconds ──"
        yield from (f"  {name:<40} {took:>8.1f}" for name, took in self.seconds.items())
        if not self.failed:
            yield f"seed {self.plan.seed}: everything holds"
            return
        yield f"── FAILED ({len(self.failed)}) ──"
        yield from (f"  {line}" for line in self.failed[:50])
        yield f"seed {self.plan.seed}: NOT everything holds. Logs, ledger and plan: {self.folder}"
        yield f"the same plan again: SEED={self.plan.seed} CHAOS_SECONDS={self.plan.seconds:.0f} make chaos"


async def run(seed: int, seconds: float, folder: Path, tell: Callable[[str], None], *, rate: float = 1.0) -> Outcome:
    """Do one run; everything it leaves is in `folder`, which is emptied first."""
    _make_empty(folder)
    kinds = kinds_here()
    plan = make(seed, seconds, rate=rate, kinds=kinds)
    (folder / "plan.txt").write_text("\n".join(plan.lines()) + "\n", encoding="utf-8")
    for line in plan.lines():
        tell(line)
    for kind in sorted(frozenset(Kind) - kinds):
        tell(f"not on this machine: {kind}, which needs the right to mount a file system")
    outcome, began = Outcome(plan, folder), monotonic()
    async with standing(folder) as ground:
        try:
            outcome.seconds["start"] = monotonic() - began
            await _strike(ground, outcome, tell)
            await _check(ground, outcome, tell)
        finally:
            shutil.copytree(ground.engines.folder / "logs", folder / "engines", dirs_exist_ok=True)
    outcome.counts["errors in the services' logs"] = _complaints(folder)
    (folder / "report.txt").write_text("\n".join(outcome.lines()) + "\n", encoding="utf-8")
    return outcome


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


async def _strike(ground: Ground, outcome: Outcome, tell: Callable[[str], None]) -> None:
    """Letters and faults, until all have ended and the system is quiet."""
    plan, ledger = outcome.plan, Ledger(ground.folder)
    replicas: list[Mapping[str, str]] = [
        {name: ground.fleet.of(name, n).url for name in NAMES} for n in range(REPLICAS)
    ]
    async with Door(replicas, ground.world.keys, ground.world.kit().directory, plan.seed) as door:
        load = Load(Office(plan, ground, door, ledger, texts()))
        faults = Faults(ground, ledger, tell)
        began = monotonic()
        living = asyncio.create_task(load.run())
        try:
            await asyncio.gather(faults.run(plan), _move_clocks(ground, plan))
            outcome.seconds["letters and faults"] = monotonic() - began
            began = monotonic()
            outcome.failed += faults.wrong + await quiet.ready(ground.regular, READY_SECONDS)
            tell("all faults have ended; the clocks go on past every limit")
            await _until_all_ended(ground, living)
        finally:
            living.cancel()
            with suppress(asyncio.CancelledError):
                await living
        outcome.seconds["until every letter came to its end"] = monotonic() - began
        began = monotonic()
        outcome.failed += load.stuck + sorted(set(door.wrong))
        outcome.failed += await quiet.quiet(ground.regular, QUIET_SECONDS)
        outcome.seconds["until quiet"] = monotonic() - began
        outcome.seconds["slowest to leave when asked"] = faults.longest_leave
        outcome.counts["letters that came to their end"] = load.ended
        outcome.counts["requests by answer"] = door.statuses
        outcome.counts["faults that were seen to strike"] = _struck(faults.struck)
        outcome.failed += _without_effect(plan, faults.struck)


def _struck(struck: "Counter[Kind]") -> Counter[str]:
    """How often each kind struck; what this machine cannot bring about says so."""
    here = kinds_here()
    return Counter({str(kind) if kind in here else f"{kind}: not on this machine": struck[kind] for kind in Kind})


def _without_effect(plan: Plan, struck: "Counter[Kind]") -> list[str]:
    """The kinds that were planned more often than they were seen to strike."""
    planned = Counter(strike.kind for strike in plan.strikes)
    return [
        f"{kind}: planned {number} times, seen to strike {struck[kind]} times"
        for kind, number in planned.items()
        if struck[kind] < number
    ]


async def _until_all_ended(ground: Ground, living: "asyncio.Task[None]") -> None:
    """Let the clocks go on until the last letter has come to its end: what was handed out late has its limit late."""
    turn = 0
    while not living.done():
        ground.clocks.go_on(LAST_JUMP + turn * ONE_LIMIT)
        turn += 1
        await asyncio.wait([living], timeout=TURN_SECONDS)
    await living


async def _move_clocks(ground: Ground, plan: Plan) -> None:
    began = monotonic()
    for jump in plan.jumps:
        await asyncio.sleep(max(0.0, began + jump.at - monotonic()))
        ground.clocks.go_on(jump.to)


async def _check(ground: Ground, outcome: Outcome, tell: Callable[[str], None]) -> None:
    """Let the checker look; what it was told by is kept beside the ledger."""
    tell("checking")
    town = Town(
        urls={name: [ground.fleet.of(name, n).url for n in range(REPLICAS)] for name in NAMES},
        environment=ground.world.environment(),
        keys=ground.world.keys,
    )
    town.save(ground.folder)
    report = await check(ground.folder, town)
    outcome.checked = report.table().splitlines()
    outcome.seconds["checked"] = report.seconds
    outcome.failed += [line for line in outcome.checked if line.startswith("VIOLATED")]
    (ground.folder / "check.json").write_text(report.json(), encoding="utf-8")


def _complaints(folder: Path) -> Counter[str]:
    """What services logged as an error, for whoever reads on in the logs; an engine that was away is none."""
    found: Counter[str] = Counter()
    for log in sorted(folder.glob("*-?.log")):
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and str(record.get("level", "")).upper() in {"ERROR", "CRITICAL"}:
                found[f"{log.stem.rpartition('-')[0]}: {str(record.get('message', ''))[:80]}"] += 1
    return found
