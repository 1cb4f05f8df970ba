"""Looking at topics: where they end, and what is on them."""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy import topics
from shared.contracts.envelope import Attributes, attributes
from tests.bench.town import Town


class Records:
    """Reads topics of a town without a group, in order per partition."""

    def __init__(self, town: Town) -> None:
        self._namespace = town.namespace
        codes = [mailbox.code for mailbox in town.directory.mailboxes()]
        self.mailboxes = [f"mailbox.{code}" for code in codes]
        self._partitions = {topic.name: topic.partitions for topic in topics.declared(town.namespace, codes)}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=town.settings.kafka_bootstrap.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def _of(self, names: Sequence[str]) -> list[TopicPartition]:
        full = [self._namespace + name for name in names]
        return [TopicPartition(name, number) for name in full for number in range(self._partitions[name])]

    async def number(self, *names: str) -> int:
        """Return how many records are on topics now, repeated ones included."""
        ends = await self._consumer.end_offsets(self._of(names))
        return sum(ends.values())

    async def all(self, *names: str) -> AsyncIterator[tuple[Attributes, bytes]]:
        """Go through everything that is on topics now."""
        async for record in self._records(*names):
            yield attributes(record.headers), record.value

    async def moments(self, *names: str) -> dict[str, list[float]]:
        """Return by kind of message when each that is on topics now was sent, in seconds since 1970."""
        found: dict[str, list[float]] = defaultdict(list)
        async for record in self._records(*names):
            found[attributes(record.headers).type.split(".")[1]].append(record.timestamp / 1000)
        return found

    async def _records(self, *names: str) -> AsyncIterator[Any]:
        partitions = self._of(names)
        ends = await self._consumer.end_offsets(partitions)
        left = {partition for partition in partitions if ends[partition]}
        self._consumer.assign(list(left))
        if left:
            await self._consumer.seek_to_beginning(*left)
        while left:
            fetched: dict[TopicPartition, list[Any]] = await self._consumer.getmany(timeout_ms=500, max_records=2000)
            for partition, batch in fetched.items():
                for record in batch:
                    if record.offset < ends[partition]:
                        yield record
            left = {p for p in left if await self._consumer.position(p) < ends[p]}
        self._consumer.assign([])

    async def distinct(self, *names: str, of_type: str) -> set[str]:
        """Return the letter ids of the messages of one type, e.g. `xinxiang.LetterArrived.v1`."""
        return {envelope.subject async for envelope, _ in self.all(*names) if envelope.type == of_type}
