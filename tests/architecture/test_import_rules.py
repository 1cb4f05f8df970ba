"""The import rules hold, and each of them is able to fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared", "services", "deploy")

PLANTED = {
    "layers: shared imports a service": (
        "shared/calendar/zone.py",
        "from services.settings import Settings",
        "shared imports no service, services import nothing of deploy",
    ),
    "layers: a service imports deploy": (
        "services/runtime.py",
        "from deploy.topics import declared",
        "shared imports no service, services import nothing of deploy",
    ),
    "services-apart": (
        "services/deadline/handlers.py",
        "from services.routing.telling import Teller",
        "services never import each other: they speak over Kafka and HTTP",
    ),
    "domain-pure: a shared module": (
        "services/publication/domain.py",
        "from shared.calendar.zone import business_date",
        "domain code imports the standard library, pydantic and the contracts only",
    ),
    "domain-pure: a library": (
        "services/intake/domain.py",
        "import orjson",
        "domain code imports the standard library, pydantic and the contracts only",
    ),
    "domain-pure: a module that the domain is divided into": (
        "services/routing/state.py",
        "from fastapi import Request",
        "domain code imports the standard library, pydantic and the contracts only",
    ),
    "contracts-pure": (
        "shared/contracts/facts.py",
        "from shared.directory import Directory",
        "contracts import the standard library and pydantic only",
    ),
    "store-driver: motor in a service": (
        "services/reporting/repository.py",
        "from motor.motor_asyncio import AsyncIOMotorClient",
        "only shared.storage imports the store's driver",
    ),
    "store-driver: pymongo inside a function": (
        "deploy/parked.py",
        "def late() -> None:\n    import pymongo.errors",
        "only shared.storage imports the store's driver",
    ),
    "kafka-client: faststream in a service": (
        "services/intake/api.py",
        "from faststream.kafka import KafkaRouter",
        "in shared and services, only shared.messaging imports the Kafka client",
    ),
    "kafka-client: aiokafka in shared": (
        "shared/web/app.py",
        "import aiokafka",
        "in shared and services, only shared.messaging imports the Kafka client",
    ),
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(command), "--no-logo", "--no-cache"], cwd=tree, capture_output=True, text=True, check=False
    )


def test_the_tree_keeps_every_import_rule() -> None:
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("case", PLANTED)
def test_a_forbidden_import_breaks_its_rule(case: str, tmp_path: Path) -> None:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "sample"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    file, planted, rule = PLANTED[case]
    with (tmp_path / file).open("a", encoding="utf-8") as source:
        source.write(f"\n\n{planted}\n")
    found = lint(tmp_path)
    assert found.returncode != 0, "the planted import was not noticed"
    broken = [line.partition(" BROKEN")[0] for line in found.stdout.splitlines() if " BROKEN" in line]
    assert broken == [rule], found.stdout
    assert file.removesuffix(".py").replace("/", ".") in found.stdout, "the report must name the module at fault"
