"""Floods of letters, uploads and look-ups on the page and by portals, with real time that is moved (R2.2)."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from altcha import solve_challenge
from altcha.v2 import Challenge, Payload

from deploy.engines import Engines
from tests.citizen_pages import FILLED, PDF, Shown
from tests.citizen_town import Town, opened
from tests.intake_desk import LETTER

LIMITS = {"upload_limit": "10/3600", "form_limit": "40/600", "challenge_busy": "", "challenge_numbers": 500}
PORTALS = {"portal_limit": "2/60", "portal_addresses": ("192.0.2.0/24",)}


@pytest.fixture(scope="module")
async def town(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """One town for the whole file."""
    async with opened(engines, keys, tmp_path_factory.mktemp("town"), **LIMITS, **PORTALS) as town:
        yield town


async def test_r2_2_a_flood_from_one_address_has_to_wait_and_loses_nothing(town: Town) -> None:
    neighbour, flooder = town.visitor(), town.visitor()
    sent = [await flooder.press(await town.written(flooder, {"subject": f"第{n}封来信"}), "send") for n in range(3)]
    assert [page.status for page in sent] == [200] * 3
    hurdle = await flooder.press(await town.written(flooder, {"subject": "第四封来信"}), "send")
    wait = int(hurdle.answer.headers["retry-after"])
    assert (hurdle.status, wait) == (429, 20)
    assert "请等候 20 秒，再按“发送”" in hurdle.text
    assert "第四封来信" in hurdle.text
    assert (await flooder.press(hurdle, "send")).status == 429, "not yet"
    assert (await neighbour.press(await town.written(neighbour), "send")).status == 200, "nobody else waits"
    town.later(wait)
    assert (await flooder.press(hurdle, "send")).status == 200
    assert len(await town.new_letters(5)) == 5


async def test_r2_2_a_solved_challenge_lets_a_letter_through_at_once(town: Town) -> None:
    citizen = town.visitor()
    empty = await citizen.open("/write")
    hurdle = await citizen.press(await citizen.press(empty, "check", FILLED), "send")
    assert hurdle.status == 429, "sent quicker than people can"
    proof = _solved(hurdle)
    assert (await citizen.press(hurdle, "send", {"solution": proof})).status == 200
    assert len(await town.new_letters()) == 1
    other = await citizen.press(
        await citizen.press(await citizen.open("/write"), "check", FILLED), "send", {"solution": proof}
    )
    assert other.status == 429, "one solution, one letter"
    changed = await citizen.press(await citizen.press(hurdle, "edit"), "check", {"subject": "另一件事情"})
    asked = await citizen.press(changed, "send")
    assert (asked.status, "可能已经发出过" in asked.text) == (409, True), (
        "asked at once, not put before work for nothing"
    )
    renewed = await citizen.press(asked, "send")
    assert renewed.status == 429, "another letter, another work"
    assert (await citizen.press(renewed, "send", {"solution": _solved(renewed)})).status == 200
    (letter,) = await town.new_letters()
    assert letter["subject"] == "另一件事情"


def _solved(hurdle: Shown) -> str:
    """What a browser hands in when it has done the work."""
    (work,) = hurdle.root.xpath("//*[@data-challenge]")
    challenge = Challenge.from_dict(json.loads(work.get("data-challenge")))
    solution = solve_challenge(challenge)
    assert solution is not None
    return Payload(challenge, solution).to_base64()


async def test_r2_2_uploads_and_forms_are_limited_too_and_say_when_to_go_on(town: Town) -> None:
    citizen = town.visitor()
    page = await citizen.open("/write")
    for _ in range(2):
        page = await citizen.press(page, "upload", FILLED, [(f"{n}.pdf", PDF) for n in range(5)])
        assert (page.status, len(page.root.xpath("//ul[@class='files']/li"))) == (200, 5)
        for _ in range(5):
            page = await citizen.press(page, "remove:0")
    page = await citizen.press(page, "upload", FILLED, [("一.pdf", PDF)])
    assert (page.status, page.answer.headers["retry-after"]) == (429, "360")
    assert "360 秒后再上传" in page.errors()["files"]
    assert page.values()["subject"] == FILLED["subject"]
    for _ in range(40):
        answer = await citizen.client.post("/write", data={"do": "edit"}, headers=citizen.headers)
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "刷新这一页" in answer.text


async def test_r1_5_portals_are_limited_where_that_is_set_but_for_the_city_s_own(town: Town) -> None:
    async def post(address: str) -> int:
        headers = {"Idempotency-Key": str(uuid4()), "X-Forwarded-For": address}
        answer = await town.client.post("/intake/letters", json=LETTER, headers=headers)
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "30"
            assert answer.json()["rule"] == "R2.2"
        return answer.status_code

    assert [await post("203.0.113.5") for _ in range(3)] == [202, 202, 429]
    assert [await post("192.0.2.8") for _ in range(3)] == [202] * 3
    assert len(await town.new_letters(5)) == 5
