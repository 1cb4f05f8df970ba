"""The register 处理情况登记表 (附表9, R10.3): one line for each letter of a mailbox and period, filtered as the lists are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from services.routing.access import Tree, acting
from services.routing.forms import SYSTEM
from services.routing.listing import Listing, Query, Sort
from services.routing.models import Handoff, Letter, State
from services.routing.placing import CITY, Place
from shared.directory import Directory, UnknownEntry
from shared.printing.registers import Column
from shared.web.languages import deadline, shanghai, shanghai_date
from shared.web.problems import FieldError, Problem

MOST: Final = 10_000
"""Lines of one register; a longer period is printed in parts."""
TITLE: Final = SYSTEM + "处理情况登记表"
NAME: Final = "附表9"
COLUMNS: Final = (
    Column("序号", 8, True),
    Column("编号", 19),
    Column("来信时间", 21.5),
    Column("收信信箱", 17),
    Column("主题", 32),
    Column("性质", 8, True),
    Column("领域", 20),
    Column("区域", 12, True),
    Column("处理方式", 9, True),
    Column("承办单位", 20),
    Column("交办时间", 21.5),
    Column("期限", 21.5, deadline=True),
    Column("答复时间", 21.5),
    Column("答复方式", 11, True),
    Column("是否超期", 8, True),
    Column("催办次数", 7, True),
    Column("退办次数", 7, True),
    Column("结果", 9, True),
)
_DEADLINE: Final = 11
"""The column whose midnight is the end of a day (R6.1)."""
Cell = str | int | datetime | None


@dataclass(frozen=True, slots=True)
class Lines:
    """A register's lines, each a cell for every column."""

    mailbox: str
    """The full name, or that of the whole city."""
    period: str
    cells: list[tuple[Cell, ...]]

    def texts(self) -> Iterator[list[str]]:
        """Yield the lines as they are read: times in Asia/Shanghai, an empty cell as a dash."""
        for line in self.cells:
            yield [_text(cell, end_of_day=number == _DEADLINE) for number, cell in enumerate(line)]

    @property
    def about(self) -> tuple[str, str]:
        """What stands above the table, left and right."""
        return f"信箱：{self.mailbox}", f"期间：{self.period}　共 {len(self.cells)} 件"


def _text(cell: Cell, *, end_of_day: bool) -> str:
    if cell is None:
        return "—"
    if isinstance(cell, datetime):
        return deadline(cell) if end_of_day else shanghai(cell)
    return str(cell)


async def lines(
    listing: Listing, query: Query, tree: Directory, now: datetime, hidden: Callable[[Letter], bool]
) -> Lines:
    """Return the register of a query; letters that are `hidden` from who asks (reports about them) are left out.

    Raises:
        Problem: 422, there are more than `MOST`.
        StoreUnavailable: the store is away.
    """
    found: list[tuple[tuple[datetime, str, int, int], tuple[Cell, ...]]] = []
    async for rows in listing.every(query):
        for row in rows:
            state = row.stored.state
            if state is None or state.letter is None or hidden(state.letter):
                continue
            if len(found) == MOST:
                raise _too_many()
            found.append((_order(state.letter), line(state, row.place, query.mailbox, tree, now)))
    if query.sort is Sort.REGISTERED:
        # Letters are registered many at once, at one moment: within it the numbers say the order.
        found.sort(key=lambda one: one[0], reverse=query.descending)
    cells: list[tuple[Cell, ...]] = [(place, *cells) for place, (_, cells) in enumerate(found, start=1)]
    name = "全市各信箱" if query.mailbox == CITY else tree.get(query.mailbox).name
    return Lines(name, _period(query), cells)


def _order(letter: Letter) -> tuple[datetime, str, int, int]:
    number = letter.number
    at = letter.registered_at or letter.received_at
    return (at, number.ascii_prefix, number.year, number.serial) if number else (at, "", 0, 0)


def line(state: State, place: Place, mailbox: str, tree: Directory, now: datetime) -> tuple[Cell, ...]:
    """Return a letter's line as a mailbox ("": the duty office) sees it, from the second column on."""
    letter = state.letter
    assert letter is not None
    about, handoff = letter.classification, meant(state, mailbox, tree)
    answer = state.answer
    clock = state.clocks.get(handoff.id) if handoff else None
    due = clock.due_at if clock else None
    until = (_ended_at(handoff) if handoff else None) or (answer.at if answer else None) or now
    return (
        letter.number.text if letter.number else None,
        letter.received_at,
        _mailbox(tree, letter.mailbox),
        letter.subject,
        about.nature.label,
        _domain(tree, about.domain),
        _region(tree, about.region),
        handoff.way.label if handoff else "掌握" if place is Place.NOTED else None,
        _mailbox(tree, handoff.receiver) if handoff else None,
        handoff.sent_at if handoff else None,
        due,
        answer.at if answer else None,
        answer.channel.label if answer else None,
        ("是" if until >= due else "否") if due else None,
        handoff.urged if handoff else 0,
        len(handoff.sent_back) and handoff.sent_back[-1].count if handoff else 0,
        place.label,
    )


def _ended_at(handoff: Handoff) -> datetime | None:
    """Return what stopped the reply clock: the reply (R6.1), or the return (R5.1)."""
    return handoff.replied_at or (handoff.returned.at if handoff.returned else None)


def meant(state: State, mailbox: str, tree: Tree) -> Handoff | None:
    """Return the hand-off that a mailbox's register tells of.

    Of those in which it is an end, or acts for one (for the duty office: all), the outermost that owes a reply; where none does, the last.
    What was returned counts only where there is nothing else, what was withdrawn nowhere.
    """

    def is_end(handoff: Handoff) -> bool:
        return mailbox in {CITY, acting(state, handoff.sender, tree), acting(state, handoff.receiver, tree)}

    own = [handoff for handoff in state.handoffs if handoff.withdrawn is None and is_end(handoff)]
    stays = [handoff for handoff in own if handoff.returned is None] or own
    owing = [handoff for handoff in stays if handoff.owes_reply]
    if not owing:
        return stays[-1] if stays else None
    depth = {handoff.id: _depth(state, handoff) for handoff in owing}
    outermost = min(depth.values())
    return [handoff for handoff in owing if depth[handoff.id] == outermost][-1]


def _depth(state: State, handoff: Handoff) -> int:
    """Return how many hand-offs that owe a reply are around this one."""
    around = next((one for one in state.handoffs if one.id == handoff.parent), None)
    return 0 if around is None else _depth(state, around) + around.owes_reply


def _period(query: Query) -> str:
    what = {"received": "来信", "registered": "登记", "finished": "办结"}[query.dated.value]
    first = shanghai_date(query.since) if query.since else "最早"
    # The end is not included: it is midnight of the day after the last one.
    last = deadline(query.until).removesuffix(" 24:00") if query.until else "最近"
    return f"{first}至{last}（按{what}日期）"


def _too_many() -> Problem:
    chinese = f"登记表超过 {MOST} 件，请缩短期间或增加条件，分几次打印"
    english = (
        f"The register has more than {MOST} letters: ask for a shorter period or add a filter, and print it in parts"
    )
    errors = [FieldError("query:from", chinese, english, "R10.3")]
    title = "登记表过长 / The register is too long"
    return Problem(422, title, f"{chinese} / {english}", slug="register-too-long", rule="R10.3", errors=errors)


def _mailbox(tree: Directory, code: str) -> str:
    try:
        return tree.get(code).short_name
    except UnknownEntry:
        return code


def _domain(tree: Directory, code: str) -> str:
    try:
        return tree.domain(code).label
    except UnknownEntry:
        return code


def _region(tree: Directory, code: str) -> str:
    try:
        return tree.region(code).name
    except UnknownEntry:
        return code


def file_name(query: Query, since: date | None, until: date | None, kind: str) -> str:
    """Return the ASCII name of the file."""
    days = "-".join(day.isoformat() for day in (since, until) if day is not None)
    return "-".join(part for part in ("register", query.mailbox or "city", days) if part) + f".{kind}"
