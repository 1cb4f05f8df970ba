"""Changes of the directory while services run: decided here, each a fact, and applied to what the file says (R1.1–R1.3).

The directory is the file's entries with those laid over them that changes have made anew (`Overlay`). Where the file was edited meanwhile,
a changed entry stays as it was changed, and new entries of the file are taken. Every outcome is checked as a whole, like the file.

Decided here once for all:

- a code and a number prefix never change and are never given again: numbers in letters carry them (R3.8);
- a closed mailbox stays closed; its open departments are closed with it, and go to the same successor;
- what a closed mailbox had goes on with its successor: the mailbox it was merged into, or the one above it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from shared.contracts.directory import DirectoryFact, MailboxAdded, MailboxChanged, MailboxClosed, MailboxEntry
from shared.contracts.types import Actor
from shared.directory.checks import check_mailboxes
from shared.directory.directory import Directory
from shared.directory.loading import entry_problems
from shared.directory.models import Closed, FormerName, Mailbox, MailboxKind
from shared.directory.problems import DirectoryError, DirectoryProblem

Overlay: TypeAlias = Mapping[str, Mailbox]
"""Code → the entry as changes have left it."""

NOTHING: Final[Overlay] = MappingProxyType({})
FIXED: Final = {
    "code": ("R1.1", "close the mailbox and add one with the new code"),
    "prefix": ("R3.8", "leave it: letters keep their numbers for ever"),
}
"""Fields that never change."""
OWN: Final = {
    "former_names": "they are kept by themselves when name or short_name changes",
    "closed": "close the mailbox instead",
}
"""Fields that changes write by themselves."""


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes the directory, when and why."""

    by: Actor
    at: datetime
    reason: str


def entry_of(mailbox: Mailbox) -> MailboxEntry:
    """Return an entry as facts carry it."""
    content = mailbox.model_dump(mode="json")
    for person in content["staff"]:
        person["roles"] = sorted(person["roles"])
    return MailboxEntry.model_validate(content)


def mailbox_of(fact: DirectoryFact) -> Mailbox:
    """Return the entry that a fact left; fields that a newer release may have added are left out.

    Raises:
        ValidationError: it is none.
    """
    return Mailbox.model_validate(fact.entry.model_dump())


def applied(overlay: Overlay, facts: Iterable[DirectoryFact]) -> dict[str, Mailbox]:
    """Return the overlay after these facts."""
    return {**overlay, **{fact.mailbox: mailbox_of(fact) for fact in facts}}


def whole(seed: Directory, overlay: Overlay, version: int, source: str) -> Directory:
    """Return the directory that the file and the changes make together.

    Args:
        seed: what the file says.
        overlay: entries as changes have left them.
        version: how many changes those were.
        source: what to name in the error.

    Raises:
        DirectoryError: they contradict each other; it lists every problem.
    """
    mailboxes = list(({mailbox.code: mailbox for mailbox in seed.mailboxes()} | dict(overlay)).values())
    problems = list(check_mailboxes(mailboxes, {region.code: region for region in seed.regions()}))
    if problems:
        raise DirectoryError(source, problems)
    return Directory(mailboxes, seed.all_domains(), seed.regions(), version)


def add(now: Directory, entry: Mapping[str, Any], change: Change) -> list[DirectoryFact]:
    """Add a mailbox (R1.1).

    Raises:
        DirectoryError: the entry is incomplete or does not fit; it lists every problem (R1.3).
    """
    where = str(entry.get("code") or "code")[:80]
    problems = [DirectoryProblem(where, "R1.1", f"{name} is given", remedy) for name, remedy in _own(entry, {})]
    problems += _reasoned(where, change)
    mailbox = _entry(where, entry, problems)
    if mailbox is not None and mailbox.code in now:
        closed = now.get(mailbox.code).closed is not None
        wrong = "the code belonged to a mailbox that was closed" if closed else "the code is taken"
        problems.append(DirectoryProblem(where, "R1.1", wrong, "choose another code; change the entry to change it"))
        mailbox = None
    elif mailbox is not None:
        problems += _whole_with(now, mailbox)
    else:
        problems += _with_the_rest(now, entry)
    if problems or mailbox is None:
        raise DirectoryError(f"the new mailbox {where}", problems)
    return [MailboxAdded(**_base(now, mailbox, change, 1))]


def alter(now: Directory, code: str, fields: Mapping[str, Any], change: Change) -> list[DirectoryFact]:
    """Change a mailbox: its names, staff, leader, department or place in the tree; no fact where nothing would change.

    Args:
        now: the directory.
        code: which mailbox.
        fields: what shall be different; staff is given whole.
        change: who changes it and why.

    Raises:
        UnknownMailbox: there is none.
        DirectoryError: the outcome would be incomplete or would not fit; it lists every problem (R1.3).
    """
    old = now.get(code)
    was = _plain(old)
    problems = [
        DirectoryProblem(code, "R1.1", f"{name} is given", remedy) for name, remedy in _own({**was, **fields}, was)
    ]
    problems += _reasoned(code, change)
    if old.closed is not None:
        remedy = f"its letters are with {now.current(code)}; change that one"
        problems.append(DirectoryProblem(code, "R1.1", "the mailbox is closed", remedy))
    for name, (rule, remedy) in FIXED.items():
        if name in fields and fields[name] != was[name]:
            problems.append(DirectoryProblem(code, rule, f"{name} never changes", remedy))
    new = _entry(code, {**was, **fields}, problems)
    if new is not None and (old.kind is MailboxKind.DEPARTMENT) != (new.kind is MailboxKind.DEPARTMENT):
        remedy = "close it and add a mailbox of the other kind, to which its letters go"
        problems.append(DirectoryProblem(code, "R1.1", "a department never becomes a unit, nor a unit one", remedy))
    if new is not None and not problems:
        if (old.name, old.short_name) != (new.name, new.short_name):
            former = FormerName(name=old.name, short_name=old.short_name, until=change.at)
            new = new.model_copy(update={"former_names": (*old.former_names, former)})
        problems += _whole_with(now, new)
    if problems or new is None:
        raise DirectoryError(f"the change of {code}", problems)
    after = _plain(new)
    changed = tuple(name for name in after if after[name] != was[name] and name not in OWN)
    return [MailboxChanged(**_base(now, new, change, 1), changed=changed)] if changed else []


def close(now: Directory, code: str, successor: str | None, change: Change) -> list[DirectoryFact]:
    """Close a mailbox with its departments; what they had goes on with the successor, into which it may have been merged.

    Args:
        now: the directory.
        code: which mailbox.
        successor: who takes over; none: the mailbox above.
        change: who closes it and why.

    Raises:
        UnknownMailbox: there is none.
        DirectoryError: it cannot be closed, or not with this successor; it lists every problem.
    """
    old = now.get(code)
    problems = _reasoned(code, change)
    if old.kind is MailboxKind.MAYOR:
        problems.append(DirectoryProblem(code, "R1.1", "the mayor's mailbox is never closed", "change it instead"))
    if old.closed is not None:
        wrong, remedy = "the mailbox is closed already", f"its letters are with {now.current(code)}"
        problems.append(DirectoryProblem(code, "R1.1", wrong, remedy))
    heir = successor or old.parent
    if not problems:
        problems += _fit_to_succeed(now, old, heir)
    if problems or heir is None:
        raise DirectoryError(f"the closing of {code}", problems)
    inside = [child for child in now.children(code) if child.closed is None]
    end = Closed(at=change.at, successor=heir)
    facts: list[DirectoryFact] = []
    for mailbox in (*inside, old):  # the departments first: no open one ever stands in a closed unit
        closed = mailbox.model_copy(update={"closed": end})
        facts.append(MailboxClosed(**_base(now, closed, change, len(facts) + 1), successor=heir))
    return facts


def _fit_to_succeed(now: Directory, old: Mailbox, heir: str | None) -> list[DirectoryProblem]:
    """Check who shall go on: an open unit for a unit, the same unit for one of its departments."""
    if heir is None or heir not in now:
        return [DirectoryProblem(old.code, "R2.1", f"there is no mailbox {heir}", "name an open mailbox")]
    other = now.get(heir)
    if other.closed is not None:
        remedy = f"name {now.current(heir)}, which goes on with its letters"
        return [DirectoryProblem(old.code, "R1.1", f"the successor {heir} is closed itself", remedy)]
    if old.kind is MailboxKind.DEPARTMENT:
        if heir == old.code or now.unit_code(heir) != now.unit_code(old.code):
            remedy = "name its unit or another department of it; to move it elsewhere, change its parent first"
            return [DirectoryProblem(old.code, "R4.2b", f"{heir} is no other part of the same unit", remedy)]
    elif heir == old.code or other.kind is MailboxKind.DEPARTMENT:
        remedy = "name another unit, or none: then the mayor's mailbox takes over"
        return [DirectoryProblem(old.code, "R1.1", f"{heir} is no other unit", remedy)]
    return []


def _own(fields: Mapping[str, Any], old: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return the fields that only changes write, as far as they are given and not as they are."""
    return ((name, remedy) for name, remedy in OWN.items() if (fields.get(name) or None) != (old.get(name) or None))


def _reasoned(where: str, change: Change) -> list[DirectoryProblem]:
    if change.reason.strip():
        return []
    return [DirectoryProblem(where, "R10.1", "the reason is missing", "say why, for the record")]


def _entry(where: str, content: Mapping[str, Any], problems: list[DirectoryProblem]) -> Mailbox | None:
    try:
        return Mailbox.model_validate(dict(content))
    except ValidationError as error:
        problems.extend(entry_problems(where, error))
        return None


def _with_the_rest(now: Directory, content: Mapping[str, Any]) -> list[DirectoryProblem]:
    """Return what else is wrong with an entry whose wrong fields are known, so that whoever corrects them need not come twice."""
    blanks = {"name": "—", "short_name": "—"}
    try:
        Mailbox.model_validate(dict(content))
    except ValidationError as error:
        bad = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
        bad |= {name for name in content if name not in Mailbox.model_fields}
        try:
            rest = Mailbox.model_validate({**{n: v for n, v in content.items() if n not in bad}, **blanks})
        except ValidationError:  # without its code and kind nothing can be said of its place
            return []
        if rest.code in now:
            return []
        return [one for one in _whole_with(now, rest) if not any(name in one.wrong for name in bad)]
    return []


def _plain(mailbox: Mailbox) -> dict[str, Any]:
    return entry_of(mailbox).model_dump(mode="json")


def _whole_with(now: Directory, mailbox: Mailbox) -> list[DirectoryProblem]:
    mailboxes = list(({one.code: one for one in now.mailboxes()} | {mailbox.code: mailbox}).values())
    return list(check_mailboxes(mailboxes, {region.code: region for region in now.regions()}))


def _base(now: Directory, mailbox: Mailbox, change: Change, number: int) -> dict[str, Any]:
    return {
        "directory_version": now.version + number,
        "mailbox": mailbox.code,
        "at": change.at,
        "by": change.by,
        "reason": change.reason.strip(),
        "entry": entry_of(mailbox),
    }
