"""The register of numbers while writes fail at every point on the way: no gap, no number twice, the same letter the same number."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from services.intake import repository
from services.intake.app import build
from services.intake.domain import Letter
from services.intake.handlers import Registrar
from services.intake.repository import Register
from shared.contracts.facts import LetterReceived
from shared.contracts.types import Actor, Classification, Nature
from shared.messaging.letters import Letters
from shared.storage import StoreUnavailable, insert_missing
from tests.conftest import MONDAY, World

MAILBOXES = ("mayor", "education", "yuzhong")
CLERK = Actor(subject="clerk", mailbox="mayor")
POINTS = (
    "before the line",
    "half of the lines",
    "after the line",
    "before the fact",
    "after the fact",
    "before the end",
)


class Mishaps:
    """Lets a write fail at some points, each the first time and then as its dice say, and counts how often it did."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._dice = random.Random(seed)
        self.met: dict[str, int] = defaultdict(int)
        self.going = True
        monkeypatch.setattr(repository, "insert_missing", self._insert)
        monkeypatch.setattr(Letters, "command", self._around(Letters.command, "before the fact", "after the fact"))
        monkeypatch.setattr(Register, "confirm", self._around(Register.confirm, "before the end", "before the end"))

    def _strike(self, point: str, chance: float = 0.25) -> None:
        if self._unlucky(point, chance):
            raise StoreUnavailable(point)

    def _unlucky(self, point: str, chance: float) -> bool:
        if not self.going or (self.met[point] and self._dice.random() > chance):
            return False
        self.met[point] += 1
        return True

    async def _insert(self, collection: Any, documents: Sequence[Any], *, ordered: bool = False) -> set[int]:
        self._strike("before the line")
        if self._unlucky("half of the lines", 0.25):
            await insert_missing(collection, documents[: len(documents) // 2], ordered=ordered)
            raise StoreUnavailable("half of the lines")
        taken = await insert_missing(collection, documents, ordered=ordered)
        self._strike("after the line")
        return taken

    def _around(self, original: Any, before: str, after: str) -> Any:
        async def unsafe(*arguments: Any, **options: Any) -> Any:
            self._strike(before)
            done = await original(*arguments, **options)
            self._strike(after)
            return done

        return unsafe


@asynccontextmanager
async def registrars(world: World, count: int) -> AsyncIterator[list[Registrar]]:
    """Several replicas' registrars on one store."""
    kits = [world.kit() for _ in range(count)]
    made = []
    for kit in kits:
        service = build(kit)
        for job in service.prepare:
            await job()
        made.append(Registrar(service.letters, Register(kit.store, kit.directory)))
    yield made
    for kit in kits:
        kit.store.close()


async def receive(letters: Letters[Letter], letter_id: str, mailbox: str) -> None:
    """Let a letter be there."""
    fact = LetterReceived(
        letter_id=letter_id,
        at=MONDAY,
        mailbox=mailbox,
        chosen_mailbox=mailbox,
        subject="路灯不亮",
        body="小区门口的路灯坏了半个多月。",
        classification=Classification(nature=Nature.HELP, domain="utilities-power", region="500103"),
        may_publish=True,
    )
    await letters.command_many([letter_id], lambda *_: [fact])


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_r3_6_32_registrations_at_once_with_mishaps_everywhere_leave_no_gap(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    async with registrars(world, 2) as (first, second):
        ids = {f"letter-{number:02}": MAILBOXES[number % 3] for number in range(32)}
        await asyncio.gather(*(receive(first.letters, letter_id, mailbox) for letter_id, mailbox in ids.items()))
        mishaps = Mishaps(seed, monkeypatch)
        told: dict[str, set[str]] = defaultdict(set)

        async def clerk(letter_id: str, number: int) -> None:
            """Tries up to four times, at either replica; some give up, as after a crash."""
            for attempt in range(4):
                registrar = (first, second)[(number + attempt) % 2]
                try:
                    stored = await registrar.letters.aggregates.get(letter_id)
                    after = await registrar.register_letter(stored, CLERK, None)
                except StoreUnavailable:
                    continue
                assert after.state is not None
                assert after.state.number is not None
                told[letter_id].add(after.state.number.ascii)
                return

        await asyncio.gather(*(clerk(letter_id, number) for number, letter_id in enumerate(ids)))
        for registrar in (first, second) * 3:
            try:
                await registrar.confirm()
                await registrar.confirm_left_lines(timedelta(0))
            except StoreUnavailable:
                continue
        assert all(mishaps.met[point] for point in POINTS), f"seed {seed} does not reach every point: {mishaps.met}"
        mishaps.going = False
        for registrar in (first, second):
            await registrar.confirm()
            await registrar.confirm_left_lines(timedelta(0))
        for letter_id in ids:
            stored = await first.letters.aggregates.get(letter_id)
            after = await first.register_letter(stored, CLERK, None)
            assert after.state is not None
            assert after.state.number is not None
            told[letter_id].add(after.state.number.ascii)
        await first.confirm()
        assert {len(numbers) for numbers in told.values()} == {1}, "a letter was told two numbers"
        by_mailbox: dict[str, list[str]] = defaultdict(list)
        async for line in first.register.collection.find({}).sort([("_id", 1)]):
            mailbox, _, serial = line["_id"].split("/")
            assert "open" not in line
            assert ids[line["letter_id"]] == mailbox
            assert told[line["letter_id"]].pop().rpartition("-")[2] == str(int(serial))
            by_mailbox[mailbox].append(serial)
        for mailbox, serials in by_mailbox.items():
            wanted = list(ids.values()).count(mailbox)
            assert [int(serial) for serial in serials] == list(range(1, wanted + 1)), mailbox
