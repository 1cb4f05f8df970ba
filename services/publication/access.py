"""Who may see and decide publication cases (R9.1, R10.2)."""

from dataclasses import dataclass

from services.publication import rights
from services.publication.domain import Case, known
from shared.contracts.errors import Forbidden, NotFound
from shared.contracts.reports import keeper, kept_from
from shared.directory import Directory
from shared.security.rights import Relation, Right
from shared.security.tokens import Caller


@dataclass(frozen=True, slots=True)
class Access:
    """Answers by the directory's tree: a department's letters are also its unit's."""

    directory: Directory

    def seen(self, caller: Caller, state: Case | None) -> Case:
        """Return the case if the caller may see it.

        Raises:
            NotFound: there is none, or it is a report about the caller's mailbox or unit.
            Problem: 403 for a wrong role or mailbox.
        """
        rights.CASE.check_role(caller)
        case = known(None if state is None or self.hidden(caller, state) else state)
        own = {keeper(case, mailbox, self.directory) for mailbox in case.mailboxes}
        rights.CASE.check(caller, {Relation.PARTY: own, Relation.UNIT: {self._unit(mailbox) for mailbox in own}})
        return case

    def hidden(self, caller: Caller, case: Case) -> bool:
        """Whether the letter is a report about the caller, their mailbox or the unit that it belongs to."""
        return kept_from(case, caller.mailbox, caller.subject, self.directory)

    def acting(self, case: Case, mailbox: str) -> str:
        """Return whose staff act for a mailbox on this letter: a closed one's successor (R1.1), a reported one's mailbox above."""
        return keeper(case, mailbox, self.directory)

    def may_list(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may list a mailbox's cases; raises NotFound for an unknown mailbox, else as `seen`."""
        rights.LIST.check_role(caller)
        if mailbox not in self.directory:
            raise NotFound("R2.1", "没有这个信箱 / There is no such mailbox in the directory")
        rights.LIST.check(caller, {Relation.NAMED: (mailbox,), Relation.UNIT: (self._unit(mailbox),)})

    def may_see_notices(self, caller: Caller, mailbox: str | None) -> None:
        """Check that the caller may see what stood on the board of a mailbox, or, for None, of all; raises as `may_list`."""
        rights.NOTICES.check_role(caller)
        if mailbox is None:
            rights.NOTICES.check(caller, {})
        elif mailbox not in self.directory:
            raise NotFound("R2.1", "没有这个信箱 / There is no such mailbox in the directory")
        else:
            rights.NOTICES.check(caller, {Relation.NAMED: (mailbox,), Relation.UNIT: (self._unit(mailbox),)})

    def may_prepare(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may prepare: a clerk of the mailbox that answered, or the duty office."""
        rights.PREPARE.check(caller, {Relation.ANSWERER: (mailbox,)})

    def may_attach(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may upload and remove files: as `may_prepare`."""
        rights.ATTACH.check(caller, {Relation.ANSWERER: (mailbox,)})

    def may_decide(self, caller: Caller, mailbox: str, asked: Right) -> None:
        """Check that the caller may approve, withhold or withdraw: that mailbox's head in charge or its unit's leader in charge (R9.1).

        Raises:
            Forbidden: they are of another mailbox; here the duty office is no exception.
            Problem: 403 for a wrong role.
        """
        asked.check_role(caller)
        if not asked.allows(caller, {Relation.ANSWERER: (mailbox,), Relation.UNIT: (self._unit(mailbox),)}):
            raise Forbidden(
                "R9.1",
                "公开须由答复单位的部门分管负责人或单位分管领导审批 / "
                "Only the head or leader in charge of the mailbox that answered may decide on publication",
            )

    def _unit(self, mailbox: str) -> str:
        return self.directory.unit_of(mailbox).code if mailbox in self.directory else mailbox
