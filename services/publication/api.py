"""What staff ask and decide over HTTP: publication cases (R9.1)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from services.publication import domain, rights
from services.publication.access import Access
from services.publication.domain import Case, PublicText, opened
from services.publication.repository import place, staff_page
from shared.contracts.facts import Fact, LetterPublished, PublicationPrepared, PublicationWithheld
from shared.contracts.types import Actor, Channel, Moment, WithholdingGround
from shared.messaging.letters import Letters
from shared.security.tokens import Authenticated, Caller
from shared.storage import Stored
from shared.web.etag import etag_of, expected_version
from shared.web.paging import Page, decode_cursor, encode_cursor

Decide = Callable[[Case | None, datetime], Sequence[Fact]]
IfMatch = Annotated[str | None, Header(description="The ETag that was read; a stale one is refused with 409.")]


def _printable(text: str) -> str:
    if any(ord(character) < 32 and character not in "\n\r\t" for character in text):
        raise PydanticCustomError(
            "control_character", "Remove the control characters", {"zh": "请删去不可见的控制字符", "rule": "R9.1"}
        )
    return text


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000), AfterValidator(_printable)
]
_RULE: JsonDict = {"rule": "R9.1"}


class PrepareRequest(_Request):
    """The public text as it shall be shown, and the four questions, each answered by a person (R9.1)."""

    subject: _Line = Field(json_schema_extra=_RULE, description="Subject as the public shall read it.")
    body: _Text = Field(json_schema_extra=_RULE, description="The letter as the public shall read it.")
    reply: _Text = Field(json_schema_extra=_RULE, description="The answer as the public shall read it.")
    state_secret: StrictBool = Field(json_schema_extra=_RULE, description="涉及国家秘密?")
    trade_secret: StrictBool = Field(json_schema_extra=_RULE, description="涉及依法受保护的商业秘密?")
    privacy: StrictBool = Field(json_schema_extra=_RULE, description="涉及个人隐私?")
    highly_sensitive: StrictBool = Field(json_schema_extra=_RULE, description="高度敏感事项?")

    @property
    def grounds(self) -> list[WithholdingGround]:
        """The questions answered with yes."""
        return [ground for ground in WithholdingGround if getattr(self, ground.value)]


class ApproveRequest(_Request):
    """Approval is of one text, named by its hash."""

    text_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", json_schema_extra=_RULE)]
    """`prepared.text_hash` of the case as it was read."""


class WithholdRequest(_Request):
    """Grounds that the approver adds to those prepared; there must be one in all."""

    grounds: Annotated[list[WithholdingGround], Field(max_length=4, json_schema_extra=_RULE)] = []


class Original(BaseModel):
    """The letter and the answer as they were; for staff only."""

    subject: str
    body: str
    answer: str
    channel: Channel
    answered_at: Moment


class Prepared(BaseModel):
    """The text that waits for approval."""

    subject: str
    body: str
    reply: str
    grounds: list[WithholdingGround]
    text_hash: str
    by: Actor | None
    at: Moment


class Published(BaseModel):
    """The text that is public."""

    subject: str
    body: str
    reply: str
    text_hash: str
    prepared_by: Actor
    by: Actor | None
    at: Moment
    address: str


class Withheld(BaseModel):
    """The decision not to publish."""

    grounds: list[WithholdingGround]
    consent_refused: bool
    by: Actor | None
    at: Moment


class CaseView(BaseModel):
    """A publication case as staff see it."""

    letter_id: str
    number: str | None
    number_text: str | None
    mailbox: str
    """The mailbox that answered and decides."""
    status: Literal["to-prepare", "to-approve", "published", "withheld"]
    version: int
    may_publish: bool | None
    """Whether the citizen agreed to publication (R2.2)."""
    original: Original
    prepared: Prepared | None
    published: Published | None
    """Still set while a correction waits for approval: this is what the public sees."""
    withheld: Withheld | None


class CaseLine(BaseModel):
    """A case in a list."""

    letter_id: str
    number: str | None
    number_text: str | None
    mailbox: str
    status: str
    subject: str
    since: Moment


def router(letters: Letters[Case], access: Access) -> APIRouter:
    """Return the staff endpoints."""
    routes = APIRouter(prefix="/publication", tags=["publication"])

    @routes.get("/mailboxes/{code}/cases", summary="A mailbox's publication cases")
    async def listed(
        caller: Authenticated,
        code: str,
        status: Annotated[
            Literal["to-prepare", "to-approve", "published", "withheld"],
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
        return Page(items=[_line(case) for _, case in shown[:limit]], next=following)

    @routes.get("/cases/{letter_id}", response_model=CaseView, summary="One publication case")
    async def one(caller: Authenticated, letter_id: str) -> Response:
        """Show the original text, the prepared text and the decision; 409 (R9.1) until the citizen has an answer."""
        stored = await letters.aggregates.get(letter_id)
        opened(access.seen(caller, stored.state))
        return _shown(stored)

    @routes.post("/cases/{letter_id}/prepare", response_model=CaseView, summary="Propose the public text (R9.1)")
    async def prepare(
        caller: Authenticated, letter_id: str, body: PrepareRequest, if_match: IfMatch = None
    ) -> Response:
        """For a clerk of the mailbox that answered, or the duty office. Any question answered with yes means: withhold."""
        text = PublicText(subject=body.subject, body=body.body, reply=body.reply)

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            case, answer = opened(access.seen(caller, state))
            access.may_prepare(caller, access.acting(case, answer.mailbox))
            return domain.prepare(state, text, body.grounds, _actor(caller), now)

        return await moved(letter_id, decide, if_match)

    @routes.post(
        "/cases/{letter_id}/approve", response_model=CaseView, summary="Approve exactly the prepared text (R9.1)"
    )
    async def approve(
        caller: Authenticated, letter_id: str, body: ApproveRequest, if_match: IfMatch = None
    ) -> Response:
        """For the head or leader in charge, never the preparer. The text is public at once."""

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            case, answer = opened(access.seen(caller, state))
            access.may_decide(caller, access.acting(case, answer.mailbox), rights.APPROVE)
            return domain.approve(state, body.text_hash, _actor(caller), now)

        return await moved(letter_id, decide, if_match)

    @routes.post("/cases/{letter_id}/withhold", response_model=CaseView, summary="Decide not to publish (R9.1)")
    async def withhold(
        caller: Authenticated, letter_id: str, body: WithholdRequest, if_match: IfMatch = None
    ) -> Response:
        """For the head or leader in charge; a text that was public is so no longer."""

        def decide(state: Case | None, now: datetime) -> Sequence[Fact]:
            case, answer = opened(access.seen(caller, state))
            access.may_decide(caller, access.acting(case, answer.mailbox), rights.WITHHOLD)
            return domain.withhold(state, body.grounds, _actor(caller), now)

        return await moved(letter_id, decide, if_match)

    async def moved(letter_id: str, decide: Decide, if_match: str | None) -> Response:
        return _shown(await letters.command(letter_id, decide, expected=expected_version(if_match)))

    return routes


def _actor(caller: Caller) -> Actor:
    return Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)


def _line(case: Case) -> CaseLine:
    assert case.answer is not None
    assert case.since is not None
    text = case.approved or case.received
    return CaseLine(
        letter_id=case.letter_id,
        number=case.number.ascii if case.number else None,
        number_text=case.number.text if case.number else None,
        mailbox=case.answer.mailbox,
        status=case.status.value,
        subject=text.subject if text else "",
        since=case.since,
    )


def _shown(stored: Stored[Case]) -> Response:
    body = _view(stored).model_dump_json()
    return Response(body, media_type="application/json", headers={"ETag": etag_of(stored.version)})


def _view(stored: Stored[Case]) -> CaseView:
    case, answer = opened(stored.state)
    received = case.received
    return CaseView(
        letter_id=case.letter_id,
        number=case.number.ascii if case.number else None,
        number_text=case.number.text if case.number else None,
        mailbox=answer.mailbox,
        status=case.status.value,
        version=stored.version,
        may_publish=received.may_publish if received else None,
        original=Original(
            subject=received.subject if received else "",
            body=received.body if received else "",
            answer=answer.text,
            channel=answer.channel,
            answered_at=answer.at,
        ),
        prepared=_prepared(case.waiting),
        published=_published(case.approved),
        withheld=_withheld(case.withheld),
    )


def _prepared(fact: PublicationPrepared | None) -> Prepared | None:
    return None if fact is None else Prepared.model_validate(fact.model_dump())


def _published(fact: LetterPublished | None) -> Published | None:
    if fact is None:
        return None
    return Published.model_validate(fact.model_dump() | {"address": f"/public/letters/{fact.number.ascii}"})


def _withheld(fact: PublicationWithheld | None) -> Withheld | None:
    return None if fact is None else Withheld.model_validate(fact.model_dump())
