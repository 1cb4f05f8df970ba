"""What all letters of a run share: the load balancer's door, the ledger, the clerks who open the post, the units' way to Kafka."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.demo.city import Away, Refused
from tests.chaos.ground import Ground
from tests.chaos.ledger import Ledger
from tests.chaos.people import PATIENCE_SECONDS, Door, Stuck
from tests.chaos.plan import Errand, Plan
from tests.chaos.texts import Text, phone

LOOK_SECONDS = 0.4


@dataclass
class Office:
    """Where a run's letters meet."""

    plan: Plan
    ground: Ground
    door: Door
    ledger: Ledger
    texts: Sequence[Text]
    refused: int = 0
    """How often a letter was not taken, and was sent again under the same key."""
    _ids: dict[str, str] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)
    _producer: AIOKafkaProducer | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Inside, clerks look for unread letters, and actions can be put on topics."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.ground.world.settings.kafka_bootstrap, enable_idempotence=True
        )
        await producer.start()
        self._producer = producer
        clerks = asyncio.create_task(self._open_the_post())
        try:
            yield
        finally:
            clerks.cancel()
            await asyncio.gather(clerks, return_exceptions=True)
            await producer.stop()

    async def _open_the_post(self) -> None:
        """Each mailbox's clerk looks for unread letters, and knows them by their senders' numbers."""
        while True:
            for mailbox in sorted({errand.mailbox for errand in self.plan.errands}):
                try:
                    rows = await self.door.letters(mailbox)
                    for row in rows:
                        if row["letter_id"] not in self._opened:
                            seen = await self.door.letter(row["letter_id"], mailbox)
                            self._ids[seen["contact"]["phone"][-11:]] = row["letter_id"]
                            self._opened.add(row["letter_id"])
                except (Away, Refused):
                    continue
            await asyncio.sleep(LOOK_SECONDS)

    async def letter_id(self, errand: Errand) -> str:
        """Wait until the clerk has found the letter among the unread ones."""
        end = monotonic() + PATIENCE_SECONDS
        while phone(errand) not in self._ids:
            if monotonic() > end:
                raise Stuck("it was acknowledged and is in no list of unread letters")
            await asyncio.sleep(LOOK_SECONDS)
        return self._ids[phone(errand)]

    async def put(self, topic: str, key: str, value: bytes, headers: Mapping[str, str]) -> None:
        """Put a message on a topic, again until the broker has it."""
        assert self._producer is not None
        packed = [(name, text.encode()) for name, text in headers.items()]
        end = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                await self._producer.send_and_wait(
                    self.ground.world.namespace + topic, value, key=key.encode(), headers=packed
                )
            except KafkaError as error:
                if monotonic() > end:
                    raise Stuck(f"nothing can be put on {topic}: {error!r}") from error
                await asyncio.sleep(0.5)
            else:
                return

    def now(self) -> str:
        """The right time, as the ledger writes it."""
        return self.ground.clocks.now().isoformat()
