"""The index by which routing finds letters by their words, on a real store (R10.2)."""

from collections.abc import Sequence
from pathlib import Path
from sqlite3 import DatabaseError
from typing import Any

import pytest

from services.routing.listing import Listing
from services.routing.texts import Search, TextIndex, Texts, hashed
from shared.contracts.facts import LetterDiscarded
from shared.contracts.types import InvalidReason
from shared.search import Moved, NotReady, follower
from shared.storage import place
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import CLERK, Desk, desk_of
from tests.routing_desk import TEXT as LAMPS

BRIDGE: dict[str, Any] = {"subject": "桥上的护栏", "body": "护栏松动，路过的人很害怕，请修复。"}


async def few(desk: Desk, word: str, most: int = 10) -> list[str] | None:
    found = await desk.service.part(Search).few(hashed([word]), most)
    return None if found is None else sorted(found)


async def finds(desk: Desk, word: str, expected: list[str]) -> None:
    """Wait until exactly these letters are found by the index."""

    async def there() -> bool:
        return await few(desk, word) == sorted(expected)

    await eventually(there)


async def test_r10_2_the_index_names_few_letters_and_leaves_many_to_the_list(world: World) -> None:
    async with desk_of(world) as desk:
        lamps = [await desk.letter() for _ in range(3)]
        bridge = await desk.letter(**BRIDGE)
        await finds(desk, "护栏", [bridge])
        await finds(desk, "路灯", lamps)
        assert await few(desk, "路灯", 3) == sorted(lamps)
        assert await few(desk, "路灯", 2) is None
        assert await few(desk, "没有的词") == []
        # The list shows what the index names, without walking to it.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Listing, "_walk", None)
            rows = (await desk.get("mailboxes/mayor/letters?text=护栏", CLERK)).json()["items"]
        assert [row["letter_id"] for row in rows] == [bridge]


async def test_r3_7_a_discarded_letter_leaves_the_index_with_its_text(world: World) -> None:
    async with desk_of(world) as desk:
        stays, goes = await desk.letter(registered=False), await desk.letter(registered=False, **BRIDGE)
        await finds(desk, "修复", [stays, goes])
        await world.publish(LetterDiscarded(letter_id=goes, at=MONDAY, reason=InvalidReason.ADVERTISING))
        await finds(desk, "修复", [stays])
        await finds(desk, "护栏", [])
        left = await Texts(desk.service.kit.store).collection.find_one({"_id": goes})
        assert left.keys() == {"_id", "as_of", "moved", "readable"}


async def test_an_older_version_of_a_letter_does_not_bring_its_text_back(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(registered=False, **BRIDGE)
        texts = Texts(desk.service.kit.store)
        await finds(desk, "护栏", [letter_id])
        await texts.write({letter_id: None}, {letter_id: 5})
        await finds(desk, "护栏", [])
        await texts.write({letter_id: ("桥上的护栏", "")}, {letter_id: 4})
        assert (await texts.of([letter_id]), await texts.having(hashed(["护栏"]), [letter_id])) == ({}, set())
        await texts.write({letter_id: ("桥上的护栏", "")}, {letter_id: 6})
        await finds(desk, "护栏", [letter_id])


async def test_r10_2_while_the_index_is_made_words_are_looked_for_along_the_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> Any:
        raise NotReady

    monkeypatch.setattr(follower.Follower, "fresh", away)
    async with desk_of(world) as desk:
        await desk.letter()
        bridge = await desk.letter(**BRIDGE)

        async def found() -> bool:
            rows = (await desk.get("mailboxes/mayor/letters?text=护栏", CLERK)).json()["items"]
            return [row["letter_id"] for row in rows] == [bridge]

        await eventually(found)
        assert await few(desk, "护栏") is None


async def test_the_index_outlives_a_restart_and_a_damaged_one_is_made_anew(world: World, tmp_path: Path) -> None:
    taken: list[str] = []
    take = TextIndex.take

    def counted(index: TextIndex, changes: Sequence[Moved[Sequence[int]]], position: str) -> None:
        taken.extend(change.letter for change in changes)
        take(index, changes, position)

    def damaged(index: TextIndex, *_: object) -> None:
        with index._open():
            raise DatabaseError("database disk image is malformed")

    folder = tmp_path / "search"
    async with desk_of(world, search_folder=folder) as desk:
        lamp, bridge = await desk.letter(), await desk.letter(**BRIDGE)
        await finds(desk, "修复", [lamp, bridge])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TextIndex, "take", counted)
        async with desk_of(world, search_folder=folder) as desk:
            await finds(desk, "修复", [lamp, bridge])
            assert taken == []
            third = await desk.letter()
            await finds(desk, "修复", [lamp, bridge, third])
            assert taken == [third]
            # Damaged while it is used: the next look makes it anew, and until then words are looked for along the list.
            taken.clear()
            with pytest.MonkeyPatch.context() as damage:
                damage.setattr(TextIndex, "having", damaged)
                assert await few(desk, "修复") is None
            await finds(desk, "修复", [lamp, bridge, third])
            assert sorted(taken) == sorted([lamp, bridge, third])


async def test_what_was_written_earlier_and_appears_later_is_taken_up_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.routing.texts.THOROUGH_SECONDS", 0.1)
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.1)
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await finds(desk, "路灯", [letter_id])
        collection = Texts(desk.service.kit.store).collection
        newest = (await collection.find_one({"_id": letter_id}))["moved"]
        earlier = f"{int(newest.partition('/')[0]) - 20_000:015d}/late"
        await collection.insert_one(
            {"_id": "late", "as_of": 1, "moved": earlier, "readable": True, "grams": hashed([LAMPS])}
        )
        await finds(desk, "路灯", [letter_id, "late"])


async def test_r10_2_what_changed_is_read_by_its_index_in_order(world: World) -> None:
    async with desk_of(world) as desk:
        await finds(desk, "路灯", [await desk.letter()])
        collection = Texts(desk.service.kit.store).collection
        which = {"moved": {"$gt": place(MONDAY, ""), "$lt": "~"}}
        plan = str(await collection.find(which, {"moved": 1}).sort([("moved", 1)]).limit(500).explain())
        assert "moved_1" in plan, plan
        assert "Sort Key" not in plan, plan
