"""Publication on real engines: facts in, decisions over HTTP, and what the public can and cannot see."""

from datetime import datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from services.publication.app import build
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffSent,
    LetterPublished,
    LetterReceived,
    LetterRegistered,
    NoticePosted,
    NoticeRemoved,
    PublicationWithheld,
    ReplyApproved,
    UrgingSent,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Nature, Number
from shared.web.paging import decode_cursor, encode_cursor
from tests.conftest import MONDAY, World, eventually

CLERK = Actor(subject="education-clerk", mailbox="education")
ORIGINAL = "我叫张三丰，电话13912345678，孩子上学过马路很危险。"
TEXT = {"subject": "校门口缺少斑马线", "body": "孩子上学过马路很危险。\n请设置斑马线。", "reply": "已施划斑马线。"}
NO_GROUND = {"state_secret": False, "trade_secret": False, "privacy": False, "highly_sensitive": False}
DUE = datetime.fromisoformat("2026-03-17T00:00:00+08:00")


def number(serial: int) -> Number:
    return Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=serial)


class Letter:
    """A letter to the mayor, handed to the education committee."""

    def __init__(self, serial: int, **received) -> None:
        self.id = str(uuid4())
        self.number = number(serial)
        self.received = received

    def handed(self) -> list[Fact]:
        kind = {"nature": Nature.HELP, "domain": "education", "region": "500103"} | self.received.get("kind", {})
        return [
            LetterReceived(
                letter_id=self.id,
                at=MONDAY,
                mailbox="mayor",
                chosen_mailbox="mayor",
                subject="张三丰的来信",
                body=ORIGINAL,
                classification=Classification(**kind),
                may_publish=self.received.get("may_publish", True),
            ),
            LetterRegistered(letter_id=self.id, at=MONDAY, number=self.number),
            HandoffSent(
                letter_id=self.id,
                at=MONDAY,
                handoff_id="s1",
                sender="mayor",
                receiver="education",
                opinion="请办理",
                requirements="",
                answer_by=AnswerBy.ASSIGNEE,
                written_reply=False,
                prepared_by=CLERK,
                number=self.number,
            ),
        ]

    def urged(self, count: int = 1, due: datetime = DUE) -> UrgingSent:
        return UrgingSent(
            letter_id=self.id,
            at=due,
            handoff_id="s1",
            sender="mayor",
            receiver="education",
            count=count,
            due_at=due,
        )

    def answered(self) -> list[Fact]:
        return [
            ReplyApproved(
                letter_id=self.id,
                at=MONDAY,
                handoff_id="s1",
                reply_id="r1",
                sender="mayor",
                receiver="education",
                text="张三丰同志，已施划斑马线。",
                author=CLERK,
                answer_by=AnswerBy.ASSIGNEE,
            ),
            CitizenAnswered(
                letter_id=self.id,
                at=MONDAY,
                mailbox="education",
                channel=Channel.ONLINE,
                text="张三丰同志，已施划斑马线。",
                author=CLERK,
            ),
        ]


class Staff:
    """The people of the test directory, at one service."""

    def __init__(self, world: World, client: httpx.AsyncClient) -> None:
        self.client = client
        self.clerk = world.token("education-clerk", "education", "clerk")
        self.both = world.token("education-clerk", "education", "clerk", "head")
        self.head = world.token("education-head", "education", "head")
        self.duty = world.token("mayor-duty", "mayor", "duty_officer")
        self.water = world.token("water-clerk", "water", "clerk", "head")
        self.basic = world.token("education-basic-clerk", "education-basic", "clerk")

    async def case(self, letter: Letter, who=None) -> httpx.Response:
        return await self.client.get(f"/publication/cases/{letter.id}", headers=who or self.duty)

    async def status(self, letter: Letter) -> str:
        return (await self.case(letter)).json().get("status", "")

    async def opened(self, letter: Letter, status: str = "to-prepare") -> None:
        async def reached() -> bool:
            return await self.status(letter) == status

        await eventually(reached)

    async def move(self, letter: Letter, move: str, who, body=None, **headers) -> httpx.Response:
        address = f"/publication/cases/{letter.id}/{move}"
        return await self.client.post(address, json=body or {}, headers=who | headers)

    async def prepare(self, letter: Letter, who=None, **changes) -> httpx.Response:
        return await self.move(letter, "prepare", who or self.clerk, TEXT | NO_GROUND | changes)

    async def published(self, letter: Letter, **changes) -> None:
        text_hash = (await self.prepare(letter, **changes)).json()["prepared"]["text_hash"]
        assert (await self.move(letter, "approve", self.head, {"text_hash": text_hash})).status_code == 200

    async def listed(self, name: str, code: str = "education", who=None) -> list[str]:
        address = f"/publication/mailboxes/{code}/cases?list={name}"
        answer = await self.client.get(address, headers=who or self.duty)
        assert answer.status_code == 200, answer.text
        return [item["letter_id"] for item in answer.json()["items"]]


async def test_r9_1_nothing_is_visible_before_another_person_approved_exactly_that_text(world: World):
    letter = Letter(17)
    await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter)
        assert await staff.listed("to-prepare") == [letter.id]
        prepared = await staff.prepare(letter)
        assert prepared.status_code == 200
        assert prepared.json()["original"]["body"] == ORIGINAL
        text_hash = prepared.json()["prepared"]["text_hash"]
        assert await staff.listed("to-approve") == [letter.id]

        for path in ("/public/letters", "/public/letters.json", "/public/", "/public/board", "/public/board.json"):
            shown = await client.get(path)
            assert shown.status_code == 200
            assert "斑马线" not in shown.text
        assert (await client.get("/public/letters/YFX-2026-17")).status_code == 404

        own = await staff.move(letter, "approve", staff.both, {"text_hash": text_hash})
        assert (own.status_code, own.json()["rule"]) == (403, "R9.1")
        other = await staff.move(letter, "approve", staff.head, {"text_hash": "0" * 64})
        assert (other.status_code, other.json()["rule"]) == (409, "R9.1")
        approved = await staff.move(letter, "approve", staff.head, {"text_hash": text_hash})
        assert approved.json()["published"]["address"] == "/public/letters/YFX-2026-17"
        assert await staff.listed("published") == [letter.id]

        for path in (
            "/public/letters",
            "/public/letters.json",
            "/public/letters/YFX-2026-17",
            "/public/letters/YFX-2026-17.json",
            "/public/letters/yfx-2026-17",
        ):
            shown = await client.get(path)
            assert shown.status_code == 200
            assert "校门口缺少斑马线" in shown.text
            assert "张三" not in shown.text
            assert "1391234" not in shown.text
            assert shown.headers["cache-control"] == "no-cache", "what is withdrawn must be gone at once"
        page = (await client.get("/public/letters/YFX-2026-17.json")).json()
        assert {name: page[name] for name in TEXT} == TEXT
        assert page["unit"] == "重庆市教育委员会"

    async def told() -> bool:
        return any(isinstance(fact, LetterPublished) for fact in await world.facts_of(letter.id))

    await eventually(told)


async def test_r9_1_a_new_text_needs_a_new_approval_and_the_approved_one_stays_until_then(world: World):
    letter = Letter(3)
    await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter)
        await staff.published(letter)
        again = await staff.prepare(letter, reply="更正后的答复。", privacy=True)
        assert again.json()["status"] == "to-approve"
        text_hash = again.json()["prepared"]["text_hash"]
        refused = await staff.move(letter, "approve", staff.head, {"text_hash": text_hash})
        assert (refused.status_code, refused.json()["rule"]) == (409, "R9.1")
        page = await client.get("/public/letters/YFX-2026-3.json")
        assert page.json()["reply"] == TEXT["reply"]
        withheld = await staff.move(letter, "withhold", staff.head)
        assert withheld.json()["withheld"]["grounds"] == ["privacy"]
        assert withheld.json()["withdrawn"]["ground"] == "privacy"
        assert (await client.get("/public/letters/YFX-2026-3.json")).status_code >= 404
        assert (await client.get("/public/letters.json")).json()["items"] == []
        assert await staff.listed("withheld") == [letter.id]


async def test_r2_2_without_the_citizens_consent_a_letter_is_withheld_by_itself(world: World):
    letter = Letter(4, may_publish=False)
    await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter, "withheld")
        assert (await staff.case(letter)).json()["withheld"]["consent_refused"] is True
        assert (await staff.prepare(letter)).status_code == 409

        async def told() -> bool:
            return any(isinstance(fact, PublicationWithheld) for fact in await world.facts_of(letter.id))

        await eventually(told)


async def test_r10_2_only_those_concerned_may_see_and_only_the_right_ones_decide(world: World):
    letter, report, unfinished = Letter(5), Letter(6, kind={"nature": Nature.REPORT}), Letter(7)
    report.received["kind"]["reported_mailbox"] = "education"
    for one in (letter, report):
        await world.publish(*one.handed(), *one.answered())
    await world.publish(*unfinished.handed())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter)
        await staff.opened(report)
        assert (await client.get(f"/publication/cases/{letter.id}")).status_code == 401
        assert (await staff.case(letter, staff.clerk)).status_code == 200
        assert (await staff.case(letter, staff.water)).status_code == 403
        assert (await staff.case(letter, world.token("a", "education", "admin"))).status_code == 403
        assert (await staff.case(Letter(8))).status_code == 404
        assert (await staff.case(unfinished)).status_code == 409
        assert (await staff.prepare(letter, staff.head)).status_code == 403
        assert (await staff.prepare(letter, staff.water)).status_code == 403
        assert (await staff.prepare(letter, staff.duty)).status_code == 200
        text_hash = (await staff.case(letter)).json()["prepared"]["text_hash"]
        mayors = world.token("mayor-head", "mayor", "head", "duty_officer")
        for who in (staff.clerk, staff.water, mayors):
            assert (await staff.move(letter, "approve", who, {"text_hash": text_hash})).status_code == 403
        leader = world.token("education-leader", "education", "leader")
        assert (await staff.move(letter, "approve", leader, {"text_hash": text_hash})).status_code == 200

        for who in (staff.clerk, staff.basic):
            assert (await staff.case(report, who)).status_code == 404
        assert await staff.listed("to-prepare", who=staff.clerk) == []
        assert await staff.listed("to-prepare") == []
        assert await staff.listed("to-prepare", "mayor") == [report.id]
        forbidden = await client.get("/publication/mailboxes/water/cases", headers=staff.clerk)
        assert forbidden.status_code == 403
        assert (await client.get("/publication/mailboxes/nowhere/cases", headers=staff.duty)).status_code == 404


async def test_r9_1_each_question_must_be_answered_and_wrong_input_is_named(world: World):
    letter = Letter(9)
    await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        await staff.opened(letter)
        missing = await staff.move(letter, "prepare", staff.clerk, TEXT | {"privacy": "no", "body": "\x00坏"})
        assert missing.status_code == 422
        assert {(e["field"], e["rule"]) for e in missing.json()["errors"]} == {
            (f"/{name}", "R9.1") for name in ("state_secret", "trade_secret", "privacy", "highly_sensitive", "body")
        }
        stale = await staff.move(letter, "prepare", staff.clerk, TEXT | NO_GROUND, **{"If-Match": '"1"'})
        assert stale.status_code == 409
        current = str(stale.json()["current_version"])
        fresh = await staff.move(letter, "prepare", staff.clerk, TEXT | NO_GROUND, **{"If-Match": f'"{current}"'})
        assert fresh.headers["etag"] == f'"{int(current) + 1}"'
        assert (await staff.move(letter, "withhold", staff.head)).status_code == 409
        for path in ("/public/letters/%00", "/public/letters/YFX-2026-0", "/public/letters/YFX-2026-9999999999"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/publication/cases/%00", headers=staff.duty)).status_code == 404
        assert (await client.get("/public/letters.json?cursor=x")).status_code == 400
        bad = await client.get("/public/letters?cursor=x", headers={"Accept": "text/html"})
        assert (bad.status_code, bad.headers["content-type"]) == (400, "text/html; charset=utf-8")


async def test_r9_2_the_public_list_goes_back_page_by_page_newest_first(world: World):
    letters = [Letter(serial) for serial in range(1, 6)]
    for letter in letters:
        await world.publish(*letter.handed(), *letter.answered())
    async with world.running(build(world.kit())) as client:
        staff = Staff(world, client)
        for letter in letters:
            await staff.opened(letter)
            await staff.published(letter, body="<script>alert(1)</script>")
        seen, cursor = [], ""
        while cursor is not None:
            page = (await client.get("/public/letters.json", params={"limit": 2, "cursor": cursor})).json()
            assert len(page["items"]) <= 2
            seen += [item["number"] for item in page["items"]]
            cursor = page["next"]
            if cursor is not None:
                assert not any(letter.id in (decode_cursor(cursor, str) or ("",))[0] for letter in letters)
        assert seen == [f"YFX-2026-{serial}" for serial in range(5, 0, -1)]
        for asked in ({"params": {"format": "json"}}, {"headers": {"Accept": "application/json"}}):
            assert len((await client.get("/public/letters", **asked)).json()["items"]) == 5
        page = await client.get("/public/letters/YFX-2026-1", headers={"Accept": "text/html"})
        assert "<script>alert" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        unknown = await client.get("/public/letters/YFX-2026-99", headers={"Accept": "text/html"})
        assert unknown.status_code == 404
        assert "没有这封公开信件" in unknown.text
        problem = await client.get("/public/letters/YFX-2026-99.json")
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


async def test_r7_2_the_board_counts_by_itself_from_the_urging_until_the_reply(world: World):
    late, later = Letter(21), Letter(22)
    await world.publish(*late.handed(), *later.handed())
    async with world.running(build(world.kit())) as client:
        empty = await client.get("/public/board")
        assert "目前没有催办、退办未复的来信" in empty.text
        world.move_clock(DUE + timedelta(days=3, hours=2), rate=0)  # Friday 2026-03-20 02:00
        await world.publish(later.urged(due=DUE + timedelta(days=1)), late.urged(), late.urged(2))

        async def both() -> bool:
            board = (await client.get("/public/board.json")).json()
            return board["total"] == 2 and board["entries"][0]["urged"] == 2

        await eventually(both)
        board = (await client.get("/public/board.json")).json()
        first, second = board["entries"]
        assert (first["number"], first["unit"], first["urged"]) == ("YFX-2026-21", "重庆市教育委员会", 2)
        assert (first["overdue_seconds"], first["overdue_working_days"]) == (3 * 86400 + 7200, 4)
        assert second["overdue_working_days"] == 3
        (total,) = board["units"]
        assert (total["unit"], total["count"], total["urged"], total["sent_back"]) == ("重庆市教育委员会", 2, 2, 0)
        assert total["longest_seconds"] == first["overdue_seconds"]
        page = (await client.get("/public/board")).text
        assert "2026年3月16日 24:00" in page
        assert ">3天2小时0分</time>" in page
        assert 'data-since="2026-03-16T16:00:00Z"' in page
        assert "第2次催办" in page
        assert "张三" not in page

        world.move_clock(DUE + timedelta(days=6, hours=2), rate=0)  # the weekend adds calendar time only
        moved = (await client.get("/public/board.json")).json()["entries"][0]
        assert (moved["overdue_seconds"], moved["overdue_working_days"]) == (6 * 86400 + 7200, 5)

        await world.publish(late.urged(3), *late.answered())

        async def one_left() -> bool:
            entries = (await client.get("/public/board.json")).json()["entries"]
            return [entry["number"] for entry in entries] == ["YFX-2026-22"]

        await eventually(one_left)

    async def recorded() -> list[type]:
        own = [type(f) for f in await world.facts_of(late.id) if f.source == "publication"]
        return own if NoticeRemoved in own else []

    assert await eventually(recorded) == [NoticePosted, NoticeRemoved]


async def test_a_projection_rebuilt_from_the_topic_equals_the_live_one(world: World):
    letters = [Letter(1), Letter(2, may_publish=False), Letter(3)]
    await world.publish(*letters[0].handed(), letters[0].urged(), *letters[0].answered())
    await world.publish(*letters[1].handed(), *letters[1].answered())
    await world.publish(*letters[2].handed(), letters[2].urged())
    service = build(world.kit())
    async with world.running(service) as client:
        staff = Staff(world, client)
        await staff.opened(letters[0])
        await staff.opened(letters[1], "withheld")
        await staff.published(letters[0])
        await staff.prepare(letters[0], reply="更正")

        async def settled() -> bool:
            depth, _ = await service.letters.aggregates.outbox_depth()
            board = (await client.get("/public/board.json")).json()
            return depth == 0 and board["total"] == 1

        await eventually(settled)
        hidden = {"token": 0, "outbox": 0, "public_moved": 0}
        live = await service.letters.aggregates.collection.find({}, hidden).sort([("_id", 1)]).to_list(None)
    kit = world.kit()
    await world.forget("publication")
    again = build(kit)
    await again.letters.aggregates.ensure()
    await again.letters.handle(await world.records("letters"), live=False)
    rebuilt = await again.letters.aggregates.collection.find({}, hidden).sort([("_id", 1)]).to_list(None)
    kit.store.close()
    assert rebuilt == live


async def test_r9_2_a_page_of_the_list_is_read_in_the_order_of_an_index_without_sorting(world: World):
    service = build(world.kit())
    async with world.running(service) as client:
        plans: list[str] = []
        collection = service.letters.aggregates.collection
        find = type(collection).find

        def watched(self, *arguments, **named):
            cursor = find(self, *arguments, **named)
            found.append(cursor)
            return cursor

        found: list = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(collection), "find", watched)
            staff = Staff(world, client)
            cursor = encode_cursor("000001772438400000/x")
            await client.get("/public/letters.json")
            await client.get(f"/public/letters.json?cursor={cursor}")
            await staff.listed("to-prepare")
            await staff.listed("published")
        plans = [str(await cursor.clone().explain()) for cursor in found if "place" in str(cursor.delegate._spec)]
        assert len(plans) == 4
        for plan in plans:
            assert "indexName" in plan
            assert "Sort Key" not in plan, plan
