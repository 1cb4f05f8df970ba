"""What a check found: how many things each invariant was held against, and what violated it. No personal data stands in it."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

INVARIANTS: Final = {
    "letter.there": "every letter acknowledged is there: its receipt is answered, and it is on `letters`",
    "letter.once": "no letter is there twice",
    "letter.posted": "every letter on `letters` says what somebody posted, where the ledger knows every attempt",
    "letter.content": "subject, body, sender, choices and files are what was posted, to the byte",
    "attachment.bytes": "every attachment can be downloaded, with the bytes that were uploaded",
    "number.unique": "no number stands on two letters, and no letter has two numbers",
    "number.gapless": "numbers of a mailbox and year are 1…n",
    "number.unchanged": "whoever saw a letter's number saw the same: people, facts, pages, the register 附表9",
    "fact.once": "a fact that was sent twice was sent with the same bytes",
    "fact.order": "the facts of one service on one letter stand on `letters` in the order of `seq`, without a gap",
    "projection.facts": "every projection has each fact of a letter, once",
    "projection.rebuild": "every projection equals one that is rebuilt from `letters`",
    "history.whole": "a letter's history has every fact once, in the order of the topic",
    "history.unbroken": "the hashes of a history are a chain, and so says `deploy.history verify`",
    "overdue.once": "lateness, reminders and urgings are declared once, in turn, and none of what is open is missing",
    "bulletin.once": "each bulletin is issued once, none is missing, numbers have no gaps, and it is what was issued",
    "holder.one": "no letter has two holders at a time",
    "public.approved": "what the public sees was approved, to the byte, by somebody else than its author",
    "public.there": "what was approved, and not withdrawn, is what the public sees, and nothing else",
    "waiting.none": "nothing waits or is parked, and nothing is left to be handled",
    "outbox.empty": "everything decided was sent",
}
"""Name → what holds."""

MOST_SHOWN: Final = 50
"""Violations of one invariant that are told one by one; all are counted."""


@dataclass(frozen=True, order=True)
class Violation:
    """One thing that is not as it must be."""

    invariant: str
    letter_id: str
    """Empty where it is about no letter in particular."""
    where: str
    """An address, a place on a topic, a collection."""
    what: str
    """In words, without texts or names of people."""


@dataclass
class Report:
    """Counts and violations."""

    checked: Counter[str] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    """Further figures of the run, such as how many records were read."""

    def holds(self, invariant: str, count: int = 1) -> None:
        """Count what an invariant was held against."""
        if invariant not in INVARIANTS:
            raise KeyError(invariant)
        self.checked[invariant] += count

    def violated(self, invariant: str, letter_id: str, where: str, what: str) -> None:
        """Note a violation."""
        if invariant not in INVARIANTS:
            raise KeyError(invariant)
        self.broken[invariant] += 1
        if self.broken[invariant] <= MOST_SHOWN:
            self.violations.append(Violation(invariant, letter_id, where, what))

    def expect(self, invariant: str, holds: bool, letter_id: str, where: str, what: str) -> None:
        """Count one thing, and note it where it does not hold."""
        self.holds(invariant)
        if not holds:
            self.violated(invariant, letter_id, where, what)

    @property
    def ok(self) -> bool:
        """Whether nothing is violated."""
        return not self.broken

    def table(self) -> str:
        """Return the counts as a table, then the violations."""
        width = max(map(len, INVARIANTS))
        lines = [f"{'invariant':<{width}}  {'checked':>9}  {'violated':>8}  what holds"]
        for name, says in INVARIANTS.items():
            lines.append(f"{name:<{width}}  {self.checked[name]:>9,}  {self.broken[name]:>8,}  {says}")
        lines += [
            f"VIOLATED {one.invariant}: letter {one.letter_id or '—'}, {one.where}: {one.what}"
            for one in sorted(self.violations)
        ]
        many = {name: count - MOST_SHOWN for name, count in self.broken.items() if count > MOST_SHOWN}
        lines += [f"VIOLATED {name}: and {count:,} more" for name, count in many.items()]
        return "\n".join(lines)

    def json(self) -> str:
        """Return everything as JSON."""
        return json.dumps(
            {
                "ok": self.ok,
                "seconds": round(self.seconds, 1),
                "run": self.facts,
                "invariants": {
                    name: {"checked": self.checked[name], "violated": self.broken[name], "says": says}
                    for name, says in INVARIANTS.items()
                },
                "violations": [vars(found) for found in sorted(self.violations)],
            },
            ensure_ascii=False,
            indent=1,
        )
