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
5. *Broken is away.* Where a request is written to a connection that has just been closed, uvloop raises RuntimeError; asyncio's own loop
   says nothing, and aiokafka knows OSError only: the task that fetched, sent or kept a consumer in its group ended, and nothing came, or
   went, any more, while the process was well. Here the connection is given up, as after any other error of it.
6. *Second sight.* The topics of a pattern may change while a consumer looks up who coordinates its group: a broker that comes back does
   not know all of them yet. The consumer takes a subscription that is over for a good one, and fails. Here it looks again.
7. *Getting up.* Whatever ends the tasks that fetch for a consumer and keep it in its group, nothing starts them again. Here the next poll
   does.

When replicas come and go:

8. *By its name.* A commit that a rebalance forestalled is no error: its messages come again, and are known by their ids. Here it is a
   warning in the log.

And when somebody sent a header whose name is no UTF-8:

9. *Lenience.* See `lenient.py`.

And when nothing comes:

10. *Modesty.* A client that follows no topic, such as a producer that has sent nothing yet, asks for all topics there are, every 15 s.
   Here it asks for none.
11. *Listening.* After a poll that found nothing, FastStream sleeps as long as it had polled and does not listen: polls had to be short for
   messages to be prompt, and every subscriber polled twenty times a second for nothing. Here it listens all the time.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import wraps
from itertools import chain
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaConnectionError,
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

log = logging.getLogger(__name__)

CALM_SECONDS = 0.4
"""About how long to wait before asking again who leads a partition."""

_FORESTALLED = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)

_send = AIOKafkaConnection.send
_send_token = AIOKafkaConnection._send_sasl_token  # noqa: SLF001
_ask_who_leads = AIOKafkaClient._metadata_update  # noqa: SLF001
_close = Fetcher.close
_need_rejoin = GroupCoordinator.need_rejoin
_can_retry = SendProduceReqHandler._can_retry  # noqa: SLF001


def _sent_or_broken(send: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(send)
    def sent(connection: Any, *request: Any, **named: Any) -> Any:
        try:
            return send(connection, *request, **named)
        except KafkaError:
            raise
        except RuntimeError as error:
            connection.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error

    return sent


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


def _rejoin_or_look_again(coordinator: Any, subscription: Any) -> bool:
    # Joining a group begins with a look at whether the subscription is still the one in force.
    return not subscription.active or _need_rejoin(coordinator, subscription)


def _get_up(consumer: Any) -> None:
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    if coordinator._coordination_task.done() and not coordinator._closing.done():  # noqa: SLF001
        log.error("a consumer fell out of its group; it joins again", extra={"group": coordinator.group_id})
        coordinator._coordination_task = asyncio.create_task(coordinator._coordination_routine())  # noqa: SLF001
    if fetcher._fetch_task.done() and not fetcher._closed:  # noqa: SLF001
        log.error("a consumer had ceased to fetch; it begins again", extra={"group": coordinator.group_id})
        fetcher._fetch_task = asyncio.create_task(fetcher._fetch_requests_routine())  # noqa: SLF001


async def _listen(subscriber: Any, consumer: Any) -> tuple[Any, ...]:
    _get_up(consumer)
    found = await consumer.getmany(timeout_ms=subscriber.batch_timeout_ms, max_records=subscriber.max_records)
    return tuple(chain.from_iterable(found.values()))


def _forestalled_is_a_warning(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple) and any(isinstance(value, _FORESTALLED) for value in record.args):
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def repair() -> None:
    """Put the repairs in place, for every client of this process; again: nothing changes."""
    read_any_header_name()
    AIOKafkaConnection.send = _sent_or_broken(_send)
    AIOKafkaConnection._send_sasl_token = _sent_or_broken(_send_token)  # noqa: SLF001
    AIOKafkaClient._metadata_update = _ask_calmly  # noqa: SLF001
    MessageBatch.expired = _never_expired
    Fetcher.close = _close_quietly
    SendProduceReqHandler._can_retry = _retry_or_start_anew  # noqa: SLF001
    GroupCoordinator.need_rejoin = _rejoin_or_look_again
    BatchSubscriber.get_msg = _listen  # type: ignore[method-assign, assignment]
    logging.getLogger("aiokafka.consumer.group_coordinator").addFilter(_forestalled_is_a_warning)
