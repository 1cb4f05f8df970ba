"""Routes of slips, of leaders' instructions, and of the citizen's answer: what the mailbox does that has the letter on its desk."""

from fastapi import APIRouter
from starlette.responses import Response

from services.routing import domain
from services.routing.bodies import AnswerIn, InstructionIn, NoteIn, ReasonIn, SlipIn, ToldIn
from services.routing.desk import Desk, IfMatch, LetterId, PartId
from services.routing.views import LetterView
from shared.security.tokens import Authenticated

LETTER = "/letters/{letter_id}"
SLIP = LETTER + "/slips/{slip_id}"
INSTRUCTION = LETTER + "/instructions/{instruction_id}"


def add(router: APIRouter, desk: Desk) -> None:
    """Add the routes."""
    moved, tree = desk.moved, desk.tree

    @router.post(LETTER + "/slips", response_model=LetterView, summary="拟写单据 Prepare a slip (R4.1–R4.4)")
    async def prepare(caller: Authenticated, letter_id: LetterId, slip: SlipIn, if_match: IfMatch = None) -> Response:
        """A clerk of the mailbox that has the letter."""
        text = slip.text()
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.prepare_slip(s, w, tree, text, now))

    @router.post(SLIP + "/approve", response_model=LetterView, summary="审批单据 Approve the slip (R4.2)")
    async def approve_slip(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, if_match: IfMatch = None
    ) -> Response:
        """The head or leader of the sender, not who prepared it; the letter is handed on at once."""
        return await moved(caller, letter_id, if_match, lambda s, w, now: domain.approve_slip(s, w, tree, slip_id, now))

    @router.post(SLIP + "/refuse", response_model=LetterView, summary="退回单据 Refuse the slip (R4.2)")
    async def refuse_slip(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, why: ReasonIn, if_match: IfMatch = None
    ) -> Response:
        """The head or leader of the sender; the clerk has the letter again."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.refuse_slip(s, w, tree, slip_id, why.reason, now)
        )

    @router.post(SLIP + "/withdraw", response_model=LetterView, summary="撤回 Withdraw what was sent in error (R4.2)")
    async def withdraw(
        caller: Authenticated, letter_id: LetterId, slip_id: PartId, why: ReasonIn, if_match: IfMatch = None
    ) -> Response:
        """Staff of the sender, until it is collected."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.withdraw_slip(s, w, tree, slip_id, why.reason, now)
        )

    @router.post(
        LETTER + "/handoffs/{handoff_id}/told",
        response_model=LetterView,
        summary="告知来信人去向 Record how the citizen was told (R4.3)",
    )
    async def told(
        caller: Authenticated, letter_id: LetterId, handoff_id: PartId, how: ToldIn, if_match: IfMatch = None
    ) -> Response:
        """A clerk of the mailbox that forwarded the letter, once."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.tell_citizen(s, w, tree, handoff_id, how.channel, how.text, now),
        )

    @router.post(LETTER + "/answer", response_model=LetterView, summary="答复来信人 Answer the citizen (R4.1, R8.3)")
    async def answer(caller: Authenticated, letter_id: LetterId, given: AnswerIn, if_match: IfMatch = None) -> Response:
        """A clerk of the mailbox that answers directly, or of the assigner once the assignee replied; the letter is finished."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.answer_citizen(s, w, tree, given.channel, given.text, now),
        )

    @router.post(LETTER + "/instructions", response_model=LetterView, summary="批示 Give an instruction (R4.4, R8.1)")
    async def instruct(
        caller: Authenticated, letter_id: LetterId, given: InstructionIn, if_match: IfMatch = None
    ) -> Response:
        """The leader of a mailbox through whose hands the letter is going."""
        report_by = given.due_at()
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.give_instruction(s, w, tree, given.text, report_by, now),
        )

    @router.post(INSTRUCTION + "/follow-ups", response_model=LetterView, summary="落实情况 Follow up (R8.1)")
    async def follow_up(
        caller: Authenticated, letter_id: LetterId, instruction_id: PartId, note: NoteIn, if_match: IfMatch = None
    ) -> Response:
        """Staff of the mailbox that follows the instruction."""
        return await moved(
            caller, letter_id, if_match, lambda s, w, now: domain.follow_up(s, w, tree, instruction_id, note.text, now)
        )

    @router.post(INSTRUCTION + "/end", response_model=LetterView, summary="办结批示 End an instruction (R8.1)")
    async def end(
        caller: Authenticated, letter_id: LetterId, instruction_id: PartId, report: NoteIn, if_match: IfMatch = None
    ) -> Response:
        """Staff of the mailbox that follows it, with the report to the leader."""
        return await moved(
            caller,
            letter_id,
            if_match,
            lambda s, w, now: domain.end_instruction(s, w, tree, instruction_id, report.text, now),
        )
