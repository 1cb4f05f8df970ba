"""Mailboxes closed and merged while their letters are under way: everything goes on with the successor (R1.1, R1.2)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from services.deadline.app import build as deadline
from services.intake.app import build as intake
from services.publication.app import build as publication
from services.reporting.app import build as reporting
from services.routing.app import build as routing
from shared.contracts.actions import ApproveReply, CollectLetter, SubmitReply
from shared.contracts.directory import MailboxClosed
from shared.contracts.mailbox import ActionDone, ContactDisclosed
from tests.city_hall import MAILBOXES, Hall, finished, hall_of, wrong
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import CLERK, DUTY, HEAD, SLIP, action, staff

# ── closed and merged ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_r1_1_letters_of_a_merged_unit_are_handled_and_answered_by_its_successor(world: World) -> None:
    builders = (routing, intake, deadline, publication, reporting)
    async with hall_of(world, *builders) as hall:
        desk = hall.desk
        unread = await hall.received("education")
        registered = await hall.received("education")
        number = await hall.registered("education", registered)
        in_hand = await desk.assigned()  # by the mayor's mailbox to education
        await desk.done(f"{in_hand}/handoffs/s1/collect", staff("education"))

        answered = await desk.assigned()
        await desk.done(f"{answered}/handoffs/s1/collect", staff("education"))
        await desk.replied(answered, "s1", "education")

        closed = await hall.closes("education", "water")
        assert closed["mailbox"]["closed"]["successor"] == "water"
        assert closed["mailbox"]["current"] == "water"

        # no new letters, and whoever asks is told where to turn
        refused = await hall.submits("education")
        assert wrong(refused) == {("/mailbox", "R2.1")}
        assert "水务集团" in refused.json()["errors"][0]["message"]
        assert "education" not in {choice["code"] for choice in (await hall.client.get("/intake/mailboxes")).json()}
        entry = await hall.client.get("/intake/mailboxes/education/entry")  # the link that other sites have (R1.5)
        assert entry.json()["mailbox"]["code"] == "water"
        letter_id = await desk.letter()
        slip = await desk.post(f"{letter_id}/slips", CLERK, SLIP)
        assert slip.status_code == 422
        assert "water" in slip.json()["detail"]

        # its lists are in the successor's
        assert await eventually(lambda: hall.unread("water")) == [unread]

        async def all_of_them() -> bool:
            found = (await desk.get("mailboxes/water/letters?list=all", staff("water"))).json()["items"]
            return {row["letter_id"] for row in found} == {unread, registered, in_hand, answered}

        await eventually(all_of_them)
        finished = "mailboxes/water/letters?state=finished&nature=complaint"

        async def is_finished_there() -> bool:
            rows = (await desk.get(finished, staff("water"))).json()["items"]
            return [row["letter_id"] for row in rows] == [answered]

        await eventually(is_finished_there)
        assert (await desk.get("mailboxes/education/letters?list=all", DUTY)).json()["items"] == []
        assert await eventually(lambda: hall.listed("water", "pending")) == [registered]
        assert await eventually(lambda: hall.listed("water", "collected")) == [in_hand]
        assert await hall.listed("education", "collected") == []
        assert await hall.unread("education") == []
        assert (await desk.get(f"letters/{in_hand}", staff("education"))).status_code == 403
        assert (
            await desk.post(f"{in_hand}/handoffs/s1/replies", staff("education"), {"text": "好"})
        ).status_code == 403

        async def clocks_are_refused() -> bool:
            path = f"/deadline/letters/{in_hand}"
            return (await hall.client.get(path, headers=world.token(*staff("education")))).status_code == 403

        await eventually(clocks_are_refused)

        # and go on: read, registered under the number of who received it, answered by the successor
        assert await hall.registered("education", unread, by="water") == "渝教信〔2026〕2号"
        assert number == "渝教信〔2026〕1号"
        await desk.replied(in_hand, "s1", "water")
        view = (await desk.get(f"letters/{in_hand}", staff("water"))).json()
        assert (view["stage"], view["answer"]["mailbox"]) == ("finished", "water")
        assert (view["handoffs"][0]["receiver"], view["handoffs"][0]["replies"][0]["author"]["mailbox"]) == (
            "education",
            "water",
        )
        await desk.sent(registered, "water", "water", "direct")
        await desk.done(f"{registered}/answer", staff("water"), {"channel": "online", "text": "已办理。"})

        # publication and figures follow
        cases = "/publication/mailboxes/water/cases?list=to-prepare"

        async def to_prepare() -> set[str]:
            found = (await hall.client.get(cases, headers=world.token(*staff("water")))).json()["items"]
            return {case["letter_id"] for case in found} if len(found) == 3 else set()

        assert await eventually(to_prepare) == {answered, in_hand, registered}

        async def told_of_replies() -> bool:
            entries = (await desk.get(f"letters/{in_hand}/history", staff("water"))).json()["items"]
            return "ReplySubmitted" in str([one["type"] for one in entries if not one["withheld"]])

        await eventually(told_of_replies)
        old = (await desk.get(f"letters/{answered}", staff("water"))).json()
        assert old["answer"]["mailbox"] == "education"
        figures = "/reporting/mailboxes/education/figures?from=2026-03-02&to=2026-03-08"
        assert (await hall.client.get(figures, headers=world.token(*staff("water")))).status_code == 200
        assert (await hall.client.get(figures, headers=world.token(*staff("yuzhong")))).status_code == 403


async def test_r1_1_a_successor_s_system_is_told_what_concerns_the_closed_unit_and_acts_for_it(world: World) -> None:
    async with hall_of(world) as hall:
        letter_id = await hall.received("mayor")
        await hall.registered("mayor", letter_id)
        await hall.desk.done(f"{letter_id}/slips", CLERK, SLIP)
        await hall.closes("education-basic")
        letter = await hall.desk.post(f"{letter_id}/slips/s1/approve", HEAD)
        assert letter.status_code == 200  # a department's end is nothing to its unit's letters
        await hall.desk.told("education", ContactDisclosed)
        await hall.closes("education", "water")

        await hall.desk.due(letter_id, "s1", "education", MONDAY + timedelta(days=14))
        collect = await hall.desk.ask("water", action(CollectLetter, letter_id))
        await hall.desk.ask("water", action(SubmitReply, letter_id, text="路灯已修复。"))
        await hall.desk.ask("water", action(ApproveReply, letter_id, person="wang"))
        done = await hall.desk.told("water", ActionDone, 3)
        assert done[0].action_id == collect
        await eventually(lambda: finished(hall, letter_id))
        assert {type(m).__name__ for m in await world.messages("mailbox.water")} >= {"DueSet", "ActionDone"}
        assert "DueSet" not in {type(m).__name__ for m in await world.messages("mailbox.education")}


REPORT: dict[str, Any] = {"nature": "report"}


async def test_r1_2_a_merger_never_leads_a_report_to_the_unit_it_is_about(world: World) -> None:
    """Reports about either of two units, in the hands of the other, go to the mailbox above once the two are one."""
    async with hall_of(world, routing, intake, deadline) as hall:
        desk = hall.desk
        about_closed = await hall.received("mayor", **REPORT, reported_mailbox="education")
        about_heir = await hall.received("mayor", **REPORT, reported_mailbox="water")
        unread = await hall.received("water", **REPORT, reported_mailbox="education-basic")
        for letter_id, receiver in ((about_closed, "water"), (about_heir, "education")):
            await hall.registered("mayor", letter_id)
            await desk.sent(letter_id, "mayor", receiver)
            assert await eventually(lambda receiver=receiver: hall.listed(receiver, "arrivals")) == [letter_id]  # type: ignore[misc]
        await desk.done(f"{about_heir}/handoffs/s1/collect", staff("education"))

        await hall.closes("education", "water")

        assert await eventually(lambda: hall.listed("mayor", "arrivals")) == [about_closed]
        assert await eventually(lambda: hall.listed("mayor", "collected")) == [about_heir]
        assert await eventually(lambda: hall.unread("mayor")) == [unread]
        for name in ("arrivals", "collected", "pending", "in-hand"):
            assert await hall.listed("water", name) == []
        assert await hall.unread("water") == []
        await becomes(lambda: clocks(hall, "mayor"), {about_closed, about_heir, unread})
        assert await clocks(hall, "water") == set()
        assert await running(hall, "water") == 0
        for letter_id in (about_closed, about_heir, unread):
            for service in ("routing", "intake", "deadline"):
                path = f"/{service}/letters/{letter_id}"
                answer = await hall.client.get(path, headers=world.token(*staff("water")))
                assert answer.status_code == 404, (service, answer.text)
        await world.settled("routing", "intake", "deadline")
        told = [message.letter_id for message in await world.messages("mailbox.water")]  # type: ignore[attr-defined]
        await desk.done(f"{about_closed}/handoffs/s1/collect", CLERK)
        await desk.replied(about_heir, "s1", "mayor")
        assert (await desk.get(f"letters/{about_heir}", CLERK)).json()["answer"]["mailbox"] == "mayor"
        await world.settled("routing", "intake", "deadline")
        assert [message.letter_id for message in await world.messages("mailbox.water")] == told  # type: ignore[attr-defined]


async def test_r1_2_a_report_goes_on_above_where_who_it_is_about_works_and_back_once_they_left(world: World) -> None:
    async with hall_of(world, routing, intake, deadline) as hall:
        desk = hall.desk
        somebody = (await hall.client.get(f"{MAILBOXES}/education", headers=world.token(*DUTY))).json()["leader"]
        report = {**REPORT, "reported_mailbox": "education", "reported_names": [somebody["name"]]}
        about = await hall.received("mayor", **report)
        await hall.registered("mayor", about)
        await desk.sent(about, "mayor", "water")
        unread = await hall.received("water", **report)
        await becomes(lambda: clocks(hall, "water"), {about, unread})
        people = (await hall.client.get(f"{MAILBOXES}/water", headers=world.token(*DUTY))).json()["staff"]

        async def staffed(*more: dict[str, Any]) -> None:
            answer = await hall.changes("water", staff=[*people, *more])
            assert answer.status_code == 200, answer.text
            await hall.all_know(answer.json()["version"])

        await staffed({"name": somebody["name"], "subject": somebody["subject"], "roles": ["clerk"]})
        await becomes(lambda: hall.listed("mayor", "arrivals"), [about])
        await becomes(lambda: hall.unread("mayor"), [unread])
        await becomes(lambda: clocks(hall, "mayor"), {about, unread})
        assert await hall.listed("water", "arrivals") == await hall.listed("water", "all") == []
        assert await hall.unread("water") == []
        assert (await clocks(hall, "water"), await running(hall, "water")) == (set(), 0)

        await staffed()
        await becomes(lambda: hall.listed("water", "arrivals"), [about])
        await becomes(lambda: hall.unread("water"), [unread])
        await becomes(lambda: clocks(hall, "water"), {about, unread})
        assert await hall.listed("mayor", "arrivals") == await hall.unread("mayor") == []


async def becomes(probe: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until it is that."""

    async def is_so() -> bool:
        return bool(await probe() == wanted)

    await eventually(is_so)


async def clocks(hall: Hall, mailbox: str) -> set[str]:
    """Letters whose clocks run for a mailbox."""
    answer = await hall.client.get(f"/deadline/mailboxes/{mailbox}/clocks", headers=hall.world.token(*staff(mailbox)))
    return {clock["letter_id"] for clock in answer.json()["items"]}


async def running(hall: Hall, mailbox: str) -> int:
    """Clocks that run for a mailbox, as its live figures tell."""
    answer = await hall.client.get(f"/deadline/mailboxes/{mailbox}/figures", headers=hall.world.token(*staff(mailbox)))
    return int(answer.json()["running"])


async def test_r3_8_the_code_and_prefix_of_a_closed_unit_are_never_given_again(world: World) -> None:
    async with hall_of(world, routing) as hall:
        await hall.closes("education", "water")
        taken = await hall.adds(prefix={"chinese": "渝教信", "ascii": "YJXX"})
        assert wrong(taken) == {("/entry/prefix", "R3.6")}
        assert ("/entry/code", "R1.1") in wrong(await hall.adds(code="education"))
        assert ("/entry/closed", "R1.1") in wrong(await hall.changes("education", name="又是教委"))
        inside = await hall.client.get(f"{MAILBOXES}/education-basic", headers=world.token(*DUTY))
        assert inside.json()["current"] == "water"  # closed with its unit
        assert [type(fact) for fact in await world.messages("directory")] == [MailboxClosed, MailboxClosed]


async def test_lists_that_a_stop_left_behind_are_put_right_after_the_next_start(world: World) -> None:
    async with hall_of(world, routing) as hall:
        hall.services[0].sweeps.clear()
        letters = {await hall.desk.assigned() for _ in range(3)}
        await hall.closes("education", "water")
        assert await hall.listed("water", "arrivals") == []
    async with hall_of(world, routing) as hall:

        async def there() -> bool:
            return set(await hall.listed("water", "arrivals")) == letters

        assert await eventually(there)
