"""Worlds whose services are processes, on the shared engines or on some that a test may stop."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.engines import Engines
from tests.conftest import World, new_world
from tests.e2e.fleet import Fleet

LONGEST = ("test_replay.py", "test_chaos.py", "test_demo.py")
"""These begin first, so that the workers end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture
async def fleet(world: World, tmp_path: Path) -> AsyncIterator[Fleet]:
    """The five services, one process each, not yet started."""
    made = Fleet(world, tmp_path)
    yield made
    made.kill_all()


@pytest.fixture
async def fleet_of_two(world: World, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Two processes of each service, not yet started."""
    made = Fleet(world, tmp_path, replicas=2)
    yield made
    made.kill_all()


@pytest.fixture(scope="session")
def fault_engines() -> Iterator[Engines]:
    """Engines that may be stopped and killed: nobody else's."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    own = Engines(os.environ.get("FAULT_ENGINES", "faults") + worker)
    own.up()
    yield own
    own.down()


@pytest.fixture
async def fault_world(fault_engines: Engines, keys: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A world on those engines, which run when it begins and when it ends."""
    fault_engines.start()
    async with new_world(fault_engines.urls(), keys, tmp_path) as made:
        yield made
        fault_engines.start()


@pytest.fixture
async def fault_fleet(fault_world: World, tmp_path: Path) -> AsyncIterator[Fleet]:
    """The five services on engines that may be stopped."""
    made = Fleet(fault_world, tmp_path)
    yield made
    made.kill_all()
