"""A unit's own system (单位业务系统): hears on `mailbox.<code>` what the unit is told, asks on `actions.<code>` for what is to be done.

    python -m deploy.demo.unit_system urban-management

It collects each assignment at once, drafts the reply when that is done, has it approved by another person, and logs what was refused and
why. It knows nothing of the services but these two topics. Each action's id follows from the letter and the move, so a message that comes
twice, or a restart at any moment, asks for nothing twice. `NAMESPACE` and
`KAFKA_…` as for the services, with the credentials of the unit where the broker asks for some.
"""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.settings import load_settings
from shared.messaging.connection import client_options

REPLIES = Path("deploy/sample/replies.jsonl")


class UnitSystem:
    """Works off what the unit is told; `files` is what it would keep in a database of its own: letter id → assignment."""

    def __init__(self, code: str, producer: Any, topic: str) -> None:
        self.code, self.producer, self.topic = code, producer, topic
        self.files: dict[str, dict[str, Any]] = {}
        lines = REPLIES.read_text(encoding="utf-8").splitlines()
        self.texts = {reply["domain"]: reply["text"] for reply in map(json.loads, lines)}

    async def told(self, kind: str, message: dict[str, Any]) -> None:
        """One thing the unit is told."""
        letter_id = message["letter_id"]
        if kind == "ActionDone" and letter_id not in self.files:
            return  # its assignment has expired from the topic: long done
        match kind, message.get("action"):
            case "AssignmentArrived", _:
                self.files[letter_id] = message
                await self.ask("CollectLetter", letter_id, "clerk")
            case "ActionDone", "CollectLetter":
                domain = self.files[letter_id]["classification"]["domain"]
                text = self.texts.get(
                    domain, "您好！来信收悉。经现场核实，您反映的情况属实，已安排专人整改。感谢您的来信。"
                )
                await self.ask("SubmitReply", letter_id, "clerk", text=text)
            case "ActionDone", "SubmitReply":
                await self.ask("ApproveReply", letter_id, "head")
            case "ActionRefused", action:
                print(f"refused: {action} on {letter_id}: {message['rule']} {message['reason']}", flush=True)
            case _:
                print(f"told: {kind} {letter_id}", flush=True)

    async def ask(self, action: str, letter_id: str, role: str, **more: str) -> None:
        """Ask for something, in the name of the unit's clerk or head."""
        handoff_id = self.files[letter_id]["handoff_id"]
        body = {"letter_id": letter_id, "handoff_id": handoff_id, "person": f"{self.code}-{role}", **more}
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid5(NAMESPACE_URL, f"{letter_id}/{handoff_id}/{action}")),
            "ce_type": f"xinxiang.{action}.v1",
            "ce_source": f"/units/{self.code}",
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_subject": letter_id,
        }
        await self.producer.send_and_wait(
            self.topic,
            json.dumps(body, ensure_ascii=False).encode(),
            key=letter_id.encode(),
            headers=[(name, value.encode()) for name, value in headers.items()],
        )
        print(f"asked: {action} {letter_id}", flush=True)


async def run(code: str) -> None:
    """Work until told to stop. It reads from the beginning each time: its files are in memory, and repeated actions do no harm."""
    settings = load_settings()
    namespace, kafka = settings.namespace, client_options(settings.kafka)
    topics = (f"{namespace}mailbox.{code}",)
    consumer: Any = AIOKafkaConsumer(*topics, **kafka, auto_offset_reset="earliest")
    producer: Any = AIOKafkaProducer(**kafka, enable_idempotence=True)
    await consumer.start()
    await producer.start()
    try:
        system = UnitSystem(code, producer, f"{namespace}actions.{code}")
        async for record in consumer:
            kind = dict(record.headers)["ce_type"].decode().split(".")[1]
            await system.told(kind, json.loads(record.value))
    finally:
        await producer.stop()
        await consumer.stop()


async def main(code: str) -> None:
    """Run until SIGTERM."""
    work = asyncio.ensure_future(run(code))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    await asyncio.gather(work, return_exceptions=True)
    if not work.cancelled() and (error := work.exception()):
        raise error


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
