"""Approval, files and withdrawal on real engines (R9.1): who decides what, and what the public gets when."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from PIL import Image

from deploy.engines import Engines
from services.publication import attachments
from services.publication.app import build
from services.publication.attachments import Files
from services.publication.domain import PublicText
from services.runtime import Service
from shared.contracts.facts import (
    Fact,
    LetterErased,
    LetterPublished,
    LetterReceived,
    PublicationPrepared,
    PublicationWithdrawn,
    ReplySentBack,
)
from shared.contracts.types import Attachment
from shared.security import scanner
from tests.component.test_publication import NO_GROUND, TEXT, Letter, Staff
from tests.conftest import World, eventually, new_world
from tests.unit.test_publication_cleaning import MARK, bytes_of, office, pdf_of, photo

SENT: Final = Attachment(id="a" * 32, name=f"{MARK}.jpg", media_type="image/jpeg", size=9, sha256="b" * 64)
PHONE: Final = "如需了解请致电13912345678。"


class Illustrated(Letter):
    """A letter with a photo."""

    def handed(self) -> list[Fact]:
        first, *others = super().handed()
        assert isinstance(first, LetterReceived)
        return [first.model_copy(update={"attachments": (SENT,)}), *others]


@dataclass
class Office:
    """Publication, running, and its people."""

    world: World
    client: httpx.AsyncClient
    service: Service
    staff: Staff
    leader: dict[str, str]
    _serials: "Iterator[int]" = field(default_factory=lambda: itertools.count(1))

    async def letter(self) -> Letter:
        """A finished letter, waiting for a public text."""
        letter = Illustrated(next(self._serials))
        await self.world.publish(*letter.handed(), *letter.answered())
        await self.staff.opened(letter)
        return letter

    async def upload(self, letter: Letter, content: bytes, who: Any = None, **form: str) -> httpx.Response:
        files = {"file": (f"{MARK}.pdf", content, "application/pdf")}
        headers = who or self.staff.clerk
        return await self.client.post(address(letter), files=files, data=form, headers=headers)

    async def kept(self, letter: Letter, content: bytes) -> str:
        answer = await self.upload(letter, content)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def approved(self, letter: Letter, who: Any = None, **more: Any) -> httpx.Response:
        prepared = (await self.staff.case(letter)).json()["prepared"]
        body = {"text_hash": prepared["text_hash"], **more}
        return await self.staff.move(letter, "approve", who or self.staff.head, body)

    async def published(self, letter: Letter, **changes: Any) -> None:
        prepared = await self.staff.prepare(letter, **changes)
        assert prepared.status_code == 200, prepared.text
        answer = await self.approved(letter)
        assert answer.status_code == 200, answer.text

    async def withdrawn(self, letter: Letter, who: Any = None, **body: str) -> httpx.Response:
        return await self.staff.move(letter, "withdraw", who or self.staff.head, {"ground": "inaccurate", **body})

    async def public(self, letter: Letter, name: str = "", **headers: str) -> httpx.Response:
        path = f"/public/letters/{letter.number.ascii}"
        return await self.client.get(f"{path}/attachments/{name}" if name else path, headers=headers)

    async def stored(self, letter: Letter) -> list[dict[str, Any]]:
        """The descriptions of the files kept for a letter."""
        found = self.files.find({"metadata.letter_id": letter.id})
        return [described async for described in found]

    @property
    def files(self) -> Any:
        return self.service.kit.store.collection("publication", "attachments.files")

    @property
    def chunks(self) -> Any:
        return self.service.kit.store.collection("publication", "attachments.chunks")

    async def aged(self, letter: Letter, days: float) -> None:
        """Let time pass for the files of a letter: whatever had to be looked at within these days, must be now."""
        ahead = datetime.now(UTC) + timedelta(days=days)
        query = {"metadata.letter_id": letter.id, "metadata.look_at": {"$lt": ahead}}
        await self.files.update_many(query, {"$set": {"metadata.look_at": datetime(2026, 1, 1, tzinfo=UTC)}})
        gate = scanner.gate("publication", "", None)
        await Files(self.service.kit.store, self.service.letters.aggregates, 1_000, gate).sweep()


def address(letter: Letter) -> str:
    return f"/publication/cases/{letter.id}/attachments"


@pytest.fixture(scope="module")
async def desk(engines: Engines, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    """One for all stories of this file, each with letters of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JWKS_FILE", str(keys / "jwks.json"))
        async with new_world(engines.urls(), keys, tmp_path_factory.mktemp("office")) as world:
            service = build(world.kit())
            async with world.running(service) as client:
                leader = world.token("education-leader", "education", "leader")
                yield Office(world, client, service, Staff(world, client), leader)


async def test_r9_1_of_two_who_approve_at_once_one_does_and_the_other_hears_that_it_is_done(desk: Office):
    letter = await desk.letter()
    read = {"text_hash": (await desk.staff.prepare(letter)).json()["prepared"]["text_hash"]}
    approvers = (desk.staff.head, desk.leader)
    both = await asyncio.gather(*(desk.staff.move(letter, "approve", who, read) for who in approvers))
    assert sorted(answer.status_code for answer in both) == [200, 409]

    async def told() -> list[Fact]:
        facts = await desk.world.facts_of(letter.id)
        return [fact for fact in facts if isinstance(fact, LetterPublished)]

    assert len(await eventually(told)) == 1


async def test_r9_1_an_approval_of_what_was_read_before_a_change_is_refused(desk: Office):
    letter = await desk.letter()
    etag = (await desk.staff.prepare(letter)).headers["etag"]
    text_hash = (await desk.staff.prepare(letter, reply="另一个答复。")).json()["prepared"]["text_hash"]
    stale = await desk.staff.move(letter, "approve", desk.staff.head, {"text_hash": text_hash}, **{"If-Match": etag})
    assert (stale.status_code, stale.json()["type"]) == (409, "/problems/stale-version")
    assert (await desk.public(letter)).status_code == 404


async def test_r9_1_what_still_looks_like_personal_data_is_shown_to_the_approver_who_must_confirm_it(desk: Office):
    letter = await desk.letter()
    decided = [{"kind": "phone", "decision": "replaced"}, {"kind": "phone", "decision": "kept"}]
    prepared = (await desk.staff.prepare(letter, reply=PHONE, marks=decided)).json()["prepared"]
    (mark,) = prepared["marks"]
    assert (mark["field"], mark["kind"], PHONE[mark["start"] : mark["end"]]) == ("reply", "phone", "13912345678")
    assert mark["why"]
    refused = await desk.approved(letter)
    assert (refused.status_code, refused.json()["rule"]) == (409, "R9.1")
    assert "confirm_marks" in refused.json()["detail"]
    assert (await desk.approved(letter, confirm_marks=True)).status_code == 200

    async def told() -> list[Fact]:
        facts = [f for f in await desk.world.facts_of(letter.id) if f.source == "publication"]
        return facts if len(facts) > 1 else []

    first, second = (await eventually(told))[:2]
    assert isinstance(first, PublicationPrepared)
    assert isinstance(second, LetterPublished)
    assert [(c.kind, c.proposed, c.kept, c.changed, c.added) for c in first.marks] == [("phone", 2, 1, 0, 0)]
    assert second.marks_left == 1


async def test_r9_1_a_file_is_public_renamed_and_cleaned_once_it_is_approved_and_not_before(desk: Office):
    letter = await desk.letter()
    sent = (await desk.staff.case(letter)).json()["original"]["attachments"]
    assert [one["id"] for one in sent] == [SENT.id]
    uploaded = await desk.upload(letter, photo(), copy_of=SENT.id)
    assert uploaded.status_code == 201
    assert MARK not in uploaded.text
    assert (uploaded.json()["media_type"], uploaded.json()["copy_of"]) == ("image/jpeg", SENT.id)
    picture, document = uploaded.json()["id"], await desk.kept(letter, bytes_of(pdf_of()))

    prepared = (await desk.staff.prepare(letter, attachments=[document, picture])).json()["prepared"]
    names = ["附件1.pdf", "附件2.jpg"]
    assert [file["name"] for file in prepared["attachments"]] == names
    for name in names:
        assert (await desk.public(letter, name)).status_code == 404
    plain = await desk.staff.move(letter, "approve", desk.staff.head, {"text_hash": PublicText(**TEXT).hash})
    assert plain.status_code == 409, "the text alone is not what was prepared"
    assert (await desk.approved(letter)).status_code == 200

    answer = await desk.public(letter, "附件2.jpg")
    assert answer.status_code == 200
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-disposition"] == (
        "inline; filename=\"attachment-2.jpg\"; filename*=UTF-8''%E9%99%84%E4%BB%B62.jpg"
    )
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-cache")
    assert int(headers["content-length"]) == len(answer.content)
    assert MARK.encode() not in answer.content
    with Image.open(BytesIO(answer.content)) as shown:
        assert shown.size == (24, 40)
    again = await desk.public(letter, "附件2.jpg", **{"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", headers["etag"])
    assert (await desk.public(letter, "附件1.pdf")).content.startswith(b"%PDF")
    for other in (f"{MARK}.jpg", "附件3.jpg", "附件1.jpg", picture, "..%2f附件1.pdf", "%00"):
        assert (await desk.public(letter, other)).status_code == 404


async def test_r9_1_a_text_with_other_files_needs_another_approval(desk: Office):
    letter = await desk.letter()
    first, second = await desk.kept(letter, photo()), await desk.kept(letter, bytes_of(pdf_of()))
    await desk.published(letter, attachments=[first])
    again = await desk.staff.prepare(letter, attachments=[second])
    assert again.json()["status"] == "to-approve"
    assert (await desk.public(letter, "附件1.jpg")).status_code == 200, "until the other one is approved"
    assert (await desk.public(letter, "附件1.pdf")).status_code == 404
    assert (await desk.approved(letter)).status_code == 200
    assert (await desk.public(letter, "附件1.jpg")).status_code == 404
    assert (await desk.public(letter, "附件1.pdf")).status_code == 200


async def test_r9_1_the_text_inside_a_pdf_is_looked_through_too(desk: Office):
    letter = await desk.letter()
    hidden = bytes_of(pdf_of(b"BT /F1 12 Tf 20 50 Td (13912345678) Tj ET 0 g 0 40 200 30 re f"))
    file = await desk.kept(letter, hidden)
    prepared = (await desk.staff.prepare(letter, attachments=[file])).json()["prepared"]
    assert prepared["marks"] == []
    assert [one["marks"] for one in prepared["attachments"]] == [{"phone": 1}]
    assert (await desk.approved(letter)).status_code == 409
    assert (await desk.approved(letter, confirm_marks=True)).status_code == 200


async def test_r9_1_only_who_may_prepare_uploads_and_wrong_files_are_refused_with_advice(desk: Office):
    letter = await desk.letter()
    staff = desk.staff
    assert (await desk.client.post(address(letter))).status_code == 401
    for who in (staff.head, staff.water, staff.basic):
        assert (await desk.upload(letter, photo(), who)).status_code in {403, 404}
    assert (await desk.upload(letter, photo(), staff.duty)).status_code == 201
    for content, said in (
        (office("word"), "打印为 PDF"),
        (b"", "空文件"),
        (photo() + b"\0" * 10_000_000, "不能超过"),
        (b"%PDF-1.7 nothing", "已损坏"),
    ):
        refused = await desk.upload(letter, content)
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["field"], error["rule"]) == (422, "/file", "R9.1")
        assert said in error["message"]
    stranger = await desk.upload(letter, photo(), copy_of="c" * 32)
    assert (stranger.status_code, stranger.json()["errors"][0]["field"]) == (422, "/copy_of")
    huge = await desk.upload(letter, b"\0" * 11_000_000)
    assert huge.status_code == 413
    assert len(await desk.stored(letter)) == 1, "what is refused is not kept"


async def test_r9_1_a_text_names_only_files_of_its_own_letter_each_once(desk: Office):
    letter, other = await desk.letter(), await desk.letter()
    mine, theirs = await desk.kept(letter, photo()), await desk.kept(other, photo())
    for ids, place in (([mine, theirs], "/attachments/1"), ([mine, mine], "/attachments"), (["x"], "/attachments/0")):
        refused = await desk.staff.prepare(letter, attachments=ids)
        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["field"], error["rule"]) == (422, place, "R9.1")


async def test_r9_1_a_file_is_looked_at_and_removed_before_approval_and_stays_once_a_text_names_it(desk: Office):
    letter = await desk.letter()
    first, second = await desk.kept(letter, photo()), await desk.kept(letter, bytes_of(pdf_of()))
    staff = desk.staff
    assert (await desk.client.get(f"{address(letter)}/{first}", headers=staff.head)).content.startswith(b"\xff\xd8")
    assert (await desk.client.get(f"{address(letter)}/{first}", headers=staff.water)).status_code == 403
    await staff.prepare(letter, attachments=[second])
    refused = await desk.client.delete(f"{address(letter)}/{second}", headers=staff.clerk)
    assert (refused.status_code, refused.json()["rule"]) == (409, "R9.1")
    assert (await desk.client.delete(f"{address(letter)}/{first}", headers=staff.head)).status_code == 403
    assert (await desk.client.delete(f"{address(letter)}/{first}", headers=staff.clerk)).status_code == 204
    assert (await desk.client.delete(f"{address(letter)}/{first}", headers=staff.clerk)).status_code == 404
    listed = await desk.client.get(address(letter), headers=staff.head)
    assert [one["id"] for one in listed.json()] == [second]


async def test_r9_1_files_that_no_text_names_go_after_two_days_and_named_ones_stay(desk: Office):
    letter = await desk.letter()
    named, loose = await desk.kept(letter, photo()), await desk.kept(letter, bytes_of(pdf_of()))
    await desk.published(letter, attachments=[named])
    await desk.aged(letter, 1.9)
    assert {one["metadata"]["id"] for one in await desk.stored(letter)} == {named, loose}
    await desk.aged(letter, 2.1)
    (left,) = await desk.stored(letter)
    assert left["metadata"]["id"] == named
    assert "look_at" not in left["metadata"], "it is not looked at again until something changes"

    await desk.published(letter, attachments=[])
    await desk.aged(letter, 0.1)
    assert len(await desk.stored(letter)) == 1, "two days to name it again"
    await desk.aged(letter, 2.1)
    assert await desk.stored(letter) == []


async def test_r9_1_a_withdrawal_takes_a_letter_off_every_path_at_once_and_deletes_its_files(desk: Office):
    letter = await desk.letter()
    file = await desk.kept(letter, photo())
    await desk.published(letter, attachments=[file])
    await desk.staff.prepare(letter, reply="更正稿。", attachments=[file])
    gone = [one["_id"] for one in await desk.stored(letter)]
    for who in (desk.staff.clerk, desk.staff.duty, desk.staff.water):
        assert (await desk.withdrawn(letter, who)).status_code == 403
    etag = (await desk.public(letter, "附件1.jpg")).headers["etag"]
    withdrawn = await desk.withdrawn(letter, ground="privacy", remark=f"{MARK}来电要求")
    assert withdrawn.status_code == 200
    assert withdrawn.json()["status"] == "withdrawn"
    assert withdrawn.json()["withdrawn"]["remark"] == f"{MARK}来电要求"
    assert (withdrawn.json()["prepared"], withdrawn.json()["published"]) == (None, None)

    number = letter.number.ascii
    attached = await desk.public(letter, "附件1.jpg", **{"If-None-Match": etag})
    assert (attached.status_code, attached.json()["rule"]) == (410, "R9.1")
    for path in (f"/public/letters/{number}", f"/public/letters/{number}.json", "/public/letters.json"):
        shown = await desk.client.get(path)
        assert TEXT["body"] not in shown.text
        assert MARK not in shown.text
        assert number not in shown.text or shown.status_code in {404, 410}
    said = await desk.service.letters.aggregates.collection.find_one({"withdrawn.number": number})
    assert said["withdrawn"]["ground"] == "privacy"
    assert "remark" not in said["withdrawn"]
    assert await desk.stored(letter) == []
    assert await desk.chunks.count_documents({"files_id": {"$in": gone}}) == 0
    assert letter.id in await desk.staff.listed("withdrawn")

    async def told() -> list[Fact]:
        facts = await desk.world.facts_of(letter.id)
        return [fact for fact in facts if isinstance(fact, PublicationWithdrawn)]

    assert len(await eventually(told)) == 1
    assert (await desk.withdrawn(letter)).status_code == 409

    lost = await desk.staff.prepare(letter, attachments=[file])
    assert lost.status_code == 422, "the file is gone and must be uploaded again"
    await desk.published(letter, reply="重新公开。")
    assert (await desk.public(letter)).status_code == 200
    assert "重新公开。" in (await desk.public(letter)).text


async def test_r9_1_a_crash_between_withdrawal_and_deletion_leaves_the_files_to_the_sweep(
    desk: Office, monkeypatch: pytest.MonkeyPatch
):
    letter = await desk.letter()
    await desk.published(letter, attachments=[await desk.kept(letter, photo())])
    await desk.aged(letter, 3)

    async def crash(*_: Any) -> None:
        raise RuntimeError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(attachments.Files, "forget", crash)
        assert (await desk.withdrawn(letter)).status_code == 500
    assert (await desk.staff.status(letter)) == "withdrawn"
    assert len(await desk.stored(letter)) == 1
    await desk.aged(letter, 0.1)
    assert await desk.stored(letter) == []


async def test_r9_1_files_of_a_text_that_is_void_since_the_reply_was_sent_back_go_after_two_days(desk: Office):
    letter = await desk.letter()
    file = await desk.kept(letter, photo())
    prepared = await desk.staff.prepare(letter, attachments=[file])
    await desk.aged(letter, 3)
    (kept,) = await desk.stored(letter)
    assert "look_at" not in kept["metadata"], "a text that waits names it"

    later = {"at": datetime.fromisoformat(prepared.json()["prepared"]["at"]) + timedelta(hours=1)}
    ends = {"letter_id": letter.id, "handoff_id": "s1", "sender": "mayor", "receiver": "education", **later}
    back = ReplySentBack(**ends, reply_id="r1", reason="所问未答", requirements="逐项答复", count=1)
    await desk.world.publish(back, *(fact.model_copy(update=later) for fact in letter.answered()))
    await desk.staff.opened(letter)
    await desk.aged(letter, 0.1)
    assert len(await desk.stored(letter)) == 1, "two days to name it in the text for the new answer"
    await desk.aged(letter, 2.1)
    assert await desk.stored(letter) == []
    assert await desk.chunks.count_documents({"files_id": kept["_id"]}) == 0


async def test_r3_7_files_of_a_letter_whose_text_is_erased_are_gone_with_it_named_or_not(desk: Office):
    letter = await desk.letter()
    named, loose = await desk.kept(letter, photo()), await desk.kept(letter, bytes_of(pdf_of()))
    await desk.staff.prepare(letter, attachments=[named])
    await desk.aged(letter, 1)
    gone = [one["_id"] for one in await desk.stored(letter)]
    assert len(gone) == 2
    at = datetime(2026, 3, 9, 2, tzinfo=UTC)
    await desk.world.publish(LetterErased(letter_id=letter.id, at=at, ground="个人信息保护法第四十七条"))
    await desk.staff.opened(letter)
    assert await desk.stored(letter) == [], "before the erasure counts as applied"
    assert await desk.chunks.count_documents({"files_id": {"$in": gone}}) == 0
    for file in (named, loose):
        assert (await desk.client.get(f"{address(letter)}/{file}", headers=desk.staff.head)).status_code == 404


async def test_r9_1_a_text_whose_file_is_gone_is_not_approved(desk: Office):
    letter = await desk.letter()
    await desk.staff.prepare(letter, attachments=[await desk.kept(letter, photo())])
    await desk.files.delete_many({"metadata.letter_id": letter.id})
    refused = await desk.approved(letter)
    assert (refused.status_code, refused.json()["rule"]) == (409, "R9.1")
    assert "附件1.jpg" in refused.json()["detail"]


async def test_r2_2_a_letter_withdrawn_because_consent_was_taken_back_cannot_be_prepared_again(desk: Office):
    letter = await desk.letter()
    await desk.published(letter)
    for body, place in (({"ground": "whim"}, "/ground"), ({"ground": "privacy", "remark": "\x00"}, "/remark")):
        wrong = await desk.withdrawn(letter, **body)
        (error,) = wrong.json()["errors"]
        assert (wrong.status_code, error["field"], error["rule"]) == (422, place, "R9.1")
    assert (await desk.withdrawn(letter, desk.leader, ground="consent_withdrawn")).status_code == 200
    refused = await desk.staff.move(letter, "prepare", desk.staff.clerk, TEXT | NO_GROUND)
    assert (refused.status_code, refused.json()["rule"]) == (409, "R2.2")
