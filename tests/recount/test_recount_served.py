"""The same recount of what is served: facts over the topic, rows and cells in the store, figures over HTTP (R10.4).

`RECOUNT_SERVED` plays more letters.
"""

import os
from collections import Counter
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest

from services.reporting.app import build
from services.reporting.figures import Figure
from services.settings import SAMPLE
from tests.component.test_reporting import caught_up, packed, send
from tests.conftest import World
from tests.recount.city import ground
from tests.recount.lives import HORIZON, lives
from tests.recount.recounting import CITY, Numbers, differences, export, random_periods, recount_of, recounted

TAKEN = {"answer_days", "reply_days"}
LETTERS = int(os.environ.get("RECOUNT_SERVED", "300"))
PARTS = {
    "natures": "nature",
    "domains": "domain",
    "regions": "region",
    "discard_reasons": "discarded",
    "dispositions": "disposed",
}


def numbers_of(mailbox: str, shown: dict[str, Any]) -> Numbers:
    """What an answer says, in the form of the recount; zeros are left out."""
    found: Numbers = Counter()
    for figure in Figure:
        if isinstance(shown.get(figure.value), int) and figure is not Figure.DISCARDED:
            found[mailbox, "letters", figure.value, ""] = shown[figure.value]
    for field, figure_name in PARTS.items():
        for part in shown[field]:
            if (figure_name, part["code"]) != ("disposed", "noted"):  # which is a figure of its own
                found[mailbox, "letters", figure_name, part["code"]] = part["count"]
    for side in ("assigned", "undertaken"):
        for unit in shown[side]["units"]:
            for figure in Figure:
                if isinstance(unit.get(figure.value), int):
                    found[mailbox, side, figure.value, unit["mailbox"]] = unit[figure.value]
    return +found


async def test_r10_4_recount_equals_the_figures_that_are_served(world: World, tmp_path: Path) -> None:
    world.move_clock(HORIZON)
    directory = ground().directory
    letters = list(lives(3, LETTERS))
    periods = random_periods(3, 6)
    export(letters, tmp_path / "facts.jsonl")
    database = recounted(tmp_path / "facts.jsonl", periods, directory)
    service = build(world.kit(directory_file=SAMPLE))
    duty = world.token("mayor-duty", "mayor", "duty_officer")
    wrong: list[str] = []
    async with world.running(service) as client:
        await send(service, packed(letters))
        await caught_up(service)
        for place, period in enumerate(periods):
            theirs = recount_of(database, place)
            wanted = {mailbox for mailbox, *_ in theirs if mailbox != CITY}
            assert wanted, "nothing happened in the period"
            for mailbox in [*sorted(wanted)[:12], CITY]:
                path = "/reporting/city/figures" if mailbox == CITY else f"/reporting/mailboxes/{mailbox}/figures"
                span = {"from": period.first_day.isoformat(), "to": period.end_day.isoformat()}
                answer = await client.get(path, params=span, headers=duty)
                assert answer.status_code == 200, answer.text
                expected = Counter(
                    {name: n for name, n in theirs.items() if name[0] == mailbox and name[2] not in TAKEN}
                )
                wrong += differences(numbers_of(mailbox, answer.json()), expected, period, database)
                wrong += derived(mailbox, answer.json(), theirs)
    assert not wrong, "\n".join(wrong[:20])


def derived(mailbox: str, shown: dict[str, Any], theirs: Numbers) -> list[str]:
    """What is wrong with means, medians and shares, which follow from numbers."""
    said: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for side, figure, place in (
        ("letters", "answer_days", shown["answer_days"]),
        ("assigned", "reply_days", shown["assigned"]["reply_days"]),
        ("undertaken", "reply_days", shown["undertaken"]["reply_days"]),
    ):
        days = [
            int(key) for (m, s, f, key), n in theirs.items() if (m, s, f) == (mailbox, side, figure) for _ in range(n)
        ]
        said |= {f"mean of {figure}, {side}": place["mean"], f"median of {figure}, {side}": place["median"]}
        expected[f"mean of {figure}, {side}"] = round(mean(days), 1) if days else None
        expected[f"median of {figure}, {side}"] = median(days) if days else None
    for side in ("assigned", "undertaken"):
        for unit in shown[side]["units"]:
            above, late = (
                theirs[mailbox, side, name, unit["mailbox"]] for name in ("answered_in_time", "became_overdue")
            )
            name = f"timeliness, {side}, {unit['mailbox']}"
            said[name] = unit["timeliness"]
            expected[name] = pytest.approx(above / (above + late), abs=0.00005) if above + late else None
    return [
        f"{name} of {mailbox}: {said[name]}, recount {expected[name]}" for name in said if said[name] != expected[name]
    ]
