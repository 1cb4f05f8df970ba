"""Units' systems do over `actions.<code>` all that staff do over HTTP, through the same use cases."""

from datetime import date, timedelta
from typing import Any

from services.routing.actions import USE_CASES
from services.routing.refusals import Refusal, Refusals
from shared.contracts import actions as do
from shared.contracts.catalogue import ACTIONS
from shared.contracts.mailbox import ActionDone, ActionRefused
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import CLERK, DUTY, HEAD, OTHER, Desk, action, desk_of, staff
from tests.routing_desk import SLIP as TO_EDUCATION

DUE = MONDAY + timedelta(days=14)
SLIP = {"opinion": "拟办", "requirements": "办理"}
ANSWER = {"channel": "phone", "text": "已电话告知来信人。"}
BACK = {"reason": "不完整", "requirements": "请补充"}
BASIC = "education-basic"


class System:
    """A unit's system that waits for the answer to each of its actions."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.done: dict[str, int] = {}
        self.seen: set[type[do.Action]] = set()

    async def does(self, unit: str, kind: type[do.Action], letter_id: str, person: str = "li", **values: Any) -> None:
        asked = await self.desk.ask(unit, action(kind, letter_id, person, **values))
        self.done[unit] = self.done.get(unit, 0) + 1
        last = (await self.desk.told(unit, ActionDone, self.done[unit]))[-1]
        assert (last.action_id, last.action) == (asked, kind.__name__)
        self.seen.add(kind)


def test_every_action_has_its_use_case() -> None:
    assert set(USE_CASES) == set(ACTIONS)


async def test_r6_3_a_units_system_can_do_all_of_it(world: World) -> None:
    async with desk_of(world) as desk:
        system = System(desk)
        await _as_assignee(desk, system)
        await _as_first_receiver(desk, system)
        await _by_fax(desk, system)
        assert system.seen == set(ACTIONS)


async def _as_assignee(desk: Desk, system: System) -> None:
    letter_id = await desk.assigned(answer_by="assigner")
    await system.does("education", do.CollectLetter, letter_id)
    await desk.due(letter_id, "s1", "education", DUE)
    await system.does("education", do.RequestExtension, letter_id, reason="待配合", wanted_day=date(2026, 3, 20))
    await system.does("education", do.PrepareSlip, letter_id, to=BASIC, **SLIP)
    await system.does("education", do.RefuseSlip, letter_id, "wang", slip_id="s2", reason="另拟")
    await system.does("education", do.PrepareSlip, letter_id, to=BASIC, **SLIP)
    await system.does("education", do.ApproveSlip, letter_id, "wang", slip_id="s3")
    await system.does("education", do.WithdrawSlip, letter_id, handoff_id="s3", reason="误发")
    await system.does("education", do.PrepareSlip, letter_id, to=BASIC, **SLIP)
    await system.does("education", do.ApproveSlip, letter_id, "wang", slip_id="s4")
    await system.does(BASIC, do.CollectLetter, letter_id, handoff_id="s4")
    await desk.due(letter_id, "s4", BASIC, DUE)
    await system.does(
        BASIC, do.RequestExtension, letter_id, handoff_id="s4", reason="待配合", wanted_day=date(2026, 3, 18)
    )
    decided = {"handoff_id": "s4", "extension_id": "e2", "outcome": "granted"}
    await system.does("education", do.DecideExtension, letter_id, "wang", **decided)
    await system.does(BASIC, do.SubmitReply, letter_id, handoff_id="s4", text="处里已修复。")
    await system.does(BASIC, do.ApproveReply, letter_id, "zhao", handoff_id="s4")
    await system.does("education", do.SendBackReply, letter_id, handoff_id="s4", **BACK)
    await system.does(BASIC, do.ReturnLetter, await _forwarded(desk, "education", BASIC), reason="误收")
    await desk.replied(letter_id, "s4", BASIC)
    await system.does("education", do.RecordProgress, letter_id, text="处里已修复")
    await system.does("education", do.SubmitReply, letter_id, text="已修复。")
    await system.does("education", do.RefuseReply, letter_id, "wang", reason="写明日期")
    await system.does("education", do.SubmitReply, letter_id, text="已于三月一日修复。")
    await system.does("education", do.ApproveReply, letter_id, "wang")
    await desk.done(f"{letter_id}/answer", CLERK, ANSWER)


async def _forwarded(desk: Desk, sender: str, receiver: str) -> str:
    """A letter that was given directly to a department."""
    letter_id = await desk.letter(mailbox=sender, chosen_mailbox=sender)
    await desk.sent(letter_id, sender, receiver, "direct")
    return letter_id


async def _as_first_receiver(desk: Desk, system: System) -> None:
    letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
    await system.does("education", do.GiveInstruction, letter_id, "shu", text="请尽快", report_by=date(2026, 3, 6))
    await system.does("education", do.FollowUpInstruction, letter_id, instruction_id="i1", text="已查看")
    await system.does("education", do.EndInstruction, letter_id, instruction_id="i1", text="已办结")
    await system.does("education", do.PrepareSlip, letter_id, to="water", way="forward", **SLIP)
    await system.does("education", do.ApproveSlip, letter_id, "wang", slip_id="s1")
    await system.does("education", do.TellCitizen, letter_id, **ANSWER)
    await system.does("water", do.CollectLetter, letter_id)
    await desk.sent(letter_id, "water", "water", "direct")
    await system.does("water", do.AnswerCitizen, letter_id, **ANSWER)


async def _by_fax(desk: Desk, system: System) -> None:
    letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
    await desk.sent(letter_id, "education", BASIC, medium="fax", answer_by="assigner")
    await system.does("education", do.CollectLetter, letter_id)
    paper = {"text": "已修复。", "handled_by": "李某", "approved_by": "王某"}
    await system.does("education", do.RecordReply, letter_id, **paper)
    view = (await desk.get(f"letters/{letter_id}", DUTY)).json()
    assert view["stage"] == "replied"


async def test_r10_2_a_unit_acts_for_itself_only_and_is_told_the_rule(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        asked = {
            await desk.ask("water", action(do.ReturnLetter, letter_id, reason="误收")): "R10.2",
            await desk.ask("water", action(do.PrepareSlip, letter_id, to="water", **SLIP)): "R10.2",
            await desk.ask("water", action(do.WithdrawSlip, letter_id, reason="误发")): "R10.2",
        }
        refused = await desk.told("water", ActionRefused, len(asked))
        assert {message.action_id: message.rule for message in refused} == asked
        await desk.done(f"{letter_id}/handoffs/s1/collect", staff("education"))
        assert (await desk.post(f"{letter_id}/handoffs/s1/return", OTHER, {"reason": "误收"})).status_code == 403


async def test_r6_3_an_action_that_was_refused_has_no_effect_later_and_no_second_answer(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await desk.done(f"{letter_id}/slips", CLERK, TO_EDUCATION)
        asked = await desk.ask("education", action(do.CollectLetter, letter_id))
        (refused,) = await desk.told("education", ActionRefused)
        assert refused.action_id == asked
        await desk.done(f"{letter_id}/slips/s1/approve", HEAD)
        await desk.ask("education", action(do.CollectLetter, letter_id), asked)
        again = await desk.ask("education", action(do.CollectLetter, letter_id))
        (done,) = await desk.told("education", ActionDone)
        assert done.action_id == again, "the first one was refused, so it is not done, and is not answered twice"
        await desk.told("education", ActionRefused)


async def test_r6_3_a_refusal_that_a_crash_kept_from_its_unit_is_told_as_it_was(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner")
        refusals = Refusals(desk.service.kit.store)
        await refusals.keep({f"{letter_id}/education/x": Refusal("R4.2", "拟办尚未批准", MONDAY)})
        await desk.ask("education", action(do.CollectLetter, letter_id), "x")
        (refused,) = await desk.told("education", ActionRefused)
        assert (refused.action_id, refused.rule, refused.reason) == ("x", "R4.2", "拟办尚未批准")
        assert refused.at == MONDAY

        async def noted() -> bool:
            return (await refusals.of([f"{letter_id}/education/x"]))[f"{letter_id}/education/x"].told

        await eventually(noted)
