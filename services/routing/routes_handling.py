"""Routes of hand-offs: what their receivers do, and what their senders decide on replies and on more time."""

from fastapi import APIRouter
from starlette.responses import Response

from services.routing import domain
from services.routing.bodies import ExtensionIn, NoteIn, PaperReplyIn, ReasonIn, ReplyIn, SendBackIn, VerdictIn
from services.routing.desk import Desk, IfMatch, LetterId, PartId
from services.routing.views import LetterView
from shared.security.tokens import Authenticated

HANDOFF = "/letters/{letter_id}/handoffs/{handoff_id}"
REPLY = HANDOFF + "/replies/{reply_id}"


def add(router: APIRouter, desk: Desk) -> None:
    """Add the routes."""
    moved, tree = desk.moved, desk.tree

    @router.post(HANDOFF + "/collect", response_model=LetterView, summary="签收 Collect (R6.3)")
    async def collect(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, if_match: IfMatch = None
    ) -> Response:
        """The receiver, once; for an office that is reached by fax or post, the sender records it."""
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.collect(s, w, tree, handoff_id, now))

    @router.post(HANDOFF + "/return", response_model=LetterView, summary="退件 Return it (R5.1)")
    async def return_letter(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, why: ReasonIn, if_match: IfMatch = None
    ) -> Response:
        """The receiver, before any reply; the sender has the letter again."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.return_letter(s, w, tree, handoff_id, why.reason, now)
        )

    @router.post(HANDOFF + "/progress", response_model=LetterView, summary="说明进展 Record progress (R7.1)")
    async def progress(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, what: NoteIn, if_match: IfMatch = None
    ) -> Response:
        """The assignee; holds off urging, not lateness."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.record_progress(s, w, tree, handoff_id, what.text, now),
        )

    @router.post(HANDOFF + "/replies", response_model=LetterView, summary="拟写承办回复 Draft the reply (R6.2)")
    async def reply(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, draft: ReplyIn, if_match: IfMatch = None
    ) -> Response:
        """The assignee, after collecting; a new draft takes the place of one that waits."""
        text = draft.reply()
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.submit_reply(s, w, tree, handoff_id, text, now)
        )

    @router.post(
        HANDOFF + "/paper-reply", response_model=LetterView, summary="登记书面回复 Record a reply on paper (R4.2)"
    )
    async def paper_reply(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, came: PaperReplyIn, if_match: IfMatch = None
    ) -> Response:
        """The assigner, for an office that is reached by fax or post."""
        paper = came.paper()
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.record_reply(s, w, tree, handoff_id, paper, now)
        )

    @router.post(REPLY + "/approve", response_model=LetterView, summary="审批承办回复 Approve the reply (R6.2)")
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

    @router.post(REPLY + "/refuse", response_model=LetterView, summary="退回承办回复 Refuse the draft (R6.2)")
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

    @router.post(REPLY + "/send-back", response_model=LetterView, summary="退办 Send the reply back (R7.3)")
    async def send_back(
        caller: Authenticated,
        letter_id: LetterId,
        handoff_id: PartId,
        reply_id: PartId,
        back: SendBackIn,
        if_match: IfMatch = None,
    ) -> Response:
        """The assigner, any number of times; the mayor's mailbox also where the assignee answered the citizen with it."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.send_back(
                s, w, tree, handoff_id, reply_id, back.reason, back.requirements, back.working_days, now
            ),
        )

    @router.post(HANDOFF + "/extensions", response_model=LetterView, summary="申请延期 Apply for more time (R6.4)")
    async def request_extension(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, asked: ExtensionIn, if_match: IfMatch = None
    ) -> Response:
        """The assignee, before the due moment; the duty office records what was asked for by word of mouth."""
        application = asked.application()
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.request_extension(s, w, tree, handoff_id, application, now),
        )

    @router.post(
        HANDOFF + "/extensions/{extension_id}/decide",
        response_model=LetterView,
        summary="审批延期 Decide on more time (R6.4)",
    )
    async def decide_extension(
        caller: Authenticated,
        letter_id: LetterId,
        handoff_id: PartId,
        extension_id: PartId,
        decided: VerdictIn,
        if_match: IfMatch = None,
    ) -> Response:
        """The head or leader of the assigner; for the mayor's mailbox also the duty office."""
        verdict = decided.verdict()
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.decide_extension(s, w, tree, handoff_id, extension_id, verdict, now),
        )
