"""Who may ask for what: the shape of the tables `services/<name>/rights.py`, which are the rule, and which `docs/access.md` shows.

A right is a list of grants. A grant lets callers with one of its roles pass who stand in one of its relations to what they ask
about. Whoever has no such role, or stands in no such relation (a stranger unit), is refused. No right reaches a report (举报) about the
caller or their unit: that is checked for each letter (`shared/contracts/reports.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from shared.contracts.types import Labelled
from shared.security.tokens import Caller, Role, forbidden


class Relation(Labelled):
    """How the caller's mailbox stands to what is asked about."""

    ANYBODY = "anybody", "任何人，无须登录"
    """Whoever asks, without a token."""
    EVERYBODY = "everybody", "各信箱"
    """Whoever has a token, of whatever mailbox."""
    NAMED = "named", "所查信箱"
    """The mailbox that the request names."""
    FIRST = "first", "首接单位"
    """The mailbox that received the letter."""
    PARTY = "party", "首接、交办、承办等各方"
    """Whoever received the letter, or handed it on, or got it handed, and keeps a part in it."""
    HOLDER = "holder", "现办理单位"
    """The mailbox that has the letter now."""
    SENDER = "sender", "交出单位"
    """The mailbox that made the slip."""
    RECEIVER = "receiver", "收件单位"
    """The mailbox that the slip names."""
    HANDS = "hands", "经手单位"
    """A mailbox through whose hands the letter is going now."""
    FOLLOWER = "follower", "批示落实单位"
    """The mailbox whose staff follow the instruction."""
    ANSWERER = "answerer", "答复单位"
    """The mailbox that answered the citizen."""
    UNIT = "unit", "所属单位"
    """The unit that a department named by another relation of the row belongs to."""
    DUTY = "duty", "市政府值班室"
    """The duty office, which sees every mailbox (R1.2)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Roles and relations that together suffice."""

    roles: frozenset[Role]
    relations: frozenset[Relation]


@dataclass(frozen=True, slots=True)
class Right:
    """Who may do one thing."""

    rule: str
    what: str
    """What is done, in Chinese and English."""
    grants: tuple[Grant, ...]
    note: str = ""
    """What an auditor should know besides."""

    @property
    def is_public(self) -> bool:
        """Whether no token is needed."""
        return any(Relation.ANYBODY in grant.relations for grant in self.grants)

    def of(self, role: Role) -> list[Relation]:
        """Return the relations in which a role suffices, in the order of `Relation`."""
        held = {one for grant in self.grants if role in grant.roles for one in grant.relations}
        return [one for one in Relation if one in held]

    def check_role(self, caller: Caller) -> None:
        """Check the role alone, where the letter must be read first; `check` follows.

        Raises:
            Problem: 403, no grant is for a role of the caller.
        """
        if not any(caller.roles & grant.roles for grant in self.grants):
            needed = " or ".join(sorted({role for grant in self.grants for role in grant.roles}))
            raise forbidden(f"This needs the role {needed}; the token has: {', '.join(sorted(caller.roles))}.", None)

    def allows(self, caller: Caller, given: Mapping[Relation, Collection[str]]) -> bool:
        """Whether the caller may; `given` says which mailboxes stand in which relation."""
        for grant in self.grants:
            if not caller.roles & grant.roles:
                continue
            if Relation.EVERYBODY in grant.relations:
                return True
            if Relation.DUTY in grant.relations and caller.is_duty_officer:
                return True
            if any(caller.mailbox in given.get(relation, ()) for relation in grant.relations):
                return True
        return False

    def check(self, caller: Caller, given: Mapping[Relation, Collection[str]]) -> None:
        """Check that the caller may.

        Raises:
            Problem: 403, for a wrong role, or for a mailbox that has no part in it (R10.2).
        """
        self.check_role(caller)
        if not self.allows(caller, given):
            raise forbidden(
                f"This belongs to another mailbox than {caller.mailbox}, the one in the token. A unit sees its own letters and those "
                "handed to it; the duty office sees all.",
                "R10.2",
            )


def right(
    rule: str, what: str, *grants: tuple[Collection[Role], Relation | Collection[Relation]], note: str = ""
) -> Right:
    """Make a right of pairs (roles, relations)."""
    made = (
        Grant(frozenset(roles), frozenset((relations,) if isinstance(relations, Relation) else relations))
        for roles, relations in grants
    )
    return Right(rule, what, tuple(made), note)


def public(rule: str, what: str, note: str = "") -> Right:
    """Make a right of everybody, without a token."""
    return right(rule, what, (tuple(Role), Relation.ANYBODY), note=note)
