"""Drives real letters through the five services, the clock jumping from one of their days to the next.

A day begins with the clock standing at 00:00: whatever the hours bring about is awaited there, so that its moment is exact. Then citizens
write, each at the second of their letter; clerks read, register and assign; units collect and reply: `education` by its system over
`actions.education`, the others over HTTP. The day ends when every fact of it was heard, so nothing is in flight when the clock moves.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from deploy.demo.city import City, settled
from shared.contracts.actions import Action, ApproveReply, CollectLetter, SubmitReply
from shared.contracts.catalogue import parse
from shared.contracts.envelope import attributes, pack
from shared.contracts.facts import Fact, LetterReceived
from shared.contracts.mailbox import AssignmentArrived, DueSet
from tests.conftest import World, eventually
from tests.e2e.real_recount import ANSWERED, ASSIGNED, EAST, KINDS, SCREENED, Course, midnight, working_days_between

BY_ACTIONS = "education"
UNITS = (BY_ACTIONS, "water", BY_ACTIONS, "yuzhong")
"""Letters go to these units in turn, so that half of them are answered over the topic."""
AFTERNOON = time(17, 30)
IN_FLIGHT = 16
PATIENCE_SECONDS = 60


def unit_of(course: Course) -> str:
    """Return the unit that a letter is assigned to."""
    return UNITS[course.place % len(UNITS)]


class Heard:
    """What `letters` and the topic of the unit that works over Kafka have told so far; of a fact that came twice only the first."""

    def __init__(self, world: World) -> None:
        self.facts: dict[str, dict[tuple[str, int], Fact]] = defaultdict(dict)
        """Letter id → (source, seq) → fact."""
        self.kinds: dict[str, Counter[str]] = defaultdict(Counter)
        """Letter id → how many facts of each kind."""
        self.ids: dict[datetime, str] = {}
        """Received at → letter id."""
        self.assignments: dict[str, AssignmentArrived] = {}
        self.due: dict[str, DueSet] = {}
        self._consumer = AIOKafkaConsumer(
            *(world.namespace + topic for topic in ("letters", f"mailbox.{BY_ACTIONS}")),
            bootstrap_servers=world.settings.kafka_bootstrap,
            auto_offset_reset="earliest",
        )
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Heard"]:
        """Listen meanwhile."""
        await self._consumer.start()
        task = asyncio.create_task(self._listen())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._consumer.stop()

    async def _listen(self) -> None:
        async for record in self._consumer:
            envelope = attributes(record.headers)
            if envelope.type.split(".")[1] in KINDS or not record.topic.endswith("letters"):
                self._take(envelope.source, envelope.seq, parse(envelope.type, record.value))
                self._news.set()

    def _take(self, source: str, seq: int, message: Any) -> None:
        if isinstance(message, AssignmentArrived):
            self.assignments[message.letter_id] = message
        elif isinstance(message, DueSet):
            self.due[message.letter_id] = message
        elif isinstance(message, Fact) and self.facts[message.letter_id].setdefault((source, seq), message) is message:
            self.kinds[message.letter_id][type(message).__name__] += 1
            if isinstance(message, LetterReceived):
                self.ids[message.at] = message.letter_id

    async def until(self, true: Callable[[], bool], missing: Callable[[], str]) -> None:
        """Wait until something is true that can only become so by a message; else fail, saying what is `missing`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not true():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(missing()) from None


@dataclass
class Replay:
    """All letters and how far they are."""

    world: World
    city: City
    heard: Heard
    producer: AIOKafkaProducer
    courses: Sequence[Course]
    receipts: dict[int, str] = field(default_factory=dict)
    """Place of a letter → its receipt code."""
    boards: int = 0
    """How often the notice board was compared while letters stood on it."""
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))

    async def run(self) -> None:
        """Let all days pass."""
        coming = sorted(self.courses, key=lambda course: course.letter.written_at)
        live: list[Course] = []
        for day in sorted({day for course in self.courses for day in course.stops}):
            while coming and coming[0].written_on <= day:
                live.append(coming.pop(0))
            await self._hours(day, live)
            await self._deeds(day, live)
            live = [course for course in live if course.letter.replied_on is None or course.letter.replied_on > day]

    def id_of(self, course: Course) -> str:
        """Return a letter's id, or nothing before it was heard of."""
        return self.heard.ids.get(course.letter.written_at, "")

    # ── a day ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _hours(self, day: date, live: Iterable[Course]) -> None:
        """Let it be 00:00, and wait for what falls due by then."""
        self.world.move_clock(midnight(day), 0)
        due = []
        for course in live:
            if kinds := list(course.fall_due(day)):
                course.facts.update(kinds)
                due.append(course)
        await self._all_heard(due)
        if due:
            await self.check_board(day, live)

    async def _deeds(self, day: date, live: Iterable[Course]) -> None:
        """Let everybody do what they do on this day."""
        moment = midnight(day)
        for course in live:
            if course.written_on == day:
                moment = course.letter.written_at
                self.world.move_clock(moment, 0)
                await self._write(course)
        self.world.move_clock(max(moment, datetime.combine(day, AFTERNOON, EAST)), 0)
        async with asyncio.TaskGroup() as group:
            for course in live:
                if day in {course.read_on, course.assigned_on, course.letter.replied_on}:
                    group.create_task(self._handle(course, day))
        await self._all_heard([course for course in live if day in course.stops])

    async def _all_heard(self, courses: Sequence[Course]) -> None:
        def missing() -> str:
            open_ones = [c for c in courses if self.heard.kinds[self.id_of(c)] != c.facts]
            one = open_ones[0]
            heard = self.heard.kinds[self.id_of(one)]
            return f"{len(open_ones)} letters differ; the first, written {one.letter.written_at}: heard {heard}, expected {one.facts}"

        await self.heard.until(lambda: all(self.heard.kinds[self.id_of(c)] == c.facts for c in courses), missing)

    async def _write(self, course: Course) -> None:
        body = submission(course.letter.subject, course.letter.body)
        course.facts["LetterReceived"] += 1
        self.receipts[course.place] = (await self.city.submit(body))["receipt"]

    async def _handle(self, course: Course, day: date) -> None:
        """Do all that is done on one letter on this day; what one service did reaches the others a moment later."""
        read, assigned, replied = course.read_on == day, course.assigned_on == day, course.letter.replied_on == day
        course.facts.update([*SCREENED * read, *ASSIGNED * assigned, *ANSWERED * replied])
        course.facts["NoticeRemoved"] += replied and course.on_board
        await self.heard.until(lambda: bool(self.id_of(course)), lambda: f"{course.letter.subject} did not arrive")
        letter_id = self.id_of(course)
        async with self._places:
            if read:
                await self.city.read(letter_id, "mayor")
                await self.city.register(letter_id, "mayor")
            if assigned:
                await settled(lambda: self.city.prepare_slip(letter_id, unit_of(course)))
                await self.city.approve_slip(letter_id, "s1")
            if (assigned or replied) and unit_of(course) == BY_ACTIONS:
                await self._by_actions(letter_id, course, assigned=assigned, replied=replied)
            else:
                await self._by_http(letter_id, course, assigned=assigned, replied=replied)

    async def _by_http(self, letter_id: str, course: Course, *, assigned: bool, replied: bool) -> None:
        unit = unit_of(course)
        if assigned:
            await self.city.collect(letter_id, "s1", unit)
        if replied:
            await self.city.reply(letter_id, "s1", unit, course.letter.reply)
            await self.city.approve_reply(letter_id, "s1", "r1", unit)

    async def _by_actions(self, letter_id: str, course: Course, *, assigned: bool, replied: bool) -> None:
        await self.heard.until(lambda: letter_id in self.heard.assignments, lambda: f"{letter_id} was not told")
        part = {"letter_id": letter_id, "handoff_id": self.heard.assignments[letter_id].handoff_id}
        if assigned:
            await self._act(CollectLetter(**part, person="duty"))
        if replied:
            await self._act(SubmitReply(**part, person="writer", text=course.letter.reply))
            await self._act(ApproveReply(**part, person="head"))

    async def _act(self, action: Action) -> None:
        out = pack(
            action,
            topic=f"actions.{BY_ACTIONS}",
            letter_id=action.letter_id,
            source=f"units/{BY_ACTIONS}",
            id=str(uuid4()),
            time=datetime.now(EAST),
            traceparent="",
        )
        headers = [(name, text.encode()) for name, text in out.headers.items()]
        await self.producer.send_and_wait(
            self.world.namespace + out.topic, out.value, key=out.key.encode(), headers=headers
        )

    # ── what the public sees ─────────────────────────────────────────────────────────────────────────────────────────

    async def check_board(self, day: date, courses: Iterable[Course]) -> None:
        """Compare the notice board at 00:00 of a day, as a citizen sees it, with the letters that are late."""
        expected = sorted(self._entry(course, day) for course in courses if course.on_board)

        async def shown() -> bool:
            board = await self.city.board()
            parts = ("number", "mailbox", "due_at", "urged", "overdue_seconds", "overdue_working_days")
            found = sorted(tuple(entry[part] for part in parts) for entry in board["entries"])
            assert found == expected, f"the notice board on {day} shows {found} instead of {expected}"
            return bool(board["total"] == len(expected))

        await eventually(shown)  # publication hears of a further urging when everybody does
        self.boards += bool(expected)

    def _entry(self, course: Course, day: date) -> tuple[Any, ...]:
        due_at = course.overdue_at["ReplyOverdue"]
        seconds = int((midnight(day) - due_at).total_seconds())
        working_days = working_days_between(course.reply_by, day)
        return self.number(course).ascii, unit_of(course), _utc(due_at), course.urged, seconds, working_days

    def number(self, course: Course) -> Any:
        """Return the number that a letter was given."""
        (number,) = [fact.number for fact in self.of(course, "LetterRegistered")]
        return number

    def of(self, course: Course, kind: str) -> list[Any]:
        """Return the facts of one kind on a letter."""
        facts = self.heard.facts[self.id_of(course)].values()
        return [fact for fact in facts if type(fact).__name__ == kind]


def submission(subject: str, body: str) -> dict[str, Any]:
    """Return what a citizen sends, who does not want it published."""
    return {
        "mailbox": "mayor",
        "subject": subject,
        "body": body,
        "sender": {"name": "市民", "phone": "13800138000"},
        "nature": "help",
        "domain": "utilities-power",
        "region": "500103",
        "may_publish": False,
    }


def _utc(moment: datetime) -> str:
    """Return a moment as the services write it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
