"""HTTP of intake for staff: screening."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from services.intake import domain
from services.intake.attachments import Attachments
from services.intake.contacts import Contacts
from services.intake.domain import Earlier, Letter, Stage
from services.intake.earlier import Repeats, may_open
from services.intake.forms import check_classification
from services.intake.handlers import Registrar
from services.intake.repository import page, position
from services.intake.views import EarlierPage, LetterPage, LetterView, row, view
from shared.contracts.errors import NotFound, Stale
from shared.contracts.facts import Fact
from shared.contracts.types import Actor, Classification, InvalidReason, Nature, TurnTo
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller, Role, require
from shared.storage import Stored
from shared.web.etag import etag_of, expected_version
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem

STAFF = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER)
CLERKS = (Role.CLERK,)

IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is answered with 409.")]
LetterId = Annotated[str, Path(max_length=64)]


class ClassificationIn(BaseModel):
    """A corrected classification."""

    nature: Nature
    domain: str = Field(max_length=80)
    region: str = Field(max_length=6)
    reported_mailbox: str | None = Field(default=None, max_length=80)


class DiscardIn(BaseModel):
    """Why a letter is not accepted (R3.0)."""

    reason: InvalidReason = Field(json_schema_extra={"rule": "R3.0"})
    remark: str = Field(default="", max_length=2000, description="For staff; the citizen never sees it.")
    turn_to: TurnTo | None = Field(
        default=None,
        json_schema_extra={"rule": "R3.0"},
        description="For `outside_government`: whose matter it is; the citizen is told whom to turn to.",
    )
    earlier_letter: str | None = Field(
        default=None,
        max_length=64,
        json_schema_extra={"rule": "R3.0"},
        description="For `repeated_or_empty`: the letter that this one repeats; see `GET …/earlier`.",
    )


class NoteIn(BaseModel):
    """A remark on a noted letter (R3.7)."""

    remark: str = Field(default="", max_length=2000)


def actor(caller: Caller) -> Actor:
    """Return who acts, for the record."""
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)


def staff_router(  # noqa: PLR0915 - one route after the other
    letters: Letters[Letter],
    contacts: Contacts,
    repeats: Repeats,
    registrar: Registrar,
    attachments: Attachments,
    directory: Directory,
) -> APIRouter:
    """Return the routes of screening."""
    router = APIRouter(prefix="/intake", tags=["受理 screening"])

    def visible(state: Letter | None, caller: Caller) -> Letter:
        """Return a letter that the caller may see: their mailbox's own, or any for the duty office (R10.2)."""
        letter = domain.known(state)
        return letter if may_open(letter, caller, directory) else domain.known(None)

    async def seen_by(caller: Caller, letter_id: str) -> Stored[Letter]:
        require(caller, roles=STAFF)
        stored = await letters.aggregates.get(letter_id)
        visible(stored.state, caller)
        return stored

    async def answer(stored: Stored[Letter]) -> Response:
        found = await contacts.get_many([stored.id])
        body = view(stored, found.get(stored.id)).model_dump_json()
        return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})

    async def command(caller: Caller, letter_id: str, if_match: str | None, decide: Any) -> Stored[Letter]:
        require(caller, roles=CLERKS)

        def decided(state: Letter | None, now: datetime) -> Sequence[Fact]:
            return decide(visible(state, caller), actor(caller), now)  # type: ignore[no-any-return]

        try:
            return await letters.command(letter_id, decided, expected=expected_version(if_match))
        except Stale:
            await seen_by(caller, letter_id)
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
        require(caller, roles=STAFF, mailbox=code)
        directory.get(code)
        (after,) = decode_cursor(cursor, str) or ("",)
        found = await page(letters.aggregates, code, stage, after, limit + 1, newest_first=order == "newest")
        rows = [row(stored) for stored in found[:limit] if stored.state and may_open(stored.state, caller, directory)]
        last = found[limit - 1].state if len(found) > limit else None
        body = LetterPage(items=rows, next=encode_cursor(position(last)) if last else None).model_dump_json()
        return Response(body, media_type="application/json")

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """With contact data, for the mailbox that received it."""
        return await answer(await seen_by(caller, letter_id))

    @router.get(
        "/letters/{letter_id}/earlier",
        response_model=EarlierPage,
        summary="疑似重复的来信 Letters it may repeat (R3.0)",
    )
    async def earlier_letters(caller: Authenticated, letter_id: LetterId) -> EarlierPage:
        """Earlier letters of the same phone or e-mail, or of the same or nearly the same text. A person decides.

        Letters of other mailboxes are named with their number and no more, reports (举报) not at all; the duty office sees all but
        reports about itself.
        """
        return EarlierPage(items=await repeats.likely(await seen_by(caller, letter_id), caller))

    @router.post("/letters/{letter_id}/read", response_model=LetterView, summary="阅信 Read (R3.1)")
    async def read(caller: Authenticated, letter_id: LetterId, if_match: IfMatch = None) -> Response:
        """The first reading is recorded."""
        return await answer(await command(caller, letter_id, if_match, domain.read))

    @router.put("/letters/{letter_id}/classification", response_model=LetterView, summary="更正分类 Correct (R3.2)")
    async def reclassify(
        caller: Authenticated,
        letter_id: LetterId,
        corrected: ClassificationIn,
        if_match: IfMatch = None,
    ) -> Response:
        """The citizen's choice and every correction are kept with who and when."""
        after = Classification(**corrected.model_dump())
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

        return await answer(await command(caller, letter_id, if_match, decide))

    @router.post("/letters/{letter_id}/register", response_model=LetterView, summary="登记编号 Register (R3.6)")
    async def register(caller: Authenticated, letter_id: LetterId, if_match: IfMatch = None) -> Response:
        """Gives the letter its number for ever; again: the same number (R3.8)."""
        require(caller, roles=CLERKS)
        stored = await seen_by(caller, letter_id)
        return await answer(await registrar.register_letter(stored, actor(caller), expected_version(if_match)))

    @router.post("/letters/{letter_id}/discard", response_model=LetterView, summary="作无效处理 Discard (R3.0)")
    async def discard(caller: Authenticated, letter_id: LetterId, why: DiscardIn, if_match: IfMatch = None) -> Response:
        """Only for one of the five reasons; the citizen is told which, and what to do."""
        require(caller, roles=CLERKS)
        repeated: Earlier | None = None
        if why.earlier_letter is not None:
            repeated = await repeats.named(why.earlier_letter, await seen_by(caller, letter_id), caller)

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.discard(state, why.reason, by, now, remark=why.remark, turn_to=why.turn_to, earlier=repeated)

        return await answer(await command(caller, letter_id, if_match, decide))

    @router.post("/letters/{letter_id}/note", response_model=LetterView, summary="掌握 Note (R3.7)")
    async def note(caller: Authenticated, letter_id: LetterId, why: NoteIn, if_match: IfMatch = None) -> Response:
        """Archived for reference, without a number."""

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.note(state, by, now, why.remark)

        return await answer(await command(caller, letter_id, if_match, decide))

    @router.get("/letters/{letter_id}/attachments/{attachment_id}", summary="下载附件 Download an attachment")
    async def download(caller: Authenticated, letter_id: LetterId, attachment_id: str) -> StreamingResponse:
        """The file as the citizen sent it, always as a download."""
        letter = domain.known((await seen_by(caller, letter_id)).state)
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
