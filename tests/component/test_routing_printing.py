"""Printed slips as those who use them see them: got over HTTP on real engines, read as PDFs (R4.6, 附表1–8)."""

from typing import Any

import httpx

from shared.contracts.facts import LetterRegistered, UrgingDue, UrgingSent
from shared.contracts.types import Actor, Nature, Number
from shared.printing.fonts import FontsMissing
from shared.printing.press import CannotPrint, Press, PressBusy
from tests.component.test_routing_ways import DUE, LEADER, PHONE
from tests.conftest import MONDAY, World, eventually
from tests.paper import bare, needs_fonts, pages, text_of
from tests.routing_desk import (
    ABOUT,
    CLERK,
    DUTY,
    HEAD,
    OTHER,
    SLIP,
    TEXT,
    UNIT_CLERK,
    UNIT_HEAD,
    UNIT_SYSTEM,
    Desk,
    desk_of,
    staff,
)

LETTERS = "/routing/letters/"


async def printed(desk: Desk, path: str, who: tuple[str, ...], **headers: str) -> httpx.Response:
    return await desk.client.get(f"{LETTERS}{path}.pdf", headers={**desk.world.token(*who), **headers})


async def paper(desk: Desk, path: str, who: tuple[str, ...]) -> str:
    """The text of a form, without white space."""
    answer = await printed(desk, path, who)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return text_of(answer.content)


async def statuses(desk: Desk, path: str, *who: tuple[str, ...]) -> list[int]:
    return [(await printed(desk, path, one)).status_code for one in who]


@needs_fonts
async def test_r3_6_the_registration_is_printed_with_number_parties_and_the_whole_letter(world: World) -> None:
    async with desk_of(world) as desk:
        body = "\n".join(f"第{n}段：{TEXT}😀" for n in range(60))
        letter_id = await desk.letter(registered=False, body=body)
        assert await statuses(desk, f"{letter_id}/registration", CLERK) == [404]
        number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
        by = Actor(subject="mayor-clerk", name="覃文梧", mailbox="mayor")
        await world.publish(LetterRegistered(letter_id=letter_id, at=MONDAY, by=by, number=number))

        async def registered() -> httpx.Response | None:
            found = await printed(desk, f"{letter_id}/registration", CLERK)
            return found if found.status_code == 200 else None

        answer: httpx.Response = await eventually(registered)
        assert answer.headers["content-disposition"] == 'inline; filename="YFX-2026-17-registration.pdf"'
        assert len(pages(answer.content)) > 2
        text = text_of(answer.content)
        for part in (
            "重庆市政府系统公开电子信箱来信登记单",
            "附表1",
            "编号：渝府信〔2026〕17号",
            "登记时间2026年3月2日09:30",
            "登记人：覃文梧",
            "来信性质投诉",
            "1.照片.jpg（10字节）",
            "第59段：" + TEXT[:8],
            "〔U+1F600〕",
            "联系方式只保存在受理环节",
        ):
            assert bare(part) in text
        assert await statuses(desk, f"{letter_id}/registration", OTHER, UNIT_CLERK, DUTY) == [403, 403, 200]


@needs_fonts
async def test_r4_6_an_assignment_is_printed_for_its_two_ends_from_the_draft_to_the_receipt(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        slip = {"receiver": "education", "opinion": "拟交市教委办理 #panic()", "requirements": "十日内*办结*"}
        await desk.done(f"{letter_id}/slips", CLERK, {**slip, "answer_by": "assignee", "written_reply": True})
        draft = await paper(desk, f"{letter_id}/slips/s1", CLERK)
        assert "（待审批）" in draft
        assert "审批人（签名、盖章）：" in draft
        assert await statuses(desk, f"{letter_id}/slips/s1", UNIT_CLERK, OTHER, DUTY) == [403, 403, 200]

        await desk.done(f"{letter_id}/slips/s1/approve", HEAD)
        await desk.due(letter_id, "s1", "education", DUE)
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        text = await paper(desk, f"{letter_id}/slips/s1", UNIT_CLERK)
        for part in (
            "重庆市政府系统公开电子信箱交办单",
            "附表3",
            "承办单位" + world.kit().directory.get("education").name,
            "拟交市教委办理#panic()",
            "十日内*办结*",
            "办理期限2026年3月16日09:30",
            "答复方式承办单位直接回复来信人",
            "书面回复需要（附表6或正式行文）",
            "审批人：mayor-head",
            "签收人：education-clerk",
            TEXT,
        ):
            assert bare(part) in text
        assert "（待审批）" not in text
        assert await statuses(desk, f"{letter_id}/slips/s1", UNIT_SYSTEM, OTHER) == [200, 403]
        assert await statuses(desk, f"{letter_id}/slips/s9", CLERK) == [404]


@needs_fonts
async def test_r6_1_a_slip_that_waits_for_the_head_says_the_days_of_the_setting(world: World) -> None:
    async with desk_of(world, reply_working_days=25) as desk:
        letter_id = await desk.letter()
        await desk.done(f"{letter_id}/slips", CLERK, SLIP)
        assert "办理期限25个工作日" in await paper(desk, f"{letter_id}/slips/s1", CLERK)


@needs_fonts
async def test_r4_6_a_copy_is_the_same_byte_for_byte_until_the_letter_changes(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        first, again = [await printed(desk, f"{letter_id}/slips/s1", HEAD) for _ in range(2)]
        assert first.content == again.content
        etag = first.headers["etag"]
        assert etag == (await desk.get(f"letters/{letter_id}", HEAD)).headers["etag"]
        unchanged = await printed(desk, f"{letter_id}/slips/s1", HEAD, **{"If-None-Match": etag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        changed = await printed(desk, f"{letter_id}/slips/s1", HEAD, **{"If-None-Match": etag})
        assert changed.status_code == 200
        assert changed.content != first.content
        assert (await printed(desk, f"{letter_id}/slips/s1", OTHER, **{"If-None-Match": etag})).status_code == 403


@needs_fonts
async def test_r4_6_every_way_has_its_own_form(world: World) -> None:
    async with desk_of(world) as desk:
        inside = await desk.letter()
        await desk.sent(inside, "mayor", "mayor", "direct")
        assert "处理单" in (text := await paper(desk, f"{inside}/slips/s1", CLERK))
        assert "附表2" in text
        assert "办理结果及答复情况" in text

        elsewhere = await desk.letter()
        await desk.sent(elsewhere, "mayor", "water", "forward")
        assert "告知人（签名、盖章）：" in await paper(desk, f"{elsewhere}/slips/s1", CLERK)
        await desk.done(f"{elsewhere}/handoffs/s1/told", CLERK, PHONE)
        text = await paper(desk, f"{elsewhere}/slips/s1", OTHER)
        for part in ("转阅单", "附表4", "不设期限", "电话答复：已电话告知来信人。", "告知人：mayor-clerk"):
            assert part in text

        upward = await desk.letter()
        await desk.sent(upward, "mayor", "mayor", "submit_up")
        assert "领导（签名、盖章）：" in await paper(desk, f"{upward}/slips/s1", CLERK)
        await desk.done(f"{upward}/instructions", LEADER, {"text": "速办。", "report_by": "2026-03-12"})
        text = await paper(desk, f"{upward}/slips/s1", CLERK)
        for part in ("呈办单", "附表5", "呈送本单位分管领导", "速办。", "2026年3月12日24:00", "批示领导：mayor-leader"):
            assert part in text


@needs_fonts
async def test_r4_4b_a_submission_turned_into_an_assignment_prints_both_slips_under_one_number(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await desk.sent(letter_id, "education", "mayor", "submit_up")
        await desk.done(f"{letter_id}/handoffs/s1/collect", CLERK)
        await desk.sent(letter_id, "mayor", "education")
        number = (await desk.get(f"letters/{letter_id}", CLERK)).json()["number"]
        up, down = [await paper(desk, f"{letter_id}/slips/{one}", CLERK) for one in ("s1", "s2")]
        assert "呈办单" in up
        assert "交办单" in down
        assert number in up
        assert number in down


@needs_fonts
async def test_r6_2_a_reply_is_printed_as_a_draft_inside_the_assignee_and_approved_for_both(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.done(f"{letter_id}/handoffs/s1/replies", UNIT_CLERK, {"text": "路灯已修复。<b>#read()</b>"})
        path = f"{letter_id}/handoffs/s1/replies/r1"
        draft = await paper(desk, path, UNIT_HEAD)
        assert "（待审核）" in draft
        assert await statuses(desk, path, CLERK, OTHER, DUTY) == [404, 403, 200]
        await desk.done(f"{path}/approve", UNIT_HEAD)
        text = await paper(desk, path, CLERK)
        for part in (
            "承办回复单",
            "附表6",
            "路灯已修复。<b>#read()</b>",
            "承办人：education-clerk",
            "审核人：education-head",
        ):
            assert part in text
        assert await statuses(desk, f"{letter_id}/handoffs/s1/replies/r2", CLERK) == [404]


@needs_fonts
async def test_r7_3_a_reply_sent_back_is_printed_with_reason_and_new_limit(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.replied(letter_id, "s1", "education")
        why = {"reason": "未说明原因", "requirements": "请说明原因", "working_days": 5}
        await desk.done(f"{letter_id}/handoffs/s1/replies/r1/send-back", HEAD, why)
        text = await paper(desk, f"{letter_id}/handoffs/s1/send-backs/1", UNIT_CLERK)
        for part in (
            "退办单",
            "附表8",
            "（第一次退办）",
            "退办理由未说明原因",
            "请说明原因",
            "5个工作日",
            "退办人：mayor-head",
        ):
            assert part in text
        assert "（已退办）" in await paper(desk, f"{letter_id}/handoffs/s1/replies/r1", CLERK)
        assert await statuses(desk, f"{letter_id}/handoffs/s1/send-backs/1", OTHER, DUTY) == [403, 200]
        assert await statuses(desk, f"{letter_id}/handoffs/s1/send-backs/2", HEAD) == [404]


@needs_fonts
async def test_r7_1_each_urging_is_printed_with_when_it_was_sent_and_how_late_it_was(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.due(letter_id, "s1", "education", DUE)
        for count in (1, 2):
            at = DUE.replace(day=DUE.day + 3 * count)
            world.move_clock(at)
            values: dict[str, Any] = {"handoff_id": "s1", "sender": "mayor", "receiver": "education", "due_at": DUE}
            await world.publish(UrgingDue(letter_id=letter_id, at=at, count=count, **values))
            await desk.facts(letter_id, UrgingSent, count)
        second = await paper(desk, f"{letter_id}/handoffs/s1/urgings/2", UNIT_CLERK)
        for part in (
            "催办单",
            "附表7",
            "（第二次催办）",
            "办理期限2026年3月16日09:30",
            "催办时间2026年3月22日",
            "已逾期6天",
        ):
            assert part in second
        first = await paper(desk, f"{letter_id}/handoffs/s1/urgings/1", CLERK)
        assert "催办时间2026年3月19日" in first
        assert await statuses(desk, f"{letter_id}/handoffs/s1/urgings/3", CLERK) == [404]
        assert await statuses(desk, f"{letter_id}/handoffs/s1/urgings/1", OTHER, DUTY) == [403, 200]


@needs_fonts
async def test_r4_2b_the_assigner_does_not_print_what_a_unit_does_inside(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.sent(letter_id, "education", "education-basic", answer_by=None)
        basic = staff("education-basic")
        assert await statuses(desk, f"{letter_id}/slips/s2", CLERK, DUTY, UNIT_CLERK, basic) == [404, 200, 200, 200]
        assert await statuses(desk, f"{letter_id}/slips/s1", basic) == [404]


@needs_fonts
async def test_a_report_and_a_withdrawn_slip_are_printed_for_nobody_who_may_not_see_them(world: World) -> None:
    async with desk_of(world) as desk:
        about = ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "water"})
        report = await desk.letter(classification=about)
        await desk.sent(report, "mayor", "education")
        for path in ("registration", "slips/s1", "handoffs/s1/replies/r1", "handoffs/s1/urgings/1"):
            assert await statuses(desk, f"{report}/{path}", OTHER) == [404]
        withdrawn = await desk.letter()
        await desk.sent(withdrawn, "mayor", "education")
        await desk.done(f"{withdrawn}/slips/s1/withdraw", CLERK, {"reason": "误发"})
        assert await statuses(desk, f"{withdrawn}/slips/s1", UNIT_CLERK) == [403]
        assert "（已撤回：" in await paper(desk, f"{withdrawn}/slips/s1", CLERK)


async def test_r4_6_without_fonts_or_with_too_many_waiting_printing_says_so_and_all_else_works(
    world: World, monkeypatch
) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        for error in (CannotPrint(FontsMissing(world.settings.fonts_folder)), PressBusy(64, 5)):

            async def refuse(*_: Any, error: Exception = error) -> bytes:
                raise error

            monkeypatch.setattr(Press, "form", refuse)
            answer = await printed(desk, f"{letter_id}/slips/s1", CLERK)
            assert (answer.status_code, answer.json()["rule"]) == (503, "R4.6")
            assert int(answer.headers["retry-after"]) > 0
        assert (await desk.get(f"letters/{letter_id}", CLERK)).status_code == 200
