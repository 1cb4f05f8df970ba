"""How fast each projection is built again from `letters`."""

import asyncio
import re
import sys

from aiokafka import AIOKafkaProducer

from services import NAMES
from tests.bench.results import Result, check
from tests.bench.stories import packed, stories
from tests.bench.sustained import COLLECTION
from tests.bench.town import Town, per, tell

LETTERS = 5_200
_DONE = re.compile(r"rebuilt from ([\d,]+) facts in ([\d.]+) s")


async def measure(town: Town) -> list[Result]:
    """Put the stories of `LETTERS` letters on `letters`, then let each service build its projection, as an operator would."""
    tell(f"rebuild: making the stories of {LETTERS:,} letters")
    number = await _publish(town)
    return [await _rebuilt(town, name, number) for name in NAMES]


async def _publish(town: Town) -> int:
    producer = AIOKafkaProducer(
        bootstrap_servers=town.settings.kafka_bootstrap, enable_idempotence=True, linger_ms=20, max_batch_size=262_144
    )
    await producer.start()
    sent = []
    try:
        for facts in stories(LETTERS):
            for message in packed(facts):
                headers = [(name, text.encode()) for name, text in message.headers.items()]
                topic = town.namespace + message.topic
                sent.append(await producer.send(topic, message.value, key=message.key.encode(), headers=headers))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(sent)


async def _rebuilt(town: Town, name: str, number: int) -> Result:
    tell(f"rebuild: {name}, {number:,} facts")
    before = town.cpu()
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
    spent = per(before, town.cpu(), number)
    return Result(
        f"rebuild {name}",
        number / float(found[2]),
        "facts/s",
        None,
        "higher",
        {"facts": number, "letters": LETTERS, "seconds": float(found[2]), "CPU ms per fact": spent},
    )
