"""What must hold for the mailboxes taken together; each check names the mailbox, the rule and the remedy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from shared.directory.models import Mailbox, MailboxKind, Region, Role
from shared.directory.problems import DirectoryProblem

_PERSONAL_ROLES = frozenset(Role) - {Role.UNIT_SYSTEM}


def check_mailboxes(mailboxes: Sequence[Mailbox], regions: Mapping[str, Region]) -> Iterator[DirectoryProblem]:
    """Yield everything that is wrong with a list of mailboxes, each of which is well-formed by itself."""
    yield from _unique(mailboxes)
    yield from _one_mayor(mailboxes)
    by_code = {mailbox.code: mailbox for mailbox in mailboxes}
    for mailbox in mailboxes:
        yield from _place_in_tree(mailbox, by_code)
        if mailbox.closed is not None:
            yield from _succession(mailbox, by_code)
            continue
        yield from _complete(mailbox)
        yield from _staff_roles(mailbox)
        yield from _region(mailbox, regions)
    yield from _subjects([mailbox for mailbox in mailboxes if mailbox.closed is None])


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _unique(mailboxes: Sequence[Mailbox]) -> Iterator[DirectoryProblem]:
    for code in _repeated(mailbox.code for mailbox in mailboxes):
        yield DirectoryProblem(code, "R1.1", "the code stands more than once", "give each mailbox a code of its own")
    for form in ("chinese", "ascii"):
        owners: dict[str, list[str]] = {}
        for mailbox in mailboxes:
            if mailbox.prefix is not None:
                owners.setdefault(getattr(mailbox.prefix, form), []).append(mailbox.code)
        for prefix, codes in owners.items():
            if len(codes) > 1:
                wrong = f"the number prefix {prefix} is also used by {', '.join(codes[:-1])}"
                remedy = "give each mailbox a prefix of its own; that of a closed one is never given again"
                yield DirectoryProblem(codes[-1], "R3.6", wrong, remedy)
    regions = {m.code: m.region for m in mailboxes if m.region is not None and m.closed is None}
    for region in _repeated(regions.values()):
        codes = [code for code, its in regions.items() if its == region]
        wrong = f"region {region} is also the region of {', '.join(codes[:-1])}"
        yield DirectoryProblem(codes[-1], "R3.5", wrong, "give each district its own region code")


def _one_mayor(mailboxes: Sequence[Mailbox]) -> Iterator[DirectoryProblem]:
    mayors = [mailbox.code for mailbox in mailboxes if mailbox.kind is MailboxKind.MAYOR]
    if not mayors:
        yield DirectoryProblem("mailboxes", "R1.1", "no mayor's mailbox", "add one entry with kind: mayor")
    for code in mayors[1:]:
        yield DirectoryProblem(code, "R1.1", f"a second mayor's mailbox beside {mayors[0]}", "keep only one")


def _place_in_tree(mailbox: Mailbox, by_code: Mapping[str, Mailbox]) -> Iterator[DirectoryProblem]:
    code = mailbox.code
    if mailbox.kind is MailboxKind.MAYOR:
        if mailbox.parent is not None:
            yield DirectoryProblem(code, "R1.1", "the mayor's mailbox has a parent", "remove its parent")
        return
    if mailbox.parent is None:
        remedy = "name the unit it belongs to" if mailbox.kind is MailboxKind.DEPARTMENT else "name the mayor's mailbox"
        yield DirectoryProblem(code, "R1.1", "parent is missing", remedy)
        return
    parent = by_code.get(mailbox.parent)
    if parent is None:
        wrong = f"its parent {mailbox.parent} is missing or itself refused"
        yield DirectoryProblem(code, "R1.1", wrong, "name a mailbox of this file")
    elif mailbox.kind is MailboxKind.DEPARTMENT and parent.kind is MailboxKind.DEPARTMENT:
        wrong = f"its parent {parent.code} is itself a department"
        yield DirectoryProblem(code, "R1.1", wrong, "name the unit: the tree is mayor, units, departments")
    elif mailbox.kind.is_unit and parent.kind is not MailboxKind.MAYOR:
        wrong = f"a unit cannot stand below {parent.code}"
        yield DirectoryProblem(code, "R1.1", wrong, "name the mayor's mailbox as parent, or make it kind: department")
    elif parent.closed is not None and mailbox.closed is None:
        wrong = f"its parent {parent.code} is closed"
        yield DirectoryProblem(code, "R1.1", wrong, "name another parent, or close it too")


def _succession(mailbox: Mailbox, by_code: Mapping[str, Mailbox]) -> Iterator[DirectoryProblem]:
    """Check that whatever a closed mailbox had has somebody to go on with it."""
    passed = [mailbox.code]
    if mailbox.kind is MailboxKind.MAYOR:
        yield DirectoryProblem(mailbox.code, "R1.1", "the mayor's mailbox is closed", "remove closed")
    while mailbox.closed is not None:
        successor = mailbox.closed.successor
        following = by_code.get(successor)
        if following is None:
            wrong = f"its successor {successor} is missing or itself refused"
        elif successor in passed:
            wrong = f"its successors lead back to it: {' → '.join([*passed, successor])}"
        else:
            passed.append(successor)
            mailbox = following
            continue
        remedy = "name an open mailbox, or the one above, to go on with its letters"
        yield DirectoryProblem(passed[0], "R1.1", wrong, remedy)
        return


def _complete(mailbox: Mailbox) -> Iterator[DirectoryProblem]:
    code = mailbox.code
    is_department = mailbox.kind is MailboxKind.DEPARTMENT
    if is_department and mailbox.prefix is not None:
        yield DirectoryProblem(code, "R3.8", "a department has a number prefix", "remove it: the unit's numbers stay")
    if not is_department:
        if mailbox.prefix is None:
            yield DirectoryProblem(code, "R3.6", "prefix is missing", "add prefix: {chinese: …, ascii: …}")
        if mailbox.responsible_department is None:
            wrong = "responsible_department is missing"
            yield DirectoryProblem(code, "R1.3", wrong, "name the department that runs the mailbox")
        if mailbox.leader is None:
            yield DirectoryProblem(code, "R1.3", "leader is missing", "add leader: {name: …, subject: …}")
        if not mailbox.staff_with(Role.HEAD):
            wrong = "no head among its staff"
            yield DirectoryProblem(code, "R1.3", wrong, "add one with roles: [head], who approves slips (R4.2)")
    if not mailbox.staff_with(Role.CLERK):
        wrong = "no clerk among its staff"
        yield DirectoryProblem(code, "R1.3", wrong, "add dedicated staff with roles: [clerk]")
    if mailbox.kind is MailboxKind.MAYOR and not mailbox.staff_with(Role.DUTY_OFFICER):
        wrong = "no duty officer among its staff"
        yield DirectoryProblem(code, "R1.4", wrong, "add one with roles: [duty_officer]")


def _staff_roles(mailbox: Mailbox) -> Iterator[DirectoryProblem]:
    for subject in _repeated(person.subject for person in mailbox.staff):
        wrong = f"{subject} stands more than once in its staff"
        yield DirectoryProblem(mailbox.code, "R1.3", wrong, "list each person once with all their roles")
    for person in mailbox.staff:
        if not person.roles <= _PERSONAL_ROLES:
            wrong = f"{person.subject} has the role {Role.UNIT_SYSTEM}"
            yield DirectoryProblem(mailbox.code, "R1.3", wrong, "that role is for machines: leave it out of the staff")
        if Role.DUTY_OFFICER in person.roles and mailbox.kind is not MailboxKind.MAYOR:
            wrong = f"{person.subject} is a duty officer outside the mayor's mailbox"
            yield DirectoryProblem(mailbox.code, "R1.2", wrong, "only the mayor's mailbox has duty officers")


def _region(mailbox: Mailbox, regions: Mapping[str, Region]) -> Iterator[DirectoryProblem]:
    if mailbox.kind is MailboxKind.DISTRICT:
        if mailbox.region is None:
            wrong = "region is missing"
            yield DirectoryProblem(mailbox.code, "R3.5", wrong, "add the GB/T 2260 code of the district")
        elif mailbox.region not in regions:
            wrong = f"region {mailbox.region} is not in the list of regions"
            yield DirectoryProblem(mailbox.code, "R3.5", wrong, "correct it, or add it to the regions file")
    elif mailbox.region is not None:
        yield DirectoryProblem(mailbox.code, "R3.5", "only districts have a region", "remove region")


def _subjects(mailboxes: Sequence[Mailbox]) -> Iterator[DirectoryProblem]:
    names: dict[str, str] = {}
    for mailbox in mailboxes:
        for person in (*mailbox.staff, *((mailbox.leader,) if mailbox.leader else ())):
            known = names.setdefault(person.subject, person.name)
            if known != person.name:
                wrong = f"the subject {person.subject} belongs to two people"
                yield DirectoryProblem(mailbox.code, "R1.3", wrong, "give each person a subject of their own")
