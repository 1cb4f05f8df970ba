"""Every figure of 30 periods over 20,000 letters equals what DuckDB counts from the facts, by the words of the definitions (R10.4).

`RECOUNT_LETTERS`, `RECOUNT_PERIODS` and `RECOUNT_SEED` play more, fewer or others.
"""

import os
from pathlib import Path

from services.reporting.figures import Figure
from tests.recount.city import ground
from tests.recount.lives import lives
from tests.recount.recounting import SHARES, Counted, differences, export, random_periods, recount_of, recounted

LETTERS = int(os.environ.get("RECOUNT_LETTERS", "20000"))
PERIODS = int(os.environ.get("RECOUNT_PERIODS", "30"))
VARIETY = """
    SELECT 'a return', count(*) FROM facts WHERE fact = 'HandoffReturned'
    UNION ALL SELECT 'a withdrawal', count(*) FROM facts WHERE fact = 'SlipWithdrawn'
    UNION ALL SELECT 'a redo', count(*) FROM facts WHERE fact = 'ReplySentBack'
    UNION ALL SELECT 'a granted extension', count(*) FROM facts WHERE fact = 'ExtensionDecided' AND outcome <> 'refused'
    UNION ALL SELECT 'a forward', count(*) FROM handoffs WHERE way = 'forward'
    UNION ALL SELECT 'a second assignment', count(*) FROM
        (SELECT letter_id FROM handoffs WHERE way = 'assign' GROUP BY letter_id HAVING count(*) > 1)
    UNION ALL SELECT 'a late correction', count(*) FROM facts f JOIN handoffs h USING (letter_id)
        WHERE f.fact = 'LetterReclassified' AND f.n > h.n
    UNION ALL SELECT 'a report that is hidden from a party', count(*) FROM handoffs h
        JOIN directory d ON d.code = h.receiver JOIN hidden x ON x.letter_id = h.letter_id AND x.unit = d.unit
    UNION ALL SELECT 'a lateness declared although it was answered in the last instant', count(*) FROM facts o
        JOIN replies r USING (letter_id, handoff_id) WHERE o.fact = 'ReplyOverdue' AND r.moment = o.due_at - INTERVAL 1 MILLISECOND
    UNION ALL SELECT 'a turn of the year', count(*) FROM
        (SELECT letter_id FROM facts GROUP BY letter_id HAVING year(chongqing(min(moment))) < year(chongqing(max(moment))))
"""
"""What must be among the letters, so that the recount is worth something."""
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
    for what, number in database.execute(VARIETY).fetchall():
        assert number >= LETTERS / 400, f"too few letters show {what}: {number}"
    counted = Counted(letters, directory)
    wrong = []
    numbers = 0
    for place, period in enumerate(periods):
        ours = counted.numbers(period)
        numbers += len(ours)
        wrong += differences(ours, recount_of(database, place), period, database)
    assert not wrong, f"{len(wrong)} of {numbers} numbers differ:\n" + "\n".join(wrong[:20])
    assert numbers > PERIODS * 100, "nearly nothing was counted"
