"""Screening on real engines: letters that are not accepted, repeated ones, noted ones (R3.0, R3.7)."""

from typing import Any

import pytest
from httpx import AsyncClient

from services.intake.app import build
from services.intake.citizen import TURN_TO
from shared.contracts.facts import LetterDiscarded
from shared.contracts.types import TurnTo
from tests.conftest import World, eventually
from tests.intake_desk import LETTER, arrived, submit

OTHER_PHONE = {"name": "王芳", "phone": "13900139000"}
OTHER_TEXT = "关于公交车的问题：这条线路最近总是晚点，早高峰要等四十分钟，请公交公司增加班次。"
CHANGED = LETTER["body"].replace("半个多月", "快一个月")


async def proposed(client: AsyncClient, world: World, letter_id: str, *who: str) -> list[dict[str, Any]]:
    caller = world.token(*(who or ("mayor-clerk", "mayor", "clerk")))
    answer = await client.get(f"/intake/letters/{letter_id}/earlier", headers=caller)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]  # type: ignore[no-any-return]


async def one_more(client: AsyncClient, world: World, before: list[str], **changes: Any) -> tuple[str, str]:
    """Submit a letter; return its receipt and its id once it is among the unread of its mailbox."""
    mailbox = changes.get("mailbox", "mayor")
    receipt = (await submit(client, **changes))["receipt"]
    known = [letter_id for letter_id in before if letter_id.startswith(f"{mailbox}|")]
    ids = await arrived(client, world, len(known) + 1, mailbox)
    (new,) = [letter_id for letter_id in ids if f"{mailbox}|{letter_id}" not in known]
    before.append(f"{mailbox}|{new}")
    return receipt, new


async def test_r3_0_1_the_citizen_is_told_whom_to_turn_to_as_the_clerk_chose(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt, letter_id = await one_more(client, world, [])
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        path = f"/intake/letters/{letter_id}/discard"
        for wrong in ({"reason": "advertising", "turn_to": "court"}, {"reason": "outside_government", "turn_to": "UN"}):
            refused = await client.post(path, json=wrong, headers=clerk)
            assert refused.status_code == 422, refused.text
            assert [(e["field"], e["rule"]) for e in refused.json()["errors"]] == [("/turn_to", "R3.0")]
        remark = "已电话说明"
        why = {"reason": "outside_government", "turn_to": "court", "remark": remark}
        done = await client.post(path, json=why, headers=clerk)
        assert (done.json()["turn_to"], done.json()["remark"]) == ("court", remark)
        assert done.json()["ended_by"]["subject"] == "mayor-clerk"
        standing = await client.get(f"/intake/receipts/{receipt}")
        assert TURN_TO[TurnTo.COURT] in standing.json()["explanation"]
        assert remark not in standing.text


async def test_r3_0_clerks_and_citizens_can_read_what_each_reason_tells(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        reasons = (await client.get("/intake/reasons")).json()
        assert len(reasons) == 5
        assert [one["code"] for one in reasons[0]["turn_to"]] == list(TurnTo)
        assert all(one["told"] for reason in reasons for one in (reason, *reason["turn_to"]))


async def test_r3_0_4_letters_of_the_same_sender_or_text_are_proposed_and_no_others(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        ids: list[str] = []
        _, same_sender = await one_more(client, world, ids, body=OTHER_TEXT, subject="公交车总是晚点")
        _, same_text = await one_more(client, world, ids, sender=OTHER_PHONE, subject="另一个题目啊")
        _, alike = await one_more(client, world, ids, sender=OTHER_PHONE, body=CHANGED)
        stranger = {"sender": OTHER_PHONE, "body": OTHER_TEXT, "subject": "公交车总是晚点"}
        _, unrelated = await one_more(client, world, ids, **stranger)
        _, last = await one_more(client, world, ids)
        _, later = await one_more(client, world, ids)

        async def found() -> bool:
            return len(await proposed(client, world, last)) == 3

        await eventually(found)
        by_id = {one["letter_id"]: one for one in await proposed(client, world, last)}
        assert by_id.keys() == {same_sender, same_text, alike}
        assert by_id[same_sender]["why"] == ["phone"]
        assert by_id[same_text]["why"] == ["same_text", "alike"]
        assert by_id[alike]["why"] == ["alike"]
        assert 50 < by_id[alike]["alike_percent"] < 100
        assert (by_id[alike]["subject"], by_id[alike]["stage"], by_id[alike]["answered"]) == (
            LETTER["subject"],
            "unread",
            False,
        )
        assert {later, unrelated}.isdisjoint(by_id)

        async def the_next_is_found() -> bool:
            again = await proposed(client, world, later)
            return again[0]["letter_id"] == last and again[0]["alike_percent"] == 100

        await eventually(the_next_is_found)


async def test_r3_0_4_only_a_letter_that_came_before_can_be_called_the_earlier_one(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        ids: list[str] = []
        _, first = await one_more(client, world, ids)
        _, second = await one_more(client, world, ids)
        _, about = await one_more(client, world, ids, mailbox="yuzhong", nature="report", reported_mailbox="water")
        _, there = await one_more(client, world, ids, mailbox="water")
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        at_water = world.token("water-clerk", "water", "clerk")
        for letter_id, who, why in (
            (first, clerk, {"earlier_letter": "no-such-letter"}),
            (first, clerk, {"earlier_letter": second}),
            (first, clerk, {"earlier_letter": first}),
            (second, clerk, {"earlier_letter": first, "reason": "advertising"}),
            (there, at_water, {"earlier_letter": about}),
        ):
            body = {"reason": "repeated_or_empty", **why}
            refused = await client.post(f"/intake/letters/{letter_id}/discard", json=body, headers=who)
            assert refused.status_code == 422, refused.text
            assert [(e["field"], e["rule"]) for e in refused.json()["errors"]] == [("/earlier_letter", "R3.0")]
        body = {"reason": "repeated_or_empty", "earlier_letter": first}
        done = await client.post(f"/intake/letters/{second}/discard", json=body, headers=clerk)
        assert (done.status_code, done.json()["earlier_letter"]) == (200, first)


async def test_r3_0_4_the_citizen_is_pointed_at_their_own_earlier_letter_and_never_at_another_s(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        ids: list[str] = []
        _, first = await one_more(client, world, ids)
        own_receipt, own = await one_more(client, world, ids)
        other_receipt, other = await one_more(client, world, ids, sender=OTHER_PHONE)
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        for letter_id in (own, other):
            body = {"reason": "repeated_or_empty", "earlier_letter": first}
            assert (
                await client.post(f"/intake/letters/{letter_id}/discard", json=body, headers=clerk)
            ).status_code == 200
        number = (await client.post(f"/intake/letters/{first}/register", headers=clerk)).json()["number"]
        mine = (await client.get(f"/intake/receipts/{own_receipt}")).json()
        assert number in mine["explanation"]
        assert number in mine["history"][-1]["text"]
        others = await client.get(f"/intake/receipts/{other_receipt}")
        assert "已有来信反映" in others.json()["explanation"]
        assert number not in others.text

        async def facts() -> list[bool]:
            told = [fact for i in (own, other) for fact in await world.facts_of(i) if isinstance(fact, LetterDiscarded)]
            return [fact.same_sender for fact in told] if len(told) == 2 else []

        assert await eventually(facts) == [True, False]


async def test_r10_2_of_other_mailboxes_letters_a_clerk_learns_only_that_they_are_there(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        ids: list[str] = []
        report = {"nature": "report", "reported_mailbox": "education", "mailbox": "yuzhong"}
        _, elsewhere = await one_more(client, world, ids)
        _, secret = await one_more(client, world, ids, **report)
        _, here = await one_more(client, world, ids, mailbox="water")

        async def found(*who: str) -> dict[str, Any]:
            return {one["letter_id"]: one for one in await proposed(client, world, here, *who)}

        async def all_marked() -> bool:
            return len(await found("mayor-duty", "mayor", "duty_officer")) == 2

        await eventually(all_marked)
        clerk_sees = await found("water-clerk", "water", "clerk")
        assert clerk_sees.keys() == {elsewhere}
        assert clerk_sees[elsewhere]["mailbox"] == "mayor"
        assert (clerk_sees[elsewhere]["yours"], clerk_sees[elsewhere]["subject"]) == (False, None)
        duty_sees = await found("mayor-duty", "mayor", "duty_officer")
        assert duty_sees.keys() == {elsewhere, secret}
        assert duty_sees[elsewhere]["subject"] == LETTER["subject"]
        stranger = world.token("yuzhong-clerk", "yuzhong", "clerk")
        assert (await client.get(f"/intake/letters/{here}/earlier", headers=stranger)).status_code == 404
        assert (await client.get(f"/intake/letters/{here}/earlier")).status_code == 401


async def test_r3_7_a_noted_letter_keeps_its_remark_for_staff_and_stands_in_its_own_list(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt, letter_id = await one_more(client, world, [])
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        await client.post(f"/intake/letters/{letter_id}/note", json={"remark": "供规划参考"}, headers=clerk)
        listed = await client.get("/intake/mailboxes/mayor/letters?stage=noted", headers=clerk)
        assert [(row["letter_id"], row["remark"]) for row in listed.json()["items"]] == [(letter_id, "供规划参考")]
        seen = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()
        assert (seen["remark"], seen["ended_by"]["subject"], seen["body"]) == (
            "供规划参考",
            "mayor-clerk",
            LETTER["body"],
        )
        standing = await client.get(f"/intake/receipts/{receipt}")
        assert standing.json()["state"] == "已存档"
        assert "供规划参考" not in standing.text


@pytest.mark.parametrize("action", ["register", "note", "discard"])
async def test_r3_7_what_was_noted_stays_noted(world: World, action: str) -> None:
    async with world.running(build(world.kit())) as client:
        _, letter_id = await one_more(client, world, [])
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        await client.post(f"/intake/letters/{letter_id}/note", json={}, headers=clerk)
        body = {"reason": "advertising"} if action == "discard" else {}
        again = await client.post(f"/intake/letters/{letter_id}/{action}", json=body, headers=clerk)
        assert again.status_code == 409
        assert again.json()["rule"] == {"register": "R3.6", "note": "R3.7", "discard": "R3.0"}[action]
