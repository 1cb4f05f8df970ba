"""Every way of disposition and what may happen to it, by staff over HTTP on real engines; each story is named after its rule."""

from datetime import timedelta
from typing import Any

from shared.contracts.actions import ApproveReply, CollectLetter, SubmitReply
from shared.contracts.facts import (
    CitizenAnswered,
    HandoffSent,
    InstructionReminded,
    ReplyApproved,
    ReplyDueChanged,
    ReplySentBack,
)
from shared.contracts.mailbox import (
    AssignmentArrived,
    DueMoved,
    ExtensionAnswered,
    ExtensionAsked,
    ForwardArrived,
    InstructionArrived,
    InstructionDue,
    ReplyArrived,
    ResultArrived,
    ReturnArrived,
    SendBackArrived,
    SlipGivenBack,
    SubmissionArrived,
    WithdrawalArrived,
)
from shared.contracts.types import Channel
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import CLERK, DUTY, HEAD, OTHER, UNIT_CLERK, UNIT_HEAD, Desk, action, desk_of, staff

DUE = MONDAY + timedelta(days=14)
PHONE = {"channel": "phone", "text": "已电话告知来信人。"}
LEADER = staff("mayor", "leader")
UNIT_LEADER = staff("education", "leader")
BASIC = "education-basic"


async def refused(desk: Desk, path: str, who: tuple[str, ...], body: Any = None) -> tuple[int, str]:
    answer = await desk.post(path, who, body)
    return answer.status_code, answer.json().get("rule", "")


async def lists(desk: Desk, letter_id: str, *names: str) -> set[str]:
    """Return in which of `mailbox/list` the letter stands."""
    return {name for name in names if letter_id in await desk.listed(*name.split("/"))}


async def test_r8_3_an_assignee_says_how_it_answered_the_citizen(world: World) -> None:
    async with desk_of(world) as desk:
        by_phone, by_mail = await desk.assigned(), await desk.assigned()
        await desk.done(f"{by_phone}/handoffs/s1/collect", UNIT_CLERK)
        view = await desk.replied(by_phone, "s1", "education", text="已电话告知：路灯已修复。", channel="phone")
        assert (view["stage"], view["answer"]["channel"]) == ("finished", "phone")
        await desk.ask("education", action(CollectLetter, by_mail))
        await desk.ask("education", action(SubmitReply, by_mail, text="已发邮件。", channel=Channel.EMAIL))
        await desk.ask("education", action(ApproveReply, by_mail, person="chen"))
        (answered,) = await desk.facts(by_mail, CitizenAnswered)
        assert answered.channel is Channel.EMAIL
        wrong = await desk.post(f"{by_mail}/handoffs/s1/replies", UNIT_CLERK, {"text": "好", "channel": "pigeon"})
        assert wrong.status_code == 422


async def test_r4_1_r8_2_a_unit_answers_itself_or_through_its_department_and_is_told_the_result(world: World) -> None:
    async with desk_of(world) as desk:
        own = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(own, "education", "education", "direct")
        assert await lists(desk, own, "education/collected", "education/pending") == {"education/collected"}
        assert await refused(desk, f"{own}/answer", CLERK, PHONE) == (403, "R10.2")
        assert (await desk.done(f"{own}/answer", UNIT_CLERK, PHONE))["stage"] == "finished"

        inside = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(inside, "education", BASIC, "direct")
        arrived = (await desk.told(BASIC, AssignmentArrived))[0]
        assert (arrived.way, arrived.answer_by) == ("direct", "assignee")
        await desk.done(f"{inside}/handoffs/s1/collect", staff(BASIC))
        view = await desk.replied(inside, "s1", BASIC)
        assert (view["stage"], view["answer"]["mailbox"]) == ("finished", BASIC)
        assert (await desk.told("education", ReplyArrived))[0].receiver == BASIC


async def test_r4_2_an_office_that_is_not_connected_is_reached_by_fax_and_its_steps_recorded(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.sent(letter_id, "mayor", "water", medium="fax", working_days=5)
        assert await refused(desk, f"{letter_id}/handoffs/s1/collect", OTHER) == (403, "R10.2")
        await desk.done(f"{letter_id}/handoffs/s1/collect", CLERK)
        paper = {"text": "已修复。", "person": "李某", "approver": "王某", "channel": "phone"}
        view = await desk.done(f"{letter_id}/handoffs/s1/paper-reply", CLERK, paper)
        assert (view["stage"], view["answer"]["channel"], view["answer"]["author"]["name"]) == (
            "finished",
            "phone",
            "李某",
        )
        (sent,) = await desk.facts(letter_id, HandoffSent)
        (reply,) = await desk.facts(letter_id, ReplyApproved)
        assert (sent.medium, sent.working_days, reply.by_hand, reply.approver_name) == ("fax", 5, True, "王某")
        assert not [m for m in await world.messages("mailbox.water") if isinstance(m, AssignmentArrived)]


async def test_r4_2_a_slip_sent_in_error_is_withdrawn_until_collected_and_a_refused_one_goes_back(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.done(
            f"{letter_id}/slips",
            CLERK,
            {"receiver": "water", "opinion": "拟办", "requirements": "办理", "answer_by": "assignee"},
        )
        await desk.done(f"{letter_id}/slips/s1/refuse", HEAD, {"reason": "应交市教委"})
        assert (await desk.told("mayor", SlipGivenBack))[0].reason == "应交市教委"
        await desk.sent(letter_id, "mayor", "education")
        view = await desk.done(f"{letter_id}/slips/s2/withdraw", CLERK, {"reason": "误发"})
        assert (view["stage"], view["holder"], view["handoffs"][0]["withdrawn"]["reason"]) == (
            "pending",
            "mayor",
            "误发",
        )
        assert (await desk.told("education", WithdrawalArrived))[0].reason == "误发"
        assert (await desk.get(f"letters/{letter_id}", UNIT_CLERK)).status_code == 403
        await desk.sent(letter_id, "mayor", "education")
        await desk.done(f"{letter_id}/handoffs/s3/collect", UNIT_CLERK)
        assert await refused(desk, f"{letter_id}/slips/s3/withdraw", CLERK, {"reason": "误发"}) == (409, "R4.2")


async def test_r4_2b_a_second_assignment_is_the_assignees_own_business(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.sent(letter_id, "education", BASIC, answer_by=None)
        names = ("mayor/in-hand", "education/in-hand", f"{BASIC}/arrivals", "education/collected")
        assert await lists(desk, letter_id, *names) == set(names[:3])
        await desk.done(f"{letter_id}/handoffs/s2/collect", staff(BASIC))
        await desk.replied(letter_id, "s2", BASIC, text="处里已修复。")
        assert await lists(desk, letter_id, *names) == {"mayor/in-hand", "education/collected"}
        seen = (await desk.get(f"letters/{letter_id}", CLERK)).json()
        assert [(one["parent"], one["replies"]) for one in seen["handoffs"]] == [(None, []), ("s1", [])]
        view = await desk.replied(letter_id, "s1", "education")
        assert (view["stage"], view["answer"]["mailbox"]) == ("finished", "education")
        assert await lists(desk, letter_id, "mayor/finished", "education/finished", f"{BASIC}/finished") == {
            "mayor/finished",
            "education/finished",
            f"{BASIC}/finished",
        }


async def test_r4_3_and_r8_4_a_forwarded_letter_is_pending_at_the_receiver_and_the_citizen_is_told(
    world: World,
) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(letter_id, "education", "water", "forward", answer_by="assignee")
        arrived = (await desk.told("water", ForwardArrived))[0]
        assert (arrived.sender, arrived.answer_by, arrived.number.serial) == ("education", "assignee", 1)
        await desk.done(f"{letter_id}/handoffs/s1/collect", OTHER)
        assert await lists(desk, letter_id, "water/pending", "education/pending", "education/to-tell") == {
            "water/pending",
            "education/to-tell",
        }
        await desk.done(f"{letter_id}/handoffs/s1/told", UNIT_CLERK, PHONE)
        assert await desk.listed("education", "to-tell") == []
        assert await refused(desk, f"{letter_id}/handoffs/s1/told", UNIT_CLERK, PHONE) == (409, "R4.3")
        await desk.sent(letter_id, "water", "water", "direct")
        view = await desk.done(f"{letter_id}/answer", OTHER, PHONE)
        assert (view["stage"], view["number"], view["answer"]["mailbox"]) == (
            "finished",
            "渝府信〔2026〕1号",
            "water",
        )
        (result,) = await desk.told("education", ResultArrived)
        assert (result.answered_by, result.text) == ("water", PHONE["text"])


async def test_r4_4_a_letter_goes_to_the_own_leader_and_comes_back_with_the_instruction(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(letter_id, "education", "education", "submit_up")
        assert (await desk.told("education", SubmissionArrived))[0].sender == "education"
        assert await lists(desk, letter_id, "education/submitted", "education/pending") == {"education/submitted"}
        given = {"text": "请尽快解决。", "report_by": "2026-03-06"}
        assert (await refused(desk, f"{letter_id}/instructions", UNIT_HEAD, given))[0] == 403
        view = await desk.done(f"{letter_id}/instructions", UNIT_LEADER, given)
        assert (view["stage"], view["instructions"][0]["text"]) == ("pending", "请尽快解决。")
        assert (await desk.told("education", InstructionArrived))[0].leader.subject == "education-leader"


async def test_r3_8_r4_4b_a_submission_to_the_mayors_mailbox_is_turned_into_an_assignment(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(letter_id, "education", "mayor", "submit_up")
        await desk.done(f"{letter_id}/handoffs/s1/collect", CLERK)
        await desk.sent(letter_id, "mayor", "water")
        await desk.done(f"{letter_id}/handoffs/s2/collect", OTHER)
        view = await desk.replied(letter_id, "s2", "water")
        assert [(one["way"], one["parent"]) for one in view["handoffs"]] == [("submit_up", None), ("assign", "s1")]
        sent = await desk.facts(letter_id, HandoffSent, 2)
        assert {fact.number.text for fact in sent} == {"渝府信〔2026〕1号"}
        assert (await desk.told("education", ResultArrived))[0].answered_by == "water"


async def test_r5_1_a_returned_letter_is_with_the_sender_again_and_to_and_fro_is_flagged(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        assert await refused(desk, f"{letter_id}/handoffs/s1/return", UNIT_CLERK, {"reason": " "}) == (422, "R5.1")
        view = await desk.done(f"{letter_id}/handoffs/s1/return", UNIT_CLERK, {"reason": "不属教育职责"})
        assert (view["stage"], view["holder"], view["flagged"]) == ("pending", "mayor", False)
        assert await lists(desk, letter_id, "mayor/pending", "mayor/returned", "mayor/flagged") == {
            "mayor/pending",
            "mayor/returned",
        }
        (row,) = (await desk.get("mailboxes/mayor/letters?list=returned", CLERK)).json()["items"]
        assert row["reason"] == "不属教育职责"
        await desk.sent(letter_id, "mayor", "water")
        await desk.done(f"{letter_id}/handoffs/s2/return", OTHER, {"reason": "不属供水职责"})
        assert [(m.count, m.flagged) for m in await desk.told("mayor", ReturnArrived, 2)] == [(1, False), (2, True)]
        assert await desk.listed("mayor", "flagged") == [letter_id]
        assert (await desk.get("mailboxes/mayor/letters?list=flagged", CLERK)).status_code == 403


async def test_r6_2_a_written_reply_may_be_a_formal_document_with_its_scan(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner", written_reply=True)
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        path = f"{letter_id}/handoffs/s1/replies"
        document = {"number": "渝教函〔2026〕3号", "dated": "2026-03-02"}
        assert await refused(desk, path, UNIT_CLERK, {"document": document}) == (422, "R6.2")
        scan = {"id": "1" * 32, "name": "函.pdf", "media_type": "application/pdf", "size": 10, "sha256": "1" * 64}
        view = await desk.replied(
            letter_id, "s1", "education", text="", document={**document, "scan": scan}, attachments=[scan]
        )
        reply = view["handoffs"][0]["replies"][0]
        assert (reply["document"]["number"], reply["attachments"][0]["name"], reply["state"]) == (
            "渝教函〔2026〕3号",
            "函.pdf",
            "approved",
        )
        assert reply["decided_by"]["subject"] == "education-head"


async def test_r6_4_an_extension_is_applied_for_in_time_and_decided_by_the_assigner(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.due(letter_id, "s1", "education", DUE)
        path = f"{letter_id}/handoffs/s1/extensions"
        asked = {"reason": "待电力部门配合", "wanted_day": "2026-03-20"}
        await desk.done(path, UNIT_CLERK, asked)
        assert (await desk.told("mayor", ExtensionAsked))[0].reason == "待电力部门配合"
        assert await desk.listed("mayor", "extensions") == [letter_id]
        assert await refused(desk, path, UNIT_CLERK, asked) == (409, "R6.4")
        part = {"outcome": "partly", "last_day": "2026-03-18", "reason": "两天足够"}
        view = await desk.done(f"{path}/e1/decide", HEAD, part)
        assert view["handoffs"][0]["extensions"][0]["due_at"] == "2026-03-18T16:00:00Z"
        assert (await desk.told("education", ExtensionAnswered))[0].outcome == "partly"
        assert await desk.listed("mayor", "extensions") == []
        await desk.done(path, DUTY, {**asked, "oral": True})
        await desk.done(f"{path}/e2/decide", DUTY, {"outcome": "refused", "reason": "可按期"})
        world.move_clock(DUE)
        assert await refused(desk, path, UNIT_CLERK, {**asked, "wanted_day": "2026-04-01"}) == (409, "R6.4")


async def test_r7_3_r8_3_a_reply_is_sent_back_and_done_again_until_the_citizen_has_a_good_answer(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        back = {"reason": "未说明完成日期", "requirements": "请写明", "working_days": 5}
        for count in (1, 2):
            assert (await desk.replied(letter_id, "s1", "education"))["stage"] == "finished"
            view = await desk.done(f"{letter_id}/handoffs/s1/replies/r{count}/send-back", CLERK, back)
            assert (view["stage"], view["holder"], view["answer"]) == ("collected", "education", None)
        assert [m.count for m in await desk.told("education", SendBackArrived, 2)] == [1, 2]
        assert await lists(desk, letter_id, "education/collected", "mayor/in-hand", "mayor/finished") == {
            "education/collected",
            "mayor/in-hand",
        }
        view = await desk.replied(letter_id, "s1", "education", text="已于三月一日修复。")
        assert [answer["text"] for answer in view["answers"]][-1] == view["answer"]["text"] == "已于三月一日修复。"
        assert [fact.working_days for fact in await desk.facts(letter_id, ReplySentBack, 2)] == [5, 5]
        assert len(await desk.facts(letter_id, CitizenAnswered, 3)) == 3


async def test_r8_1_an_instruction_is_followed_up_reminded_of_and_ended(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.done(f"{letter_id}/instructions", LEADER, {"text": "请尽快解决。", "report_by": "2026-03-06"})
        assert await desk.listed("mayor", "instructions") == [letter_id]
        due = MONDAY + timedelta(days=5)
        await world.publish(
            InstructionReminded(letter_id=letter_id, at=due, instruction_id="i1", mailbox="mayor", report_by=due)
        )
        assert (await desk.told("mayor", InstructionDue))[0].instruction_id == "i1"
        await desk.done(f"{letter_id}/instructions/i1/follow-ups", CLERK, {"text": "已派人查看"})
        view = await desk.done(f"{letter_id}/instructions/i1/end", CLERK, {"text": "已修复，已报领导"})
        assert [note["text"] for note in view["instructions"][0]["follow_ups"]] == ["已派人查看"]
        assert await desk.listed("mayor", "instructions") == []
        assert await refused(desk, f"{letter_id}/instructions/i1/end", CLERK, {"text": "再报"}) == (409, "R8.1")


async def test_r7_1_a_changed_limit_reaches_the_assignee(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.due(letter_id, "s1", "education", DUE)
        later = DUE + timedelta(days=2)
        values = {"handoff_id": "s1", "receiver": "education", "before": DUE, "due_at": later, "why": "schedule"}
        await world.publish(ReplyDueChanged(letter_id=letter_id, at=MONDAY, **values))
        assert (await desk.told("education", DueMoved))[0].due_at == later

        async def shown() -> bool:
            view = (await desk.get(f"letters/{letter_id}", UNIT_CLERK)).json()
            return bool(view["handoffs"][0]["due_at"].startswith(later.strftime("%Y-%m-")))

        await eventually(shown)
