"""What staff see of letters, as HTTP answers it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from services.intake import domain
from services.intake.domain import Letter, Stage
from services.intake.likeness import Why
from shared.contracts.types import Actor, Attachment, Classification, Contact, InvalidReason, TurnTo
from shared.storage import Stored


class LetterRow(BaseModel):
    """A letter in a list."""

    letter_id: str
    mailbox: str
    stage: Stage
    number: str | None
    subject: str = Field(description="Empty once the text of an invalid letter is erased (R3.7).")
    classification: Classification
    received_at: datetime
    invalid_reason: InvalidReason | None
    remark: str = Field(description="The clerk's, on a discarded or noted letter.")
    version: int


class LetterPage(BaseModel):
    """A page of a list."""

    items: list[LetterRow]
    next: str | None = Field(description="Send as `cursor` to get the next page; null on the last one.")


class Correction(BaseModel):
    """A change of the classification (R3.2)."""

    at: datetime
    by: Actor | None
    before: Classification
    after: Classification


class LetterView(BaseModel):
    """A letter as screening staff see it."""

    letter_id: str
    version: int
    mailbox: str
    chosen_mailbox: str
    stage: Stage
    number: str | None
    number_ascii: str | None
    subject: str
    body: str
    classification: Classification
    may_publish: bool
    attachments: list[Attachment]
    held: dict[str, Literal["waiting", "malware"]] = Field(
        description="Id of an attachment that cannot be opened → why: it waits for the scanner, or malware was found in it (R2.2)."
    )
    contact: Contact | None
    received_at: datetime
    read_at: datetime | None
    read_by: Actor | None
    registered_at: datetime | None
    corrections: list[Correction]
    invalid_reason: InvalidReason | None
    turn_to: TurnTo | None = Field(description="Whom the citizen was told to turn to (R3.0 (1)).")
    remark: str = Field(description="The clerk's, on a discarded or noted letter; the citizen never sees it.")
    earlier_letter: str | None = Field(description="The letter that this one repeats (R3.0 (4)).")
    ended_by: Actor | None = Field(description="Who discarded or noted it.")
    ended_at: datetime | None
    erased_at: datetime | None = Field(description="When the text of an invalid letter was erased (R3.7).")


class EarlierLetter(BaseModel):
    """A letter that the one at hand may repeat (R3.0 (4)). Of another mailbox's letter only that it is there is told (R10.2)."""

    letter_id: str = Field(description="For `earlier_letter`, when the letter at hand is discarded.")
    mailbox: str
    number: str | None
    received_at: datetime
    why: list[Why] = Field(description="`phone`, `email`: the same sender; `same_text`; `alike`: nearly the same text.")
    alike_percent: int = Field(description="How many of a hundred pairs of neighbouring characters are in both texts.")
    yours: bool = Field(description="Whether you may open it; only then the rest is given.")
    subject: str | None = None
    stage: Stage | None = None
    answered: bool | None = None


class EarlierPage(BaseModel):
    """What a clerk looks at before a letter is called repeated."""

    items: list[EarlierLetter] = Field(description="At most 20; the most alike first.")


def view(stored: Stored[Letter], contact: Contact | None, held: Mapping[str, Any]) -> LetterView:
    """Return a letter for staff; `held`: which files cannot be opened, and why.

    Of an erased letter no contact data is shown, should any still be in memory.
    """
    letter = domain.known(stored.state)
    discarded = letter.discarded if letter.stage is Stage.DISCARDED else None
    return LetterView(
        letter_id=letter.letter_id,
        version=stored.version,
        mailbox=letter.mailbox,
        chosen_mailbox=letter.chosen_mailbox,
        stage=letter.stage,
        number=letter.number.text if letter.number else None,
        number_ascii=letter.number.ascii if letter.number else None,
        subject=letter.subject,
        body=letter.body,
        classification=letter.classification,
        may_publish=letter.may_publish,
        attachments=list(letter.attachments),
        held=dict(held),
        contact=contact if letter.has_contact else None,
        received_at=letter.received_at,
        read_at=letter.read_at,
        read_by=letter.read_by,
        registered_at=letter.registered_at,
        corrections=[Correction(at=c.at, by=c.by, before=c.before, after=c.after) for c in letter.corrections],
        invalid_reason=discarded.reason if discarded else None,
        turn_to=discarded.turn_to if discarded else None,
        remark=discarded.remark if discarded else letter.noted_remark,
        earlier_letter=discarded.earlier_letter if discarded else None,
        ended_by=discarded.by if discarded else letter.noted_by,
        ended_at=discarded.at if discarded else letter.noted_at,
        erased_at=letter.erased_at,
    )


def row(stored: Stored[Letter]) -> LetterRow:
    """Return a letter as a line of a list."""
    letter = domain.known(stored.state)
    discarded = letter.discarded if letter.stage is Stage.DISCARDED else None
    return LetterRow(
        letter_id=letter.letter_id,
        mailbox=letter.mailbox,
        stage=letter.stage,
        number=letter.number.text if letter.number else None,
        subject=letter.subject,
        classification=letter.classification,
        received_at=letter.received_at,
        invalid_reason=discarded.reason if discarded else None,
        remark=discarded.remark if discarded else letter.noted_remark,
        version=stored.version,
    )
