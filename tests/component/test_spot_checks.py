"""Spot checks on real engines (R11.1): drawn from the rows of units and periods, recorded by several people, shown to whom they may be."""

import asyncio
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import httpx
from openpyxl import load_workbook

from services.reporting.app import build
from services.settings import SAMPLE
from shared.contracts.facts import LetterReceived, LetterReclassified
from shared.contracts.types import Classification, Nature
from tests.component.test_reporting import caught_up, packed, send
from tests.conftest import World
from tests.recount.lives import HORIZON, lives

YEAR = {"from": "2025-01-01", "to": "2026-01-01"}
UNITS = ["yuzhong", "wanzhou", "yubei"]
REPORTED = UNITS[0]


class Office:
    """The duty office's people, and others, at one started service."""

    def __init__(self, client: httpx.AsyncClient, world: World) -> None:
        self.client, self.world = client, world

    def as_(self, name: str) -> dict[str, str]:
        mailbox = name.partition("-clerk")[0] if name.endswith("-clerk") else "mayor"
        return self.world.token(name, mailbox, "clerk" if name.endswith("-clerk") else "duty_officer")

    async def ask(
        self, method: str, path: str, body: Any = None, by: str = "mayor-duty", **headers: str
    ) -> httpx.Response:
        return await self.client.request(method, f"/reporting{path}", json=body, headers={**self.as_(by), **headers})

    async def get(self, path: str, by: str = "mayor-duty") -> Any:
        answer = await self.ask("GET", path, by=by)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def draws(self, **wanted: Any) -> Any:
        answer = await self.ask("POST", "/spot-checks", {"units": UNITS, **YEAR, "size": 12, **wanted})
        assert answer.status_code == 201, answer.text
        assert answer.headers["Location"].endswith(answer.json()["id"])
        return answer.json()

    async def finds(self, check: Any, place: int, by: str, _if_match: str = "", **other: str) -> httpx.Response:
        answers = {item["id"]: "yes" for item in check["checklist"]["items"]}
        answers |= {name.replace("_", "-"): answer for name, answer in other.items()}
        headers = {"If-Match": _if_match} if _if_match else {}
        return await self.ask(
            "PUT", f"/spot-checks/{check['id']}/letters/{place}/result", {"answers": answers}, by, **headers
        )


async def test_r11_1_a_spot_check_from_the_draw_to_what_the_unit_sees(world: World) -> None:
    world.move_clock(HORIZON)
    service = build(world.kit(directory_file=SAMPLE))
    letters = list(lives(21, 400))
    async with world.running(service) as client:
        office = Office(client, world)
        await send(service, packed(letters))
        await caught_up(service)

        # The draw: its seed is shown and draws the same again; strata have their minimum.
        check = await office.draws(double=True)
        assert not check["seed_given"]
        assert len(check["letters"]) >= 12
        assert {one["unit"] for one in check["letters"]} == set(UNITS)
        assert all(one["drawn"] >= 1 for one in check["strata"])
        assert sum(one["population"] for one in check["strata"]) == check["population"] > len(check["letters"])
        again = await office.draws(seed=check["seed"], double=True)
        assert [one["letter_id"] for one in again["letters"]] == [one["letter_id"] for one in check["letters"]]
        assert again["population_hash"] == check["population_hash"]
        other = await office.draws(seed="another")
        assert [one["letter_id"] for one in other["letters"]] != [one["letter_id"] for one in check["letters"]]
        path = f"/spot-checks/{check['id']}"
        assert (await office.get(f"{path}/redraw"))["same_sample"]
        listed = await office.get("/spot-checks?limit=2")
        assert [one["id"] for one in listed["items"]] == [other["id"], again["id"]]
        rest = await office.get(f"/spot-checks?limit=2&cursor={listed['next']}")
        assert [one["id"] for one in rest["items"]] == [check["id"]]
        assert rest["next"] is None

        # What cannot be drawn is said.
        for wanted, status, words in (
            ({"units": ["nowhere"]}, 422, "no mailbox 'nowhere'"),
            ({"from": "2001-01-01", "to": "2001-02-01"}, 409, "nothing to draw from"),
            ({"from": "2025-02-01", "to": "2025-02-01"}, 422, "has no day"),
            ({"units": [], "size": 0}, 422, "/units"),
        ):
            refused = await office.ask("POST", "/spot-checks", {"units": UNITS, **YEAR, "size": 12, **wanted})
            assert refused.status_code == status, refused.text
            assert words in refused.text

        # Two readers: the second does not see the first; a stale edit and two at once are told.
        first = await office.finds(check, 1, "mayor-duty", '"0"', facts_checked="no")
        assert (first.status_code, first.headers["ETag"]) == (200, '"1"'), first.text
        seen = await office.get(f"{path}/letters/1", by="mayor-duty-2")
        assert (seen["findings"], seen["readings"], seen["progress"]) == ([], 1, "read_once")
        stale = await office.finds(check, 1, "mayor-duty-2", '"0"')
        assert (stale.status_code, stale.json()["current_version"]) == (409, 1)
        second = await office.finds(check, 1, "mayor-duty-2", '"1"')
        assert second.json()["differing"] == ["facts-checked"]
        assert len(second.json()["findings"]) == 2
        both = await asyncio.gather(
            *(office.finds(check, 2, who) for who in ("mayor-duty", "mayor-duty-2", "mayor-duty-3"))
        )
        assert sorted(one.status_code for one in both) == [200, 200, 409], "of three at once two are taken"
        assert (await office.get(f"{path}/letters/2"))["progress"] == "done"

        # The disagreement: the readers agree, or a third person says.
        settle = {"answers": {"facts-checked": "no"}}
        wrong = await office.ask("POST", f"{path}/letters/1/settle", {"answers": {"read-same-day": "no"}})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "/answers/read-same-day"), wrong.text
        settled = await office.ask("POST", f"{path}/letters/1/settle", settle, "mayor-duty-3")
        assert settled.json()["result"]["facts-checked"] == "no"
        counts = await office.get(f"{path}/counts")
        assert counts["total"]["done"] == 2
        assert counts["total"]["kappa"] is not None

        # The form to take along has the item heads, room to write, and what is known.
        answer = await office.ask("GET", f"{path}/form.xlsx")
        sheet = load_workbook(BytesIO(answer.content)).active
        assert sheet is not None
        assert check["seed"] in str(sheet["A1"].value)
        assert sheet.max_row == 2 + len(check["letters"])
        assert sheet.max_column == 7 + len(check["checklist"]["items"])
        assert [sheet.cell(3, column).value for column in (1, 6, 7)] == [1, "已查", "是"]
        assert sheet.cell(5, 7).value is None

        # Before it is closed no unit sees it; closing wants all letters, or a reason.
        clerk = f"{REPORTED}-clerk"
        assert (await office.ask("GET", path, by=clerk)).status_code == 403
        assert (await office.get(f"/mailboxes/{REPORTED}/spot-checks", by=clerk))["items"] == []
        early = await office.ask("POST", f"{path}/close", {})
        assert (early.status_code, early.json()["rule"]) == (409, "R11.1")
        for one in check["letters"][2:]:
            for who in ("mayor-duty", "mayor-duty-2"):
                assert (await office.finds(check, one["place"], who)).status_code == 200
        closed = await office.ask("POST", f"{path}/close", {})
        assert closed.json()["closed_at"] is not None, closed.text
        assert (await office.ask("POST", f"{path}/close", {})).json() == closed.json(), "again it is the same"
        late = await office.finds(check, 3, "mayor-duty", facts_checked="no")
        assert late.status_code == 409
        (shown,) = (await office.get(f"/mailboxes/{REPORTED}/spot-checks", by=clerk))["items"]
        mine = [one for one in check["letters"] if one["unit"] == REPORTED]
        assert [one["letter_id"] for one in shown["letters"]] == [one["letter_id"] for one in mine]
        assert all(one["findings"] == [] and one["result"] for one in shown["letters"]), "results, not who said what"
        assert (await office.ask("GET", "/mailboxes/wanzhou/spot-checks", by=clerk)).status_code == 403

        # A letter that turns out to be a report about the unit disappears for it, and the population has changed since.
        hidden = mine[0]["letter_id"]
        facts = next(facts for facts in letters if facts[0].letter_id == hidden)
        received = facts[0]
        assert isinstance(received, LetterReceived)
        about = received.classification
        after = Classification(
            nature=Nature.REPORT, domain=about.domain, region=about.region, reported_mailbox=REPORTED
        )
        changed = LetterReclassified(letter_id=hidden, at=datetime(2026, 6, 1, tzinfo=UTC), before=about, after=after)
        await send(service, packed([[*facts, changed]]))
        await caught_up(service)
        (shown,) = (await office.get(f"/mailboxes/{REPORTED}/spot-checks", by=clerk))["items"]
        assert [one["letter_id"] for one in shown["letters"]] == [one["letter_id"] for one in mine[1:]]
        assert shown["count"]["letters"] == len(mine) - 1
        redrawn = await office.get(f"{path}/redraw")
        assert not redrawn["same_population"]
        assert "另一样本" in redrawn["explanation"] or "样本相同" in redrawn["explanation"]
        assert len((await office.get(path))["letters"]) == len(check["letters"]), "the duty office still sees it"
        named = after.model_copy(update={"reported_people": ("mayor-duty-2",)})
        again_changed = LetterReclassified(
            letter_id=hidden, at=datetime(2026, 6, 2, tzinfo=UTC), before=after, after=named
        )
        await send(service, packed([[*facts, changed, again_changed]]))
        await caught_up(service)
        for_named = await office.get(path, by="mayor-duty-2")
        assert hidden not in str(for_named)
        assert (for_named["strata"], for_named["population"]) == (None, None)
        assert hidden in str(await office.get(path))

        # Nor do numbers tell them of it, of a redraw or of a sample that it is not in; others are told them.
        one = await office.draws(size=1, minimum=0)
        for who, told in (("mayor-duty", True), ("mayor-duty-2", False)):
            redrawn = await office.get(f"{path}/redraw", by=who)
            sample = await office.get(f"/spot-checks/{one['id']}", by=who)
            numbers = (redrawn["population"], redrawn["population_hash"], sample["strata"], sample["population"])
            assert [number is not None for number in numbers] == [told] * 4, who
