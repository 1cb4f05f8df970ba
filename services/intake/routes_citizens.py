"""HTTP of intake for citizens and portals: no account is needed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, File, Header, Path, Request, Response, UploadFile
from pydantic import BaseModel, Field
from starlette.routing import Route

from services.intake import citizen
from services.intake.entry import Entries, Entry, MailboxCard, takes_letters
from services.intake.floods import Floods
from services.intake.following import Following
from services.intake.forms import Submission
from services.intake.front_door import FrontDoor
from shared.contracts.types import InvalidReason, TurnTo
from shared.directory import Directory
from shared.web.app import FastJSON
from shared.web.body import json_body, read_model
from shared.web.caller import caller_address
from shared.web.documented import also
from shared.web.problems import Problem

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Required. One fresh value per letter, e.g. a UUID; the same again makes no second letter (R2.2)."
    ),
]
Code = Annotated[str, Path(max_length=80)]


class Accepted(BaseModel):
    """The answer to a submission."""

    receipt: str = Field(
        description="查询码: follow the letter with it; it is shown only here", examples=["7K3M-9QXT-2HVD-5"]
    )
    status_url: str
    received_at: datetime


class Choice(BaseModel):
    """One choice of a list."""

    code: str
    name: str
    label: str


class Advice(BaseModel):
    """Whose matter a letter may be, and whom the citizen is told to turn to."""

    code: TurnTo
    label: str
    told: str


class Reason(BaseModel):
    """A reason for which a letter is not accepted, and what the citizen is told."""

    code: InvalidReason
    label: str
    told: str
    turn_to: list[Advice]


def public_router(
    door: FrontDoor,
    following: Following,
    floods: Floods,
    directory: Directory,
    entries: Entries,
    trusted_proxies: int,
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
        responses=also(429),
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
        if floods.limits_portals:
            floods.portal(caller_address(request, trusted_proxies))
        door.let_in()
        receipt, at = await door.accept(await read_model(request, Submission), idempotency_key)
        url = f"/intake/receipts/{receipt}"
        return FastJSON({"receipt": receipt, "status_url": url, "received_at": at}, 202, {"Location": url})

    @router.get(
        "/receipts/{code}",
        response_model=citizen.Standing,
        responses=also(429),
        summary="查询来信 Where a letter stands (R8.3)",
    )
    async def follow(code: Annotated[str, Path(max_length=100)], request: Request) -> citizen.Standing:
        """Needs only the receipt code. A typing error is told at once; wrong codes make the next try wait."""
        return await following.standing(code, caller_address(request, trusted_proxies))

    @router.get("/mailboxes", response_model=list[Choice], summary="可选的信箱 Mailboxes to write to (R2.1)")
    async def mailboxes() -> Sequence[Choice]:
        """The mayor's mailbox and the units'; closed ones are left out."""
        return [Choice(code=m.code, name=m.short_name, label=m.name) for m in directory.mailboxes() if takes_letters(m)]

    @router.get("/mailboxes/{code}", response_model=MailboxCard, summary="信箱 A mailbox (R1.5)")
    async def mailbox(code: Code) -> MailboxCard:
        """Who runs it, whether it takes letters, and the link that leads to its form."""
        return entries.card(directory.get(code))

    @router.get(
        "/mailboxes/{code}/entry",
        response_model=Entry,
        responses={
            303: {
                "description": "去往来信页面 To the form for this mailbox: the portal's where PORTAL_URL is set, else our own."
            }
        },
        summary="信箱入口 The entry that earlier mailboxes redirect to (R1.5)",
    )
    async def entry(code: Code, accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """A link that stays; that of a closed mailbox leads to its successor. Programs are told how to post a letter."""
        there = directory.get(directory.current(code))
        target = entries.form_of(there)
        if target is None and "text/html" in accept:
            target = f"/write?to={there.code}"
        if target is not None:
            return Response(status_code=303, headers={"Location": target, "Vary": "Accept"})
        return FastJSON(entries.how_to_post(there).model_dump())

    @router.get("/reasons", response_model=list[Reason], summary="不予受理的理由 Reasons for not accepting (R3.0)")
    async def reasons() -> Sequence[Reason]:
        """The five reasons, and what each tells the citizen."""
        return [
            Reason(
                code=reason,
                label=reason.label,
                told=citizen.why_invalid(reason),
                turn_to=[
                    Advice(code=one, label=one.label, told=citizen.why_invalid(reason, one))
                    for one in (TurnTo if reason is InvalidReason.OUTSIDE_GOVERNMENT else ())
                ],
            )
            for reason in InvalidReason
        ]

    @router.get("/domains", response_model=list[Choice], summary="领域 Domains (R3.4)")
    async def domains() -> Sequence[Choice]:
        """What letters are about."""
        return [Choice(code=d.code, name=d.name, label=d.label) for d in directory.all_domains()]

    @router.get("/regions", response_model=list[Choice], summary="区县 Regions (R3.5)")
    async def regions() -> Sequence[Choice]:
        """Districts and counties by their GB/T 2260 codes."""
        return [Choice(code=r.code, name=r.name, label=r.name) for r in directory.regions()]

    @router.post("/attachments", status_code=201, responses=also(429), summary="上传附件 Upload an attachment (R2.2)")
    async def upload(
        request: Request, file: Annotated[UploadFile, File(description="pdf, picture, docx, xlsx, mp3 or mp4")]
    ) -> dict[str, Any]:
        """Answer: `attachment`, to be named in the submission within a day, and the file's size, kind and SHA-256."""
        floods.file(caller_address(request, trusted_proxies))
        attachment, signed = await door.attachments.upload(file)
        return {"attachment": signed, **attachment.model_dump(exclude={"id"})}

    return router
