"""Entries: the one link of each mailbox that earlier mailboxes elsewhere redirect to (R1.5)."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from services.intake.forms import EXAMPLE, takes_letters
from shared.contracts.errors import RuleBroken
from shared.contracts.types import Nature
from shared.directory import Mailbox, MailboxKind

__all__ = ["Entries", "Entry", "MailboxCard", "takes_letters"]


class MailboxCard(BaseModel):
    """A mailbox as the public may know it: whom the regulation makes responsible (R1.3), and how to write to it (R1.5)."""

    code: str
    name: str
    short_name: str
    kind: MailboxKind
    kind_label: str
    responsible_department: str | None
    takes_letters: bool = Field(
        description="Whether citizens may choose it (R2.1); departments inside units get letters from their unit."
    )
    entry: str | None = Field(description="The link to redirect to; null where it takes no letters.")


class Entry(BaseModel):
    """How a letter is posted to a mailbox."""

    mailbox: MailboxCard
    post_to: str
    headers: dict[str, str]
    choices: dict[str, str] = Field(description="Field of the letter → where its choices are listed.")
    natures: dict[str, str] = Field(description="Code → Chinese.")
    attachments: str = Field(description="Where to upload files first.")
    example: dict[str, Any]
    schema_at: str


@dataclass(frozen=True)
class Entries:
    """Makes entry links.

    Args:
        portal: address of the portal's form, with `{mailbox}` where the mailbox's code goes; empty: the city has none.
    """

    portal: str

    def card(self, mailbox: Mailbox) -> MailboxCard:
        """Describe a mailbox."""
        open_ = takes_letters(mailbox)
        return MailboxCard(
            code=mailbox.code,
            name=mailbox.name,
            short_name=mailbox.short_name,
            kind=mailbox.kind,
            kind_label=mailbox.kind.label,
            responsible_department=mailbox.responsible_department,
            takes_letters=open_,
            entry=f"/intake/mailboxes/{mailbox.code}/entry" if open_ else None,
        )

    def form_of(self, mailbox: Mailbox) -> str | None:
        """Return the address of the portal's form for a mailbox; none: there is no portal.

        Raises:
            RuleBroken: citizens cannot write to this mailbox (R2.1).
        """
        if not takes_letters(mailbox):
            raise RuleBroken(
                "R2.1",
                f"“{mailbox.name}”不直接接收公众来信，请写给其所属单位的信箱；可选的信箱见 /intake/mailboxes / "
                "Citizens do not write to this mailbox but to its unit's; GET /intake/mailboxes lists those that take letters",
            )
        return self.portal.replace("{mailbox}", mailbox.code) or None

    def how_to_post(self, mailbox: Mailbox) -> Entry:
        """Describe how another site posts a letter to a mailbox."""
        return Entry(
            mailbox=self.card(mailbox),
            post_to="/intake/letters",
            headers={"Content-Type": "application/json", "Idempotency-Key": "a fresh UUID for each letter"},
            choices={
                "domain": "/intake/domains",
                "region": "/intake/regions",
                "reported_mailbox": "/intake/mailboxes",
            },
            natures={nature.value: nature.label for nature in Nature},
            attachments="/intake/attachments",
            example={**EXAMPLE, "mailbox": mailbox.code},
            schema_at="/openapi.json",
        )
