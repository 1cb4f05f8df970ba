"""Which earlier letters a letter may repeat: proposed to a clerk, who decides (R3.0 (4))."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from services.intake import rights
from services.intake.contacts import Contacts, Likeness
from services.intake.domain import Earlier, Letter, known
from services.intake.likeness import Why, alike_percent, bigrams, marks, marks_of_sender
from services.intake.repository import position
from services.intake.views import EarlierLetter
from shared.contracts.reports import keeper, kept_from
from shared.contracts.types import Nature
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.rights import Relation
from shared.security.tokens import Caller
from shared.storage import Stored

PER_MARK = {Why.SAME_TEXT: 10, Why.PHONE: 20, Why.EMAIL: 20, Why.ALIKE: 10}
"""How many letters are looked at for each mark, the newest first: so the cost does not grow with the letters stored."""
COMPARED = 50
PROPOSED = 20
LIKELY_PERCENT = 50
"""Nearly equal texts of real letters are alike to 70 % and more, others hardly ever to 30 %."""


def may_open(letter: Letter, caller: Caller, directory: Directory) -> bool:
    """Whether a member of staff may see a letter (R10.2).

    Their mailbox's own and those of a closed one that it succeeds, or any for the duty office; never a report (举报) about
    themselves or their own unit.
    """
    about = letter.classification
    if kept_from(about, caller.mailbox, caller.subject, directory):
        return False
    return rights.SHOW.allows(caller, {Relation.FIRST: (keeper(about, letter.mailbox, directory),)})


def may_know(letter: Letter, caller: Caller, directory: Directory) -> bool:
    """Whether a member of staff may know that a letter is there: any they may open, and others unless they are reports (举报)."""
    return may_open(letter, caller, directory) or letter.classification.nature is not Nature.REPORT


@dataclass(slots=True)
class _Found:
    why: set[Why] = field(default_factory=set)
    shared: int = 0

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """The greater, the sooner it is compared."""
        return Why.SAME_TEXT in self.why, self.shared, bool(self.why & {Why.PHONE, Why.EMAIL})


@dataclass
class Repeats:
    """Finds them by the index of likeness."""

    letters: Letters[Letter]
    contacts: Contacts
    likeness: Likeness
    directory: Directory

    async def likely(self, stored: Stored[Letter], caller: Caller) -> list[EarlierLetter]:
        """Return the letters that this one may repeat, the most alike first, as far as the caller may know of them."""
        letter = known(stored.state)
        if letter.erased_at is not None:
            return []
        contact = (await self.contacts.get_many([stored.id])).get(stored.id)
        own = marks(self.likeness.secret, letter.subject, letter.body, contact)
        found = await self._sharing(own, position(letter))
        likely = sorted(found, key=lambda letter_id: found[letter_id].rank, reverse=True)[:COMPARED]
        mine = bigrams(letter.subject, letter.body)
        proposed = []
        for candidate in (await self.letters.aggregates.get_many(likely)).values():
            other = candidate.state
            if other is None or not may_know(other, caller, self.directory):
                continue
            why = found[candidate.id].why
            percent = alike_percent(mine, bigrams(other.subject, other.body))
            if percent >= LIKELY_PERCENT:
                why.add(Why.ALIKE)
            else:
                why.discard(Why.ALIKE)
            if why:
                proposed.append(self._shown(other, why, percent, caller))
        proposed.sort(key=lambda one: (Why.SAME_TEXT in one.why, one.alike_percent, one.received_at), reverse=True)
        return proposed[:PROPOSED]

    async def named(self, letter_id: str, by: Stored[Letter], caller: Caller) -> Earlier:
        """Return what the domain must know of the letter that a clerk says is repeated."""
        other = (await self.letters.aggregates.get(letter_id)).state
        if other is None or not may_know(other, caller, self.directory):
            return Earlier(letter_id=letter_id, received_at=None)
        contacts = await self.contacts.get_many([letter_id, by.id])
        one, two = (marks_of_sender(self.likeness.secret, contacts.get(i)).keys() for i in (letter_id, by.id))
        return Earlier(letter_id=letter_id, received_at=other.received_at, same_sender=bool(one & two))

    async def _sharing(self, own: dict[str, Why], before: str) -> dict[str, _Found]:
        found: dict[str, _Found] = defaultdict(_Found)
        lists = await asyncio.gather(*(self.likeness.newest(mark, before, PER_MARK[why]) for mark, why in own.items()))
        for why, letter_ids in zip(own.values(), lists, strict=True):
            for letter_id in letter_ids:
                found[letter_id].why.add(why)
                found[letter_id].shared += 1
        return found

    def _shown(self, letter: Letter, why: set[Why], percent: int, caller: Caller) -> EarlierLetter:
        shown = EarlierLetter(
            letter_id=letter.letter_id,
            mailbox=letter.mailbox,
            number=letter.number.text if letter.number else None,
            received_at=letter.received_at,
            why=[one for one in Why if one in why],
            alike_percent=percent,
            yours=may_open(letter, caller, self.directory),
        )
        if shown.yours:
            shown.subject, shown.stage, shown.answered = letter.subject, letter.stage, letter.is_answered
        return shown
