"""Messages to intake: submissions from the front door, facts of the other services; and whom intake tells what."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

from pydantic import ValidationError

from services.intake import domain
from services.intake.attachments import Attachments
from services.intake.backlog import Backlog
from services.intake.contacts import Contacts
from services.intake.domain import Letter
from services.intake.repository import Line, Register
from shared.calendar.zone import business_date
from shared.contracts.catalogue import UnknownMessageType, parse
from shared.contracts.errors import RuleBroken, Stale
from shared.contracts.facts import Fact, HandoffSent, LetterReceived, LetterReclassified, LetterRegistered
from shared.contracts.mailbox import ContactDisclosed, LetterArrived
from shared.contracts.reports import hidden_from, keeper, untold
from shared.contracts.submissions import SubmissionAccepted
from shared.contracts.types import Actor, AnswerBy, Contact, Medium
from shared.directory import Directory, UnknownMailbox
from shared.messaging.broker import Record
from shared.messaging.changes import DirectoryChanges
from shared.messaging.letters import Letters
from shared.messaging.parking import Message, Parking, explain, read, strays
from shared.messaging.patience import patiently
from shared.messaging.salvage import salvage
from shared.messaging.work import Step, Telling
from shared.observability import metrics
from shared.storage import Stored, StoreUnavailable

log = logging.getLogger(__name__)

SUBMISSIONS = "submissions"
SOURCE = "intake"
SUBMISSIONS_AT_ONCE = 100
"""Small enough that nobody at the front door waits long for a batch to be worked out."""
UNCONFIRMED_AFTER = timedelta(seconds=5)


def receiving_mailbox(submission: SubmissionAccepted, directory: Directory) -> str:
    """Return the mailbox that gets a letter: the chosen one, but a report (举报) goes past the unit it is about.

    One that was closed since the letter was accepted is followed by its successor.

    Then the mailbox above that unit gets it (R1.2). About the mayor's mailbox itself there is none above.

    Raises:
        UnknownMailbox: there is no such mailbox (R2.1).
    """
    about = submission.classification
    if about.reported_mailbox is not None:
        directory.get(about.reported_mailbox)
    return keeper(about, directory.get(submission.mailbox).code, directory)


@dataclass
class Submissions:
    """Stores what the front door accepted, in batches."""

    letters: Letters[Letter]
    contacts: Contacts
    attachments: Attachments
    parking: Parking
    changes: DirectoryChanges
    backlog: Backlog
    namespace: str

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a batch of `submissions`: contact data first, then the letters; each letter once, however often it comes."""
        if not records:
            return
        started = perf_counter()
        messages = [read(record, self.namespace) for record in records]
        await self._know_mailboxes(messages)
        store = partial(self._store, appended={record.key: record.timestamp / 1000 for record in records})
        async for attempt in patiently():
            with attempt:
                await salvage(messages, store, self.parking.aside_alone)
        self.backlog.stored(len(records))
        metrics.message_handling_seconds.labels("intake", SUBMISSIONS).observe(perf_counter() - started)
        metrics.message_batch_size.labels("intake", SUBMISSIONS).observe(len(records))

    async def _store(self, messages: Sequence[Message], appended: Mapping[bytes | None, float]) -> None:
        """Store submissions; `appended`: key → when the front door appended it, in real time whatever the services' clock says."""
        good: dict[str, SubmissionAccepted] = {}
        traces: dict[str, str] = {}
        mailboxes: dict[str, str] = {}
        bad: list[Message] = []
        for message in messages:
            try:
                submission, mailbox = self._read(message)
            except (ValidationError, UnknownMessageType, UnknownMailbox, ValueError) as error:
                message.error, message.stack = explain(error)
                bad.append(message)
            else:
                good.setdefault(submission.letter_id, submission)
                mailboxes.setdefault(submission.letter_id, mailbox)
                traces.setdefault(submission.letter_id, message.envelope.traceparent if message.envelope else "")

        def decide(letter_id: str, state: Letter | None, now: datetime) -> Sequence[Fact]:
            facts = domain.receive(state, good[letter_id], mailboxes[letter_id], now)
            if facts and (at := appended.get(letter_id.encode())):
                self.letters.outbox.accepted(letter_id, at)
            return facts

        await self.contacts.keep({letter_id: submission.contact for letter_id, submission in good.items()})
        await self.attachments.belong({i: [file.id for file in s.attachments] for i, s in good.items()})
        stored = await self.letters.command_many(good, decide, traces)
        queue, removed = strays(bad)
        removed |= {message.replay_of for message in messages if message.replay_of and message not in bad}
        await self.parking.keep({"": queue}, removed)
        for outcome, count in (
            ("handled", len(stored)),
            ("duplicate", len(messages) - len(bad) - len(stored)),
            ("parked", len(bad)),
        ):
            if count:
                metrics.messages_total.labels("intake", SUBMISSIONS, outcome).inc(count)

    async def remove_orphans(self) -> None:
        """Remove files that no letter named in time; while a submission is parked, none: it may name them."""
        if not await self.parking.holds(SUBMISSIONS):
            await self.attachments.remove_orphans()

    async def _know_mailboxes(self, messages: Sequence[Message]) -> None:
        """Catch up with the directory where a letter is for a mailbox that is not known here: its front door may know more (R1.1)."""
        for message in messages:
            try:
                self._read(message)
            except UnknownMailbox:
                await self.changes.catch_up()
                return
            except (ValidationError, UnknownMessageType, ValueError):
                continue

    def _read(self, message: Message) -> tuple[SubmissionAccepted, str]:
        if message.envelope is None or message.drop:
            raise ValueError(message.error or "dropped")
        submission = parse(message.envelope.type, message.value)
        if not isinstance(submission, SubmissionAccepted) or submission.letter_id != message.envelope.subject:
            raise ValueError(f"{message.envelope.type} is not the submission that its envelope names")
        if message.envelope.source != SOURCE:
            raise ValueError(f"only {SOURCE} accepts submissions, not {message.envelope.source!r}")
        return submission, receiving_mailbox(submission, self.changes.directory)


def _answers_citizen(fact: HandoffSent) -> bool:
    """Whether a hand-off gives the duty to answer to a mailbox that is connected and does not have the contact data yet."""
    return fact.answer_by is AnswerBy.ASSIGNEE and fact.receiver != fact.sender and fact.medium is Medium.SYSTEM


@dataclass
class Disclosure:
    """Whom intake tells: the receiving mailbox of the letter, and whoever must answer of the contact data (rule 4)."""

    contacts: Contacts
    directory: Directory

    async def tell(self, steps: Sequence[Step[Letter]]) -> Sequence[Telling]:
        """Return the messages for mailboxes that follow from steps."""
        known = await self._contacts(steps)
        told: list[Telling] = []
        for step in steps:
            fact, letter = step.fact, step.after
            contact = known.get(step.letter_id)
            if contact is None or letter is None:
                continue
            if isinstance(fact, LetterReceived) or self._moved(step):
                arrived = LetterArrived(
                    letter_id=fact.letter_id,
                    at=fact.at,
                    mailbox=keeper(letter.classification, letter.mailbox, self.directory),
                    subject=letter.subject,
                    body=letter.body,
                    classification=letter.classification,
                    contact=contact,
                    attachments=letter.attachments,
                    may_publish=letter.may_publish,
                )
                told.append(Telling(f"mailbox.{arrived.mailbox}", arrived, fact))
            elif isinstance(fact, HandoffSent) and _answers_citizen(fact):
                mailbox = keeper(letter.classification, fact.receiver, self.directory)
                disclosed = ContactDisclosed(
                    letter_id=fact.letter_id, at=fact.at, mailbox=mailbox, handoff_id=fact.handoff_id, contact=contact
                )
                told.append(Telling(f"mailbox.{mailbox}", disclosed, fact))
        return [telling for telling in told if not self._untold(telling, steps)]

    def _untold(self, telling: Telling, steps: Sequence[Step[Letter]]) -> bool:
        """Whether it is a report that its mailbox must not hear of; the latest classification counts."""
        letters = [step.after for step in steps if step.letter_id == telling.cause.letter_id and step.after]
        return untold(letters[-1].classification, telling.topic.removeprefix("mailbox."), self.directory)

    def _moved(self, step: Step[Letter]) -> bool:
        """Whether the letter turned out to be a report about its own mailbox, so that the one above has it now."""
        fact, letter = step.fact, step.after
        if not isinstance(fact, LetterReclassified) or letter is None:
            return False
        before, now = (keeper(about, letter.mailbox, self.directory) for about in (fact.before, fact.after))
        return now not in {before, letter.mailbox}

    async def _contacts(self, steps: Sequence[Step[Letter]]) -> dict[str, Contact]:
        wanted = {
            step.letter_id for step in steps if isinstance(step.fact, LetterReceived | LetterReclassified | HandoffSent)
        }
        return await self.contacts.get_many(wanted) if wanted else {}


def _registered(line: Line, state: Letter | None, _now: datetime) -> Sequence[Fact]:
    return domain.register(state, line.number, line.by, line.at)


@dataclass
class Registrar:
    """Gives letters their numbers, and finishes what a crash left between the line and the fact (R3.6)."""

    letters: Letters[Letter]
    register: Register
    _done: list[str] = field(default_factory=list)

    async def register_letter(self, stored: Stored[Letter], by: Actor, expected: int | None) -> Stored[Letter]:
        """Register a letter, given as it was just read; again: the same number (R3.8).

        Raises:
            RuleBroken: it was discarded or noted.
            Stale: it has another version than `expected`.
        """
        if expected is not None and stored.version != expected:
            raise Stale(stored.version)
        domain.may_register(stored.state)
        letter = domain.known(stored.state)
        if letter.number is not None:
            return stored
        now = self.letters.clock.now()
        about, tree = letter.classification, self.register.directory
        mailbox = keeper(about, letter.mailbox, tree) if hidden_from(about, letter.mailbox, tree) else letter.mailbox
        line = await self.register.line(mailbox, business_date(now).year, stored.id, by, now)
        after = await self.letters.command(stored.id, partial(_registered, line))
        self._done.append(stored.id)
        return after

    async def confirm(self) -> None:
        """Close the lines of letters that this process registered since the last time, in one write."""
        done, self._done = self._done, []
        try:
            await self.register.confirm(done)
        except StoreUnavailable:
            self._done += done
            raise

    async def confirm_left_lines(self, age: timedelta = UNCONFIRMED_AFTER) -> None:
        """Register letters whose line was written longer than `age` ago and never confirmed."""
        lines = await self.register.unconfirmed(age, 500)
        for line in lines:
            try:
                await self.letters.command(line.letter_id, partial(_registered, line))
            except RuleBroken as error:
                log.exception(
                    "a line of the register has no letter", extra={"letter_id": line.letter_id}, exc_info=error
                )
                continue
            await self.register.confirm([line.letter_id])

    async def restore(self, steps: Sequence[Step[Letter]]) -> None:
        """During a rebuild: write the register's lines as the facts tell them."""
        await self.register.rebuild(
            {
                step.letter_id: (step.fact.number, step.fact.by, step.fact.at)
                for step in steps
                if isinstance(step.fact, LetterRegistered)
            }
        )
