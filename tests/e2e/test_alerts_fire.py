"""A real Prometheus scrapes a city at work: rules yield figures, and each alert fires by the fault it is for and clears after it."""

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.dashboards.described import ALL
from deploy.dashboards.model import Dashboard
from deploy.engines import Engines
from deploy.parked import listed
from services import NAMES
from shared.contracts.actions import CollectLetter
from shared.contracts.envelope import Outgoing
from tests.conftest import eventually, new_world
from tests.e2e.fleet import ROOT, Fleet, ended
from tests.e2e.nursery import Forked
from tests.e2e.watched_city import WatchedCity, watched
from tests.prometheus import Prometheus, alerts, rules, shrunk
from tests.runbooks import PARKED, tried

ALERTS = alerts()
PYTHON = ".venv/bin/python -m "
RECORDS = {rule["record"] for rule in rules() if "record" in rule}


@pytest.fixture(scope="module")
async def city(
    fault_engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedCity]:
    """A city that went through every fault and is well again."""
    fault_engines.start()
    folder = tmp_path_factory.mktemp("watched")
    async with new_world(fault_engines.urls(), keys, folder) as world:
        fleet = Fleet(world, folder)
        for run in fleet.runs:
            run.environment["MEASURE_SECONDS"] = "0.5"
        prometheus = Prometheus(folder)
        try:
            async with watched(fleet, fault_engines, prometheus) as made:
                await made.play()
                yield made
        finally:
            fleet.kill_all()
            fault_engines.start()
            await world.kit().store.drop("ops")


@pytest.mark.timeout(600)
async def test_every_alert_has_a_fault_that_it_is_for(city: WatchedCity) -> None:
    assert sorted(city.faults) == ALERTS


@pytest.mark.timeout(600)
@pytest.mark.parametrize("alert", ALERTS)
async def test_an_alert_fires_by_its_fault_and_clears_after_it(city: WatchedCity, alert: str) -> None:
    fault = city.faults[alert]
    assert (fault.quiet_before, fault.fired, fault.cleared) == (True, True, True)


async def test_every_rule_can_be_computed_and_every_recording_rule_yields_figures(city: WatchedCity) -> None:
    async def all_yield() -> bool:
        found = await city.prometheus.ask('count by (__name__) ({__name__=~".+:.+"})')
        assert {series["metric"]["__name__"] for series in found} == RECORDS
        return True

    await eventually(all_yield, 20)
    assert await city.prometheus.unhealthy() == []


@pytest.mark.parametrize("dashboard", ALL, ids=lambda one: one.uid)
async def test_every_query_of_every_dashboard_returns_data(city: WatchedCity, dashboard: Dashboard) -> None:
    async def all_return() -> bool:
        empty = []
        for title, expr in dashboard.queries():
            query = shrunk(expr.replace("$__rate_interval", "5m").replace("$mailbox", ".*"))
            if not await city.prometheus.ask(query):
                empty.append((title, query))
        assert not empty, empty
        return True

    await eventually(all_return, 120)


async def typed(city: WatchedCity, lines: Sequence[str], instead: Mapping[str, str]) -> dict[str, tuple[int, str]]:
    """Run lines of runbooks side by side, with what is so in this city `instead` of what is written; their status and what they say."""
    environment = os.environ | city.world.environment()
    environment["OPS_SERVICES"] = ",".join(f"{run.service}={run.url}" for run in city.fleet.runs)
    for name, (mailbox, role) in {"DUTY": ("mayor", "duty_officer"), "CLERK": ("mayor", "clerk")}.items():
        environment[name] = city.city.token(mailbox, role)["Authorization"].removeprefix("Bearer ")
    shell = shutil.which("bash")
    assert shell

    async def run(line: str) -> tuple[int, str]:
        command = line
        for written, there in instead.items():
            command = command.replace(written, there)
        if command.startswith(PYTHON):  # a copy of one that has read the modules: a third of the time
            log = city.fleet.folder / f"{uuid4()}.log"
            forked = Forked(shlex.split(command.removeprefix(PYTHON)), environment, log)
            return await ended(forked, 120), log.read_text(encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            shell,
            "-c",
            command,
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    return dict(zip(lines, await asyncio.gather(*map(run, lines)), strict=True))


async def test_the_commands_of_runbooks_that_are_marked_as_tried_do_what_they_say(
    city: WatchedCity, tmp_path: Path
) -> None:
    """A health question may be answered with 503, and `health` may find something wrong; both must be answered."""
    lines = [line for line in tried() if PARKED not in line]
    assert len(lines) > 30
    instead = {f"localhost:{8101 + n}": city.fleet.of(name).url for n, name in enumerate(NAMES)}
    instead |= {"localhost:9090": city.prometheus.url, "localhost/3310": f"127.0.0.1/{city.scanner.port}"}
    instead |= {"YFX-2026-17": "YFX-2026-1", "/var/backups/xinxiang": str(tmp_path)}
    instead["shared.security.issue"] = f"shared.security.issue --keys-dir {city.world.keys}"
    instead["curl "] = "curl --fail-with-body "
    done = await typed(city, [line for line in lines if "/health/" not in line], instead)
    may_find = {line: {0, 1} for line in lines if line.endswith("deploy.ops health")}
    assert {line: said for line, (status, said) in done.items() if status not in may_find.get(line, {0})} == {}
    queries = {line: said for line, (_, said) in done.items() if "localhost:9090/api/v1/query" in line}
    assert {line: said for line, said in queries.items() if '"status":"success"' not in said} == {}
    del instead["curl "]
    asked = await typed(city, [line for line in lines if "/health/" in line], instead)
    answer = re.compile(r'\{"(live|ready)":(true|false)')
    assert {line: said for line, (_, said) in asked.items() if not answer.match(said)} == {}


async def test_a_parked_message_is_shown_replayed_and_dropped_by_the_commands_of_its_runbook(
    city: WatchedCity, tmp_path: Path
) -> None:
    """Each line has a message of its own: what a unit's system sent and nobody can read."""
    lines = [line for line in tried() if PARKED in line]
    assert [re.findall(r"parked (\w+)", line)[0] for line in lines] == ["drop", "replay", "replay", "show"]
    by_line = dict(zip(lines, ("拟办", "批示", "承办", "未阅"), strict=True))
    messages = []
    for name in by_line.values():
        letter_id = city.ids[name]
        about = {"id": f"spoilt-{name}", "type": "xinxiang.CollectLetter.v1", "source": "/units/education"}
        about |= {"specversion": "1.0", "subject": letter_id}
        headers = {f"ce_{key}": value for key, value in about.items()}
        messages.append(Outgoing("", "actions.education", letter_id, headers, b'{"letter_id": 7}'))
    await city.world.send(*messages)

    async def parked() -> dict[str, str]:
        found = await listed(city.world.settings, city.store, ("routing",))
        return {message.letter_id: message.origin for _, message in found}

    async def all_parked() -> dict[str, str]:
        found = await parked()
        return found if len(found) == len(lines) else {}

    origins = await eventually(all_parked, 40)
    action = CollectLetter(letter_id=city.ids["承办"], handoff_id="s1", person="education-clerk")
    (tmp_path / "repaired.json").write_text(action.model_dump_json(), encoding="utf-8")
    repaired = {"repaired.json": str(tmp_path / "repaired.json")}
    one_by_one = (typed(city, [line], {PARKED: origins[city.ids[name]]} | repaired) for line, name in by_line.items())
    for done in await asyncio.gather(*one_by_one):
        assert {line: said for line, (status, said) in done.items() if status} == {}

    async def two_are_left() -> bool:
        return set(await parked()) == {city.ids[by_line[line]] for line in lines if "show" in line or "release" in line}

    await eventually(two_are_left, 40)
