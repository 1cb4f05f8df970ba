"""A city to be fuzzed: all services in one process of its own, with letters at every stage and what can be asked about them."""

import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from deploy.engines.ports import free
from tests.access_letters import Letter
from tests.access_table import MAILBOXES, ROLES, place, rows
from tests.component.test_access import City, city_of, through_the_front_door
from tests.conftest import World, eventually
from tests.e2e.fleet import Run
from tests.fuzz.requests import Known, Person

STAGES: Final = (
    *(
        "unread",
        "pending",
        "forwarded",
        "slip",
        "sent",
        "withdrawn",
        "collected",
        "faxed",
        "asked",
        "instructed",
        "urged",
    ),
    *("drafted", "replied", "redo", "inside", "answered", "prepared", "published"),
)


@asynccontextmanager
async def all_services(world: World, folder: Path) -> AsyncIterator[Run]:
    """The services in one process of its own, ready."""
    (port,) = free(1)
    environment = world.environment() | {"JWKS_FILE": str(world.keys / "jwks.json"), **LIMITS}
    run = Run("all", port, folder / "all.log", environment)
    run.start()
    try:
        await eventually(run.is_ready, 60)
        yield run
    finally:
        run.kill()


@asynccontextmanager
async def fuzzed_city(world: World, folder: Path, copies: int) -> AsyncIterator[tuple[Run, Known]]:
    """The process, ready, and what exists in its city: at each stage `copies` letters for each operation that needs one there."""
    async with city_of(world) as city:
        await through_the_front_door(city)
        needed = Counter(row.stage for row in rows())
        letters = {stage: [city.letter() for _ in range(copies * max(1, needed[stage]))] for stage in STAGES}
        await city.bring(letters)
        known = _known(city, letters)
    async with all_services(world, folder) as run:
        yield run, known


LIMITS: Final = {"WRITE_LIMIT": "", "FORM_LIMIT": "", "UPLOAD_LIMIT": "", "FOLLOW_LIMIT": "", "CHALLENGE": "off"}
"""Floods are for other tests: here each request must get through to what it is for."""


def _known(city: City, letters: Mapping[str, list[Letter]]) -> Known:
    receipts = "/intake/receipts/{code}"
    every = [letter for of_stage in letters.values() for letter in of_stage]
    parts = {
        "letter_id": [letter.id for letter in every] + [city.known["letter_id"]],
        "slip_id": ["s1", "s2"],
        "handoff_id": ["s1", "s2"],
        "reply_id": ["r1"],
        "extension_id": ["e1"],
        "instruction_id": ["i1"],
        "count": ["1", "2"],
        "code": [*MAILBOXES],
        "/routing/directory/mailboxes/{code}/close#code": ["water"],
        f"{receipts}#code": [city.known["receipt"]],
        "number": [letter.number.ascii for letter in every],
        "name": ["附件1.png"],
        "attachment_id": [city.known["attachment_id"]],
        "check_id": [city.known["check_id"], city.known["disputed"]],
        "place": ["1", "2"],
        "week": ["2026-W09", "2026-W10"],
        "period": ["2025-Q4", "2026-Q1", "2025"],
        "indicator": ["in-time"],
        "id": ["weekly-mayor-2026-W10", "weekly-mayor-2026-W09", "monthly-education-2026-02"],
        "kind": ["html", "xlsx", "pdf"],
        "month": ["2026-03"],
        "part": ["1"],
        "suffix": ["csv", "jsonl", "json"],
    }
    people = [Person("nobody")]
    for mailbox in MAILBOXES:
        for sign, roles in ROLES.items():
            if sign not in "dC" or mailbox == "mayor":
                name = f"{mailbox} {'+'.join(roles)}"
                people.append(Person(name, city.world.token(f"{mailbox}-fuzz-{roles[0]}", mailbox, *roles)))
    by_name = {person.name: person for person in people}
    fitting: dict[str, list[tuple[Person, dict[str, str]]]] = defaultdict(list)
    before: Counter[str] = Counter()
    for row in rows():
        who = [by_name[f"{mailbox} {'+'.join(ROLES[role])}"] for mailbox, role in sorted(row.who)] or people
        there = letters.get(row.stage, letters["published"])
        # Each operation begins with a letter that no other has changed.
        for letter in there[before[row.stage] :] + there[: before[row.stage]]:
            given = {"attachment_id": "0" * 32, "name": "附件1.png", **city.known}
            if row.stage not in {"none", "real"}:
                del given["letter_id"]
            filled = place(row, letter, **given)
            found = re.fullmatch(
                re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]*?)", re.escape(row.key.partition(" ")[2])), filled
            )
            assert found is not None, filled
            fitting[row.key] += [(person, found.groupdict()) for person in who]
        before[row.stage] = (before[row.stage] + 1) % len(there)
    return Known(parts, people, fitting)
