"""A letter's history as a chain: each entry carries the hash of the one before it (R10.1). Pure.

The entries of a letter are the records under its key on the topic `letters`, in their order there, each fact once. So the topic alone
decides what the history is, and a history made anew is the same to the byte.

An entry's hash is SHA-256, in hexadecimal, of the UTF-8 text of this JSON array, written without spaces:

    ["xinxiang-history-1", letter id, n, hash of entry n-1, event id, type, source, seq, at, SHA-256 of the fact's bytes,
     replay of (""), dropped (false)]

The first entry follows 64 zeros. `at` is UTC with milliseconds (`2026-03-02T01:30:00.000Z`). Who did it, why and the details are not in it
themselves: the SHA-256 of the fact's bytes stands for them, so what is shown of a fact can be bettered, or erased, and no chain breaks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

import orjson

FORM: Final = "xinxiang-history-1"
GENESIS: Final = "0" * 64
"""What the first entry follows."""

Place: TypeAlias = tuple[int, int]
"""Where a record stands on `letters`: partition, offset."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One record of `letters` that is a fact, reduced to what a history needs."""

    letter_id: str
    place: Place
    id: str
    type: str
    source: str
    seq: int
    at: str
    """UTC, ISO 8601 with milliseconds and Z; "" where the envelope gives no time that can be read."""
    sha256: str
    """Of the record's bytes, in hexadecimal."""
    replay_of: str = ""
    """Origin of the parked record in whose place a person published this one."""
    dropped: bool = False
    """With `replay_of`: this records the decision to skip that record."""
    said: tuple[str, ...] = ()
    """Short digests of what an entry tells in words: by, why, details."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a letter's history."""

    fact: Fact
    n: int
    previous: str
    hash: str


SAID: Final = ("by", "why", "details")
"""What the parts of `Fact.said` are the digests of."""


def digest(part: object) -> str:
    """Return the short digest of something an entry tells in words; "" of nothing."""
    return "" if not part else sha256(orjson.dumps(part, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def hash_of(fact: Fact, n: int, previous: str) -> str:
    """Return the hash of the entry that a fact is at place `n` behind the hash `previous`."""
    form = [FORM, fact.letter_id, n, previous, fact.id, fact.type, fact.source, fact.seq, fact.at, fact.sha256]
    return sha256(orjson.dumps([*form, fact.replay_of, fact.dropped])).hexdigest()


@dataclass(slots=True)
class Head:
    """The end of a letter's chain: all that the next entry hangs on."""

    n: int = 0
    hash: str = GENESIS
    place: Place | None = None
    """Where the record of the last entry stands."""
    seen: dict[str, int] = field(default_factory=dict)
    """Source → up to which `seq` all of its facts are here."""
    ahead: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Source → those behind a gap."""

    def has(self, source: str, seq: int) -> bool:
        """Whether this fact has its entry."""
        return seq <= self.seen.get(source, 0) or seq in self.ahead.get(source, ())

    def extend(self, fact: Fact) -> Entry | None:
        """Add a fact; none: it is here already.

        A record that comes again is known by its place, a fact that was sent twice by its `seq`. What a person replayed or dropped is an
        entry of its own, whatever its `seq`.
        """
        if self.place is not None and fact.place[0] == self.place[0] and fact.place[1] <= self.place[1]:
            return None
        if not fact.replay_of and self.has(fact.source, fact.seq):
            return None
        entry = Entry(fact, self.n + 1, self.hash, hash_of(fact, self.n + 1, self.hash))
        self.n, self.hash, self.place = entry.n, entry.hash, fact.place
        self._note(fact.source, fact.seq)
        return entry

    def _note(self, source: str, seq: int) -> None:
        seen = self.seen.get(source, 0)
        if seq > seen + 1:
            self.ahead[source].add(seq)
            return
        seen = max(seen, seq)
        waiting = self.ahead.get(source, set())
        while seen + 1 in waiting:
            seen += 1
            waiting.remove(seen)
        self.seen[source] = seen

    @property
    def missing(self) -> list[tuple[str, int, int]]:
        """The facts that must exist and did not come: (source, first seq, last seq)."""
        gaps = []
        for source, waiting in sorted(self.ahead.items()):
            before = self.seen.get(source, 0)
            for seq in sorted(waiting):
                if seq > before + 1:
                    gaps.append((source, before + 1, seq - 1))
                before = seq
        return gaps


# ── is it unbroken? ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Verdict:
    """What a check of one letter's history found."""

    letter_id: str
    entries: int
    hash: str
    breaks: list[str] = field(default_factory=list)
    """Where it breaks, in Chinese and English; none: it is unbroken."""
    behind: int = 0
    """Facts on the topic that routing has not recorded yet."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter's history as the store holds it."""

    entries: Sequence[Entry]
    """By `n`."""
    end: tuple[int, str] | None = None
    """`n` and hash of the last entry, as noted beside the entries."""


def check(letter_id: str, kept: Kept, facts: Iterable[Fact], handled: Mapping[int, int]) -> Verdict:
    """Compare a letter's history with itself and with the record.

    Args:
        letter_id: the letter.
        kept: what the store holds.
        facts: the letter's facts on the topic, in their order there.
        handled: partition → the offset below which everything was recorded before `kept` was read.
    """
    end = kept.entries[-1].hash if kept.entries else GENESIS
    verdict = Verdict(letter_id, len(kept.entries), end)
    _check_chain(verdict, kept)
    _check_end(verdict, kept, handled)
    _check_record(verdict, kept, facts, handled)
    return verdict


def _check_chain(verdict: Verdict, kept: Kept) -> None:
    say = verdict.breaks.append
    before, n = GENESIS, 0
    for entry in kept.entries:
        if entry.n > n + 1:
            which = str(n + 1) if entry.n == n + 2 else f"{n + 1}–{entry.n - 1}"
            say(f"第 {which} 条缺失 / entry {which} is missing")
        elif entry.n <= n:
            say(f"第 {entry.n} 条不在其位 / entry {entry.n} does not stand in its place")
        elif entry.previous != before:
            say(f"第 {entry.n} 条没有接上前一条 / entry {entry.n} does not carry the hash of the entry before it")
        if entry.hash != hash_of(entry.fact, entry.n, entry.previous):
            say(
                f"第 {entry.n} 条被改动：与其哈希值不符 / entry {entry.n} was altered: its hash is not that of what it says"
            )
        before, n = entry.hash, entry.n


def _check_end(verdict: Verdict, kept: Kept, handled: Mapping[int, int]) -> None:
    """Check what was noted of the last entry; the note is written just after the entries, so the newest may be beyond it."""
    n, end_hash = kept.end or (0, GENESIS)
    last = len(kept.entries) and kept.entries[-1].n
    say = verdict.breaks.append
    if n > last:
        which = f"{last + 1}–{n}" if n > last + 1 else str(n)
        say(f"末尾第 {which} 条缺失 / the end is missing: entry {which}")
    beyond = [
        entry for entry in kept.entries if entry.n > n and entry.fact.place[1] < handled.get(entry.fact.place[0], 0)
    ]
    if beyond:
        say(f"末尾登记只到第 {n} 条 / the note of the end says {n} entries; there are {last}")
    if any(entry.n == n and entry.hash != end_hash for entry in kept.entries):
        say(
            f"第 {n} 条不是原来的那一条 / entry {n} is not the one that was written: the note of the end says {end_hash[:12]}…"
        )


def _name(fact: Fact) -> str:
    kind = fact.type.removeprefix("xinxiang.")
    decided = " drop" if fact.dropped else " replay" if fact.replay_of else ""
    return f"{kind} ({fact.source} {fact.seq}{decided}, letters/{fact.place[0]}/{fact.place[1]})"


_Key: TypeAlias = tuple[str, int, str, bool, int]


def _keyed(facts: Iterable[Fact]) -> dict[_Key, Fact]:
    """Return facts by what they are; a record that a person replayed more than once is told apart by its turn."""
    turns: Counter[tuple[str, int, str, bool]] = Counter()
    found: dict[_Key, Fact] = {}
    for fact in facts:
        what = (fact.source, fact.seq, fact.replay_of, fact.dropped)
        turns[what] += 1
        found[*what, turns[what]] = fact
    return found


def _check_record(verdict: Verdict, kept: Kept, facts: Iterable[Fact], handled: Mapping[int, int]) -> None:
    say = verdict.breaks.append
    head, chain = Head(), []
    first: dict[tuple[str, int], Fact] = {}
    for fact in facts:
        entry = head.extend(fact)
        if entry is not None:
            chain.append(entry)
        if not fact.replay_of:
            told = first.setdefault((fact.source, fact.seq), fact)
            if told.sha256 != fact.sha256:
                say(
                    f"记录中有两条不同的 {fact.source} {fact.seq} / the record has two different facts {fact.source} {fact.seq}: "
                    f"{_name(told)} and {_name(fact)}; services took the first"
                )
    for source, start, stop in head.missing:
        which = str(start) if start == stop else f"{start}–{stop}"
        say(f"记录缺号：{source} 第 {which} 件 / the record lacks fact {which} of {source}")
    due = _keyed(entry.fact for entry in chain)
    held = _keyed(entry.fact for entry in kept.entries)
    numbers = {key: entry.n for key, entry in zip(held, kept.entries, strict=True)}
    rightly = {key: entry.n for key, entry in zip(due, chain, strict=True)}
    for key, fact in due.items():
        if key not in held:
            if fact.place[1] >= handled.get(fact.place[0], 0):
                verdict.behind += 1
            else:
                say(
                    f"缺少应为第 {rightly[key]} 条的 {_name(fact)} / the history lacks {_name(fact)}, its entry {rightly[key]}"
                )
    for key, fact in held.items():
        if key not in due:
            say(f"第 {numbers[key]} 条是插入的 / entry {numbers[key]} was inserted: the record has no {_name(fact)}")
        elif wrong := _differences(fact, due[key]):
            what = ", ".join(wrong)
            say(f"第 {numbers[key]} 条与记录不符：{what} / entry {numbers[key]} is not what the record holds: {what}")
    _check_order(verdict, [key for key in held if key in due], [key for key in due if key in held], numbers)


def _differences(held: Fact, due: Fact) -> list[str]:
    plain = [name for name in ("id", "type", "at", "sha256", "place") if getattr(held, name) != getattr(due, name)]
    words = zip(SAID, held.said, due.said, strict=False)
    return plain + [name for name, one, other in words if one != other]


def _check_order(verdict: Verdict, held: Sequence[_Key], due: Sequence[_Key], numbers: Mapping[_Key, int]) -> None:
    for mine, right in zip(held, due, strict=True):
        if mine != right:
            n, other = numbers[mine], numbers[right]
            verdict.breaks.append(
                f"第 {n} 条次序颠倒，应在第 {other} 条之后 / entry {n} is out of order: on the record it comes after entry {other}"
            )
            return
