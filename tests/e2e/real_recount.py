"""What must happen to a letter and when, from its dates alone: a second count beside the system's, by chinesecalendar and these few lines.

Day of receipt not counted, due at 24:00 (Asia/Shanghai) of the tenth working day (R6.1); read the same working day if it came before
closing, else on the next (R3.1); disposed of within three working days (R1.4); urged when late, then again after three working days (R7.1).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from functools import cache, cached_property

from chinese_calendar import is_workday

from tests.e2e.real_letters import RealLetter

EAST = timezone(timedelta(hours=8))
ONE_DAY = timedelta(days=1)
CLOSING = time(18, 0)


@cache
def working_day(day: date, count: int) -> date:
    """Return the `count`-th working day after a day, which itself is not counted."""
    while count:
        day += ONE_DAY
        count -= is_workday(day)
    return day


def working_days_between(day: date, last: date) -> int:
    """Return how many working days come after a day, up to and including the last."""
    return sum(is_workday(day + n * ONE_DAY) for n in range(1, (last - day).days + 1))


def midnight(day: date) -> datetime:
    """Return 00:00 of a day in Asia/Shanghai."""
    return datetime.combine(day, time.min, EAST)


@dataclass
class Course:
    """One letter's course.

    Some clerks dawdle: every ninth letter is read two working days late, every seventh assigned four working days after it was registered.
    Whatever was answered sooner, was read and assigned sooner.
    """

    letter: RealLetter
    place: int
    reminded: bool = False
    urged: int = 0
    urge_on: date | None = None
    facts: Counter[str] = field(default_factory=Counter)
    """Kind of fact → how many there must be by now."""

    @cached_property
    def written_on(self) -> date:
        """The day of the letter."""
        return self.letter.written_at.astimezone(EAST).date()

    @cached_property
    def read_by(self) -> date:
        """The last day for reading it."""
        in_time = is_workday(self.written_on) and self.letter.written_at.astimezone(EAST).time() < CLOSING
        return self.written_on if in_time else working_day(self.written_on, 1)

    @cached_property
    def read_on(self) -> date:
        """The day on which a clerk reads and registers it."""
        return self._before_reply(working_day(self.read_by, 2) if self.place % 9 == 4 else self.read_by)

    @cached_property
    def assigned_by(self) -> date:
        """The last day for disposing of it."""
        return working_day(self.read_on, 3)

    @cached_property
    def assigned_on(self) -> date:
        """The day on which it is assigned, and received by the unit."""
        return self._before_reply(working_day(self.read_on, 4 if self.place % 7 == 3 else 1))

    @cached_property
    def reply_by(self) -> date:
        """The last day for the reply."""
        return working_day(self.assigned_on, 10)

    @cached_property
    def is_late(self) -> bool:
        """Whether the reply came too late, or never."""
        return self.letter.replied_on is None or self.letter.replied_on > self.reply_by

    @cached_property
    def overdue_at(self) -> dict[str, datetime]:
        """Fact → the moment at which it is declared, of what became overdue."""
        found = {}
        if self.read_on > self.read_by:
            found["ReadingOverdue"] = midnight(self.read_by + ONE_DAY)
        if self.assigned_on > self.assigned_by:
            found["DispositionOverdue"] = midnight(self.assigned_by + ONE_DAY)
        if self.is_late:
            found["ReplyOverdue"] = midnight(self.reply_by + ONE_DAY)
        return found

    @cached_property
    def stops(self) -> set[date]:
        """The days on which the clock must stop for it: something is done, or becomes overdue."""
        days = {self.written_on, self.read_on, self.assigned_on, *(at.date() for at in self.overdue_at.values())}
        return days if self.letter.replied_on is None else days | {self.letter.replied_on}

    def _before_reply(self, day: date) -> date:
        return day if self.letter.replied_on is None else min(day, self.letter.replied_on)

    def waits_for_reply(self, day: date) -> bool:
        """Whether the unit owes the reply as a day begins."""
        return self.assigned_on < day and (self.letter.replied_on is None or day <= self.letter.replied_on)

    def fall_due(self, day: date) -> Iterator[str]:
        """Return the facts that must come of the hours passing, when the clock stops as a day begins; missed urgings are one."""
        yield from (fact for fact, at in self.overdue_at.items() if at == midnight(day))
        if not self.waits_for_reply(day):
            return
        if not self.reminded and day >= working_day(self.assigned_on, 9):
            self.reminded = True
            yield "ReplyReminded"
        if self.is_late and day >= (self.urge_on or self.reply_by + ONE_DAY):
            yield from ("UrgingDue", "UrgingSent") if self.urged else ("UrgingDue", "UrgingSent", "NoticePosted")
            self.urged += 1
            self.urge_on = working_day(day - ONE_DAY, 3) + ONE_DAY

    @property
    def on_board(self) -> bool:
        """Whether it stands on the notice board: urged, and no reply yet."""
        return self.facts["NoticePosted"] > self.facts["NoticeRemoved"]


SCREENED = ("LetterRead", "LetterRegistered")
ASSIGNED = ("SlipPrepared", "HandoffSent", "HandoffCollected", "ReplyDueSet")
ANSWERED = ("ReplySubmitted", "ReplyApproved", "CitizenAnswered", "PublicationWithheld")
KINDS = {
    *("LetterReceived", *SCREENED, *ASSIGNED, *ANSWERED),
    *("ReadingOverdue", "DispositionOverdue", "ReplyReminded", "ReplyOverdue", "UrgingDue", "UrgingSent"),
    *("NoticePosted", "NoticeRemoved"),
}
"""The facts that the recount speaks about."""
