"""What citizens choose from on the page: mailboxes, natures, domains, regions, in the directory's order and in its Chinese names."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.intake.forms import takes_letters
from services.intake.voice import Say, marked
from shared.contracts.types import Nature
from shared.directory import Directory, Mailbox, MailboxKind, Region

_HINTS = {
    Nature.SUGGESTION: marked("对城市建设和公共服务的建议"),
    Nature.HELP: marked("生活中的困难，需要政府帮助解决"),
    Nature.COMPLAINT: marked("对服务质量、办事效率的不满"),
    Nature.REPORT: marked("反映单位或者工作人员的违纪违法和作风问题"),
    Nature.INQUIRY: marked("询问政策、法律和办事程序"),
    Nature.OTHER: marked("以上都不是"),
}
_KINDS = {
    MailboxKind.MAYOR: marked("市长信箱"),
    MailboxKind.DISTRICT: marked("区县政府"),
    MailboxKind.GOVERNMENT_DEPARTMENT: marked("市级部门"),
    MailboxKind.PUBLIC_ENTERPRISE: marked("公用企业"),
}


class Choices(NamedTuple):
    """The lists of the form, in one language."""

    mailboxes: Sequence[tuple[str, Sequence[Mailbox]]]
    """Kind → mailboxes that take letters (R2.1)."""
    reportable: Sequence[tuple[str, Sequence[Mailbox]]]
    """Units that a report may be about; above the mayor's own there is none (R3.3)."""
    natures: Sequence[tuple[Nature, str]]
    """With what each is for."""
    domains: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    """Name of the first level → code and text of what is below it (R3.4)."""
    regions: Sequence[Region]

    @classmethod
    def of(cls, directory: Directory, say: Say) -> "Choices":
        """Return the lists as the directory has them now."""
        open_now = [mailbox for mailbox in directory.mailboxes() if takes_letters(mailbox)]
        below: dict[str, list[tuple[str, str]]] = {}
        for domain in directory.all_domains():
            text = " / ".join(domain.label.split(" / ")[1:])
            first = directory.domain(domain.path[0]).name
            below.setdefault(first, []).append(
                (domain.code, text or say("{domain}（其他）").format(domain=domain.name))
            )
        return cls(
            mailboxes=_by_kind(open_now, say),
            reportable=_by_kind((m for m in open_now if m.kind is not MailboxKind.MAYOR), say),
            natures=[(nature, say(hint)) for nature, hint in _HINTS.items()],
            domains=[(name, [*rest[1:], rest[0]]) for name, rest in below.items()],
            regions=directory.regions(),
        )


def _by_kind(mailboxes: Iterable[Mailbox], say: Say) -> Sequence[tuple[str, Sequence[Mailbox]]]:
    found: dict[MailboxKind, list[Mailbox]] = {kind: [] for kind in _KINDS}
    for mailbox in mailboxes:
        found[mailbox.kind].append(mailbox)
    return [(say(_KINDS[kind]), of_kind) for kind, of_kind in found.items() if of_kind]
