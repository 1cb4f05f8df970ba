"""A real Prometheus scrapes a city at work: rules yield figures, and each alert fires by the fault it is for and clears after it."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.dashboards.described import ALL
from deploy.dashboards.model import Dashboard
from deploy.engines import Engines
from services import NAMES
from tests.conftest import eventually, new_world
from tests.e2e.fleet import ROOT, Fleet
from tests.e2e.watched_city import WatchedCity, watched
from tests.prometheus import Prometheus, rules, shrunk

ALERTS = sorted({rule["alert"] for rule in rules() if "alert" in rule})
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

    await eventually(all_return, 60)


def _tried() -> Iterator[tuple[str, str]]:
    for page in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for block in re.findall(r"^```sh tried\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                yield page.stem, line


async def test_the_commands_of_runbooks_that_are_marked_as_tried_do_what_they_say(city: WatchedCity) -> None:
    """Those of one kind are run side by side; a health question may be answered with 503, but must be answered."""
    lines = sorted({line for _, line in _tried()})
    assert len(lines) > 20
    environment = os.environ | city.world.environment()
    for name, (mailbox, role) in {"DUTY": ("mayor", "duty_officer"), "CLERK": ("mayor", "clerk")}.items():
        environment[name] = city.city.token(mailbox, role)["Authorization"].removeprefix("Bearer ")
    places = {f"localhost:{8101 + n}": city.fleet.of(name).url for n, name in enumerate(NAMES)}
    places["localhost:9090"] = city.prometheus.url

    async def run(line: str) -> tuple[str, int, str]:
        command = line
        for written, there in places.items():
            command = command.replace(written, there)
        command = re.sub(r"^curl ", "curl --fail-with-body ", command)
        shell = shutil.which("bash")
        assert shell
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
        return line, process.returncode or 0, said.decode()

    done = await asyncio.gather(*map(run, lines))
    assert [(line, said) for line, status, said in done if status] == []
    assert [
        line for line, _, said in done if "localhost:9090/api/v1/query" in line and '"status":"success"' not in said
    ] == []
