"""Invented histories of letters, and the figures counted from their facts in the plainest way: no rows, no cells, no days, only moments."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from chinese_calendar import is_workday

from shared.contracts.facts import (
    CitizenAnswered,
    ExtensionDecided,
    Fact,
    HandoffCollected,
    HandoffReturned,
    HandoffSent,
    LetterDiscarded,
    LetterNoted,
    LetterPublished,
    LetterRead,
    LetterReceived,
    LetterReclassified,
    LetterRegistered,
    PublicationWithheld,
    ReadingOverdue,
    ReplyApproved,
    ReplyDueChanged,
    ReplyDueSet,
    ReplyOverdue,
    ReplySentBack,
    ReplySubmitted,
    SlipPrepared,
    SlipWithdrawn,
    UrgingSent,
)
from shared.contracts.types import (
    Actor,
    AnswerBy,
    Channel,
    Classification,
    ExtensionOutcome,
    InvalidReason,
    Nature,
    Number,
    Way,
)

MILLISECOND = timedelta(milliseconds=1)
DAY = timedelta(days=1)
MAILBOXES = ("mayor", "yuzhong", "education", "water")
DOMAINS = ("utilities-water", "utilities-power", "transport-bus")
REGIONS = ("500103", "500105", "500000")


def midnight(moment: datetime) -> datetime:
    """24:00 in Chongqing of the moment's day."""
    local = moment + timedelta(hours=8)
    return local.replace(hour=0, minute=0, second=0, microsecond=0) + DAY - timedelta(hours=8)


def _classification(random: Random) -> Classification:
    return Classification(
        nature=random.choice(list(Nature)), domain=random.choice(DOMAINS), region=random.choice(REGIONS)
    )


def history(random: Random, letter_id: str, start: datetime, days: int = 35) -> list[Fact]:
    """The facts of one letter in the order in which they happen; some stop early, many moments fall on the edge of a day."""
    now = start + random.random() * days * DAY
    now = now.replace(microsecond=now.microsecond // 1000 * 1000).astimezone(UTC)
    mailbox = random.choice(("mayor", "mayor", "mayor", "yuzhong", "education"))
    actor = Actor(subject="someone", name="某人", mailbox=mailbox)
    facts: list[Fact] = []

    def later() -> datetime:
        nonlocal now
        now = random.choice(
            (
                now + timedelta(minutes=random.randrange(1, 5_000)),
                midnight(now),
                midnight(now) - MILLISECOND,
                midnight(now) + timedelta(days=random.randrange(4)),
            )
        )
        return now

    def add(model: type[Fact], *, at: datetime | None = None, **fields: Any) -> None:
        facts.append(model(letter_id=letter_id, at=at or later(), **fields))

    if random.random() < 0.3:
        now = midnight(now) - (MILLISECOND if random.random() < 0.5 else timedelta())
    classification = _classification(random)
    add(
        LetterReceived,
        at=now,
        mailbox=mailbox,
        chosen_mailbox=mailbox,
        subject="路灯不亮",
        body="小区门口的路灯已经坏了三天。",
        classification=classification,
        may_publish=True,
    )
    reading_due = midnight(now)
    if random.random() < 0.1:
        return facts
    if random.random() < 0.2:
        add(ReadingOverdue, at=reading_due + timedelta(seconds=1), mailbox=mailbox, due_at=reading_due)
        now = random.choice((reading_due - MILLISECOND, reading_due, reading_due + DAY))
        add(LetterRead, at=now)
    elif random.random() < 0.8:
        add(LetterRead)
    if random.random() < 0.3:
        corrected = _classification(random)
        add(LetterReclassified, before=classification, after=corrected)
    ending = random.random()
    if ending < 0.15:
        add(LetterDiscarded, reason=random.choice(list(InvalidReason)))
        return facts
    if ending < 0.25:
        add(LetterNoted)
        return facts
    number = Number(mailbox=mailbox, prefix="渝府信", ascii_prefix="YFX", year=2026, serial=random.randrange(1, 9_999))
    add(LetterRegistered, number=number)
    if random.random() < 0.15:
        return facts
    for handoff_id in ("s1", "s2")[: 1 if random.random() < 0.8 else 2]:
        receiver = random.choice([code for code in MAILBOXES if code not in ("mayor", mailbox)])
        ends: dict[str, Any] = {"handoff_id": handoff_id, "sender": mailbox, "receiver": receiver}
        common: dict[str, Any] = {
            "opinion": "请核实",
            "requirements": "按时回复",
            "answer_by": AnswerBy.ASSIGNEE,
            "written_reply": False,
        }
        add(SlipPrepared, slip_id=handoff_id, sender=mailbox, receiver=receiver, **common)
        if random.random() < 0.1:  # a letter that is forwarded is owed nothing
            way = random.choice((Way.FORWARD, Way.DIRECT, Way.SUBMIT_UP))
            add(HandoffSent, prepared_by=actor, number=number, way=way, **ends, **common)
            add(HandoffCollected, handoff_id=handoff_id, receiver=receiver)
            continue
        add(HandoffSent, prepared_by=actor, number=number, **ends, **common)
        due = midnight(now) + 4 * DAY
        add(ReplyDueSet, at=now, handoff_id=handoff_id, receiver=receiver, due_at=due, working_days=10)
        if random.random() < 0.1:
            due += DAY
            add(ReplyDueSet, at=now, handoff_id=handoff_id, receiver=receiver, due_at=due, working_days=10)
        if random.random() < 0.9:
            add(HandoffCollected, handoff_id=handoff_id, receiver=receiver)
        elif random.random() < 0.3:
            add(SlipWithdrawn, reason="误发", **ends)
            continue
        if random.random() < 0.2:
            outcome = random.choice(list(ExtensionOutcome))
            add(ExtensionDecided, at=now, extension_id="e1", outcome=outcome, **ends)
        reply: dict[str, Any] = {
            "reply_id": f"{handoff_id}-r1",
            "text": "已修复。",
            "author": actor,
            "answer_by": AnswerBy.ASSIGNEE,
        }
        ending = random.random()
        if ending < 0.4:
            now = min(now, due - 2 * MILLISECOND)
            add(ReplySubmitted, handoff_id=handoff_id, reply_id=reply["reply_id"], text="已修复。")
            replied = random.choice((due - MILLISECOND, max(facts[-2].at, due - DAY)))
            if random.random() < 0.2:  # the lateness was declared while the reply was on its way
                add(ReplyOverdue, at=due, due_at=due, **ends)
            add(ReplyApproved, at=min(replied, due - MILLISECOND), **ends, **reply)
            now = max(now, due)
        else:
            if ending < 0.9:
                add(ReplyOverdue, at=due + timedelta(seconds=3), due_at=due, **ends)
                for turn in range(random.randrange(4)):
                    now = max(now, due)
                    add(UrgingSent, count=turn + 1, due_at=due, **ends)
            if ending < 0.75 or ending >= 0.9:  # some late replies come before anybody declared the lateness
                now = max(now, due)
                add(ReplyApproved, at=random.choice((now, due, now + 3 * DAY)), **ends, **reply)
                now = max(now, facts[-1].at)
            elif random.random() < 0.3:
                now = max(now, due)
                add(HandoffReturned, reason="不属本单位职责", count=1, flagged=False, **ends)
        if isinstance(facts[-1], ReplyApproved) and random.random() < 0.25:
            now = max(now, facts[-1].at)
            add(ReplySentBack, reply_id=reply["reply_id"], reason="未答", requirements="逐项答复", count=1, **ends)
            redo = midnight(now) + 3 * DAY
            changed = {"handoff_id": handoff_id, "receiver": receiver, "before": due, "due_at": redo}
            add(ReplyDueChanged, at=now, why="sent_back", **changed)
            if random.random() < 0.5:
                add(ReplyOverdue, at=redo, due_at=redo, **ends)
            if random.random() < 0.7:
                late = isinstance(facts[-1], ReplyOverdue)
                now = random.choice((redo, redo + DAY)) if late else max(now, redo - 5 * MILLISECOND)
                add(ReplyApproved, at=now, **ends, **reply)
    if not any(isinstance(fact, ReplyApproved) for fact in facts):
        return facts
    add(CitizenAnswered, mailbox=mailbox, channel=Channel.ONLINE, text="已修复。", author=actor)
    if random.random() < 0.2:
        add(CitizenAnswered, mailbox=mailbox, channel=Channel.PHONE, text="电话告知。", author=actor)
    if random.random() < 0.3:
        add(PublicationWithheld, mailbox=mailbox, consent_refused=True)
    if random.random() < 0.6:
        add(
            LetterPublished,
            mailbox=mailbox,
            number=number,
            subject="路灯",
            body="路灯",
            reply="已修复",
            text_hash="0" * 64,
            prepared_by=actor,
        )
    return facts


def histories(seed: int, letters: int, start: datetime) -> list[list[Fact]]:
    """Reproducible histories, one list per letter."""
    random = Random(seed)
    return [history(random, f"letter-{seed}-{number}", start) for number in range(letters)]


def recount(letters: Iterable[Sequence[Fact]], mailbox: str | None, start: datetime, end: datetime) -> Counter[str]:
    """The figures of the period [start, end), counted letter by letter from the facts; `mailbox` none: of the city."""
    found: Counter[str] = Counter()

    def ours(code: str) -> bool:
        return mailbox in (None, code)

    def inside(moment: datetime) -> bool:
        return start <= moment < end

    for facts in letters:
        received = next(fact for fact in facts if isinstance(fact, LetterReceived))
        if ours(received.mailbox):
            found.update(_of_letter(facts, received, inside, start, end))
        for sent in (fact for fact in facts if isinstance(fact, HandoffSent)):
            after = facts[facts.index(sent) :]
            own = [f for f in after if getattr(f, "handoff_id", sent.handoff_id) == sent.handoff_id]
            names = list(_of_handoff(own, start, end))
            if ours(sent.sender):
                found.update(f"assigned/{sent.receiver}/{name}" for name in names)
            if ours(sent.receiver):
                found.update(f"undertaken/{sent.sender}/{name}" for name in names)
            if ours(sent.sender) and inside(sent.at):
                found[f"way {sent.way.value}"] += 1
            taken = _first_reply(own)
            if taken and inside(taken):
                days = working_days(sent.at, taken)
                found[f"assigned_days {days}"] += ours(sent.sender)
                found[f"undertaken_days {days}"] += ours(sent.receiver)
    return +found


def working_days(start: datetime, end: datetime) -> int:
    """How many working days follow the day of `start`, up to and including that of `end`, in Chongqing."""
    first, last = ((moment + timedelta(hours=8)).date() for moment in (start.astimezone(UTC), end.astimezone(UTC)))
    return sum(is_workday(first + timedelta(days=number + 1)) for number in range((last - first).days))


def _first_reply(facts: Sequence[Fact]) -> datetime | None:
    """When an assignment was first answered."""
    if any(isinstance(fact, HandoffSent) and fact.way is not Way.ASSIGN for fact in facts):
        return None
    for fact in facts:
        if isinstance(fact, HandoffReturned | SlipWithdrawn):
            return None
        if isinstance(fact, ReplyApproved | CitizenAnswered):
            return fact.at
    return None


def _of_letter(
    facts: Sequence[Fact], received: LetterReceived, inside: Any, start: datetime, end: datetime
) -> Iterator[str]:
    if inside(received.at):
        about = [fact.after for fact in facts if isinstance(fact, LetterReclassified)] or [received.classification]
        yield "received"
        yield f"nature {about[-1].nature.value}"
        yield f"domain {about[-1].domain}"
        yield f"region {about[-1].region}"
    screened = [f.at for f in facts if isinstance(f, LetterRead | LetterRegistered | LetterDiscarded | LetterNoted)]
    for fact in facts:
        if (
            isinstance(fact, ReadingOverdue)
            and not [at for at in screened if at < fact.due_at]
            and start < fact.due_at <= end
        ):
            yield "read_late"
    for name, kind in (
        ("registered", LetterRegistered),
        ("discarded", LetterDiscarded),
        ("noted", LetterNoted),
        ("answered", CitizenAnswered),
        ("published", LetterPublished),
        ("withheld", PublicationWithheld),
    ):
        moments = [fact.at for fact in facts if isinstance(fact, kind)]
        if moments and inside(moments[0]):
            yield name
    ended = [fact.at for fact in facts if isinstance(fact, CitizenAnswered | LetterDiscarded | LetterNoted)]
    if ended and inside(min(ended)):
        yield "finished"
    if received.at < end and not (ended and min(ended) < end):
        yield "open_letters"
    answers = [fact.at for fact in facts if isinstance(fact, CitizenAnswered)]
    if answers and inside(answers[0]):
        yield f"answer_days {working_days(received.at, answers[0])}"
    for fact in facts:
        if isinstance(fact, LetterDiscarded) and inside(fact.at):
            yield f"reason {fact.reason.value}"


def _of_handoff(facts: Sequence[Fact], start: datetime, end: datetime) -> Iterator[str]:
    if any(isinstance(fact, HandoffSent) and fact.way is not Way.ASSIGN for fact in facts):
        return
    for fact in facts:
        if start <= fact.at < end:
            if isinstance(fact, HandoffSent):
                yield "assigned"
            elif isinstance(fact, HandoffCollected):
                yield "collected"
            elif isinstance(fact, UrgingSent):
                yield "urged"
            elif isinstance(fact, ExtensionDecided):
                if fact.outcome is not ExtensionOutcome.REFUSED:
                    yield "extended"
            elif isinstance(fact, ReplySentBack):
                yield "sent_back"
            elif isinstance(fact, HandoffReturned):
                yield "returned"
            elif isinstance(fact, SlipWithdrawn):
                yield "withdrawn"
    waits = False
    for fact in sorted((fact for fact in facts if fact.at < end), key=lambda fact: fact.at):
        waits = isinstance(fact, HandoffSent | ReplySentBack) or (
            waits and not isinstance(fact, ReplyApproved | CitizenAnswered | HandoffReturned | SlipWithdrawn)
        )
    if waits:
        yield "open"
    replies: list[datetime] = []
    awaited = True
    for fact in facts:
        if awaited and isinstance(fact, ReplyApproved | CitizenAnswered):
            replies.append(fact.at)
        awaited = isinstance(fact, ReplySentBack) or (
            awaited and not isinstance(fact, ReplyApproved | CitizenAnswered | HandoffReturned | SlipWithdrawn)
        )
    dues = [[fact.due_at for fact in facts if isinstance(fact, ReplyDueSet)][-1]]
    dues += [fact.due_at for fact in facts if isinstance(fact, ReplyDueChanged)]
    returned = any(isinstance(fact, HandoffReturned | SlipWithdrawn) for fact in facts)
    for turn, due in enumerate(dues):
        declared = any(isinstance(fact, ReplyOverdue) and fact.due_at == due for fact in facts)
        replied = replies[turn] if turn < len(replies) else None
        if replied and start <= replied < end:
            yield "answered_in_time" if replied < due else "answered_late"
        late = not returned and (replied >= due if replied else declared)
        if late and start < due <= end:
            yield "became_overdue"
        if late and due <= end and not (replied and replied < end):
            yield "overdue"


def flat(figures: Any) -> Counter[str]:
    """`Figures` in the form of `recount`."""
    found: Counter[str] = Counter()
    for name in ("received", "read_late", "registered", "discarded", "noted", "answered", "finished", "open_letters"):
        found[name] = getattr(figures, name)
    for name in ("published", "withheld"):
        found[name] = getattr(figures, name)
    for name, days in (
        ("answer_days", figures.answer_days),
        ("assigned_days", figures.reply_days),
        ("undertaken_days", figures.undertaken_days),
    ):
        found.update({f"{name} {number}": letters for number, letters in days.items()})
    for word, parts in (
        ("nature", figures.natures),
        ("domain", figures.domains),
        ("region", figures.regions),
        ("reason", figures.discard_reasons),
        ("way", figures.ways),
    ):
        found.update({f"{word} {getattr(code, 'value', code)}": number for code, number in parts.items()})
    for side in ("assigned", "undertaken"):
        for other, handling in getattr(figures, side).items():
            for name, number in handling.model_dump().items():
                found[f"{side}/{other}/{name}"] = number
    return +found
