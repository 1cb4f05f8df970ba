"""Ten letters on their way, with people who look again when they got no answer; and what must be true at the end, whatever happened.

Seven letters are answered in time and published, two are answered late after an urging and not published (no consent), one is
discarded. Units `education` (by `actions.education`) and `water` (over HTTP) take turns.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from time import monotonic
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from aiokafka.errors import KafkaError

from deploy.demo.city import Away, City, Refused
from shared.contracts.actions import Action, ApproveReply, CollectLetter, SubmitReply
from shared.contracts.catalogue import TYPE_OF, parse
from shared.contracts.envelope import attributes
from tests.conftest import World, eventually

TUESDAY_AFTER = datetime.fromisoformat("2026-03-17T10:00:00+08:00")
"""The morning after the tenth working day of what was handed out on the Monday of the test's world."""
FIRST, END = "2026-03-02", "2026-03-19"
UNITS = ("education", "water")
TEXT = "经现场核实，路灯已修复，感谢您的来信。"
PATIENCE_SECONDS = 60


class Fate(Enum):
    """What becomes of a letter."""

    ANSWERED = "answered"
    LATE = "late"
    DISCARDED = "discarded"


SCREENED = ("LetterReceived", "LetterRead")
HANDED_OUT = ("LetterRegistered", "SlipPrepared", "HandoffSent", "HandoffCollected", "ReplyDueSet")
REPLIED = ("ReplySubmitted", "ReplyApproved", "CitizenAnswered")
FACTS: Mapping[Fate, tuple[str, ...]] = {
    Fate.ANSWERED: (*SCREENED, *HANDED_OUT, *REPLIED, "PublicationPrepared", "LetterPublished"),
    Fate.LATE: (
        *(*SCREENED, *HANDED_OUT, *REPLIED, "ReplyReminded", "ReplyOverdue", "UrgingDue", "UrgingSent"),
        *("NoticePosted", "NoticeRemoved", "PublicationWithheld"),
    ),
    Fate.DISCARDED: (*SCREENED, "LetterDiscarded"),
}
"""Every fact on a letter, once each."""


@dataclass
class Tale:
    """One letter."""

    number: int
    fate: Fate
    unit: str
    key: str = field(default_factory=lambda: str(uuid4()))
    receipt: str = ""
    letter_id: str = ""
    serial: str = ""

    @property
    def subject(self) -> str:
        """Tells letters apart."""
        return f"小区门口路灯不亮，第{self.number}封"

    @property
    def body(self) -> dict[str, Any]:
        """The submission."""
        return {
            "mailbox": "mayor",
            "subject": self.subject,
            "body": "我们小区门口的路灯坏了半个多月，晚上老人孩子出行很不安全，希望尽快修好。",
            "sender": {"name": "李明", "phone": "13800138000"},
            "nature": "help",
            "domain": "utilities-power",
            "region": "500103",
            "may_publish": self.fate is not Fate.LATE,
        }

    @property
    def by_actions(self) -> bool:
        """Whether its unit works through Kafka."""
        return self.unit == "education"


def fates(count: int) -> list[Fate]:
    """Of every ten letters two late and one discarded."""
    return [{3: Fate.LATE, 6: Fate.LATE, 9: Fate.DISCARDED}.get(n % 10, Fate.ANSWERED) for n in range(count)]


async def insist(
    deed: Callable[[], Awaitable[Any]], done: Callable[[], Awaitable[Any]], *, later: Collection[int] = (404, 409, 503)
) -> Any:
    """Do a deed until it is seen to be done, and return what was seen.

    Whoever got no answer, or was refused with a status that says to come back (`later`), looks again: perhaps it was done. Anything
    else is an error, and so is what is not seen after `PATIENCE_SECONDS` although nobody refused it.
    """
    end, pause = monotonic() + PATIENCE_SECONDS, 0.02
    while True:
        try:
            if seen := await done():
                return seen
            await deed()
            assert monotonic() < end, f"nobody refuses it, and it is not done after {PATIENCE_SECONDS} s"
            continue
        except Away:
            if monotonic() > end:
                raise
        except Refused as refused:
            if refused.status not in later or monotonic() > end:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.3)


async def _nothing() -> None:
    return None


@dataclass
class Journey:
    """The letters of one test and how far they are."""

    world: World
    cities: list[City]
    count: int = 10
    tales: list[Tale] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)
    """Step → how many letters took it."""
    _ids: dict[str, str] = field(default_factory=dict)
    _asked: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.tales = [Tale(n + 1, fate, UNITS[n % 2]) for n, fate in enumerate(fates(self.count))]

    def city(self, tale: Tale) -> City:
        """Letters take turns where there are several processes of each service."""
        return self.cities[tale.number % len(self.cities)]

    def of(self, *wanted: Fate) -> list[Tale]:
        """The letters of some fates."""
        return [tale for tale in self.tales if tale.fate in wanted]

    async def reached(self, step: str, count: int) -> None:
        """Wait until so many letters took a step."""

        async def far() -> bool:
            return self.passed[step] >= count

        await eventually(far, PATIENCE_SECONDS)

    # ── the way ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def first_weeks(self) -> None:
        """Everything up to publication; late letters only until they are collected."""
        await asyncio.gather(*(self._first_weeks(tale) for tale in self.tales))

    async def _first_weeks(self, tale: Tale) -> None:
        await self.submit(tale)
        await self.screen(tale)
        if tale.fate is Fate.DISCARDED:
            return
        await self.hand_out(tale)
        if tale.fate is Fate.ANSWERED:
            await self.answer(tale)
            await self.publish(tale)

    async def get_late(self) -> None:
        """Two weeks pass: what is not answered is overdue, urged and on the board."""
        self.world.move_clock(TUESDAY_AFTER)
        late = len(self.of(Fate.LATE))

        async def on_board() -> bool:
            try:
                return (await self.cities[0].board())["total"] == late
            except (Away, Refused):
                return False

        await eventually(on_board, PATIENCE_SECONDS)

    async def end(self) -> None:
        """The late letters are answered after all."""
        await asyncio.gather(*(self.answer(tale) for tale in self.of(Fate.LATE)))

    async def whole(self) -> None:
        """All of it."""
        await self.first_weeks()
        await self.get_late()
        await self.end()

    async def submit(self, tale: Tale) -> None:
        """The citizen posts the letter, again if in doubt."""

        async def post() -> None:
            tale.receipt = (await self.city(tale).submit(tale.body, tale.key))["receipt"]

        async def has_receipt() -> str:
            return tale.receipt

        await insist(post, has_receipt)
        self.passed["submitted"] += 1

    async def find(self, tale: Tale) -> None:
        """The clerk sees the letter among the unread ones."""

        async def seen() -> bool:
            if tale.subject not in self._ids:
                for row in await self.city(tale).letters("mayor"):
                    self._ids[row["subject"]] = row["letter_id"]
            return tale.subject in self._ids

        async def wait() -> None:
            await asyncio.sleep(0.1)

        await insist(wait, seen)
        tale.letter_id = self._ids[tale.subject]

    async def screen(self, tale: Tale) -> None:
        """The clerk registers the letter, or discards it."""
        await self.find(tale)
        city, letter_id = self.city(tale), tale.letter_id

        async def number() -> Any:
            return (await city.letter(letter_id, "mayor"))["number_ascii"]

        async def discarded() -> bool:
            return bool((await city.letter(letter_id, "mayor"))["stage"] == "discarded")

        if tale.fate is Fate.DISCARDED:
            await insist(lambda: city.discard(letter_id, "mayor", "repeated_or_empty"), discarded)
        else:
            tale.serial = await insist(lambda: city.register(letter_id, "mayor"), number)
        self.passed["screened"] += 1

    async def hand_out(self, tale: Tale) -> None:
        """Clerk and head hand the letter out; the unit collects it."""
        city, letter_id = self.city(tale), tale.letter_id
        await insist(lambda: city.prepare_slip(letter_id, tale.unit), lambda: self._of(tale, "mayor", "slips"))
        await insist(lambda: city.approve_slip(letter_id, "s1"), lambda: self._of(tale, "mayor", "handoffs"))
        self.passed["sent"] += 1
        await self._by_unit(
            tale,
            CollectLetter(letter_id=letter_id, handoff_id="s1", person="education-clerk"),
            lambda: city.collect(letter_id, "s1", tale.unit),
            lambda: self._handoff(tale, "collected_at"),
        )
        self.passed["collected"] += 1

    async def answer(self, tale: Tale) -> None:
        """The unit drafts its reply and approves it."""
        city, letter_id = self.city(tale), tale.letter_id
        await self._by_unit(
            tale,
            SubmitReply(letter_id=letter_id, handoff_id="s1", person="education-clerk", text=TEXT),
            lambda: city.reply(letter_id, "s1", tale.unit, TEXT),
            lambda: self._handoff(tale, "replies"),
        )
        await self._by_unit(
            tale,
            ApproveReply(letter_id=letter_id, handoff_id="s1", person="education-head"),
            lambda: city.approve_reply(letter_id, "s1", "r1", tale.unit),
            lambda: self._of(tale, tale.unit, "answer"),
        )
        self.passed["answered"] += 1

    async def publish(self, tale: Tale) -> None:
        """The unit's clerk prepares the publication, its head approves."""
        city, letter_id = self.city(tale), tale.letter_id
        body = "小区门口的路灯坏了半个多月，希望尽快修好。"

        async def prepared() -> Any:
            return (await city.case(letter_id, tale.unit))["prepared"]

        async def published() -> Any:
            return (await city.case(letter_id, tale.unit))["published"]

        draft = await insist(
            lambda: city.prepare_publication(letter_id, tale.unit, tale.subject, body, TEXT),
            prepared,
            later=(403, 404, 409, 503),  # 403: publication has not heard yet that the letter went to this unit
        )
        await insist(lambda: city.approve_publication(letter_id, tale.unit, draft["text_hash"]), published)
        self.passed["published"] += 1

    async def _of(self, tale: Tale, mailbox: str, part: str) -> Any:
        return (await self.city(tale).handling(tale.letter_id, mailbox))[part]

    async def _handoff(self, tale: Tale, part: str) -> Any:
        return (await self._of(tale, tale.unit, "handoffs"))[0][part]

    async def _by_unit(
        self, tale: Tale, action: Action, deed: Callable[[], Awaitable[Any]], done: Callable[[], Awaitable[Any]]
    ) -> None:
        """Over HTTP, or by an action that is sent once: Kafka keeps it until it is handled."""
        if not tale.by_actions:
            await insist(deed, done)
            return
        action_id = str(uuid5(NAMESPACE_URL, f"{tale.letter_id}/{type(action).__name__}"))
        while action_id not in self._asked:
            try:
                await ask(self.world, tale.unit, action, action_id)
            except KafkaError:
                await asyncio.sleep(0.3)
            else:
                self._asked.add(action_id)
        await insist(_nothing_yet, done)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def check(self) -> None:
        """All that must be true once the letters have come to their ends."""
        await eventually(self._facts_are_whole, PATIENCE_SECONDS)
        await eventually(self._mailboxes_are_told, PATIENCE_SECONDS)
        await eventually(self._figures_are_right, PATIENCE_SECONDS)
        numbered = self.of(Fate.ANSWERED, Fate.LATE)
        assert sorted(t.serial for t in numbered) == sorted(f"YFX-2026-{n + 1}" for n in range(len(numbered)))
        await eventually(self._public_is_right, PATIENCE_SECONDS)

    async def _facts_are_whole(self) -> bool:
        on_letters = await facts_on(self.world)
        for tale in self.tales:
            kinds = Counter(kind for facts in on_letters[tale.letter_id].values() for kind in facts)
            assert kinds == Counter(FACTS[tale.fate]), f"letter {tale.number} ({tale.fate}): {dict(kinds)}"
        assert len(on_letters) == len(self.tales)
        return True

    async def _mailboxes_are_told(self) -> bool:
        """Nobody is told anything twice under two ids, and nobody misses anything."""
        answered, late = len(self.of(Fate.ANSWERED)), len(self.of(Fate.LATE))
        assert await told(self.world, "mayor") == {"LetterArrived": len(self.tales), "ReplyArrived": answered + late}
        for unit in UNITS:
            mine = [tale for tale in self.of(Fate.ANSWERED, Fate.LATE) if tale.unit == unit]
            urged = len([tale for tale in mine if tale.fate is Fate.LATE])
            expected = {"AssignmentArrived": len(mine), "ContactDisclosed": len(mine), "DueSet": len(mine)}
            expected |= {"ReminderArrived": urged, "UrgingArrived": urged} if urged else {}
            expected |= {"ActionDone": 3 * len(mine)} if unit == "education" else {}
            assert await told(self.world, unit) == expected
        return True

    async def _figures_are_right(self) -> bool:
        found = await self.cities[0].figures("mayor", FIRST, END)
        answered, late = len(self.of(Fate.ANSWERED)), len(self.of(Fate.LATE))
        expected = {"received": len(self.tales), "registered": answered + late, "answered": answered + late}
        expected |= {"discarded": len(self.of(Fate.DISCARDED)), "published": answered, "withheld": late}
        assert {name: found[name] for name in expected} == expected
        for unit in UNITS:
            mine = [tale for tale in self.of(Fate.ANSWERED, Fate.LATE) if tale.unit == unit]
            overdue = len([tale for tale in mine if tale.fate is Fate.LATE])
            row = next(row for row in found["assigned"]["units"] if row["mailbox"] == unit)
            assert (row["assigned"], row["collected"]) == (len(mine), len(mine))
            assert (row["answered_in_time"], row["answered_late"]) == (len(mine) - overdue, overdue)
            assert (row["became_overdue"], row["overdue"], row["urged"]) == (overdue, 0, overdue)
        assert found["up_to_date"]
        return True

    async def _public_is_right(self) -> bool:
        city = self.cities[0]
        published = {letter["number"] for letter in await city.published()}
        assert published == {tale.serial for tale in self.of(Fate.ANSWERED)}
        assert (await city.board())["total"] == 0
        for tale in self.tales:
            standing = await city.standing(tale.receipt)
            assert standing["state"] == ("不予受理" if tale.fate is Fate.DISCARDED else "已答复")
            assert [answer["text"] for answer in standing["answers"]] == [TEXT] * (tale.fate is not Fate.DISCARDED)
        return True


async def _nothing_yet() -> None:
    await asyncio.sleep(0.1)


async def ask(world: World, unit: str, action: Action, action_id: str, **headers: str) -> None:
    """Put an action on a unit's topic, as its system does."""
    envelope = {
        "ce_specversion": "1.0",
        "ce_id": action_id,
        "ce_type": TYPE_OF[type(action)],
        "ce_source": f"/units/{unit}",
        "ce_subject": action.letter_id,
    }
    await world.produce(f"actions.{unit}", action.letter_id, action.model_dump_json().encode(), envelope | headers)


async def facts_on(world: World) -> dict[str, dict[str, list[str]]]:
    """Letter id → service → the kinds of its facts in the order of `seq`; a fact may come twice, but only as the very same."""
    found: dict[str, dict[str, dict[int, tuple[str, str, bytes]]]] = defaultdict(lambda: defaultdict(dict))
    for record in await world.records("letters"):
        envelope = attributes(record.headers)
        fact = (envelope.type.split(".")[1], envelope.id, record.value)
        assert found[envelope.subject][envelope.source].setdefault(envelope.seq, fact) == fact
    for letter_id, sources in found.items():
        for source, facts in sources.items():
            assert sorted(facts) == list(range(1, len(facts) + 1)), f"{source} left a gap on {letter_id}"
    return {
        letter_id: {source: [facts[seq][0] for seq in sorted(facts)] for source, facts in sources.items()}
        for letter_id, sources in found.items()
    }


async def told(world: World, mailbox: str) -> dict[str, int]:
    """How many messages of each kind a mailbox got, each id counted once."""
    messages = {}
    for record in await world.records(f"mailbox.{mailbox}"):
        envelope = attributes(record.headers)
        parse(envelope.type, record.value)
        messages[envelope.id] = envelope.type.split(".")[1]
    return dict(Counter(messages.values()))
