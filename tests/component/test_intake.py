"""Intake on real engines: the front door, screening, the register."""

import asyncio
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response

from deploy.parked import decide, listed
from services.intake import domain
from services.intake.app import build
from services.intake.contacts import Contacts
from services.intake.handlers import Registrar
from services.rebuild import rebuild
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import HandoffSent, LetterDiscarded, LetterReceived, LetterReclassified, LetterRegistered
from shared.contracts.mailbox import ContactDisclosed, LetterArrived
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Actor, AnswerBy, InvalidReason, Number
from shared.security.receipts import receipt_code
from tests.conftest import MONDAY, World, eventually
from tests.intake_desk import LETTER, arrived, submit, unread


async def test_r2_2_a_letter_is_received_read_and_registered(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt = (await submit(client))["receipt"]
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        read = await client.post(f"/intake/letters/{letter_id}/read", headers=clerk)
        assert read.json()["stage"] == "read"
        registered = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk)
        assert registered.json()["number"] == "渝府信〔2026〕1号"
        assert registered.json()["contact"] == {
            "name": "李明",
            "phone": "+8613800138000",
            "email": None,
            "address": None,
        }
        standing = await client.get(f"/intake/receipts/{receipt}")
        assert standing.json()["number"] == "渝府信〔2026〕1号"
        assert standing.json()["state"] == "已登记，拟办中"
        assert "李明" not in standing.text

        async def published() -> bool:
            return any(isinstance(f, LetterRegistered) for f in await world.facts_of(letter_id))

        await eventually(published)
        await world.settled("intake")
        told = await world.messages("mailbox.mayor")
        assert [type(message) for message in told] == [LetterArrived]
        facts = await world.facts_of(letter_id)
        assert isinstance(facts[0], LetterReceived)
        assert all(b"13800138000" not in record.value for record in await world.records("letters"))


async def test_r2_2_the_same_submission_twice_makes_one_letter_with_one_receipt(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        answers = [await submit(client, "the-same-key") for _ in range(3)]
        assert len({answer["receipt"] for answer in answers}) == 1
        await submit(client, "another-key", mailbox="water")
        await arrived(client, world, 1, "water")
        assert len(await unread(client, world)) == 1
        other = await client.post(
            "/intake/letters", json=LETTER | {"subject": "另一封来信"}, headers={"Idempotency-Key": "the-same-key"}
        )
        assert other.status_code == 422
        assert other.json()["rule"] == "R2.2"


@pytest.mark.parametrize(
    ("changes", "field", "rule"),
    [
        ({"mailbox": "moon"}, "/mailbox", "R2.1"),
        ({"mailbox": "education-basic"}, "/mailbox", "R2.1"),
        ({"subject": "路灯"}, "/subject", "R2.2"),
        ({"subject": "！！！！！！"}, "/subject", "R2.2"),
        ({"subject": "路" * 61}, "/subject", "R2.2"),
        ({"body": "太短"}, "/body", "R2.2"),
        ({"body": "路" * 5001}, "/body", "R2.2"),
        ({"body": "路灯坏了半个多月\x00希望修好"}, "/body", "R2.2"),
        ({"sender": {"phone": "13800138000"}}, "/sender/name", "R2.2"),
        ({"sender": {"name": "李明"}}, "/sender", "R2.2"),
        ({"sender": {"name": "李明", "phone": "12345678901"}}, "/sender/phone", "R2.2"),
        ({"sender": {"name": "李明", "email": "li@@example.com"}}, "/sender/email", "R2.2"),
        ({"nature": "gossip"}, "/nature", "R3.3"),
        ({"domain": "moon"}, "/domain", "R3.4"),
        ({"region": "110101"}, "/region", "R3.5"),
        ({"may_publish": "maybe"}, "/may_publish", "R2.2"),
        ({"reported_mailbox": "water"}, "/reported_mailbox", "R3.3"),
        ({"nature": "report", "reported_mailbox": "mayor"}, "/reported_mailbox", "R3.0"),
        ({"attachments": ["forged.token"]}, "/attachments/0", "R2.2"),
        ({"attachments": ["x"] * 6}, "/attachments", "R2.2"),
    ],
)
async def test_r2_1_r2_2_r3_3_r3_4_r3_5_every_wrong_field_is_named_with_its_rule(
    intake: AsyncClient, changes: dict[str, Any], field: str, rule: str
) -> None:
    answer = await intake.post("/intake/letters", json=LETTER | changes, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (field, rule) in {(error["field"], error.get("rule")) for error in answer.json()["errors"]}


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {"Idempotency-Key": "12345678"}, 400),
        (b"[]", {"Idempotency-Key": "12345678"}, 422),
        (b"null", {"Idempotency-Key": "12345678"}, 422),
        (b"\xff\xfe", {"Idempotency-Key": "12345678"}, 400),
        (b"{}", {}, 400),
        (b"{}", {"Idempotency-Key": "short"}, 400),
        (b"{" + b" " * 200_000 + b"}", {"Idempotency-Key": "12345678"}, 413),
    ],
)
async def test_bad_requests_are_problems_and_never_server_errors(
    intake: AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await intake.post(
        "/intake/letters", content=content, headers={"Content-Type": "application/json"} | headers
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture
async def intake(world: World) -> Any:
    async with world.running(build(world.kit())) as client:
        yield client


async def test_r2_2_wrong_receipts_cost_the_guesser_time_and_typing_errors_do_not(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt = (await submit(client))["receipt"]
        await arrived(client, world)
        typo = ("2" if receipt[0] != "2" else "3") + receipt[1:]
        for _ in range(10):
            answer = await client.get(f"/intake/receipts/{typo}")
            assert (answer.status_code, answer.json()["rule"]) == (422, "R2.2")
        shuffled = [await client.get(f"/intake/receipts/{code}") for code in VALID_BUT_UNKNOWN]
        assert [answer.status_code for answer in shuffled] == [404] * 6 + [429]
        assert int(shuffled[-1].headers["Retry-After"]) >= 1
        assert (await client.get(f"/intake/receipts/{receipt}")).status_code == 429


async def test_asking_too_early_for_ones_own_letter_is_no_guess(world: World) -> None:
    door = build(world.kit())
    async with world.running(door) as client:
        receipt = (await submit(client))["receipt"]
        (letter_id,) = await arrived(client, world)
        await eventually(lambda: world.facts_of(letter_id))
        await world.caught_up("intake")  # else its own fact would bring the letter back
        await door.letters.aggregates.collection.delete_many({})
        answers = [await client.get(f"/intake/receipts/{receipt}") for _ in range(12)]
        assert {answer.status_code for answer in answers} == {404}


VALID_BUT_UNKNOWN = [receipt_code(b"some other secret", letter_id) for letter_id in ("a", "b", "c", "d", "e", "f", "g")]


async def test_r3_2_corrections_of_the_classification_are_kept_with_who_and_when(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client)
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        corrected = {"nature": "complaint", "domain": "utilities-water", "region": "500101"}
        answer = await client.put(f"/intake/letters/{letter_id}/classification", json=corrected, headers=clerk)
        assert answer.status_code == 200, answer.text
        (change,) = answer.json()["corrections"]
        assert change["by"]["subject"] == "mayor-clerk"
        assert (change["before"]["nature"], change["after"]["nature"]) == ("help", "complaint")
        wrong = await client.put(
            f"/intake/letters/{letter_id}/classification", json=corrected | {"domain": "moon"}, headers=clerk
        )
        assert (wrong.status_code, wrong.json()["errors"][0]["rule"]) == (422, "R3.4")

        async def told() -> bool:
            return any(isinstance(fact, LetterReclassified) for fact in await world.facts_of(letter_id))

        await eventually(told)


async def test_r3_0_a_letter_is_discarded_only_for_one_of_five_reasons(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        receipt = (await submit(client))["receipt"]
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        path = f"/intake/letters/{letter_id}/discard"
        bad = await client.post(path, json={"reason": "boring"}, headers=clerk)
        assert (bad.status_code, bad.json()["errors"][0]["rule"]) == (422, "R3.0")
        done = await client.post(path, json={"reason": "outside_government"}, headers=clerk)
        assert done.json()["stage"] == "discarded"
        standing = (await client.get(f"/intake/receipts/{receipt}")).json()
        assert standing["state"] == "不予受理"
        assert "法院" in standing["history"][-1]["text"]
        again = await client.post(path, json={"reason": "advertising"}, headers=clerk)
        assert (again.status_code, again.json()["rule"]) == (409, "R3.0")
        late = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk)
        assert (late.status_code, late.json()["rule"]) == (409, "R3.6")

        async def told() -> bool:
            return any(isinstance(fact, LetterDiscarded) for fact in await world.facts_of(letter_id))

        await eventually(told)


async def test_r3_7_r4_5_a_noted_letter_is_archived_without_a_number(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client)
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        done = await client.post(f"/intake/letters/{letter_id}/note", json={"remark": "供参考"}, headers=clerk)
        assert (done.json()["stage"], done.json()["number"]) == ("noted", None)


async def test_r3_6_numbers_have_no_gap_and_no_repeat_when_many_register_at_once(world: World) -> None:
    first, second = build(world.kit()), build(world.kit())
    async with world.running(first) as one, world.running(second) as two:
        for number in range(36):
            await submit(one, mailbox=("mayor", "yuzhong", "water")[number % 3])
        jobs = []
        for mailbox in ("mayor", "yuzhong", "water"):
            clerk = world.token(f"{mailbox}-clerk", mailbox, "clerk")
            for position, letter_id in enumerate(await arrived(one, world, 12, mailbox)):
                client = (one, two)[position % 2]
                jobs += [client.post(f"/intake/letters/{letter_id}/register", headers=clerk) for _ in range(2)]
        answers = await asyncio.gather(*jobs)
        assert {answer.status_code for answer in answers} == {200}
        numbers = Counter(answer.json()["number_ascii"] for answer in answers)
        assert set(numbers.values()) == {2}
        expected = {f"{prefix}-2026-{n}" for prefix in ("YFX", "YZFX", "YSX") for n in range(1, 13)}
        assert set(numbers) == expected


async def test_r3_6_a_crash_between_the_line_and_the_fact_is_made_good(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        await submit(client)
        letter_id = (await arrived(client, world))[0]
        registrar = service.part(Registrar)
        by = Actor(subject="mayor-clerk", mailbox="mayor")
        line = await registrar.register.line("mayor", 2026, letter_id, by, service.kit.clock.now())
        assert line.number.ascii == "YFX-2026-1"
        for left in await registrar.register.unconfirmed(age=timedelta(0), limit=10):
            assert left == line
        await registrar.confirm_left_lines(age=timedelta(0))
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        letter = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()
        assert (letter["stage"], letter["number_ascii"]) == ("registered", "YFX-2026-1")
        assert await registrar.register.unconfirmed(age=timedelta(0), limit=10) == []


async def test_r3_8_registering_twice_gives_the_same_number_back(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client)
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        answers = [await client.post(f"/intake/letters/{letter_id}/register", headers=clerk) for _ in range(3)]
        assert {answer.json()["number"] for answer in answers} == {"渝府信〔2026〕1号"}
        assert [answer.json()["version"] for answer in answers] == [answers[0].json()["version"]] * 3


async def test_r10_2_a_unit_sees_its_own_letters_and_the_duty_office_sees_all(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client, mailbox="water")
        letter_id = (await arrived(client, world, 1, "water"))[0]
        stranger = world.token("yuzhong-clerk", "yuzhong", "clerk")
        duty = world.token("mayor-duty", "mayor", "duty_officer")
        head = world.token("water-head", "water", "head")
        lists = "/intake/mailboxes/water/letters"
        one = f"/intake/letters/{letter_id}"
        assert (await client.get(lists)).status_code == 401
        assert (await client.get(lists, headers={"Authorization": "Bearer nonsense"})).status_code == 401
        assert (await client.get(lists, headers=stranger)).status_code == 403
        assert (await client.get(one, headers=stranger)).status_code == 404
        assert (await client.post(f"{one}/read", headers=stranger)).status_code == 404
        assert (await client.post(f"{one}/read", headers=head)).status_code == 403
        assert (await client.get(one, headers=duty)).status_code == 200
        assert (await client.get(lists, headers=duty)).status_code == 200
        assert (await client.get("/intake/mailboxes/moon/letters", headers=duty)).status_code == 404


async def test_r1_2_a_report_never_reaches_the_mailbox_it_is_about(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client, mailbox="water", nature="report", reported_mailbox="water")
        letter_id = (await arrived(client, world, 1, "mayor"))[0]
        assert await unread(client, world, "water") == []
        accused = world.token("water-leader", "water", "leader", "duty_officer")
        assert (await client.get(f"/intake/letters/{letter_id}", headers=accused)).status_code == 404
        await eventually(lambda: world.messages("mailbox.mayor"))
        assert await world.messages("mailbox.water") == []


async def test_a_stale_edit_is_refused_with_the_current_version(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client)
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        seen = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).headers["ETag"]
        fresh = await client.post(f"/intake/letters/{letter_id}/read", headers=clerk | {"If-Match": seen})
        assert fresh.status_code == 200
        stale = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk | {"If-Match": seen})
        assert stale.status_code == 409
        assert stale.headers["ETag"] == fresh.headers["ETag"]
        bad = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk | {"If-Match": "yesterday"})
        assert bad.status_code == 400


async def test_r2_2_an_attachment_is_kept_with_its_checksum_and_refused_by_size_and_kind(world: World) -> None:
    async with world.running(build(world.kit(attachment_max_bytes=50_000))) as client:
        content = b"%PDF-1.7\n" + b"x" * 30_000
        name = "../../etc/照片<1>.exe"
        up = await client.post("/intake/attachments", files={"file": (name, content, "text/plain")})
        assert up.status_code == 201, up.text
        described = up.json()
        assert (described["name"], described["size"]) == ("照片_1_.pdf", len(content))
        await submit(client, attachments=[described["attachment"]])
        letter_id = (await arrived(client, world))[0]
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        (file,) = (await client.get(f"/intake/letters/{letter_id}", headers=clerk)).json()["attachments"]
        down = await client.get(f"/intake/letters/{letter_id}/attachments/{file['id']}", headers=clerk)
        assert down.content == content
        assert down.headers["X-Checksum-Sha256"] == hashlib.sha256(content).hexdigest()
        assert (await client.get(f"/intake/letters/{letter_id}/attachments/{file['id']}")).status_code == 401
        for wrong in (b"", b"MZ" + b"x" * 100, b"<script>alert(1)</script>", b"%PDF-1.7\n" + b"x" * 55_000):
            refused = await client.post("/intake/attachments", files={"file": ("a.pdf", wrong, "application/pdf")})
            assert refused.status_code == 422, refused.text
            assert refused.json()["rule"] == "R2.2"
        huge = await client.post("/intake/attachments", files={"file": ("a.pdf", b"%PDF-1.7\n" + b"x" * 90_000)})
        assert huge.status_code == 413


async def test_r2_2_a_file_that_no_letter_names_waits_for_whatever_letter_may_still_come(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        up = await client.post("/intake/attachments", files={"file": ("a.pdf", b"%PDF-1.7\n", "application/pdf")})
        assert up.status_code == 201, up.text
        files = service.kit.store.collection("intake", "attachments.files")

        async def left_after(days: float) -> int:
            since = datetime.now(UTC) - timedelta(days=days)
            await files.update_many({}, {"$set": {"metadata.loose_since": since}})
            for job in service.measures:
                await job()
            return int(await files.count_documents({}))

        assert await left_after(8.5) == 1, "a letter sent on the last day may have waited on its topic for a week"
        await world.produce("submissions", str(uuid4()), b"{}", {"ce_type": "xinxiang.SubmissionAccepted.v1"})
        await eventually(lambda: service.parking.holds("submissions"))
        assert await left_after(30) == 1, "a letter that is parked may name it"
        await service.parking.forget("submissions")
        assert await left_after(9.5) == 0


async def test_contact_data_goes_only_to_the_mailbox_that_must_answer(world: World) -> None:
    async with world.running(build(world.kit())) as client:
        await submit(client)
        await submit(client)
        ids = await arrived(client, world, 2)
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        for letter_id, answer_by in zip(ids, (AnswerBy.ASSIGNEE, AnswerBy.ASSIGNER), strict=True):
            answer = await client.post(f"/intake/letters/{letter_id}/register", headers=clerk)
            await world.publish(sent(letter_id, answer.json()["number_ascii"], answer_by))
        await eventually(lambda: world.messages("mailbox.water"))

        async def seen() -> bool:
            rows = [await client.get(f"/intake/letters/{letter_id}", headers=clerk) for letter_id in ids]
            return all(row.json()["version"] == 4 for row in rows)

        await eventually(seen)
        told = await world.messages("mailbox.water")
        assert [(type(m), m.letter_id) for m in told] == [(ContactDisclosed, ids[0])]  # type: ignore[attr-defined]


def sent(letter_id: str, number: str, answer_by: AnswerBy) -> HandoffSent:
    head = Actor(subject="mayor-head", mailbox="mayor")
    prefix, year, serial = number.split("-")
    return HandoffSent(
        letter_id=letter_id,
        at=MONDAY,
        by=head,
        handoff_id="s1",
        sender="mayor",
        receiver="water",
        opinion="请办理",
        requirements="请答复",
        answer_by=answer_by,
        written_reply=False,
        prepared_by=head,
        number=Number(mailbox="mayor", prefix="渝府信", ascii_prefix=prefix, year=int(year), serial=int(serial)),
    )


async def test_a_malformed_submission_parks_and_a_repaired_one_is_stored(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        await submit(client)
        good = (await eventually(lambda: world.records("submissions")))[0]
        headers = {name: value.decode() for name, value in good.headers}
        key = "0" * 8
        broken = good.value.replace(b'"mailbox":"mayor"', b'"mailbox":"moon"').replace(good.key, key.encode())
        await world.produce("submissions", key, broken, headers | {"ce_subject": key})
        (record,) = await eventually(lambda: world.records("letters.parked.intake"))
        assert b"moon" in record.value
        await arrived(client, world, 1)
        ((_, message),) = await listed(world.settings, service.kit.store, ("intake",))
        repaired = message.value.replace(b"moon", b"water")
        await decide(world.settings, service.kit.store, "intake", message.origin, value=repaired)
        await arrived(client, world, 1, "water")

        async def parked_no_longer() -> bool:
            return await listed(world.settings, service.kit.store, ("intake",)) == []

        await eventually(parked_no_longer)


async def test_the_projection_of_letters_and_the_register_are_rebuilt_as_they_were(world: World) -> None:
    service = build(world.kit())
    async with world.running(service) as client:
        for _ in range(5):
            await submit(client)
        clerk = world.token("mayor-clerk", "mayor", "clerk")
        ids = await arrived(client, world, 5)
        for letter_id in ids[:3]:
            await client.post(f"/intake/letters/{letter_id}/register", headers=clerk)
        await client.post(f"/intake/letters/{ids[3]}/discard", json={"reason": "malicious"}, headers=clerk)

        async def settled() -> bool:
            aggregates = service.letters.aggregates
            return (await aggregates.outbox_depth())[0] == 0 and not await aggregates.collection.database[
                "register"
            ].count_documents({"open": {"$exists": True}})

        await eventually(settled)
    before = await documents(world, "letters", "register")
    assert len(before) == 8
    again = build(world.kit())
    await rebuild(again)
    assert await documents(world, "letters", "register") == before
    again.kit.store.close()


async def documents(world: World, *collections: str) -> dict[str, Any]:
    kit = world.kit()
    found = {}
    for name in collections:
        async for document in kit.store.database("intake")[name].find({}):
            document.pop("token", None)
            found[document["_id"]] = document
    kit.store.close()
    return found


def test_r3_6_registration_wins_over_a_discard_at_the_same_moment() -> None:
    submission = SubmissionAccepted.model_validate(
        {
            "letter_id": "a",
            "at": MONDAY,
            "mailbox": "mayor",
            "subject": "路灯不亮",
            "body": "路灯坏了",
            "contact": {"name": "李明"},
            "classification": {"nature": "help", "domain": "utilities-power", "region": "500103"},
            "may_publish": True,
        }
    )
    by = Actor(subject="mayor-clerk", mailbox="mayor")
    letter: Any = None
    for fact in domain.receive(None, submission, "mayor", MONDAY):
        letter = domain.ON[type(fact)](letter, fact)
    for fact in domain.discard(letter, InvalidReason.MALICIOUS, by, MONDAY):
        letter = domain.ON[type(fact)](letter, fact)
    with pytest.raises(RuleBroken):
        domain.may_register(letter)
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2026, serial=1)
    for fact in domain.register(letter, number, by, MONDAY):
        letter = domain.ON[type(fact)](letter, fact)
    assert letter.stage is domain.Stage.REGISTERED


async def test_r2_2_in_a_rush_that_cannot_be_worked_off_senders_are_asked_to_come_back_and_no_accepted_letter_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Letters come faster than they are stored: from some number on 503 with Retry-After, the same request later makes one letter."""
    kept, slow = Contacts.keep, asyncio.Event()
    slow.set()

    async def keep(contacts: Contacts, found: Any) -> None:
        await slow.wait()
        await kept(contacts, found)

    monkeypatch.setattr(Contacts, "keep", keep)
    service = build(world.kit(most_waiting=100))
    async with world.running(service) as client:
        accepted: set[str] = set()

        async def send(key: str) -> Response:
            answer = await client.post("/intake/letters", json=LETTER, headers={"Idempotency-Key": key})
            if answer.status_code == 202:
                accepted.add(key)
            return answer

        await send("the-very-first")
        await arrived(client, world)
        slow.clear()
        await asyncio.gather(*(send(f"one-of-many-{number}") for number in range(300)))

        async def refused() -> Response | None:
            answer = await send(f"too-late-{len(accepted)}")
            return answer if answer.status_code == 503 else None

        answer = await eventually(refused)
        assert answer.json()["type"] == "/problems/busy"
        assert 2 <= int(answer.headers["retry-after"]) <= 60
        unread = await client.post(
            "/intake/letters", content=b"no letter", headers={"Idempotency-Key": "not-even-read"}
        )
        assert (unread.status_code, unread.json()["type"]) == (503, "/problems/busy")
        slow.set()

        async def taken() -> bool:
            return (await send("the-last-of-all")).status_code == 202

        await eventually(taken)

        async def all_there() -> bool:
            return await service.letters.aggregates.count({"mailbox": "mayor", "stage": "unread"}) == len(accepted)

        await eventually(all_there)
