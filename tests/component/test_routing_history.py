"""The history of a letter on real engines: complete, chained, checked against the record, and read by whom it concerns (R10.1, R10.2)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import orjson
import pytest

from deploy import history as command
from deploy.history_record import Layout, Topic
from deploy.parked import decide
from services.routing import history as recorder
from services.routing.chain import GENESIS, Head, Verdict
from services.routing.history import History
from shared.contracts.envelope import event_id, pack
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffSent,
    LetterDiscarded,
    LetterErased,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    NoticePosted,
    ReplyDueSet,
    ReplyOverdue,
)
from shared.contracts.types import Actor, Classification, InvalidReason, Nature, Number
from shared.messaging.kafka import read_from_start
from shared.storage import Store, StoreUnavailable, insert_missing
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import ABOUT, CLERK, DUTY, HEAD, OTHER, TEXT, UNIT_CLERK, UNIT_HEAD, Desk, desk_of, staff

NUMBER = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=17)
DUE = MONDAY + timedelta(days=14)
SOMEBODY = Actor(subject="mayor-clerk", name="覃文梧", mailbox="mayor")
FORM = ("event_id", "type", "source", "seq", "at", "sha256")


async def told(desk: Desk, letter_id: str, count: int, who: tuple[str, ...] = DUTY, query: str = "") -> list[Any]:
    """Wait until the history has so many entries."""

    async def there() -> tuple[list[Any]] | None:
        answer = await desk.get(f"letters/{letter_id}/history?limit=200{query}", who)
        assert answer.status_code == 200, answer.text
        items: list[Any] = answer.json()["items"]
        return (items,) if len(items) >= count else None

    found: list[Any] = (await eventually(there))[0]
    assert len(found) == count, [item["what"] for item in found]
    return found


def received(letter_id: str, **changes: Any) -> LetterReceived:
    values = {"mailbox": "mayor", "chosen_mailbox": "mayor", "subject": "学校门口的路灯坏了", "body": TEXT}
    about = {"classification": ABOUT, "may_publish": True}
    return LetterReceived(letter_id=letter_id, at=MONDAY, **{**values, **about, **changes})


def life(letter_id: str) -> list[Fact]:
    """Some facts of several services on one letter."""
    base: dict[str, Any] = {"letter_id": letter_id, "at": MONDAY}
    return [
        received(letter_id),
        LetterRead(**base, by=SOMEBODY),
        LetterRegistered(**base, by=SOMEBODY, number=NUMBER),
        ReplyDueSet(**base, handoff_id="s1", receiver="education", due_at=DUE, working_days=10),
        ReplyOverdue(**base, handoff_id="s1", sender="mayor", receiver="education", due_at=DUE),
        NoticePosted(**base, handoff_id="s1", receiver="education", number=NUMBER, due_at=DUE),
    ]


def checker(world: World) -> command.Checker:
    store = Store(world.settings.mongo_url, world.namespace)
    return command.Checker(History(store, world.namespace), Topic(world.settings))


async def verdict(world: World, letter_id: str) -> Verdict:
    """What the command says of one letter."""
    return (await checker(world).one(letter_id))[0]


async def verdicts(world: World) -> dict[str, Verdict]:
    """What the command says of all letters."""
    looking = checker(world)
    await looking.topic.look()
    with Layout(looking.topic) as record:
        return {found.letter_id: found async for found in looking.all(record)}


async def documents(world: World) -> dict[str, list[Any]]:
    store = Store(world.settings.mongo_url, world.namespace)
    names = (recorder.HISTORY, recorder.HEADS)
    return {n: [d async for d in store.collection("routing", n).find({}).sort([("_id", 1)])] for n in names}


async def recorded(world: World, letter_id: str, entries: int) -> None:
    async def there() -> bool:
        found = await verdict(world, letter_id)
        return found.behind == 0 and found.entries == entries

    await eventually(there)


async def settled(world: World) -> None:
    """Wait until all that the topic holds is recorded and committed."""

    looking = checker(world)

    async def there() -> bool:
        await looking.topic.look()
        with Layout(looking.topic) as record:
            await record.read_on()
            return all(looking.topic.handled[partition] >= end for partition, end in record.next.items())

    await eventually(there)


async def test_r10_1_the_history_says_who_did_what_when_and_why_and_each_entry_carries_the_hash_before_it(
    world: World,
) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.facts(letter_id, HandoffSent)  # deadline, too, hears of it first
        await desk.due(letter_id, "s1", "education", DUE)
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        await desk.done(f"{letter_id}/handoffs/s1/progress", UNIT_CLERK, {"text": "已派人查看"})
        await desk.replied(letter_id, "s1", "education")
        await desk.facts(letter_id, CitizenAnswered)
        published = {"number": NUMBER, "subject": "路灯", "body": "路灯", "reply": "已修复", "text_hash": "0" * 64}
        about = {"mailbox": "mayor", "prepared_by": SOMEBODY}
        await world.publish(LetterPublished(letter_id=letter_id, at=MONDAY, by=SOMEBODY, **about, **published))
        items = await told(desk, letter_id, 11)
        assert [item["what"].partition(" / ")[0] for item in items] == [
            *("收到来信", "登记编号", "拟写单据", "批准发出", "确定办理期限", "签收", "说明进展"),
            *("拟写承办回复", "批准承办回复", "答复来信人", "公示来信"),
        ]
        assert {item["category_label"] for item in items} == {"受理", "办理", "时限", "回复", "公示"}
        progress = items[6]
        assert progress["by"] == {"subject": "education-clerk", "name": "", "mailbox": "education"}
        assert progress["why"] == "已派人查看"
        assert progress["at"].startswith("2026-03-02T01:3")
        assert items[4]["details"] == {
            "receiver": "education",
            "handoff_id": "s1",
            "working_days": 10,
            "provisional": False,
            "due_at": "2026-03-16T01:30:00.000Z",
        }
        assert TEXT not in orjson.dumps(items).decode(), "the letter's text is not copied"

        on_topic = [r for r in await world.records("letters") if r.key == letter_id.encode()]
        assert [item["sha256"] for item in items] == [sha256(record.value).hexdigest() for record in on_topic]
        before = GENESIS
        for n, item in enumerate(items, 1):
            form = ["xinxiang-history-1", letter_id, n, before, *(item[name] for name in FORM), "", False]
            assert (item["n"], item["previous"]) == (n, before)
            assert item["hash"] == sha256(orjson.dumps(form)).hexdigest()
            before = item["hash"]

        await recorded(world, letter_id, 11)
        found = await verdict(world, letter_id)
        assert (found.breaks, found.entries, found.behind, found.hash) == ([], 11, 0, before)
        assert command.said(found)[0].startswith(f"{letter_id}: 完整，共 11 条 / unbroken, 11 entries; last {before}")


async def test_r10_1_entries_come_by_category_and_in_pages(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = "in-pages"
        await world.publish(*life(letter_id))
        whole = await told(desk, letter_id, 6)
        late = await told(desk, letter_id, 2, DUTY, "&category=time")
        assert late == [whole[3], whole[4]]
        assert await told(desk, letter_id, 0, DUTY, "&category=other") == []
        first = (await desk.get(f"letters/{letter_id}/history?limit=4", DUTY)).json()
        second = (await desk.get(f"letters/{letter_id}/history?limit=4&cursor={first['next']}", DUTY)).json()
        assert [*first["items"], *second["items"]] == whole
        assert second["next"] is None
        bad = await desk.get(f"letters/{letter_id}/history?cursor=nonsense", DUTY)
        assert bad.status_code == 400
        assert (await desk.get(f"letters/{letter_id}/history?category=gossip", DUTY)).status_code == 422


async def test_r10_1_every_kind_of_damage_is_found_where_it_is(world: World) -> None:
    damages: dict[str, tuple[dict[str, Any], str]] = {
        "altered": (
            {"$set": {"at": "2026-03-01T01:30:00.000Z"}},
            "entry 3 was altered: its hash is not that of what it says",
        ),
        "who": ({"$set": {"by.subject": "somebody-else"}}, "entry 3 is not what the record holds: by"),
        "why": ({"$set": {"why": "另有原因"}}, "entry 3 is not what the record holds: why"),
        "details": (
            {"$set": {"details.number": "渝府信〔2026〕18号"}},
            "entry 3 is not what the record holds: details",
        ),
        "digest": ({"$set": {"sha256": "0" * 64}}, "entry 3 is not what the record holds: sha256"),
        "link": ({"$set": {"previous": "0" * 64}}, "entry 3 does not carry the hash of the entry before it"),
        "emptied": ({"$unset": {"sha256": "", "place": "", "seq": "", "hash": ""}}, "entry 3 was altered"),
    }
    others = ("removed", "inserted", "reordered", "cut", "whole", "invented", "gone")
    async with desk_of(world) as desk:
        await world.publish(*(fact for name in (*damages, *others[:-2], "gone") for fact in life(name)))
        await told(desk, "whole", 6)
        await settled(world)
        entries, heads = (checker(world).history.entries, checker(world).history.heads)
        for name, (change, _) in damages.items():
            await entries.update_one({"_id": f"{name}/00000003"}, change)
        await entries.delete_one({"_id": "removed/00000003"})
        await entries.delete_one({"_id": "cut/00000006"})
        await entries.delete_many({"letter": "gone"})
        await heads.delete_one({"_id": "gone"})
        third = await entries.find_one({"_id": "inserted/00000006"})
        await entries.insert_one({**third, "_id": "inserted/00000007", "n": 7, "seq": 9, "previous": third["hash"]})
        one, other = [await entries.find_one({"_id": f"reordered/0000000{n}"}) for n in (3, 4)]
        for n, document in ((3, other), (4, one)):
            await entries.replace_one(
                {"_id": f"reordered/0000000{n}"}, {**document, "_id": f"reordered/0000000{n}", "n": n}
            )
        await entries.insert_one({**third, "_id": "invented/00000001", "letter": "invented", "n": 1})

        wanted = {name: [text] for name, (_, text) in damages.items()} | {
            "removed": ["entry 3 is missing", "the history lacks LetterRegistered.v1 (intake 3, letters/"],
            "inserted": ["entry 7 was inserted: the record has no NoticePosted.v1 (publication 9, letters/"],
            "reordered": ["entry 3 is out of order: on the record it comes after entry 4"],
            "cut": ["the end is missing: entry 6", "the history lacks NoticePosted.v1"],
            "whole": [],
            "invented": ["entry 1 was inserted: the record has no NoticePosted.v1"],
            "gone": ["the history lacks LetterReceived.v1"],
        }
        together = await verdicts(world)
        assert together.keys() == wanted.keys()
        for name, texts in wanted.items():
            alone = await verdict(world, name)
            assert alone == together[name]
            assert bool(alone.breaks) == bool(texts), (name, alone)
            for text in texts:
                assert any(text in found for found in alone.breaks), (name, text, alone.breaks)
        assert "LetterRegistered" not in str(together["who"].breaks), "only what is wrong is named"


async def test_r10_1_a_fact_that_comes_twice_is_one_entry_and_a_history_made_anew_is_the_same(world: World) -> None:
    facts = [fact for name in ("a", "b", "c") for fact in life(name)]
    async with desk_of(world) as desk:
        await world.publish(*facts)
        for seq, fact in ((1, facts[0]), (2, facts[1])):  # as an outbox sends again after a crash
            await world.publish(fact, seq=seq)
        unknown = pack(
            facts[1], topic="letters", letter_id="a", source="archive", id="x", time=MONDAY, traceparent="", seq=1
        )
        headers = unknown.headers | {"ce_type": "xinxiang.LetterFiled.v3"}
        await world.produce("letters", "a", unknown.value, headers)
        await world.produce("letters", "a", b"nonsense", {"ce_specversion": "1.0"})
        items = await told(desk, "a", 7)
        assert items[-1]["type"] == "xinxiang.LetterFiled.v3"
        assert (items[-1]["category"], items[-1]["by"]["name"]) == ("other", "覃文梧")
        await settled(world)
        before = await documents(world)
        assert len(before[recorder.HISTORY]) == 19
        records = await world.records("letters")
        history = checker(world).history
        await history.handle(records)
        await history.handle(records[::-1][:3][::-1])
        assert await documents(world) == before, "what comes again changes nothing"

    database = history.store.database("routing")
    for size in (1, 5, 500):
        for name in before:
            await database[name].delete_many({})  # one dropped and made anew beside other drops may read as empty
        async for batch, _ in read_from_start(world.settings.kafka_bootstrap, world.namespace + "letters", size):
            await history.handle(batch)
        assert await documents(world) == before, size
    assert not any(found.breaks for found in (await verdicts(world)).values())
    for size in (1, 4, 7, 19, 500):
        whole = [kept async for letters in history.everything(size) for kept in letters.items()]
        assert [(name, len(kept.entries), kept.end and kept.end[0]) for name, kept in whole] == [
            ("a", 7, 7),
            ("b", 6, 6),
            ("c", 6, 6),
        ], "however few documents are read at a time"


async def test_r10_1_a_crash_between_entries_and_end_and_a_second_replica_leave_the_same_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.publish(*life("a"), *life("b"))
    records = await world.records("letters")
    history, other = checker(world).history, checker(world).history
    await history.handle(records)
    whole = await documents(world)
    for collection in (history.entries, history.heads):
        await collection.delete_many({})
    read_long_ago = await other._heads({"a", "b"})

    class Crash(BaseException):
        """As a process that is killed: no message is to blame."""

    async def crash(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(History, "_move", crash)
        with pytest.raises(Crash):
            await history.handle(records[:7])
    assert len((await documents(world))[recorder.HISTORY]) == 7
    await other.handle(records[:4])  # a replica that had the partition before, and is slow
    await history.handle(records[:7])
    await other.handle(records[2:6])
    await history.handle(records[7:])
    await other.handle(records)
    assert await documents(world) == whole

    async def as_read_then(_: Any) -> dict[str, Head]:
        return read_long_ago

    monkeypatch.setattr(other, "_heads", as_read_then)
    await other.handle(records[:4])  # it comes to writing only now
    assert await documents(world) == whole, "an end never moves back"


async def test_r10_1_services_may_run_while_all_histories_are_verified(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, everything = checker(world).history, History.everything
    await world.publish(*life("a"))
    await history.handle(await world.records("letters"))

    async def meanwhile(self: History) -> AsyncIterator[Any]:
        """Before the store is read, one more fact comes and is recorded."""
        await world.publish(LetterRead(letter_id="a", at=MONDAY))
        await history.handle(await world.records("letters"))
        async for letters in everything(self):
            yield letters

    monkeypatch.setattr(History, "everything", meanwhile)
    found = (await verdicts(world))["a"]
    assert (found.breaks, found.entries) == ([], 7)


async def test_r10_1_a_store_that_is_away_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.publish(*life("a"))
    history, turns = checker(world).history, []
    insert = insert_missing

    async def sometimes(collection: Any, found: Sequence[Any]) -> set[int]:
        turns.append(len(found))
        if len(turns) == 1:
            raise StoreUnavailable("away")
        return await insert(collection, found)

    monkeypatch.setattr("services.routing.history.insert_missing", sometimes)
    await history.handle(await world.records("letters"))
    assert turns[:2] == [6, 6]
    assert len((await documents(world))[recorder.HISTORY]) == 6


async def test_r10_1_a_missing_fact_is_broken_and_one_that_waits_to_be_recorded_is_not(world: World) -> None:
    async with desk_of(world) as desk:
        await world.publish(received("gap"))
        await world.publish(LetterRead(letter_id="gap", at=MONDAY), seq=4)
        await told(desk, "gap", 2)
        (found,) = (await verdict(world, "gap")).breaks
        assert found.endswith("the record lacks fact 2–3 of intake")
        await recorded(world, "gap", 2)
    for seq in (2, 3):
        await world.publish(LetterRead(letter_id="gap", at=MONDAY), seq=seq)
    await world.publish(*life("new"))
    behind = await verdict(world, "gap")
    assert (behind.breaks, behind.behind) == ([], 2)
    assert "2 facts are not recorded yet" in command.said(behind)[0]
    assert {name: found.behind for name, found in (await verdicts(world)).items()} == {"gap": 2, "new": 6}
    async with desk_of(world) as desk:
        assert [item["seq"] for item in await told(desk, "gap", 4)] == [1, 4, 2, 3]
        await recorded(world, "gap", 4)
        assert not (await verdict(world, "gap")).breaks


async def test_r10_1_what_a_person_decided_on_a_parked_fact_stands_in_the_history(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        broken = {"letter_id": letter_id, "at": MONDAY.isoformat(), "after": "nonsense"}
        fact = LetterReclassified(letter_id=letter_id, at=MONDAY, by=SOMEBODY, before=ABOUT, after=ABOUT)
        for seq in (3, 4):
            out = pack(
                fact,
                topic="letters",
                letter_id=letter_id,
                source="intake",
                id=event_id(letter_id, "intake", seq),
                time=MONDAY,
                traceparent="",
                seq=seq,
            )
            await world.produce("letters", letter_id, orjson.dumps(broken), out.headers)
        parking, store = desk.service.parking, desk.service.kit.store

        async def first_parked() -> str | None:
            waiting = [one for one in await parking.listed() if one.why == "failed"]
            return waiting[0].origin if waiting else None

        origin = await eventually(first_parked)
        repaired = fact.model_dump_json().encode()
        await decide(world.settings, store, "routing", origin, value=repaired, by="值班员", reason="字段有误")

        async def second_parked() -> str | None:
            found = await first_parked()
            return found if found != origin else None

        second = await eventually(second_parked)
        await decide(world.settings, store, "routing", second, drop=True, by="值班员", reason="重复")
        items = await told(desk, letter_id, 6)
        assert [item["unreadable"] for item in items] == [False, False, True, True, False, True]
        assert [item["seq"] for item in items] == [1, 2, 3, 4, 3, 4]
        assert [item["replay_of"] for item in items[4:]] == [origin, second]
        assert [item["dropped"] for item in items[4:]] == [False, True]
        assert items[4]["what"].startswith("经人工重发：更正分类 / Sent again by a person's decision")
        assert items[5]["what"].startswith("经人工决定略过：更正分类")
        assert items[5]["details"]["decided_by"] == "值班员"
        assert items[4]["details"]["decided_why"] == "字段有误"
        await recorded(world, letter_id, 6)
        assert not (await verdict(world, letter_id)).breaks


async def test_r10_2_a_unit_s_inside_is_withheld_and_the_chain_can_still_be_followed(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await desk.done(f"{letter_id}/handoffs/s1/collect", UNIT_CLERK)
        body = {"way": "assign", "receiver": "education-basic", "opinion": "转基教处", "requirements": "三日内报"}
        await desk.done(f"{letter_id}/slips", UNIT_CLERK, {**body, "answer_by": "assigner"})
        await desk.done(f"{letter_id}/slips/s2/refuse", UNIT_HEAD, {"reason": "要求不清"})
        await desk.done(f"{letter_id}/handoffs/s1/replies", UNIT_CLERK, {"text": "草稿：正在核实"})
        await desk.done(f"{letter_id}/handoffs/s1/replies/r1/refuse", UNIT_HEAD, {"reason": "未说明原因"})
        whole = await told(desk, letter_id, 9)
        assert not any(item["withheld"] for item in whole)
        kinds = [item["type"].split(".")[1] for item in whole]

        def seen(items: list[Any]) -> set[str]:
            assert [(i["n"], i["previous"], i["hash"]) for i in items] == [
                (i["n"], i["previous"], i["hash"]) for i in whole
            ]
            hidden = [item for item in items if item["withheld"]]
            assert all(
                {key for key, value in item.items() if value} <= {"n", "previous", "hash", "withheld"}
                for item in hidden
            )
            return {kind for kind, item in zip(kinds, items, strict=True) if not item["withheld"]}

        assert kinds[2:] == [
            *("SlipPrepared", "HandoffSent", "HandoffCollected", "SlipPrepared", "SlipRefused"),
            *("ReplySubmitted", "ReplyRefused"),
        ]
        for_all = {"LetterReceived", "LetterRegistered", "HandoffSent", "HandoffCollected"}
        mayor = await told(desk, letter_id, 9, CLERK)
        assert seen(mayor) == for_all | {"SlipPrepared"}
        assert mayor[5]["withheld"], "the unit's own slip"
        unit = await told(desk, letter_id, 9, UNIT_CLERK)
        assert seen(unit) == for_all | {"SlipPrepared", "SlipRefused", "ReplySubmitted", "ReplyRefused"}
        assert unit[2]["withheld"], "the mayor's mailbox's own slip"
        assert [item["n"] for item in await told(desk, letter_id, 2, UNIT_CLERK, "&category=reply")] == [8, 9]
        assert await told(desk, letter_id, 0, CLERK, "&category=reply") == [], "a filter does not tell what is withheld"
        stranger = await desk.get(f"letters/{letter_id}/history", OTHER)
        assert (stranger.status_code, stranger.json()["rule"]) == (403, "R10.2")
        assert (await desk.get("letters/none/history", DUTY)).status_code == 404


async def test_r10_2_a_report_s_history_is_hidden_from_the_unit_it_is_about(world: World) -> None:
    report = Classification(
        nature=Nature.REPORT, domain=ABOUT.domain, region=ABOUT.region, reported_mailbox="education"
    )
    async with desk_of(world) as desk:
        letter_id = await desk.letter(classification=report)
        await told(desk, letter_id, 2)
        missing = (await desk.get("letters/none/history", UNIT_CLERK)).json()["detail"]
        for who in (UNIT_CLERK, UNIT_HEAD, staff("education", "duty_officer"), staff("education-basic")):
            answer = await desk.get(f"letters/{letter_id}/history", who)
            assert answer.status_code == 404
            assert answer.json()["detail"] == missing, "as if there were none"

        # Corrected, and handed to the very unit: it never learns that it was once the one reported.
        corrected = LetterReclassified(letter_id=letter_id, at=MONDAY, by=SOMEBODY, before=report, after=ABOUT)
        await world.publish(corrected, seq=3)
        await told(desk, letter_id, 3)

        async def known() -> bool:
            stored = await desk.service.letters.aggregates.get(letter_id)
            return bool(stored.version == 3)

        await eventually(known)
        await desk.sent(letter_id, "mayor", "education")
        unit = await told(desk, letter_id, 5, UNIT_CLERK)
        assert [item["withheld"] for item in unit] == [False, False, True, True, False]
        assert "report" not in orjson.dumps(unit).decode()
        own = await desk.letter(mailbox="education", chosen_mailbox="education", registered=False)
        await world.publish(
            LetterReclassified(letter_id=own, at=MONDAY, by=SOMEBODY, before=report, after=ABOUT), seq=2
        )
        first = await told(desk, own, 2, UNIT_CLERK)
        assert [item["withheld"] for item in first] == [False, True], "not even to the first-receiving mailbox"


async def test_r3_7_a_discarded_letter_s_history_is_for_its_mailbox_and_the_duty_office_and_survives_erasure(
    world: World,
) -> None:
    remark = "辱骂他人，电话 13800138000"
    async with desk_of(world) as desk:
        letter_id = await desk.letter(registered=False, mailbox="education", chosen_mailbox="education")
        base: dict[str, Any] = {"letter_id": letter_id, "at": MONDAY, "by": SOMEBODY, "reason": InvalidReason.MALICIOUS}
        await world.publish(LetterDiscarded(**base, remark=remark))
        before = await told(desk, letter_id, 2)
        await world.publish(LetterErased(**base))
        for reader in (DUTY, UNIT_CLERK):
            items = await told(desk, letter_id, 3, reader)
            assert [item["why"] for item in items] == [None, "恶意攻击", "恶意攻击"]
            assert items[:2] == before
        kept = await documents(world)
        assert remark not in str(kept)
        assert TEXT not in str(kept)
        strangers: tuple[tuple[str, ...], ...] = (CLERK, HEAD, OTHER, staff("education-basic"))
        for who in strangers:
            assert (await desk.get(f"letters/{letter_id}/history", who)).status_code == 404
        await recorded(world, letter_id, 3)
        assert not (await verdict(world, letter_id)).breaks
        reported = ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
        await world.publish(
            LetterReclassified(letter_id=letter_id, at=MONDAY, by=SOMEBODY, before=ABOUT, after=reported), seq=4
        )

        async def hidden() -> bool:
            return (await desk.get(f"letters/{letter_id}/history", UNIT_CLERK)).status_code == 404

        await eventually(hidden)


async def test_r10_1_the_command_shows_and_verifies_a_letter_by_id_or_number_and_says_how_it_ended(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.assigned()
        await told(desk, letter_id, 4)
        await recorded(world, letter_id, 4)
    store = checker(world).history.store
    line = {"_id": "mayor/2026/000000001", "letter_id": letter_id}
    await store.collection("intake", "register").insert_one(line)
    await world.produce("letters", letter_id, b"{}", {"ce_specversion": "1.0"})

    async def run(*words: str) -> tuple[int, str]:
        chosen = command.chosen(list(words))
        status = await command.run(chosen, world.settings)
        return status, capsys.readouterr().out

    for name in (letter_id, "渝府信〔2026〕1号", "YFX-2026-1"):
        status, out = await run("verify", name)
        assert status == 0
        assert f"{letter_id}: 完整，共 4 条 / unbroken, 4 entries" in out
        assert "1 条记录不属于任何来信 / 1 records are no facts on any letter" in out
    status, out = await run("show", "YFX-2026-1")
    assert status == 0
    assert "批准发出 / The slip was approved and sent  mayor-head (mayor)" in out
    assert "拟交市教委办理" in out
    assert (await run("verify", "--all"))[1].endswith(
        "1 letters, 4 entries, 0 broken, 0 facts not recorded yet, 5 records read\n"
    )
    await store.collection("routing", "history").update_one({"n": 2}, {"$set": {"type": "xinxiang.LetterNoted.v1"}})
    for words in (("verify", letter_id), ("verify", "--all")):
        status, out = await run(*words)
        assert status == 1
        assert "entry 2 was altered" in out
    for name in ("none", "YFX-2026-2", "ZZZ-2026-1"):
        with pytest.raises(command.NoSuchLetter):
            await run("verify", name)


async def test_r10_1_an_end_that_the_store_does_not_show_for_a_moment_loses_no_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.publish(*life("a"))
    records = await world.records("letters")
    history = checker(world).history
    await history.handle(records[:4])
    shown = recorder.History._heads
    unseen = iter([True])

    async def heads(self: recorder.History, letter_ids: Iterable[str]) -> dict[str, Head]:
        if next(unseen, False):
            return {letter_id: Head() for letter_id in letter_ids}
        return await shown(self, letter_ids)

    monkeypatch.setattr(recorder.History, "_heads", heads)
    for record in records[4:]:
        await history.handle([record])
    found = await documents(world)
    assert [entry["n"] for entry in found[recorder.HISTORY]] == list(range(1, len(records) + 1))
    assert found[recorder.HEADS][0]["n"] == len(records)
