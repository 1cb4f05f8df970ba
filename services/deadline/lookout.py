"""Which letters a replica looks after, and up to which moment it knows all that happened to them.

A clock must not be declared overdue while the fact that stopped it still waits on the topic: after a downtime, or when the clock runs
fast, hours of facts may stand there. So a sweep judges by the last moment up to which this replica has handled every fact. And it
takes only letters whose partitions it is assigned: then this moment is known to it, and replicas share the work instead of racing for
it. Where two take the same letter while partitions move, the conditional write decides.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.calendar.clock import Clock
from shared.messaging.kafka import KafkaError, TopicPartition, partition_of

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a replica may judge now."""

    until: datetime
    """Every fact that was on the topic at this moment has been handled."""
    mine: Callable[[str], bool]
    """Whether a letter is this replica's to look after."""


@dataclass(slots=True)
class Lookout:
    """Watches how far a subscriber has come."""

    subscriber: Any
    topic: str
    clock: Clock
    _aim: tuple[datetime, dict[TopicPartition, int]] | None = None
    """A moment, and where the partitions ended then: once all of that is handled, the moment is reached."""

    async def look(self) -> Outlook | None:
        """Return what may be judged; none: facts are still on the way, or there is no partition, or no broker."""
        consumer = self.subscriber.consumer
        if consumer is None:
            return None
        mine = {partition for partition in consumer.assignment() if partition.topic == self.topic}
        everywhere = sorted(consumer.partitions_for_topic(self.topic) or ())
        if not mine or not everywhere:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._aim is None or self._aim[1].keys() != mine:
                    now = self.clock.now()
                    self._aim = (now, await consumer.end_offsets(list(mine)))
                until, ends = self._aim
                handled = await asyncio.gather(*(consumer.committed(partition) for partition in ends))
        except (KafkaError, TimeoutError) as error:
            log.warning("clocks are not judged while the broker is away", exc_info=error)
            return None
        if any((offset or 0) < end for offset, end in zip(handled, ends.values(), strict=True)):
            return None
        self._aim = None
        numbers = {partition.partition for partition in mine}
        return Outlook(until, lambda letter_id: partition_of(letter_id, everywhere) in numbers)
