"""Entries that earlier mailboxes redirect to, and sites that post from the browser (R1.5)."""

from typing import Any
from uuid import uuid4

from services.intake.app import build
from tests.conftest import World
from tests.intake_desk import LETTER

PORTAL = "https://www.example.gov.cn/letters/new?to={mailbox}"
SITE = "https://www.example.gov.cn"


async def test_r1_5_a_mailbox_says_who_runs_it_and_where_to_write(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        card = (await client.get("/intake/mailboxes/water")).json()
        assert card == {
            "code": "water",
            "name": "重庆水务集团",
            "short_name": "水务集团",
            "kind": "public_enterprise",
            "kind_label": "公用企业",
            "responsible_department": "客户服务部",
            "takes_letters": True,
            "entry": "/intake/mailboxes/water/entry",
        }
        inside = (await client.get("/intake/mailboxes/education-basic")).json()
        assert (inside["takes_letters"], inside["entry"]) == (False, None)
        assert (await client.get("/intake/mailboxes/moon")).status_code == 404


async def test_r1_5_an_earlier_mailbox_s_link_leads_to_the_portal_s_form_for_the_right_mailbox(world: World) -> None:
    async with world.running(build(world.kit(portal_url=PORTAL))) as client:
        answer = await client.get("/intake/mailboxes/water/entry")
        assert (answer.status_code, answer.headers["Location"]) == (303, PORTAL.replace("{mailbox}", "water"))
        inside = await client.get("/intake/mailboxes/education-basic/entry")
        assert (inside.status_code, inside.json()["rule"]) == (409, "R2.1")
        assert (await client.get("/intake/mailboxes/moon/entry")).status_code == 404


async def test_r1_5_without_a_portal_the_entry_tells_other_sites_how_to_post_and_following_it_works(
    world: World,
) -> None:
    async with world.running(build(world.kit())) as client:
        how: dict[str, Any] = (await client.get("/intake/mailboxes/water/entry")).json()
        assert how["example"]["mailbox"] == "water"
        for path in (*how["choices"].values(), how["schema_at"]):
            assert (await client.get(path)).status_code == 200
        headers = {**how["headers"], "Idempotency-Key": str(uuid4())}
        posted = await client.post(how["post_to"], json=how["example"], headers=headers)
        assert posted.status_code == 202, posted.text


async def test_r1_5_only_sites_that_were_named_may_post_from_the_browser(world: World) -> None:
    asked = {
        "Origin": SITE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,idempotency-key",
    }
    async with world.running(build(world.kit(cors_origins=(SITE,)))) as client:
        allowed = await client.options("/intake/letters", headers=asked)
        assert allowed.headers["Access-Control-Allow-Origin"] == SITE
        posted = await client.post(
            "/intake/letters", json=LETTER, headers={"Origin": SITE, "Idempotency-Key": str(uuid4())}
        )
        assert (posted.status_code, posted.headers["Access-Control-Allow-Origin"]) == (202, SITE)
        stranger = await client.options("/intake/letters", headers=asked | {"Origin": "https://elsewhere.example"})
        assert "Access-Control-Allow-Origin" not in stranger.headers
        with_token = await client.options(
            "/intake/letters", headers=asked | {"Access-Control-Request-Headers": "authorization"}
        )
        assert with_token.status_code == 400


async def test_r1_5_no_site_may_post_from_the_browser_unless_it_was_named(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        answer = await client.get("/intake/mailboxes", headers={"Origin": SITE})
        assert "Access-Control-Allow-Origin" not in answer.headers
