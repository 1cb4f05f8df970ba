"""Lists over all letters on a real store: every letter as each mailbox sees it, filtered, sorted, searched and paged (R10.2)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from services.rebuild import rebuild
from services.routing import listing
from services.routing.app import build
from services.routing.entries import FILTERS, SORTS, Entries, keys
from services.routing.listing import Listing, Query, Sort
from services.routing.placing import Place
from services.routing.texts import Search
from shared.contracts.facts import LetterDiscarded, LetterErased, LetterNoted, LetterRead, LetterReclassified
from shared.contracts.types import Classification, InvalidReason, Nature
from shared.storage import StoreUnavailable
from tests.conftest import MONDAY, World, eventually
from tests.routing_desk import ABOUT, CLERK, DUTY, HEAD, OTHER, SLIP, UNIT_CLERK, Desk, desk_of, staff

BASIC = staff("education-basic")


async def ids(desk: Desk, path: str, who: tuple[str, ...]) -> list[str]:
    answer = await desk.get(path, who)
    assert answer.status_code == 200, answer.text
    return [row["letter_id"] for row in answer.json()["items"]]


async def finds(desk: Desk, path: str, who: tuple[str, ...], expected: list[str]) -> None:
    """Wait until a list is as expected, in its order: entries follow the letters a moment later."""

    async def there() -> bool:
        assert await ids(desk, path, who) == expected
        return True

    await eventually(there)


async def all_pages(desk: Desk, path: str, who: tuple[str, ...]) -> AsyncIterator[dict[str, Any]]:
    cursor = ""
    while True:
        answer = (await desk.get(path + cursor, who)).json()
        for row in answer["items"]:
            yield row
        if not answer["next"]:
            return
        cursor = f"&cursor={answer['next']}"


async def test_r10_2_a_unit_finds_its_own_letters_and_those_handed_to_it_and_no_others(world: World) -> None:
    async with desk_of(world) as desk:
        own = await desk.letter(mailbox="education", chosen_mailbox="education")
        handed = await desk.assigned()
        other = await desk.letter()
        await finds(desk, "mailboxes/education/letters?list=all&order=asc", UNIT_CLERK, sorted([own, handed]))
        await finds(desk, "mailboxes/mayor/letters?list=all&order=asc", CLERK, sorted([handed, other]))
        await finds(desk, "letters?order=asc", DUTY, sorted([own, handed, other]))
        assert await ids(desk, "mailboxes/water/letters?list=all", OTHER) == []
        assert (await desk.get("mailboxes/education/letters?list=all", OTHER)).status_code == 403
        assert (await desk.get("letters", UNIT_CLERK)).status_code == 403
        # What was withdrawn before it was collected is no longer theirs; what was handed on still is.
        await desk.done(f"{handed}/slips/s1/withdraw", CLERK, {"reason": "发错单位"})
        await finds(desk, "mailboxes/education/letters?list=all", UNIT_CLERK, [own])
        await desk.sent(own, "education", "water", "forward")
        await finds(desk, "mailboxes/water/letters?list=all", OTHER, [own])
        await finds(desk, "mailboxes/education/letters?state=waiting", UNIT_CLERK, [own])


async def test_r10_2_a_report_is_in_no_list_of_the_unit_that_it_is_about(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await finds(desk, "mailboxes/education/letters?text=路灯", UNIT_CLERK, [letter_id])
        report = Classification(
            nature=Nature.REPORT, domain=ABOUT.domain, region=ABOUT.region, reported_mailbox="education-basic"
        )
        await world.publish(LetterReclassified(letter_id=letter_id, at=MONDAY, before=ABOUT, after=report))
        for path in ("list=all", "text=路灯", "nature=report", "number=YFX-2026-1", "list=unread", "sort=due"):
            await finds(desk, f"mailboxes/education/letters?{path}", UNIT_CLERK, [])
            await finds(desk, f"mailboxes/education-basic/letters?{path}", BASIC, [])
        await finds(desk, "letters?nature=report", DUTY, [letter_id])
        # Even a duty officer's token helps nobody of that unit.
        assert await ids(desk, "letters", ("x", "education", "duty_officer")) == []


async def test_r3_1_the_unread_are_those_that_nobody_opened_and_the_noted_are_found_but_the_discarded_not(
    world: World,
) -> None:
    async with desk_of(world) as desk:
        unread, read, noted, gone = [await desk.letter(registered=False) for _ in range(4)]
        await finds(desk, "mailboxes/mayor/letters?list=unread", CLERK, sorted([unread, read, noted, gone]))
        await world.publish(
            LetterRead(letter_id=read, at=MONDAY),
            LetterNoted(letter_id=noted, at=MONDAY),
            LetterDiscarded(letter_id=gone, at=MONDAY, reason=InvalidReason.ADVERTISING),
        )
        await finds(desk, "mailboxes/mayor/letters?list=unread", CLERK, [unread])
        await finds(desk, "mailboxes/mayor/letters?state=read", CLERK, [read])
        await finds(desk, "mailboxes/mayor/letters?state=noted&text=路灯", CLERK, [noted])
        await finds(desk, "mailboxes/mayor/letters?list=all&order=asc", CLERK, sorted([unread, read, noted]))
        await finds(desk, "letters?order=asc", DUTY, sorted([unread, read, noted]))
        await world.publish(LetterErased(letter_id=gone, at=MONDAY, reason=InvalidReason.ADVERTISING))

        async def forgotten() -> bool:
            found = await desk.service.kit.store.collection("routing", "texts").find_one({"_id": gone})
            return not found["readable"] and "grams" not in found

        await eventually(forgotten)
        (row,) = (await desk.get("mailboxes/mayor/letters?list=unread", CLERK)).json()["items"]
        assert (row["place"], row["place_label"], row["stage"]) == ("unread", "未读", "arrived")


async def test_r3_2_every_classification_state_unit_day_and_number_filters(world: World) -> None:
    async with desk_of(world) as desk:
        water = await desk.letter()
        gas = await desk.letter(
            classification=Classification(nature=Nature.HELP, domain="utilities-gas", region="500105"),
            received_at=MONDAY - timedelta(days=3),
        )
        sent = await desk.assigned()
        await finds(desk, "letters?order=asc&list=all", DUTY, [gas, *sorted([water, sent])])
        await finds(desk, "mailboxes/mayor/letters?state=waiting", CLERK, [sent])
        both = sorted([water, sent])
        expected = {
            "nature=help": [gas],
            "nature=complaint&order=asc": both,
            "domain=utilities-gas": [gas],
            "domain=utilities&order=asc": [gas, *both],
            "region=500105": [gas],
            "region=500103&nature=help": [],
            "state=waiting": [sent],
            "unit=education": [sent],
            "unit=education-basic": [],
            "from=2026-03-02&order=asc": both,
            "to=2026-03-01": [gas],
            "from=2026-02-27&to=2026-02-27": [gas],
            "from=2026-02-28&to=2026-03-01": [],
            "dated=registered&from=2026-03-02&order=asc": [water, gas, sent],
            "dated=finished": [],
            f"number={quote('渝府信〔2026〕2号')}": [gas],
            f"number={quote('渝府信[2026]2')}": [gas],
            "number=yfx-2026-3": [sent],
            "number=YFX-2026-99": [],
            "sort=number&order=asc": [water, gas, sent],
            "sort=number&order=desc&nature=complaint": [sent, water],
            "list=pending&nature=complaint": [water],
            "list=in-hand&sort=due": [sent],
            "list=pending&state=sent": [],
        }
        for path, found in expected.items():
            if "dated=registered" in path:
                assert set(await ids(desk, f"mailboxes/mayor/letters?{path}", CLERK)) == set(found), path
            else:
                assert await ids(desk, f"mailboxes/mayor/letters?{path}", CLERK) == found, path


async def test_r6_1_what_is_due_soonest_comes_first_and_what_is_not_due_last(world: World) -> None:
    async with desk_of(world) as desk:
        late, soon = await desk.assigned(), await desk.assigned()
        plain = await desk.letter()
        await desk.due(late, "s1", "education", MONDAY + timedelta(days=9))
        await desk.due(soon, "s1", "education", MONDAY + timedelta(days=2))
        await finds(desk, "mailboxes/mayor/letters?list=all&sort=due", CLERK, [soon, late, plain])
        await finds(desk, "mailboxes/mayor/letters?list=in-hand&sort=due&order=desc", CLERK, [late, soon])
        await finds(desk, "mailboxes/education/letters?list=arrivals&sort=due", UNIT_CLERK, [soon, late])


async def test_r10_2_words_are_found_in_chinese_texts_whatever_their_width_case_and_punctuation(world: World) -> None:
    async with desk_of(world) as desk:
        lamp = await desk.letter()
        wifi = await desk.letter(subject="地铁站的ＷｉＦｉ信号", body="希望在1号线、环线各站都开通WiFi，谢谢！😀")
        road = await desk.letter(
            subject="小区后面的坏路", body="难走坏了鞋，这段坏路灯下也看不清，希望重铺，行走坏路太久了。"
        )
        for text, found in {
            "坏路": [road],
            "路灯坏了": [lamp],
            "灯坏路": [],
            "学校 孩子": [lamp],
            "学校 信号": [],
            "wifi": [wifi],
            "ＷＩＦＩ": [wifi],
            "1号线，环线": [wifi],
            "站各": [],
            "走坏路灯": [],  # all its bigrams occur, apart from each other
            "学校 灯": [lamp],
        }.items():
            await finds(desk, f"mailboxes/mayor/letters?text={quote(text)}", CLERK, found)


async def test_r10_2_common_words_and_few_letters_are_read_the_long_way_with_the_same_outcome(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with desk_of(world) as desk:
        letters = sorted([await desk.letter() for _ in range(9)])
        odd = await desk.letter(subject="桥上的护栏", body="护栏松动，路过的人很害怕，请修复。")
        everything = sorted([*letters, odd])
        await finds(desk, "mailboxes/mayor/letters?list=all&order=asc", CLERK, everything)
        monkeypatch.setattr(listing, "FEW", 2)
        monkeypatch.setattr(listing, "PASSED", 2)
        monkeypatch.setattr(listing, "WINDOWS", (3,))
        monkeypatch.setattr(listing, "SEARCHED", (4,))
        for path, found in {
            "text=修复": everything,
            "text=路灯": letters,
            "text=护栏": [odd],
            "text=路灯&nature=complaint&region=500103": letters,
            "nature=complaint&region=500103&state=pending": everything,
            "sort=number&nature=complaint": None,
            "nature=help&region=500103": [],
        }.items():
            for order in ("asc", "desc"):
                path_ = f"mailboxes/mayor/letters?{path}&order={order}&limit=3"
                rows = [row async for row in all_pages(desk, path_, CLERK)]
                seen = [row["letter_id"] for row in rows]
                assert len(seen) == len(set(seen)), path_
                if found is None:
                    serials = [int(row["number_ascii"].split("-")[-1]) for row in rows]
                    assert serials == sorted(range(1, 11), reverse=order == "desc")
                else:
                    assert seen == sorted(found, reverse=order == "desc"), path_
        # One request looks only so far, and says so.
        answer = (await desk.get("mailboxes/mayor/letters?text=路灯&limit=20&order=asc", CLERK)).json()
        assert answer["short"]
        assert 0 < len(answer["items"]) <= 4
        assert answer["next"]


async def test_r10_2_pages_show_every_letter_once_while_letters_come_and_move(world: World) -> None:
    async with desk_of(world) as desk:
        letters = [await desk.letter() for _ in range(7)]
        await finds(desk, "mailboxes/mayor/letters?list=all&order=asc", CLERK, sorted(letters))
        seen = []
        path = "mailboxes/mayor/letters?list=all&order=asc&limit=2"
        async for row in all_pages(desk, path, CLERK):
            seen.append(row["letter_id"])
            if len(seen) == 2:
                early = await desk.letter(received_at=MONDAY - timedelta(days=1))
                late = await desk.letter(received_at=MONDAY + timedelta(days=1))
                await desk.done(f"{letters[0]}/slips", CLERK, SLIP)
                await desk.done(f"{letters[0]}/slips/s1/approve", HEAD)
                await finds(desk, "mailboxes/mayor/letters?state=waiting", CLERK, [letters[0]])
                await finds(desk, "letters?order=desc&limit=1", DUTY, [late])
        assert seen == [*sorted(letters), late]
        assert early not in seen


async def test_r10_2_what_cannot_be_asked_is_refused_with_the_field_and_the_rule(world: World) -> None:
    async with desk_of(world) as desk:
        await desk.letter()
        await desk.letter()
        for path, field, rule in (
            ("nature=rumour", "query:nature", "R3.3"),
            ("domain=nothing", "query:domain", "R3.4"),
            ("region=1", "query:region", "R3.5"),
            ("state=lost", "query:state", "R10.2"),
            ("unit=nowhere", "query:unit", "R2.1"),
            ("from=yesterday", "query:from", "R10.2"),
            ("from=2026-03-02&to=2026-03-01", "query:to", "R10.2"),
            ("from=0001-01-01", "query:from", "R10.2"),
            ("number=17", "query:number", "R3.6"),
            (f"number={quote('无此信〔2026〕17号')}", "query:number", "R3.6"),
            ("text=灯", "query:text", "R10.2"),
            (f"text={quote('，。！')}", "query:text", "R10.2"),
            ("text=%00%ff", "query:text", "R10.2"),
            ("sort=subject", "query:sort", "R10.2"),
            ("order=up", "query:order", "R10.2"),
            ("list=returned&nature=help", "query:list", "R10.2"),
        ):
            answer = await desk.get(f"mailboxes/mayor/letters?{path}", CLERK)
            assert answer.status_code == 422, (path, answer.text)
            (error,) = answer.json()["errors"]
            assert (error["field"], error.get("rule")) == (field, rule), error
            assert error["message"], error
        await finds(desk, "mailboxes/mayor/letters?list=pending&nature=help", CLERK, [])
        cursor = (await desk.get("letters?limit=1", DUTY)).json()["next"]
        assert cursor
        answer = await desk.get(f"letters?limit=1&cursor={cursor}&nature=complaint", DUTY)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query:cursor")
        assert (await desk.get("letters?cursor=%00", DUTY)).status_code == 400
        live = (await desk.get("mailboxes/mayor/letters?limit=1", CLERK)).json()["next"]
        assert (await desk.get(f"letters?cursor={live}", DUTY)).status_code == 400


async def test_r10_2_what_a_correction_hides_is_hidden_at_once_and_not_only_once_its_entry_follows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Entries, letter_ids: Any) -> None:
        list(letter_ids)

    async with desk_of(world) as desk:
        letter_id = await desk.letter(mailbox="education", chosen_mailbox="education")
        await finds(desk, "mailboxes/education/letters?list=all", UNIT_CLERK, [letter_id])
        monkeypatch.setattr(Entries, "refresh", never)
        report = ABOUT.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": "education"})
        await world.publish(LetterReclassified(letter_id=letter_id, at=MONDAY, before=ABOUT, after=report))

        async def corrected() -> bool:
            state = (await desk.service.letters.aggregates.get(letter_id)).state
            return bool(state.letter.classification == report)

        await eventually(corrected)
        # Asked for by the duty office, so that it is not the caller's own mailbox from which it is kept.
        assert await ids(desk, "mailboxes/education/letters?list=all", DUTY) == []
        entries = desk.service.kit.store.collection("routing", "entries")
        assert await entries.count_documents({"mailbox": "education"}) == 1


async def test_a_crash_between_letter_and_entry_leaves_no_stale_entry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Entries.refresh
    died: list[list[str]] = []

    async def dies(self: Entries, letter_ids: Any) -> None:
        wanted = list(letter_ids)
        if len(died) < 2:
            died.append(wanted)
            raise StoreUnavailable("away between the letter and its entries")
        await write(self, wanted)

    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await finds(desk, "mailboxes/mayor/letters?state=pending", CLERK, [letter_id])
        monkeypatch.setattr(Entries, "refresh", dies)
        # Decided by a command: the letter itself moves at once, its entries when the fact comes round.
        await desk.done(f"{letter_id}/slips", CLERK, SLIP)
        await desk.done(f"{letter_id}/slips/s1/approve", HEAD)

        async def again() -> bool:
            return len(died) == 2

        await eventually(again, 40)
        await finds(desk, "mailboxes/education/letters?list=arrivals&nature=complaint", UNIT_CLERK, [letter_id])
        await finds(desk, "mailboxes/mayor/letters?state=pending", CLERK, [])


async def test_an_entry_made_from_an_older_letter_never_replaces_a_newer_one(world: World) -> None:
    async with desk_of(world) as desk:
        letter_id = await desk.letter()
        await finds(desk, "mailboxes/mayor/letters?state=pending", CLERK, [letter_id])
        entries = Entries(
            desk.service.kit.store, desk.service.letters.aggregates, desk.service.kit.directory, lambda c: (c,)
        )
        old = {f"{letter_id}|mayor": {"mailbox": "mayor", "letter": letter_id, "place": "unread", "received": "x"}}
        await entries._write(old, {f"{letter_id}|mayor": 1})
        await finds(desk, "mailboxes/mayor/letters?state=pending", CLERK, [letter_id])
        assert await ids(desk, "mailboxes/mayor/letters?list=unread", CLERK) == []


async def test_entries_rebuilt_from_the_topic_equal_the_live_ones(world: World) -> None:
    async def held(service: Any) -> dict[tuple[str, str], dict[str, Any]]:
        found = {}
        for name in ("entries", "texts"):
            async for document in service.kit.store.collection("routing", name).find({}):
                found[name, document["_id"]] = {k: v for k, v in document.items() if k not in {"as_of", "moved"}}
        return found

    async with desk_of(world) as desk:
        await desk.letter(registered=False)
        gone = await desk.letter(registered=False)
        await world.publish(LetterDiscarded(letter_id=gone, at=MONDAY, reason=InvalidReason.ADVERTISING))
        back = await desk.assigned()
        await desk.done(f"{back}/slips/s1/withdraw", CLERK, {"reason": "发错单位"})
        done = await desk.assigned(answer_by="assignee")
        await desk.due(done, "s1", "education", MONDAY + timedelta(days=14))
        await desk.done(f"{done}/handoffs/s1/collect", UNIT_CLERK)
        await desk.replied(done, "s1", "education")
        await finds(desk, "mailboxes/education/letters?list=all", UNIT_CLERK, [done])
        await finds(desk, "letters?list=finished&nature=complaint", DUTY, [done])
        await finds(desk, "mailboxes/mayor/letters?state=pending", CLERK, [back])

        async def complete() -> dict[tuple[str, str], dict[str, Any]] | None:
            found = await held(desk.service)
            whole = len(found) == (2 + 1) + (2 + 1) + (3 + 1) + (3 + 1)
            return found if whole and "place" not in found["entries", f"{gone}|mayor"] else None

        live = await eventually(complete)
    again = build(world.kit())
    await rebuild(again)
    assert await held(again) == live
    again.kit.store.close()


async def test_r10_2_every_list_filter_and_sort_reads_an_index_of_its_own_in_order(world: World) -> None:
    async with desk_of(world) as desk:
        await finds(desk, "letters", DUTY, [await desk.letter()])
        collection = desk.service.kit.store.collection("routing", "entries")
        entries = Entries(
            desk.service.kit.store, desk.service.letters.aggregates, desk.service.kit.directory, lambda c: (c,)
        )
        lists = Listing(entries, desk.service.part(Search))
        find, asked = type(collection).find, []

        def watched(self: Any, *arguments: Any, **named: Any) -> Any:
            cursor = find(self, *arguments, **named)
            if self.name == "entries":
                asked.append(cursor)
            return cursor

        queries = [Query("mayor", sort=sort, descending=down) for sort in Sort for down in (False, True)]
        queries += [
            Query("mayor", places=(Place.UNREAD,)),
            Query("mayor", places=(Place.PENDING,)),
            Query("", places=(Place.FINISHED,), descending=True),
            Query("", nature=Nature.HELP),
            Query("", domain=("a",)),
            Query("", domain=("a", "b")),
            Query("", domain=("a", "b", "c"), descending=True),
            Query("", region="500103"),
            Query("", unit="education"),
        ]
        expected = [keys(sort.value) for sort in Sort for _ in (False, True)]
        filters = ("place", "place", "place", "nature", "domain1", "domain2", "domain3", "region", "unit")
        expected += [keys(name, "received") for name in filters]
        assert set(filters) == set(FILTERS)
        assert [sort.value for sort in Sort] == list(SORTS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(collection), "find", watched)
            for query in queries:
                await lists.page(query, "2026", 10)
        assert len(asked) == len(queries)
        for cursor, query, index in zip(asked, queries, expected, strict=True):
            plan = str(await cursor.clone().explain())
            assert "_".join(f"{name}_1" for name, _ in index) in plan, (query, plan)
            assert "Sort Key" not in plan, (query, plan)
