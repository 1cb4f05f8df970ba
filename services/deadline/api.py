"""Deadline over HTTP: the clocks of a mailbox or of one letter, and the live figures (R1.4). Nothing is changed here."""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.deadline import repository, rights
from services.deadline.domain import Condition, Rules, condition, known, limit
from services.deadline.state import Clock, Clocks, Kind, Why
from shared.calendar.zone import business_date
from shared.contracts.reports import keeper, kept_from, untold
from shared.directory import Directory
from shared.messaging.letters import Letters
from shared.security.rights import Relation, Right
from shared.security.tokens import Authenticated, Caller, Role
from shared.web.etag import etag_of
from shared.web.paging import Page, decode_cursor, encode_cursor

_INSTANT = timedelta(milliseconds=1)


class Filter(StrEnum):
    """Which running clocks to list."""

    RUNNING = "running"
    """All of them."""
    DUE_SOON = "due-soon"
    """Not overdue, and within the days before the limit in which the assignee is reminded."""
    OVERDUE = "overdue"


class ClockView(BaseModel):
    """One clock of one letter. All times are UTC."""

    model_config = ConfigDict(frozen=True)

    letter_id: str
    number: str | None = Field(description="e.g. 渝府信〔2026〕17号; none before registration")
    kind: Kind
    label: str = Field(description="the kind in Chinese")
    state: Condition
    mailbox: str = Field(
        description="who must act: the receiving mailbox, the assignee, or whose leader gave the instruction"
    )
    sender: str | None = Field(description="the assigner, for a reply")
    handoff_id: str | None
    parent: str | None = Field(description="the hand-off under which this one was made (R4.2b)")
    instruction_id: str | None
    redo: int = Field(description="how often the reply was sent back (R7.3)")
    extended: int = Field(description="how often more time was granted (R6.4)")
    extension_asked: bool = Field(description="an application for more time waits, which holds off urging (R6.4)")
    started_at: datetime | None = Field(description="for a redo: when the reply was sent back")
    due_at: datetime | None = Field(description="from this moment it is overdue: 24:00 Asia/Shanghai of `last_day`")
    last_day: date | None = Field(description="the last day in time")
    provisional: bool = Field(description="a year without a known State Council schedule was counted")
    working_days_left: int = Field(description="working days left, today included; 0 when overdue")
    working_days_late: int = Field(description="working days begun since the limit; 0 when in time")
    overdue_since: datetime | None
    reminded: bool
    urged: int = Field(description="how many urgings (催办) were due")
    urged_at: datetime | None
    explained_at: datetime | None = Field(description="when progress was last recorded (R7.1)")
    stopped_at: datetime | None


class LetterView(BaseModel):
    """All clocks of one letter, stopped ones too."""

    model_config = ConfigDict(frozen=True)

    letter_id: str
    version: int
    number: str | None
    mailbox: str | None = Field(description="the mailbox that received it")
    clocks: list[ClockView]


class FiguresView(BaseModel):
    """The live figures of one mailbox (R1.4): clocks on which it must act."""

    model_config = ConfigDict(frozen=True)

    mailbox: str
    at: datetime
    unread: int = Field(description="letters not read yet (R3.1)")
    undisposed: int = Field(description="registered letters not disposed of yet")
    replies: int = Field(description="assignments to be answered, redone ones included (R6.1, R7.3)")
    instructions: int = Field(description="leaders' instructions to be reported on (R8.1)")
    running: int = Field(description="all running clocks")
    due_soon: int
    overdue: int
    oldest_since: datetime | None = Field(description="since when the one waits that waits longest")
    oldest_due_at: datetime | None

    @classmethod
    def of(cls, mailbox: str, counted: repository.Figures, now: datetime) -> "FiguresView":
        """Show what was counted."""
        return cls(
            mailbox=mailbox,
            at=now,
            unread=counted.kinds[Kind.READING],
            undisposed=counted.kinds[Kind.DISPOSITION],
            replies=counted.kinds[Kind.REPLY] + counted.kinds[Kind.REDO],
            instructions=counted.kinds[Kind.INSTRUCTION],
            running=counted.running,
            due_soon=counted.due_soon,
            overdue=counted.overdue,
            oldest_since=counted.oldest_since,
            oldest_due_at=counted.oldest_due_at,
        )


def clock_view(state: Clocks, clock: Clock, rules: Rules, now: datetime) -> ClockView:
    """Show a clock as it stands, or as it stood when it stopped."""
    due, stopped = limit(clock, rules), clock.stopped_at
    sent_back = [move.at for move in clock.moves if move.why is Why.SENT_BACK]
    moment = stopped or now
    late = due is not None and due.at <= moment
    days = rules.days_left(moment, due.at) if due is not None else 0
    return ClockView(
        letter_id=state.letter_id,
        number=state.number.text if state.number else None,
        kind=clock.name,
        label=clock.name.label,
        state=condition(clock, rules, now),
        mailbox=clock.mailbox,
        sender=clock.sender or None,
        handoff_id=clock.id if clock.kind is Kind.REPLY else None,
        parent=clock.parent,
        instruction_id=clock.id if clock.kind is Kind.INSTRUCTION else None,
        redo=len(sent_back),
        extended=len(clock.moves) - len(sent_back),
        extension_asked=clock.asked is not None,
        started_at=sent_back[-1] if sent_back else clock.started_at,
        due_at=due.at if due else None,
        last_day=business_date(due.at - _INSTANT) if due else None,
        provisional=due is not None and due.provisional,
        working_days_left=0 if late else max(0, days),
        working_days_late=-min(0, days) if late else 0,
        overdue_since=due.at if due is not None and late else None,
        reminded=clock.reminded_at is not None,
        urged=clock.urged,
        urged_at=clock.urged_at,
        explained_at=clock.explained_at,
        stopped_at=stopped,
    )


def parties(state: Clocks, directory: Directory) -> frozenset[str]:
    """Return the mailboxes that see a letter's clocks (R10.2): for a closed one its successor does, and it no more (R1.1)."""
    return frozenset(keeper(state, code, directory) for code in state.parties)


def router(letters: Letters[Clocks], directory: Directory, rules: Rules) -> APIRouter:
    """Make the routes; staff see their own mailbox, the duty office all of them (R10.2)."""
    api = APIRouter(prefix="/deadline", tags=["deadline"])

    def enter(caller: Caller, code: str, asked: Right) -> None:
        """Check access to a mailbox."""
        asked.check(caller, {Relation.NAMED: (code,)})
        directory.get(code)

    def is_kept_from(state: Clocks, caller: Caller) -> bool:
        """Whether it is a report that the caller, or whoever hears through their system, must never see (architecture rule 4)."""
        is_system = Role.UNIT_SYSTEM in caller.roles
        return kept_from(state, caller.mailbox, caller.subject, directory) or (
            is_system and untold(state, caller.mailbox, directory)
        )

    @api.get("/mailboxes/{code}/clocks", summary="Running clocks of a mailbox, soonest due first")
    async def clocks(
        caller: Authenticated,
        code: Annotated[str, Path(description="code of the mailbox that must act")],
        state: Annotated[Filter, Query(description="which clocks")] = Filter.RUNNING,
        cursor: Annotated[str | None, Query(description="`next` of the page before")] = None,
        limit: Annotated[int, Query(ge=1, le=200, description="clocks on a page")] = 50,
    ) -> Page[ClockView]:
        enter(caller, code, rights.CLOCKS)
        (after,) = decode_cursor(cursor, str) or (None,)
        now = letters.clock.now()
        soon, shown = rules.due_soon(now), list[repository.Listed]()
        while len(shown) <= limit:
            found = await repository.page(
                letters.aggregates, code, Condition(state.value), after, limit + 1, now=now, soon=soon
            )
            shown += [one for one in found if not is_kept_from(one.state, caller)]
            if len(found) <= limit:
                break
            after = found[-1].place
        following = encode_cursor(shown[limit - 1].place) if len(shown) > limit else None
        return Page(items=[clock_view(one.state, one.clock, rules, now) for one in shown[:limit]], next=following)

    @api.get("/mailboxes/{code}/figures", summary="Live figures of a mailbox (R1.4)")
    async def figures(
        caller: Authenticated, code: Annotated[str, Path(description="code of the mailbox that must act")]
    ) -> FiguresView:
        enter(caller, code, rights.FIGURES)
        now = letters.clock.now()
        counted = await repository.figures(
            letters.aggregates, code, now=now, soon=rules.due_soon(now), reader=caller.subject
        )
        return FiguresView.of(code, counted, now)

    @api.get("/mailboxes", summary="Live figures of all mailboxes, for the duty office (R1.4)")
    async def all_figures(caller: Authenticated) -> list[FiguresView]:
        """In the order of the directory; mailboxes on which nothing waits stand there with zeros."""
        rights.ALL_FIGURES.check(caller, {})
        now = letters.clock.now()
        found = await repository.figures_of_all(
            letters.aggregates, now=now, soon=rules.due_soon(now), reader=caller.subject
        )
        codes = dict.fromkeys([mailbox.code for mailbox in directory.open_mailboxes()] + sorted(found))
        return [FiguresView.of(code, found.get(code, repository.NOTHING_RUNS), now) for code in codes]

    @api.get("/letters/{letter_id}", summary="All clocks of one letter")
    async def letter(
        caller: Authenticated, letter_id: Annotated[str, Path(max_length=64)], response: Response
    ) -> LetterView:
        rights.LETTER.check_role(caller)
        stored = await letters.aggregates.get(letter_id)
        state = known(stored.state)
        if is_kept_from(state, caller):
            known(None)
        rights.LETTER.check(caller, {Relation.PARTY: parties(state, directory)})
        response.headers["ETag"] = etag_of(stored.version)
        now = letters.clock.now()
        return LetterView(
            letter_id=letter_id,
            version=stored.version,
            number=state.number.text if state.number else None,
            mailbox=state.mailbox,
            clocks=[clock_view(state, c, rules, now) for c in state.clocks if c.measures and c.started_at is not None],
        )

    return api
