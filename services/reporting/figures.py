"""The figures (R10.4, R11.2), each defined once: in words in `Figure`, in code in `tallies`.

A row says by itself in which cells it counts, and as what: its *tallies*. A cell is one mailbox on one day (Asia/Shanghai); it is the
number of equal tallies of all rows. Figures of a period are the sum of its cells. Nothing is ever added to a stored number, so whatever
arrives twice or again counts once (architecture rule 10).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple, Self, TypeAlias

from services.reporting.domain import Handoff, Row
from shared.calendar.zone import business_date
from shared.contracts.types import Way


class Side(StrEnum):
    """From which side a cell counts: what its mailbox received, what it handed out, what was handed to it."""

    LETTERS = "letters"
    """Letters that citizens wrote to the mailbox, whoever handles them (R3.8); of dispositions, those that it made."""
    ASSIGNED = "assigned"
    """Assignments that the mailbox sent; counted per assignee."""
    UNDERTAKEN = "undertaken"
    """Assignments that the mailbox got; counted per assigner."""


class Figure(StrEnum):
    """What is counted, under its Chinese name, and by which moment it falls into a period, in Chinese and in English.

    A period is whole days in Asia/Shanghai, a week from Monday 00:00 to Sunday 24:00 (R10.4). Figures of letters are for the mailbox that
    received them first, whoever handles them; those of assignments for both ends. A report (举报) counts nowhere in the figures of the unit
    that it is about, but in those of the mailbox above it (see `domain.apart`).
    """

    label: str
    meaning: str
    """The definition in Chinese, as pages and bulletins print it."""
    english: str
    """The same in English."""

    def __new__(cls, value: str, label: str, meaning: str, english: str) -> Self:
        """Make a member from its code, its Chinese name and its definition in two languages."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        member.meaning = meaning
        member.english = english
        return member

    # ── of letters ───────────────────────────────────────────────────────────────────────────────────────────────────
    RECEIVED = (
        "received",
        "收到来信",
        "市民写给本信箱的来信，按收到时间计入",
        "Letters received, by the moment of receipt.",
    )
    NATURE = (
        "nature",
        "按性质",
        "收到来信按性质分类，以工作人员校正后的分类为准，按收到时间计入",
        "Of those received, how many of each nature, as corrected by staff (R3.2).",
    )
    DOMAIN = (
        "domain",
        "按领域",
        "收到来信按领域分类，以工作人员校正后的分类为准，按收到时间计入",
        "Of those received, how many of each domain, as corrected by staff (R3.2).",
    )
    REGION = (
        "region",
        "按地区",
        "收到来信按所涉区县分类，以工作人员校正后的分类为准，按收到时间计入",
        "Of those received, how many about each region, as corrected by staff (R3.2).",
    )
    READ_LATE = (
        "read_late",
        "未按时阅看",
        "到阅看期限（日积日清）仍未阅看的来信，按期限的最后一日计入",
        "Letters unread at the end of their reading day (R3.1), by that day.",
    )
    REGISTERED = (
        "registered",
        "登记",
        "受理并登记编号的来信，按登记时间计入",
        "Letters registered (R3.6), by the moment of registration.",
    )
    DISCARDED = (
        "discarded",
        "不予受理",
        "不属受理范围的来信，按处理时间计入，并按五类原因分列",
        "Letters not accepted, per reason (R3.0), by the moment of that decision.",
    )
    NOTED = (
        "noted",
        "掌握",
        "存档掌握、不编号的来信，按处理时间计入",
        "Letters archived for reference (R3.7), by the moment of that decision.",
    )
    DISPOSED = (
        "disposed",
        "立项处理",
        "本信箱经批准发出的处理单、交办单、转阅单、呈办单，按发出时间计入，并按方式分列；同一来信可有多张；退回或撤回的也计入",
        "Slips that this mailbox sent after approval, per way (R4.1-R4.4), by the moment of sending; those returned or withdrawn too.",
    )
    ANSWERED = (
        "answered",
        "答复来信人",
        "来信人已得到答复的来信，按首次答复时间计入",
        "Letters whose citizen has an answer (R8.3), by the moment of the first one.",
    )
    FINISHED = (
        "finished",
        "办结",
        "已答复来信人、不予受理或存档掌握的来信，按其中最早的时间计入",
        "Letters answered, not accepted or noted, by the first of these moments.",
    )
    OPEN_LETTERS = (
        "open_letters",
        "期末未办结",
        "期末时已收到而尚未办结的来信，不论何时收到",
        "Letters received and not finished at the end of the period, whenever they were received.",
    )
    ANSWER_DAYS = (
        "answer_days",
        "答复用时",
        "从收到来信到首次答复来信人的工作日数（收到当日不计），按首次答复时间计入，列平均数和中位数",
        "Working days from the day of receipt (not counted) to the citizen's first answer, by the moment of that; as mean and median.",
    )
    PUBLISHED = (
        "published",
        "公示",
        "已在网上公示的来信，按首次公示时间计入",
        "Letters published (R9.1), by the moment of the first publication.",
    )
    WITHHELD = (
        "withheld",
        "不予公示",
        "经审核不予公示（含来信人不同意公示）的来信，按决定时间计入",
        "Letters withheld from publication (R9.1, or without consent: R2.2), by the moment of the first such decision.",
    )

    # ── of assignments ───────────────────────────────────────────────────────────────────────────────────────────────
    ASSIGNED = (
        "assigned",
        "交办",
        "经批准发出的交办件，按发出时间计入",
        "Assignments sent (R4.2), by the moment of sending.",
    )
    COLLECTED = (
        "collected",
        "签收",
        "承办单位已签收的交办件，按签收时间计入",
        "Assignments signed for (R6.3), by the moment of signing.",
    )
    ANSWERED_IN_TIME = (
        "answered_in_time",
        "按时回复",
        "在期限最后一日24时之前回复（经承办单位负责人批准，或来信人此前已得到答复）的交办件，按回复时间计入；退办后重新回复的另计",
        "Replies before 24:00 of the last day (R6.1), by the moment of approval or, if first, of the citizen's answer; a redo counts anew.",
    )
    ANSWERED_LATE = (
        "answered_late",
        "逾期回复",
        "超过期限后才回复的交办件，按回复时间计入；退办后重新回复的另计",
        "Replies that came later than that, by the same moment; a redo counts once more (R7.3).",
    )
    BECAME_OVERDUE = (
        "became_overdue",
        "新增逾期",
        "到期限仍未回复的交办件，按期限的最后一日计入；已退回或撤回的不计，此前计入的也改为不计",
        "Limits that passed without a reply, by their last day; not of what was returned or withdrawn (R5.1), even if that came later.",
    )
    EXTENDED = (
        "extended",
        "延期",
        "同意（含部分同意）延期的申请，按决定时间计入；同一件可多次延期",
        "Applications for more time that were granted, in whole or in part (R6.4), by the moment of that decision.",
    )
    URGED = (
        "urged",
        "催办次数",
        "发出的催办单，按发出时间计入；同一件可多次催办",
        "Urging slips sent (R7.1), by the moment of sending; one assignment may have several.",
    )
    SENT_BACK = (
        "sent_back",
        "退办次数",
        "回复不符合要求而退办的次数，按退办时间计入；同一件可多次退办",
        "Replies sent back to be done again (R7.3), by that moment; one assignment may have several.",
    )
    RETURNED = (
        "returned",
        "退件",
        "承办单位认为不属其职责而退回的交办件，按退回时间计入",
        "Assignments returned by the assignee (R5.1), by that moment.",
    )
    WITHDRAWN = (
        "withdrawn",
        "撤回",
        "签收前由交办单位撤回的交办件，按撤回时间计入",
        "Assignments taken back by the assigner before they were collected, by that moment.",
    )
    REPLY_DAYS = (
        "reply_days",
        "回复用时",
        "从发出交办件到首次回复的工作日数（发出当日不计），按首次回复时间计入，列平均数和中位数",
        "Working days from sending, the day of which is not counted, to the first reply, by the moment of the reply; as mean and median.",
    )
    OPEN = (
        "open",
        "期末在办",
        "期末时已发出（或退办）而尚未回复的交办件，不含已退回或撤回的，不论何时发出",
        "Assignments that were sent or sent back and had no reply at the end of the period, without those returned or withdrawn.",
    )
    OVERDUE = (
        "overdue",
        "期末逾期未复",
        "期末时期限已过而尚未回复的交办件",
        "Assignments whose limit had passed and which had no reply at the end of the period, whenever they were sent.",
    )
    TIMELINESS = (
        "timeliness",
        "按时率",
        "按时回复占应回复的比例：按时回复÷（按时回复＋新增逾期）；单位按此排名，比例相同的并列，没有应回复的不排名",
        "Answered in time / (answered in time + became overdue). Units are ranked by it; equal ones share a rank; nothing due: no rank.",
    )


BY_CODE: Final = {figure.value: figure for figure in Figure}
TAKEN: Final = frozenset({Figure.ANSWER_DAYS, Figure.REPLY_DAYS})
"""Times taken: a cell keeps the day on which each began; how many working days that makes is counted when figures are read."""


class Tally(NamedTuple):
    """One count of one row: where, and as what."""

    cell: str
    side: Side
    figure: Figure
    key: str = ""
    """Nature, domain, region, reason, way, or the mailbox at the other end; of a time taken, the day on which it began; else empty."""


Count: TypeAlias = tuple[Side, Figure, str]
Counts: TypeAlias = Counter[Count]
"""(side, figure, key) → how many: the content of a cell, or of several added up."""


def cell_key(mailbox: str, day: date) -> str:
    """Return the key of a cell, e.g. `mayor|2026-02-09`."""
    return f"{mailbox}|{day.isoformat()}"


@lru_cache(maxsize=8192)
def _day_of_hour(year: int, month: int, day: int, hour: int) -> str:
    return business_date(datetime(year, month, day, hour, tzinfo=UTC)).isoformat()


def _day(moment: datetime) -> str:
    """Return the day on which a moment falls; days begin on the hour, so its hour in UTC says it, and costs less than a conversion."""
    if moment.utcoffset():
        moment = moment.astimezone(UTC)
    return _day_of_hour(moment.year, moment.month, moment.day, moment.hour)


def _on(mailbox: str, moment: datetime) -> str:
    return f"{mailbox}|{_day(moment)}"


def _until(mailbox: str, due: datetime) -> str:
    """Return the cell of a limit's last day: a due moment is 24:00 of that day, which is 0:00 of the next."""
    return _on(mailbox, due - timedelta(milliseconds=1))


def tallies(row: Row) -> list[Tally]:
    """Return where a letter counts, and as what: every figure's definition in code, but for those that follow from others at the end of
    a period (`OPEN`, `OPEN_LETTERS`, `OVERDUE`) or are a share of others (`TIMELINESS`), see `summing.py`.
    """
    found = list(_of_letter(row)) if row.mailbox else []
    for handoff in row.handoffs.values():
        found.extend(_of_handoff(handoff))
    return found


def _of_letter(row: Row) -> Iterator[Tally]:
    side, mailbox = Side.LETTERS, row.mailbox
    if row.received_at and row.nature:
        cell = _on(mailbox, row.received_at)
        yield Tally(cell, side, Figure.RECEIVED)
        yield Tally(cell, side, Figure.NATURE, row.nature.value)
        yield Tally(cell, side, Figure.DOMAIN, row.domain)
        yield Tally(cell, side, Figure.REGION, row.region)
    if row.unread_since:
        yield Tally(_until(mailbox, row.unread_since), side, Figure.READ_LATE)
    if row.discarded_at and row.reason:
        yield Tally(_on(mailbox, row.discarded_at), side, Figure.DISCARDED, row.reason.value)
    for moment, figure in (
        (row.registered_at, Figure.REGISTERED),
        (row.noted_at, Figure.NOTED),
        (row.answered_at, Figure.ANSWERED),
        (row.finished_at, Figure.FINISHED),
        (row.published_at, Figure.PUBLISHED),
        (row.withheld_at, Figure.WITHHELD),
    ):
        if moment and (figure is not Figure.FINISHED or row.received_at):
            yield Tally(_on(mailbox, moment), side, figure)
    if row.answered_at and row.received_at:
        yield Tally(_on(mailbox, row.answered_at), side, Figure.ANSWER_DAYS, _day(row.received_at))


def _of_handoff(handoff: Handoff) -> Iterator[Tally]:
    if handoff.sent_at and handoff.sender and handoff.sender not in handoff.unseen_by:
        yield Tally(_on(handoff.sender, handoff.sent_at), Side.LETTERS, Figure.DISPOSED, handoff.way.value)
    ends = _ends(handoff)
    events = list(_events(handoff)) if ends else []
    for mailbox, side, other in ends:
        for day, figure in events:
            yield Tally(f"{mailbox}|{day}", side, figure, other)
        if handoff.sent_at and handoff.replied:
            yield Tally(_on(mailbox, handoff.replied[0]), side, Figure.REPLY_DAYS, _day(handoff.sent_at))


def _events(handoff: Handoff) -> Iterator[tuple[str, Figure]]:
    """Return what counts of an assignment at both of its ends: (day, figure)."""
    if handoff.sent_at:
        yield _day(handoff.sent_at), Figure.ASSIGNED
    if handoff.collected_at:
        yield _day(handoff.collected_at), Figure.COLLECTED
    for part in handoff.rounds:
        late = None if handoff.void else part.late_since
        if part.replied_at:
            yield _day(part.replied_at), Figure.ANSWERED_LATE if late else Figure.ANSWERED_IN_TIME
        if late:
            yield _day(late - timedelta(milliseconds=1)), Figure.BECAME_OVERDUE
    for figure, moments in (
        (Figure.URGED, handoff.urged),
        (Figure.EXTENDED, handoff.extended),
        (Figure.SENT_BACK, handoff.sent_back),
    ):
        for moment in moments:
            yield _day(moment), figure
    if handoff.returned_at:
        yield _day(handoff.returned_at), Figure.RETURNED
    if handoff.withdrawn_at:
        yield _day(handoff.withdrawn_at), Figure.WITHDRAWN


def _ends(handoff: Handoff) -> tuple[tuple[str, Side, str], ...]:
    """Return (mailbox, side, the other mailbox) of both ends of an assignment; other hand-offs are none (R4.1, R4.3, R4.4)."""
    if handoff.way is not Way.ASSIGN or not handoff.sender or not handoff.receiver:
        return ()
    ends = (
        (handoff.sender, Side.ASSIGNED, handoff.receiver),
        (handoff.receiver, Side.UNDERTAKEN, handoff.sender),
    )
    return tuple(end for end in ends if end[0] not in handoff.unseen_by)


def cells_of(row: Row) -> list[str]:
    """Return every cell that a letter counts in or once counted in, sorted: the index by which a cell finds its rows.

    It only grows: a limit that turned out not to have passed, since a reply came just before it, leaves the letter listed there, so that a
    repeated fact still has the cell recounted.
    """
    cells = {tally.cell for tally in tallies(row)}
    if row.mailbox and row.reading_due_at:
        cells.add(_until(row.mailbox, row.reading_due_at))
    for handoff in row.handoffs.values():
        for mailbox in (handoff.sender, handoff.receiver):
            if mailbox:
                cells.update(_until(mailbox, limit) for part in handoff.rounds for limit in part.once_late_since)
    return sorted(cells)


def changed_cells(before: Row | None, after: Row | None) -> set[str]:
    """Return the cells that a change of a letter's row alters."""
    old = Counter(tallies(before) if before else ())
    new = Counter(tallies(after) if after else ())
    return {tally.cell for tally in old.keys() | new.keys() if old[tally] != new[tally]}


def count(rows: Iterable[Row], into: Mapping[str, Counts]) -> None:
    """Count rows into those of their cells that are asked for: cell key → counts."""
    for row in rows:
        for cell, side, figure, key in tallies(row):
            counts = into.get(cell)
            if counts is not None:
                counts[side, figure, key] += 1


def cell_of(mailbox: str, day: date, rows: Iterable[Row]) -> Counts:
    """Return the content of one cell, from all rows that list it (others do no harm)."""
    counts: Counts = Counter()
    count(rows, {cell_key(mailbox, day): counts})
    return counts
