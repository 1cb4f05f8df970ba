"""Bulletins on real engines with a moved clock: Monday comes, one number each, corrections, freeze, who may read them (R11.2, R11.3)."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

import httpx
import pytest

from services.rebuild import rebuild
from services.reporting.app import build
from services.reporting.issue_store import Issues, Revisions
from services.reporting.issue_view import IssueView
from services.reporting.issuing import Issuing
from services.reporting.periods import parse_week
from services.reporting.repository import Cells
from shared.contracts.facts import LetterReceived, LetterReclassified
from shared.contracts.types import Classification, Nature
from tests.component.test_reporting import START, packed, send
from tests.conftest import World, eventually
from tests.histories import histories, recount

DUTY = ("mayor-duty", "mayor", "duty_officer")
WEEKLY = ["weekly-mayor-2026-W04", "weekly-mayor-2026-W05", "weekly-mayor-2026-W06"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+08:00")


async def listed(client: httpx.AsyncClient, headers: Any = None, **query: Any) -> list[dict[str, Any]]:
    """All numbers that a caller sees, the oldest first."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {**query, "limit": 2, **({"cursor": cursor} if cursor else {})}
        answer = (await client.get("/reporting/issues", params=asked, headers=headers)).json()
        found += answer["items"]
        cursor = answer["next"]
        if cursor is None:
            return found[::-1]


async def until_issued(client: httpx.AsyncClient, ids: Iterable[str], headers: Any = None, **query: Any) -> None:
    """Wait until exactly these numbers are issued, each after the one before."""
    wanted = list(ids)

    async def there() -> bool:
        found = [line["id"] for line in await listed(client, headers, **query)]
        assert found == wanted, found
        return True

    await eventually(there, 60)


def letter(name: str, moment: datetime, nature: Nature = Nature.HELP) -> LetterReceived:
    return LetterReceived(
        letter_id=name,
        at=moment,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject="路灯不亮",
        body="路灯已经坏了三天。",
        classification=Classification(nature=nature, domain="utilities-power", region="500103"),
        may_publish=True,
    )


def corrected(fact: LetterReceived, moment: datetime, nature: Nature) -> LetterReclassified:
    after = fact.classification.model_copy(update={"nature": nature})
    return LetterReclassified(letter_id=fact.letter_id, at=moment, before=fact.classification, after=after)


def numbered(lines: list[dict[str, Any]]) -> list[tuple[str, int, int, int]]:
    return [(line["period"], line["year"], line["serial"], line["total_serial"]) for line in lines]


def corrections_of(view: dict[str, Any]) -> set[tuple[str, str, str | None, int, int]]:
    return {(c["issue"], c["figure"], c["of"], c["was"], c["now"]) for c in view["corrections"]}


async def test_r11_2_missed_mondays_are_made_up_once_each_in_order_by_two_replicas_and_stay_as_issued(
    world: World,
) -> None:
    """Two replicas start three Mondays late; a late fact changes an old week; a rebuild changes nothing."""
    world.move_clock(at("2026-02-12T09:00"))
    letters = histories(16, 80, START)
    first, second = build(world.kit()), build(world.kit())
    late = letter("late-letter", at("2026-01-28T10:00"))
    async with world.running(first) as client, world.running(second):
        await world.publish(late)
        await send(first, packed(letters))
        await until_issued(client, WEEKLY, series="weekly")
        assert numbered(await listed(client, series="weekly")) == [
            ("2026-W04", 2026, 1, 1),
            ("2026-W05", 2026, 2, 2),
            ("2026-W06", 2026, 3, 3),
        ]
        views = {name: (await client.get(f"/reporting/issues/{name}")).json() for name in WEEKLY}
        for name, view in views.items():
            assert IssueView.model_validate(view).id == name
            week = parse_week(view["period"])
            expected = recount([*letters, [late]], "mayor", week.starts_at, week.ends_at)
            assert view["figures"]["received"] == expected["received"], name
            assert view["figures"]["open_letters"] == expected["open_letters"], name
            shown = {unit["mailbox"]: unit for unit in view["units"]}
            for figure in (
                "assigned",
                "answered_in_time",
                "answered_late",
                "overdue",
                "extended",
                "sent_back",
                "urged",
            ):
                for unit, line in shown.items():
                    assert line[figure] == expected[f"assigned/{unit}/{figure}"], (name, unit, figure)
            assert view["corrections"] == []
            content = {key: value for key, value in view.items() if key != "hash"}
            text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            assert sha256(text.encode()).hexdigest() == view["hash"], "a reader cannot check the hash"
        assert views[WEEKLY[0]]["before"] is None
        assert views[WEEKLY[1]]["before"] == views[WEEKLY[0]]["figures"]
        assert [point["period"] for point in views[WEEKLY[2]]["curve"]] == ["2026-W04", "2026-W05", "2026-W06"]
        assert views[WEEKLY[2]]["curve"][-1]["received"] == views[WEEKLY[2]]["figures"]["received"]
        open_ = views[WEEKLY[2]]["longest_open"]
        assert [line["since"] for line in open_] == sorted(line["since"] for line in open_) != []
        running = (await client.get("/reporting/weeks/2026-W07")).json()
        assert (running["issue"], (await client.get("/reporting/weeks/2026-W06")).json()["issue"]) == (None, WEEKLY[2])
        preview = (await client.get("/reporting/issues/weekly-mayor-2026-W07")).json()
        assert (preview["serial"], preview["hash"], preview["issued_at"]) == (None, None, None)
        assert preview["figures"]["received"] == running["figures"]["received"]
        unissued = (await client.get("/reporting/issues/weekly-mayor-2026-W07/verification")).json()
        assert (unissued["intact"], unissued["issued_hash"]) == (None, None)

        # A late fact: the letter of W05 was a complaint. W05 stays; W07 says so; W08 does not say it again.
        await world.publish(corrected(late, at("2026-02-12T10:00"), Nature.COMPLAINT))
        w05 = WEEKLY[1]
        was = {part["code"]: part["count"] for part in views[w05]["natures"]}

        async def counted() -> bool:
            now = (await client.get("/reporting/weeks/2026-W05")).json()["figures"]["natures"]
            return {p["code"]: p["count"] for p in now}["complaint"] == was["complaint"] + 1

        await eventually(counted)
        world.move_clock(at("2026-02-16T00:59"))
        assert len(await listed(client, series="weekly")) == 3
        world.move_clock(at("2026-02-16T01:00"))
        await until_issued(client, [*WEEKLY, "weekly-mayor-2026-W07"], series="weekly")
        following = (await client.get("/reporting/issues/weekly-mayor-2026-W07")).json()
        assert corrections_of(following) == {
            (w05, "nature", "求助", was["help"], was["help"] - 1),
            (w05, "nature", "投诉", was["complaint"], was["complaint"] + 1),
        }
        world.move_clock(at("2026-02-23T01:30"))
        await until_issued(client, [*WEEKLY, "weekly-mayor-2026-W07", "weekly-mayor-2026-W08"], series="weekly")
        assert (await client.get("/reporting/issues/weekly-mayor-2026-W08")).json()["corrections"] == []
        for name, view in views.items():
            assert (await client.get(f"/reporting/issues/{name}")).json() == view, "an issued number was altered"

    # Rows and cells are thrown away and made anew: the record of bulletins stays, and nothing is corrected.
    again = build(world.kit())
    await rebuild(again)
    async with world.running(again) as client:
        world.move_clock(at("2026-03-02T02:00"))
        nine = [*WEEKLY, *(f"weekly-mayor-2026-W{number:02}" for number in (7, 8, 9))]
        await until_issued(client, nine, series="weekly")
        assert (await client.get("/reporting/issues/weekly-mayor-2026-W09")).json()["corrections"] == []
        assert (await client.get(f"/reporting/issues/{w05}")).json() == views[w05]

        # Whoever alters the store is found out.
        path = f"/reporting/issues/{w05}/verification"
        assert (await client.get(path)).json()["intact"] is True
        kept = Issues(again.kit.store).collection
        content = (await kept.find_one({"_id": w05}))["content"]
        await kept.update_one({"_id": w05}, {"$set": {"content": content.replace('"serial":2', '"serial":3')}})
        verified = (await client.get(path)).json()
        assert (verified["intact"], verified["issued_hash"]) == (False, views[w05]["hash"])
        assert verified["content_hash"] != views[w05]["hash"]


async def test_r11_2_numbers_begin_anew_with_the_year_week_53_included_and_a_year_is_summed_up(world: World) -> None:
    world.move_clock(at("2027-01-12T09:00"))
    service = build(world.kit())
    async with world.running(service) as client:
        await world.publish(
            letter("a", at("2026-12-16T10:00")),
            letter("b", at("2026-12-30T10:00")),
            letter("c", at("2027-01-03T23:59")),
        )
        ids = [f"weekly-mayor-{week}" for week in ("2026-W51", "2026-W52", "2026-W53", "2027-W01")]
        await until_issued(client, ids, series="weekly")
        assert numbered(await listed(client, series="weekly")) == [
            ("2026-W51", 2026, 1, 1),
            ("2026-W52", 2026, 2, 2),
            ("2026-W53", 2027, 1, 3),
            ("2027-W01", 2027, 2, 4),
        ]
        assert [line["id"] for line in await listed(client, year=2027, series="weekly")] == ids[2:]
        week_53 = (await client.get(f"/reporting/issues/{ids[2]}")).json()
        assert (week_53["figures"]["received"], week_53["last_day"]) == (2, "2027-01-03")
        await until_issued(client, ["yearly-mayor-2026"], series="yearly")
        year = (await client.get("/reporting/issues/yearly-mayor-2026")).json()
        assert (year["figures"]["received"], year["serial"], year["title"]) == (2, 1, "市长信箱工作年报")
        assert year["main_recipients"] == ["市政府领导"]


async def test_r11_2_a_number_is_made_only_once_every_fact_is_counted_and_a_crash_leaves_no_gap_and_no_twin(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.move_clock(at("2026-03-02T00:30"))
    service = build(world.kit())
    mark, sweep, issue, clear = Cells.mark, Issuing.sweep, Issues.issue, Revisions.clear
    counting, swept, crashes = asyncio.Event(), 0, Counter[str]()

    async def slow(self: Cells, keys: Iterable[str]) -> None:
        await counting.wait()
        await mark(self, keys)

    async def watched(self: Issuing) -> None:
        nonlocal swept
        await sweep(self)
        swept += 1

    async def killed_before(self: Issues, view: IssueView) -> Any:
        crashes["before"] += 1
        if crashes["before"] == 1:
            raise RuntimeError("killed before the number was written")
        return await issue(self, view)

    async def killed_after(self: Revisions, marks: Any) -> None:
        crashes["after"] += 1
        if crashes["after"] == 2:  # the number that carries the corrections
            raise RuntimeError("killed after the number was written")
        await clear(self, marks)

    monkeypatch.setattr(Cells, "mark", slow)
    monkeypatch.setattr(Issues, "issue", killed_before)
    monkeypatch.setattr(Revisions, "clear", killed_after)
    service.sweeps_of_one["issues"] = lambda: watched(issuing)
    issuing = service.part(Issuing)
    async with world.running(service) as client:
        counting.set()
        one = letter("one", at("2026-02-25T10:00"))
        await world.publish(one)

        async def one_counted() -> bool:
            week = (await client.get("/reporting/weeks/2026-W09")).json()
            return bool(week["figures"]["received"] == 1)

        await eventually(one_counted)
        counting.clear()
        await world.publish(letter("two", at("2026-03-01T23:59")))

        async def written() -> bool:
            return await service.letters.aggregates.count({}) == 2

        await eventually(written)

        async def looked_for() -> bool:
            return any(run.mailbox == "mayor" for run in issuing._next)

        await eventually(looked_for)
        world.move_clock(at("2026-03-02T01:30"))
        since = swept

        async def swept_often() -> bool:
            return swept >= since + 5

        await eventually(swept_often)
        assert await listed(client) == [], "issued before its facts were counted"
        counting.set()
        await until_issued(client, ["weekly-mayor-2026-W09"], series="weekly")
        assert (await client.get("/reporting/issues/weekly-mayor-2026-W09")).json()["figures"]["received"] == 2
        await world.publish(corrected(one, at("2026-03-02T02:00"), Nature.INQUIRY))
        world.move_clock(at("2026-03-09T01:30"))
        await until_issued(client, ["weekly-mayor-2026-W09", "weekly-mayor-2026-W10"], series="weekly")

        async def all_crashed() -> bool:
            return crashes["before"] >= 2 and crashes["after"] >= 2

        await eventually(all_crashed)
        world.move_clock(at("2026-03-16T01:30"))
        ids = [f"weekly-mayor-2026-W{number:02}" for number in (9, 10, 11)]
        await until_issued(client, ids, series="weekly")
        assert [line["serial"] for line in await listed(client, series="weekly")] == [1, 2, 3]
        said = [corrections_of((await client.get(f"/reporting/issues/{name}")).json()) for name in ids]
        assert [len(one) for one in said] == [0, 2, 0], "a correction was lost or said twice"


async def test_r11_3_a_unit_reads_its_own_reports_the_duty_office_all_and_everybody_the_weekly(world: World) -> None:
    world.move_clock(at("2026-03-02T09:00"))
    letters = histories(17, 40, START)
    service = build(world.kit())
    async with world.running(service) as client:
        await send(service, packed(letters))
        duty = world.token(*DUTY)
        own = world.token("education-clerk", "education", "clerk")
        department = world.token("education-basic-clerk", "education-basic", "clerk")
        stranger = world.token("water-clerk", "water", "clerk")
        await until_issued(
            client, ["monthly-education-2026-01", "monthly-education-2026-02"], duty, mailbox="education"
        )
        report = "/reporting/issues/monthly-education-2026-02"
        for headers, status in ((own, 200), (department, 200), (duty, 200), (stranger, 403), (None, 401)):
            assert (await client.get(report, headers=headers)).status_code == status
            assert (await client.get(f"{report}/verification", headers=headers)).status_code == status
            query = "/reporting/issues?mailbox=education"
            assert (await client.get(query, headers=headers)).status_code == status
        view = (await client.get(report, headers=own)).json()
        month = recount(letters, "education", at("2026-02-01T00:00"), at("2026-03-01T00:00"))
        assert (view["title"], view["issuer"], view["undertaken"]) == ("信箱工作月报", "委办公室", True)
        assert view["figures"]["received"] == month["received"]
        line = {c["figure"]: c["now"] for c in view["comparisons"]}
        sent = sum(n for name, n in month.items() if name.startswith("undertaken/") and name.endswith("/assigned"))
        assert line["assigned"] == sent > 0
        everybody = {"mayor", "education", "water", "yuzhong"}

        async def all_issued() -> bool:
            return {line["mailbox"] for line in await listed(client, duty)} == everybody

        await eventually(all_issued)
        for who, sees in ((own, {"mayor", "education"}), (department, {"mayor", "education"}), (None, {"mayor"})):
            assert {line["mailbox"] for line in await listed(client, who)} == sees

        # Errors teach.
        for path, status in (
            ("/reporting/issues/weekly-mayor-2026-W40", 404),
            ("/reporting/issues/weekly-mayor-2026-W54", 404),
            ("/reporting/issues/weekly-mayor-2026-W40/verification", 404),
            ("/reporting/issues?series=daily", 422),
            ("/reporting/issues?year=1", 422),
            ("/reporting/issues?cursor=x", 400),
            ("/reporting/issues?mailbox=nowhere", 404),
        ):
            refused = await client.get(path, headers=duty)
            assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json"), path
        assert (await client.get("/reporting/issues/monthly-nowhere-2026-01", headers=duty)).status_code == 404
