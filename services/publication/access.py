"""Who may see and decide publication cases (R9.1, R10.2)."""

from dataclasses import dataclass

from services.publication.domain import Case, known
from shared.contracts.errors import Forbidden, NotFound
from shared.directory import Directory
from shared.security.tokens import Caller, Role, require

STAFF = (Role.CLERK, Role.HEAD, Role.LEADER, Role.DUTY_OFFICER)
PREPARERS = (Role.CLERK, Role.DUTY_OFFICER)
APPROVERS = (Role.HEAD, Role.LEADER)


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
        require(caller, roles=STAFF)
        case = known(None if state is None or self.hidden(caller, state) else state)
        today = [self.acting(case, mailbox) for mailbox in case.mailboxes]
        require(caller, mailbox=[code for mailbox in today for code in (mailbox, self._unit(mailbox))])
        return case

    def hidden(self, caller: Caller, case: Case) -> bool:
        """Whether the letter is a report about the caller's mailbox or the unit that it belongs to."""
        return case.reported_mailbox in self.directory.same_unit(caller.mailbox)

    def acting(self, case: Case, mailbox: str) -> str:
        """Return whose staff act for a mailbox on this letter: for a closed one its successor's (R1.1)."""
        return self.directory.acting_for(mailbox, case.reported_mailbox)

    def may_list(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may list a mailbox's cases; raises NotFound for an unknown mailbox, else as `seen`."""
        require(caller, roles=STAFF)
        if mailbox not in self.directory:
            raise NotFound("R2.1", "没有这个信箱 / There is no such mailbox in the directory")
        require(caller, mailbox=(mailbox, self._unit(mailbox)))

    def may_prepare(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may prepare: a clerk of the mailbox that answered, or the duty office."""
        require(caller, roles=PREPARERS, mailbox=mailbox)

    def may_decide(self, caller: Caller, mailbox: str) -> None:
        """Check that the caller may approve or withhold: that mailbox's head in charge or its unit's leader in charge (R9.1).

        Raises:
            Forbidden: they are of another mailbox; here the duty office is no exception.
            Problem: 403 for a wrong role.
        """
        require(caller, roles=APPROVERS)
        is_leader = Role.LEADER in caller.roles
        if caller.mailbox != mailbox and not (is_leader and caller.mailbox == self._unit(mailbox)):
            raise Forbidden(
                "R9.1",
                "公开须由答复单位的部门分管负责人或单位分管领导审批 / "
                "Only the head or leader in charge of the mailbox that answered may decide on publication",
            )

    def _unit(self, mailbox: str) -> str:
        return self.directory.unit_of(mailbox).code if mailbox in self.directory else mailbox
