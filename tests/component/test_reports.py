"""A report (举报) never reaches whom it is about, on any path (R3.3, R10.2): each page, list, topic, metric and log is searched for it.

What is looked for stands nowhere but in the report: in its subject, its body, the name of its attachment. The search takes its paths from
the OpenAPI document, so that a new endpoint is searched as well, and is itself tested by somebody who may see it all.
"""

import logging
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from tests.access_table import BODIES
from tests.conftest import MONDAY, World, eventually
from tests.report_search import ALL, BODY, MARK, NO_GROUND, PHONE, SLIP, UNIT, Who, city_of


def report(**about: Any) -> dict[str, Any]:
    """A classification as a report."""
    return {"nature": "report", "domain": "utilities-power", "region": "500103", **about}


async def test_r3_3_a_report_about_a_unit_never_reaches_it_from_the_citizen_to_the_decision_on_publication(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with city_of(world) as city:
        letter_id = await city.submit("education", reported_mailbox="education")
        await city.nobody_finds(letter_id, UNIT[:1])
        await city.registered(letter_id)
        refused = await city.client.post(
            f"/routing/letters/{letter_id}/slips", json={**SLIP, "receiver": "education"}, headers=world.token(*ALL)
        )
        assert (refused.status_code, refused.json()["rule"]) == (422, "R4.2")
        await city.assigned(letter_id, "water", "s1")
        water = ("water-clerk", "water", "clerk", "head")
        await city.moved(letter_id, "handoffs/s1/collect", water)
        await city.moved(letter_id, "handoffs/s1/replies", water, {"text": f"{MARK}已核查。"})
        await city.moved(letter_id, "handoffs/s1/replies/r1/approve", ("water-gao", "water", "head"))
        await city.moved(letter_id, "answer", ALL, {**PHONE, "text": f"{MARK}已核查。"})
        text = {"subject": f"{MARK}问题", "body": BODY, "reply": f"{MARK}已核查。", **NO_GROUND}
        case = await city.does(ALL, "POST", f"/publication/cases/{letter_id}/prepare", text)
        decided = await city.client.post(
            f"/publication/cases/{letter_id}/approve",
            json={"text_hash": case["prepared"]["text_hash"]},
            headers=world.token("mayor-gao", "mayor", "head"),
        )
        assert (decided.status_code, decided.json()["rule"]) == (409, "R9.1")
        await city.settled(letter_id)
        await city.nobody_finds(letter_id, UNIT, "education", "education-basic")
        assert await city.figures("education") == {}
        assert await city.figures("education-basic") == {}

        found = await city.found_by(ALL, letter_id, only="get")
        assert {path.split("?")[0].split(" {")[0] for path in found} >= {
            f"GET /intake/letters/{letter_id}",
            f"GET /routing/letters/{letter_id}",
            f"GET /deadline/letters/{letter_id}",
            f"GET /publication/cases/{letter_id}",
            "GET /intake/mailboxes/mayor/letters",
            "GET /routing/mailboxes/mayor/letters",
            "GET /publication/mailboxes/mayor/cases",
        }, "the search does not find what is there"
        assert await city.heard("mayor", letter_id) > 0
        assert MARK not in caplog.text


async def test_r3_3_a_report_about_a_department_does_not_reach_its_unit_either(world: World) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("education", reported_mailbox="education-basic")
        await city.registered(letter_id)
        await city.assigned(letter_id, "water", "s1")
        await city.nobody_finds(letter_id, UNIT, "education", "education-basic")
        assert await city.figures("education") == {}


PEOPLE_CASES: Final = [
    ("甲负责", "mayor-head", "mayor"),
    ("甲值班", "mayor-duty", "mayor"),
    ("甲市长", "mayor-leader", "mayor"),
]


@pytest.mark.parametrize(("name", "subject", "mailbox"), PEOPLE_CASES, ids=[case[1] for case in PEOPLE_CASES])
async def test_r3_3_a_report_about_somebody_of_the_mayor_s_mailbox_is_hidden_from_that_person_alone(
    world: World, name: str, subject: str, mailbox: str
) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("mayor", reported_names=[name])
        clerk = ("mayor-clerk", "mayor", "clerk")
        named: Who = (subject, mailbox, "clerk", "head", "leader", "duty_officer")
        system: Who = ("mayor-system", "mayor", "unit_system")
        await city.registered(letter_id, clerk)
        await city.moved(letter_id, "slips", clerk, SLIP)
        assert await city.found_by(named, letter_id) == set()
        approval = await city.client.post(f"/routing/letters/{letter_id}/slips/s1/approve", headers=world.token(*named))
        assert approval.status_code == 404
        await city.moved(letter_id, "slips/s1/approve", ("mayor-gao", "mayor", "head"))
        await city.nobody_finds(letter_id, [named, (subject.upper(), *named[1:]), system], "mayor")
        assert "live running" not in await city.figures("mayor", named)
        assert "live running" in await city.figures("mayor") or await city.figures("water")
        assert any("/routing/letters/" in path for path in await city.found_by(clerk, letter_id, only="get"))


async def test_r3_3_a_report_about_somebody_of_a_unit_reaches_neither_the_unit_nor_the_person_in_another_office(
    world: World,
) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("education", reported_names=["丙 经办"])
        await city.registered(letter_id)
        await city.assigned(letter_id, "water", "s1")
        elsewhere = [
            ("education-clerk", "mayor", "duty_officer", "clerk", "head"),
            ("education-clerk", "water", "clerk"),
        ]
        await city.nobody_finds(letter_id, [*UNIT, *elsewhere], "education", "education-basic")
        assert await city.found_by(("water-clerk", "water", "clerk"), letter_id, only="get")


async def test_r3_3_what_turns_out_to_be_a_report_about_its_holder_vanishes_there_and_goes_on_above(
    world: World,
) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("mayor", nature="complaint")
        await city.registered(letter_id)
        await city.assigned(letter_id, "education", "s1", answer_by="assignee")
        clerk = UNIT[0]
        await city.moved(letter_id, "handoffs/s1/collect", clerk)
        await city.assigned(letter_id, "education-basic", "s2", clerk)
        assert len(await city.found_by(clerk, letter_id, only="get")) > 4
        assert (await city.figures("education"))["undertaken assigned"] == 1
        heard = {code: await city.heard(code, letter_id) for code in ("education", "education-basic")}
        assert all(heard.values())

        path = f"/intake/letters/{letter_id}/classification"
        await city.does(ALL, "PUT", path, report(reported_mailbox="education-basic"))
        await city.settled(letter_id)
        await city.nobody_finds(letter_id, UNIT)
        assert await city.figures("education") == {}
        assert await city.figures("education-basic") == {}

        world.move_clock(MONDAY + timedelta(days=40))

        async def urged() -> bool:
            kinds = [type(fact).__name__ for fact in await world.facts_of(letter_id)]
            assert "UrgingSent" in kinds, kinds
            return True

        await eventually(urged, 30)
        await city.settled(letter_id)
        board = (await city.client.get("/public/board.json")).json()
        assert board["entries"] == [], "the notice board would tell the unit"

        why = {"reason": "该件举报的是承办单位"}
        await city.moved(letter_id, "handoffs/s2/return", ALL, why)
        await city.moved(letter_id, "handoffs/s1/return", ALL, why)
        await city.assigned(letter_id, "water", "s3")
        view = await city.moved(letter_id, "handoffs/s3/collect", ("water-clerk", "water", "clerk"))
        assert view["holder"] == "water"
        await city.nobody_finds(letter_id, UNIT[:1])
        assert {code: await city.heard(code, letter_id) for code in heard} == heard, "it was told something more"


async def test_r3_3_what_turns_out_to_be_a_report_about_its_own_mailbox_is_screened_and_numbered_above(
    world: World,
) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("education", nature="complaint")
        clerk = ("education-li", "education", "clerk")
        assert await city.found_by(clerk, letter_id, only="get")
        heard = await city.heard("education", letter_id)
        path = f"/intake/letters/{letter_id}/classification"
        await city.does(clerk, "PUT", path, report(reported_people=["education-leader"]), status=204)
        await city.settled(letter_id)
        await city.nobody_finds(letter_id, [clerk])
        assert await city.heard("mayor", letter_id) == 1, "the mailbox above is told that it has come"
        mayor = ("mayor-clerk", "mayor", "clerk")
        view = await city.does(mayor, "POST", f"/intake/letters/{letter_id}/register")
        assert view["number_ascii"].startswith("YFX-"), "a gap in the unit's own numbers would tell of it"
        await city.settled(letter_id)
        await city.assigned(letter_id, "water", "s1", mayor)
        await city.nobody_finds(letter_id, [*UNIT, clerk])
        assert await city.figures("education") == {}
        assert (await city.figures("mayor"))["report"] == 1
        assert await city.heard("education", letter_id) == heard


async def test_r9_1_a_public_letter_that_turns_out_to_be_a_report_is_public_no_longer(world: World) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("mayor", nature="complaint")
        await city.registered(letter_id)
        await city.moved(letter_id, "slips", ALL, {**SLIP, "way": "direct", "receiver": "mayor", "answer_by": None})
        await city.moved(letter_id, "slips/s1/approve", ("mayor-gao", "mayor", "head"))
        await city.moved(letter_id, "answer", ALL, PHONE)
        text = {"subject": f"{MARK}问题", "body": BODY, "reply": "已核查。", **NO_GROUND}
        case = await city.does(ALL, "POST", f"/publication/cases/{letter_id}/prepare", text)
        approval = {"text_hash": case["prepared"]["text_hash"]}
        await city.does(("mayor-gao", "mayor", "head"), "POST", f"/publication/cases/{letter_id}/approve", approval)
        assert await city.found_by(None, letter_id), "the search does not find what is public"
        assert MARK in (await city.client.get("/public/letters.json")).text
        await city.does(ALL, "PUT", f"/intake/letters/{letter_id}/classification", report(reported_mailbox="education"))
        await city.settled(letter_id)
        await city.nobody_finds(letter_id, UNIT[:1])


async def test_r3_3_people_are_named_in_reports_only_and_by_clerks_as_the_directory_has_them(world: World) -> None:
    async with city_of(world) as city:
        letter_id = await city.submit("mayor", reported_names=["无此人"])
        path = f"/intake/letters/{letter_id}/classification"
        for wrong, field in (
            (report(reported_people=["nobody"]), "/reported_people/0"),
            (report(nature="complaint", reported_people=["mayor-head"]), "/reported_people"),
        ):
            answer = await city.client.put(path, json=wrong, headers=world.token(*ALL))
            (error,) = answer.json()["errors"]
            assert (answer.status_code, error["field"], error["rule"]) == (422, field, "R3.3")
        body = {**BODIES["POST /intake/letters"], "reported_names": ["王某"]}
        answer = await city.client.post("/intake/letters", json=body, headers={"Idempotency-Key": str(uuid4())})
        assert (answer.status_code, answer.json()["errors"][0]["rule"]) == (422, "R3.3")
