"""Deadline on real engines: the clocks by moving the clock, two replicas, restarts, and what staff see."""

import re
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from services.deadline.app import build
from services.deadline.lookout import Lookout
from services.runtime import Service
from shared.contracts.envelope import attributes
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffSent,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    ProgressRecorded,
    ReadingOverdue,
    ReplyApproved,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Nature, Number
from tests.conftest import MONDAY, World, eventually

CLERK = Actor(subject="yuzhong-clerk", name="乙经办", mailbox="yuzhong")
COMPLAINT = Classification(nature=Nature.COMPLAINT, domain="utilities-water", region="500103")


def at(text: str) -> datetime:
    """A moment in Chongqing."""
    return datetime.fromisoformat(f"{text}+08:00")


REMINDER = at("2026-03-13 00:00")
DUE = at("2026-03-17 00:00")
"""Ten working days after Monday 2 March: the end of Monday 16 March."""


def received(letter_id: str, moment: datetime = MONDAY, mailbox: str = "mayor") -> LetterReceived:
    return LetterReceived(
        letter_id=letter_id,
        at=moment,
        mailbox=mailbox,
        chosen_mailbox=mailbox,
        subject="停水三天",
        body="小区停水三天，请尽快处理。",
        classification=COMPLAINT,
        may_publish=True,
    )


def number(serial: int = 1) -> Number:
    return Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=serial)


def sent(letter_id: str, moment: datetime = MONDAY, receiver: str = "yuzhong") -> HandoffSent:
    return HandoffSent(
        letter_id=letter_id,
        at=moment,
        handoff_id="s1",
        sender="mayor",
        receiver=receiver,
        opinion="请办理",
        requirements="按时回复",
        answer_by=AnswerBy.ASSIGNEE,
        written_reply=False,
        prepared_by=Actor(subject="mayor-clerk", mailbox="mayor"),
        number=number(),
    )


def approved(letter_id: str, moment: datetime) -> ReplyApproved:
    return ReplyApproved(
        letter_id=letter_id,
        at=moment,
        handoff_id="s1",
        reply_id="r1",
        sender="mayor",
        receiver="yuzhong",
        text="已恢复供水",
        author=CLERK,
        answer_by=AnswerBy.ASSIGNEE,
    )


async def assigned(world: World, letter_id: str, serial: int = 1) -> None:
    """Let a letter arrive, be registered and be handed to yuzhong on Monday morning."""
    await world.publish(
        received(letter_id),
        LetterRead(letter_id=letter_id, at=MONDAY),
        LetterRegistered(letter_id=letter_id, at=MONDAY, number=number(serial)),
        sent(letter_id),
    )


async def declared(world: World, letter_id: str) -> list[Fact]:
    """What deadline has published on a letter, in order."""
    return [fact for fact in await world.facts_of(letter_id) if fact.source == "deadline"]


async def until(world: World, letter_id: str, *types: type[Fact]) -> list[Fact]:
    """Wait until exactly these facts were declared, in this order."""

    async def probe() -> list[Fact]:
        facts = await declared(world, letter_id)
        assert [type(fact) for fact in facts] == list(types)
        return facts

    found: list[Fact] = await eventually(probe)
    return found


async def settled(world: World, service: Service) -> None:
    """Wait until nothing that is due by now is left: later declarations would be new ones."""

    async def probe() -> bool:
        aggregates = service.letters.aggregates
        return not await aggregates.count({"next_at": {"$lte": service.kit.clock.now()}})

    await eventually(probe)


async def get(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_r3_1_a_letter_nobody_read_is_overdue_at_the_end_of_the_day(world: World) -> None:
    service = build(world.kit())
    duty = world.token("mayor-duty", "mayor", "duty_officer")
    async with world.running(service) as client:
        await world.publish(received("unread"), received("read"), LetterRead(letter_id="read", at=MONDAY))

        async def one_unread() -> bool:
            figures = await get(client, "/deadline/mailboxes/mayor/figures", duty)
            return (figures["unread"], figures["overdue"]) == (1, 0)

        await eventually(one_unread)
        world.move_clock(at("2026-03-02 23:59"))
        await settled(world, service)
        assert await declared(world, "unread") == []
        world.move_clock(at("2026-03-03 00:00"))
        (fact,) = await until(world, "unread", ReadingOverdue)
        assert isinstance(fact, ReadingOverdue)
        assert (fact.mailbox, fact.due_at) == ("mayor", at("2026-03-03 00:00"))
        world.move_clock(at("2026-03-30 00:00"))
        await settled(world, service)
        await until(world, "unread", ReadingOverdue)
        assert await declared(world, "read") == []
        page = await get(client, "/deadline/mailboxes/mayor/clocks?state=overdue", duty)
        assert [(c["letter_id"], c["kind"]) for c in page["items"]] == [("unread", "reading")]


async def test_r6_1_a_hand_off_is_reminded_of_and_declared_overdue(world: World) -> None:
    service = build(world.kit())
    clerk = world.token("yuzhong-clerk", "yuzhong", "clerk")
    async with world.running(service) as client:
        await assigned(world, "a")
        (due,) = await until(world, "a", ReplyDueSet)
        assert isinstance(due, ReplyDueSet)
        assert (due.due_at, due.working_days, due.provisional) == (DUE, 10, False)

        world.move_clock(REMINDER)
        *_, reminded = await until(world, "a", ReplyDueSet, ReplyReminded)
        assert isinstance(reminded, ReplyReminded)
        assert (reminded.receiver, reminded.working_days_left) == ("yuzhong", 2)
        (soon,) = (await get(client, "/deadline/mailboxes/yuzhong/clocks?state=due-soon", clerk))["items"]
        assert (soon["number"], soon["state"], soon["working_days_left"], soon["last_day"]) == (
            "渝府信〔2026〕1号",
            "due-soon",
            2,
            "2026-03-16",
        )

        world.move_clock(DUE - timedelta(minutes=1))
        await settled(world, service)
        await until(world, "a", ReplyDueSet, ReplyReminded)

        world.move_clock(DUE)
        *_, overdue, urging = await until(world, "a", ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue)
        assert isinstance(overdue, ReplyOverdue)
        assert isinstance(urging, UrgingDue)
        assert (overdue.sender, overdue.receiver, overdue.due_at, urging.count) == ("mayor", "yuzhong", DUE, 1)
        (late,) = (await get(client, "/deadline/mailboxes/yuzhong/clocks?state=overdue", clerk))["items"]
        assert (late["urged"], late["working_days_left"], late["sender"]) == (1, 0, "mayor")
        assert datetime.fromisoformat(late["overdue_since"]) == DUE


@pytest.mark.parametrize("end", ["approved", "answered"])
async def test_r6_1_an_answer_in_time_stops_the_clock(world: World, end: str) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        await assigned(world, "a")
        await until(world, "a", ReplyDueSet)
        if end == "approved":
            await world.publish(approved("a", MONDAY + timedelta(days=1)))
        else:
            await world.publish(
                CitizenAnswered(
                    letter_id="a",
                    at=MONDAY + timedelta(days=1),
                    mailbox="mayor",
                    channel=Channel.PHONE,
                    text="已电话答复",
                    author=CLERK,
                )
            )
        duty = world.token("mayor-duty", "mayor", "duty_officer")

        async def stopped() -> bool:
            letter = await get(client, "/deadline/letters/a", duty)
            return all(clock["state"] == "stopped" for clock in letter["clocks"])

        await eventually(stopped)
        world.move_clock(DUE + timedelta(days=30))
        await settled(world, service)
        await until(world, "a", ReplyDueSet)


async def test_r7_1_urging_is_numbered_and_recorded_progress_holds_it_off(world: World) -> None:
    service = build(world.kit())
    async with world.running(service):
        await assigned(world, "a")
        await until(world, "a", ReplyDueSet)
        world.move_clock(DUE)
        before: list[type[Fact]] = [ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue]
        await until(world, "a", *before)

        world.move_clock(at("2026-03-20 09:00"))
        *_, second = await until(world, "a", *before, UrgingDue)
        assert isinstance(second, UrgingDue)
        assert second.count == 2

        moment = at("2026-03-23 10:00")
        world.move_clock(moment)
        await world.publish(ProgressRecorded(letter_id="a", at=moment, handoff_id="s1", text="配件已订购"))

        async def explained() -> bool:
            return bool(await service.letters.aggregates.count({"next_at": at("2026-03-27 00:00")}))

        await eventually(explained)
        world.move_clock(at("2026-03-26 23:59"))
        await settled(world, service)
        await until(world, "a", *before, UrgingDue)
        world.move_clock(at("2026-04-30 09:00"))
        *_, third = await until(world, "a", *before, UrgingDue, UrgingDue)
        assert isinstance(third, UrgingDue)
        assert third.count == 3


async def test_two_replicas_declare_everything_exactly_once_and_share_the_work(world: World) -> None:
    first, second = build(world.kit()), build(world.kit())
    ids = [f"letter-{number}" for number in range(150)]
    async with world.running(first), world.running(second):
        for letter_id in ids:
            await world.publish(received(letter_id))

        async def all_there() -> bool:
            return await first.letters.aggregates.count({"holder0": "mayor"}) == len(ids)

        await eventually(all_there, 60)

        async def shared() -> bool:
            views = [Lookout(s.subscribers[0], world.namespace + "letters", s.kit.clock) for s in (first, second)]
            outlooks = [outlook for view in views if (outlook := await view.look())]
            assert len(outlooks) == 2
            return all(sum(outlook.mine(letter_id) for outlook in outlooks) == 1 for letter_id in ids)

        await eventually(shared)
        world.move_clock(at("2026-03-04 12:00"))
        await settled(world, first)

        async def counted() -> Counter[str]:
            facts = {
                (envelope.subject, envelope.seq)
                for record in await world.records("letters")
                if (envelope := attributes(record.headers)).source == "deadline"
            }
            counts = Counter(letter_id for letter_id, _ in facts)
            assert len(counts) == len(ids)
            return counts

        assert set((await eventually(counted)).values()) == {1}
        world.move_clock(at("2026-03-20 12:00"))
        await settled(world, first)
        assert set((await counted()).values()) == {1}


async def test_stages_missed_while_the_service_was_down_are_each_declared_once(world: World) -> None:
    async with world.running(build(world.kit())):
        await assigned(world, "a")
        await until(world, "a", ReplyDueSet)
    world.move_clock(DUE + timedelta(days=60))
    stages: list[type[Fact]] = [ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue]
    again = build(world.kit())
    async with world.running(again):
        *_, urging = await until(world, "a", *stages)
        assert isinstance(urging, UrgingDue)
        assert urging.count == 1
        await settled(world, again)
    third = build(world.kit())
    async with world.running(third):
        await settled(world, third)
        await until(world, "a", *stages)


async def test_an_answer_that_came_in_time_while_the_service_was_down_is_never_declared_overdue(world: World) -> None:
    """The answer still waits on the topic when the first sweep could run: facts first, then the clock."""
    async with world.running(build(world.kit())):
        for name in ("a", "b"):
            await assigned(world, name)
            await until(world, name, ReplyDueSet)
    await world.publish(approved("a", DUE - timedelta(days=3)))
    world.move_clock(DUE + timedelta(days=1))
    again = build(world.kit())
    async with world.running(again):
        await until(world, "b", ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue)
        await settled(world, again)
        await until(world, "a", ReplyDueSet)


async def test_r3_1_a_letter_read_too_late_while_the_service_was_down_is_declared_overdue_once(world: World) -> None:
    """Its clock stops before a sweep can see it; a restart and a rebuild declare nothing more."""
    first = build(world.kit())
    async with world.running(first):
        await world.publish(received("a"), received("b"))

        async def both_run() -> bool:
            return await first.letters.aggregates.count({"holder0": "mayor"}) == 2

        await eventually(both_run)
    await world.publish(
        LetterRead(letter_id="a", at=at("2026-03-03 00:00")),
        LetterRead(letter_id="b", at=at("2026-03-02 23:59")),
        received("c"),
        LetterRead(letter_id="c", at=at("2026-03-03 08:30")),
    )
    world.move_clock(at("2026-03-05 09:00"))
    again = build(world.kit())
    async with world.running(again):
        for letter_id in ("a", "c"):
            (fact,) = await until(world, letter_id, ReadingOverdue)
            assert isinstance(fact, ReadingOverdue)
            assert (fact.mailbox, fact.due_at) == ("mayor", at("2026-03-03 00:00"))
    third = build(world.kit())
    async with world.running(third):
        await settled(world, third)
        for letter_id in ("a", "c"):
            await until(world, letter_id, ReadingOverdue)
        assert await declared(world, "b") == []
        await world.settled("deadline")
        live = await snapshot(third)
    assert await rebuilt(world) == live


async def test_a_rebuilt_projection_equals_the_live_one(world: World) -> None:
    service = build(world.kit())
    async with world.running(service):
        await assigned(world, "a")
        await world.publish(received("b"))
        await until(world, "a", ReplyDueSet)
        world.move_clock(DUE)
        await until(world, "a", ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue)
        await until(world, "b", ReadingOverdue)
        await world.publish(approved("a", DUE + timedelta(hours=9)))

        async def stopped() -> bool:
            return not await service.letters.aggregates.count({"holder0": "yuzhong"})

        await eventually(stopped)
        await world.settled("deadline")
        live = await snapshot(service)
    assert await rebuilt(world) == live


async def rebuilt(world: World) -> dict[str, Any]:
    """Every letter as stored once all was thrown away and made anew from the topic."""
    kit = world.kit()
    await world.forget("deadline")
    service = build(kit)
    await service.letters.aggregates.ensure()
    await service.letters.handle(await world.records("letters"), live=False)
    return await snapshot(service)


async def snapshot(service: Service) -> dict[str, Any]:
    """Every letter as stored, but for what is about sending."""
    documents = service.letters.aggregates.collection.find({}, {"token": 0, "outbox": 0, "unsent": 0})
    return {document["_id"]: document async for document in documents}


async def test_a_mailbox_lists_its_clocks_page_by_page_soonest_first(world: World) -> None:
    service = build(world.kit())
    clerk = world.token("yuzhong-clerk", "yuzhong", "clerk")
    async with world.running(service) as client:
        for serial in range(5):
            await assigned(world, f"l{serial}", serial + 1)
        await world.publish(received("unread", mailbox="yuzhong"), received("other"))

        async def complete() -> bool:
            return bool((await get(client, "/deadline/mailboxes/yuzhong/figures", clerk))["running"] == 6)

        await eventually(complete)
        figures = await get(client, "/deadline/mailboxes/yuzhong/figures", clerk)
        assert (figures["unread"], figures["due_soon"], figures["overdue"]) == (1, 1, 0)
        assert datetime.fromisoformat(figures["oldest_due_at"]) == at("2026-03-03 00:00")

        seen: list[str] = []
        cursor = ""
        while True:
            page = await get(client, f"/deadline/mailboxes/yuzhong/clocks?limit=2&cursor={cursor}", clerk)
            seen += [clock["letter_id"] for clock in page["items"]]
            cursor = page["next"]
            if not cursor:
                break
        assert seen == ["unread", "l0", "l1", "l2", "l3", "l4"]

        world.move_clock(DUE)
        await settled(world, service)
        figures = await get(client, "/deadline/mailboxes/yuzhong/figures", clerk)
        assert (figures["running"], figures["due_soon"], figures["overdue"]) == (6, 0, 6)


async def test_r1_4_the_duty_office_sees_the_live_figures_of_every_mailbox_at_once(world: World) -> None:
    service = build(world.kit())
    duty = world.token("mayor-duty", "mayor", "duty_officer")
    async with world.running(service) as client:
        await assigned(world, "a")
        await world.publish(received("b", mailbox="yuzhong"), received("c"))

        async def figures() -> dict[str, dict[str, Any]]:
            return {one["mailbox"]: one for one in await get(client, "/deadline/mailboxes", duty)}

        async def complete() -> bool:
            found = await figures()
            return (found["yuzhong"]["running"], found["mayor"]["running"]) == (2, 1)

        await eventually(complete)
        found = await figures()
        assert list(found) == [mailbox.code for mailbox in world.kit().directory.mailboxes()]
        assert (found["yuzhong"]["unread"], found["yuzhong"]["replies"], found["mayor"]["unread"]) == (1, 1, 1)
        assert datetime.fromisoformat(found["yuzhong"]["oldest_since"]) == MONDAY
        assert (found["water"]["running"], found["water"]["oldest_since"], found["water"]["oldest_due_at"]) == (
            0,
            None,
            None,
        )

        world.move_clock(DUE)
        await settled(world, service)
        found = await figures()
        assert (found["yuzhong"]["overdue"], found["mayor"]["overdue"], found["water"]["overdue"]) == (2, 1, 0)
        await build(world.kit()).counts[0]()  # another's: this one's rests between two counts
        page = (await client.get("/metrics")).text
        assert 'xinxiang_mailbox_overdue{kind="reply",mailbox="yuzhong",service="deadline"} 1.0' in page
        assert 'xinxiang_mailbox_clocks{kind="reading",mailbox="water",service="deadline"} 0.0' in page
        age = re.search(r'xinxiang_mailbox_oldest_seconds{mailbox="yuzhong",service="deadline"} (\S+)', page)
        assert age is not None
        assert float(age[1]) >= (DUE - MONDAY).total_seconds()
        for who in (world.token("yuzhong-clerk", "yuzhong", "clerk"), world.token("mayor-clerk", "mayor", "clerk")):
            assert (await client.get("/deadline/mailboxes", headers=who)).status_code == 403


async def test_r10_2_only_the_parties_and_the_duty_office_see_a_letters_clocks(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        await assigned(world, "a")
        await until(world, "a", ReplyDueSet)
        path = "/deadline/letters/a"
        assert (await client.get(path)).status_code == 401
        duty = await client.get(path, headers=world.token("mayor-duty", "mayor", "duty_officer"))
        assert duty.headers["etag"] == f'"{duty.json()["version"]}"'
        for mailbox, role, status in [
            ("yuzhong", "clerk", 200),
            ("yuzhong", "unit_system", 200),
            ("mayor", "head", 200),
            ("water", "clerk", 403),
            ("yuzhong", "admin", 403),
        ]:
            answer = await client.get(path, headers=world.token("somebody", mailbox, role))
            assert (mailbox, role, answer.status_code) == (mailbox, role, status)
        water = world.token("water-clerk", "water", "clerk")
        assert (await client.get("/deadline/mailboxes/yuzhong/clocks", headers=water)).status_code == 403
        assert (await client.get("/deadline/mailboxes/yuzhong/figures", headers=water)).status_code == 403
        officer = world.token("mayor-duty", "mayor", "duty_officer")
        assert (await client.get("/deadline/mailboxes/nowhere/clocks", headers=officer)).status_code == 404
        assert (await client.get("/deadline/letters/nothing", headers=officer)).status_code == 404
        bad = await client.get("/deadline/mailboxes/mayor/clocks?cursor=x&state=running", headers=officer)
        assert bad.status_code == 400
        bad = await client.get("/deadline/mailboxes/mayor/clocks?state=late", headers=officer)
        assert bad.status_code == 422


async def test_a_report_is_not_there_for_the_unit_it_is_about(world: World) -> None:
    service = build(world.kit())
    report = Classification(nature=Nature.REPORT, domain="utilities-water", region="500103", reported_mailbox="yuzhong")
    async with world.running(service) as client:
        await assigned(world, "a")
        await world.publish(LetterReclassified(letter_id="a", at=MONDAY, before=COMPLAINT, after=report))
        clerk = world.token("yuzhong-clerk", "yuzhong", "clerk")

        async def hidden() -> bool:
            answer = await client.get("/deadline/letters/a", headers=clerk)
            return answer.status_code == 404

        await until(world, "a", ReplyDueSet)
        await eventually(hidden)
        assert (await get(client, "/deadline/mailboxes/yuzhong/clocks", clerk))["items"] == []
        assert (await get(client, "/deadline/mailboxes/yuzhong/figures", clerk))["running"] == 0
        duty = world.token("mayor-duty", "mayor", "duty_officer")
        assert (await get(client, "/deadline/mailboxes/yuzhong/clocks", duty))["items"] == []
        assert len((await get(client, "/deadline/mailboxes/mayor/clocks", duty))["items"]) == 1
