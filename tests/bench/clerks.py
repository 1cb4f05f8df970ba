"""How many things a second clerks, heads and units do on a store of a hundred thousand letters, and how long each takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from shared.directory import Role
from tests.bench.records import Records
from tests.bench.results import Result, check
from tests.bench.stock import fill, unread
from tests.bench.town import Town, per, tell, until

STORED = 100_000
NUMBER = 1_500
IN_FLIGHT = 16
UNIT = "education"
TEXT = "经现场核实，问题已处理完毕，感谢您的来信。"
SLIP = {
    "receiver": UNIT,
    "opinion": "拟交你单位办理",
    "requirements": "请依法依规办理，在规定期限内答复",
    "answer_by": "assigner",
}
CLASSIFICATION = {"nature": "suggestion", "domain": "utilities-power", "region": "500103"}


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that people do to a letter."""

    name: str
    mailbox: str
    role: Role
    method: str
    path: Callable[[str], str]
    body: Any
    fact: str
    """What must then stand on `letters`."""


def _intake(part: str) -> Callable[[str], str]:
    return lambda letter_id: f"/intake/letters/{letter_id}/{part}"


def _routing(part: str) -> Callable[[str], str]:
    return lambda letter_id: f"/routing/letters/{letter_id}/{part}"


DEEDS = (
    Deed("read", "mayor", Role.CLERK, "POST", _intake("read"), None, "LetterRead"),
    Deed("classify", "mayor", Role.CLERK, "PUT", _intake("classification"), CLASSIFICATION, "LetterReclassified"),
    Deed("register", "mayor", Role.CLERK, "POST", _intake("register"), None, "LetterRegistered"),
    Deed("assign", "mayor", Role.CLERK, "POST", _routing("slips"), SLIP, "SlipPrepared"),
    Deed("approve", "mayor", Role.HEAD, "POST", _routing("slips/s1/approve"), None, "HandoffSent"),
    Deed("collect", UNIT, Role.CLERK, "POST", _routing("handoffs/s1/collect"), None, "HandoffCollected"),
    Deed("reply", UNIT, Role.CLERK, "POST", _routing("handoffs/s1/replies"), {"text": TEXT}, "ReplySubmitted"),
    Deed("approve reply", UNIT, Role.HEAD, "POST", _routing("handoffs/s1/replies/r1/approve"), None, "ReplyApproved"),
    Deed(
        "answer", "mayor", Role.CLERK, "POST", _routing("answer"), {"channel": "phone", "text": TEXT}, "CitizenAnswered"
    ),
)


async def measure(town: Town) -> list[Result]:
    """Do each thing to `NUMBER` letters, `IN_FLIGHT` at a time; the next begins when all services have heard of the one before."""
    tell(f"clerks: storing {STORED:,} letters")
    began = time.perf_counter()
    await fill(town, STORED)
    stored = time.perf_counter() - began
    tell(f"clerks: stored in {stored:.0f} s")
    await town.start()
    letters = list(islice(unread(STORED), NUMBER))
    async with Records(town) as records:
        results = [await _done(town, records, deed, letters) for deed in DEEDS]
    for name in ("intake", "routing", "deadline", "publication"):
        check(f"letters of {name}", await town.count(name), STORED)
        check(f"messages of {name} that wait", await town.count(name, "waiting"), 0)
    total = sum(NUMBER / result.value for result in results if result.value)
    every = Result(
        "clerk actions",
        NUMBER * len(DEEDS) / total,
        "actions/s",
        None,
        "higher",
        {"p99 ms, the slowest": max(result.beside["p99 ms"] for result in results), "seconds to store": round(stored)},
        f"{IN_FLIGHT} in flight on {STORED:,} stored letters, each letter through all of {len(DEEDS)} actions",
    )
    return [every, *results]


async def _done(town: Town, records: Records, deed: Deed, letters: list[str]) -> Result:
    entry = town.directory.get(deed.mailbox)
    (person, *_) = entry.staff_with(deed.role)
    path = deed.path(letters[0])
    order = {
        "port": town.port(path.split("/")[1]),
        "token": town.token(person.subject, deed.mailbox, deed.role),
        "in_flight": IN_FLIGHT,
        "requests": [[deed.method, deed.path(letter_id), deed.body] for letter_id in letters],
    }
    before = town.cpu()
    report = await town.child("tests.bench.requests_load", order)
    await _everywhere(town, letters[-1], records)
    spent = per(before, town.cpu(), len(letters), {"load": report["cpu_seconds"]})
    check(f"{deed.name}: {report['wrong']}", report["statuses"], {"200": len(letters)})
    found = await records.distinct("letters", of_type=f"xinxiang.{deed.fact}.v1")
    check(f"{deed.fact} on letters", len(found), len(letters))
    tell(f"clerks: {deed.name} {len(letters) / report['seconds']:.0f}/s, p99 {report['p99_ms']:.0f} ms")
    return Result(
        f"  {deed.name}",
        len(letters) / report["seconds"],
        "actions/s",
        None,
        "higher",
        {
            "p50 ms": round(report["p50_ms"], 1),
            "p99 ms": round(report["p99_ms"], 1),
            "CPU ms per action": spent,
        },
    )


async def _everywhere(town: Town, letter_id: str, records: Records) -> None:
    """Wait until every service has seen all facts that are on `letters`: the versions of one letter agree, and nothing is to be sent."""

    async def quiet() -> bool:
        number = await records.number("letters")
        versions, unsent = set(), 0
        for name in ("intake", "routing", "deadline", "publication", "reporting"):
            collection = town.store.database(name)["rows" if name == "reporting" else "letters"]
            document = await collection.find_one({"_id": letter_id}, {"version": 1})
            versions.add(document["version"])
            unsent += await town.count(name, collection.name, {"unsent": {"$exists": True}})
        return len(versions) == 1 and not unsent and number == await records.number("letters")

    await until(quiet)
