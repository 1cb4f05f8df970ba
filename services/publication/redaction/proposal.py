"""What is proposed for a letter: marks in each of its texts, and the texts with the replacements in their places (R9.1)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.publication.redaction.addresses import Addresses
from services.publication.redaction.folding import fold
from services.publication.redaction.marks import Kind, Mark, merged
from services.publication.redaction.names import Found, Names
from services.publication.redaction.numbers import Numbers
from services.publication.redaction.rules import Rules

_TELL_APART = "甲乙丙丁戊己庚辛壬癸"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One text, what is marked in it, and what it would be with every mark replaced."""

    text: str
    marks: tuple[Mark, ...]

    @property
    def redacted(self) -> str:
        """The text with each mark's replacement in its place."""
        pieces, place = [], 0
        for mark in self.marks:
            pieces += [self.text[place : mark.start], mark.replacement]
            place = mark.end
        return "".join([*pieces, self.text[place:]])


class Redactor:
    """Proposes redactions by the rules."""

    def __init__(self, rules: Rules) -> None:
        self._numbers = Numbers(rules)
        self._addresses = Addresses(rules)
        self._names = Names(rules)

    def marks(self, text: str, *, by_office: bool = False) -> list[Mark]:
        """Return the marks of one text, in order and without overlaps; `by_office`: an office wrote it."""
        return list(self.propose([text], by_office=(0,) if by_office else ())[0].marks)

    def propose(self, texts: Sequence[str], by_office: Sequence[int] = ()) -> list[Proposal]:
        """Return a proposal for each text of one letter; a name found in one is marked in all.

        Args:
            texts: such as subject, letter and answer.
            by_office: places in `texts` of those that an office wrote.
        """
        folded = [fold(text) for text in texts]
        found = [self._names.find(text) for text in folded]
        called = {
            text[one.start : one.end]: None
            for text, ones in zip(folded, found, strict=True)
            for one in ones
            if one.full
        }
        known = self._replacements(list(called))
        made = []
        for place, (text, plain) in enumerate(zip(texts, folded, strict=True)):
            names = [*found[place], *self._names.again(plain, known)]
            marks = merged(
                [
                    *self._numbers.find(plain, by_office=place in by_office),
                    *self._addresses.find(plain),
                    *(self._mark(plain, one, known) for one in names),
                ]
            )
            made.append(Proposal(text, tuple(marks)))
        return made

    def _replacements(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return what stands for each full name: 王某, or 王某甲 and 王某乙 where there are several of one surname."""
        of_surname: dict[str, list[str]] = {}
        for name in names:
            of_surname.setdefault(self._names.surname_of(name), []).append(name)
        return {
            name: f"{surname}某" + (_TELL_APART[place % len(_TELL_APART)] if len(same) > 1 else "")
            for surname, same in of_surname.items()
            for place, name in enumerate(same)
        }

    def _mark(self, folded: str, one: Found, known: Mapping[str, str]) -> Mark:
        name, title = folded[one.start : one.end], folded[one.end : one.titled]
        why = one.why
        if one.full:
            replacement = known[name] + title
        elif not title:
            replacement = f"{name[0]}某"
        else:
            same = [full for full in known if full.startswith(name)]
            replacement = f"{known[same[0]] if len(same) == 1 else '某'}{title}"
            if len(same) == 1:
                why = "姓氏加称谓，与已标出的姓名同姓，当为同一人 / a surname with a title, likely the person whose full name was found"
        return Mark(one.start, one.titled, Kind.NAME, why, replacement)
