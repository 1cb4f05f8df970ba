"""A run of chaos can be repeated: its plan follows from the seed, and everything that can strike does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services import NAMES
from tests.chaos.ledger import Acknowledged, Approved, Fault, Ledger, Posted, Record
from tests.chaos.plan import EVERYWHERE, LAST_JUMP, REPLICAS, Kind, Way, make
from tests.chaos.texts import picture

ROOT = Path(__file__).parents[2]
SEEDS = (1, 2, 77, 999_999)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_plan_in_another_process_too(seed: int) -> None:
    code = f"from tests.chaos.plan import make\nprint('\\n'.join(make({seed}, 120).lines()))"
    environment = os.environ | {"PYTHONHASHSEED": str(seed + 1)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == list(make(seed, 120).lines())


def test_another_seed_gives_another_plan() -> None:
    plans = [make(seed, 120) for seed in SEEDS]
    assert len({plan.strikes for plan in plans}) == len({plan.errands for plan in plans}) == len(SEEDS)


@pytest.mark.parametrize("seconds", [120.0, 600.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_fault_strikes_and_every_way_is_gone(seed: int, seconds: float) -> None:
    plan = make(seed, seconds)
    assert {strike.kind for strike in plan.strikes} == set(Kind)
    assert {errand.way for errand in plan.errands} == set(Way)
    assert all(strike.at + strike.seconds <= seconds for strike in plan.strikes)
    assert all(plan.jumps[n].to < plan.jumps[n + 1].to for n in range(len(plan.jumps) - 1))
    assert plan.jumps[-1].to < LAST_JUMP


def test_a_stop_lasts_thirty_seconds_in_a_full_run() -> None:
    stops = [strike.seconds for strike in make(1, 600).strikes if strike.kind is Kind.STOP_SERVICE]
    assert set(stops) == {30.0}


def test_faults_that_this_machine_cannot_bring_about_are_left_out_and_letters_stay_the_same() -> None:
    plan = make(1, 120, kinds=EVERYWHERE)
    assert {strike.kind for strike in plan.strikes} == set(EVERYWHERE)
    assert plan.errands == make(1, 120).errands


def test_all_replicas_are_struck_over_many_plans() -> None:
    struck = {strike.target for seed in range(20) for strike in make(seed, 600).strikes}
    replicas = {f"{name}-{replica}" for name in NAMES for replica in range(REPLICAS + 1)}
    assert struck == replicas | {"kafka", "postgres", "ferretdb", "store", "services"}


def test_attachments_follow_from_their_seed() -> None:
    assert picture(5) == picture(5) != picture(6)
    assert picture(5).startswith(b"\x89PNG")


def test_the_ledger_gives_back_what_was_written_and_leaves_out_what_a_crash_cut_off(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    records: list[Record] = [
        Posted("2026-03-02T09:29:00+08:00", "key", {"subject": "路灯"}),
        Acknowledged("2026-03-02T09:30:00+08:00", "key", "AMRW-XKQS-Y4SJ-0", {"subject": "路灯"}),
        Approved("2026-03-02T09:31:00+08:00", "letter", "hash", {"subject": "路灯"}),
        Fault("2026-03-02T09:32:00+08:00", str(Kind.KILL_STORE), "postgres", 1.5),
    ]
    for record in records:
        ledger.add(record)
    with ledger.file.open("a", encoding="utf-8") as file:
        file.write('{"kind": "numb')
    found = list(ledger.read())
    assert [vars(one) | {"files": ()} for one in found] == [vars(one) | {"files": ()} for one in records]
