"""Questions to the directory; all answered from memory by dictionary look-ups."""

from collections.abc import Collection, Iterable

from shared.directory.models import Domain, Mailbox, MailboxKind, NumberPrefix, Person, Region


class UnknownEntry(KeyError):
    """A code that the directory does not have.

    Attributes:
        rule: the rule id.
        code: the code asked for.
        message: what was wrong and what to do, in English and Chinese.
    """

    rule = ""
    _wording = ""

    def __init__(self, code: str) -> None:
        self.code = code
        self.message = f"{self.rule}: " + self._wording.format(code=code)
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class UnknownMailbox(UnknownEntry):
    """No mailbox has this code (R2.1)."""

    rule = "R2.1"
    _wording = "there is no mailbox {code!r}; choose one from the directory 没有这个信箱，请从信箱名录中选择"


class UnknownDomain(UnknownEntry):
    """No domain has this code (R3.4)."""

    rule = "R3.4"
    _wording = "there is no domain {code!r}; choose one from the list of domains 没有这个领域，请从领域列表中选择"


class UnknownRegion(UnknownEntry):
    """No region has this code (R3.5)."""

    rule = "R3.5"
    _wording = "there is no region {code!r}; give the GB/T 2260 code of a region 没有这个地区，请选择区县"


def _people_of(mailbox: Mailbox) -> tuple[Person, ...]:
    return (*mailbox.staff, *((mailbox.leader,) if mailbox.leader is not None else ()))


class Directory:
    """The mailboxes, domains and regions of one city, checked as a whole by :func:`load_directory`."""

    def __init__(self, mailboxes: Iterable[Mailbox], domains: Iterable[Domain], regions: Iterable[Region]) -> None:
        self._mailboxes = {mailbox.code: mailbox for mailbox in mailboxes}
        self._domains = {domain.code: domain for domain in domains}
        self._regions = {region.code: region for region in regions}
        self._mayor = next(mailbox for mailbox in self._mailboxes.values() if mailbox.kind is MailboxKind.MAYOR)
        self._above = {code: tuple(self._ancestors(mailbox)) for code, mailbox in self._mailboxes.items()}
        children: dict[str, list[Mailbox]] = {code: [] for code in self._mailboxes}
        for mailbox in self._mailboxes.values():
            if mailbox.parent is not None:
                children[mailbox.parent].append(mailbox)
        self._children = {code: tuple(below) for code, below in children.items()}
        subdomains: dict[str | None, list[Domain]] = {}
        for domain in self._domains.values():
            subdomains.setdefault(domain.parent, []).append(domain)
        self._subdomains = {code: tuple(below) for code, below in subdomains.items()}
        works_in: dict[str, set[str]] = {}
        for mailbox in self._mailboxes.values():
            for person in _people_of(mailbox):
                works_in.setdefault(person.subject.casefold(), set()).add(mailbox.code)
        self._works_in = {subject: frozenset(codes) for subject, codes in works_in.items()}

    @property
    def mayor(self) -> Mailbox:
        """The mayor's mailbox."""
        return self._mayor

    def __contains__(self, code: object) -> bool:
        return code in self._mailboxes

    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Return all mailboxes in the order of the file: the mayor's, units, departments."""
        return tuple(self._mailboxes.values())

    def get(self, code: str) -> Mailbox:
        """Return the mailbox with this code.

        Raises:
            UnknownMailbox: there is none (R2.1).
        """
        try:
            return self._mailboxes[code]
        except KeyError:
            raise UnknownMailbox(code) from None

    def unit_of(self, code: str) -> Mailbox:
        """Return the unit (or the mayor's mailbox) that a department belongs to; any other mailbox is its own unit."""
        mailbox = self.get(code)
        if mailbox.kind is MailboxKind.DEPARTMENT and mailbox.parent is not None:
            return self._mailboxes[mailbox.parent]
        return mailbox

    def same_unit(self, code: str) -> frozenset[str]:
        """Return the codes of a mailbox's unit and of all its departments: who must not see a report about any of them.

        A code that the directory does not have stands for itself.
        """
        if code not in self._mailboxes:
            return frozenset((code,))
        unit = self.unit_of(code)
        inside = (child.code for child in self._children[unit.code] if child.kind is MailboxKind.DEPARTMENT)
        return frozenset((unit.code, *inside))

    def above(self, code: str) -> str | None:
        """Return the mailbox above the unit of this one, which acts where the unit must not (R1.2); none above the mayor's.

        For a code that the directory does not have, it is the mayor's.
        """
        return self.unit_of(code).parent if code in self._mailboxes else self._mayor.code

    def works_in(self, subject: str) -> frozenset[str]:
        """Return the codes of the mailboxes where somebody is staff or leader in charge (R1.3); upper and lower case are the same."""
        return self._works_in.get(subject.strip().casefold(), frozenset())

    def people(self, name: str, mailboxes: Collection[str] | None = None) -> frozenset[str]:
        """Return the subjects of all staff and leaders of that name; with `mailboxes`, of those only."""
        wanted = "".join(name.split())
        return frozenset(
            person.subject
            for mailbox in self._mailboxes.values()
            if mailboxes is None or mailbox.code in mailboxes
            for person in _people_of(mailbox)
            if "".join(person.name.split()) == wanted
        )

    def is_below(self, code: str, ancestor: str) -> bool:
        """Return whether ``code`` stands below ``ancestor`` in the tree, at any depth; no mailbox is below itself."""
        self.get(code)
        self.get(ancestor)
        return ancestor in self._above[code]

    def children(self, code: str) -> tuple[Mailbox, ...]:
        """Return the mailboxes right below this one."""
        self.get(code)
        return self._children[code]

    def prefix_of(self, code: str) -> NumberPrefix:
        """Return the number prefix of a mailbox; a department uses its unit's (R3.6)."""
        prefix = self.unit_of(code).prefix
        if prefix is None:
            raise ValueError(f"mailbox {code} has no number prefix [R3.6]; load directories with load_directory")
        return prefix

    def leader_of(self, code: str) -> Person:
        """Return the leader in charge; where a department names none, its unit's (R1.3)."""
        leader = self.get(code).leader or self.unit_of(code).leader
        if leader is None:
            raise ValueError(f"mailbox {code} has no leader in charge [R1.3]; load directories with load_directory")
        return leader

    def domains(self, parent: str | None = None) -> tuple[Domain, ...]:
        """Return the domains right below ``parent``; without one, those of the first level.

        Raises:
            UnknownDomain: there is no such parent (R3.4).
        """
        if parent is not None:
            self.domain(parent)
        return self._subdomains.get(parent, ())

    def all_domains(self) -> tuple[Domain, ...]:
        """Return the domains of every level in the order of the file."""
        return tuple(self._domains.values())

    def domain(self, code: str) -> Domain:
        """Return the domain with this code.

        Raises:
            UnknownDomain: there is none (R3.4).
        """
        try:
            return self._domains[code]
        except KeyError:
            raise UnknownDomain(code) from None

    def path_of(self, code: str) -> tuple[str, ...]:
        """Return the codes from the first level down to a domain; of one that the directory has no more, its own code (R3.4)."""
        domain = self._domains.get(code)
        return (code,) if domain is None else domain.path

    def regions(self) -> tuple[Region, ...]:
        """Return the regions in the order of the file."""
        return tuple(self._regions.values())

    def region(self, code: str) -> Region:
        """Return the region with this GB/T 2260 code.

        Raises:
            UnknownRegion: there is none (R3.5).
        """
        try:
            return self._regions[code]
        except KeyError:
            raise UnknownRegion(code) from None

    def _ancestors(self, mailbox: Mailbox) -> Iterable[str]:
        while mailbox.parent is not None:
            yield mailbox.parent
            mailbox = self._mailboxes[mailbox.parent]
