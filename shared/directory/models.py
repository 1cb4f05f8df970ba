"""What stands in the directory: mailboxes with their staff, domains and regions. All frozen."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.contracts.types import Moment

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$", max_length=80)]


class MailboxKind(StrEnum):
    """What a mailbox is in the tree mayor → units → departments (R1.1)."""

    MAYOR = "mayor"
    DISTRICT = "district"
    GOVERNMENT_DEPARTMENT = "department_of_government"
    PUBLIC_ENTERPRISE = "public_enterprise"
    DEPARTMENT = "department"

    @property
    def label(self) -> str:
        """The Chinese name."""
        return _KIND_LABELS[self]

    @property
    def is_unit(self) -> bool:
        """Whether it is a unit: everything but the mayor's mailbox and the departments inside units."""
        return self not in {MailboxKind.MAYOR, MailboxKind.DEPARTMENT}


_KIND_LABELS = {
    MailboxKind.MAYOR: "市长信箱",
    MailboxKind.DISTRICT: "区县政府",
    MailboxKind.GOVERNMENT_DEPARTMENT: "市级部门",
    MailboxKind.PUBLIC_ENTERPRISE: "公用企业",
    MailboxKind.DEPARTMENT: "内设部门",
}


class Role(StrEnum):
    """What somebody may do at a mailbox (the regulation's "who is who")."""

    CLERK = "clerk"
    HEAD = "head"
    LEADER = "leader"
    DUTY_OFFICER = "duty_officer"
    UNIT_SYSTEM = "unit_system"
    ADMIN = "admin"

    @property
    def label(self) -> str:
        """The Chinese name."""
        return _ROLE_LABELS[self]


_ROLE_LABELS = {
    Role.CLERK: "经办人",
    Role.HEAD: "部门分管负责人",
    Role.LEADER: "单位分管领导",
    Role.DUTY_OFFICER: "市政府值班室人员",
    Role.UNIT_SYSTEM: "单位业务系统",
    Role.ADMIN: "系统管理员",
}


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(_Entry):
    """Somebody with a name and a token subject."""

    name: Text = Field(description="the person's name")
    subject: Subject = Field(description="the `sub` of the person's token")


class Staff(Person):
    """A dedicated staff member of a mailbox (R1.3) and what they may do there."""

    roles: frozenset[Role] = Field(min_length=1)


class NumberPrefix(_Entry):
    """What a mailbox's letter numbers start with (R3.6): 渝府信〔2026〕17号 and YFX-2026-17."""

    chinese: Annotated[str, StringConstraints(pattern=r"^[\u4e00-\u9fff]{2,12}$")]
    ascii: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,12}$")]


class FormerName(_Entry):
    """A name that a mailbox had before."""

    name: Text
    short_name: Text
    until: Moment


class Closed(_Entry):
    """That a mailbox is closed: no new letters go to it."""

    at: Moment
    successor: Code = Field(description="the mailbox that took over whatever it had")


class Mailbox(_Entry):
    """One mailbox: the mayor's, a unit's, or a department's inside a unit (R1.1, R1.3).

    A department inside a unit has no number prefix (letters keep the unit's numbers, R3.8); where it names no
    responsible department or leader of its own, the unit's stand for it.
    """

    code: Code = Field(description="lower-case ASCII slug; the unit's topic is mailbox.<code>")
    name: Text = Field(description="the full Chinese name")
    short_name: Text = Field(description="what lists and slips show")
    kind: MailboxKind
    parent: Code | None = Field(default=None, description="the mailbox above; None only for the mayor's")
    prefix: NumberPrefix | None = None
    responsible_department: Text | None = None
    leader: Person | None = Field(default=None, description="the leader in charge")
    staff: tuple[Staff, ...] = ()
    region: str | None = Field(default=None, description="GB/T 2260 code, for districts and counties")
    former_names: tuple[FormerName, ...] = Field(default=(), description="names it had before, oldest first")
    closed: Closed | None = Field(
        default=None, description="it takes no new letters; its successor goes on with the rest"
    )

    def staff_with(self, role: Role) -> tuple[Staff, ...]:
        """Return the staff who have a role here."""
        return tuple(person for person in self.staff if role in person.roles)


class Domain(_Entry):
    """One entry of the list of domains (R3.4), up to three levels deep."""

    code: str = Field(description="stable id, e.g. `utilities-water`")
    name: str = Field(description="Chinese name of this level, e.g. 供水")
    parent: str | None
    path: tuple[str, ...] = Field(description="codes from the first level to this one")
    label: str = Field(description="Chinese names along the path, e.g. 水电气讯 / 供水")

    @property
    def level(self) -> int:
        """1, 2 or 3."""
        return len(self.path)


class Region(_Entry):
    """A region a letter can be about (R3.5)."""

    code: str = Field(description="six digits, GB/T 2260")
    name: str
