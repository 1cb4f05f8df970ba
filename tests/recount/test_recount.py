"""Every figure of 30 periods over 20,000 letters equals what DuckDB counts from the facts, by the words of the definitions (R10.4).

`RECOUNT_LETTERS`, `RECOUNT_PERIODS` and `RECOUNT_SEED` play more, fewer or others.
"""

import os
from pathlib import Path

from services.reporting.figures import Figure
from tests.recount.lives import ground, lives
from tests.recount.recounting import SHARES, Counted, differences, export, random_periods, recount_of, recounted

LETTERS = int(os.environ.get("RECOUNT_LETTERS", "20000"))
PERIODS = int(os.environ.get("RECOUNT_PERIODS", "30"))
SEED = int(os.environ.get("RECOUNT_SEED", "7"))


def test_r10_4_recount_of_30_periods_over_20_000_letters_gives_every_figure_again(tmp_path: Path) -> None:
    directory = ground().directory
    letters = list(lives(SEED, LETTERS))
    periods = random_periods(SEED, PERIODS)
    export(letters, tmp_path / "facts.jsonl")
    database = recounted(tmp_path / "facts.jsonl", periods, directory)
    lacking = {figure.value for figure in set(Figure) - SHARES} - {
        name for (name,) in database.execute("SELECT DISTINCT figure FROM counted").fetchall()
    }
    assert not lacking, (
        f"no recount of these, or no letter in which they occur; write recount.sql or lives.py: {lacking}"
    )
    counted = Counted(letters, directory)
    wrong = []
    numbers = 0
    for place, period in enumerate(periods):
        ours = counted.numbers(period)
        numbers += len(ours)
        wrong += differences(ours, recount_of(database, place), period, database)
    assert not wrong, f"{len(wrong)} of {numbers} numbers differ:\n" + "\n".join(wrong[:20])
    assert numbers > PERIODS * 100, "nearly nothing was counted"
