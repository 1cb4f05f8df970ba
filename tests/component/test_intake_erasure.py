"""Texts of letters that were not accepted go after their retention, everywhere but in the record (R3.7)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from httpx import AsyncClient

from services.deadline.app import build as build_deadline
from services.intake.app import build
from services.intake.erasure import Erasure
from services.publication.app import build as build_publication
from services.rebuild import rebuild
from services.reporting.app import build as build_reporting
from services.routing.app import build as build_routing
from services.runtime import Service
from shared.contracts.facts import LetterErased
from shared.contracts.types import InvalidReason
from tests.conftest import MONDAY, World, eventually
from tests.intake_desk import arrived, submit, unread

DAYS = 30
LAST_MOMENT = datetime.fromisoformat("2026-04-01T23:59:00+08:00")
"""The end of the thirtieth day after MONDAY."""
OVER = datetime.fromisoformat("2026-04-02T00:00:01+08:00")
WORDS = "广告词句甲乙丙"
TEXT = f"本店大酬宾，{WORDS}，欢迎选购，欢迎来电咨询。"
PHONE = "13700137000"
SELLER = {"name": "卖家某某", "phone": PHONE}


async def file(client: AsyncClient, content: bytes) -> str:
    up = await client.post("/intake/attachments", files={"file": ("图.pdf", b"%PDF-1.7\n" + content)})
    assert up.status_code == 201, up.text
    return up.json()["attachment"]  # type: ignore[no-any-return]


async def discarded(client: AsyncClient, world: World, **changes: Any) -> str:
    """A letter with a sender's advertising, not accepted; return its id."""
    before = {row["letter_id"] for row in await unread(client, world)}
    await submit(client, subject=WORDS, body=TEXT, sender=SELLER, **changes)
    ids = await arrived(client, world, len(before) + 1)
    (letter_id,) = set(ids) - before
    clerk = world.token("mayor-clerk", "mayor", "clerk")
    why = {"reason": "advertising", "remark": f"内容为{WORDS}"}
    answer = await client.post(f"/intake/letters/{letter_id}/discard", json=why, headers=clerk)
    assert answer.status_code == 200, answer.text
    return letter_id


async def marked(service: Service, letter_id: str) -> None:
    """Wait until the letter is in the index of likeness."""
    contacts = service.part(Erasure).likeness.contacts
    await eventually(lambda: contacts.marks_of([letter_id]))


async def erased_facts(world: World, letter_id: str) -> list[LetterErased]:
    return [fact for fact in await world.facts_of(letter_id) if isinstance(fact, LetterErased)]


async def everything(world: World) -> AsyncIterator[tuple[str, str]]:
    """Every document of every service, as text, with where it stands."""
    kit = world.kit()
    for service in ("intake", "routing", "deadline", "publication", "reporting"):
        database = kit.store.database(service)
        for name in await database.list_collection_names():
            async for document in database[name].find({}):
                yield f"{service}.{name}", str(document)
    kit.store.close()


async def test_r3_7_after_its_retention_no_service_has_a_word_of_an_invalid_letter(world: World) -> None:
    service = build(world.kit(invalid_retention_days=DAYS))
    others = [one(world.kit()) for one in (build_routing, build_deadline, build_publication, build_reporting)]
    async with world.running(service, *others) as client:
        letter_id = await discarded(client, world, attachments=[await file(client, WORDS.encode())])
        await marked(service, letter_id)

        async def held_in() -> set[str]:
            return {where async for where, text in everything(world) if WORDS in text or PHONE in text}

        async def held() -> bool:
            return {"intake.letters", "intake.contacts", "routing.letters", "publication.letters"} <= await held_in()

        await eventually(held)
        world.move_clock(OVER)

        async def gone() -> bool:
            return not await held_in()

        await eventually(gone)
        kit = world.kit()
        for name in ("attachments.files", "attachments.chunks", "likeness"):
            assert await kit.store.database("intake")[name].count_documents({}) == 0
        kit.store.close()
        (fact,) = await erased_facts(world, letter_id)
        assert fact.reason is InvalidReason.ADVERTISING
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        kept = (await client.get("/intake/mailboxes/mayor/letters?stage=discarded", headers=clerk)).json()["items"]
        assert [(row["letter_id"], row["subject"], row["invalid_reason"]) for row in kept] == [
            (letter_id, "", "advertising")
        ]
        seen = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()
        assert (seen["body"], seen["contact"], seen["remark"]) == ("", None, "")
        assert seen["erased_at"] is not None
        assert (await client.get(f"/intake/letters/{letter_id}/earlier", headers=clerk)).json() == {"items": []}


async def test_r3_7_the_last_day_of_the_retention_is_kept_whole(world: World) -> None:
    service = build(world.kit(invalid_retention_days=DAYS))
    async with world.running(service) as client:
        letter_id = await discarded(client, world)
        world.move_clock(LAST_MOMENT, rate=0)
        await service.part(Erasure).sweep()
        assert (await service.letters.aggregates.get(letter_id)).state.body == TEXT
        world.move_clock(OVER, rate=0)
        await service.part(Erasure).sweep()
        assert (await service.letters.aggregates.get(letter_id)).state.body == ""


async def test_r3_7_only_invalid_letters_are_erased(world: World) -> None:
    service = build(world.kit(invalid_retention_days=1))
    async with world.running(service) as client:
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        for _ in range(3):
            await submit(client)
        kept = await arrived(client, world, 3)
        await client.post(f"/intake/letters/{kept[0]}/register", headers=clerk)
        await client.post(f"/intake/letters/{kept[1]}/note", json={}, headers=clerk)
        gone = await discarded(client, world)
        world.move_clock(MONDAY + timedelta(days=400))
        await eventually(lambda: erased_facts(world, gone))
        states = (await service.letters.aggregates.get_many(kept)).values()
        assert all(stored.state.body for stored in states)
        assert len(await service.part(Erasure).likeness.contacts.get_many(kept)) == 3


async def test_r3_7_replicas_that_sweep_at_once_record_one_erasure(world: World) -> None:
    first, second = (build(world.kit(invalid_retention_days=DAYS, sweep_seconds=60)) for _ in range(2))
    async with world.running(first) as client, world.running(second):
        ids = [await discarded(client, world) for _ in range(5)]
        world.move_clock(OVER)
        await asyncio.gather(*(service.part(Erasure).sweep() for service in (first, second) for _ in range(2)))

        async def published() -> bool:
            return all([await erased_facts(world, letter_id) for letter_id in ids])

        await eventually(published)
        assert [len(await erased_facts(world, letter_id)) for letter_id in ids] == [1] * 5


async def test_r3_7_a_crash_in_the_middle_of_an_erasure_is_made_good(world: World) -> None:
    service = build(world.kit(invalid_retention_days=DAYS, sweep_seconds=60))
    async with world.running(service) as client:
        letter_id = await discarded(client, world, attachments=[await file(client, b"x" * 1000)])
        world.move_clock(OVER)
        state = (await service.letters.aggregates.get(letter_id)).state
        done = service.part(Erasure)
        await done.attachments.release({letter_id: [state.attachments[0].id]})
        await done.likeness.forget([letter_id])  # and here the process died
        await done.sweep()
        await eventually(lambda: erased_facts(world, letter_id))
        assert (await service.letters.aggregates.get(letter_id)).state.body == ""


async def test_r3_7_a_file_that_another_letter_names_stays(world: World) -> None:
    service = build(world.kit(invalid_retention_days=DAYS))
    async with world.running(service) as client:
        shared = await file(client, b"y" * 1000)
        await submit(client, attachments=[shared])
        (kept,) = await arrived(client, world)
        gone = await discarded(client, world, attachments=[shared])
        world.move_clock(OVER)
        await eventually(lambda: erased_facts(world, gone))
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        attachment = (await client.get(f"/intake/letters/{kept}", headers=clerk)).json()["attachments"][0]
        path = f"/intake/letters/{kept}/attachments/{attachment['id']}"
        assert (await client.get(path, headers=clerk)).status_code == 200


async def test_r3_7_an_erased_letter_stays_erased_when_intake_is_rebuilt(world: World) -> None:
    service = build(world.kit(invalid_retention_days=DAYS))
    async with world.running(service) as client:
        letter_id = await discarded(client, world)
        world.move_clock(OVER)
        await eventually(lambda: erased_facts(world, letter_id))

        async def sent() -> bool:
            return (await service.letters.aggregates.outbox_depth())[0] == 0

        await eventually(sent)
    again = build(world.kit(invalid_retention_days=DAYS))
    await rebuild(again)
    state = (await again.letters.aggregates.get(letter_id)).state
    assert (state.subject, state.body, state.discarded.reason) == ("", "", InvalidReason.ADVERTISING)
    again.kit.store.close()
