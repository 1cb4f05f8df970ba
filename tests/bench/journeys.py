"""How many whole journeys a second the five services make, from a citizen's hand to a published answer."""

from collections import Counter
from typing import Any

from shared.directory import Role
from tests.bench.records import Records
from tests.bench.results import Result, check
from tests.bench.town import Town, per, tell, until

NUMBER = 1_000
WARM_UP = 60
IN_FLIGHT = 64
UNITS = 12
FACTS = (
    "LetterReceived",
    "LetterRead",
    "LetterReclassified",
    "LetterRegistered",
    "SlipPrepared",
    "HandoffSent",
    "HandoffCollected",
    "ReplySubmitted",
    "ReplyApproved",
    "CitizenAnswered",
    "ReplyDueSet",
    "PublicationPrepared",
    "LetterPublished",
)
"""The facts of one journey."""


async def measure(town: Town) -> list[Result]:
    """Drive `NUMBER` journeys with `IN_FLIGHT` under way."""
    await town.start()
    await drive(town, WARM_UP, 0)
    tell(f"journeys: {NUMBER}, {IN_FLIGHT} under way")
    before = town.cpu()
    report = await drive(town, NUMBER, WARM_UP)
    await _consumed(town, WARM_UP + NUMBER)
    spent = per(before, town.cpu(), NUMBER, {"load": report["cpu_seconds"]})
    await verify(town, WARM_UP + NUMBER)
    return [
        Result(
            "journeys",
            NUMBER / report["seconds"],
            "journeys/s",
            60,
            "higher",
            {
                "journeys": NUMBER,
                "facts/s": round(NUMBER * len(FACTS) / report["seconds"], 1),
                "seconds of one journey, p50 and p99": f"{report['p50_s']:.2f} and {report['p99_s']:.2f}",
                "asked again because it was too early, per journey": round(sum(report["again"].values()) / NUMBER, 2),
                "CPU ms per journey": spent,
            },
            f"12 requests or actions each, {len(FACTS)} facts, all counted on `letters`; numbers 1 to n without a gap",
        )
    ]


async def _consumed(town: Town, number: int) -> None:
    """Wait until reporting, which tells nobody anything, has seen the last fact of each journey."""

    async def consumed() -> bool:
        return await town.count("reporting", "rows", {"state.published_at": {"$exists": True}}) >= number

    await until(consumed)


async def drive(town: Town, number: int, first: int, rate: float | None = None) -> dict[str, Any]:
    """Make journeys, as many as go or `rate` a second; return the driver's report."""
    units = [
        mailbox
        for mailbox in town.directory.children("mayor")
        if mailbox.kind.is_unit and mailbox.staff_with(Role.CLERK) and mailbox.staff_with(Role.HEAD)
    ][:UNITS]
    tokens = {
        f"{mailbox.code} {role}": town.token(mailbox.staff_with(role)[0].subject, mailbox.code, role)
        for mailbox in [town.directory.mayor, *units]
        for role in (Role.CLERK, Role.HEAD)
    }
    codes = [town.directory.mayor.code, *(unit.code for unit in units)]
    order = {
        "run": "journeys",
        "first": first,
        "number": number,
        "in_flight": IN_FLIGHT,
        "rate": rate,
        "ports": {name: town.port(name) for name in ("intake", "routing", "publication")},
        "tokens": tokens,
        "units": [unit.code for unit in units],
        "namespace": town.namespace,
        "bootstrap": town.settings.kafka_bootstrap,
        "topics": [f"{town.namespace}mailbox.{code}" for code in codes],
    }
    return await town.child("tests.bench.journey_load", order)


async def verify(town: Town, number: int) -> None:
    """Count every fact on `letters` once, and look at the register."""
    seen = set()
    async with Records(town) as records:
        async for envelope, _ in records.all("letters"):
            seen.add((envelope.subject, envelope.source, envelope.seq, envelope.type.split(".")[1]))
    counts = Counter(fact[3] for fact in seen)
    check("facts on `letters`", dict(counts), dict.fromkeys(FACTS, number))
    lines = town.store.database("intake")["register"].find({}, {"_id": 1})
    serials = sorted([int(line["_id"].rpartition("/")[2]) async for line in lines])
    check("numbers", serials == list(range(1, number + 1)), True)
