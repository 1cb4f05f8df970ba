"""Whole journeys, driven over HTTP and topics; a process of its own that takes an order and gives a report.

Each journey is one letter to the mayor: submitted, read, reclassified, registered, assigned by slip and approval, collected and answered by
a unit (every second unit's system does it over `actions.<code>`, the others over HTTP), seen by the citizen, prepared and approved for
publication. What one service did reaches the others a moment later; until then they refuse, and the driver asks again.
"""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any
from uuid import uuid4

import orjson
import uvloop
from aiokafka import AIOKafkaProducer

from shared.calendar.clock import Clock
from shared.contracts.actions import Action, ApproveReply, CollectLetter, SubmitReply
from shared.contracts.envelope import pack
from tests.bench.client import Pool, request
from tests.bench.load import used
from tests.bench.mail import Mail, serial_of
from tests.bench.results import percentile
from tests.bench.watch import Watch

CONNECTIONS = 32
PATIENCE_SECONDS = 60.0
PAUSES_SECONDS = (0.1, 0.15, 0.25)
"""Between asking again; the last one from then on."""
NOT_YET = (403, 404, 409)
REPLY = "经现场核实，问题已处理完毕，感谢您的来信。"


def _pauses() -> Iterator[float]:
    return chain(PAUSES_SECONDS, repeat(PAUSES_SECONDS[-1]))


class Broken(Exception):
    """A step of a journey was answered otherwise than it must be."""


class Journeys:
    """Drives journeys."""

    def __init__(self, order: dict[str, Any], producer: AIOKafkaProducer) -> None:
        self._order = order
        self._producer = producer
        self._mail = Mail(
            order["run"],
            lambda letter: letter["mailbox"] == "mayor" and letter["nature"] != "report",
            {"may_publish": True},
        )
        self._pools = {name: Pool(port, CONNECTIONS) for name, port in order["ports"].items()}
        self._signs: dict[tuple[str, Any], asyncio.Future[dict[str, Any]]] = defaultdict(
            asyncio.get_running_loop().create_future
        )
        self._clock = Clock()
        self.again: Counter[str] = Counter()
        self.seconds: list[float] = []

    def heard(self, kind: str, letter_id: str, message: dict[str, Any], _at: float) -> None:
        """Wake whoever waits for this message."""
        about: Any = letter_id
        if kind == "LetterArrived":
            about, kind = serial_of(message["subject"]), "LetterArrived"
        elif kind in {"ActionDone", "ActionRefused"}:
            about, kind = message["action_id"], "Action"
        sign = self._signs[kind, about]
        if not sign.done():
            sign.set_result({**message, "letter_id": letter_id})

    async def _sign(self, kind: str, about: Any) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            message = await self._signs[kind, about]
        del self._signs[kind, about]
        return message

    async def _ask(self, who: str, method: str, path: str, body: Any = None, *, wait: bool = False) -> Any:
        """Send a request until it is answered with 200; with `wait`, a refusal may only mean that it is too early."""
        service = path.split("/", 2)[1]
        headers = {"authorization": f"Bearer {self._order['tokens'][who]}"} if who else {}
        ready = request(method, path, body, headers)
        end = time.perf_counter() + PATIENCE_SECONDS
        pauses = _pauses()
        while True:
            status, answer = await self._pools[service].send(ready)
            if status == 200:
                return orjson.loads(answer)
            if not wait or status not in NOT_YET or time.perf_counter() > end:
                raise Broken(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
            self.again[f"{service} {path.rsplit('/', 1)[1]}"[:40]] += 1
            await asyncio.sleep(next(pauses))

    async def _act(self, unit: str, action: Action) -> None:
        """Ask for something over `actions.<code>`; return when it took effect."""
        out = pack(
            action,
            topic=f"actions.{unit}",
            letter_id=action.letter_id,
            source=f"units/{unit}",
            id=str(uuid4()),
            time=self._clock.now(),
            traceparent="",
        )
        await self._producer.send(
            self._order["namespace"] + out.topic,
            out.value,
            key=out.key.encode(),
            headers=[(name, text.encode()) for name, text in out.headers.items()],
        )
        done = await self._sign("Action", out.id)
        if "rule" in done:
            raise Broken(f"{type(action).__name__}: {done['rule']} {done['reason']}")

    async def journey(self, serial: int) -> None:
        """Make one journey, from the POST until the letter is public."""
        began = time.perf_counter()
        status, answer = await self._pools["intake"].send(self._mail.request(serial))
        if status != 202:
            raise Broken(f"POST: {status} {answer[:300].decode(errors='replace')}")
        receipt = orjson.loads(answer)["status_url"]
        letter = (await self._sign("LetterArrived", serial))["letter_id"]
        units = self._order["units"]
        unit = units[serial % len(units)]
        await self._screen(letter, serial)
        await self._assign(letter, unit)
        if serial % 2:
            await self._answer_by_topic(letter, unit)
        else:
            await self._answer_by_http(letter, unit)
        for pause in _pauses():
            if (await self._ask("", "GET", receipt))["answers"]:
                break
            self.again["intake receipt"] += 1
            await asyncio.sleep(pause)
        await self._publish(letter, unit)
        self.seconds.append(time.perf_counter() - began)

    async def _screen(self, letter: str, serial: int) -> None:
        path = f"/intake/letters/{letter}"
        read = await self._ask("mayor clerk", "POST", f"{path}/read")
        other = "help" if read["classification"]["nature"] != "help" else "complaint"
        corrected = {
            "nature": other,
            "domain": read["classification"]["domain"],
            "region": read["classification"]["region"],
        }
        await self._ask("mayor clerk", "PUT", f"{path}/classification", corrected)
        registered = await self._ask("mayor clerk", "POST", f"{path}/register")
        if not registered["number"]:
            raise Broken(f"letter {serial} was registered without a number")

    async def _assign(self, letter: str, unit: str) -> None:
        slip = {
            "receiver": unit,
            "opinion": "拟交你单位办理",
            "requirements": "请依法依规办理，在规定期限内答复来信人",
            "answer_by": "assignee",
        }
        await self._ask("mayor clerk", "POST", f"/routing/letters/{letter}/slips", slip, wait=True)
        await self._ask("mayor head", "POST", f"/routing/letters/{letter}/slips/s1/approve")

    async def _answer_by_http(self, letter: str, unit: str) -> None:
        path = f"/routing/letters/{letter}/handoffs/s1"
        await self._ask(f"{unit} clerk", "POST", f"{path}/collect")
        await self._ask(f"{unit} clerk", "POST", f"{path}/replies", {"text": REPLY})
        await self._ask(f"{unit} head", "POST", f"{path}/replies/r1/approve")

    async def _answer_by_topic(self, letter: str, unit: str) -> None:
        handoff = (await self._sign("AssignmentArrived", letter))["handoff_id"]
        ends = {"letter_id": letter, "handoff_id": handoff}
        await self._act(unit, CollectLetter(**ends, person="duty"))
        await self._act(unit, SubmitReply(**ends, person="writer", text=REPLY))
        await self._act(unit, ApproveReply(**ends, person="head"))

    async def _publish(self, letter: str, unit: str) -> None:
        path = f"/publication/cases/{letter}"
        text = {"subject": "市民来信", "body": "来信反映的问题，经核实后公开。", "reply": REPLY}
        grounds = dict.fromkeys(("state_secret", "trade_secret", "privacy", "highly_sensitive"), False)
        case = await self._ask(f"{unit} clerk", "POST", f"{path}/prepare", {**text, **grounds}, wait=True)
        approval = {"text_hash": case["prepared"]["text_hash"], "confirm_marks": True}
        await self._ask(f"{unit} head", "POST", f"{path}/approve", approval)


async def driven(order: dict[str, Any]) -> dict[str, Any]:
    """Make `number` journeys, `in_flight` at a time, and begin at most `rate` a second if there is one; return how long it took."""
    producer = AIOKafkaProducer(bootstrap_servers=order["bootstrap"], acks="all", linger_ms=5)
    await producer.start()
    journeys = Journeys(order, producer)
    serials = iter(range(order["first"], order["first"] + order["number"]))

    rate = order["rate"]

    async def worker() -> None:
        for serial in serials:
            if rate is not None:
                await asyncio.sleep(began + (serial - order["first"]) / rate - time.perf_counter())
            await journeys.journey(serial)

    try:
        async with Watch(order["bootstrap"], order["topics"], journeys.heard):
            began = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(order["in_flight"])))
            seconds = time.perf_counter() - began
    finally:
        await producer.stop()
    return {
        "seconds": seconds,
        "p50_s": percentile(journeys.seconds, 0.5),
        "p99_s": percentile(journeys.seconds, 0.99),
        "again": dict(journeys.again),
        "cpu_seconds": used(),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(uvloop.run(driven(orjson.loads(sys.stdin.buffer.read())))))
