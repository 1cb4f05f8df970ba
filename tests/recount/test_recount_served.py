"""The same recount of what is served: facts over the topic, rows and cells in the store, figures over HTTP (R10.4).

`RECOUNT_SERVED` plays more letters.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from services.reporting.app import build
from services.reporting.figures import Figure
from services.settings import SAMPLE
from tests.component.test_reporting import caught_up, packed, send
from tests.conftest import World
from tests.recount.lives import HORIZON, ground, lives
from tests.recount.recounting import CITY, Numbers, differences, export, random_periods, recount_of, recounted

LETTERS = int(os.environ.get("RECOUNT_SERVED", "300"))
PARTS = {"natures": "nature", "domains": "domain", "regions": "region", "discard_reasons": "discarded"}


def numbers_of(mailbox: str, shown: dict[str, Any]) -> Numbers:
    """What an answer says, in the form of the recount; zeros are left out."""
    found: Numbers = Counter()
    for figure in Figure:
        if isinstance(shown.get(figure.value), int) and figure is not Figure.DISCARDED:
            found[mailbox, "letters", figure.value, ""] = shown[figure.value]
    for field, figure_name in PARTS.items():
        for part in shown[field]:
            found[mailbox, "letters", figure_name, part["code"]] = part["count"]
    for side in ("assigned", "undertaken"):
        for unit in shown[side]["units"]:
            for figure in Figure:
                if figure.value in unit:
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
                expected = Counter({name: n for name, n in theirs.items() if name[0] == mailbox and shown_there(name)})
                wrong += differences(numbers_of(mailbox, answer.json()), expected, period, database)
    assert not wrong, "\n".join(wrong[:20])


def shown_there(name: tuple[str, str, str, str]) -> bool:
    """Whether an answer shows a figure at that place; dispositions by way are shown as a list of their own."""
    return name[2] != "disposed"
