"""Routing on real Kafka and a real store: staff over HTTP, units' systems over `actions.<code>`, everybody over `mailbox.<code>`."""

import asyncio
import re
from datetime import timedelta
from typing import Any

from services.routing import handlers
from shared.contracts.actions import ApproveReply, CollectLetter, RecordProgress, SubmitReply
from shared.contracts.catalogue import TYPE_OF
from shared.contracts.envelope import pack
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    LetterReclassified,
    ProgressRecorded,
    ReplyDueSet,
    ReplyReminded,
    UrgingDue,
    UrgingSent,
)
from shared.contracts.mailbox import (
    ActionDone,
    ActionRefused,
    AssignmentArrived,
    DueSet,
    ReminderArrived,
    ReplyArrived,
    UrgingArrived,
)
from shared.contracts.types import Classification, Nature
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import (
    ABOUT,
    CLERK,
    DUTY,
    FILE,
    HEAD,
    OTHER,
    SLIP,
    TEXT,
    UNIT_CLERK,
    UNIT_HEAD,
    UNIT_SYSTEM,
    Desk,
    action,
    desk_of,
)


async def test_r3_6_a_letter_goes_from_the_pending_list_to_the_citizens_answer_over_http(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        assert await desk.listed("mayor", "pending") == [letter_id]

        await desk.done(f"{letter_id}/slips", CLERK, SLIP)
        assert await desk.listed("mayor", "pending") == []
        assert await desk.listed("mayor", "slips") == [letter_id]
        assert (await desk.get(f"letters/{letter_id}", UNIT_CLERK)).status_code == 403

        await desk.done(f"{letter_id}/slips/s1/approve", HEAD)
        assert await desk.listed("mayor", "in-hand") == await desk.listed("education", "arrivals") == [letter_id]
        (arrived,) = await desk.told("education", AssignmentArrived)
        assert (arrived.body, arrived.attachments, arrived.number.text) == (TEXT, (FILE,), "渝府信〔2026〕1号")
        assert (arrived.sender, arrived.approved_by.subject) == ("mayor", "mayor-head")

        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_SYSTEM)
        assert await desk.listed("education", "collected") == [letter_id]
        await desk.done(f"{letter_id}/handoffs/s1/progress", UNIT_CLERK, {"text": "已派人查看"})
        view = await desk.done(f"{letter_id}/handoffs/s1/replies", UNIT_CLERK, {"text": "路灯已修复。"})
        assert view["stage"] == "drafted"
        assert await desk.listed("education", "replies") == [letter_id]
        seen_by_assigner = (await desk.get(f"letters/{letter_id}", CLERK)).json()
        assert seen_by_assigner["handoffs"][0]["replies"] == []

        view = await desk.done(f"{letter_id}/handoffs/s1/replies/r1/approve", UNIT_HEAD)
        assert (view["stage"], view["answer"]["channel"], view["answer"]["text"]) == (
            "finished",
            "online",
            "路灯已修复。",
        )
        assert await desk.listed("mayor", "finished") == await desk.listed("education", "finished") == [letter_id]
        assert await desk.listed("education", "replies") == await desk.listed("mayor", "in-hand") == []
        (reply,) = await desk.told("mayor", ReplyArrived)
        assert (reply.receiver, reply.text) == ("education", "路灯已修复。")
        told = await eventually(lambda: finished(desk, letter_id))
        assert [type(fact).__name__ for fact in told if fact.source == "routing"] == [
            "SlipPrepared",
            "HandoffSent",
            "HandoffCollected",
            "ProgressRecorded",
            "ReplySubmitted",
            "ReplyApproved",
            "CitizenAnswered",
        ]


async def finished(desk: Desk, letter_id: str) -> list[Fact]:
    facts = await desk.world.facts_of(letter_id)
    return facts if any(isinstance(fact, CitizenAnswered) for fact in facts) else []


async def test_r8_3_where_the_assigner_answers_the_reply_waits_on_its_desk(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned(answer_by="assigner", receiver="water")
        system = ("water-system", "water", "unit_system")
        await desk.done(f"{letter_id}/handoffs/s1/collect", system)
        await desk.done(f"{letter_id}/handoffs/s1/replies", system, {"text": "水压已恢复。"})
        view = await desk.done(f"{letter_id}/handoffs/s1/replies/r1/approve", ("water-head", "water", "head"))
        assert (view["stage"], view["answer"]) == ("replied", None)
        assert await desk.listed("mayor", "replies") == await desk.listed("mayor", "in-hand") == [letter_id]
        refused = await desk.post(f"{letter_id}/answer", OTHER, {"channel": "phone", "text": "已电话告知"})
        assert refused.status_code == 403
        view = await desk.done(f"{letter_id}/answer", CLERK, {"channel": "phone", "text": "已电话告知来信人。"})
        assert (view["stage"], view["answer"]["mailbox"]) == ("finished", "mayor")


async def test_r10_2_wrong_tokens_stages_versions_and_fields_are_refused_with_the_rule(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        assert (await desk.client.get(f"/routing/letters/{letter_id}")).status_code == 401
        assert (await desk.get("letters/none", CLERK)).status_code == 404
        assert (await desk.get(f"letters/{letter_id}", OTHER)).status_code == 403
        assert (await desk.get(f"letters/{letter_id}", ("a", "mayor", "admin"))).status_code == 403
        assert (await desk.get(f"letters/{letter_id}", DUTY)).status_code == 200
        assert (await desk.get("mailboxes/mayor/letters", OTHER)).status_code == 403
        assert (await desk.get("mailboxes/nowhere/letters", DUTY)).status_code == 404
        assert (await desk.get("mailboxes/mayor/letters?cursor=%00x", CLERK)).status_code == 400
        assert (await desk.get("mailboxes/mayor/letters?list=nothing", CLERK)).status_code == 422
        assert (await desk.post(f"{letter_id}/slips", HEAD, SLIP)).status_code == 403

        wrong = await desk.post(f"{letter_id}/slips", CLERK, {**SLIP, "receiver": "nowhere"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"], wrong.json()["rule"]) == (
            422,
            "/receiver",
            "R2.1",
        )
        missing = await desk.post(f"{letter_id}/slips", CLERK, {"receiver": "education"})
        assert {error["field"] for error in missing.json()["errors"]} == {"/opinion", "/requirements"}
        nobody = await desk.post(f"{letter_id}/slips", CLERK, {**SLIP, "answer_by": None})
        assert (nobody.status_code, nobody.json()["errors"][0]["field"], nobody.json()["rule"]) == (
            422,
            "/answer_by",
            "R8.3",
        )
        assert missing.headers["content-type"] == "application/problem+json"

        stale = await desk.post(f"{letter_id}/slips", CLERK, SLIP, **{"If-Match": '"1"'})
        assert (stale.status_code, stale.json()["current_version"]) == (409, 2)
        fresh = await desk.post(f"{letter_id}/slips", CLERK, SLIP, **{"If-Match": '"2"'})
        assert fresh.status_code == 200
        again = await desk.post(f"{letter_id}/slips", CLERK, SLIP)
        assert (again.status_code, again.json()["rule"]) == (409, "R4.2")
        assert (await desk.post(f"{letter_id}/slips/s7/approve", HEAD)).status_code == 404


async def test_a_report_stays_hidden_from_the_mailbox_it_is_about(world: World) -> None:
    report = Classification(
        nature=Nature.REPORT, domain=ABOUT.domain, region=ABOUT.region, reported_mailbox="education"
    )
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.told("education", AssignmentArrived)
        await world.publish(LetterReclassified(letter_id=letter_id, at=MONDAY, before=ABOUT, after=report))

        async def hidden() -> bool:
            return (await desk.get(f"letters/{letter_id}", UNIT_CLERK)).status_code == 404

        await eventually(hidden)
        assert await desk.listed("education", "arrivals") == []
        assert await desk.listed("mayor", "arrivals") == [letter_id], "the mailbox above acts in its place"
        for headers in ({}, {"If-Match": '"1"'}):
            refused = await desk.post(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK, **headers)
            assert refused.status_code == 404
        due = MONDAY + timedelta(days=14)
        values = {"handoff_id": "s1", "receiver": "education", "due_at": due, "working_days": 10}
        await world.publish(ReplyDueSet(letter_id=letter_id, at=MONDAY, **values))

        async def known() -> bool:
            view = (await desk.get(f"letters/{letter_id}", CLERK)).json()
            return bool(view["handoffs"][0]["due_at"])

        await eventually(known)
        assert not [m for m in await world.messages("mailbox.education") if isinstance(m, DueSet)]


async def test_r6_3_a_units_system_does_its_part_over_its_own_topics(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.told("education", AssignmentArrived)
        asked = [
            await desk.ask("education", action(CollectLetter, letter_id)),
            await desk.ask("education", action(RecordProgress, letter_id, text="已派人查看")),
            await desk.ask("education", action(SubmitReply, letter_id, text="路灯已修复。")),
            await desk.ask("education", action(ApproveReply, letter_id, person="wang")),
        ]
        done = await desk.told("education", ActionDone, 4)
        assert {message.action_id for message in done} == set(asked)
        view = (await desk.get(f"letters/{letter_id}", DUTY)).json()
        assert (view["stage"], view["answer"]["author"]["subject"]) == ("finished", "li")
        assert view["answer"]["author"]["mailbox"] == "education"
        last = next(message for message in done if message.action == "ApproveReply")
        assert last.letter_version == view["version"]


async def test_a_refused_action_comes_back_with_its_rule(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        early = await desk.ask("education", action(SubmitReply, letter_id, text="路灯已修复。"))
        foreign = await desk.ask("water", action(CollectLetter, letter_id))
        unknown = await desk.ask("education", action(CollectLetter, "no-such-letter"))
        refused = {m.action_id: m for m in await desk.told("education", ActionRefused, 2)}
        assert (refused[early].rule, refused[early].action) == ("R6.3", "SubmitReply")
        assert refused[unknown].rule == "R10.2"
        (other,) = await desk.told("water", ActionRefused)
        assert (other.action_id, other.rule) == (foreign, "R10.2")

        await desk.ask("education", action(CollectLetter, letter_id))
        await desk.ask("education", action(SubmitReply, letter_id, text="路灯已修复。"))
        same = await desk.ask("education", action(ApproveReply, letter_id))
        third = (await desk.told("education", ActionRefused, 3))[-1]
        assert (third.action_id, third.rule) == (same, "R6.2")


async def test_the_same_action_twice_has_one_effect_also_after_a_rebuild(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.ask("education", action(CollectLetter, letter_id))
        explained = action(RecordProgress, letter_id, text="已派人查看")
        twice = await desk.ask("education", explained)
        await desk.ask("education", explained, twice)
        await desk.told("education", ActionDone, 2)
        await eventually(lambda: progress_on_topic(desk, letter_id))
        live = await desk.service.letters.aggregates.get(letter_id)

    await world.forget("routing")
    async with desk_of(world) as desk:
        await desk.service.letters.handle(await world.records("letters"), live=False)
        rebuilt = await desk.service.letters.aggregates.get(letter_id)
        assert (rebuilt.state, rebuilt.version) == (live.state, live.version)
        await desk.ask("education", explained, twice)
        marker = await desk.ask("education", action(RecordProgress, letter_id, text="已购买灯具"))
        assert (await desk.told("education", ActionDone, 3))[-1].action_id == marker
        facts = await eventually(lambda: progress_on_topic(desk, letter_id, 2))
        assert [fact.text for fact in facts] == ["已派人查看", "已购买灯具"]


async def progress_on_topic(desk: Desk, letter_id: str, count: int = 1) -> list[ProgressRecorded]:
    facts = [fact for fact in await desk.world.facts_of(letter_id) if isinstance(fact, ProgressRecorded)]
    assert len(facts) <= count
    return facts if len(facts) == count else []


async def test_malformed_actions_are_parked_told_where_possible_and_others_flow(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        good = pack(
            action(CollectLetter, letter_id),
            topic="actions.education",
            letter_id=letter_id,
            source="education",
            id="bad-1",
            time=MONDAY,
            traceparent="",
        )
        await world.produce(good.topic, good.key, b"{not json", good.headers)
        await world.produce(good.topic, "another-key", good.value, {**good.headers, "ce_id": "bad-2"})
        await world.produce(good.topic, good.key, good.value, {"ce_specversion": "1.0"})
        fact = {**good.headers, "ce_id": "bad-3", "ce_type": TYPE_OF[HandoffCollected]}
        await world.produce(good.topic, good.key, good.value, fact)
        unnamed = good.value.replace(b'"person":"li"', b'"person":""')
        await world.produce(good.topic, good.key, unnamed, {**good.headers, "ce_id": "bad-4"})
        await desk.ask("education", action(CollectLetter, letter_id))

        await desk.told("education", ActionDone)
        refused = await desk.told("education", ActionRefused, 4)
        assert {(m.action_id, m.rule) for m in refused} == {(f"bad-{n}", "message") for n in (1, 2, 3, 4)}

        async def parked() -> bool:
            return len(await desk.service.parking.listed()) == 5

        await eventually(parked)
        assert len(await world.records("letters.parked.routing")) == 5


async def test_a_repaired_action_takes_effect_and_is_parked_no_longer(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        good = pack(
            action(CollectLetter, letter_id),
            topic="actions.education",
            letter_id=letter_id,
            source="education",
            id="a-1",
            time=MONDAY,
            traceparent="",
        )
        await world.produce(good.topic, good.key, b"?", good.headers)

        async def parked(count: int) -> list[Any] | bool:
            found = await desk.service.parking.listed()
            return (found or True) if len(found) == count else False

        waiting = await eventually(lambda: parked(1))
        await world.produce(good.topic, good.key, good.value, {**good.headers, "replayof": waiting[0].origin})
        await desk.told("education", ActionDone)
        await eventually(lambda: parked(0))


async def test_r7_1_urging_slips_reminders_and_due_moments_reach_the_assignee(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        due = MONDAY + timedelta(days=14)
        handoff = {"letter_id": letter_id, "handoff_id": "s1", "receiver": "education", "due_at": due}
        await world.publish(
            ReplyDueSet(at=MONDAY, working_days=10, **handoff),
            ReplyReminded(at=MONDAY, working_days_left=2, **handoff),
            UrgingDue(at=due, sender="mayor", count=1, **handoff),
            UrgingDue(at=due, sender="mayor", count=2, **handoff),
        )
        assert (await desk.told("education", DueSet))[0].due_at == due
        assert (await desk.told("education", ReminderArrived))[0].working_days_left == 2
        assert [m.count for m in await desk.told("education", UrgingArrived, 2)] == [1, 2]

        async def urged() -> bool:
            facts = await world.facts_of(letter_id)
            return [fact.count for fact in facts if isinstance(fact, UrgingSent)] == [1, 2]

        await eventually(urged)
        view = (await desk.get(f"letters/{letter_id}", UNIT_CLERK)).json()
        assert view["handoffs"][0]["urgings"] == 2
        (row,) = (await desk.get("mailboxes/education/letters?list=arrivals", UNIT_CLERK)).json()["items"]
        assert (row["letter_id"], row["urgings"], row["receiver"]) == (letter_id, 2, "education")


async def test_lists_are_paged_longest_waiting_first(world: World) -> None:
    async with desk_of(world) as desk:
        letters = [await desk.letter() for _ in range(5)]
        path, seen = "mailboxes/mayor/letters?list=pending&limit=2", []
        answer = (await desk.get(path, CLERK)).json()
        seen += answer["items"]
        while answer["next"]:
            answer = (await desk.get(f"{path}&cursor={answer['next']}", CLERK)).json()
            seen += answer["items"]
        assert len(seen) == 5
        assert {row["letter_id"] for row in seen} == set(letters)


async def test_one_of_many_hands_that_reach_for_a_letter_at_once_gets_it(world: World) -> None:
    async with desk_of(world) as desk, desk_of(world) as replica:
        letter_id = await desk.letter()
        answers = await asyncio.gather(
            *((desk, replica)[n % 2].post(f"{letter_id}/slips", CLERK, SLIP) for n in range(8))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7


async def test_two_replicas_share_the_actions_of_many_letters(world: World) -> None:
    async with desk_of(world) as desk, desk_of(world):
        letters = [await desk.assigned() for _ in range(12)]
        for letter_id in letters:
            await desk.ask("education", action(CollectLetter, letter_id))
            await desk.ask("education", action(SubmitReply, letter_id, text="路灯已修复。"))
        await desk.told("education", ActionDone, 24)
        assert set(await desk.listed("education", "replies")) == set(letters)


def test_only_action_topics_of_this_deployment_are_listened_to() -> None:
    names = re.compile(handlers.pattern("t1-"))
    assert names.match("t1-actions.education-basic")
    assert not names.match("actions.education")
    assert not names.match("t1-actions.x.y")
    assert not re.compile(handlers.pattern("")).match("t1-actions.education")
