"""Routes of the printed forms 附表1–8 (R4.6): each as a PDF, for whom its part of the letter is shown to."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path
from starlette.responses import Response

from services.routing import printing, rights
from services.routing.desk import Desk, LetterId, PartId
from services.routing.forms import Clerk, Form
from services.routing.routes_slips import LETTER
from shared.printing.press import Press, qr_svg
from shared.security.tokens import Authenticated, Caller
from shared.web.etag import etag_of

HANDOFF = LETTER + "/handoffs/{handoff_id}"
PDF: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}, "description": "PDF"}
}

Count = Annotated[int, Path(ge=1, le=100_000, description="第几次 the ordinal")]
IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of a copy at hand; where it still holds, the answer is 304.")
]


def add(router: APIRouter, desk: Desk, press: Press, letter_url: str, reply_days: int) -> None:
    """Add the routes.

    Args:
        router: takes them.
        desk: reads the letters.
        press: prints.
        letter_url: where the code on a form leads, with `{letter_id}` in it.
        reply_days: working days for a reply where nobody sets others (R6.1).
    """

    async def printed(
        caller: Caller, letter_id: str, file: str, copy: str | None, fill_in: Callable[[Clerk], Form]
    ) -> Response:
        rights.PRINT.check_role(caller)
        stored = await desk.letters.aggregates.get(letter_id)
        clerk = printing.clerk(stored.state, caller, desk.tree, reply_days)
        form = fill_in(clerk)
        number = clerk.letter.number.ascii if clerk.letter.number else "unnumbered"
        headers = {
            "ETag": etag_of(stored.version),
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'inline; filename="{number}-{file}.pdf"',
        }
        if copy is not None and etag_of(stored.version) in copy:
            return Response(status_code=304, headers=headers)
        link = letter_url.replace("{letter_id}", letter_id)
        made = await press.form(form.data(clerk.letter, link, qr_svg(link)), form.at)
        return Response(made, media_type="application/pdf", headers=headers)

    @router.get(
        LETTER + "/registration.pdf",
        response_class=Response,
        responses=PDF,
        summary="来信登记单 The registration, on paper (附表1, R3.6)",
    )
    async def registration(caller: Authenticated, letter_id: LetterId, if_none_match: IfNoneMatch = None) -> Response:
        """For whom the letter is shown to."""
        return await printed(caller, letter_id, "registration", if_none_match, printing.registration)

    @router.get(
        LETTER + "/slips/{slip_id}.pdf",
        response_class=Response,
        responses=PDF,
        summary="处理单、交办单、转阅单、呈办单 A slip, on paper (附表2–5, R4.6)",
    )
    async def slip(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, if_none_match: IfNoneMatch = None
    ) -> Response:
        """For its sender and the duty office; once it was sent, for its receiver too."""
        return await printed(caller, letter_id, slip_id, if_none_match, lambda by: printing.slip(by, caller, slip_id))

    @router.get(
        HANDOFF + "/replies/{reply_id}.pdf",
        response_class=Response,
        responses=PDF,
        summary="承办回复 A reply, on paper (附表6, R6.2)",
    )
    async def reply(
        caller: Authenticated,
        letter_id: LetterId,
        handoff_id: PartId,
        reply_id: PartId,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """A draft for the mailbox that wrote it, an approved one for the assigner too."""
        return await printed(
            caller,
            letter_id,
            f"{handoff_id}-{reply_id}",
            if_none_match,
            lambda by: printing.reply(by, caller, handoff_id, reply_id),
        )

    @router.get(
        HANDOFF + "/urgings/{count}.pdf",
        response_class=Response,
        responses=PDF,
        summary="催办单 An urging, on paper (附表7, R7.1)",
    )
    async def urging(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, count: Count, if_none_match: IfNoneMatch = None
    ) -> Response:
        """For both ends of the hand-off; `count` is which urging it was."""
        return await printed(
            caller,
            letter_id,
            f"{handoff_id}-urging-{count}",
            if_none_match,
            lambda by: printing.urging(by, caller, handoff_id, count),
        )

    @router.get(
        HANDOFF + "/send-backs/{count}.pdf",
        response_class=Response,
        responses=PDF,
        summary="退办单 A reply sent back, on paper (附表8, R7.3)",
    )
    async def send_back(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, count: Count, if_none_match: IfNoneMatch = None
    ) -> Response:
        """For both ends of the hand-off; `count` is which sending back it was."""
        return await printed(
            caller,
            letter_id,
            f"{handoff_id}-send-back-{count}",
            if_none_match,
            lambda by: printing.send_back(by, caller, handoff_id, count),
        )
