"""What the first and the 50th page of each list of routing cost, over HTTP, one request at a time, at 10,000 and at 100,000 letters.

The letters are written by the service's own code: facts evolve into states, states are saved as aggregates, entries are made from those.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import quote

import orjson

from services.routing import repository
from services.routing.entries import Entries
from services.routing.models import State
from services.routing.state import ON
from shared.contracts.facts import (
    CitizenAnswered,
    Fact,
    HandoffCollected,
    HandoffSent,
    LetterRead,
    LetterReceived,
    LetterRegistered,
    ReplyApproved,
    ReplyDueSet,
    ReplySubmitted,
    SlipPrepared,
)
from shared.contracts.types import Actor, AnswerBy, Channel, Classification, Nature, Number
from shared.storage import Change, Stored
from tests.bench.client import Connection, request
from tests.bench.mail import samples
from tests.bench.results import Result, check, percentile
from tests.bench.town import Town, per, tell

SIZES = (10_000, 100_000)
BATCH = 1_000
PAGE = 50
"""Which page is measured beside the first; of a shorter list, its last."""
LIMIT = 50
REQUESTS = 100
AIM_MS, AIM_GROWTH = 30.0, 1.5
START = datetime(2025, 1, 6, 1, tzinfo=UTC)
RARE = "金佛山索道"
"""A word of every 2,000th letter."""

LISTS: dict[str, str] = {
    **{
        f"{name} (live)": f"mailboxes/mayor/letters?list={name}" for name in ("pending", "slips", "in-hand", "finished")
    },
    **{
        f"{name} (live, unit)": f"mailboxes/education/letters?list={name}"
        for name in ("arrivals", "collected", "replies")
    },
    "unread": "mailboxes/mayor/letters?list=unread",
    "all": "mailboxes/mayor/letters?list=all",
    "all of the city": "letters?",
    "in hand of the city": "letters?list=in-hand",
    "finished of the city": "letters?list=finished",
    "nature": "letters?nature=help",
    "domain, first level": "letters?domain=utilities",
    "domain, second level": "letters?domain=utilities-water",
    "region": "letters?region=500103",
    "state": "letters?state=pending",
    "unit": "letters?unit=education",
    "days received": "letters?from=2025-01-08&to=2025-01-10",
    "days registered": "letters?dated=registered&from=2025-01-08",
    "days finished": "letters?dated=finished&from=2025-01-08",
    "number": "letters?number=YFX-2025-77",
    "by due moment": "letters?sort=due",
    "in hand by due moment": "mailboxes/mayor/letters?list=in-hand&sort=due",
    "by number": "letters?sort=number&order=desc",
    "nature and region": "letters?nature=help&region=500103",
    "three filters": "letters?nature=help&region=500103&unit=education&list=finished",
    "nature by number": "letters?nature=help&sort=number&order=asc",
    "text, rare word": f"letters?text={quote(RARE)}",
    "text, a letter in 200": f"letters?text={quote('烧烤店')}",
    "text, common word": f"letters?text={quote('希望')}",
    "text, two words and nature": f"letters?text={quote('希望 小区')}&nature=help",
    "text, unit's mailbox": f"mailboxes/education/letters?text={quote('希望')}",
}
"""What is measured → the list."""


async def measure(town: Town) -> list[Result]:
    """Fill the store to each of `SIZES` and read every list there."""
    figures: dict[int, dict[str, dict[str, float]]] = {}
    there = 0
    for size in SIZES:
        took = await _fill(town, there, size)
        tell(f"lists: {size:,} letters; {size - there:,} written in {took:.0f} s")
        there = size
        await town.start("routing")
        figures[size] = await _read(town)
        await town.stop("routing")
    return [_result(name, *(figures[size][name] for size in SIZES)) for name in LISTS] + [_growth(figures)]


def _result(name: str, small: dict[str, float], large: dict[str, float]) -> Result:
    worst = max(large["first p99 ms"], large["last p99 ms"])
    beside = {f"{SIZES[1]:,}": _shown(large), f"{SIZES[0]:,}": _shown(small)}
    return Result(f"list {name}", round(worst, 1), "ms p99", AIM_MS, "lower", beside)


def _shown(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}


def _growth(figures: dict[int, dict[str, dict[str, float]]]) -> Result:
    """Compare medians: the worst of a hundred is noise."""
    grown = {
        f"{name}, {page}": figures[SIZES[1]][name][f"{page} p50 ms"] / figures[SIZES[0]][name][f"{page} p50 ms"]
        for name in LISTS
        for page in ("first", "last")
    }
    worst = sorted(grown.items(), key=lambda item: -item[1])[:5]
    beside = {name: round(ratio, 2) for name, ratio in worst}
    return Result("lists, growth of the median", round(worst[0][1], 2), "times", AIM_GROWTH, "lower", beside)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _read(town: Town) -> dict[str, dict[str, float]]:
    token = {"authorization": f"Bearer {town.token('mayor-duty', 'mayor', 'duty_officer')}"}
    connection = await Connection.open(town.port("routing"))

    async def ask(path: str) -> tuple[float, dict[str, Any]]:
        began = time.perf_counter()
        status, body = await connection.send(request("GET", f"/routing/{path}", headers=token))
        took = (time.perf_counter() - began) * 1000
        check(f"status of {path}", status, 200)
        return took, orjson.loads(body)

    found = {}
    for name, path in LISTS.items():
        first = f"{path}&limit={LIMIT}"
        _, answer = await ask(first)
        rows, pages, last = len(answer["items"]), 1, first
        while answer["next"] and pages < PAGE:
            last = f"{first}&cursor={answer['next']}"
            _, answer = await ask(last)
            rows, pages = rows + len(answer["items"]), pages + 1
        check(f"{name} has letters", rows > 0, True)
        before = town.cpu()
        times = [[(await ask(page))[0] for _ in range(REQUESTS)] for page in (first, last)]
        spent = per(before, town.cpu(), 2 * REQUESTS)
        found[name] = {
            **{f"{page} p50 ms": percentile(each, 0.5) for page, each in zip(("first", "last"), times, strict=True)},
            **{f"{page} p99 ms": percentile(each, 0.99) for page, each in zip(("first", "last"), times, strict=True)},
            "pages": pages,
            "rows": rows,
            "CPU ms per page": spent["all"],
        }
    connection.close()
    return found


# ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _fill(town: Town, first: int, end: int) -> float:
    began = time.perf_counter()
    aggregates = repository.letters(town.store, town.directory)
    entries = Entries(town.store, aggregates, town.directory, town.directory.path_of)
    for collection in (aggregates.collection, entries.collection, entries.texts.collection):
        # An index is made much faster from what is there than entry by entry; the service makes them when it starts.
        if first:
            await collection.drop_indexes()
    town_letters = _letters(town, first, end)
    while batch := [state for _, state in zip(range(BATCH), town_letters, strict=False)]:
        seen = {"intake": 3, "routing": 5, "deadline": 1}
        await aggregates.save([Change(Stored(state.letter_id), state, seen) for state in batch])
        await entries.refresh([state.letter_id for state in batch])
    await aggregates.ensure()
    await entries.ensure()
    check("letters of routing", await town.count("routing"), end)
    check("texts of routing", await town.count("routing", "texts"), end)
    return time.perf_counter() - began


def _letters(town: Town, first: int, end: int) -> Iterator[State]:
    """Return letters as they are after some of their steps: 85 % finished, the others anywhere; the same serial gives the same letter."""
    texts = samples()
    domains = [domain.code for domain in town.directory.all_domains()]
    regions = [region.code for region in town.directory.regions()]
    units = [mailbox.code for mailbox in town.directory.children("mayor")]
    for serial in range(first, end):
        random = Random(serial)
        facts = list(_story(serial, random, texts[serial % len(texts)], domains, regions, units))
        steps = len(facts) if random.random() < 0.85 else random.randrange(1, len(facts))
        state: State | None = None
        for fact in facts[:steps]:
            state = ON[type(fact)](state, fact)
        assert state is not None
        yield state


def _story(
    serial: int,
    random: Random,
    text: dict[str, Any],
    domains: Sequence[str],
    regions: Sequence[str],
    units: Sequence[str],
) -> Iterator[Fact]:
    letter_id = f"{random.getrandbits(32):08x}-0000-8000-8000-{serial:012x}"
    at = START + timedelta(minutes=5 * serial)
    unit = "education" if random.random() < 0.1 else random.choice(units)
    about = Classification(
        nature=random.choice(list(Nature)), domain=random.choice(domains), region=random.choice(regions)
    )
    number = Number(mailbox="mayor", prefix="渝府信", ascii_prefix="YFX", year=2025, serial=serial + 1)
    clerk, head, other = (
        Actor(subject=subject, mailbox=code) for subject, code in (("c", "mayor"), ("h", "mayor"), ("u", unit))
    )
    slip: dict[str, Any] = {
        "sender": "mayor",
        "receiver": unit,
        "opinion": "拟交你单位办理",
        "requirements": "请依法办理",
    }
    slip |= {"answer_by": AnswerBy.ASSIGNEE, "written_reply": False}
    reply = {"handoff_id": "s1", "reply_id": "r1", "text": "经现场核实，问题已处理完毕，感谢您的来信。"}
    common = {"letter_id": letter_id}

    def when(hours: int) -> datetime:
        return at + timedelta(hours=hours)

    body = text["body"] + (RARE if serial % 2_000 == 0 else "")
    yield LetterReceived(
        **common,
        at=at,
        mailbox="mayor",
        chosen_mailbox="mayor",
        subject=text["subject"],
        body=body,
        classification=about,
        may_publish=True,
    )
    yield LetterRead(**common, at=when(1), by=clerk)
    yield LetterRegistered(**common, at=when(2), by=clerk, number=number)
    yield SlipPrepared(**common, at=when(3), by=clerk, slip_id="s1", **slip)
    yield HandoffSent(**common, at=when(4), by=head, handoff_id="s1", prepared_by=clerk, number=number, **slip)
    due = when(240 + random.randrange(200))
    yield ReplyDueSet(**common, at=when(4), handoff_id="s1", receiver=unit, due_at=due, working_days=10)
    yield HandoffCollected(**common, at=when(20), by=other, handoff_id="s1", receiver=unit)
    yield ReplySubmitted(**common, at=when(50), by=other, **reply)
    ends = {"sender": "mayor", "receiver": unit, "author": other, "answer_by": AnswerBy.ASSIGNEE}
    yield ReplyApproved(**common, at=when(60), by=head, **reply, **ends)
    yield CitizenAnswered(
        **common, at=when(60), by=head, mailbox=unit, channel=Channel.ONLINE, text=reply["text"], author=other
    )
