"""What a preparer begins with: the original, the personal data that is marked in it, and a public text made of that (R9.1).

Nothing is decided here: the person keeps, changes or adds, and sends the final text to `prepare`.
"""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from services.publication.access import Access
from services.publication.domain import Case, opened
from services.publication.redaction import Kind, Proposal, Redactor
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated
from shared.web.etag import etag_of


class ProposedMark(BaseModel):
    """A piece of a text that should not become public as it is."""

    start: int = Field(
        description="Offset of its first character in `original`: Unicode characters (code points), from 0."
    )
    end: int = Field(description="Offset after its last character.")
    kind: Kind
    label: str = Field(description="The kind in Chinese.")
    text: str = Field(description="What stands there.")
    why: str = Field(description="The rule that found it, in Chinese and English.")
    replacement: str = Field(description="What is proposed to stand there instead.")


class TextProposal(BaseModel):
    """One text of the letter."""

    original: str
    proposed: str = Field(description="The original with each mark's replacement in its place.")
    marks: list[ProposedMark] = Field(description="In order, without overlaps.")


class LetterProposal(BaseModel):
    """A proposal for the public text; `prepare` takes what the person makes of it."""

    letter_id: str
    number: str | None
    version: int
    subject: TextProposal
    body: TextProposal
    reply: TextProposal


def router(letters: Letters[Case], access: Access, redactor: Redactor) -> APIRouter:
    """Return the endpoint."""
    routes = APIRouter(prefix="/publication", tags=["publication"])

    @routes.get("/cases/{letter_id}/proposal", response_model=LetterProposal, summary="Proposed redactions (R9.1)")
    async def proposal(caller: Authenticated, letter_id: str) -> Response:
        """For who may prepare: the original texts, personal data marked in them, and the public text that follows.

        409 (R9.1) until the citizen has an answer.
        """
        stored = await letters.aggregates.get(letter_id)
        case, answer = opened(access.seen(caller, stored.state))
        access.may_prepare(caller, access.acting(case, answer.mailbox))
        received = case.received
        texts = (received.subject if received else "", received.body if received else "", answer.text)
        subject, body, reply = redactor.propose(texts, by_office=(2,))
        shown = LetterProposal(
            letter_id=case.letter_id,
            number=case.number.ascii if case.number else None,
            version=stored.version,
            subject=_shown(subject),
            body=_shown(body),
            reply=_shown(reply),
        )
        return Response(
            shown.model_dump_json(),
            media_type="application/json",
            headers={"ETag": etag_of(stored.version), "Cache-Control": "no-store"},
        )

    return routes


def _shown(proposal: Proposal) -> TextProposal:
    marks = [
        ProposedMark(
            start=mark.start,
            end=mark.end,
            kind=mark.kind,
            label=mark.kind.label,
            text=proposal.text[mark.start : mark.end],
            why=mark.why,
            replacement=mark.replacement,
        )
        for mark in proposal.marks
    ]
    return TextProposal(original=proposal.text, proposed=proposal.redacted, marks=marks)
