"""Repairs of aiokafka 0.14 and FastStream 0.7, each for something that was seen. Try them again when a pin moves. When a broker went away:

1. *Calm.* While a partition has no leader, consumers and producers ask for metadata again at once: thousands of times a second, each
   time with two lines in the log. Here they wait a moment, with jitter.
2. *Patience.* A batch that waits for a leader longer than `request_timeout_ms` is given up, but its sequence numbers are spent; the broker
   then refuses everything later of that partition as out of order, for ever. Here a batch waits until it is sent. What waits is bounded:
   one batch for each partition; whoever adds to a full one is refused after `request_timeout_ms`.
3. *A new start.* Should sequence numbers be out of order all the same, the producer takes a new id and counts from the beginning, as
   Kafka's own client does. The refused batch fails and is sent again by whoever keeps it (outbox, citizen).
4. *A quiet end.* A consumer that is stopped while a fetch of its waits to be tried again lets that task's cancellation out, as if whoever
   stops it were cancelled: a service then ended with an error, or, while starting, gave up for ever. Here it stays inside.

When replicas come and go:

5. *By its name.* A commit that a rebalance forestalled is no error: its messages come again, and are known by their ids. Here it is a
   warning in the log.

And when somebody sent a header whose name is no UTF-8:

6. *Lenience.* See `lenient.py`.

And when nothing comes:

7. *Modesty.* A client that follows no topic, such as a producer that has sent nothing yet, asks for all topics there are, every 15 s.
   Here it asks for none.
8. *Listening.* After a poll that found nothing, FastStream sleeps as long as it had polled and does not listen: polls had to be short for
   messages to be prompt, and every subscriber polled twenty times a second for nothing. Here it listens all the time.
"""

import asyncio
import logging
import random
from itertools import chain
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    OutOfOrderSequenceNumber,
    RebalanceInProgressError,
    UnknownMemberIdError,
    UnknownProducerId,
)
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.producer.transaction_manager import NO_PRODUCER_EPOCH, NO_PRODUCER_ID, PidAndEpoch
from aiokafka.protocol.metadata import MetadataRequest
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.messaging.lenient import read_any_header_name

CALM_SECONDS = 0.4
"""About how long to wait before asking again who leads a partition."""

_FORESTALLED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)

_ask_who_leads = AIOKafkaClient._metadata_update  # noqa: SLF001
_close = Fetcher.close
_can_retry = SendProduceReqHandler._can_retry  # noqa: SLF001


async def _ask_calmly(client: Any, cluster: Any, topics: Any) -> bool:
    answered: bool
    if not topics and cluster is client.cluster and cluster.brokers() and not cluster._listeners:  # noqa: SLF001
        answered = await _ask_for_brokers(client, cluster)
    else:
        answered = await _ask_who_leads(client, cluster, topics)
    led = answered and all(
        len(cluster.available_partitions_for_topic(topic) or ()) == len(cluster.partitions_for_topic(topic) or ())
        for topic in topics or ()
    )
    if not led:
        await asyncio.sleep(CALM_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
    return answered


async def _ask_for_brokers(client: Any, cluster: Any) -> bool:
    try:
        cluster.update_metadata(await client.send(client.get_random_node(), MetadataRequest([])))
    except (KafkaError, TimeoutError):
        return False
    return True


def _never_expired(_batch: Any) -> bool:
    return False


def _retry_or_start_anew(handler: Any, error: Any, batch: Any) -> bool:
    producer = handler._sender._txn_manager  # noqa: SLF001
    if producer is not None and isinstance(error, OutOfOrderSequenceNumber | UnknownProducerId):
        producer._pid_and_epoch = PidAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)  # noqa: SLF001
        producer._pid_waiter = asyncio.get_running_loop().create_future()  # noqa: SLF001
        producer._sequence_numbers.clear()  # noqa: SLF001
        return False
    retry: bool = _can_retry(handler, error, batch)
    return retry


async def _close_quietly(fetcher: Any) -> None:
    fetcher._fetch_task.cancel()  # noqa: SLF001 - which starts the others
    await asyncio.gather(fetcher._fetch_task, return_exceptions=True)  # noqa: SLF001
    fetches = list(fetcher._pending_tasks)  # noqa: SLF001
    for fetch in fetches:
        fetch.cancel()
    await asyncio.gather(*fetches, return_exceptions=True)
    fetcher._pending_tasks.clear()  # noqa: SLF001
    await _close(fetcher)


async def _listen(subscriber: Any, consumer: Any) -> tuple[Any, ...]:
    found = await consumer.getmany(timeout_ms=subscriber.batch_timeout_ms, max_records=subscriber.max_records)
    return tuple(chain.from_iterable(found.values()))


def _forestalled_is_a_warning(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple) and any(isinstance(value, _FORESTALLED) for value in record.args):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def repair() -> None:
    """Put the repairs in place, for every client of this process; again: nothing changes."""
    read_any_header_name()
    AIOKafkaClient._metadata_update = _ask_calmly  # noqa: SLF001
    MessageBatch.expired = _never_expired
    Fetcher.close = _close_quietly
    SendProduceReqHandler._can_retry = _retry_or_start_anew  # noqa: SLF001
    BatchSubscriber.get_msg = _listen  # type: ignore[method-assign, assignment]
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(_forestalled_is_a_warning)
