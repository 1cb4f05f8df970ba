"""32 registrations at once across 3 mailboxes while intake is killed again and again: gapless, unique, each letter one number for ever."""

import asyncio
from collections import Counter, defaultdict
from typing import Any

from deploy.demo.city import City
from services.intake.repository import SERVICE
from shared.contracts.facts import LetterRegistered
from tests.conftest import eventually
from tests.e2e.fleet import Fleet
from tests.e2e.journey import Fate, Tale, insist

MAILBOXES = {"mayor": 12, "education": 10, "yuzhong": 10}
KILLS = 3


async def arrived(city: City) -> dict[str, str]:
    """Letter id → mailbox of all that are unread."""
    return {row["letter_id"]: mailbox for mailbox in MAILBOXES for row in await city.letters(mailbox)}


async def test_32_registrations_at_once_with_crashes_leave_no_gap_and_no_number_twice(fleet: Fleet) -> None:
    intake = fleet.of("intake")
    await fleet.up([intake])
    answers: dict[str, set[str]] = defaultdict(set)
    async with fleet.city() as city:
        mailboxes = [mailbox for mailbox, count in MAILBOXES.items() for _ in range(count)]
        await asyncio.gather(
            *(city.submit(Tale(n, Fate.ANSWERED, "water").body | {"mailbox": m}) for n, m in enumerate(mailboxes))
        )

        async def all_arrived() -> Any:
            found = await arrived(city)
            return found if len(found) == len(mailboxes) else None

        letters: dict[str, str] = await eventually(all_arrived, 40)

        async def register(letter_id: str, mailbox: str) -> None:
            async def deed() -> None:
                answers[letter_id].add((await city.register(letter_id, mailbox))["number_ascii"])

            async def seen() -> Any:
                return (await city.letter(letter_id, mailbox))["number_ascii"]

            answers[letter_id].add(await insist(deed, seen))

        async with asyncio.TaskGroup() as group:
            for kill in range(KILLS):
                for letter_id, mailbox in list(letters.items())[kill::KILLS]:
                    group.create_task(register(letter_id, mailbox))
                began = sum(map(len, answers.values()))

                async def some_are(began: int = began) -> bool:
                    return sum(map(len, answers.values())) > began

                await eventually(some_are, 40)
                intake.kill()
                await fleet.up([intake])
        for letter_id, mailbox in letters.items():
            answers[letter_id].add((await city.register(letter_id, mailbox))["number_ascii"])
    assert {len(numbers) for numbers in answers.values()} == {1}, "a letter was told two numbers"
    given = Counter(number.rpartition("-")[0] for numbers in answers.values() for number in numbers)
    assert given == {"YFX-2026": 12, "YJX-2026": 10, "YZFX-2026": 10}
    for prefix, count in given.items():
        serials = sorted(int(n.rpartition("-")[2]) for ns in answers.values() for n in ns if n.startswith(f"{prefix}-"))
        assert serials == list(range(1, count + 1))
    await eventually(lambda: _facts_say(fleet, answers), 40)
    kit = fleet.world.kit()
    lines = await kit.store.database(SERVICE)["register"].count_documents({})
    kit.store.close()
    assert lines == len(mailboxes)


async def _facts_say(fleet: Fleet, answers: dict[str, set[str]]) -> bool:
    """Every letter's number is on `letters`, as it was told."""
    facts = [fact for fact in await fleet.world.messages("letters") if isinstance(fact, LetterRegistered)]
    assert {fact.letter_id: {fact.number.ascii} for fact in facts} == answers
    return True
