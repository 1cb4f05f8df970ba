"""One person's data is erased on lawful request, and the certificate says truly what is left where."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from services.rebuild import rebuild
from services.routing.app import build as build_routing
from tests.conftest import World, eventually
from tests.intake_desk import LETTER
from tests.operator import NO_GROUND, answered, call, city, corrected, ops, published, received, registered
from tests.routing_desk import CLERK, DUTY, UNIT_CLERK, UNIT_HEAD
from tests.unit.test_publication_cleaning import photo

NAME, PHONE, EMAIL = "欧阳试探", "13712345098", "ouyang.shitan@example.com"
WORDS = "我家楼下的路灯坏了一个多月，我叫欧阳试探，请尽快派人来修理。"
LONGEST = f'{WORDS[:12]}"他们说过，下个星期一定会派人来修理这一盏路灯"{WORDS[12:]}'
"""A body with one line, which has what JSON escapes."""
SENDER = {"name": NAME, "phone": PHONE, "email": EMAIL}
GROUND = "个人信息保护法第四十七条第一款第三项"


async def places(world: World) -> Counter[str]:
    """Where any of the person's data stands, by a look of the test's own: documents and records."""
    kit = world.kit()
    found: Counter[str] = Counter()
    for service in ("intake", "routing", "deadline", "publication", "reporting", "ops"):
        database = kit.store.database(service)
        for name in await database.list_collection_names():
            async for document in database[name].find({}):
                if any(mark in str(document) for mark in (NAME, PHONE, EMAIL, WORDS)):
                    found[f"store {service}.{name}"] += 1
    kit.store.close()
    for topic in ("letters", "submissions", "mailbox.mayor", "mailbox.education"):
        for record in await world.records(topic):
            if any(mark.encode() in (record.value or b"") for mark in (NAME, PHONE, EMAIL, WORDS)):
                found[f"topic {topic}"] += 1
    return found


async def test_r3_7_what_a_person_wrote_and_is_reached_by_goes_on_request_and_the_certificate_is_true(
    world: World, tmp_path: Path
) -> None:
    async with city(world) as (client, _):
        up = await client.post("/intake/attachments", files={"file": (f"{NAME}.pdf", b"%PDF-1.7\n" + PHONE.encode())})
        letter_id, receipt = await received(
            client, world, body=WORDS, sender=SENDER, attachments=[up.json()["attachment"]]
        )
        asked = ("erase", receipt, "--ground", GROUND, "--by", "duty", "--yes", "--json")
        too_early = await ops(world, *asked, "--text")
        assert too_early.status == 1
        assert "R" not in too_early.out
        assert "screened" in too_early.err
        await registered(client, world, letter_id)
        await answered(client, world, letter_id)
        await published(client, world, letter_id)
        await world.settled()

        async def public() -> bool:
            return (await client.get("/public/letters/YFX-2026-1.json")).status_code == 200

        await eventually(public)
        refused = await ops(world, *asked, "--text")
        assert (refused.status, "withdraw it first" in refused.err) == (1, True)
        await corrected(client, world, letter_id)
        refused = await ops(world, *asked, "--text")
        assert (refused.status, "withdraw it first" in refused.err) == (1, True), (
            "it is public while a correction waits"
        )
        withdraw = f"/publication/cases/{letter_id}/withdraw"
        await call(client, world, "POST", withdraw, UNIT_HEAD, {"ground": "consent_withdrawn"})
        await world.settled()

        before = await places(world)
        assert {"store intake.contacts", "store intake.attachments.chunks", "store routing.letters"} <= set(before)
        page = tmp_path / "certificate.pdf"
        done = await ops(world, *asked, "--text", "--certificate", page)
        certificate = done.answer
        assert done.status == 0, done.err
        remains = {one["where"]: one for one in certificate["remains"]}
        after = await places(world)
        assert dict(after) == {where: one["count"] for where, one in remains.items()}
        assert not any(where.startswith("store") for where in after)
        assert set(after) == {"topic letters", "topic submissions", "topic mailbox.mayor", "topic mailbox.education"}
        assert remains["topic letters"]["until"] is None
        assert remains["topic submissions"]["until"] > "2026"
        erased = {one["where"]: one["count"] for one in certificate["erased"]}
        assert erased == {where: count for where, count in before.items() if where.startswith("store")}

        seal = certificate.pop("sha256")
        text = json.dumps(certificate, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == seal
        assert page.read_bytes().startswith(b"%PDF")
        history = await call(client, world, "GET", f"/routing/letters/{letter_id}/history", DUTY)
        assert GROUND in str(history)
        view = await call(client, world, "GET", f"/intake/letters/{letter_id}", CLERK)
        assert (view["contact"], view["subject"], view["attachments"]) == (None, "", [])
        shown = (await ops(world, "log", "--json")).answer
        assert (shown[0]["verb"], shown[0]["by"], shown[0]["about"]["letter"]) == ("erase", "duty", letter_id)

        # A letter whose sender's contact data alone goes keeps its text.
        other, _ = await received(client, world, sender=SENDER | {"phone": "13612345099"})
        done = await ops(world, "erase", other, "--ground", GROUND, "--yes", "--json")
        assert done.status == 0, done.err
        view = await call(client, world, "GET", f"/intake/letters/{other}", CLERK)
        assert (view["contact"], bool(view["body"])) == (None, True)

    kit = world.kit()
    await rebuild(build_routing(kit))
    kit.store.close()
    assert not [where for where in await places(world) if where.startswith("store")]


async def test_r3_7_copies_that_were_prepared_for_the_public_go_with_the_text(world: World) -> None:
    async with city(world) as (client, services):
        letter_id, _ = await received(client, world, body=WORDS, sender=SENDER)
        await registered(client, world, letter_id)
        await answered(client, world, letter_id)
        case = f"/publication/cases/{letter_id}"
        up = await client.post(
            f"{case}/attachments",
            files={"file": ("照片.jpg", photo(), "image/jpeg")},
            headers=world.token(*UNIT_CLERK),
        )
        assert up.status_code == 201, up.text
        text = {"subject": "路灯不亮", "body": "路灯坏了。", "reply": "已修复。", "attachments": [up.json()["id"]]}
        await call(client, world, "POST", f"{case}/prepare", UNIT_CLERK, {**text, **NO_GROUND})
        store = services[0].kit.store
        files, chunks = (store.collection("publication", f"attachments.{name}") for name in ("files", "chunks"))
        mine = {"metadata.letter_id": letter_id}
        # As the sweep leaves a file that a text names.
        await files.update_many(mine, {"$unset": {"metadata.look_at": "", "metadata.loose": ""}})
        file = (await files.find_one(mine))["_id"]
        await world.settled()

        done = await ops(world, "erase", letter_id, "--text", "--ground", GROUND, "--by", "duty", "--yes", "--json")
        assert (done.status, done.answer["applied_by_all_services"]) == (0, True), done.err
        assert await files.count_documents(mine) == 0
        assert await chunks.count_documents({"files_id": file}) == 0
        shown = await client.get(f"{case}/attachments/{up.json()['id']}", headers=world.token(*UNIT_HEAD))
        assert shown.status_code == 404


async def test_the_proof_of_an_erasure_is_not_lost_with_the_file_it_was_to_be_written_to(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with city(world) as (client, _):
        letter_id, _ = await received(client, world, body=LONGEST, sender=SENDER)
        await registered(client, world, letter_id)
        await answered(client, world, letter_id)
        await world.settled()
        asked = ("erase", letter_id, "--text", "--ground", GROUND, "--by", "duty", "--yes", "--json")

        # Before anything is erased: is the file new, can it be written, can it be printed?
        there = tmp_path / "there.json"
        there.write_text("{}")
        for path, said in ((there, "is there already"), (tmp_path / "nowhere" / "c.pdf", "takes no files")):
            refused = await ops(world, *asked, "--certificate", path)
            assert (refused.status, said in refused.err, refused.out) == (1, True, "")
        view = await call(client, world, "GET", f"/intake/letters/{letter_id}", CLERK)
        assert view["contact"] is not None
        assert not (await ops(world, "log", "--json")).answer

        # The body is found though each of its lines has a quotation mark: only its words say where it stands.
        searched = (await ops(world, *asked[:-2], "--dry-run", "--json", "--marker", "no-such-word")).answer
        assert "topic letters" in {one["where"] for one in searched["found"]}

        # What fails afterwards loses nothing.
        path = tmp_path / "certificate.json"
        monkeypatch.setattr("deploy.ops.erase.refuse_unwritable", lambda *_: None)
        failed = await ops(world, *asked, "--certificate", tmp_path / "nowhere" / "certificate.json")
        assert failed.status == 1
        certificate = failed.answer
        seal = certificate["sha256"]
        assert f"log --certificate {seal[:16]} --file FILE" in failed.err
        assert not any(mark in failed.out for mark in (NAME, PHONE, EMAIL, WORDS[:12], LETTER["subject"]))

        again = await ops(world, "log", "--certificate", seal[:16], "--file", path)
        assert (again.status, again.answer) == (0, certificate), again.err
        assert json.loads(path.read_text("utf-8")) == certificate
        rest = {name: value for name, value in certificate.items() if name != "sha256"}
        text = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == seal
        page = tmp_path / "certificate.pdf"
        assert (await ops(world, "log", "--certificate", seal, "--file", page)).status == 0
        assert page.read_bytes().startswith(b"%PDF")
        for unknown in ("f" * 16, "all"):
            assert (await ops(world, "log", "--certificate", unknown)).status == 1
        shown = await ops(world, "log")
        assert seal in shown.out
        assert "not_searched" not in shown.out, "a line is a line"
    kit = world.kit()
    await kit.store.drop("ops")
    kit.store.close()
