"""Publication's messages: it reads every fact on `letters` and tells no mailbox anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.publication.attachments import Files
from services.publication.domain import ON, Case, follow
from services.publication.repository import SERVICE
from shared.contracts.facts import LetterErased, PublicationWithdrawn, PublicationWithheld
from shared.messaging.work import Domain, Step, Telling

_ENDS: Final = (LetterErased, PublicationWithheld, PublicationWithdrawn)
"""Facts after which the files of a text need not be kept for another one."""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Before facts are applied, whoever decided them: says of files that no text will name any more that they must be looked at."""

    files: Files

    async def tell(self, steps: Sequence[Step[Case]]) -> Sequence[Telling]:
        """Do so; files of a letter whose text is erased are gone before the erasure counts as applied (R3.7)."""
        await self.restore(steps)
        erased = {step.letter_id for step in steps if isinstance(step.fact, LetterErased) and step.fact.text}
        if erased:
            await self.files.forget(*erased)
        return ()

    async def restore(self, steps: Sequence[Step[Case]]) -> None:
        """Do so in a rebuild: the sweep then judges by what the letter has become."""
        for step in steps:
            gone = _named(step.before) - _named(step.after)
            await self.files.look_again(step.letter_id, gone, loose=isinstance(step.fact, _ENDS))


def _named(case: Case | None) -> frozenset[str]:
    return frozenset() if case is None else case.files


def domain(mayor: str) -> Domain[Case]:
    """Return the domain as `Letters` needs it; `mayor` is the code of the mayor's mailbox."""
    return Domain(SERVICE, ON, partial(follow, mayor=mayor))
