"""What staff are shown of a publication case (R9.1)."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel

from services.publication.attachments import Copy
from services.publication.domain import Case
from services.publication.remaining import MarkView
from shared.contracts.facts import PublicationPrepared
from shared.contracts.types import (
    Actor,
    Attachment,
    Channel,
    Moment,
    PublishedFile,
    WithdrawalGround,
    WithholdingGround,
)
from shared.storage import Stored

StatusName = Literal["to-prepare", "to-approve", "published", "withheld", "withdrawn"]


class Original(BaseModel):
    """The letter and the answer as they were; for staff only."""

    subject: str
    body: str
    attachments: list[Attachment]
    """What the citizen sent; the files are with intake."""
    answer: str | None
    """Null while the reply was sent back and the citizen has no other answer yet."""
    channel: Channel | None
    answered_at: Moment | None


class PreparedFile(PublishedFile):
    """A file that shall be shown with the text."""

    marks: Mapping[str, int]
    """Kind → how many pieces of the text in it look like personal data; a picture's text is not read."""


class Prepared(BaseModel):
    """The text that waits for approval."""

    subject: str
    body: str
    reply: str
    attachments: list[PreparedFile]
    grounds: list[WithholdingGround]
    text_hash: str
    marks: list[MarkView]
    """What in it still looks like personal data; with any, or any in its files, approval needs `confirm_marks`."""
    by: Actor | None
    at: Moment


class Published(BaseModel):
    """The text that is public."""

    subject: str
    body: str
    reply: str
    attachments: list[PublishedFile]
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


class Withdrawn(BaseModel):
    """The decision to take a publication back."""

    ground: WithdrawalGround
    remark: str
    by: Actor | None
    at: Moment


class CaseView(BaseModel):
    """A publication case as staff see it."""

    letter_id: str
    number: str | None
    number_text: str | None
    mailbox: str
    """The mailbox that answered and decides."""
    status: StatusName
    version: int
    may_publish: bool | None
    """Whether the citizen agreed to publication (R2.2)."""
    original: Original
    prepared: Prepared | None
    published: Published | None
    """Still set while a correction waits for approval: this is what the public sees."""
    withheld: Withheld | None
    withdrawn: Withdrawn | None
    """Set from a withdrawal until a text is approved again; the public reads when it was and its ground."""


class CaseLine(BaseModel):
    """A case in a list."""

    letter_id: str
    number: str | None
    number_text: str | None
    mailbox: str
    status: str
    subject: str
    since: Moment


def line(case: Case) -> CaseLine:
    """Return a case as it stands in a list."""
    assert case.mailbox is not None
    assert case.since is not None
    text = case.approved or case.received
    return CaseLine(
        letter_id=case.letter_id,
        number=case.number.ascii if case.number else None,
        number_text=case.number.text if case.number else None,
        mailbox=case.mailbox,
        status=case.status.value,
        subject=text.subject if text else "",
        since=case.since,
    )


def view(stored: Stored[Case], prepared: Prepared | None) -> CaseView:
    """Return a case whole."""
    case = stored.state
    assert case is not None
    assert case.mailbox is not None
    received, answer = case.received, case.answer
    return CaseView(
        letter_id=case.letter_id,
        number=case.number.ascii if case.number else None,
        number_text=case.number.text if case.number else None,
        mailbox=case.mailbox,
        status=case.status.value,
        version=stored.version,
        may_publish=received.may_publish if received else None,
        original=Original(
            subject=received.subject if received else "",
            body=received.body if received else "",
            attachments=list(received.attachments) if received else [],
            answer=answer.text if answer else None,
            channel=answer.channel if answer else None,
            answered_at=answer.at if answer else None,
        ),
        prepared=prepared,
        published=_published(case),
        withheld=None if case.withheld is None else Withheld.model_validate(case.withheld.model_dump()),
        withdrawn=None if case.withdrawn is None else Withdrawn.model_validate(case.withdrawn.model_dump()),
    )


def prepared_view(waiting: PublicationPrepared, marks: list[MarkView], copies: Mapping[str, Copy]) -> Prepared:
    """Return the text that waits, with what in it and in its files looks like personal data."""
    files = [
        PreparedFile(**file.model_dump(), marks=copies[file.id].marks if file.id in copies else {})
        for file in waiting.attachments
    ]
    return Prepared.model_validate(waiting.model_dump() | {"marks": marks, "attachments": files})


def _published(case: Case) -> Published | None:
    fact = case.approved
    if fact is None:
        return None
    return Published.model_validate(fact.model_dump() | {"address": f"/public/letters/{fact.number.ascii}"})
