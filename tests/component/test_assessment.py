"""The assessment on real engines (R11.4): scores from cells and spot checks, down to the letters, what-if, and what is issued."""

import json
from io import BytesIO
from typing import Any

import httpx
from openpyxl import load_workbook

from services.reporting.app import build
from services.settings import SAMPLE
from shared.contracts.facts import LetterReceived, LetterReclassified
from shared.contracts.types import Nature
from tests.component.test_reporting import caught_up, packed, send
from tests.conftest import World
from tests.recount.lives import HORIZON, lives

UNIT = "yuzhong"
PERIOD = "2025"
SPAN = {"from": "2025-01-01", "to": "2026-01-01"}
DUTY = ("mayor-duty", "mayor", "duty_officer")
CLERK = (f"{UNIT}-clerk", UNIT, "clerk")


async def get(client: httpx.AsyncClient, world: World, path: str, who: tuple[str, ...] = DUTY) -> Any:
    answer = await client.get(f"/reporting{path}", headers=world.token(*who))
    assert answer.status_code == 200, f"{path}: {answer.text}"
    return answer.json()


async def all_lines(client: httpx.AsyncClient, world: World, path: str, who: tuple[str, ...] = CLERK) -> list[Any]:
    """The letters of an indicator, page by page."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = await get(client, world, f"{path}&limit=7{cursor}", who)
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def unit_in(shown: Any, unit: str = UNIT) -> Any:
    return next(one for one in shown["units"] if one["unit"] == unit)


async def test_r11_4_a_score_opens_into_its_letters_and_an_issued_one_never_changes(world: World) -> None:
    world.move_clock(HORIZON)
    service = build(world.kit(directory_file=SAMPLE))
    letters = list(lives(22, 400))
    async with world.running(service) as client:
        duty, clerk = world.token(*DUTY), world.token(*CLERK)
        await send(service, packed(letters))
        await caught_up(service)

        # Indicators are the figures that everybody sees, divided.
        shown = await get(client, world, f"/assessments/{PERIOD}")
        assert shown["up_to_date"]
        assert shown["issued"] is None
        mine = unit_in(shown)
        figures = await get(client, world, f"/mailboxes/{UNIT}/figures?from={SPAN['from']}&to={SPAN['to']}")
        total = figures["undertaken"]["total"]
        lines = {line["id"]: line for line in mine["indicators"]}
        in_time, late = total["answered_in_time"], total["became_overdue"]
        assert (lines["in-time"]["numerator"], lines["in-time"]["denominator"]) == (in_time, in_time + late)
        assert in_time > 0
        assert late > 0
        assert (lines["urged"]["numerator"], lines["urged"]["denominator"]) == (total["urged"], total["assigned"])
        assert lines["read-on-the-day"]["denominator"] == figures["received"] > 0
        assert lines["spot-checks"]["points"] is None, "no spot check was closed"
        assert sum(line["weight_used"] for line in mine["indicators"]) == 100
        ranks = [one["rank"] for one in shown["units"] if one["group"] == "districts" and one["rank"]]
        assert ranks == sorted(ranks)
        assert ranks[0] == 1

        # Each number opens into its letters, in pages, each once.
        own = await get(client, world, f"/mailboxes/{UNIT}/assessments/{PERIOD}", CLERK)
        assert own["score"] == mine
        for name in ("in-time", "urged", "sent-back", "read-on-the-day", "published"):
            for part in ("numerator", "denominator"):
                path = f"/mailboxes/{UNIT}/assessments/{PERIOD}/indicators/{name}/letters?part={part}"
                found = await all_lines(client, world, path)
                assert sum(one["count"] for one in found) == lines[name][part], (name, part)
                places = [(one["day"], one["letter_id"], one["figure"]) for one in found]
                assert places == sorted(set(places))

        # A closed spot check counts, and opens into its letters as well.
        asked = {"units": [UNIT], **SPAN, "size": 3}
        check = (await client.post("/reporting/spot-checks", json=asked, headers=duty)).json()
        path = f"/reporting/spot-checks/{check['id']}"
        for one in check["letters"]:
            answers = {item["id"]: "yes" for item in check["checklist"]["items"]} | {"facts-checked": "no"}
            result = await client.put(f"{path}/letters/{one['place']}/result", json={"answers": answers}, headers=duty)
            assert result.status_code == 200, result.text
        assert (await client.post(f"{path}/close", json={}, headers=duty)).status_code == 200
        this_year = f"{HORIZON.year}"
        line = next(
            one
            for one in unit_in(await get(client, world, f"/assessments/{this_year}"))["indicators"]
            if one["id"] == "spot-checks"
        )
        weights = sum(item["weight"] for item in check["checklist"]["items"])
        assert (line["numerator"], line["denominator"]) == (
            len(check["letters"]) * (weights - 3),
            len(check["letters"]) * weights,
        )
        found = await all_lines(
            client, world, f"/mailboxes/{UNIT}/assessments/{this_year}/indicators/spot-checks/letters?part=denominator"
        )
        assert {one["letter_id"] for one in found} == {one["letter_id"] for one in check["letters"]}
        assert sum(one["count"] for one in found) == line["denominator"]

        # What if: another method gives other scores, is checked as the file is, and changes nothing.
        method = await get(client, world, "/assessment/method", CLERK)
        variant = method["method"]
        variant["indicators"] = [
            one | {"weight": 70} if one["id"] == "in-time" else one for one in variant["indicators"]
        ]
        wrong = await client.post(f"/reporting/assessments/{PERIOD}/what-if", json=variant, headers=duty)
        assert wrong.status_code == 422
        assert wrong.json()["errors"][0]["field"] == "/groups/districts"
        assert "make it 100" in wrong.text
        odd = json.dumps({**variant, "groups": [{"id": "\ud800"}]})
        answer = await client.post(
            f"/reporting/assessments/{PERIOD}/what-if",
            content=odd,
            headers={**duty, "Content-Type": "application/json"},
        )
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "/groups/?/id"
        variant["indicators"] = [one for one in variant["indicators"] if one["id"] in {"in-time", "urged"}]
        variant["indicators"][1]["weight"] = 30
        then = (await client.post(f"/reporting/assessments/{PERIOD}/what-if", json=variant, headers=duty)).json()
        moved = next(one for one in then["moved"] if one["unit"] == UNIT)
        assert moved["score_now"] == mine["score"] != moved["score"]
        assert (await get(client, world, f"/assessments/{PERIOD}")) == shown
        assert (
            (await get(client, world, "/assessment/method"))["hash"] == method["hash"] != then["scores"]["method_hash"]
        )

        # Issued once, after its end; a late fact changes the scores, never the issued ones.
        early = await client.post(f"/reporting/assessments/{this_year}/issue", headers=duty)
        assert (early.status_code, early.json()["rule"]) == (409, "R11.4")
        assert (await client.get(f"/reporting/assessments/{PERIOD}/issued", headers=duty)).status_code == 404
        issued = await client.post(f"/reporting/assessments/{PERIOD}/issue", headers=duty)
        assert issued.status_code == 201, issued.text
        assert issued.json()["method_hash"] == method["hash"]
        assert issued.json()["issued_by"]["subject"] == "mayor-duty"
        again = await client.post(f"/reporting/assessments/{PERIOD}/issue", headers=duty)
        assert (again.status_code, again.json()) == (200, issued.json())
        assert (await get(client, world, f"/assessments/{PERIOD}"))["issued"]["same_scores"]
        table = load_workbook(
            BytesIO((await client.get(f"/reporting/assessments/{PERIOD}/table.xlsx", headers=duty)).content)
        ).active
        assert table is not None
        row = next(row for row in table.iter_rows(min_row=3, values_only=True) if row[2] == mine["name"])
        assert row[:5] == ("区县政府", mine["rank"], mine["name"], mine["score"], in_time)

        # A letter that turns out to be a report about the unit leaves its figures, its letters and whom it names.
        late_path = f"/mailboxes/{UNIT}/assessments/{PERIOD}/indicators/in-time/letters?part=denominator"
        hidden = (await all_lines(client, world, late_path))[0]["letter_id"]
        facts = next(facts for facts in letters if facts[0].letter_id == hidden)
        first = facts[0]
        assert isinstance(first, LetterReceived)
        after = first.classification.model_copy(update={"nature": Nature.REPORT, "reported_mailbox": UNIT})
        changed = LetterReclassified(letter_id=hidden, at=HORIZON, before=first.classification, after=after)
        await send(service, packed([[*facts, changed]]))
        await caught_up(service)
        assert hidden not in {one["letter_id"] for one in await all_lines(client, world, late_path)}
        now = await get(client, world, f"/assessments/{PERIOD}")
        assert unit_in(now) != mine
        assert not now["issued"]["same_scores"]
        assert (await get(client, world, f"/assessments/{PERIOD}/issued")) == issued.json()

        # Who may not, what there is not.
        for path, status, who in (
            (f"/assessments/{PERIOD}", 403, clerk),
            ("/mailboxes/wanzhou/assessments/2025", 403, clerk),
            ("/mailboxes/mayor/assessments/2025", 404, duty),
            ("/assessments/2025-13", 422, duty),
            (f"/mailboxes/{UNIT}/assessments/2025/indicators/beauty/letters", 404, clerk),
            (f"/mailboxes/{UNIT}/assessments/2025/indicators/in-time/letters?cursor=x", 400, clerk),
        ):
            answer = await client.get(f"/reporting{path}", headers=who)
            assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text}"
