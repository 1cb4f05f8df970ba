"""The ground the journey starts from: topics, and a store that holds no letters but the demonstration's own."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy import topics
from deploy.engines import EngineError
from services import NAMES
from services.settings import Settings
from shared.directory import load_directory
from shared.messaging.connection import client_options
from shared.storage import Store

GONE_LOOKS = 150
"""How often to look whether deleted topics are gone, every fifth of a second."""


async def prepare(settings: Settings, *, interrupted: bool, finished: bool) -> str:
    """Make the topics; forget what an interrupted journey left. Returns what was done, in a few words.

    Raises:
        EngineError: the engines hold letters that are not the demonstration's.
    """
    codes = [mailbox.code for mailbox in load_directory(settings.directory_file).mailboxes()]
    forgotten = ""
    if interrupted:
        await _forget(settings, codes)
        forgotten = "; what an interrupted run had left is forgotten"
    created, changed = await topics.apply(settings.kafka, settings.namespace, codes)
    if not finished and not interrupted and await _letters(settings):
        raise EngineError(
            f"{settings.kafka_bootstrap} holds letters already, and they are not the demonstration's. `make reset` forgets them; "
            "to keep them, give the demonstration a NAMESPACE or a DEMO_INSTANCE of its own."
        )
    return f"{created} topics made, {changed} changed{forgotten}"


async def _letters(settings: Settings) -> int:
    """Return how many messages are on `submissions` and `letters`."""
    consumer = AIOKafkaConsumer(**client_options(settings.kafka))
    await consumer.start()
    try:
        declared = [t for t in topics.declared("", ()) if t.name in ("submissions", "letters")]
        wanted = [TopicPartition(settings.namespace + t.name, n) for t in declared for n in range(t.partitions)]
        return sum((await consumer.end_offsets(wanted)).values())
    finally:
        await consumer.stop()


async def _forget(settings: Settings, codes: Sequence[str]) -> None:
    """Delete exactly the topics and databases of this namespace that the services declare."""
    store = Store(settings.mongo_url, settings.namespace)
    for name in NAMES:
        await store.drop(name)
    store.close()
    names = {topic.name for topic in topics.declared(settings.namespace, codes)}
    admin = AIOKafkaAdminClient(**client_options(settings.kafka))
    await admin.start()
    try:
        present = names & set(await admin.list_topics())
        if present:
            await admin.delete_topics(sorted(present))
        for _ in range(GONE_LOOKS):
            if not names & set(await admin.list_topics()):
                return
            await asyncio.sleep(0.2)
        raise EngineError("Kafka has not deleted the topics of the interrupted run: `make reset`, then start again")
    finally:
        await admin.close()
