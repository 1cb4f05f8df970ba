"""The checker of `make chaos` is proved: an honest town holds, and each kind of damage is found, by the right invariant and no other."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.demo.city import City, one_address
from deploy.engines import Engines
from services import NAMES, runtime
from services.__main__ import build
from services.runtime import application
from shared.contracts.envelope import event_id
from shared.storage import Store
from tests.chaos.ledger import Acknowledged, Approved, Ledger, Numbered, sha256
from tests.checker import INVARIANTS, Report, Town, check
from tests.checker.projections import Shadow
from tests.conftest import World, eventually, new_world
from tests.e2e.journey import Fate, Journey

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n" + bytes(range(256)) * 40
WITH_FILES = 2


@dataclass
class Played:
    """A town that was played to its end, what people saw of it, and where it is checked."""

    world: World
    folder: Path
    town: Town
    shadow: Shadow
    journey: Journey
    files: dict[str, str] = field(default_factory=dict)
    """Letter id → id of its attachment."""

    async def checked(self, folder: Path | None = None) -> Report:
        return await check(folder or self.folder, self.town, self.shadow)


async def _play(world: World, city: City, folder: Path) -> Played:
    """Twelve letters: ten through all that happens, two more with files; every number and approval is seen."""
    ledger, at = Ledger(folder), "2026-03-17T10:00:00+08:00"
    journey = Journey(world, [city])
    await journey.whole()
    await journey.check()
    for tale in journey.tales:
        ledger.add(Acknowledged(at, tale.key, tale.receipt, tale.body))
        if tale.serial:
            ledger.add(Numbered(at, tale.letter_id, tale.serial))
        if tale.fate is Fate.ANSWERED:
            approved = (await city.case(tale.letter_id, tale.unit))["published"]
            ledger.add(Approved(at, tale.letter_id, approved["text_hash"]))
    for number in range(WITH_FILES):
        signed = await city.attach("路灯.pdf", PDF)
        body = {**journey.tales[0].body, "subject": f"附上照片，请看第{number + 1}张"}
        key = f"with-file-{number}-0000"
        receipt = (await city.submit({**body, "attachments": [signed["attachment"]]}, key))["receipt"]
        stored = {"name": signed["name"], "size": len(PDF), "sha256": sha256(PDF)}
        ledger.add(Acknowledged(at, key, receipt, body, (stored,)))
    return Played(world, folder, None, None, journey)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
async def played(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    folder = tmp_path_factory.mktemp("checker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        patch.setattr(runtime, "MEASURE_EVERY_SECONDS", 0.2)
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(new_world(engines.urls(), keys, folder))
            kit = world.kit()
            app = application([build(name, kit) for name in NAMES], kit)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            city = City(one_address("http://city.test"), keys, kit.directory)
            await city.http.aclose()
            city.http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, timeout=30))

            async def ready() -> bool:
                return (await city.http.get("http://city.test/health/ready")).status_code == 200

            await eventually(ready, 60)
            made = await _play(world, city, folder)
            urls = dict.fromkeys(NAMES, ["http://city.test"])
            made.town = Town(urls, world.environment(), keys, transport=transport, patience=20)
            made.shadow = await stack.enter_async_context(Shadow(made.town))
            yield made


async def test_an_honest_town_holds_and_every_invariant_was_held_against_something(played: Played) -> None:
    report = await played.checked()
    print(report.table())
    assert report.ok, report.table()
    assert [name for name in INVARIANTS if not report.checked[name]] == []
