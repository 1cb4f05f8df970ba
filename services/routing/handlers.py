"""What units' systems ask routing to do on `actions.<code>`, and the answer when it is refused."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Final

from pydantic import ValidationError

from services.routing.actions import USE_CASES
from services.routing.domain import Tree, Who
from services.routing.models import State
from services.routing.refusals import Refusal, Refusals
from services.routing.state import ON, action_key
from shared.contracts.actions import Action
from shared.contracts.catalogue import UnknownMessageType, parse
from shared.contracts.envelope import Attributes, BadEnvelope, event_id, pack
from shared.contracts.errors import RuleBroken
from shared.contracts.facts import Fact
from shared.contracts.mailbox import ActionRefused
from shared.contracts.types import Actor
from shared.messaging.broker import Record
from shared.messaging.changes import DirectoryChanges
from shared.messaging.kafka import KafkaBroker, UnknownTopicOrPartitionError
from shared.messaging.letters import Letters
from shared.messaging.parking import Message, explain, read, strays
from shared.messaging.patience import Conflict, patiently
from shared.messaging.salvage import salvage
from shared.observability import metrics

SOURCE: Final = "routing"
TOPIC: Final = "actions."
LONGEST_ID: Final = 100
VOUCHED: Final = frozenset({"clerk", "head", "leader"})
"""A unit's system answers for the role of the person it names; who approves must still be another person than the author."""


@dataclass(slots=True)
class Asked:
    """An action that could be read."""

    message: Message
    envelope: Attributes
    unit: str
    """From the topic's name, whatever the message says."""
    action: Action
    refusal: Refusal | None = None
    """What its unit must be told."""
    outcome: str = ""
    """Empty: it was not decided on, as a newer release wrote the letter."""

    @property
    def who(self) -> Who:
        """The person of the unit on whose behalf it is done."""
        actor = Actor(subject=self.action.person, name=self.action.person_name, mailbox=self.unit)
        return Who(actor=actor, roles=VOUCHED, caused_by=self.envelope.id)

    @property
    def key(self) -> str:
        """How it is remembered where it was refused."""
        return f"{self.envelope.subject}/{action_key(self.unit, self.envelope.id)}"


def pattern(namespace: str) -> str:
    """Return the regular expression of the topics `actions.<code>`."""
    return rf"^{re.escape(namespace + TOPIC)}[a-z0-9-]+$"


@dataclass
class Actions:
    """Takes what units' systems ask for. A batch costs one read and one write, however many letters it is about."""

    letters: Letters[State]
    changes: DirectoryChanges
    broker: KafkaBroker
    refusals: Refusals
    namespace: str = ""

    @property
    def tree(self) -> Tree:
        """The directory of mailboxes."""
        return self.changes.directory

    async def handle(self, records: Sequence[Record]) -> None:
        """Take a batch of actions: the handler of the subscriber.

        Every refusal is on the unit's mailbox topic before the batch is committed.

        Raises:
            StoreUnavailable: after a minute of retries; Kafka brings the batch again.
            KafkaError: the broker does not take the refusals; it brings the batch again.
        """
        if not records:
            return
        started = perf_counter()
        for unit in {record.topic.removeprefix(self.namespace + TOPIC) for record in records}:
            await self.changes.knows(unit)  # a unit that was just added may ask before this process knows of it
        async for attempt in patiently():
            with attempt:
                messages = [read(record, self.namespace) for record in records]
                await salvage(messages, self._handle, self.letters.parking.aside_alone)
        label = metrics.topic_label(TOPIC + "any")
        metrics.message_handling_seconds.labels(SOURCE, label).observe(perf_counter() - started)
        metrics.message_batch_size.labels(SOURCE, label).observe(len(records))

    async def _handle(self, messages: Sequence[Message]) -> None:
        asked: dict[str, list[Asked]] = defaultdict(list)
        bad: list[Message] = []
        for message in messages:
            try:
                one = self._read(message)
            except (BadEnvelope, UnknownMessageType, ValidationError) as error:
                message.error, message.stack = explain(error)
                bad.append(message)
            else:
                asked[one.envelope.subject].append(one)
        everything = [one for group in asked.values() for one in group]
        known = await self.refusals.of({one.key for one in everything})
        await self.letters.command_many(
            asked,
            lambda letter_id, state, now: self._decide(asked[letter_id], known, state, now),
            {letter_id: group[0].envelope.traceparent for letter_id, group in asked.items()},
        )
        if undecided := [one for one in everything if not one.outcome]:
            # A process of the newer release decides, once it has the topic: until then the batch comes again, in its order.
            raise Conflict(undecided[0].envelope.subject)
        failed = {message.origin: message for message in bad}
        failed |= {one.message.origin: one.message for one in everything if one.outcome == "parked"}
        for message in await self._answer(everything, list(failed.values())):
            failed[message.origin] = message
        handled = [one for one in everything if one.message.origin not in failed]
        queue, removed = strays(failed.values())
        removed |= {one.message.replay_of for one in handled if one.message.replay_of}
        if queue.items or removed:
            await self.letters.parking.keep({"": queue}, removed)
        self._count([one.outcome for one in handled] + ["parked"] * len(queue.items))

    def _read(self, message: Message) -> Asked:
        """Understand a message.

        Raises:
            BadEnvelope, UnknownMessageType, ValidationError: it is no action that this unit can ask for.
        """
        unit = message.topic.removeprefix(TOPIC)
        if unit not in self.tree:
            raise BadEnvelope(f"the directory has no mailbox {unit!r}")
        if message.drop:
            raise BadEnvelope("this records the decision to drop a parked action")
        envelope = message.envelope
        if envelope is None:
            raise BadEnvelope(message.error)
        if not 1 <= len(envelope.id) <= LONGEST_ID:
            raise BadEnvelope(
                f"ce_id, the action's id, has {len(envelope.id)} characters; 1 to {LONGEST_ID} are possible"
            )
        action = parse(envelope.type, message.value)
        if not isinstance(action, Action):
            raise BadEnvelope(f"{envelope.type} is no action")
        if action.letter_id != envelope.subject:
            raise BadEnvelope("letter_id is not the letter that ce_subject names")
        return Asked(message, envelope, unit, action)

    def _decide(
        self, group: Sequence[Asked], known: Mapping[str, Refusal], state: State | None, now: datetime
    ) -> list[Fact]:
        """Decide on one letter's actions in their order; called again when another write was faster."""
        facts: list[Fact] = []
        refused: set[str] = set()
        for one in group:
            one.refusal, one.outcome = None, "handled"
            if one.key in known or one.key in refused:
                before = known.get(one.key)
                one.outcome, one.refusal = "duplicate", None if before is None or before.told else before
                continue
            if state is not None and action_key(one.unit, one.envelope.id) in state.actions:
                one.outcome = "duplicate"
                continue
            try:
                decided = USE_CASES[type(one.action)].decide(state, one.who, self.tree, one.action, now)
                after = state
                for fact in decided:
                    after = ON[type(fact)](after, fact)
            except RuleBroken as broken:
                one.refusal = Refusal(broken.rule, str(broken), now)
                refused.add(one.key)
            except Exception as error:  # noqa: BLE001 - whatever it is, one action must not stop the others
                one.outcome = "parked"
                one.message.error, one.message.stack = explain(error)
            else:
                state = after
                facts += decided
        return facts

    async def _answer(self, asked: Sequence[Asked], bad: Sequence[Message]) -> list[Message]:
        """Tell units what was refused; return the messages whose units cannot be told."""
        refused = [(one, one.refusal) for one in asked if one.refusal is not None]
        await self.refusals.keep({one.key: refusal for one, refusal in refused})
        told = [(one.message, self._refusal(one.message, refusal)) for one, refusal in refused]
        now = self.letters.clock.now()
        told += [
            (message, self._refusal(message, Refusal("message", message.error, now)))
            for message in bad
            if not message.drop and not message.replay_of
        ]
        sent = await asyncio.gather(*(self._tell(message, refusal) for message, refusal in told if refusal))
        missed = {message.origin for message, reached in sent if not reached}
        await self.refusals.told(one.key for one, _ in refused if one.message.origin not in missed)
        return [message for message, reached in sent if not reached]

    def _refusal(self, message: Message, refusal: Refusal) -> ActionRefused | None:
        """Return what to tell the unit; none where there is no such unit or the action's id cannot be read."""
        unit = message.topic.removeprefix(TOPIC)
        headers = dict(message.headers)
        action_id = headers.get("ce_id", b"").decode(errors="replace")
        if unit not in self.tree or not 1 <= len(action_id) <= LONGEST_ID:
            return None
        kind = headers.get("ce_type", b"").decode(errors="replace")
        return ActionRefused(
            letter_id=message.key[:64],
            at=refusal.at,
            mailbox=unit,
            action_id=action_id,
            action=kind.removeprefix("xinxiang.").partition(".")[0][:LONGEST_ID],
            rule=refusal.rule,
            reason=refusal.reason,
        )

    async def _tell(self, message: Message, refusal: ActionRefused) -> tuple[Message, bool]:
        out = pack(
            refusal,
            topic=f"mailbox.{refusal.mailbox}",
            letter_id=refusal.letter_id,
            source=SOURCE,
            id=event_id(refusal.letter_id, SOURCE, 0, f"refused/{refusal.mailbox}/{refusal.action_id}"),
            time=refusal.at,
            traceparent=message.envelope.traceparent if message.envelope else "",
        )
        try:
            await self.broker.publish(
                out.value, topic=self.namespace + out.topic, key=out.key.encode(), headers=out.headers
            )
        except UnknownTopicOrPartitionError as error:
            message.error, message.stack = explain(error)
            return message, False
        return message, True

    def _count(self, outcomes: Sequence[str]) -> None:
        label = metrics.topic_label(TOPIC + "any")
        for outcome in set(outcomes):
            metrics.messages_total.labels(SOURCE, label, outcome).inc(outcomes.count(outcome))
