"""Worlds whose services are processes, on the shared engines or on some that a test may stop."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy import acls
from deploy.engines import Engines
from deploy.engines.guard import ADMIN, Certificate, Guard
from tests.conftest import World, new_world, without_engines
from tests.e2e.fleet import Fleet
from tests.e2e.guarded import Guarded, GuardedWorld, guarded_fleet, new_certificate

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
"""Each worker has engines of its own to break."""


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
    own = Engines(os.environ.get("FAULT_ENGINES", "faults") + WORKER)
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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate of everything that listens in the guarded city."""
    return new_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def guarded_engines(certificate: Certificate) -> Iterator[Engines]:
    """Engines of their own that speak TLS only, and a broker that lets nobody do anything but its super user."""
    guard = Guard(secrets.token_urlsafe(24), secrets.token_urlsafe(24), certificate)
    own = Engines(os.environ.get("GUARDED_ENGINES", "guarded") + WORKER, without_engines(), guard=guard)
    own.reset()  # it has the passwords of an earlier run, if any
    own.up()
    yield own
    own.reset()


@pytest.fixture(scope="module")
async def guarded(
    guarded_engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> AsyncIterator[Guarded]:
    """The five services on those engines, ready, each with its own credentials."""
    folder = tmp_path_factory.mktemp("guarded")
    guard = guarded_engines.guard
    assert guard is not None
    credentials = {
        "kafka_security_protocol": guard.protocol,
        "kafka_username": ADMIN,
        "kafka_password": SecretStr(guard.password),
        "kafka_ca_file": certificate.ca_file,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        patch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
        async with new_world(guarded_engines.urls(), keys, folder, GuardedWorld, **credentials) as world:
            assert isinstance(world, GuardedWorld)
            world.passwords = folder / "passwords"
            await acls.apply(world.settings, world.passwords)
            fleet = guarded_fleet(world, folder, certificate)
            try:
                await fleet.up()
                yield Guarded(world, fleet, guarded_engines, certificate)
            finally:
                fleet.kill_all()
