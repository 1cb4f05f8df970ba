"""HTTP of intake: the front door, following a letter by its receipt, and screening by staff."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cachetools import LRUCache, TTLCache
from fastapi import APIRouter, File, Header, Path, Query, Request, Response, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse
from starlette.routing import Route

from services.intake import citizen, domain, rights
from services.intake.attachments import Attachments
from services.intake.domain import Letter, Stage
from services.intake.forms import REPORTED, Submission, check_classification, check_mailbox, named
from services.intake.handlers import Registrar
from services.intake.repository import Contacts, find_by_receipt, page, position
from shared.contracts.envelope import event_id, pack
from shared.contracts.errors import NotFound, Stale
from shared.contracts.facts import Fact
from shared.contracts.reports import keeper, kept_from
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Actor, Attachment, Classification, Contact, InvalidReason, Nature
from shared.directory import Directory, MailboxKind
from shared.messaging.kafka import NOT_SENT, KafkaBroker
from shared.messaging.letters import Letters
from shared.observability.tracing import current_traceparent
from shared.security.guessing import GuessPenalty
from shared.security.receipts import (
    MistypedReceipt,
    fingerprint_of,
    letter_id,
    parse_receipt,
    receipt_code,
    receipt_key,
)
from shared.security.rights import Relation, Right
from shared.security.tokens import Authenticated, Caller
from shared.storage import Stored
from shared.web.app import FastJSON
from shared.web.body import json_body, read_model
from shared.web.etag import etag_of, expected_version
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import FieldError, Problem, ServiceUnavailable

SEND_SECONDS = 4.0
FRESH_SECONDS = 600
IN_FLIGHT = 2_000
"""Submissions that may wait for Kafka at once; more are asked to come back."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Required. One fresh value per letter, e.g. a UUID; the same again makes no second letter (R2.2)."
    ),
]
IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is answered with 409.")]
LetterId = Annotated[str, Path(max_length=64)]


@dataclass
class FrontDoor:
    """Validates and appends to `submissions`; needs Kafka and nothing else."""

    broker: KafkaBroker
    namespace: str
    secret: bytes
    directory: Directory
    attachments: Attachments
    now: Any
    _waiting: int = 0
    _known: LRUCache[str, str] = field(default_factory=lambda: LRUCache(maxsize=20_000))
    _fresh: TTLCache[str, None] = field(default_factory=lambda: TTLCache(maxsize=20_000, ttl=FRESH_SECONDS))

    def just_given(self, receipt: str) -> bool:
        """Whether this receipt was given out moments ago: its letter may not be stored yet, and asking for it is no guess."""
        return receipt in self._fresh

    async def accept(self, submission: Submission, key: str) -> tuple[str, datetime]:
        """Accept a letter; return its receipt code and the time.

        Raises:
            Problem: a field is wrong (422), or the key was used for another letter (422).
            ServiceUnavailable: Kafka did not acknowledge; the same request may be sent again.
        """
        classification = submission.classification(self.directory)
        wrong = check_mailbox(submission.mailbox, self.directory) + check_classification(classification, self.directory)
        files = [self.attachments.verify(signed) for signed in submission.attachments]
        wrong += [
            FieldError(
                f"/attachments/{position}",
                "附件无效，请重新上传",
                "Not an attachment of ours; upload the file again",
                "R2.2",
            )
            for position, file in enumerate(files)
            if file is None
        ]
        if wrong:
            raise Problem(
                422,
                "填写内容有误 / Some fields are wrong",
                "Correct the fields listed under 'errors' and send the request again.",
                slug="invalid-fields",
                errors=wrong,
            )
        unused = set() if submission.reported_names else {"reported_names"}
        fingerprint = fingerprint_of(submission.model_dump_json(exclude=unused).encode())
        if self._known.setdefault(key, fingerprint) != fingerprint:
            raise Problem(
                422,
                "重复使用了提交标识 / The Idempotency-Key was used before",
                "This Idempotency-Key came with another letter. Use a fresh one for each letter; the same one only to repeat a request.",
                slug="idempotency-key-reused",
                rule="R2.2",
            )
        now: datetime = self.now()
        new_id = letter_id(self.secret, key, fingerprint)
        accepted = SubmissionAccepted(
            letter_id=new_id,
            at=now,
            mailbox=submission.mailbox,
            subject=submission.subject,
            body=submission.body,
            contact=submission.sender.contact(),
            classification=classification,
            may_publish=submission.may_publish,
            attachments=tuple(file for file in files if file is not None),
        )
        await self._append(accepted)
        receipt = receipt_code(self.secret, new_id)
        self._fresh[receipt] = None
        return receipt, now

    async def _append(self, accepted: SubmissionAccepted) -> None:
        if self._waiting >= IN_FLIGHT:
            raise ServiceUnavailable("Kafka (too many letters at once)", 2)
        message = pack(
            accepted,
            topic="submissions",
            letter_id=accepted.letter_id,
            source="intake",
            id=event_id(accepted.letter_id, "intake", 0, "submission"),
            time=accepted.at,
            traceparent=current_traceparent(),
        )
        self._waiting += 1
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.broker.publish(
                    message.value,
                    topic=self.namespace + message.topic,
                    key=message.key.encode(),
                    headers=message.headers,
                )
        except NOT_SENT as error:
            raise ServiceUnavailable("Kafka") from error
        finally:
            self._waiting -= 1


class Accepted(BaseModel):
    """The answer to a submission."""

    receipt: str = Field(
        description="查询码: follow the letter with it; it is shown only here", examples=["7K3M-9QXT-2HVD-5"]
    )
    status_url: str
    received_at: datetime


class LetterRow(BaseModel):
    """A letter in a list."""

    letter_id: str
    mailbox: str
    stage: Stage
    number: str | None
    subject: str
    classification: Classification
    received_at: datetime
    version: int


class LetterPage(BaseModel):
    """A page of a list."""

    items: list[LetterRow]
    next: str | None = Field(description="Send as `cursor` to get the next page; null on the last one.")


class Correction(BaseModel):
    """A change of the classification (R3.2)."""

    at: datetime
    by: Actor | None
    before: Classification
    after: Classification


class LetterView(BaseModel):
    """A letter as screening staff see it."""

    letter_id: str
    version: int
    mailbox: str
    chosen_mailbox: str
    stage: Stage
    number: str | None
    number_ascii: str | None
    subject: str
    body: str
    classification: Classification
    may_publish: bool
    attachments: list[Attachment]
    contact: Contact | None
    received_at: datetime
    read_at: datetime | None
    read_by: Actor | None
    registered_at: datetime | None
    corrections: list[Correction]
    invalid_reason: InvalidReason | None
    remark: str
    earlier_letter: str | None


class ClassificationIn(BaseModel):
    """A corrected classification."""

    nature: Nature
    domain: str = Field(max_length=80)
    region: str = Field(max_length=6)
    reported_mailbox: str | None = Field(default=None, max_length=80)
    reported_people: list[Annotated[str, Field(max_length=80)]] = Field(
        default=[],
        max_length=REPORTED,
        description="For a report: the subjects of the staff or leaders of the directory whom it is about; they never see it.",
        json_schema_extra={"rule": "R3.3"},
    )


class DiscardIn(BaseModel):
    """Why a letter is not accepted (R3.0)."""

    reason: InvalidReason = Field(json_schema_extra={"rule": "R3.0"})
    remark: str = Field(default="", max_length=2000)
    earlier_letter: str | None = Field(default=None, max_length=64)


class NoteIn(BaseModel):
    """A remark on a noted letter (R3.7)."""

    remark: str = Field(default="", max_length=2000)


class Choice(BaseModel):
    """One choice of a list."""

    code: str
    name: str
    label: str


def _view(stored: Stored[Letter], contact: Contact | None) -> LetterView:
    letter = domain.known(stored.state)
    return LetterView(
        letter_id=letter.letter_id,
        version=stored.version,
        mailbox=letter.mailbox,
        chosen_mailbox=letter.chosen_mailbox,
        stage=letter.stage,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        subject=letter.subject,
        body=letter.body,
        classification=letter.classification,
        may_publish=letter.may_publish,
        attachments=list(letter.attachments),
        contact=contact,
        received_at=letter.received_at,
        read_at=letter.read_at,
        read_by=letter.read_by,
        registered_at=letter.registered_at,
        corrections=[Correction(at=c.at, by=c.by, before=c.before, after=c.after) for c in letter.corrections],
        invalid_reason=letter.discarded.reason if letter.discarded else None,
        remark=letter.discarded.remark if letter.discarded else "",
        earlier_letter=letter.discarded.earlier_letter if letter.discarded else None,
    )


def _row(stored: Stored[Letter]) -> LetterRow:
    letter = domain.known(stored.state)
    return LetterRow(
        letter_id=letter.letter_id,
        mailbox=letter.mailbox,
        stage=letter.stage,
        number=letter.number.text if letter.number else None,
        subject=letter.subject,
        classification=letter.classification,
        received_at=letter.received_at,
        version=stored.version,
    )


def actor(caller: Caller) -> Actor:
    """Return who acts, for the record."""
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)


def public_router(
    door: FrontDoor, letters: Letters[Letter], directory: Directory, guesses: GuessPenalty, trusted_proxies: int
) -> APIRouter:
    """Return the routes that need no account."""
    router = APIRouter(prefix="/intake", tags=["来信 citizens"])

    async def submit(request: Request) -> Response:
        request.scope["route"] = served  # as FastAPI's routes do: metrics and traces go by it
        return await documented(request, request.headers.get("idempotency-key"))

    # Starlette serves it and FastAPI's route below documents it: here every microsecond counts, and the body is read by `read_model`.
    served = Route("/intake/letters", submit, methods=["POST"], include_in_schema=False)
    router.routes.append(served)

    @router.post(
        "/letters",
        status_code=202,
        response_model=Accepted,
        summary="递交来信 Submit a letter (R2.1, R2.2)",
        openapi_extra=json_body(Submission),
    )
    async def documented(request: Request, idempotency_key: IdempotencyKey = None) -> Response:
        """Answered as soon as Kafka has the letter. Repeat the same request with the same Idempotency-Key whenever in doubt."""
        if idempotency_key is None or not 8 <= len(idempotency_key) <= 200:
            raise Problem(
                400,
                "缺少提交标识 / Idempotency-Key is missing",
                "Send the header Idempotency-Key with 8 to 200 characters, fresh for each letter (a UUID is right), "
                "so that a retry makes one letter.",
                slug="idempotency-key-missing",
                rule="R2.2",
            )
        receipt, at = await door.accept(await read_model(request, Submission), idempotency_key)
        url = f"/intake/receipts/{receipt}"
        return FastJSON({"receipt": receipt, "status_url": url, "received_at": at}, 202, {"Location": url})

    @router.get("/receipts/{code}", response_model=citizen.Standing, summary="查询来信 Where a letter stands (R8.3)")
    async def follow(code: Annotated[str, Path(max_length=100)], request: Request) -> citizen.Standing:
        """Needs only the receipt code. A typing error is told at once; wrong codes make the next try wait."""
        try:
            receipt = parse_receipt(code)
        except MistypedReceipt as error:
            raise Problem(
                422,
                "查询码有误 / The receipt code has a typing error",
                f"{error.reason_zh} / {error.reason}",
                slug="mistyped-receipt",
                rule="R2.2",
            ) from None
        address = caller_address(request, trusted_proxies)
        guesses.check(address)
        stored = await find_by_receipt(letters.aggregates, receipt_key(door.secret, receipt))
        if stored is None or stored.state is None:
            if not door.just_given(receipt):
                guesses.wrong(address)
            raise NotFound(
                "R2.2",
                "没有找到这个查询码的来信；刚提交的来信请稍候几秒再查 / No letter has this receipt code; "
                "a letter that was just sent may need a few seconds",
            )
        return citizen.standing(stored.state, directory)

    @router.get("/mailboxes", response_model=list[Choice], summary="可选的信箱 Mailboxes to write to (R2.1)")
    async def mailboxes() -> Sequence[Choice]:
        """The mayor's mailbox and the units'."""
        return [
            Choice(code=m.code, name=m.short_name, label=m.name)
            for m in directory.mailboxes()
            if m.kind is not MailboxKind.DEPARTMENT
        ]

    @router.get("/domains", response_model=list[Choice], summary="领域 Domains (R3.4)")
    async def domains() -> Sequence[Choice]:
        """What letters are about."""
        return [Choice(code=d.code, name=d.name, label=d.label) for d in directory.all_domains()]

    @router.get("/regions", response_model=list[Choice], summary="区县 Regions (R3.5)")
    async def regions() -> Sequence[Choice]:
        """Districts and counties by their GB/T 2260 codes."""
        return [Choice(code=r.code, name=r.name, label=r.name) for r in directory.regions()]

    @router.post("/attachments", status_code=201, summary="上传附件 Upload an attachment (R2.2)")
    async def upload(
        file: Annotated[UploadFile, File(description="pdf, picture, docx, xlsx, mp3 or mp4")],
    ) -> dict[str, Any]:
        """Answer: `attachment`, to be named in the submission within a day, and the file's size, kind and SHA-256."""
        attachment, signed = await door.attachments.upload(file)
        return {"attachment": signed, **attachment.model_dump(exclude={"id"})}

    return router


def caller_address(request: Request, trusted_proxies: int) -> str:
    """Return the address of whoever asks: the connection's, or what the outermost trusted proxy saw."""
    if trusted_proxies:
        hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        if len(hops) >= trusted_proxies:
            return hops[-trusted_proxies]
    return request.client.host if request.client else ""


def staff_router(  # noqa: PLR0915 - one route after the other
    letters: Letters[Letter], contacts: Contacts, registrar: Registrar, attachments: Attachments, directory: Directory
) -> APIRouter:
    """Return the routes of screening."""
    router = APIRouter(prefix="/intake", tags=["受理 screening"])

    def hidden(letter: Letter, caller: Caller) -> bool:
        """Whether it is a report (举报) about the caller or their unit, which neither ever sees (architecture rule 4)."""
        return kept_from(letter.classification, caller.mailbox, caller.subject, directory)

    def visible(state: Letter | None, caller: Caller, asked: Right) -> Letter:
        """Return a letter that the caller may see: their mailbox's own, or any for the duty office (R10.2)."""
        letter = domain.known(state)
        own = keeper(letter.classification, letter.mailbox, directory)
        if hidden(letter, caller) or not asked.allows(caller, {Relation.FIRST: (own,)}):
            domain.known(None)
        return letter

    async def seen_by(caller: Caller, letter_id: str, asked: Right) -> Stored[Letter]:
        asked.check_role(caller)
        stored = await letters.aggregates.get(letter_id)
        visible(stored.state, caller, asked)
        return stored

    async def answer(stored: Stored[Letter]) -> Response:
        found = await contacts.get_many([stored.id])
        body = _view(stored, found.get(stored.id)).model_dump_json()
        return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})

    async def command(
        caller: Caller, letter_id: str, if_match: str | None, asked: Right, decide: Any
    ) -> Stored[Letter]:
        asked.check_role(caller)

        def decided(state: Letter | None, now: datetime) -> Sequence[Fact]:
            return decide(visible(state, caller, asked), actor(caller), now)  # type: ignore[no-any-return]

        try:
            return await letters.command(letter_id, decided, expected=expected_version(if_match))
        except Stale:
            await seen_by(caller, letter_id, asked)
            raise

    @router.get(
        "/mailboxes/{code}/letters", response_model=LetterPage, summary="来信列表 Letters of a mailbox by stage"
    )
    async def listed(
        caller: Authenticated,
        code: str,
        stage: Stage = Stage.UNREAD,
        order: Literal["oldest", "newest"] = "oldest",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Response:
        """Oldest first by default: each day's letters are read that day (R3.1)."""
        rights.LIST.check(caller, {Relation.NAMED: (code,)})
        directory.get(code)
        (after,) = decode_cursor(cursor, str) or ("",)
        shown = list[Stored[Letter]]()
        while len(shown) <= limit:
            found = await page(letters.aggregates, code, stage, after, limit + 1, newest_first=order == "newest")
            shown += [stored for stored in found if not hidden(domain.known(stored.state), caller)]
            if len(found) <= limit:
                break
            after = position(domain.known(found[-1].state))
        following = encode_cursor(position(domain.known(shown[limit - 1].state))) if len(shown) > limit else None
        body = LetterPage(items=[_row(stored) for stored in shown[:limit]], next=following).model_dump_json()
        return Response(body, media_type="application/json")

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """With contact data, for the mailbox that received it."""
        return await answer(await seen_by(caller, letter_id, rights.SHOW))

    @router.post("/letters/{letter_id}/read", response_model=LetterView, summary="阅信 Read (R3.1)")
    async def read(caller: Authenticated, letter_id: LetterId, if_match: IfMatch = None) -> Response:
        """The first reading is recorded."""
        return await answer(await command(caller, letter_id, if_match, rights.READ, domain.read))

    @router.put(
        "/letters/{letter_id}/classification",
        response_model=LetterView,
        responses={204: {"description": "It is a report that the caller must not see"}},
        summary="更正分类 Correct (R3.2)",
    )
    async def reclassify(
        caller: Authenticated,
        letter_id: LetterId,
        corrected: ClassificationIn,
        if_match: IfMatch = None,
    ) -> Response:
        """The citizen's choice and every correction are kept with who and when.

        204 without content: by its new classification the letter is a report that the caller must not see any more.
        """
        after = named(Classification(**corrected.model_dump()), directory)
        wrong = check_classification(after, directory)
        if wrong:
            raise Problem(
                422,
                "填写内容有误 / Some fields are wrong",
                "Correct the fields listed under 'errors'.",
                slug="invalid-fields",
                errors=wrong,
            )

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.reclassify(state, after, by, now)

        stored = await command(caller, letter_id, if_match, rights.RECLASSIFY, decide)
        try:
            visible(stored.state, caller, rights.RECLASSIFY)
        except NotFound:
            return Response(status_code=204)
        return await answer(stored)

    @router.post("/letters/{letter_id}/register", response_model=LetterView, summary="登记编号 Register (R3.6)")
    async def register(caller: Authenticated, letter_id: LetterId, if_match: IfMatch = None) -> Response:
        """Gives the letter its number for ever; again: the same number (R3.8)."""
        stored = await seen_by(caller, letter_id, rights.REGISTER)
        return await answer(await registrar.register_letter(stored, actor(caller), expected_version(if_match)))

    @router.post("/letters/{letter_id}/discard", response_model=LetterView, summary="作无效处理 Discard (R3.0)")
    async def discard(caller: Authenticated, letter_id: LetterId, why: DiscardIn, if_match: IfMatch = None) -> Response:
        """Only for one of the five reasons."""

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.discard(state, why.reason, by, now, remark=why.remark, earlier_letter=why.earlier_letter)

        return await answer(await command(caller, letter_id, if_match, rights.DISCARD, decide))

    @router.post("/letters/{letter_id}/note", response_model=LetterView, summary="掌握 Note (R3.7)")
    async def note(caller: Authenticated, letter_id: LetterId, why: NoteIn, if_match: IfMatch = None) -> Response:
        """Archived for reference, without a number."""

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.note(state, by, now, why.remark)

        return await answer(await command(caller, letter_id, if_match, rights.NOTE, decide))

    @router.get("/letters/{letter_id}/attachments/{attachment_id}", summary="下载附件 Download an attachment")
    async def download(caller: Authenticated, letter_id: LetterId, attachment_id: str) -> StreamingResponse:
        """The file as the citizen sent it, always as a download."""
        letter = domain.known((await seen_by(caller, letter_id, rights.DOWNLOAD)).state)
        file = next((a for a in letter.attachments if a.id == attachment_id), None)
        if file is None:
            raise NotFound("R2.2", "这封来信没有这个附件 / The letter has no such attachment")
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name)}",
            "Content-Length": str(file.size),
            "X-Checksum-Sha256": file.sha256,
        }
        return StreamingResponse(await attachments.open(attachment_id), media_type=file.media_type, headers=headers)

    return router
