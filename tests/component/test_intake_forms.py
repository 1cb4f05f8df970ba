"""Every field of a submission, with the odd texts that people and programs send: taken, or refused with field and rule (R2.1, R2.2)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient

from services.intake.app import build
from services.intake.erasure import Erasure
from tests.conftest import World
from tests.intake_desk import LETTER, arrived, submit

WANTED = {"name": "李明", "phone": "13800138000"}
REFUSED: list[tuple[str, Any, str, str]] = [
    # field, value, the field that the error names, its rule
    ("mailbox", "", "/mailbox", "R2.1"),
    ("mailbox", "MAYOR", "/mailbox", "R2.1"),
    ("mailbox", None, "/mailbox", "R2.1"),
    ("mailbox", "education-basic", "/mailbox", "R2.1"),
    ("subject", "三个字", "/subject", "R2.2"),
    ("subject", "　　　　　", "/subject", "R2.2"),
    ("subject", "路\u200b\u200b\u200b\u200b", "/subject", "R2.2"),
    ("subject", "\u3164\u3164\u3164\u3164", "/subject", "R2.2"),
    ("subject", "路\u3164\u3164\u3164", "/subject", "R2.2"),
    ("subject", "e\u0301\u0302\u0303\u0304", "/subject", "R2.2"),
    ("subject", "。。。。！！", "/subject", "R2.2"),
    ("subject", "😀😀😀😀", "/subject", "R2.2"),
    ("subject", "灯" * 61, "/subject", "R2.2"),
    ("subject", 1234, "/subject", "R2.2"),
    ("body", "只有九个字的来信。", "/body", "R2.2"),
    ("body", "路" + " " * 50 + "灯", "/body", "R2.2"),
    ("body", "\n" * 20, "/body", "R2.2"),
    ("body", "灯" * 5001, "/body", "R2.2"),
    ("body", "路灯坏了\x1b[31m半个多月", "/body", "R2.2"),
    ("sender", {**WANTED, "name": " 　"}, "/sender/name", "R2.2"),
    ("sender", {**WANTED, "name": "\u200b"}, "/sender/name", "R2.2"),
    ("sender", {**WANTED, "name": "***"}, "/sender/name", "R2.2"),
    ("sender", {**WANTED, "name": "名" * 51}, "/sender/name", "R2.2"),
    ("sender", {"name": "李明"}, "/sender", "R2.2"),
    ("sender", {"name": "李明", "phone": "", "email": " ", "address": ""}, "/sender", "R2.2"),
    ("sender", {"name": "李明", "phone": "12345678901"}, "/sender/phone", "R2.2"),
    ("sender", {"name": "李明", "phone": "23800138000"}, "/sender/phone", "R2.2"),
    ("sender", {"name": "李明", "phone": "13800138000/13900139000"}, "/sender/phone", "R2.2"),
    ("sender", {"name": "李明", "phone": 13800138000}, "/sender/phone", "R2.2"),
    ("sender", {"name": "李明", "phone": "没有", "address": "渝中区某路1号"}, "/sender/phone", "R2.2"),
    ("sender", {"name": "李明", "email": "li@@example.com"}, "/sender/email", "R2.2"),
    ("sender", {"name": "李明", "email": "li@localhost"}, "/sender/email", "R2.2"),
    ("sender", {"name": "李明", "email": "李明"}, "/sender/email", "R2.2"),
    ("sender", {"name": "李明", "address": "路口"}, "/sender/address", "R2.2"),
    ("sender", {"name": "李明", "address": "路" * 201}, "/sender/address", "R2.2"),
    ("sender", {**WANTED, "id_number": "1"}, "/sender/id_number", "R2.2"),
    ("sender", None, "/sender", "R2.2"),
    ("nature", "求助", "/nature", "R3.3"),
    ("domain", "", "/domain", "R3.4"),
    ("region", "999999", "/region", "R3.5"),
    ("may_publish", None, "/may_publish", "R2.2"),
    ("may_publish", "true", "/may_publish", "R2.2"),
    ("attachments", "x", "/attachments", "R2.2"),
    ("attachments", ["x"] * 6, "/attachments", "R2.2"),
    ("attachments", ["x" * 2001], "/attachments/0", "R2.2"),
    ("attachments", ["é.é"], "/attachments/0", "R2.2"),
]
TAKEN: list[tuple[str, Any, Any]] = [
    # field, value, what staff see of it
    ("subject", "路灯不亮", "路灯不亮"),
    ("subject", "灯" * 60, "灯" * 60),
    ("subject", "　路灯\n不亮　", "路灯 不亮"),
    ("subject", "\u202eＡＢＣ路灯\ufeff", "ＡＢＣ路灯"),
    ("subject", "👨\u200d👩\u200d👧路灯不亮", "👨\u200d👩\u200d👧路灯不亮"),
    ("subject", "<b>路灯</b> & “引号”", "<b>路灯</b> & “引号”"),
    ("body", "第一行写路灯\r\n第二行写路口\u2028第三行", "第一行写路灯\n第二行写路口\n第三行"),
    ("body", "灯" * 5000, "灯" * 5000),
    ("body", "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈𠀉", "𠀀𠀁𠀂𠀃𠀄𠀅𠀆𠀇𠀈𠀉"),
    ("body", "路灯\u200b已经坏了\u00ad半个多月了", "路灯已经坏了半个多月了"),
    ("sender", {"name": "迪丽·买买提", "phone": "１３８００１３８０００"}, {"phone": "+8613800138000"}),
    ("sender", {"name": "李", "phone": "023-63850000转8001", "email": ""}, {"phone": "+862363850000 转 8001"}),
    ("sender", {"name": "李", "phone": "００８６ 138-0013-8000"}, {"phone": "+8613800138000"}),
    ("sender", {"name": "李", "phone": "  ", "email": "ＬＩ＠example．com"}, {"email": "LI@example.com"}),
    ("sender", {"name": "李", "address": "渝中区人民路１号"}, {"address": "渝中区人民路１号"}),
]


@pytest.fixture
async def intake(world: World) -> Any:
    async with world.running(build(world.kit())) as client:
        yield client


async def test_r2_1_r2_2_every_field_that_is_wrong_is_refused_with_its_name_and_its_rule(intake: AsyncClient) -> None:
    wrong: list[Any] = []
    for field, value, named, rule in REFUSED:
        headers = {"Idempotency-Key": str(uuid4())}
        answer = await intake.post("/intake/letters", json={**LETTER, field: value}, headers=headers)
        errors = answer.json().get("errors", ()) if answer.status_code == 422 else ()
        found = [(error["field"], error.get("rule")) for error in errors]
        if (named, rule) not in found:
            wrong.append((field, value if len(str(value)) < 60 else "…", answer.status_code, found))
        if any(not error["message"] or "{" in error["message"] for error in errors):
            wrong.append((field, "a message says nothing", errors))
    assert not wrong


@pytest.mark.parametrize("field", ["mailbox", "subject", "body", "sender", "nature", "domain", "region", "may_publish"])
async def test_r2_2_a_field_that_is_missing_is_named(intake: AsyncClient, field: str) -> None:
    letter = {name: value for name, value in LETTER.items() if name != field}
    answer = await intake.post("/intake/letters", json=letter, headers={"Idempotency-Key": str(uuid4())})
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, f"/{field}")
    assert error["rule"][0] == "R"


async def test_r2_2_odd_texts_are_taken_as_they_were_meant(world: World, intake: AsyncClient) -> None:
    clerk = world.token("mayor-clerk", "mayor", "clerk")
    known: set[str] = set()
    for field, value, seen in TAKEN:
        await submit(intake, **{field: value})
        ids = set(await arrived(intake, world, len(known) + 1))
        (letter_id,) = ids - known
        known = ids
        letter = (await intake.get(f"/intake/letters/{letter_id}", headers=clerk)).json()
        if field == "sender":
            assert {name: letter["contact"][name] for name in seen} == seen
            assert letter["contact"]["name"] == value["name"]
        else:
            assert letter[field] == seen


async def test_r2_2_an_upload_can_be_named_for_a_day_and_counts_once(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        up = await client.post("/intake/attachments", files={"file": ("a.pdf", b"%PDF-1.7\n" + b"x" * 100)})
        signed = up.json()["attachment"]
        await submit(client, attachments=[signed, signed])
        (letter_id,) = await arrived(client, world)
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        files = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()["attachments"]
        assert len(files) == 1
        attachments = service.part(Erasure).attachments
        known = attachments.verify(signed)
        assert known is not None
        old = attachments.sign(known, datetime.now(UTC) - timedelta(days=1, minutes=1))
        late = await client.post(
            "/intake/letters", json={**LETTER, "attachments": [old]}, headers={"Idempotency-Key": str(uuid4())}
        )
        assert late.status_code == 422
        assert [(e["field"], e["rule"]) for e in late.json()["errors"]] == [("/attachments/0", "R2.2")]
