"""Proposed redactions over HTTP (R9.1): for who may prepare; offsets point at the original; nothing is decided by them."""

from services.publication.app import build
from tests.component.test_publication import Letter, Staff
from tests.conftest import World


async def test_r9_1_a_preparer_is_shown_personal_data_marked_and_a_text_without_it_and_decides(world: World):
    letter = Letter(31)
    await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter)
        address = f"/publication/cases/{letter.id}/proposal"

        answer = await client.get(address, headers=staff.clerk)
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert answer.headers["ETag"] == (await staff.case(letter)).headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert shown["number"] == "YFX-2026-31"
        assert shown["subject"]["proposed"] == "张某的来信"
        assert shown["body"]["proposed"] == "我叫张某，电话[电话]，孩子上学过马路很危险。"
        assert shown["reply"]["proposed"] == "张某同志，已施划斑马线。"
        for text in (shown["subject"], shown["body"], shown["reply"]):
            for mark in text["marks"]:
                assert text["original"][mark["start"] : mark["end"]] == mark["text"]
        assert [(mark["kind"], mark["label"], mark["text"]) for mark in shown["body"]["marks"]] == [
            ("name", "姓名", "张三丰"),
            ("phone", "电话", "13912345678"),
        ]
        assert "a mobile number of 11 digits" in shown["body"]["marks"][1]["why"]

        assert await staff.status(letter) == "to-prepare"
        prepared = await staff.prepare(
            letter, subject=shown["subject"]["proposed"], body="张某反映：孩子上学过马路很危险。"
        )
        assert prepared.json()["prepared"]["body"] == "张某反映：孩子上学过马路很危险。"

        assert (await client.get(address, headers=staff.duty)).status_code == 200
        for stranger in (staff.head, staff.water, staff.basic):
            assert (await client.get(address, headers=stranger)).status_code == 403
        assert (await client.get(address)).status_code == 401

        unknown = f"/publication/cases/{letter.id[:-1]}x/proposal"
        assert (await client.get(unknown, headers=staff.clerk)).status_code == 404
