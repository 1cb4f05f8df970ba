"""Bulletins from facts to paper on real engines: what the loop issued is what leaders hold, in whatever form (R11.2, R11.3)."""

import io
from datetime import datetime

from openpyxl import load_workbook

from services.reporting.app import build
from shared.calendar.zone import SHANGHAI
from tests.component.test_reporting import START, caught_up, packed, send
from tests.component.test_reporting_issues import until_issued
from tests.conftest import World
from tests.histories import histories
from tests.paper import bare, needs_fonts, text_of

WEEK = "weekly-mayor-2026-W07"
UNIT = "monthly-education-2026-02"


@needs_fonts
async def test_r11_2_an_issued_week_is_the_same_as_page_paper_workbook_and_data(world: World) -> None:
    world.move_clock(datetime(2026, 3, 4, 9, tzinfo=SHANGHAI), rate=0)
    service = build(world.kit())
    staff = world.token("e-clerk", "education", "clerk")
    async with world.running(service) as client:
        await send(service, packed(histories(17, 150, START)))
        await caught_up(service)
        await until_issued(client, [f"weekly-mayor-2026-W0{number}" for number in range(4, 10)])
        data = (await client.get(f"/reporting/issues/{WEEK}")).json()
        received = data["figures"]["received"]
        page = (await client.get(f"/bulletins/{WEEK}")).text
        paper = text_of((await client.get(f"/reporting/issues/{WEEK}.pdf")).content)
        book = load_workbook(io.BytesIO((await client.get(f"/reporting/issues/{WEEK}.xlsx")).content))
        told = f"共收到来信{received}件"
        assert told in page
        assert told in paper
        natures = [tuple(row) for row in book["按性质"].iter_rows(min_row=3, values_only=True)]
        assert natures[-1][1] == received
        assert [row[1] for row in natures[:-1]] == [part["count"] for part in data["natures"]]
        for line in data["units"]:
            assert line["name"] in page
            assert bare(line["name"]) in paper
        for form in (page, paper):
            assert data["hash"] in form
        assert f'href="/bulletins/{WEEK}"' in (await client.get("/bulletins")).text

        # The running week is a preview on every path.
        now = "weekly-mayor-2026-W10"
        assert "尚未印发" in (await client.get(f"/bulletins/{now}")).text
        assert "尚未印发" in text_of((await client.get(f"/reporting/issues/{now}.pdf")).content)
        assert "尚未印发" in (await client.get("/reporting/weeks/2026-W10/page")).text
        assert f'href="/bulletins/{WEEK}"' in (await client.get("/reporting/weeks/2026-W07/page")).text

        # A unit's report is for the unit (R11.3).
        for path in (f"/bulletins/{UNIT}", f"/reporting/issues/{UNIT}.pdf", f"/reporting/issues/{UNIT}.xlsx"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, headers=world.token("w", "water", "clerk"))).status_code == 403
            mine = await client.get(path, headers=staff)
            assert mine.status_code == 200
            assert "public" not in mine.headers["cache-control"]
