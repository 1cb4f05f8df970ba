"""HTTP of intake for staff: screening."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from services.intake import domain, rights
from services.intake.attachments import KINDS, Attachments
from services.intake.contacts import Contacts
from services.intake.domain import Earlier, Letter, Stage
from services.intake.earlier import Repeats
from services.intake.forms import REPORTED, check_classification, named
from services.intake.handlers import Registrar
from services.intake.repository import page, position
from services.intake.views import EarlierPage, LetterPage, LetterView, row, view
from shared.contracts.errors import NotFound, Stale
from shared.contracts.facts import Fact
from shared.contracts.reports import keeper, kept_from
from shared.contracts.types import Actor, Classification, InvalidReason, Nature, TurnTo
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.rights import Relation, Right
from shared.security.tokens import Authenticated, Caller
from shared.storage import Stored
from shared.web.documented import file_of
from shared.web.etag import etag_of, expected_version
from shared.web.paging import decode_cursor, encode_cursor
from shared.web.problems import Problem

IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is answered with 409.")]
LetterId = Annotated[str, Path(max_length=64)]


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
        held = await attachments.held([file.id for file in domain.known(stored.state).attachments])
        body = view(stored, found.get(stored.id), held).model_dump_json()
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
        body = LetterPage(items=[row(stored) for stored in shown[:limit]], next=following).model_dump_json()
        return Response(body, media_type="application/json")

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """With contact data, for the mailbox that received it."""
        return await answer(await seen_by(caller, letter_id, rights.SHOW))

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
        return EarlierPage(items=await repeats.likely(await seen_by(caller, letter_id, rights.EARLIER), caller))

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
        """Only for one of the five reasons; the citizen is told which, and what to do."""
        rights.DISCARD.check_role(caller)
        repeated: Earlier | None = None
        if why.earlier_letter is not None:
            repeated = await repeats.named(why.earlier_letter, await seen_by(caller, letter_id, rights.DISCARD), caller)

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.discard(state, why.reason, by, now, remark=why.remark, turn_to=why.turn_to, earlier=repeated)

        return await answer(await command(caller, letter_id, if_match, rights.DISCARD, decide))

    @router.post("/letters/{letter_id}/note", response_model=LetterView, summary="掌握 Note (R3.7)")
    async def note(caller: Authenticated, letter_id: LetterId, why: NoteIn, if_match: IfMatch = None) -> Response:
        """Archived for reference, without a number."""

        def decide(state: Letter | None, by: Actor, now: datetime) -> Sequence[Fact]:
            return domain.note(state, by, now, why.remark)

        return await answer(await command(caller, letter_id, if_match, rights.NOTE, decide))

    @router.get(
        "/letters/{letter_id}/attachments/{attachment_id}",
        response_class=StreamingResponse,
        responses=file_of(*KINDS),
        summary="下载附件 Download an attachment",
    )
    async def download(caller: Authenticated, letter_id: LetterId, attachment_id: str) -> StreamingResponse:
        """The file as the citizen sent it, always as a download. 409: it waits for the scanner, or malware was found in it (see `held`)."""
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
