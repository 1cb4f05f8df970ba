"""Files that are shown with a published letter: uploaded, looked at and removed by staff, read by everybody once approved (R9.1)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Header, UploadFile
from starlette.responses import Response, StreamingResponse

from services.publication.access import Access
from services.publication.attachments import Copy, Files, missing
from services.publication.cleaning import ENDINGS
from services.publication.domain import Case, opened
from services.publication.remaining import Remaining
from services.publication.repository import PublicSite
from shared.contracts.errors import BadInput, RuleBroken
from shared.contracts.types import PublishedFile
from shared.messaging.letters import Letters
from shared.security.scanner import Away
from shared.security.tokens import Authenticated, Caller
from shared.web.documented import also
from shared.web.etag import is_current
from shared.web.problems import Problem, ServiceUnavailable

_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "文件 The file", "content": {media_type: {} for media_type in ENDINGS}}
}
LASTS: Final = {"Cache-Control": "no-cache"}
"""May be kept, and must be asked about each time: what is withdrawn is gone at once."""


def staff_router(letters: Letters[Case], access: Access, files: Files, remaining: Remaining) -> APIRouter:
    """Return what staff do with the files of a case."""
    routes = APIRouter(prefix="/publication/cases/{letter_id}/attachments", tags=["publication"])

    async def preparing(caller: Caller, letter_id: str) -> Case:
        case, answer = opened(access.seen(caller, (await letters.aggregates.get(letter_id)).state))
        access.may_attach(caller, access.acting(case, answer.mailbox))
        return case

    @routes.post("", status_code=201, response_model=Copy, summary="Upload a file that may be public (R9.1)")
    async def upload(
        caller: Authenticated,
        letter_id: str,
        file: Annotated[UploadFile, File(description="A PDF or a picture. Its name is not kept.")],
        copy_of: Annotated[
            str | None, Form(description="Id of the citizen's attachment that it is a copy of.", max_length=32)
        ] = None,
    ) -> Copy:
        """For who may prepare. What is not seen in it is taken out; the answer is of what is kept. Name its `id` in the prepared text."""
        case = await preparing(caller, letter_id)
        opened(case, "prepare")
        sent = case.received.attachments if case.received else ()
        if copy_of is not None and all(copy_of != attachment.id for attachment in sent):
            raise BadInput(
                "R9.1",
                "来信没有这个附件 / The letter has no such attachment; see original.attachments",
                "/copy_of",
            )
        content = await file.read(files.max_bytes + 1)
        try:
            return await files.keep(letter_id, content, copy_of, remaining.counted)
        except Away:
            raise ServiceUnavailable("the scanner of attachments (SCANNER)", retry_after=10) from None

    @routes.get("", response_model=list[Copy], summary="The files kept for a case")
    async def listed(caller: Authenticated, letter_id: str) -> list[Copy]:
        """List what was uploaded, the oldest first, with what in it looks like personal data."""
        opened(access.seen(caller, (await letters.aggregates.get(letter_id)).state))
        return await files.of(letter_id)

    @routes.get(
        "/{attachment_id}", response_class=Response, responses=_FILE, summary="A file as the public would get it"
    )
    async def one(caller: Authenticated, letter_id: str, attachment_id: str) -> Response:
        """Show the cleaned file, for who prepares or approves it to look at."""
        opened(access.seen(caller, (await letters.aggregates.get(letter_id)).state))
        copy = next((copy for copy in await files.of(letter_id) if copy.id == attachment_id), None)
        content = None if copy is None else await files.open(letter_id, copy.id)
        if copy is None or content is None:
            raise missing()
        name = f"{copy.id}.{ENDINGS[copy.media_type]}"
        return StreamingResponse(content, headers=_headers(copy, name, name, {"Cache-Control": "no-store"}))

    @routes.delete("/{attachment_id}", status_code=204, summary="Remove a file that no text names")
    async def remove(caller: Authenticated, letter_id: str, attachment_id: str) -> Response:
        """For who may prepare; one that is public, or waits for approval, stays: prepare the text without it first."""
        case = await preparing(caller, letter_id)
        if attachment_id in case.files:
            raise RuleBroken(
                "R9.1",
                "该附件已公开或正待审批，请先重新拟稿去掉它 / The file is public or waits for approval; prepare the text without it first",
            )
        await files.remove(letter_id, attachment_id)
        return Response(status_code=204)

    return routes


def public_router(site: PublicSite, files: Files) -> APIRouter:
    """Return what everybody reads."""
    routes = APIRouter(prefix="/public", tags=["public"])

    @routes.get(
        "/letters/{number}/attachments/{name}",
        response_class=Response,
        responses=_FILE | also(410),
        summary="A file of a published letter (R9.2)",
    )
    async def download(number: str, name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        """Serve a file that was approved with the text, only while the letter is public."""
        asked = number.upper()
        found = await site.attachment(asked, name)
        if found is None:
            gone = await site.withdrawn(asked)
            if gone is not None:
                raise Problem(
                    410,
                    "此信已撤回公开 / The publication was withdrawn",
                    "此信及其附件已撤回公开。 / The letter and its files are not public any more; its page says when and why.",
                    slug="withdrawn",
                    rule="R9.1",
                )
            raise _not_public()
        letter_id, file = found
        tag = f'"{file.sha256}"'
        if is_current(if_none_match, tag):
            return Response(status_code=304, headers={**LASTS, "ETag": tag})
        content = await files.open(letter_id, file.id)
        if content is None:
            raise _not_public()
        plain = f"attachment-{file.name.removeprefix('附件')}"
        return StreamingResponse(content, headers=_headers(file, file.name, plain, {**LASTS, "ETag": tag}))

    return routes


def _not_public() -> Problem:
    return Problem(
        404,
        "没有这个公开附件 / No such published file",
        "这个编号下没有这个公开附件。 / No file of this name is published with the letter; its page lists those there are.",
        slug="not-published",
        rule="R9.1",
    )


def _headers(file: Copy | PublishedFile, name: str, plain: str, more: Mapping[str, str]) -> dict[str, str]:
    """The name in two forms: for clients that know RFC 8187, and for the others."""
    shown = f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    return {"Content-Type": file.media_type, "Content-Length": str(file.size), "Content-Disposition": shown, **more}
