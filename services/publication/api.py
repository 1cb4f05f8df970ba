"""What staff ask and decide over HTTP: publication cases (R9.1)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response

from services.publication import domain, rights
from services.publication.access import Access
from services.publication.attachments import Files
from services.publication.domain import Case, PublicText, opened
from services.publication.forms import ApproveRequest, PrepareRequest, WithdrawRequest, WithholdRequest
from services.publication.remaining import Remaining
from services.publication.repository import staff_page
from services.publication.views import CaseLine, CaseView, line, prepared_view, view
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import Fact, PublicationPrepared
from shared.contracts.types import Actor
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller
from shared.storage import Stored, place
from shared.web.etag import etag_of, expected_version
from shared.web.paging import Page, decode_cursor, encode_cursor

Decide = Callable[[Case | None, datetime], Sequence[Fact]]
IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is refused with 409.")]


def router(  # noqa: PLR0915 - one route after the other
    letters: Letters[Case], access: Access, files: Files, remaining: Remaining
) -> APIRouter:
    """Return the staff endpoints."""
    routes = APIRouter(prefix="/publication", tags=["publication"])

    @routes.get("/mailboxes/{code}/cases", summary="A mailbox's publication cases")
    async def listed(
        caller: Authenticated,
        code: str,
        status: Annotated[
            Literal["to-prepare", "to-approve", "published", "withheld", "withdrawn"],
            Query(alias="list", description="What waits comes oldest first, what is decided newest first."),
        ] = "to-prepare",
        cursor: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
    ) -> Page[CaseLine]:
        """List the finished letters that this mailbox answered; a report about the caller's own unit is left out."""
        access.may_list(caller, code)
        (after,) = decode_cursor(cursor, str) or (None,)
        shown: list[tuple[str, Case]] = []
        while len(shown) <= limit:
            stored = await staff_page(letters.aggregates, code, status, after, limit + 1)
            found = [(place(one.state.since, one.id), one.state) for one in stored if one.state and one.state.since]
            shown += [(where, case) for where, case in found if not access.hidden(caller, case)]
            if len(stored) <= limit or not found:
                break
            after = found[-1][0]
        following = encode_cursor(shown[limit - 1][0]) if len(shown) > limit else None
        return Page(items=[line(case) for _, case in shown[:limit]], next=following)

    @routes.get("/cases/{letter_id}", response_model=CaseView, summary="One publication case")
    async def one(caller: Authenticated, letter_id: str) -> Response:
        """Show the original text, the prepared text, what in it looks like personal data, and the decision; 409 (R9.1) until the
        citizen has an answer.
        """
        stored = await letters.aggregates.get(letter_id)
        case = access.seen(caller, stored.state)
        if case.mailbox is None:
            opened(case)
        return await shown(stored)

    @routes.post("/cases/{letter_id}/prepare", response_model=CaseView, summary="Propose the public text (R9.1)")
    async def prepare(
        caller: Authenticated, letter_id: str, body: PrepareRequest, if_match: IfMatch = None
    ) -> Response:
        """For a clerk of the mailbox that answered, or the duty office. Any question answered with yes means: withhold."""

        def allowed(state: Case | None) -> Case:
            case, answer = opened(access.seen(caller, state))
            access.may_prepare(caller, access.acting(case, answer.mailbox))
            return case

        allowed((await letters.aggregates.get(letter_id)).state)
        attachments = await files.named(letter_id, body.attachments)
        text = PublicText(subject=body.subject, body=body.body, reply=body.reply, attachments=attachments)
        await files.look_again(letter_id, body.attachments)

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            allowed(state)
            return domain.prepare(state, text, body.grounds, _actor(caller), now, body.mark_counts)

        return await moved(letter_id, decide, if_match)

    @routes.post(
        "/cases/{letter_id}/approve", response_model=CaseView, summary="Approve exactly the prepared text (R9.1)"
    )
    async def approve(
        caller: Authenticated, letter_id: str, body: ApproveRequest, if_match: IfMatch = None
    ) -> Response:
        """For the head or leader in charge, never the preparer. The text and its files are public at once."""

        def allowed(state: Case | None) -> Case:
            case, answer = opened(access.seen(caller, state))
            access.may_decide(caller, access.acting(case, answer.mailbox), rights.APPROVE)
            return case

        before = allowed((await letters.aggregates.get(letter_id)).state)
        left = await marks_left(before.waiting) if before.waiting is not None else 0

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            case = allowed(state)
            if case.waiting is not None and case.waiting != before.waiting:
                raise RuleBroken(
                    "R9.1",
                    "公开稿刚刚更换，请重新阅读后再审批 / The text was just prepared anew; read it again and approve its text_hash",
                )
            confirmed = body.confirm_marks
            return domain.approve(state, body.text_hash, _actor(caller), now, marks_left=left, confirmed=confirmed)

        return await moved(letter_id, decide, if_match)

    @routes.post("/cases/{letter_id}/withhold", response_model=CaseView, summary="Decide not to publish (R9.1)")
    async def withhold(
        caller: Authenticated, letter_id: str, body: WithholdRequest, if_match: IfMatch = None
    ) -> Response:
        """For the head or leader in charge; a text that was public is so no longer, and its files are deleted."""

        def allowed(state: Case | None) -> Case:
            case, answer = opened(access.seen(caller, state))
            access.may_decide(caller, access.acting(case, answer.mailbox), rights.WITHHOLD)
            return case

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            allowed(state)
            return domain.withhold(state, body.grounds, _actor(caller), now)

        return await ended(letter_id, allowed, decide, if_match)

    @routes.post(
        "/cases/{letter_id}/withdraw", response_model=CaseView, summary="Take a letter off the public site (R9.1)"
    )
    async def withdraw(
        caller: Authenticated, letter_id: str, body: WithdrawRequest, if_match: IfMatch = None
    ) -> Response:
        """For the head or leader in charge. It is gone at once, with its files; its address says when, and on what ground."""

        def allowed(state: Case | None) -> Case:
            case = access.seen(caller, state)
            if case.mailbox is None:
                opened(case)
            access.may_decide(caller, access.acting(case, case.mailbox or ""), rights.WITHDRAW)
            return case

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            allowed(state)
            return domain.withdraw(state, body.ground, body.remark, _actor(caller), now)

        return await ended(letter_id, allowed, decide, if_match)

    async def moved(letter_id: str, decide: Decide, if_match: str | None) -> Response:
        return await shown(await letters.command(letter_id, decide, expected=expected_version(if_match)))

    async def ended(
        letter_id: str, allowed: Callable[[Case | None], Case], decide: Decide, if_match: str | None
    ) -> Response:
        """Decide that nothing of a letter is public any more, and delete its files; a crash between leaves them to the sweep."""
        allowed((await letters.aggregates.get(letter_id)).state)
        answer = await moved(letter_id, decide, if_match)
        await files.forget(letter_id)
        return answer

    async def marks_left(waiting: PublicationPrepared) -> int:
        copies = {copy.id: copy for copy in await files.of(letter_id=waiting.letter_id)} if waiting.attachments else {}
        gone = [file.name for file in waiting.attachments if file.id not in copies]
        if gone:
            raise RuleBroken(
                "R9.1",
                f"{'、'.join(gone)} 已不在，请重新上传并拟稿 / A file of the text is gone; upload it and prepare the text again",
            )
        in_files = sum(sum(copies[file.id].marks.values()) for file in waiting.attachments)
        return len(remaining.of(waiting)) + in_files

    async def shown(stored: Stored[Case]) -> Response:
        waiting = stored.state.waiting if stored.state else None
        prepared = None
        if waiting is not None:
            copies = {copy.id: copy for copy in await files.of(stored.id)} if waiting.attachments else {}
            prepared = prepared_view(waiting, remaining.of(waiting), copies)
        body = view(stored, prepared).model_dump_json()
        return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})

    return routes


def _actor(caller: Caller) -> Actor:
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)
