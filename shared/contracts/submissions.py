"""What the front door appends to `submissions`: a letter as a citizen wrote it, contact data included."""

from typing import ClassVar

from shared.contracts.types import Attachment, Classification, Contact, Moment, Value


class SubmissionAccepted(Value):
    """A validated submission (R2.2). The topic expires; what lasts is in intake's store and in `letters`."""

    version: ClassVar[int] = 1

    letter_id: str
    at: Moment
    """When it was accepted."""
    mailbox: str
    """The mailbox the citizen chose (R2.1)."""
    subject: str
    body: str
    contact: Contact
    classification: Classification
    may_publish: bool
    attachments: tuple[Attachment, ...] = ()
