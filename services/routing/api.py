"""HTTP of routing: the lists of a mailbox, one letter, and the moves that staff and units' systems make."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.routing import domain
from services.routing.domain import SlipText, Who
from services.routing.repository import ListName, order_of, page
from services.routing.state import State
from services.routing.views import LetterRow, LetterView, letter_row, letter_view
from shared.contracts.errors import NotFound, Stale
from shared.contracts.facts import Fact
from shared.contracts.types import Actor, AnswerBy, Channel
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller, Role, require
from shared.storage import Stored
from shared.web.etag import etag_of, expected_version
from shared.web.paging import Page, decode_cursor, encode_cursor

READERS = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER, Role.UNIT_SYSTEM)

IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is answered with 409.")]
LetterId = Annotated[str, Path(max_length=64)]
PartId = Annotated[str, Path(max_length=64)]
Move: TypeAlias = Callable[[State | None, Who, datetime], Sequence[Fact]]


class SlipIn(BaseModel):
    """An assignment slip (交办单, 附表3)."""

    receiver: str = Field(
        max_length=80, description="code of the mailbox below that shall handle it", examples=["water"]
    )
    opinion: str = Field(
        min_length=1,
        max_length=5_000,
        description="拟办意见",
        json_schema_extra={"rule": "R4.2"},
        examples=["拟交水务集团办理"],
    )
    requirements: str = Field(
        min_length=1,
        max_length=5_000,
        description="办理要求",
        json_schema_extra={"rule": "R4.2"},
        examples=["依法办理并答复来信人"],
    )
    answer_by: AnswerBy = Field(description="who answers the citizen (R8.3)", json_schema_extra={"rule": "R8.3"})
    written_reply: bool = Field(default=False, description="whether a written reply (承办回复) is required (R6.2)")


class ReasonIn(BaseModel):
    """Why something is refused."""

    reason: str = Field(min_length=1, max_length=2_000)


class ProgressIn(BaseModel):
    """An explanation of progress."""

    text: str = Field(min_length=1, max_length=5_000, json_schema_extra={"rule": "R7.1"})


class ReplyIn(BaseModel):
    """A draft reply."""

    text: str = Field(min_length=1, max_length=20_000, json_schema_extra={"rule": "R6.2"})


class AnswerIn(BaseModel):
    """The answer to the citizen, or the note of the call."""

    channel: Channel = Field(json_schema_extra={"rule": "R8.3"})
    text: str = Field(min_length=1, max_length=20_000, json_schema_extra={"rule": "R8.3"})


def router(letters: Letters[State], tree: Directory) -> APIRouter:  # noqa: PLR0915 - one route after the other
    """Return the routes of routing."""
    router = APIRouter(prefix="/routing", tags=["办理 handling"])

    def shown(stored: Stored[State], caller: Caller) -> Response:
        state, _ = domain.visible(stored.state, caller.mailbox, tree)
        body = letter_view(state, stored.version, caller).model_dump_json()
        return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})

    async def moved(caller: Caller, letter_id: str, if_match: str | None, move: Move) -> Response:
        """Make a move; the domain checks who may."""
        actor = Actor(subject=caller.subject[:100], name=caller.name[:100], mailbox=caller.mailbox)
        who = Who(actor=actor, roles=caller.roles)
        expected = expected_version(if_match)
        try:
            stored = await letters.command(letter_id, lambda state, now: move(state, who, now), expected=expected)
        except Stale:
            domain.visible((await letters.aggregates.get(letter_id)).state, caller.mailbox, tree)
            raise
        return shown(stored, caller)

    @router.get("/mailboxes/{code}/letters", response_model=Page[LetterRow], summary="办理列表 A list of a mailbox")
    async def listed(
        caller: Authenticated,
        code: Annotated[str, Path(max_length=80)],
        name: Annotated[ListName, Query(alias="list")] = ListName.PENDING,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Page[LetterRow]:
        """Longest waiting first; the finished ones newest first."""
        require(caller, roles=READERS, mailbox=code)
        if code not in tree:
            raise NotFound("R2.1", "名录中没有这个信箱 / The directory has no such mailbox")
        (after,) = decode_cursor(cursor, str) or ("",)
        found = await page(letters.aggregates, code, name, after, limit + 1)
        rows = []
        for stored in found[:limit]:
            state, letter = stored.state, stored.state.letter if stored.state else None
            if state is None or letter is None or domain.hidden_from(letter.classification, caller.mailbox, tree):
                continue
            row = letter_row(state, stored.version)
            if row is not None:
                rows.append(row)
        last = found[limit - 1].state if len(found) > limit else None
        return Page(items=rows, next=encode_cursor(order_of(last)) if last else None)

    @router.get("/letters/{letter_id}", response_model=LetterView, summary="查看来信 One letter and its handling")
    async def show(caller: Authenticated, letter_id: LetterId) -> Response:
        """For the first-receiving mailbox, those it was handed to, and the duty office (R10.2)."""
        require(caller, roles=READERS)
        stored = await letters.aggregates.get(letter_id)
        state, _ = domain.visible(stored.state, caller.mailbox, tree)
        require(caller, mailbox=domain.parties(state))
        return shown(stored, caller)

    @router.post("/letters/{letter_id}/slips", response_model=LetterView, summary="拟写交办单 Prepare a slip (R4.2)")
    async def prepare(caller: Authenticated, letter_id: LetterId, slip: SlipIn, if_match: IfMatch = None) -> Response:
        """A clerk of the first-receiving mailbox; the receiver stands below it."""
        text = SlipText(**dict(slip))
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.prepare_slip(s, w, tree, text, now))

    @router.post(
        "/letters/{letter_id}/slips/{slip_id}/approve", response_model=LetterView, summary="审批交办单 Approve (R4.2)"
    )
    async def approve_slip(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, if_match: IfMatch = None
    ) -> Response:
        """The head or leader of the sender, not who prepared it; the letter is handed out at once."""
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.approve_slip(s, w, tree, slip_id, now))

    @router.post(
        "/letters/{letter_id}/slips/{slip_id}/refuse", response_model=LetterView, summary="退回交办单 Refuse (R4.2)"
    )
    async def refuse_slip(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, why: ReasonIn, if_match: IfMatch = None
    ) -> Response:
        """The head or leader of the sender; the letter is pending again."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.refuse_slip(s, w, tree, slip_id, why.reason, now)
        )

    @router.post(
        "/letters/{letter_id}/handoffs/{handoff_id}/collect", response_model=LetterView, summary="签收 Collect (R6.3)"
    )
    async def collect(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, if_match: IfMatch = None
    ) -> Response:
        """The assignee, once."""
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.collect(s, w, tree, handoff_id, now))

    @router.post(
        "/letters/{letter_id}/handoffs/{handoff_id}/progress",
        response_model=LetterView,
        summary="说明进展 Record progress (R7.1)",
    )
    async def progress(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, what: ProgressIn, if_match: IfMatch = None
    ) -> Response:
        """The assignee; holds off urging, not lateness."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.record_progress(s, w, tree, handoff_id, what.text, now),
        )

    @router.post(
        "/letters/{letter_id}/handoffs/{handoff_id}/replies",
        response_model=LetterView,
        summary="拟写承办回复 Draft the reply (R6.2)",
    )
    async def reply(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, draft: ReplyIn, if_match: IfMatch = None
    ) -> Response:
        """The assignee, after collecting; a new draft takes the place of one that waits."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.submit_reply(s, w, tree, handoff_id, draft.text, now)
        )

    @router.post(
        "/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/approve",
        response_model=LetterView,
        summary="审批承办回复 Approve the reply (R6.2)",
    )
    async def approve_reply(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, reply_id: PartId, if_match: IfMatch = None
    ) -> Response:
        """The head or leader of the assignee, not the author; answers the citizen where the slip says so (R8.3)."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.approve_reply(s, w, tree, handoff_id, reply_id, now),
        )

    @router.post(
        "/letters/{letter_id}/handoffs/{handoff_id}/replies/{reply_id}/refuse",
        response_model=LetterView,
        summary="退回承办回复 Refuse the draft (R6.2)",
    )
    async def refuse_reply(
        caller: Authenticated,
        letter_id: LetterId,
        handoff_id: PartId,
        reply_id: PartId,
        why: ReasonIn,
        if_match: IfMatch = None,
    ) -> Response:
        """The head or leader of the assignee."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.refuse_reply(s, w, tree, handoff_id, reply_id, why.reason, now),
        )

    @router.post("/letters/{letter_id}/answer", response_model=LetterView, summary="答复来信人 Answer (R8.3)")
    async def answer(caller: Authenticated, letter_id: LetterId, given: AnswerIn, if_match: IfMatch = None) -> Response:
        """A clerk of the assigner, once the assignee replied to it; the letter is finished."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.answer_citizen(s, w, tree, given.channel, given.text, now),
        )

    return router
