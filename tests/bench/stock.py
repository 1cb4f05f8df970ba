"""Letters that are there already: written straight into the stores of the five services, as their own code would have left them.

Of each of some stories, made by the services' domain code, the state that each service would have is computed once. Every letter of the
stock is one of these under an id and a number of its own, written by the service's own `Aggregates`, list fields and all, with its line of
the register and its sender's contact data. So a hundred thousand letters take a minute or two. What `letters`, histories, the lists of all
letters and the marks of likely repetitions would hold of them is missing.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import uvloop

from services import NAMES
from services.__main__ import build
from services.intake.contacts import Contacts
from services.kit import Kit
from services.runtime import Service
from services.settings import load_settings
from shared.contracts.facts import Fact, LetterRead, LetterRegistered, ReplySubmitted, SlipPrepared
from shared.contracts.types import Contact
from shared.messaging.work import Step
from shared.storage import Change, Stored, insert_missing
from tests.bench.stories import one_story
from tests.bench.town import Town

BATCH = 1_000
CONTACT = Contact(name="李明", phone="+8613800138000").model_dump()
PROCESSES = 2
"""They share the letters: making them costs more than storing them."""
A_DAY = 1_000
"""Finished letters of one day, which are of one story."""
STAGES: tuple[tuple[type[Fact], int], ...] = ((LetterRead, 5), (SlipPrepared, 5), (ReplySubmitted, 10))
"""Of a hundred letters so many are unread, wait for a slip, or are in hand: all facts before this one. The others are finished."""


@dataclass(frozen=True, slots=True)
class _Model:
    """A letter to be copied."""

    id: str
    serial: int
    facts: Sequence[Fact]

    @property
    def seen(self) -> dict[str, int]:
        """Service → how many facts it has published."""
        return dict(Counter(fact.source for fact in self.facts))


def _model(position: int, start: datetime, before: type[Fact] | None = None) -> _Model:
    # Words that stand nowhere else in a story, so that they can be replaced in its text.
    letter_id, serial = f"{position:08x}-0000-8000-8000-00000000cafe", 770_000_000 + position
    return _Model(letter_id, serial, one_story(letter_id, start, serial, before))


def _models(now: datetime, days: int) -> tuple[list[_Model], dict[int, _Model]]:
    """Return a finished letter of each day, and by share of a hundred those under way, which began in these hours."""
    finished = [_model(n, now - timedelta(days=30 + n)) for n in range(days)]
    under_way: dict[int, _Model] = {}
    for before, share in STAGES:
        model = _model(days + len(under_way), now - timedelta(hours=2), before)
        under_way |= dict.fromkeys(range(len(under_way), len(under_way) + share), model)
    return finished, under_way


def letter_id(position: int) -> str:
    """Return the id of a letter of the stock."""
    return f"{position:08x}-5700-8000-8000-{position:012x}"


def unread(number: int) -> Iterator[str]:
    """Return the ids of those of `number` letters that nobody has read yet."""
    share = STAGES[0][1]
    return (letter_id(position) for position in range(number) if position % 100 < share)


async def fill(town: Town, number: int, first: int = 0, *, open_below: int | None = None) -> None:
    """Put the letters from `first` up to `number` into the stores of all services, none of which may be running.

    Those at `open_below` and behind it are all finished; none: wherever they stand, some are under way.
    """
    kit = Kit(town.settings)
    for name in NAMES:
        for job in build(name, kit).prepare:
            await job()
    kit.store.close()
    now = datetime.now(UTC).isoformat()
    order = {"first": first, "number": number, "now": now, "open_below": number if open_below is None else open_below}
    orders = ({**order, "part": part} for part in range(PROCESSES))
    await asyncio.gather(*(town.child("tests.bench.stock", order) for order in orders))


async def _fill_a_part(order: dict[str, Any]) -> None:
    """Write every `PROCESSES`-th batch."""
    kit = Kit(load_settings())
    services = {name: build(name, kit) for name in NAMES}
    finished, under_way = _models(datetime.fromisoformat(order["now"]), -(-order["number"] // A_DAY))
    prepared = {id(model): _states(services, model) for model in (*finished, *under_way.values())}
    contacts = Contacts(kit.store).collection
    begin = order["first"] + order["part"] * BATCH
    for batch in range(begin, order["number"], PROCESSES * BATCH):
        chosen = [
            (
                position,
                (position < order["open_below"] and under_way.get(position % 100)) or finished[position // A_DAY],
            )
            for position in range(batch, min(order["number"], batch + BATCH))
        ]
        await asyncio.gather(
            insert_missing(contacts, [{"_id": letter_id(p), "contact": CONTACT, "marks": []} for p, _ in chosen]),
            services["intake"].letters.restore([step for p, model in chosen for step in _registration(p, model)]),
            *(
                _save(service, [(p, model, prepared[id(model)][name]) for p, model in chosen])
                for name, service in services.items()
            ),
        )
    kit.store.close()


def _states(services: dict[str, Service], model: _Model) -> dict[str, Any]:
    states: dict[str, Any] = dict.fromkeys(services)
    for name, service in services.items():
        for fact in model.facts:
            evolve = service.letters.domain.on.get(type(fact))
            states[name] = evolve(states[name], fact) if evolve else states[name]
    return states


def _registration(position: int, model: _Model) -> Iterator[Step[Any]]:
    for fact in model.facts:
        if isinstance(fact, LetterRegistered):
            copy = _copied(fact, position, model)
            yield Step(copy.letter_id, None, copy, None)


async def _save(service: Service, letters: Sequence[tuple[int, _Model, Any]]) -> None:
    changes: list[Change[Any]] = []
    for position, model, state in letters:
        seen = model.seen
        changes.append(Change(Stored(letter_id(position)), _copied(state, position, model), seen))
    lost = await service.letters.aggregates.save(changes)
    assert not lost, "the stores were not empty"


def _copied(value: Any, position: int, model: _Model) -> Any:
    text = value.model_dump_json().replace(model.id, letter_id(position))
    return type(value).model_validate_json(text.replace(str(model.serial), str(position + 1)))


if __name__ == "__main__":
    uvloop.run(_fill_a_part(orjson.loads(sys.stdin.buffer.read())))
    sys.stdout.buffer.write(b"{}")
