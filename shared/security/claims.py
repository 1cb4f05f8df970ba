"""From what an identity provider says of somebody to who that is here: subject, mailbox and roles (setting ``ROLES_FILE``).

Two sources, which add up: the directory's staff lists (R1.3), by the person's subject, and the rules of the file, by claims. Values are
compared as they are, exactly: there are no patterns, so that no group is let in because its name resembles another's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError

from shared.directory import Directory, Role
from shared.directory.models import Code, Subject
from shared.web.problems import Problem
from shared.yaml_files import load_yaml

Claim = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Way = Claim | Annotated[list[Claim], Field(min_length=1, max_length=6)]
"""A claim's name, or the way to it: ``[realm_access, roles]``. A dot in a name is a dot."""
_NAME_LENGTH = 100
_SUBJECT: TypeAdapter[str] = TypeAdapter(Subject)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(_Entry):
    """One claim must be this text, or a list that has it."""

    claim: Way
    value: Annotated[StrictStr, Field(alias="is", min_length=1, max_length=500)]


class Rule(_Entry):
    """Whoever meets every condition has these roles at this mailbox."""

    when: tuple[Condition, ...] = Field(min_length=1)
    mailbox: Code
    roles: frozenset[Role] = Field(min_length=1)


class _File(_Entry):
    subject: Way = "sub"
    name: Way = "name"
    directory: bool = True
    rules: tuple[Rule, ...] = ()


class RolesError(ValueError):
    """The mapping file cannot be used; the text lists every problem with what to do."""

    def __init__(self, file: Path | str, problems: Sequence[str]) -> None:
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"The roles file {file} (ROLES_FILE) cannot be used:{lines}")
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Post:
    """What somebody is at one mailbox."""

    mailbox: str
    roles: frozenset[Role]
    listed: bool = False
    """Whether the directory's staff list says so, rather than a claim."""


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whom the provider vouches for, and all that they are here."""

    subject: str
    name: str
    posts: tuple[Post, ...]
    """At least one, in the order of the directory; one for each mailbox and source."""


class NotKnown(Problem):
    """403: the provider vouches for somebody who has no part here; says what to ask for."""

    def __init__(self, reason_zh: str, reason: str) -> None:
        super().__init__(
            403,
            "没有信箱权限 / No mailbox is yours",
            f"您已通过统一身份认证，但{reason_zh}。请联系本单位的系统管理员：在信箱名录中登记您的账号，"
            "或在统一身份认证中把您加入相应的组，然后重新登录。 / "
            f"The identity provider knows you, but {reason}. Ask your administrator to list your account among the staff in the "
            "directory of mailboxes, or to add you to the right group at the identity provider; then sign in again.",
            slug="sign-in-no-mailbox",
            rule="R10.2",
        )


class Roles:
    """The mapping file, checked.

    Args:
        file: where it is.
        directory: the live directory of mailboxes.

    Raises:
        RolesError: it is wrong by itself; `unknown_mailboxes` says what the directory does not have.
    """

    def __init__(self, file: Path, directory: Directory) -> None:
        self._file = file
        self._directory = directory
        self._content = _read(file)

    @property
    def subject_claim(self) -> str:
        """Which claim is the subject, for messages."""
        return shown(self._content.subject)

    def check_mailboxes(self) -> None:
        """Check the rules against the directory, once that is known with its changes.

        Raises:
            RolesError: a mailbox is not there, or a role is not for it.
        """
        problems = []
        for number, rule in enumerate(self._content.rules, start=1):
            if rule.mailbox not in self._directory:
                problems.append(
                    f"rule {number}: the directory has no mailbox {rule.mailbox}; correct the code or take the rule out"
                )
            elif Role.DUTY_OFFICER in rule.roles and rule.mailbox != self._directory.mayor.code:
                problems.append(
                    f"rule {number}: duty_officer at {rule.mailbox}; only the mayor's mailbox {self._directory.mayor.code} has duty "
                    "officers (R1.2)"
                )
        if problems:
            raise RolesError(self._file, problems)

    def known(self, claims: Mapping[str, Any]) -> Known:
        """Return who that is here.

        A token without the subject's claim is a machine's: only rules that give `unit_system` count for it, and its ``sub`` names it.

        Raises:
            NotKnown: 403, nobody; with what to ask for.
        """
        subject = _text(claims, self._content.subject)
        machine = subject is None
        if machine:
            subject = _text(claims, "sub")
        if subject is None or not _is_subject(subject):
            raise NotKnown(
                f"登录信息中的账号（{self.subject_claim}）缺失或不可用",
                f"the claim {self.subject_claim}, your account here, is missing or has characters beside letters, digits and . _ @ -",
            )
        posts = list(self._by_rules(claims, machine=machine))
        if not machine:
            posts = [*self.listed_now(subject), *posts]
        if not posts:
            raise NotKnown(
                f"账号 {subject} 不在任何信箱的工作人员名单中，所属的组也没有对应的信箱",
                f"no mailbox lists the account {subject} among its staff, and none of its groups belongs to a mailbox",
            )
        name = _text(claims, self._content.name) or self._listed_name(subject)
        name = "".join(character for character in name if character.isprintable())[:_NAME_LENGTH]
        return Known(subject, name, tuple(posts))

    def listed_now(self, subject: str) -> Iterator[Post]:
        """Yield what `listed` does, if the file says that the staff lists count."""
        return self.listed(subject) if self._content.directory else iter(())

    def listed(self, subject: str) -> Iterator[Post]:
        """Yield what the directory's staff lists say of a subject now (R1.3): in open mailboxes, spelled exactly so."""
        for code in sorted(self._directory.works_in(subject)):
            mailbox = self._directory.get(code)
            if mailbox.closed is not None:
                continue
            roles = {role for person in mailbox.staff if person.subject == subject for role in person.roles}
            if mailbox.leader is not None and mailbox.leader.subject == subject:
                roles.add(Role.LEADER)
            if roles:
                yield Post(code, frozenset(roles), listed=True)

    def _listed_name(self, subject: str) -> str:
        people = (
            person
            for code in self._directory.works_in(subject)
            for mailbox in (self._directory.get(code),)
            for person in (*mailbox.staff, *((mailbox.leader,) if mailbox.leader is not None else ()))
        )
        return next((person.name for person in people if person.subject == subject), "")

    def is_open(self, mailbox: str) -> bool:
        """Whether the mailbox is there and not closed."""
        return mailbox in self._directory and self._directory.get(mailbox).closed is None

    def title(self, mailbox: str) -> str:
        """Return what a mailbox is called."""
        return self._directory.get(mailbox).name if mailbox in self._directory else mailbox

    def _by_rules(self, claims: Mapping[str, Any], *, machine: bool) -> Iterator[Post]:
        found: dict[str, frozenset[Role]] = {}
        for rule in self._content.rules:
            is_system = Role.UNIT_SYSTEM in rule.roles
            if (machine and not is_system) or not self.is_open(rule.mailbox):
                continue
            if all(_holds(claims, condition) for condition in rule.when):
                found[rule.mailbox] = found.get(rule.mailbox, frozenset()) | rule.roles
        for mailbox, roles in found.items():
            yield Post(mailbox, roles)


def shown(path: str | Sequence[str]) -> str:
    """Return a claim's path as people read it."""
    return path if isinstance(path, str) else " → ".join(path)


def _value(claims: Mapping[str, Any], path: str | Sequence[str]) -> Any:
    """Return what is at the path, or None. An address that the provider has not verified is none: people can write any there."""
    if path in ("email", ["email"]) and claims.get("email_verified") is not True:
        return None
    found: Any = claims
    for step in (path,) if isinstance(path, str) else path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(step)
    return found


def _text(claims: Mapping[str, Any], path: str | Sequence[str]) -> str | None:
    found = _value(claims, path)
    return found if isinstance(found, str) and found else None


def _holds(claims: Mapping[str, Any], condition: Condition) -> bool:
    found = _value(claims, condition.claim)
    if isinstance(found, list):
        return any(isinstance(one, str) and one == condition.value for one in found)
    return isinstance(found, str) and found == condition.value


def _is_subject(text: str) -> bool:
    try:
        _SUBJECT.validate_python(text)
    except ValidationError:
        return False
    return True


def _read(file: Path) -> _File:
    try:
        content = load_yaml(file)
    except OSError as error:
        raise RolesError(
            file, [f"it cannot be read: {error.strerror}; deploy/sample/roles.yaml is an example"]
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise RolesError(file, [f"it is not YAML in UTF-8 ({error}); deploy/sample/roles.yaml is an example"]) from None
    try:
        read = _File.model_validate(content)
    except ValidationError as error:
        raise RolesError(file, [_told(detail) for detail in error.errors(include_url=False)]) from None
    problems = list(_contradictions(read))
    if problems:
        raise RolesError(file, problems)
    return read


def _contradictions(read: _File) -> Iterator[str]:
    if not read.directory and not read.rules:
        yield "directory is false and there are no rules: nobody could ever sign in; add rules or set directory: true"
    seen: dict[Any, int] = {}
    for number, rule in enumerate(read.rules, start=1):
        if Role.UNIT_SYSTEM in rule.roles and len(rule.roles) > 1:
            yield f"rule {number}: unit_system together with roles of people; make two rules, that role is for machines"
        for condition in rule.when:
            if "*" in condition.value:
                yield (
                    f"rule {number}: {condition.value!r} looks like a pattern; values are compared exactly, so write a rule for each group"
                )
        first = seen.setdefault(rule.model_dump_json(), number)
        if first != number:
            yield f"rule {number} is the same as rule {first}; take one out"


def _told(detail: Mapping[str, Any]) -> str:
    place = list(detail["loc"])
    if not place:
        return "it must hold subject, name, directory and rules; deploy/sample/roles.yaml is an example"
    where = str(place[0])
    if len(place) > 1 and place[0] == "rules" and isinstance(place[1], int):
        where = ": ".join([f"rule {place[1] + 1}", ".".join(str(part) for part in place[2:])]).removesuffix(": ")
    if detail["type"] == "missing":
        return f"{where} is missing; a rule has when (a list of claim and is), mailbox and roles"
    if detail["type"] == "extra_forbidden":
        return f"{where} is not known here; a rule has when, mailbox and roles, the file subject, name, directory and rules"
    if "roles" in place:
        return f"{where}: there is no such role; there are {', '.join(Role)}"
    return f"{where}: {detail['msg']}"
