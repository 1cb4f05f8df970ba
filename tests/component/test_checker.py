"""The checker of `make chaos` is proved: an honest town holds, and each kind of damage is found, by the right invariants and no others."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from deploy.demo.city import City, one_address
from deploy.engines import Engines
from services import NAMES
from services.__main__ import build
from services.application import application
from shared.storage import Store
from tests.chaos.ledger import Acknowledged, Approved, Ledger, Numbered, Posted, sha256
from tests.checker import INVARIANTS, Report, Town, Violation, check
from tests.checker.damages import DAMAGES, Place
from tests.checker.projections import Shadow
from tests.conftest import World, eventually, new_world
from tests.e2e.journey import Fate, Journey

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n" + bytes(range(256)) * 40
AT = "2026-03-17T10:00:00+08:00"


@dataclass
class Played:
    """A town that was played to its end, and where it is checked."""

    town: Town
    shadow: Shadow
    place: Place
    known: set[Violation] = field(default_factory=set)
    """What damage that stays was found already."""

    async def checked(self, folder: Path, patience: float = 20) -> Report:
        return await check(folder, replace(self.town, patience=patience), self.shadow)

    async def quiet(self) -> None:
        """Wait until every service, and the history, has taken what was published, and what it decided on that was sent."""

        async def taken() -> bool:
            seen: dict[tuple[str, str], int] = {}
            for record in await self.place.world.records("letters"):
                headers = {name: value.decode() for name, value in record.headers}
                key = headers["ce_subject"], headers["ce_source"].rpartition("/")[2]
                seen[key] = max(seen.get(key, 0), int(headers["ce_seq"]))
            for service in NAMES:
                letters = self.place.store.collection(service, "rows" if service == "reporting" else "letters")
                held = {d["_id"]: d["seen"] async for d in letters.find({}, {"seen": 1})}
                assert all(held.get(letter, {}).get(source) == seq for (letter, source), seq in seen.items()), service
                assert not await letters.count_documents({"unsent": {"$exists": True}}), service
            return True

        await eventually(taken)
        await self.place.world.caught_up()


async def _play(world: World, city: City, folder: Path) -> Journey:
    """Twelve letters: ten through all that happens, two more with files; every number and approval is seen."""
    ledger = Ledger(folder)
    journey = Journey(world, [city])
    await journey.whole()
    await journey.check()
    for tale in journey.tales:
        ledger.add(Posted(AT, tale.key, tale.body))
        ledger.add(Acknowledged(AT, tale.key, tale.receipt, tale.body))
        if tale.serial:
            ledger.add(Numbered(AT, tale.letter_id, tale.serial))
        if tale.fate is Fate.ANSWERED:
            approved = (await city.case(tale.letter_id, tale.unit))["published"]
            ledger.add(Approved(AT, tale.letter_id, approved["text_hash"]))
    for number in range(2):
        signed = await city.attach("路灯.pdf", PDF)
        body = {**journey.tales[0].body, "subject": "附上照片，请看"}
        key = f"with-file-{number}-0000"
        receipt = (await city.submit({**body, "attachments": [signed["attachment"]]}, key))["receipt"]
        stored = {"name": signed["name"], "size": len(PDF), "sha256": sha256(PDF)}
        ledger.add(Posted(AT, key, body))
        ledger.add(Acknowledged(AT, key, receipt, body, (stored,)))
    return journey


@pytest.fixture(scope="module")
async def played(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    folder = tmp_path_factory.mktemp("checker")
    origin = "http://city.test"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        async with AsyncExitStack() as stack:
            world = await stack.enter_async_context(new_world(engines.urls(), keys, folder))
            kit = world.kit(measure_seconds=0.2)
            app = application([build(name, kit) for name in NAMES], kit)
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            city = City(one_address(origin), keys, kit.directory)
            await city.http.aclose()
            city.http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, timeout=30))

            async def ready() -> bool:
                return (await city.http.get(f"{origin}/health/ready")).status_code == 200

            await eventually(ready, 60)
            journey = await _play(world, city, folder)

            async def arrived() -> list[str]:
                rows = await city.letters("mayor")
                return [row["letter_id"] for row in rows] if len(rows) == 2 else []

            filed, filed_too = await eventually(arrived)
            town = Town({name: [origin] for name in NAMES}, world.environment(), keys, transport=transport)
            place = Place(
                world=world,
                store=Store(world.settings.mongo_url, world.namespace),
                folder=folder,
                copy=tmp_path_factory.mktemp("damaged"),
                published=journey.of(Fate.ANSWERED)[0].letter_id,
                late=journey.of(Fate.LATE)[0].letter_id,
                filed=filed,
                filed_too=filed_too,
            )
            stack.callback(place.store.close)
            shadow = await stack.enter_async_context(Shadow(town))
            yield Played(town, shadow, place)


async def test_an_honest_town_holds_and_every_invariant_was_held_against_something(played: Played) -> None:
    report = await played.checked(played.place.folder)
    assert report.ok, report.table()
    assert [name for name in INVARIANTS if not report.checked[name]] == []


@pytest.mark.parametrize("name", DAMAGES)
async def test_damage_is_found_by_the_right_invariants_and_no_others(played: Played, name: str) -> None:
    damage, expected = DAMAGES[name]
    place = played.place
    slow = {"outbox.empty", "waiting.none"} & expected
    async with damage(place):
        if name in STAYS:
            await (played.place.world.caught_up() if "waiting.none" in expected else played.quiet())
        in_copy = any(place.copy.iterdir())
        report = await played.checked(place.copy if in_copy else place.folder, 1 if slow else 20)
    found = set(report.violations) - played.known
    if name in STAYS:
        played.known |= found
    violated = {violation.invariant for violation in found}
    assert violated == expected, report.table()


STAYS = list(DAMAGES)[list(DAMAGES).index("a fact twice with other content") :]
"""Damage on the topic cannot be undone: what was found of it is known afterwards."""


async def test_a_report_names_no_person_and_says_how_many_things_were_looked_at(played: Played) -> None:
    report = await played.checked(played.place.folder, 1)
    assert not report.ok
    for said in (report.table(), report.json()):
        assert "李明" not in said
        assert "13800138000" not in said
        assert "路灯" not in said
        assert f"{report.checked['letter.there']}" in said
