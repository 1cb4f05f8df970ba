"""Who may hand a letter to whom, and who must agree (R4.1–R4.4, R6.2): what is refused over HTTP, with its rule and its field."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.facts import HandoffCollected, ReplyDueSet, ReplyReminded, UrgingDue
from shared.contracts.mailbox import ReminderArrived, UrgingArrived
from tests.conftest import MONDAY, World
from tests.routing_desk import CLERK, HEAD, SLIP, UNIT_CLERK, Desk, desk_of, staff

BASIC = "education-basic"


async def refused(desk: Desk, letter_id: str, sender: str, receiver: str, way: str) -> tuple[int, str, str]:
    """What the sender's clerk is told who prepares this slip: status, rule, field."""
    body = {"way": way, "receiver": receiver, "opinion": "拟办", "requirements": "依法办理"}
    answer = await desk.post(
        f"{letter_id}/slips", staff(sender), body | ({"answer_by": "assignee"} if way == "assign" else {})
    )
    problem: dict[str, Any] = answer.json()
    errors = problem.get("errors", [{}])
    return answer.status_code, problem.get("rule", ""), errors[0].get("field", "")


async def at_unit(desk: Desk) -> str:
    """A letter that a citizen wrote to education."""
    return await desk.letter(mailbox="education", chosen_mailbox="education")


async def test_r4_1_direct_stays_inside_the_unit(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await at_unit(desk)
        for outside in ("water", "mayor"):
            assert await refused(desk, letter_id, "education", outside, "direct") == (422, "R4.1", "/receiver")
        assert await refused(desk, await desk.letter(), "mayor", "water", "direct") == (422, "R4.1", "/receiver")
        assigned = await desk.assigned()
        await desk.done(f"{assigned}/handoffs/s1/collect", UNIT_CLERK)
        assert await refused(desk, assigned, "education", "education", "direct") == (409, "R4.1", "")


async def test_r4_2_an_assignment_goes_down_the_tree_only(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await at_unit(desk)
        for receiver in ("water", "mayor", "education"):
            assert await refused(desk, letter_id, "education", receiver, "assign") == (422, "R4.2", "/receiver")
        assert (await desk.sent(letter_id, "education", BASIC)) == "s1"


async def test_r4_2_a_slip_is_approved_by_a_head_who_did_not_prepare_it(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        both = ("mayor-both", "mayor", "clerk", "head")
        await desk.done(f"{letter_id}/slips", both, SLIP)
        own = await desk.post(f"{letter_id}/slips/s1/approve", both)
        assert (own.status_code, own.json()["rule"]) == (409, "R4.2")
        clerk = await desk.post(f"{letter_id}/slips/s1/approve", CLERK)
        assert clerk.status_code == 403
        assert (await desk.done(f"{letter_id}/slips/s1/approve", HEAD))["stage"] == "sent"


async def test_r4_2b_a_second_assignment_stays_inside_the_assignees_unit(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        path = f"{letter_id}/slips"
        by_whom = await desk.post(path, UNIT_CLERK, {**SLIP, "receiver": BASIC, "answer_by": "assignee"})
        assert (by_whom.status_code, by_whom.json()["rule"]) == (422, "R4.2b")
        assert await refused(desk, letter_id, "education", "water", "assign") == (422, "R4.2", "/receiver")
        await desk.sent(letter_id, "education", BASIC, answer_by=None)
        seen = (await desk.get(f"letters/{letter_id}", CLERK)).json()
        assert [one["receiver"] for one in seen["handoffs"] if not one["parent"]] == ["education"]


async def test_r4_3_a_forward_goes_sideways_or_down_to_another_unit(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await at_unit(desk)
        for receiver in (BASIC, "mayor", "education"):
            assert await refused(desk, letter_id, "education", receiver, "forward") == (422, "R4.3", "/receiver")
        assert await refused(desk, await desk.letter(), "mayor", BASIC, "forward") == (422, "R4.3", "/receiver")
        assigned = await desk.assigned()
        await desk.done(f"{assigned}/handoffs/s1/collect", UNIT_CLERK)
        assert await refused(desk, assigned, "education", "water", "forward") == (409, "R4.3", "")
        await desk.sent(letter_id, "education", "water", "forward")
        limit = await desk.post(
            f"{await at_unit(desk)}/slips",
            UNIT_CLERK,
            {"way": "forward", "receiver": "water", "opinion": "拟办", "requirements": "办理", "working_days": 5},
        )
        assert (limit.status_code, limit.json()["errors"][0]["field"]) == (422, "/working_days")


async def test_r4_4_a_submission_goes_up_only(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await at_unit(desk)
        for receiver in ("water", BASIC):
            assert await refused(desk, letter_id, "education", receiver, "submit_up") == (422, "R4.4", "/receiver")
        assert await refused(desk, await desk.letter(), "mayor", "water", "submit_up") == (422, "R4.4", "/receiver")
        assert await desk.sent(letter_id, "education", "mayor", "submit_up") == "s1"


async def test_r6_2_a_reply_is_approved_by_somebody_else_than_its_author(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner")
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        both = ("education-both", "education", "clerk", "head")
        await desk.done(f"{letter_id}/handoffs/s1/replies", both, {"text": "已修复。"})
        own = await desk.post(f"{letter_id}/handoffs/s1/replies/r1/approve", both)
        assert (own.status_code, own.json()["rule"]) == (409, "R6.2")
        view = await desk.done(f"{letter_id}/handoffs/s1/replies/r1/approve", staff("education", "head"))
        (reply,) = view["handoffs"][0]["replies"]
        assert (reply["author"]["subject"], reply["decided_by"]["subject"]) == ("education-both", "education-head")


@pytest.mark.parametrize(("path", "rule"), [("handoffs/s1/return", "R5.1"), ("handoffs/s1/progress", "R7.1")])
async def test_r5_1_r7_1_a_reason_and_a_progress_note_say_something(world: World, path: str, rule: str) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        blank = await desk.post(f"{letter_id}/{path}", UNIT_CLERK, {"reason": "  ", "text": "  "})
        assert (blank.status_code, blank.json()["errors"][0]["rule"]) == (422, rule), blank.text


async def test_r5_1_nothing_is_returned_once_it_was_replied_to(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner")
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.replied(letter_id, "s1", "education")
        late = await desk.post(f"{letter_id}/handoffs/s1/return", UNIT_CLERK, {"reason": "误收"})
        assert (late.status_code, late.json()["rule"]) == (409, "R5.1")
        back = {"reason": "不完整", "requirements": "请补充"}
        await desk.done(f"{letter_id}/handoffs/s1/replies/r1/send-back", HEAD, back)
        again = await desk.post(f"{letter_id}/handoffs/s1/return", UNIT_CLERK, {"reason": "误收"})
        assert (again.status_code, again.json()["rule"]) == (409, "R5.1")


async def test_r6_3_an_assignment_is_collected_before_anything_else_is_done_with_it(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        assert await desk.listed("education", "arrivals") == [letter_id]
        early = await desk.post(f"{letter_id}/handoffs/s1/replies", UNIT_CLERK, {"text": "已修复。"})
        assert (early.status_code, early.json()["rule"]) == (409, "R6.3")
        view = await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        assert view["stage"] == "collected"
        assert await desk.listed("education", "arrivals") == []
        (signed,) = await desk.facts(letter_id, HandoffCollected)
        assert (signed.by.subject, signed.receiver, signed.by_hand) == ("education-clerk", "education", False)
        again = await desk.post(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        assert again.status_code == 409


async def test_r7_1_an_office_reached_by_fax_is_reminded_and_urged_through_its_assigner(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.sent(letter_id, "mayor", "water", medium="fax")
        handoff = {
            "letter_id": letter_id,
            "handoff_id": "s1",
            "receiver": "water",
            "due_at": MONDAY + timedelta(days=14),
        }
        await world.publish(
            ReplyDueSet(at=MONDAY, working_days=10, **handoff),
            ReplyReminded(at=MONDAY, working_days_left=2, **handoff),
            UrgingDue(at=MONDAY, sender="mayor", count=1, **handoff),
        )
        assert (await desk.told("mayor", ReminderArrived))[0].working_days_left == 2
        assert (await desk.told("mayor", UrgingArrived))[0].count == 1
        assert await world.messages("mailbox.water") == []
