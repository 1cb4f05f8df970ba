"""Deadline on real engines, across the whole handling: moved limits, several clocks of one letter, changed schedules."""

from collections import Counter
from pathlib import Path
from typing import Any

from services.deadline import repository
from services.deadline.app import build
from services.deadline.recompute import run
from services.runtime import Service
from shared.contracts.facts import (
    DispositionOverdue,
    Fact,
    InstructionReminded,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplyReminded,
    UrgingDue,
)
from shared.contracts.types import Way
from shared.storage import Store
from tests import deadline_stories as story
from tests.component.test_deadline import declared, get, number, received, settled, snapshot, until
from tests.conftest import MONDAY, World, eventually
from tests.deadline_stories import DUE, at

WANTED = at("2026-03-25 00:00")


def on(letter_id: str, fact: Fact) -> Fact:
    """The same fact about another letter."""
    return fact.model_copy(update={"letter_id": letter_id})


async def tell(world: World, *facts: Fact, letter_id: str = "a") -> None:
    await world.publish(*(on(letter_id, fact) for fact in facts))


async def sent(world: World, letter_id: str, **changes: Any) -> None:
    """Let a letter arrive and be handed to yuzhong on Monday morning."""
    await world.publish(received(letter_id))
    await tell(world, story.registered(MONDAY), story.sent(**{"moment": MONDAY, **changes}), letter_id=letter_id)


async def test_r6_4_r7_3_a_limit_is_extended_passes_and_starts_anew_when_the_reply_is_sent_back(world: World) -> None:
    service = build(world.kit())
    clerk = world.token("yuzhong-clerk", "yuzhong", "clerk")
    async with world.running(service) as client:
        await sent(world, "a")
        await tell(world, story.asked(at("2026-03-12 10:00"), WANTED), story.decided(at("2026-03-12 11:00"), WANTED))
        *_, moved = await until(world, "a", ReplyDueSet, ReplyDueChanged)
        assert isinstance(moved, ReplyDueChanged)
        assert (moved.before, moved.due_at, moved.why, moved.detail) == (DUE, WANTED, "extension", "同意延期")
        world.move_clock(DUE)
        await settled(world, service)
        await until(world, "a", ReplyDueSet, ReplyDueChanged)

        world.move_clock(WANTED)
        late: list[type[Fact]] = [ReplyDueSet, ReplyDueChanged, ReplyReminded, ReplyOverdue, UrgingDue]
        await until(world, "a", *late)
        await tell(world, story.approved(at("2026-03-25 10:00")), story.sent_back(at("2026-03-26 10:00"), days=2))
        *_, again = await until(world, "a", *late, ReplyDueChanged)
        assert isinstance(again, ReplyDueChanged)
        assert (again.before, again.due_at, again.why) == (WANTED, at("2026-03-31 00:00"), "sent_back")
        (clock,) = (await get(client, "/deadline/mailboxes/yuzhong/clocks", clerk))["items"]
        assert (clock["kind"], clock["label"], clock["redo"], clock["extended"]) == ("redo", "退办重办", 1, 1)
        assert (clock["state"], clock["last_day"], clock["urged"]) == ("running", "2026-03-30", 1)

        world.move_clock(at("2026-03-31 00:00"))
        facts = await until(world, "a", *late, ReplyDueChanged, ReplyReminded, ReplyOverdue, UrgingDue)
        assert [f.due_at for f in facts if isinstance(f, ReplyOverdue)] == [WANTED, at("2026-03-31 00:00")]
        assert [f.count for f in facts if isinstance(f, UrgingDue)] == [1, 2]


async def test_r6_4_an_undecided_application_holds_off_urging_until_it_is_refused(world: World) -> None:
    service = build(world.kit())
    async with world.running(service):
        await sent(world, "a")
        await tell(world, story.asked(at("2026-03-13 10:00"), WANTED))
        await until(world, "a", ReplyDueSet)
        world.move_clock(at("2026-03-20 09:00"))
        await until(world, "a", ReplyDueSet, ReplyReminded, ReplyOverdue)
        await settled(world, service)
        await tell(world, story.decided(at("2026-03-20 09:00"), None))
        await until(world, "a", ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue)


async def test_r4_2b_r8_1_each_mailbox_lists_its_own_clock_of_the_same_letter(world: World) -> None:
    service = build(world.kit())
    inner = story.sent(at("2026-03-02 11:00"), "s2", sender="education", receiver="education-basic", parent="s1")
    async with world.running(service) as client:
        await sent(world, "a", receiver="education")
        await tell(world, inner, story.instructed(MONDAY, at("2026-03-05 15:00")))
        duty = world.token("mayor-duty", "mayor", "duty_officer")

        async def clocks(mailbox: str) -> list[tuple[str, str]]:
            items = (await get(client, f"/deadline/mailboxes/{mailbox}/clocks", duty))["items"]
            return [(clock["kind"], clock["handoff_id"] or clock["instruction_id"]) for clock in items]

        async def all_there() -> bool:
            return await clocks("mayor") == [("instruction", "i1")]

        await eventually(all_there)
        assert await clocks("education") == [("reply", "s1")]
        assert await clocks("education-basic") == [("reply", "s2")]
        assert await clocks("mayor") == [("instruction", "i1")]
        for mailbox, kind in (("education", "replies"), ("education-basic", "replies"), ("mayor", "instructions")):
            figures = await get(client, f"/deadline/mailboxes/{mailbox}/figures", duty)
            assert (figures["running"], figures[kind]) == (1, 1)

        world.move_clock(at("2026-03-06 09:00"))
        await until(world, "a", ReplyDueSet, ReplyDueSet, InstructionReminded)
        page = await get(client, "/deadline/mailboxes/mayor/clocks?state=overdue", duty)
        assert [clock["kind"] for clock in page["items"]] == ["instruction"]
        await tell(world, story.carried_out(at("2026-03-06 10:00")))

        async def ended() -> bool:
            return await clocks("mayor") == []

        await eventually(ended)


async def test_r1_4_a_registered_letter_that_nobody_disposes_of_is_declared_overdue_once(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        await world.publish(received("a"), received("b"))
        await tell(world, story.registered(MONDAY))
        await tell(world, story.registered(MONDAY), story.sent(MONDAY, way=Way.FORWARD), letter_id="b")
        duty = world.token("mayor-duty", "mayor", "duty_officer")

        async def one_left() -> bool:
            figures = await get(client, "/deadline/mailboxes/mayor/figures", duty)
            return (figures["undisposed"], figures["unread"]) == (1, 0)

        await eventually(one_left)
        world.move_clock(at("2026-04-06 00:00"))
        (fact,) = await until(world, "a", DispositionOverdue)
        assert isinstance(fact, DispositionOverdue)
        assert fact.due_at == at("2026-03-06 00:00")
        await settled(world, service)
        assert await declared(world, "b") == []


async def test_r5_1_a_returned_letter_is_not_urged_and_its_next_hand_off_has_a_clock(world: World) -> None:
    service = build(world.kit())
    async with world.running(service):
        await sent(world, "a")
        await tell(world, story.returned(at("2026-03-03 10:00")), story.sent(at("2026-03-03 11:00"), "s2"))
        await until(world, "a", ReplyDueSet, ReplyDueSet)
        world.move_clock(at("2026-03-18 00:00"))
        facts = await until(world, "a", ReplyDueSet, ReplyDueSet, ReplyReminded, ReplyOverdue, UrgingDue)
        assert {f.handoff_id for f in facts[2:]} == {"s2"}  # type: ignore[attr-defined]


# ── schedules ────────────────────────────────────────────────────────────────────────────────────────────────────────

CHRISTMAS_EVE = at("2026-12-24 09:00")
ANNOUNCED = "year: 2027\nholidays: [2027-01-01, 2027-01-02, 2027-01-03]\nworking: [2027-01-09]\n"


async def handed_out(world: World, service: Service, count: int) -> list[str]:
    """Hand letters out late in 2026, and leave one unread at the end of the year."""
    world.move_clock(CHRISTMAS_EVE)
    ids = [f"l{serial}" for serial in range(count)]
    for serial, letter_id in enumerate(ids):
        await world.publish(received(letter_id, CHRISTMAS_EVE))
        registered = story.registered(CHRISTMAS_EVE).model_copy(update={"number": number(serial + 1)})
        await tell(world, registered, story.sent(CHRISTMAS_EVE), letter_id=letter_id)
    await world.publish(received("unread", at("2026-12-31 18:30")))

    async def all_there() -> bool:
        count_of = service.letters.aggregates.count
        return await count_of({"holder0": "yuzhong"}) == count and await count_of({"holder0": "mayor"}) == 1

    await eventually(all_there)
    return ids


async def moves(world: World) -> Counter[str]:
    """How many `ReplyDueChanged` each letter has."""
    found: Counter[str] = Counter()
    for fact in await world.messages("letters"):
        if isinstance(fact, ReplyDueChanged):
            assert (fact.before, fact.due_at) == (at("2027-01-08 00:00"), at("2027-01-09 00:00"))
            assert (fact.why, fact.provisional) == ("schedule", False)
            assert "2027年" in fact.detail
            found[fact.letter_id] += 1
    return found


async def test_r6_1_services_that_start_with_a_new_schedule_move_open_due_dates_once(
    world: World, tmp_path: Path
) -> None:
    first = build(world.kit())
    async with world.running(first):
        ids = await handed_out(world, first, 7)
        await tell(world, story.approved(at("2026-12-25 10:00")), letter_id="l0")

        async def stopped() -> bool:
            return await first.letters.aggregates.count({"holder0": "yuzhong"}) == len(ids) - 1

        await eventually(stopped)
    (tmp_path / "2027.yaml").write_text(ANNOUNCED, encoding="utf-8")
    replicas = [build(world.kit(schedules_folder=tmp_path)) for _ in range(2)]
    async with world.running(*replicas):

        async def moved() -> bool:
            return await moves(world) == Counter(ids[1:])

        async def put_off() -> bool:
            unread = await replicas[0].letters.aggregates.collection.find_one({"_id": "unread"})
            assert unread["next_at"] == at("2027-01-05 00:00"), "1 January is a day off now, so it is read on the 4th"
            return True

        await eventually(moved)
        await eventually(put_off)  # of an unread letter nothing is declared
        world.move_clock(at("2027-01-08 10:00"))
        await settled(world, replicas[0])
        assert not [f for f in await declared(world, "l1") if isinstance(f, ReplyOverdue)]
        world.move_clock(at("2027-01-09 00:00"))
        await until(world, "l1", ReplyDueSet, ReplyDueChanged, ReplyReminded, ReplyOverdue, UrgingDue)
        await settled(world, replicas[0])
    again = build(world.kit(schedules_folder=tmp_path))
    async with world.running(again):
        await settled(world, again)
        await world.settled("deadline")
        live = await snapshot(again)
    assert await moves(world) == Counter(ids[1:])
    await rebuilt_equals(world, live, tmp_path)


async def rebuilt_equals(world: World, live: dict[str, Any], folder: Path | None = None) -> None:
    """Throw the projection away and read the topic again."""
    kit = world.kit(schedules_folder=folder)
    await world.forget("deadline")
    rebuilt = build(kit)
    await rebuilt.letters.aggregates.ensure()
    await rebuilt.letters.handle(await world.records("letters"), live=False)
    assert await snapshot(rebuilt) == live


async def test_r6_1_the_command_counts_again_and_the_running_service_sends_what_it_declared(
    world: World, tmp_path: Path
) -> None:
    service = build(world.kit())
    async with world.running(service):
        ids = await handed_out(world, service, 3)
        (tmp_path / "2027.yaml").write_text(ANNOUNCED, encoding="utf-8")
        kit = world.kit(schedules_folder=tmp_path)
        assert await run(kit) == len(ids)
        assert await run(kit) == 0
        assert isinstance(kit.store, Store)
        kit.store.close()

        async def sent_out() -> bool:
            return await moves(world) == Counter(ids)

        await eventually(sent_out, 30)


async def test_letters_with_a_clock_are_gone_through_mailbox_by_mailbox_and_no_others(world: World) -> None:
    service = build(world.kit())
    units = {"a": "yuzhong", "b": "yuzhong", "c": "yuzhong", "d": "education", "e": "water"}
    async with world.running(service):
        for letter_id, unit in units.items():
            await sent(world, letter_id, receiver=unit)
            await until(world, letter_id, ReplyDueSet)
        await tell(world, story.approved(at("2026-03-03 10:00")), letter_id="e")
        await world.publish(received("unread"))

        async def followed() -> bool:
            aggregates = service.letters.aggregates
            return await aggregates.count({"holder0": {"$gt": ""}}) == len(units)

        await eventually(followed)
        await world.settled("deadline")
        pages = [page async for page in repository.open_letters(service.letters.aggregates, 2)]
    assert pages == [["d"], ["unread"], ["a", "b"], ["c"]], "by mailbox: education, mayor, yuzhong"


async def test_whatever_moved_the_clocks_a_rebuilt_projection_equals_the_live_one(world: World) -> None:
    service = build(world.kit())
    inner = story.sent(at("2026-03-02 11:00"), "s2", sender="education", receiver="education-basic", parent="s1")
    async with world.running(service):
        await sent(world, "a", receiver="education")
        await tell(world, inner, story.instructed(MONDAY, at("2026-03-05 15:00")))
        await until(world, "a", ReplyDueSet, ReplyDueSet)
        world.move_clock(DUE)
        await settled(world, service)
        await tell(
            world,
            story.asked(DUE, WANTED),
            story.approved(at("2026-03-17 10:00"), "s2"),
            story.sent_back(at("2026-03-17 11:00"), name="s2"),
            story.decided(at("2026-03-17 12:00"), WANTED),
            story.returned(at("2026-03-18 09:00"), "s2"),
        )

        async def all_followed() -> bool:
            facts = await declared(world, "a")
            return [f.why for f in facts if isinstance(f, ReplyDueChanged)] == ["sent_back", "extension"]

        await eventually(all_followed)

        async def all_handled() -> bool:
            return await service.letters.aggregates.count({"seen.routing": 8}) == 1

        await eventually(all_handled)
        await world.settled("deadline")
        live = await snapshot(service)
    await rebuilt_equals(world, live)
