"""Questions to the directory; all answered from memory by dictionary look-ups."""

from collections.abc import Collection, Iterable

from shared.contracts.types import subject_key
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


def subjects_of(mailbox: Mailbox) -> frozenset[str]:
    """Return a mailbox's staff and leader, each by their `subject_key`."""
    return frozenset(subject_key(person.subject) for person in _people_of(mailbox))


class Directory:
    """The mailboxes, domains and regions of one city, checked as a whole by :func:`load_directory`.

    The directory changes while services run. They all hold the same object, whose content :meth:`become` swaps at once; nothing that was
    asked between two awaits ever mixes two versions.
    """

    def __init__(
        self, mailboxes: Iterable[Mailbox], domains: Iterable[Domain], regions: Iterable[Region], version: int = 0
    ) -> None:
        self._content = _Content(mailboxes, domains, regions, version)

    def become(self, other: "Directory") -> None:
        """Take over the content of another directory, for everybody who holds this one."""
        self._content = other._content  # noqa: SLF001 - of the same class

    @property
    def version(self) -> int:
        """How many changes made while running are in it."""
        return self._content.version

    @property
    def mayor(self) -> Mailbox:
        """The mayor's mailbox."""
        return self._content.mayor

    def __contains__(self, code: object) -> bool:
        return code in self._content.mailboxes

    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Return all mailboxes, closed ones too: in the order of the file, then as they were added."""
        return tuple(self._content.mailboxes.values())

    def open_mailboxes(self) -> tuple[Mailbox, ...]:
        """Return the mailboxes that are not closed."""
        return tuple(mailbox for mailbox in self._content.mailboxes.values() if mailbox.closed is None)

    def get(self, code: str) -> Mailbox:
        """Return the mailbox with this code, closed or not.

        Raises:
            UnknownMailbox: there is none (R2.1).
        """
        try:
            return self._content.mailboxes[code]
        except KeyError:
            raise UnknownMailbox(code) from None

    # ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def unit_of(self, code: str) -> Mailbox:
        """Return the unit (or the mayor's mailbox) that a department belongs to; any other mailbox is its own unit."""
        return self._content.mailboxes[self._content.units[self.get(code).code]]

    def unit_code(self, code: str) -> str:
        """Return the code of `unit_of`; a code that the directory does not have stands for itself."""
        return self._content.units.get(code, code)

    def same_unit(self, code: str) -> frozenset[str]:
        """Return the codes of a mailbox's unit, of all its departments, and of those that were merged into them.

        That is who must not see a report about any of them. What was closed without being merged is supervised by the mayor's mailbox and
        becomes no part of it. A code that the directory does not have stands for itself.
        """
        return self._content.insiders.get(self.unit_code(code), frozenset((code,)))

    def above(self, code: str) -> str | None:
        """Return the mailbox above the unit of this one, which acts where the unit must not (R1.2); none above the mayor's.

        For a code that the directory does not have, it is the mayor's.
        """
        return self.unit_of(code).parent if code in self else self.mayor.code

    def works_in(self, subject: str) -> frozenset[str]:
        """Return the codes of the mailboxes where somebody is staff or leader in charge (R1.3); upper and lower case are the same."""
        return self._content.works_in.get(subject_key(subject), frozenset())

    def people(self, name: str, mailboxes: Collection[str] | None = None) -> frozenset[str]:
        """Return the subjects of all staff and leaders of that name; with `mailboxes`, of those only."""
        wanted = "".join(name.split())
        return frozenset(
            person.subject
            for mailbox in self.mailboxes()
            if mailboxes is None or mailbox.code in mailboxes
            for person in _people_of(mailbox)
            if "".join(person.name.split()) == wanted
        )

    def is_below(self, code: str, ancestor: str) -> bool:
        """Return whether ``code`` stands below ``ancestor`` in the tree, at any depth; no mailbox is below itself."""
        self.get(code)
        self.get(ancestor)
        return ancestor in self._content.above[code]

    def children(self, code: str) -> tuple[Mailbox, ...]:
        """Return the mailboxes right below this one, closed ones too."""
        self.get(code)
        return self._content.children[code]

    # ── who goes on with what a closed mailbox had ───────────────────────────────────────────────────────────────────

    def current(self, code: str) -> str:
        """Return who goes on with what a closed mailbox had: its successor, or the successor's; an open mailbox is its own.

        A code that the directory does not have stands for itself.
        """
        return self._content.current.get(code, code)

    # ── what a mailbox has ───────────────────────────────────────────────────────────────────────────────────────────

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

    # ── domains and regions ──────────────────────────────────────────────────────────────────────────────────────────

    def domains(self, parent: str | None = None) -> tuple[Domain, ...]:
        """Return the domains right below ``parent``; without one, those of the first level.

        Raises:
            UnknownDomain: there is no such parent (R3.4).
        """
        if parent is not None:
            self.domain(parent)
        return self._content.subdomains.get(parent, ())

    def all_domains(self) -> tuple[Domain, ...]:
        """Return the domains of every level in the order of the file."""
        return tuple(self._content.domains.values())

    def domain(self, code: str) -> Domain:
        """Return the domain with this code.

        Raises:
            UnknownDomain: there is none (R3.4).
        """
        try:
            return self._content.domains[code]
        except KeyError:
            raise UnknownDomain(code) from None

    def path_of(self, code: str) -> tuple[str, ...]:
        """Return the codes from the first level down to a domain; of one that the directory has no more, its own code (R3.4)."""
        domain = self._content.domains.get(code)
        return (code,) if domain is None else domain.path

    def regions(self) -> tuple[Region, ...]:
        """Return the regions in the order of the file."""
        return tuple(self._content.regions.values())

    def region(self, code: str) -> Region:
        """Return the region with this GB/T 2260 code.

        Raises:
            UnknownRegion: there is none (R3.5).
        """
        try:
            return self._content.regions[code]
        except KeyError:
            raise UnknownRegion(code) from None


class _Content:
    """What a directory has at one version, with every answer worked out beforehand. Never changed."""

    def __init__(
        self, mailboxes: Iterable[Mailbox], domains: Iterable[Domain], regions: Iterable[Region], version: int
    ) -> None:
        self.version = version
        self.mailboxes = {mailbox.code: mailbox for mailbox in mailboxes}
        self.domains = {domain.code: domain for domain in domains}
        self.regions = {region.code: region for region in regions}
        self.mayor = next(mailbox for mailbox in self.mailboxes.values() if mailbox.kind is MailboxKind.MAYOR)
        self.above = {code: tuple(self._ancestors(mailbox)) for code, mailbox in self.mailboxes.items()}
        self.units = {code: self._unit(mailbox) for code, mailbox in self.mailboxes.items()}
        self.current = {code: self._current(mailbox) for code, mailbox in self.mailboxes.items()}
        self.insiders = self._insiders()
        works_in: dict[str, set[str]] = {}
        for mailbox in self.mailboxes.values():
            for subject in subjects_of(mailbox):
                works_in.setdefault(subject, set()).add(mailbox.code)
        self.works_in = {subject: frozenset(codes) for subject, codes in works_in.items()}
        children: dict[str, list[Mailbox]] = {code: [] for code in self.mailboxes}
        for mailbox in self.mailboxes.values():
            if mailbox.parent is not None:
                children[mailbox.parent].append(mailbox)
        self.children = {code: tuple(below) for code, below in children.items()}
        subdomains: dict[str | None, list[Domain]] = {}
        for domain in self.domains.values():
            subdomains.setdefault(domain.parent, []).append(domain)
        self.subdomains = {code: tuple(below) for code, below in subdomains.items()}

    def _ancestors(self, mailbox: Mailbox) -> Iterable[str]:
        while mailbox.parent is not None:
            yield mailbox.parent
            mailbox = self.mailboxes[mailbox.parent]

    @staticmethod
    def _unit(mailbox: Mailbox) -> str:
        return mailbox.parent if mailbox.kind is MailboxKind.DEPARTMENT and mailbox.parent else mailbox.code

    def _current(self, mailbox: Mailbox) -> str:
        while mailbox.closed is not None:
            mailbox = self.mailboxes[mailbox.closed.successor]
        return mailbox.code

    def _insiders(self) -> dict[str, frozenset[str]]:
        """Return unit → all that belongs to it or was merged into it."""
        inside: dict[str, set[str]] = {unit: set() for unit in self.units.values()}
        for code, unit in self.units.items():
            inside[unit].add(code)
            successor = self.units[self.current[code]]
            if successor != self.mayor.code:
                inside[successor].add(code)
        return {unit: frozenset(codes) for unit, codes in inside.items()}
