"""How fast each projection is built again from `letters`."""

import asyncio
import re
import resource
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random

from aiokafka import AIOKafkaProducer

from services import NAMES
from shared.contracts.envelope import Outgoing
from tests.bench.results import Result, check
from tests.bench.stories import packed, stories
from tests.bench.sustained import COLLECTION
from tests.bench.town import Town, per, tell

LETTERS = 5_200
OPEN = 1_000
"""Letters under way at once: their facts stand interleaved on the topic, as those of a city do."""
_DONE = re.compile(r"rebuilt from ([\d,]+) facts in ([\d.]+) s")


async def measure(town: Town) -> list[Result]:
    """Put the stories of `LETTERS` letters on `letters`, then let each service build its projection, as an operator would."""
    tell(f"rebuild: making the stories of {LETTERS:,} letters")
    number = await publish(town, _interleaved())
    return [await _rebuilt(town, name, number) for name in NAMES]


async def publish(town: Town, messages: Iterable[Outgoing]) -> int:
    """Put messages on their topics; return how many there were."""
    producer = AIOKafkaProducer(
        bootstrap_servers=town.settings.kafka_bootstrap, enable_idempotence=True, linger_ms=20, max_batch_size=262_144
    )
    await producer.start()
    sent = []
    try:
        for message in messages:
            headers = [(name, text.encode()) for name, text in message.headers.items()]
            topic = town.namespace + message.topic
            sent.append(await producer.send(topic, message.value, key=message.key.encode(), headers=headers))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(sent)


def _interleaved() -> Iterator[Outgoing]:
    """Return all facts, each letter's in their order, the letters mixed."""
    random = Random(1)
    coming = (deque(packed(facts)) for facts in stories(LETTERS))
    under_way = list(islice(coming, OPEN))
    while under_way:
        place = random.randrange(len(under_way))
        yield under_way[place].popleft()
        if not under_way[place]:
            following = next(coming, None)
            if following is None:
                under_way[place] = under_way[-1]
                under_way.pop()
            else:
                under_way[place] = following


async def _rebuilt(town: Town, name: str, number: int) -> Result:
    tell(f"rebuild: {name}, {number:,} facts")
    before, own = town.cpu(), _children()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.rebuild", name, env=town.environment(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found = _DONE.search(output.decode())
    if process.returncode or found is None:
        raise RuntimeError(f"services.rebuild {name} ended with status {process.returncode}")
    check("facts read", int(found[1].replace(",", "")), number)
    collection = COLLECTION.get(name, "letters")
    check(f"letters of {name}", await town.count(name, collection), LETTERS)
    check(f"messages of {name} that wait", await town.count(name, "waiting"), 0)
    check(
        f"letters of {name} with something left to say",
        await town.count(name, collection, {"unsent": {"$exists": True}}),
        0,
    )
    spent = per(before, town.cpu(), number, {name: _children() - own})
    return Result(
        f"rebuild {name}",
        number / float(found[2]),
        "facts/s",
        None,
        "higher",
        {"facts": number, "letters": LETTERS, "seconds": float(found[2]), "CPU ms per fact": spent},
    )


def _children() -> float:
    """Return the CPU seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
