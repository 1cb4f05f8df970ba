"""Routes of the directory of mailboxes: staff read it, the duty office changes it (R1.1–R1.3)."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from services.routing import rights
from services.routing.desk import IfMatch
from services.routing.office import Office
from services.routing.views import View
from shared.contracts.directory import DirectoryFact
from shared.contracts.types import Actor, Moment
from shared.directory import Directory, DirectoryError, DirectoryProblem, Mailbox, MailboxKind, Staff
from shared.directory.changes import Change, add, alter, close
from shared.directory.models import Closed, FormerName, NumberPrefix, Person
from shared.messaging.kafka import NOT_SENT
from shared.messaging.topics import TopicsRefused
from shared.security.tokens import Authenticated, Caller
from shared.web.documented import also
from shared.web.etag import etag_of, expected_version
from shared.web.problems import FieldError, Problem, ServiceUnavailable

Code = Annotated[str, Path(max_length=80)]
Decide = Callable[[Directory, Change], Sequence[DirectoryFact]]

_CHINESE = {
    "R1.1": "信箱的代码、上级、种类须符合名录的树形结构",
    "R1.2": "值班人员只设在市长信箱",
    "R1.3": "须写明责任部门、分管领导和专职人员",
    "R1.4": "市长信箱须有值班人员",
    "R2.1": "须是名录中的信箱",
    "R3.5": "区县信箱须有自己的区划代码，其他信箱没有",
    "R3.6": "编号前缀不得缺少，也不得与任何信箱（包括已撤并的）重复",
    "R3.8": "编号前缀永不更改；内设部门没有前缀",
    "R4.2b": "内设部门撤并后由本单位承接",
    "R10.1": "须说明理由，以备查考",
}
"""Rule → what it asks of an entry."""


class AddIn(BaseModel):
    """A new mailbox."""

    entry: dict[str, Any] = Field(
        description="the whole entry, with the fields of the directory's file",
        examples=[
            {
                "code": "east-lake",
                "name": "东湖新区管理委员会",
                "short_name": "东湖新区",
                "kind": "department_of_government",
                "parent": "mayor",
                "prefix": {"chinese": "渝东信", "ascii": "YDHX"},
                "responsible_department": "管委会办公室",
                "leader": {"name": "戊主任", "subject": "east-lake-leader"},
                "staff": [
                    {"name": "戊经办", "subject": "east-lake-clerk", "roles": ["clerk"]},
                    {"name": "戊负责", "subject": "east-lake-head", "roles": ["head"]},
                ],
            }
        ],
    )
    reason: str = Field(
        default="", max_length=2_000, description="required: why, for the record", examples=["新设机构"]
    )


class ChangeIn(BaseModel):
    """What shall be different in an entry."""

    entry: dict[str, Any] = Field(
        description="the fields that change; staff is given whole",
        examples=[{"name": "重庆市教育局", "short_name": "市教育局"}],
    )
    reason: str = Field(default="", max_length=2_000, description="required: why, for the record", examples=["更名"])


class CloseIn(BaseModel):
    """Who goes on with what a closed mailbox had."""

    successor: str | None = Field(
        default=None,
        max_length=80,
        description="code of the mailbox it is merged into; none: the mailbox above takes over",
        examples=["education"],
    )
    reason: str = Field(
        default="", max_length=2_000, description="required: why, for the record", examples=["机构合并"]
    )


class MailboxView(View):
    """A mailbox of the directory."""

    code: str
    name: str
    short_name: str
    kind: MailboxKind
    kind_label: str
    parent: str | None
    prefix: NumberPrefix | None
    responsible_department: str | None
    leader: Person | None = Field(description="the leader in charge; units' systems do not see people")
    staff: list[Staff] | None = Field(description="dedicated staff; units' systems do not see people")
    region: str | None
    former_names: list[FormerName]
    closed: Closed | None
    current: str = Field(description="who goes on with its letters: itself unless it is closed")


class DirectoryView(View):
    """The directory: the mayor's mailbox, units and departments, each naming the one above."""

    version: int = Field(description="how many changes were made while running; the ETag")
    mailboxes: list[MailboxView]


class ChangedView(View):
    """The outcome of a change."""

    version: int
    in_effect: bool = Field(description="false (202): it is stored and takes effect once Kafka has taken it")
    mailbox: MailboxView


class HistoryLine(View):
    """One change of a mailbox."""

    what: str = Field(description="MailboxAdded, MailboxChanged or MailboxClosed")
    directory_version: int
    at: Moment
    by: Actor
    reason: str
    name: str = Field(description="its name from then on")
    short_name: str
    changed: list[str] = Field(default=[], description="fields that changed")
    successor: str | None = None


def add_routes(router: APIRouter, office: Office) -> None:
    """Add the routes."""
    tree = office.changes.directory

    def view(mailbox: Mailbox, whole: Directory, caller: Caller) -> MailboxView:
        shown = mailbox.model_dump(exclude={"staff", "leader"})
        people = not caller.roles.isdisjoint(rights.STAFF)
        return MailboxView(
            **shown,
            kind_label=mailbox.kind.label,
            leader=mailbox.leader if people else None,
            staff=list(mailbox.staff) if people else None,
            current=whole.current(mailbox.code),
        )

    async def changed(
        caller: Caller, response: Response, code: str, reason: str, if_match: str | None, decide: Decide
    ) -> ChangedView:
        """Make a change; 202 where it waits for Kafka."""
        by = Actor(subject=caller.subject, name=caller.name, mailbox=caller.mailbox)

        def decided(now: Directory, at: datetime) -> Sequence[DirectoryFact]:
            return decide(now, Change(by=by, at=at, reason=reason))

        try:
            outcome = await office.change(decided, expected_version(if_match))
        except DirectoryError as error:
            raise _refused(error) from error
        except (*NOT_SENT, TopicsRefused) as error:
            raise ServiceUnavailable("Kafka (the topics of the new mailbox)") from error
        if not outcome.in_effect:
            response.status_code = 202
        response.headers["ETag"] = etag_of(outcome.directory.version)
        return ChangedView(
            version=outcome.directory.version,
            in_effect=outcome.in_effect,
            mailbox=view(outcome.directory.get(code), outcome.directory, caller),
        )

    @router.get("/directory", summary="信箱名录 The directory of mailboxes (R1.1)")
    async def whole(caller: Authenticated, response: Response) -> DirectoryView:
        """All mailboxes, closed ones too. The ETag is needed to change an entry."""
        rights.DIRECTORY.check(caller, {})
        response.headers["ETag"] = etag_of(tree.version)
        return DirectoryView(version=tree.version, mailboxes=[view(m, tree, caller) for m in tree.mailboxes()])

    @router.get("/directory/mailboxes/{code}", summary="一个信箱 One mailbox of the directory")
    async def one(caller: Authenticated, code: Code, response: Response) -> MailboxView:
        """With its former names; a closed one says who goes on."""
        rights.DIRECTORY.check(caller, {})
        response.headers["ETag"] = etag_of(tree.version)
        return view(tree.get(code), tree, caller)

    @router.get("/directory/mailboxes/{code}/history", summary="变更记录 The changes of a mailbox (R10.1)")
    async def history(caller: Authenticated, code: Code) -> list[HistoryLine]:
        """Who changed what, when and why, newest first; empty for an entry that is as the file has it."""
        rights.DIRECTORY_HISTORY.check(caller, {})
        tree.get(code)
        return [HistoryLine(**change) for change in reversed(office.changes.live.history(code))]

    @router.post("/directory/mailboxes", status_code=201, responses=SOON, summary="增设信箱 Add a mailbox (R1.1)")
    async def added(caller: Authenticated, new: AddIn, response: Response) -> ChangedView:
        """For the duty office. Its topics are there when this returns, and letters can be sent to it; every problem is listed (R1.3)."""
        rights.ADD_MAILBOX.check(caller, {})
        code = str(new.entry.get("code"))
        return await changed(caller, response, code, new.reason, None, lambda now, why: add(now, new.entry, why))

    @router.patch(
        "/directory/mailboxes/{code}",
        responses=also(428),
        summary="变更信箱 Rename a mailbox, change its staff … (R1.3)",
    )
    async def altered(
        caller: Authenticated, code: Code, new: ChangeIn, response: Response, if_match: IfMatch = None
    ) -> ChangedView:
        """For the duty office, with the ETag that was read. Code and prefix never change (R3.8)."""
        rights.CHANGE_MAILBOX.check(caller, {})
        expected_version(if_match, required=True)
        return await changed(
            caller, response, code, new.reason, if_match, lambda now, why: alter(now, code, new.entry, why)
        )

    @router.post(
        "/directory/mailboxes/{code}/close",
        responses=SOON | also(428),
        summary="撤并信箱 Close or merge a mailbox (R1.1)",
    )
    async def closed(
        caller: Authenticated, code: Code, end: CloseIn, response: Response, if_match: IfMatch = None
    ) -> ChangedView:
        """For the duty office, with the ETag that was read. Its departments are closed with it; its letters go on with the successor."""
        rights.CLOSE_MAILBOX.check(caller, {})
        expected_version(if_match, required=True)
        return await changed(
            caller, response, code, end.reason, if_match, lambda now, why: close(now, code, end.successor, why)
        )


SOON: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": ChangedView, "description": "It is decided; this process does not know of it yet"}
}


def _refused(error: DirectoryError) -> Problem:
    return Problem(
        422,
        "名录变更未被接受 / The change of the directory is refused",
        f"{len(error.problems)} 处不符合规定，见 errors / Correct what is listed under 'errors' and send it again.",
        slug="directory-refused",
        rule=error.problems[0].rule if error.problems else None,
        errors=[_field_error(problem) for problem in error.problems],
    )


def _field_error(problem: DirectoryProblem) -> FieldError:
    """Point to the field that the problem names, if it names one."""
    place = re.match(r"[a-z_]+(?:\.\w+)*", problem.wrong)
    named = [name for name in Mailbox.model_fields if re.search(rf"\b{name}\b", problem.wrong)]
    if place is not None and place[0].partition(".")[0] in Mailbox.model_fields:
        pointer = "/entry/" + place[0].replace(".", "/")
    elif "reason" in problem.wrong:
        pointer = "/reason"
    elif "successor" in problem.wrong:
        pointer = "/successor"
    else:
        pointer = f"/entry/{named[0]}" if named else "/entry"
    return FieldError(
        pointer, f"{problem.where}：{_CHINESE.get(problem.rule, '不符合规定')}", str(problem), problem.rule
    )
